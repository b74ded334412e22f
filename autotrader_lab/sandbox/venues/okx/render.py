"""OKX's JSON of orders, fills, balances and instruments. Every number is a text."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.orders import (
    Account,
    Execution,
    ExecutionKind,
    Instrument,
    Order,
    OrderEvent,
    Side,
    Status,
)
from autotrader_lab.sandbox.units import ONE, notional, text_e8, trim_e8
from autotrader_lab.sandbox.venues.okx.desk import Desk, FillRow, Ticket, inst_id, wire_id
from autotrader_lab.sandbox.venues.okx.rules import MOST_MARKET_VALUE

__all__ = [
    "UID",
    "account_row",
    "average_price",
    "balance_row",
    "fill_push",
    "fill_row",
    "instrument_row",
    "order_push",
    "order_row",
    "state",
]

Json = dict[str, Any]

UID = "446556889012736000"
LISTED_MS = "1548133413000"
_STATES = {
    Status.NEW: "live",
    Status.PARTIALLY_FILLED: "partially_filled",
    Status.FILLED: "filled",
}


def state(status: Status) -> str:
    """``live``, ``partially_filled``, ``filled`` or ``canceled``."""
    return _STATES.get(status, "canceled")


def average_price(amount: int, quantity: int) -> str:
    """The average price of fills, empty without any."""
    return trim_e8(amount * ONE // quantity) if quantity else ""


def instrument_row(instrument: Instrument, code: int) -> Json:
    """One of ``public/instruments``."""
    most = trim_e8(instrument.max_quantity)
    return {
        "alias": "",
        "auctionEndTime": "",
        "baseCcy": instrument.base,
        "category": "1",
        "contTdSwTime": LISTED_MS,
        "ctMult": "",
        "ctType": "",
        "ctVal": "",
        "ctValCcy": "",
        "expTime": "",
        "futureSettlement": False,
        "groupId": "1",
        "instCategory": "1",
        "instFamily": "",
        "instId": inst_id(instrument),
        "instIdCode": code,
        "instType": "SPOT",
        "lever": "",
        "listTime": LISTED_MS,
        "lotSz": trim_e8(instrument.step),
        "maxIcebergSz": most,
        "maxLmtAmt": "20000000",
        "maxLmtSz": most,
        "maxMktAmt": MOST_MARKET_VALUE,
        "maxMktSz": MOST_MARKET_VALUE,
        "maxPlatOILmt": "",
        "maxStopSz": MOST_MARKET_VALUE,
        "maxTriggerSz": most,
        "maxTwapSz": most,
        "minSz": trim_e8(instrument.min_quantity),
        "openType": "",
        "optType": "",
        "posLmtAmt": "",
        "posLmtPct": "",
        "preMktSwTime": "",
        "quoteCcy": instrument.quote,
        "ruleType": "normal",
        "settleCcy": "",
        "state": "live",
        "stk": "",
        "tickSz": trim_e8(instrument.tick),
        "tradeQuoteCcyList": [instrument.quote],
        "uly": "",
        "upcChg": [],
    }


def order_row(desk: Desk, order: Order) -> Json:
    """An order, as ``trade/order`` and the lists show it."""
    ticket, last = desk.ticket(order), order.fills[-1] if order.fills else None
    instrument = desk.exchange.instruments[order.symbol]
    source, reason = desk.why_ended(order, ExecutionKind.NEW)
    return {
        "accFillSz": trim_e8(order.executed),
        "algoClOrdId": ticket.algo_client_id,
        "algoId": ticket.algo_id,
        "attachAlgoClOrdId": "",
        "attachAlgoOrds": [],
        "avgPx": average_price(order.amount, order.executed),
        "cTime": str(order.created_ms),
        "cancelSource": source,
        "cancelSourceReason": reason,
        "category": "normal",
        "ccy": "",
        "clOrdId": ticket.client_id,
        "fee": _charged(sum(fill.fee for fill in order.fills)),
        "feeCcy": instrument.base if order.side is Side.BUY else instrument.quote,
        "fillPx": trim_e8(last.price) if last else "",
        "fillSz": trim_e8(last.quantity) if last else "0",
        "fillTime": str(last.time_ms) if last else "",
        "instId": inst_id(instrument),
        "instType": "SPOT",
        "isTpLimit": "false",
        "lever": "",
        "linkedAlgoOrd": {"algoId": ""},
        "ordId": wire_id(order.order_id),
        "ordType": ticket.ord_type,
        "pnl": "0",
        "posSide": "net",
        "px": trim_e8(order.price) if order.price else "",
        "pxType": "",
        "pxUsd": "",
        "pxVol": "",
        "quickMgnType": "",
        "rebate": "0",
        "rebateCcy": instrument.quote if order.side is Side.BUY else instrument.base,
        "reduceOnly": "false",
        "side": order.side.lower(),
        "slOrdPx": "",
        "slTriggerPx": "",
        "slTriggerPxType": "",
        "source": ticket.source,
        "state": state(order.status),
        "stpId": "",
        "stpMode": ticket.stp_mode,
        "sz": trim_e8(ticket.size),
        "tag": ticket.tag,
        "tdMode": "cash",
        "tgtCcy": ticket.tgt_ccy,
        "tpOrdPx": "",
        "tpTriggerPx": "",
        "tpTriggerPxType": "",
        "tradeId": str(last.trade_id) if last else "",
        "tradeQuoteCcy": instrument.quote,
        "uTime": str(order.updated_ms),
    }


def order_push(desk: Desk, event: OrderEvent) -> Json:
    """An order event on the channel ``orders``: the order as it stood, and the fill if it was one."""
    order, fill, ticket = event.order, event.fill, desk.ticket(event.order)
    row = order_row(desk, order)
    source, reason = desk.why_ended(order, event.kind)
    ended = state(order.status) == "canceled"
    amended = event.kind is ExecutionKind.REPLACED
    row |= {
        "amendResult": "0" if amended else "",
        "amendSource": "1" if amended else "",
        "cancelSource": source if ended else "",
        "cancelSourceReason": reason if ended else "",
        "code": "0",
        "execType": "",
        "fillFee": "0",
        "fillFeeCcy": "",
        "fillFwdPx": "",
        "fillMarkPx": "",
        "fillMarkVol": "",
        "fillNotionalUsd": "",
        "fillPnl": "0",
        "fillPx": "",
        "fillPxUsd": "",
        "fillPxVol": "",
        "fillSz": "0",
        "fillTime": "",
        "lastPx": trim_e8(desk.exchange.last_price[order.symbol]),
        "msg": "",
        "notionalUsd": _notional_text(order, ticket, desk),
        "reqId": ticket.req_id if amended else "",
        "sz": trim_e8(ticket.size if order.quote_quantity else order.quantity),
        "tradeId": "",
        "uTime": str(event.time_ms),
    }
    if fill is not None:
        row |= {
            "execType": "M" if fill.is_maker else "T",
            "fillFee": _charged(fill.fee),
            "fillFeeCcy": fill.fee_asset,
            "fillNotionalUsd": trim_e8(fill.amount),
            "fillPx": trim_e8(fill.price),
            "fillSz": trim_e8(fill.quantity),
            "fillTime": str(fill.time_ms),
            "tradeId": str(fill.trade_id),
        }
    return row


def _notional_text(order: Order, ticket: Ticket, desk: Desk) -> str:
    if order.quote_quantity:
        return trim_e8(ticket.size)
    return trim_e8(notional(order.price or desk.exchange.last_price[order.symbol], order.quantity))


def _charged(fee: int) -> str:
    """A fee as OKX signs it: negative when charged."""
    return trim_e8(-fee) if fee else "0"


def fill_row(desk: Desk, row: FillRow) -> Json:
    """One of ``trade/fills``."""
    fill, ticket = row.fill, desk.ticket(row.order)
    instrument = desk.exchange.instruments[fill.symbol]
    fees = desk.exchange.accounts[row.order.account].fees
    return {
        "billId": wire_id(row.bill_id),
        "clOrdId": ticket.client_id,
        "execType": "M" if fill.is_maker else "T",
        "fee": _charged(fill.fee),
        "feeCcy": fill.fee_asset,
        "feeRate": trim_e8(-(fees.maker if fill.is_maker else fees.taker)),
        "fillFwdPx": "",
        "fillIdxPx": trim_e8(fill.price),
        "fillMarkPx": "",
        "fillMarkVol": "",
        "fillPnl": "0",
        "fillPx": trim_e8(fill.price),
        "fillPxUsd": "",
        "fillPxVol": "",
        "fillSz": trim_e8(fill.quantity),
        "fillTime": str(fill.time_ms),
        "instId": inst_id(instrument),
        "instType": "SPOT",
        "ordId": wire_id(fill.order_id),
        "posSide": "net",
        "side": "buy" if fill.is_buyer else "sell",
        "subType": "1" if fill.is_buyer else "2",
        "tag": ticket.tag,
        "tradeId": str(fill.trade_id),
        "tradeQuoteCcy": instrument.quote,
        "ts": str(fill.time_ms),
    }


def fill_push(desk: Desk, order: Order, fill: Execution) -> Json:
    """A fill on the channel ``fills``."""
    return {
        "instId": inst_id(desk.exchange.instruments[fill.symbol]),
        "fillSz": trim_e8(fill.quantity),
        "fillPx": trim_e8(fill.price),
        "side": "buy" if fill.is_buyer else "sell",
        "ts": str(fill.time_ms),
        "ordId": wire_id(fill.order_id),
        "clOrdId": desk.ticket(order).client_id,
        "tradeId": str(fill.trade_id),
        "execType": "M" if fill.is_maker else "T",
        "count": "1",
    }


def balance_row(desk: Desk, account: Account, asset: str) -> Json:
    """One currency of an account, with its value in US dollars (of which a stablecoin is one)."""
    _, free, locked = account.balance(asset)
    price = _usd_price(desk, asset)
    total = free + locked
    value = trim_e8(total * price // ONE)
    return {
        "accAvgPx": "",
        "autoLendAmt": "0",
        "autoLendMtAmt": "0",
        "autoLendStatus": "off",
        "availBal": trim_e8(free),
        "availEq": "",
        "borrowFroz": "",
        "cashBal": trim_e8(total),
        "ccy": asset,
        "clSpotInUseAmt": "",
        "coinUsdPrice": trim_e8(price),
        "colBorrAutoConversion": "0",
        "collateralEnabled": False,
        "collateralRestrict": False,
        "crossLiab": "",
        "disEq": value,
        "eq": trim_e8(total),
        "eqUsd": value,
        "fixedBal": "0",
        "frozenBal": trim_e8(locked),
        "frpType": "0",
        "imr": "",
        "interest": "",
        "isoEq": "",
        "isoLiab": "",
        "isoUpl": "",
        "liab": "",
        "maxLoan": "",
        "maxSpotInUse": "",
        "maxSpotInUseAmt": "",
        "mgnRatio": "",
        "mmr": "",
        "notionalLever": "",
        "openAvgPx": "",
        "ordFrozen": trim_e8(locked),
        "rewardBal": "0",
        "smtSyncEq": "0",
        "spotBal": trim_e8(total),
        "spotCopyTradingEq": "0",
        "spotInUseAmt": "",
        "spotIsoBal": "0",
        "spotUpl": "",
        "spotUplRatio": "",
        "stgyEq": "0",
        "totalPnl": "",
        "totalPnlRatio": "",
        "twap": "0",
        "uTime": str(account.updated_ms),
        "upl": "",
        "uplLiab": "",
    }


def account_row(desk: Desk, account: Account, assets: list[str]) -> Json:
    """``account/balance``, and the channel ``account``."""
    details = [balance_row(desk, account, asset) for asset in assets]
    held = {*account.free, *account.locked}
    total = sum(sum(account.balance(asset)[1:]) * _usd_price(desk, asset) // ONE for asset in held)
    return {
        "adjEq": "",
        "availEq": "",
        "borrowFroz": "",
        "delta": "",
        "deltaLever": "",
        "deltaNeutralStatus": "0",
        "details": details,
        "imr": "",
        "isoEq": "",
        "mgnRatio": "",
        "mmr": "",
        "notionalUsd": "",
        "notionalUsdForBorrow": "",
        "notionalUsdForFutures": "",
        "notionalUsdForOption": "",
        "notionalUsdForSwap": "",
        "ordFroz": "",
        "totalEq": text_e8(total),
        "uTime": str(desk.world.now_ms()),
        "upl": "",
    }


def _usd_price(desk: Desk, asset: str) -> int:
    """What one of an asset is worth in US dollars, e8; 0 if nothing tells."""
    if asset.startswith("USD"):
        return ONE
    for instrument in desk.exchange.instruments.values():
        if instrument.base == asset and instrument.quote.startswith("USD"):
            return desk.exchange.last_price[instrument.symbol]
    return 0
