"""From an order configuration to an order request: its ten documented kinds, the product's grid and limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from autotrader_lab.sandbox.orders import Instrument, OrderRequest, OrderType, Side, TimeInForce
from autotrader_lab.sandbox.units import TooPrecise, parse_e8, trim_e8
from autotrader_lab.sandbox.venues.coinbase.errors import OrderError

__all__ = ["MOST_QUOTE", "QUOTE_LEAST", "Shape", "check_price", "check_size", "read_configuration"]

Json = dict[str, Any]

QUOTE_LEAST = parse_e8("1")
MOST_QUOTE = parse_e8("150000000")
UNKNOWN = "UNKNOWN_FAILURE_REASON"
UP, DOWN = "STOP_DIRECTION_STOP_UP", "STOP_DIRECTION_STOP_DOWN"
GTC, GTD, IOC, FOK = "GOOD_UNTIL_CANCELLED", "GOOD_UNTIL_DATE_TIME", "IMMEDIATE_OR_CANCEL", "FILL_OR_KILL"


class Shape(msgspec.Struct, frozen=True):
    """What a kind of configuration means: order type and time in force as Coinbase prints them."""

    order_type: str
    time_in_force: str
    has_limit: bool = True
    has_stop: bool = False


_SHAPES = {
    "market_market_ioc": Shape("MARKET", IOC, has_limit=False),
    "market_market_fok": Shape("MARKET", FOK, has_limit=False),
    "sor_limit_ioc": Shape("LIMIT", IOC),
    "limit_limit_gtc": Shape("LIMIT", GTC),
    "limit_limit_gtd": Shape("LIMIT", GTD),
    "limit_limit_fok": Shape("LIMIT", FOK),
    "stop_limit_stop_limit_gtc": Shape("STOP_LIMIT", GTC, has_stop=True),
    "stop_limit_stop_limit_gtd": Shape("STOP_LIMIT", GTD, has_stop=True),
}


def read_configuration(
    configuration: Any, instrument: Instrument, side: Side, client_id: str, last_price: int, now_ms: int
) -> tuple[OrderRequest, str, Shape, int | None]:
    """An order request, the configuration's kind and shape, and when it expires (ms) if it does.

    Raises
    ------
    OrderError
        With the documented reasons.
    """
    if not isinstance(configuration, dict) or len(configuration) != 1:
        raise OrderError("UNSUPPORTED_ORDER_CONFIGURATION", "PREVIEW_INVALID_ORDER_CONFIG")
    ((kind, fields),) = configuration.items()
    shape = _SHAPES.get(kind)
    if shape is None or not isinstance(fields, dict):
        raise OrderError("UNSUPPORTED_ORDER_CONFIGURATION", "PREVIEW_INVALID_ORDER_CONFIG", f"unsupported: {kind}")
    by_quote = not shape.has_limit and bool(fields.get("quote_size")) and not fields.get("base_size")
    size = check_size(fields, "quote_size" if by_quote else "base_size", instrument)
    price = check_price(fields, "limit_price", instrument) if shape.has_limit else 0
    stop_price = 0
    type_ = OrderType.LIMIT if shape.has_limit else OrderType.MARKET
    if shape.has_stop:
        stop_price = check_price(fields, "stop_price", instrument)
        type_ = _stop_type(fields, side, price, stop_price, last_price)
    elif fields.get("post_only") is True:
        type_ = OrderType.LIMIT_MAKER
    ends_ms = _end(fields, now_ms) if shape.time_in_force == GTD else None
    request = OrderRequest(
        symbol=instrument.symbol,
        side=side,
        type=type_,
        client_order_id=client_id,
        time_in_force={IOC: TimeInForce.IOC, FOK: TimeInForce.FOK}.get(shape.time_in_force, TimeInForce.GTC),
        quantity=0 if by_quote else size,
        quote_quantity=size if by_quote else 0,
        price=price,
        stop_price=stop_price,
    )
    return request, kind, shape, ends_ms


def _number(fields: Mapping[str, Any], name: str, reason: str, preview: str) -> int:
    try:
        return parse_e8(str(fields.get(name) or ""))
    except TooPrecise:
        raise OrderError(reason, preview, "Too many decimals") from None
    except ValueError:
        raise OrderError("INVALID_REQUEST", "PREVIEW_INVALID_ORDER_CONFIG", f"{name} is not a number") from None


def check_size(fields: Mapping[str, Any], name: str, instrument: Instrument) -> int:
    """A size in e8: on the base increment, or with ``quote_size`` on the quote increment; within the limits.

    Raises
    ------
    OrderError
        With the documented reasons.
    """
    in_quote = name == "quote_size"
    which = "QUOTE" if in_quote else "BASE"
    precision = "PREVIEW_INVALID_QUOTE_SIZE_PRECISION" if in_quote else "PREVIEW_INVALID_SIZE_PRECISION"
    size = _number(fields, name, "INVALID_SIZE_PRECISION", precision)
    least, most, step = (
        (QUOTE_LEAST, MOST_QUOTE, instrument.tick)
        if in_quote
        else (instrument.min_quantity, instrument.max_quantity, instrument.step)
    )
    if size % step:
        raise OrderError("INVALID_SIZE_PRECISION", precision, "Too many decimals in order amount")
    if size < least:
        raise OrderError(UNKNOWN, f"PREVIEW_INVALID_{which}_SIZE_TOO_SMALL", f"the smallest {name} is {trim_e8(least)}")
    if size > most:
        raise OrderError(UNKNOWN, f"PREVIEW_INVALID_{which}_SIZE_TOO_LARGE", f"the largest {name} is {trim_e8(most)}")
    return size


def check_price(fields: Mapping[str, Any], name: str, instrument: Instrument) -> int:
    """A price in e8, on the price increment.

    Raises
    ------
    OrderError
        With the documented reasons.
    """
    price = _number(fields, name, "INVALID_PRICE_PRECISION", "PREVIEW_INVALID_PRICE_PRECISION")
    if price % instrument.tick:
        raise OrderError(
            "INVALID_PRICE_PRECISION", "PREVIEW_INVALID_PRICE_PRECISION", "Too many decimals in order price"
        )
    if not price:
        raise OrderError("INVALID_LIMIT_PRICE", "PREVIEW_INVALID_LIMIT_PRICE")
    if price > instrument.max_price:
        raise OrderError(UNKNOWN, "PREVIEW_INVALID_PRICE_TOO_LARGE")
    return price


def _stop_type(fields: Mapping[str, Any], side: Side, price: int, stop_price: int, last_price: int) -> OrderType:
    direction = fields.get("stop_direction") or (UP if side is Side.BUY else DOWN)
    if direction not in (UP, DOWN):
        raise OrderError("INVALID_REQUEST", "PREVIEW_INVALID_ORDER_CONFIG", f"stop_direction {direction!r}")
    if direction == UP and last_price and stop_price <= last_price:
        raise OrderError(UNKNOWN, "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE")
    if direction == DOWN and last_price and stop_price >= last_price:
        raise OrderError(UNKNOWN, "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE")
    if direction == UP and side is Side.BUY and stop_price > price:
        raise OrderError(UNKNOWN, "PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE")
    if direction == DOWN and side is Side.SELL and stop_price < price:
        raise OrderError(UNKNOWN, "PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE")
    with_the_trend = (direction == UP) == (side is Side.BUY)
    return OrderType.STOP_LOSS_LIMIT if with_the_trend else OrderType.TAKE_PROFIT_LIMIT


def _end(fields: Mapping[str, Any], now_ms: int) -> int:
    try:
        end = datetime.fromisoformat(str(fields.get("end_time") or ""))
        ends_ms = round(end.timestamp() * 1_000) if end.tzinfo else 0
    except ValueError:
        ends_ms = 0
    if ends_ms <= now_ms:
        raise OrderError("INVALID_REQUEST", "PREVIEW_INVALID_ORDER_CONFIG", "end_time must be a time to come (RFC3339)")
    return ends_ms
