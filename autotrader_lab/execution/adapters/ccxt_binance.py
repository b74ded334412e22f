"""Binance spot's words in ours: plain functions from its payloads to our values.

No I/O and no state, so that recorded messages can test every line. Numbers stay the texts the venue sent until they
are Decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.ccxt_errors import Meaning
from autotrader_lab.execution.adapters.ccxt_updates import Update, UpdateKind
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.instruments import Instrument, plain_text
from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderStatus, OrderType

__all__ = [
    "CODES",
    "Rules",
    "decode_balances",
    "decode_instrument",
    "decode_order",
    "decode_order_fills",
    "decode_report",
    "decode_trade",
]

Payload = Mapping[str, Any]

VENUE = "binance"

CODES: dict[str, Meaning] = {
    "-1000": Meaning.DOUBT,
    "-1001": Meaning.DOUBT,
    "-1006": Meaning.DOUBT,
    "-1007": Meaning.DOUBT,
    "-1008": Meaning.DOUBT,
    "-1016": Meaning.DOUBT,
    "-1002": Meaning.AUTHENTICATION,
    "-1022": Meaning.AUTHENTICATION,
    "-2008": Meaning.AUTHENTICATION,
    "-2014": Meaning.AUTHENTICATION,
    # ccxt takes this for a ban once a call has succeeded; keys revoked meanwhile look the same.
    "-2015": Meaning.AUTHENTICATION,
    "-1003": Meaning.RATE_LIMITED,
    "-1015": Meaning.RATE_LIMITED,
    "-1112": Meaning.REFUSED,
    "-1121": Meaning.NO_SYMBOL,
    "-2011": Meaning.NOT_FOUND,
    "-2013": Meaning.NOT_FOUND,
    "-2026": Meaning.NOT_FOUND,
    "-2038": Meaning.REFUSED,
    "-2039": Meaning.REFUSED,
}
"""Where Binance's code is plainer than the class ccxt makes of it, or ccxt knows it only at Binance's own address."""

DUPLICATE_MESSAGE = "Duplicate order sent"

_OUR_TYPES = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "STOP_LOSS": OrderType.STOP,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    # Foreign orders only: nearest of our types, the venue's own name is in the metadata.
    "TAKE_PROFIT": OrderType.STOP,
    "TAKE_PROFIT_LIMIT": OrderType.STOP_LIMIT,
}
_STATUS = {
    "NEW": OrderStatus.SUBMITTED,
    "PENDING_NEW": OrderStatus.SUBMITTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIAL_FILL,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "PENDING_CANCEL": OrderStatus.SUBMITTED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}


class Rules(msgspec.Struct, frozen=True):
    """What Binance says about a symbol beyond the grid every venue has."""

    trading: bool
    status: str
    order_types: frozenset[str]
    min_price: Decimal
    max_price: Decimal
    max_market_quantity: Decimal
    notional_binds_market: bool
    amendable: bool


def _number(payload: Payload, name: str) -> Decimal:
    try:
        return Decimal(str(payload[name]))
    except (KeyError, ArithmeticError) as error:
        raise DataError(f"{VENUE}: {name!r} is missing or no number in {sorted(payload)}") from error


def _plain(value: Decimal) -> Decimal:
    return Decimal(plain_text(value))


def _ns(milliseconds: Any) -> int:
    return int(milliseconds) * 1_000_000


# --- what is listed ---------------------------------------------------------------------------------------------


def decode_instrument(raw: Payload, symbol: str) -> tuple[Instrument, Rules]:
    """A symbol of exchangeInfo, exact from its filters' texts.

    Raises
    ------
    DataError
        If a filter we trade by is missing.
    """
    filters = {entry["filterType"]: entry for entry in raw.get("filters", ())}
    missing = {"PRICE_FILTER", "LOT_SIZE"} - filters.keys()
    if missing:
        raise DataError(f"{VENUE}: {symbol} has no {', '.join(sorted(missing))} filter")
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    # Renamed in 2023; old recordings and some symbols have the former name.
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    market = filters.get("MARKET_LOT_SIZE", lot)
    max_notional = _number(notional, "maxNotional") if "maxNotional" in notional else None
    instrument = Instrument(
        symbol=symbol,
        tick_size=_plain(_number(price, "tickSize")),
        lot_size=_plain(_number(lot, "stepSize")),
        venue=VENUE,
        venue_symbol=str(raw["symbol"]),
        base=str(raw["baseAsset"]),
        quote=str(raw["quoteAsset"]),
        min_quantity=_plain(_number(lot, "minQty")),
        max_quantity=_plain(_number(lot, "maxQty")),
        min_notional=_plain(_number(notional, "minNotional")),
        max_notional=None if max_notional is None else _plain(max_notional),
        can_short=False,
    )
    status = str(raw.get("status", ""))
    rules = Rules(
        trading=status == "TRADING",
        status=status,
        order_types=frozenset(raw.get("orderTypes", ())),
        min_price=_number(price, "minPrice"),
        max_price=_number(price, "maxPrice"),
        max_market_quantity=_number(market, "maxQty"),
        notional_binds_market=bool(notional.get("applyMinToMarket", notional.get("applyToMarket", False))),
        amendable=bool(raw.get("amendAllowed", False)),
    )
    return instrument, rules


# --- what we are told -------------------------------------------------------------------------------------------


def decode_order(raw: Any, symbol: str) -> Order:
    """An order of any REST or WebSocket API answer as a snapshot.

    Raises
    ------
    DataError
        If it is no order: an empty body, a page of HTML, an answer without id or status.
    """
    if not isinstance(raw, Mapping) or not raw.get("orderId") or raw.get("status") not in _STATUS:
        raise DataError(f"{VENUE}: no order in the answer {str(raw)[:120]!r}")
    kind, time_in_force = str(raw.get("type", "")), str(raw.get("timeInForce", "GTC"))
    order_type = _OUR_TYPES.get(kind, OrderType.LIMIT)
    if kind == "LIMIT" and time_in_force in ("IOC", "FOK"):
        order_type = OrderType[time_in_force]
    filled = _number(raw, "executedQty")
    cost = Decimal(str(raw.get("cummulativeQuoteQty", raw.get("cumulativeQuoteQty", "0"))))
    quantity = raw.get("origQty", raw.get("qty"))
    price, stop = Decimal(str(raw.get("price", "0"))), Decimal(str(raw.get("stopPrice", "0")))
    updated = raw.get("updateTime", raw.get("transactTime", raw.get("time", 0)))
    created = raw.get("time", updated)
    return Order(
        order_id=str(raw["orderId"]),
        symbol=symbol,
        side=OrderSide[str(raw["side"])],
        order_type=order_type,
        quantity=float(Decimal(str(quantity))),
        price=float(price) if price else None,
        stop_price=float(stop) if stop else None,
        time_in_force=time_in_force,
        status=_STATUS[raw["status"]],
        filled_quantity=float(filled),
        avg_fill_price=float(cost / filled) if filled else 0.0,
        submitted_at=from_ns(_ns(created)),
        updated_at=from_ns(_ns(updated)),
        metadata={"venue_type": kind},
        # A cancel's answer carries the request's own id as clientOrderId and ours as origClientOrderId.
        client_order_id=str(raw.get("origClientOrderId") or raw.get("clientOrderId") or ""),
        post_only=kind == "LIMIT_MAKER",
        venue=VENUE,
        _filled=filled,
        _cost=cost,
    )


def decode_order_fills(raw: Payload, symbol: str) -> list[Fill]:
    """The executions that a new order's FULL answer carries."""
    return [
        _fill(
            symbol,
            side=str(raw["side"]),
            order_id=str(raw["orderId"]),
            client_order_id=str(raw.get("clientOrderId", "")),
            quantity=_number(fill, "qty"),
            price=_number(fill, "price"),
            fee=_number(fill, "commission"),
            fee_currency=str(fill.get("commissionAsset") or ""),
            timestamp_ns=_ns(raw["transactTime"]),
            trade_id=str(fill["tradeId"]),
            is_maker=False,
        )
        for fill in raw.get("fills", ())
    ]


def decode_trade(raw: Payload, symbol: str) -> Fill:
    """One entry of myTrades. It does not carry the client id."""
    return _fill(
        symbol,
        side="BUY" if raw["isBuyer"] else "SELL",
        order_id=str(raw["orderId"]),
        client_order_id="",
        quantity=_number(raw, "qty"),
        price=_number(raw, "price"),
        fee=_number(raw, "commission"),
        fee_currency=str(raw.get("commissionAsset") or ""),
        timestamp_ns=_ns(raw["time"]),
        trade_id=str(raw["id"]),
        is_maker=bool(raw["isMaker"]),
    )


def _fill(
    symbol: str,
    *,
    side: str,
    order_id: str,
    client_order_id: str,
    quantity: Decimal,
    price: Decimal,
    fee: Decimal,
    fee_currency: str,
    timestamp_ns: int,
    trade_id: str,
    is_maker: bool,
) -> Fill:
    if quantity <= 0 or price <= 0:
        raise DataError(f"{VENUE}: trade {trade_id} of order {order_id} has quantity {quantity} at price {price}")
    return Fill(
        order_id=order_id,
        symbol=symbol,
        side=OrderSide[side],
        quantity=float(quantity),
        price=float(price),
        commission=float(fee),
        timestamp=from_ns(timestamp_ns),
        execution_id=trade_id,
        client_order_id=client_order_id,
        fee_currency=fee_currency,
        liquidity="maker" if is_maker else "taker",
        venue=VENUE,
    )


def decode_report(event: Payload, symbol: str) -> Update | None:
    """An ``executionReport`` of the user-data stream; None for one that changes nothing we keep.

    What happened is the execution type ``x``; the status ``X`` only repeats where the order stands, and after a
    partial fill a cancel would look like another fill to whoever goes by it.

    Raises
    ------
    DataError
        If it is a trade without quantity or price: the trade itself has to be asked for.
    """
    kind = _KINDS.get(str(event["x"]))
    if event["x"] == "TRADE_PREVENTION" and event.get("X") in ("EXPIRED", "EXPIRED_IN_MATCH"):
        kind = UpdateKind.EXPIRED
    if kind is None:
        return None
    timestamp_ns = _ns(event.get("T") or event["E"])
    # In reports of cancels and amendments c is the request's own id and C the order's.
    client_order_ids = tuple(name for name in (event.get("C"), event.get("c")) if name)
    reason = str(event.get("r") or "")
    fill = None
    if kind is UpdateKind.FILLED:
        fill = _fill(
            symbol,
            side=str(event["S"]),
            order_id=str(event["i"]),
            client_order_id=client_order_ids[0] if client_order_ids else "",
            quantity=_number(event, "l"),
            price=_number(event, "L"),
            fee=Decimal(str(event.get("n") or "0")),
            fee_currency=str(event.get("N") or ""),
            timestamp_ns=timestamp_ns,
            trade_id=str(event["t"]),
            is_maker=bool(event.get("m")),
        )
    return Update(
        kind=kind,
        symbol=symbol,
        order_id=str(event["i"]),
        client_order_ids=client_order_ids,
        timestamp_ns=timestamp_ns,
        quantity=_number(event, "q"),
        fill=fill,
        reason="" if reason == "NONE" else reason,
    )


_KINDS = {
    "NEW": UpdateKind.ACCEPTED,
    "TRADE": UpdateKind.FILLED,
    "CANCELED": UpdateKind.CANCELLED,
    "REJECTED": UpdateKind.REJECTED,
    "EXPIRED": UpdateKind.EXPIRED,
    "REPLACED": UpdateKind.AMENDED,
}


def decode_balances(raw: Payload) -> dict[str, Decimal]:
    """Free plus locked by asset, of an ``account`` answer; assets of which there is nothing are left out."""
    found = {str(row["asset"]): _number(row, "free") + _number(row, "locked") for row in raw["balances"]}
    return {asset: amount for asset, amount in found.items() if amount}
