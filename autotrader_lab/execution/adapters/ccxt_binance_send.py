"""Our orders in Binance's words, and what the venue would refuse for its form.

No I/O and no state. Numbers are written from Decimals, never from floats.
"""

from __future__ import annotations

import re

from autotrader_lab.execution.adapters.ccxt_binance import VENUE, Rules
from autotrader_lab.execution.adapters.ccxt_send import check_in_force
from autotrader_lab.model.errors import InstrumentError, OrderError
from autotrader_lab.model.instruments import Instrument, exact, plain_text
from autotrader_lab.model.orders import Order, OrderType, check_order

__all__ = ["check", "encode_order", "venue_type"]

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.IOC: "LIMIT",
    OrderType.FOK: "LIMIT",
    OrderType.STOP: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
}


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
    check_in_force(order, name)
    kind = venue_type(order)
    if rules.order_types and kind not in rules.order_types:
        raise OrderError(f"{name}: {kind} orders are not taken here; it takes {', '.join(sorted(rules.order_types))}")


def _check_quantity(order: Order, instrument: Instrument, rules: Rules) -> None:
    at_market = order.order_type is OrderType.MARKET and rules.max_market_quantity
    instrument.check_quantity(order.quantity, most=rules.max_market_quantity if at_market else None)


def _check_prices(order: Order, instrument: Instrument, rules: Rules) -> None:
    name = f"{VENUE} {instrument.symbol}"
    prices = {"price": order.limit_price, "stop_price": order.stop_price if "STOP" in venue_type(order) else None}
    for what, price in prices.items():
        if price is None:
            continue
        value = instrument.check_price(price, what)
        if value < rules.min_price or (rules.max_price and value > rules.max_price):
            raise InstrumentError(
                f"{name}: {what} {price} is outside {plain_text(rules.min_price)} to {plain_text(rules.max_price)}"
            )
    reference = prices["price"] if prices["price"] is not None else prices["stop_price"]
    if reference is None:
        return
    instrument.check_notional(order.quantity, reference)


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
        "quantity": plain_text(exact(order.quantity)),
        "newClientOrderId": order.client_order_id,
        # The default for stops is the bare acknowledgement, which has neither status nor fills.
        "newOrderRespType": "FULL",
    }
    if order.limit_price is not None:
        params["price"] = plain_text(exact(order.limit_price))
    if kind in ("LIMIT", "STOP_LOSS_LIMIT"):
        params["timeInForce"] = order.effective_time_in_force
    if kind in ("STOP_LOSS", "STOP_LOSS_LIMIT"):
        params["stopPrice"] = plain_text(exact(order.stop_price or 0))
    return params
