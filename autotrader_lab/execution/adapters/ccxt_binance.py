"""Binance spot's words and ours: plain functions from its payloads to our values and from our orders to its parameters.

No I/O and no state, so that recorded messages can test every line. Numbers stay the texts the venue sent until they
are Decimals; what the venue takes is written from Decimals, never from floats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.ccxt_errors import Meaning
from autotrader_lab.execution.adapters.ccxt_updates import Update, UpdateKind
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import DataError, InstrumentError, OrderError
from autotrader_lab.model.instruments import Instrument, exact
from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderStatus, OrderType, check_order

__all__ = [
    "CODES",
    "Rules",
    "check",
    "decode_balances",
    "decode_instrument",
    "decode_order",
    "decode_order_fills",
    "decode_report",
    "decode_trade",
    "encode_order",
    "text",
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

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")

_TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.IOC: "LIMIT",
    OrderType.FOK: "LIMIT",
    OrderType.STOP: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
}
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


def text(value: Decimal) -> str:
    """A number as the venue takes it: plain digits, no exponent, no trailing zeros."""
    return format(value.normalize(), "f")


def _number(payload: Payload, name: str) -> Decimal:
    try:
        return Decimal(str(payload[name]))
    except (KeyError, ArithmeticError) as error:
        raise DataError(f"{VENUE}: {name!r} is missing or no number in {sorted(payload)}") from error


def _plain(value: Decimal) -> Decimal:
    return Decimal(text(value))


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


# --- what we send -----------------------------------------------------------------------------------------------


def check(order: Order, instrument: Instrument, rules: Rules) -> None:
    """Refuse, before any I/O, what Binance would refuse for its form.

    Raises
    ------
    OrderError
        A type, time in force or client id the venue does not take.
    InstrumentError
        A symbol that does not trade now; a price or quantity off the grid or outside the limits.
    """
    check_order(order)
    name = f"{VENUE} {instrument.symbol}"
    if not rules.trading:
        raise InstrumentError(f"{name}: is listed but not trading (status {rules.status})")
    if not _CLIENT_ID.fullmatch(order.client_order_id):
        raise OrderError(
            f"{name}: client_order_id {order.client_order_id!r} must be 1 to 36 characters of A-Z a-z 0-9 . : / _ -"
        )
    _check_kind(order, name, rules)
    _check_quantity(order, instrument, rules)
    _check_prices(order, instrument, rules)


def _check_kind(order: Order, name: str, rules: Rules) -> None:
    time_in_force = order.effective_time_in_force
    if time_in_force == "DAY":
        raise OrderError(f"{name}: time_in_force 'DAY' does not exist here, the market never closes; use GTC")
    if order.post_only and (order.order_type is not OrderType.LIMIT or time_in_force != "GTC"):
        raise OrderError(f"{name}: post_only goes with a GTC limit order, not with {order.order_type.value}")
    kind = venue_type(order)
    if rules.order_types and kind not in rules.order_types:
        raise OrderError(f"{name}: {kind} orders are not taken here; it takes {', '.join(sorted(rules.order_types))}")


def _check_quantity(order: Order, instrument: Instrument, rules: Rules) -> None:
    name = f"{VENUE} {instrument.symbol}"
    quantity = exact(order.quantity, f"{name} quantity")
    if quantity % instrument.lot_size:
        low = instrument.round_quantity(quantity)
        raise InstrumentError(
            f"{name}: quantity {order.quantity} is off the grid of {instrument.lot_size}; nearest are {low} and "
            f"{low + instrument.lot_size} (instrument.round_quantity({order.quantity}) cuts it)"
        )
    most = instrument.max_quantity
    if order.order_type is OrderType.MARKET and rules.max_market_quantity:
        most = rules.max_market_quantity if most is None else min(most, rules.max_market_quantity)
    if quantity < instrument.min_quantity:
        raise InstrumentError(f"{name}: quantity {quantity} is below the least of {instrument.min_quantity}")
    if most and quantity > most:
        raise InstrumentError(f"{name}: quantity {quantity} is over the most of {text(most)}; split the order")


def _check_prices(order: Order, instrument: Instrument, rules: Rules) -> None:
    name = f"{VENUE} {instrument.symbol}"
    prices = {"price": order.limit_price, "stop_price": order.stop_price if "STOP" in venue_type(order) else None}
    for what, price in prices.items():
        if price is None:
            continue
        value = instrument.check_price(price, what)
        if value < rules.min_price or (rules.max_price and value > rules.max_price):
            raise InstrumentError(
                f"{name}: {what} {price} is outside {text(rules.min_price)} to {text(rules.max_price)}"
            )
    reference = prices["price"] if prices["price"] is not None else prices["stop_price"]
    if reference is None:
        return
    notional = instrument.notional(order.quantity, reference)
    if notional < instrument.min_notional:
        raise InstrumentError(
            f"{name}: {order.quantity} at {reference} is worth {text(notional)} {instrument.quote}, below the least "
            f"of {text(instrument.min_notional)}"
        )
    if instrument.max_notional and notional > instrument.max_notional:
        raise InstrumentError(
            f"{name}: {order.quantity} at {reference} is worth {text(notional)} {instrument.quote}, over the most "
            f"of {text(instrument.max_notional)}"
        )


def venue_type(order: Order) -> str:
    """Binance's name for the order's type."""
    return "LIMIT_MAKER" if order.post_only else _TYPES[order.order_type]


def encode_order(order: Order, instrument: Instrument) -> dict[str, str]:
    """Parameters of a new order that :func:`check` let pass."""
    kind = venue_type(order)
    params = {
        "symbol": instrument.venue_symbol,
        "side": order.side.name,
        "type": kind,
        "quantity": text(exact(order.quantity)),
        "newClientOrderId": order.client_order_id,
        # The default for stops is the bare acknowledgement, which has neither status nor fills.
        "newOrderRespType": "FULL",
    }
    if order.limit_price is not None:
        params["price"] = text(exact(order.limit_price))
    if kind in ("LIMIT", "STOP_LOSS_LIMIT"):
        params["timeInForce"] = order.effective_time_in_force
    if kind in ("STOP_LOSS", "STOP_LOSS_LIMIT"):
        params["stopPrice"] = text(exact(order.stop_price or 0))
    return params


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
