"""OKX's account and asset operations: what a spot account in cash mode has to show."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.orders import Account, Side
from autotrader_lab.sandbox.units import ONE, trim_e8
from autotrader_lab.sandbox.venues.okx import render
from autotrader_lab.sandbox.venues.okx.calls import Call, operation
from autotrader_lab.sandbox.venues.okx.desk import Desk, FillRow, inst_id, wire_id
from autotrader_lab.sandbox.venues.okx.errors import ApiError

__all__ = ["held_assets"]

Json = dict[str, Any]


def held_assets(account: Account) -> list[str]:
    """Currencies an account has, in alphabetical order."""
    return sorted(asset for asset in {*account.free, *account.locked} if any(account.balance(asset)[1:]))


@operation("GET /api/v5/account/balance", private=True, per_2s=10)
def _balance(call: Call) -> list[Json]:
    wanted = call.params.get("ccy")
    assets = held_assets(call.owner)
    if wanted:
        names = str(wanted).split(",")
        if len(names) > 20:
            raise ApiError("50025", "Parameter ccy count exceeds the limit 20", 400)
        assets = [asset for asset in assets if asset in names]
    return [render.account_row(call.desk, call.owner, assets)]


@operation("GET /api/v5/account/config", private=True, per_2s=5)
def _config(call: Call) -> list[Json]:
    key = next(key for key in call.world.keys.values() if key.account == call.owner.name)
    return [
        {
            "acctLv": "1",
            "acctStpMode": "cancel_maker",
            "autoLoan": False,
            "ctIsoMode": "automatic",
            "enableSpotBorrow": False,
            "feeType": "0",
            "greeksType": "PA",
            "ip": "",
            "kycLv": "3",
            "label": key.account,
            "level": "Lv1",
            "levelTmp": "",
            "liquidationGear": "-1",
            "mainUid": render.UID,
            "mgnIsoMode": "automatic",
            "opAuth": "0",
            "perm": "read_only,trade",
            "posMode": "net_mode",
            "roleType": "0",
            "settleCcy": "USDT",
            "settleCcyList": ["USDT"],
            "spotBorrowAutoRepay": False,
            "spotOffsetType": "",
            "spotRoleType": "0",
            "spotTraderInsts": [],
            "stgyType": "0",
            "traderInsts": [],
            "type": "0",
            "uid": render.UID,
        }
    ]


@operation("GET /api/v5/account/positions", private=True, per_2s=10)
@operation("GET /api/v5/account/positions-history", private=True, per_2s=10)
def _positions(call: Call) -> list[Json]:
    return []


@operation("GET /api/v5/account/trade-fee", private=True, per_2s=5)
def _trade_fee(call: Call) -> list[Json]:
    fees = call.owner.fees
    maker, taker = trim_e8(-fees.maker), trim_e8(-fees.taker)
    return [
        {
            "category": "1",
            "delivery": "",
            "exercise": "",
            "feeGroup": [{"groupId": "1", "maker": maker, "taker": taker}],
            "fiat": [],
            "instType": call.text("instType"),
            "level": "Lv1",
            "maker": maker,
            "makerU": "",
            "makerUSDC": maker,
            "ruleType": "normal",
            "taker": taker,
            "takerU": "",
            "takerUSDC": taker,
            "ts": str(call.now_ms),
            "uly": "",
        }
    ]


@operation("GET /api/v5/account/max-size", private=True)
@operation("GET /api/v5/account/max-avail-size", private=True)
def _max_size(call: Call) -> list[Json]:
    rows = []
    for name in call.text("instId").split(","):
        instrument = call.desk.instrument(name)
        best = call.world.exchange.books[instrument.symbol].best(Side.SELL)
        price = best.price if best else call.world.exchange.last_price[instrument.symbol]
        quote = call.owner.free.get(instrument.quote, 0)
        base = call.owner.free.get(instrument.base, 0)
        rows.append(
            {
                "availBuy": trim_e8(quote),
                "availSell": trim_e8(base),
                "ccy": instrument.base,
                "instId": name,
                "maxBuy": trim_e8(quote * ONE // price // instrument.step * instrument.step),
                "maxSell": trim_e8(base // instrument.step * instrument.step),
            }
        )
    return rows


@operation("GET /api/v5/account/bills", private=True, per_2s=10)
@operation("GET /api/v5/account/bills-archive", private=True, per_2s=10)
def _bills(call: Call) -> list[Json]:
    after, before, wanted = call.number("after"), call.number("before"), call.params.get("ccy")
    rows = []
    for fill in reversed(call.desk.fills):
        if fill.order.account != call.owner.name:
            continue
        rows += [row for row in _bill_rows(call.desk, fill) if wanted in (None, row["ccy"])]
    kept = [
        row
        for row in rows
        if (after is None or int(row["billId"]) < after) and (before is None or int(row["billId"]) > before)
    ]
    return kept[: call.limit(100, 100)]


def _bill_rows(desk: Desk, row: FillRow) -> list[Json]:
    """The two bills of a fill: what was received and what was paid."""
    fill = row.fill
    instrument = desk.exchange.instruments[fill.symbol]
    bought = fill.quantity if fill.is_buyer else -fill.quantity
    paid = -fill.amount if fill.is_buyer else fill.amount
    bills = []
    for part, (asset, change) in enumerate(((instrument.base, bought), (instrument.quote, paid))):
        fee = fill.fee if asset == fill.fee_asset else 0
        bills.append(
            {
                "bal": "",
                "balChg": trim_e8(change - fee),
                "billId": wire_id(row.bill_id * 2 + part),
                "ccy": asset,
                "clOrdId": desk.ticket(row.order).client_id,
                "execType": "M" if fill.is_maker else "T",
                "fee": trim_e8(-fee),
                "fillFwdPx": "",
                "fillIdxPx": "",
                "fillMarkPx": "",
                "fillMarkVol": "",
                "fillPxUsd": "",
                "fillPxVol": "",
                "fillTime": str(fill.time_ms),
                "from": "",
                "instId": inst_id(instrument),
                "instType": "SPOT",
                "interest": "0",
                "mgnMode": "",
                "notes": "",
                "ordId": wire_id(fill.order_id),
                "pnl": "0",
                "posBal": "0",
                "posBalChg": "0",
                "px": trim_e8(fill.price),
                "subType": "1" if fill.is_buyer else "2",
                "sz": trim_e8(fill.quantity),
                "tag": "",
                "to": "",
                "tradeId": str(fill.trade_id),
                "ts": str(fill.time_ms),
                "type": "2",
            }
        )
    return bills


@operation("GET /api/v5/asset/balances", private=True, per_2s=12)
def _asset_balances(call: Call) -> list[Json]:
    return []


@operation("GET /api/v5/asset/currencies", private=True, per_2s=12)
def _currencies(call: Call) -> list[Json]:
    names: dict[str, None] = {}
    for instrument in call.desk.by_id.values():
        names[instrument.base] = names[instrument.quote] = None
    return [
        {
            "burningFeeRate": "",
            "canDep": False,
            "canInternal": False,
            "canWd": False,
            "ccy": name,
            "chain": f"{name}-Sandbox",
            "ctAddr": "",
            "depQuotaFixed": "",
            "depQuoteDailyLayer2": "",
            "fee": "0",
            "logoLink": "",
            "mainNet": True,
            "maxFee": "0",
            "maxFeeForCtAddr": "",
            "maxWd": "0",
            "minDep": "0",
            "minDepArrivalConfirm": "0",
            "minFee": "0",
            "minFeeForCtAddr": "",
            "minWd": "0",
            "minWdUnlockConfirm": "0",
            "name": name,
            "needTag": False,
            "usedDepQuotaFixed": "",
            "usedWdQuota": "0",
            "wdQuota": "0",
            "wdTickSz": "8",
        }
        for name in names
    ]
