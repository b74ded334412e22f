"""Coinbase Advanced Trade's words and ours: plain functions from its payloads to our values.

The way there is :mod:`.ccxt_coinbase_send`. No I/O and no state, so that recorded messages can test every line. The
venue's own way: what kind of order it is says a field name (``limit_limit_gtc``), and the private stream tells how much
of an order is executed but not by which trades, so an order of the stream is a *snapshot* here and its executions have
to be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.ccxt_errors import Meaning
from autotrader_lab.model.clock import from_ns, to_ns
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderStatus, OrderType

__all__ = [
    "CODES",
    "Rules",
    "decode_balances",
    "decode_fill",
    "decode_instrument",
    "decode_order",
    "decode_stream_order",
    "failure_of",
    "placed_id",
    "rows",
    "time_ns",
    "time_text",
]

Payload = Mapping[str, Any]

VENUE = "coinbase"

_M = Meaning
CODES: dict[str, Meaning] = {
    # "It failed, and nobody says why" may be said of an order that works.
    "UNKNOWN_FAILURE_REASON": _M.DOUBT,
    **dict.fromkeys(("internal_server_error", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN"), _M.DOUBT),
    **dict.fromkeys(("rate_limit_exceeded", "resource_exhausted", "RESOURCE_EXHAUSTED"), _M.RATE_LIMITED),
    **dict.fromkeys(("UNAUTHENTICATED", "unauthenticated"), _M.AUTHENTICATION),
    **dict.fromkeys(("not_found", "NOT_FOUND"), _M.NOT_FOUND),
    "INVALID_PRODUCT_ID": _M.NO_SYMBOL,
    # The plain word "unknown" names no reason; ccxt knows the one case where its text does.
    "un*": _M.DOUBT,
    "*": _M.REFUSED,
}
"""Where Coinbase's code is plainer than the class ccxt makes of it."""

_OPEN = frozenset({"PENDING", "OPEN", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"})
_STATUS = {
    **dict.fromkeys(_OPEN, OrderStatus.SUBMITTED),
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "FAILED": OrderStatus.REJECTED,
}
_OUR_TYPES = {
    "market_market_ioc": OrderType.MARKET,
    "market_market_fok": OrderType.MARKET,
    "sor_limit_ioc": OrderType.IOC,
    "limit_limit_fok": OrderType.FOK,
    "stop_limit_stop_limit_gtc": OrderType.STOP_LIMIT,
    "stop_limit_stop_limit_gtd": OrderType.STOP_LIMIT,
}
_AT_ONCE = frozenset({OrderType.MARKET, OrderType.IOC, OrderType.FOK})
_STREAM_TYPES = {"market": OrderType.MARKET, "stop_limit": OrderType.STOP_LIMIT}
_IN_FORCE = {"IMMEDIATE_OR_CANCEL": "IOC", "FILL_OR_KILL": "FOK"}


class Rules(msgspec.Struct, frozen=True):
    """What Coinbase says about a product beyond the grid every venue has."""

    blocked: str
    limit_only: bool
    post_only: bool


def _number(payload: Payload, *names: str) -> Decimal:
    """The first of `names` that is there as a number."""
    for name in names:
        value = payload.get(name)
        if value not in (None, ""):
            try:
                return Decimal(str(value))
            except ArithmeticError as error:
                raise DataError(f"{VENUE}: {name} {str(value)[:40]!r} is no number") from error
    return Decimal(0)


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")


def time_ns(value: Any) -> int:
    """A time of the venue, which writes up to nanoseconds.

    Raises
    ------
    DataError
        If it is none.
    """
    found = _TIME.fullmatch(str(value))
    if found is None:
        raise DataError(f"{VENUE}: {str(value)[:40]!r} is no time")
    whole, fraction, zone = found.groups()
    moment = datetime.fromisoformat(whole + zone.replace("Z", "+00:00")).astimezone(UTC)
    return to_ns(moment) + int((fraction or "0").ljust(9, "0"))


def time_text(timestamp_ns: int) -> str:
    """A time as the venue takes it."""
    return from_ns(max(timestamp_ns, 0)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rows(raw: Any, name: str) -> list[dict[str, Any]]:
    """The list `name` of an answer.

    Raises
    ------
    DataError
        If it has none.
    """
    found = raw.get(name) if isinstance(raw, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise DataError(f"{VENUE}: no {name} in the answer {str(raw)[:120]!r}")
    return found


# --- what is listed ---------------------------------------------------------------------------------------------


def decode_instrument(raw: Payload, symbol: str) -> tuple[Instrument, Rules]:
    """A product.

    Raises
    ------
    DataError
        If it is no spot product, or has no grid.
    """
    if raw.get("product_type") != "SPOT":
        raise DataError(f"{VENUE}: {symbol} is {raw.get('product_type')}, only SPOT is traded here")
    tick, lot = _number(raw, "price_increment", "quote_increment"), _number(raw, "base_increment")
    if tick <= 0 or lot <= 0:
        raise DataError(f"{VENUE}: {symbol} has no price_increment or base_increment")
    blocks = ("is_disabled", "trading_disabled", "view_only", "cancel_only", "auction_mode")
    blocked = [name for name in blocks if raw.get(name)]
    if str(raw.get("status", "")).lower() not in ("online", ""):
        blocked.insert(0, f"status {raw['status']}")
    instrument = Instrument(
        symbol=symbol,
        tick_size=tick,
        lot_size=lot,
        venue=VENUE,
        venue_symbol=str(raw["product_id"]),
        base=str(raw["base_currency_id"]),
        quote=str(raw["quote_currency_id"]),
        min_quantity=_number(raw, "base_min_size"),
        max_quantity=_number(raw, "base_max_size") or None,
        min_notional=_number(raw, "quote_min_size"),
        max_notional=_number(raw, "quote_max_size") or None,
        can_short=False,
    )
    return instrument, Rules(", ".join(blocked), bool(raw.get("limit_only")), bool(raw.get("post_only")))


# --- what we are told -------------------------------------------------------------------------------------------


def placed_id(raw: Any) -> str:
    """The venue's id in the answer to a new order. Answers to success carry a ``failure_reason`` too.

    Raises
    ------
    DataError
        If there is none.
    """
    inner = raw.get("success_response") if isinstance(raw, Mapping) and raw.get("success") is True else None
    order_id = inner.get("order_id") if isinstance(inner, Mapping) else None
    if not order_id:
        raise DataError(f"{VENUE}: no order in the answer {str(raw)[:120]!r}")
    return str(order_id)


def failure_of(raw: Any) -> str:
    """Why a change or one cancel was not taken, "" if it was.

    Raises
    ------
    DataError
        If the answer does not say.
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("success"), bool):
        raise DataError(f"{VENUE}: no success in the answer {str(raw)[:120]!r}")
    if raw["success"]:
        return ""
    errors = raw.get("errors") or raw.get("error_response") or {}
    found = next(iter(errors), {}) if isinstance(errors, list) else errors
    told = [raw.get("failure_reason"), *(found.values() if isinstance(found, Mapping) else ())]
    reasons = [str(reason) for reason in told if reason]
    return next((reason for reason in reasons if not reason.startswith("UNKNOWN")), (reasons or ["UNKNOWN"])[0])


def decode_order(raw: Any, symbol: str, now_ns: int = 0) -> Order:
    """An order of any REST answer as a snapshot.

    Parameters
    ----------
    now_ns : int
        The venue's clock: it does not say when an order ended without being executed, only that it has.

    Raises
    ------
    DataError
        If it is no order.
    """
    if not isinstance(raw, Mapping) or not raw.get("order_id") or raw.get("status") not in _STATUS:
        raise DataError(f"{VENUE}: no order in the answer {str(raw)[:120]!r}")
    configuration = raw.get("order_configuration")
    kind, how = next(iter(configuration.items()), ("", {})) if isinstance(configuration, Mapping) else ("", {})
    order_type = _OUR_TYPES.get(kind, OrderType.LIMIT)
    # The configuration is the order as it was placed; what it was changed to stands in its history.
    edits = raw.get("edit_history") or []
    how = {**how, **({"base_size": edits[-1].get("size"), "limit_price": edits[-1].get("price")} if edits else {})}
    filled = _number(raw, "filled_size")
    times = [raw.get("created_time"), raw.get("last_fill_time"), *(e.get("replace_accept_timestamp") for e in edits)]
    known_ns = [time_ns(value) for value in times if value]
    price, stop = _number(how, "limit_price"), _number(how, "stop_price")
    return _order(
        raw,
        symbol,
        order_type=order_type,
        quantity=_number(how, "base_size") or filled,
        filled=filled,
        cost=_number(raw, "filled_value"),
        price=price,
        stop=stop,
        side=str(raw["side"]),
        created_ns=time_ns(raw["created_time"]),
        updated_ns=max(known_ns) if raw["status"] in _OPEN or raw["status"] == "FILLED" else max(*known_ns, now_ns),
        kind=kind,
        reason=str(raw.get("reject_message") or raw.get("cancel_message") or _reject_reason(raw)),
        post_only=bool(how.get("post_only")),
    )


def decode_stream_order(raw: Payload, symbol: str, timestamp_ns: int) -> Order:
    """An order of the channel ``user`` as a snapshot of the moment the message was made.

    Raises
    ------
    DataError
        If it is no order.
    """
    if not raw.get("order_id") or raw.get("status") not in _STATUS:
        raise DataError(f"{VENUE}: no order with a known status in {str(raw)[:120]!r}")
    filled = _number(raw, "cumulative_quantity")
    in_force = _IN_FORCE.get(str(raw.get("time_in_force", "")).upper(), "GTC")
    named = str(raw.get("order_type", "")).lower().replace(" ", "_")
    order_type = _STREAM_TYPES.get(named) or (OrderType[in_force] if in_force != "GTC" else OrderType.LIMIT)
    created = raw.get("creation_time")
    return _order(
        raw,
        symbol,
        order_type=order_type,
        # What an ended order asked for is not told: nothing is left of it, whatever it was.
        quantity=filled + _number(raw, "leaves_quantity"),
        filled=filled,
        cost=_number(raw, "filled_value") or filled * _number(raw, "avg_price"),
        price=_number(raw, "limit_price"),
        stop=_number(raw, "stop_price"),
        side=str(raw["order_side"]),
        created_ns=time_ns(created) if created else timestamp_ns,
        updated_ns=timestamp_ns,
        kind=named,
        reason=str(raw.get("cancel_reason") or _reject_reason(raw)),
        post_only=str(raw.get("post_only", "")).lower() == "true",
    )


def _reject_reason(raw: Payload) -> str:
    reason = str(raw.get("reject_reason") or "")
    return "" if reason == "REJECT_REASON_UNSPECIFIED" else reason


def _order(
    raw: Payload,
    symbol: str,
    *,
    order_type: OrderType,
    quantity: Decimal,
    filled: Decimal,
    cost: Decimal,
    price: Decimal,
    stop: Decimal,
    side: str,
    created_ns: int,
    updated_ns: int,
    kind: str,
    reason: str,
    post_only: bool,
) -> Order:
    status = _STATUS[raw["status"]]
    if status is OrderStatus.SUBMITTED and filled:
        status = OrderStatus.PARTIAL_FILL
    elif status is OrderStatus.CANCELLED and order_type in _AT_ONCE:
        # Nobody can cancel these: what found no match ended by itself.
        status = OrderStatus.EXPIRED
    if side not in OrderSide.__members__:
        raise DataError(f"{VENUE}: order {raw['order_id']} has the unknown side {side!r}")
    return Order(
        order_id=str(raw["order_id"]),
        symbol=symbol,
        side=OrderSide[side],
        order_type=order_type,
        quantity=float(quantity),
        price=float(price) if price else None,
        stop_price=float(stop) if stop else None,
        time_in_force=order_type.name if order_type in (OrderType.IOC, OrderType.FOK) else "GTC",
        status=status,
        filled_quantity=float(filled),
        avg_fill_price=float(cost / filled) if filled else 0.0,
        submitted_at=from_ns(created_ns),
        updated_at=from_ns(updated_ns),
        metadata={"venue_type": kind},
        client_order_id=str(raw.get("client_order_id") or ""),
        post_only=post_only,
        reason=reason,
        venue=VENUE,
        _filled=filled,
        _cost=cost,
    )


def decode_fill(raw: Payload, symbol: str, quote: str) -> Fill:
    """One of orders/historical/fills. It does not carry the client id.

    Raises
    ------
    DataError
        If it is no execution but a reversal or correction, or has no quantity or price.
    """
    name = f"{VENUE}: trade {raw.get('trade_id')} of order {raw.get('order_id')}"
    if raw.get("trade_type", "FILL") != "FILL":
        raise DataError(f"{name} is a {raw['trade_type']}, which has to be looked at by a person")
    price, size = _number(raw, "price"), _number(raw, "size")
    if size <= 0 or price <= 0 or not raw.get("trade_id") or not raw.get("order_id"):
        raise DataError(f"{name} has quantity {size} at price {price}")
    # Of a foreign order that was sized in quote currency; ours never are.
    quantity = size / price if raw.get("size_in_quote") else size
    return Fill(
        order_id=str(raw["order_id"]),
        symbol=symbol,
        side=OrderSide[str(raw["side"])],
        quantity=float(quantity),
        price=float(price),
        commission=float(_number(raw, "commission")),
        timestamp=from_ns(time_ns(raw["trade_time"])),
        execution_id=str(raw["trade_id"]),
        fee_currency=quote,
        liquidity=str(raw.get("liquidity_indicator", "")).lower().replace("unknown_liquidity_indicator", ""),
        venue=VENUE,
    )


def decode_balances(accounts: list[dict[str, Any]]) -> dict[str, Decimal]:
    """Available plus held by currency; currencies of which there is nothing are left out."""
    found: dict[str, Decimal] = {}
    for row in accounts:
        amount = sum((_number(row.get(part) or {}, "value") for part in ("available_balance", "hold")), Decimal(0))
        currency = str(row["currency"])
        found[currency] = found.get(currency, Decimal(0)) + amount
    return {currency: amount for currency, amount in found.items() if amount}
