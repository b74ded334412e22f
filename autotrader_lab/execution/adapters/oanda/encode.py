"""What we say to Oanda, and what is refused before it is said.

Oanda's own order types: market (FOK or IOC), limit, stop, market-if-touched. Its stop with a price bound is cancelled
where the market gaps through the bound instead of resting there, so it is no stop-limit and ours is not offered.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.oanda.values import VENUE, text_of
from autotrader_lab.model.errors import OrderError
from autotrader_lab.model.instruments import Instrument, exact
from autotrader_lab.model.orders import Order, OrderSide, OrderType, check_order

__all__ = ["check", "new_order", "replacement"]

_TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.IOC: "LIMIT",
    OrderType.FOK: "LIMIT",
    OrderType.STOP: "STOP",
}
_TIMES = {"GTC": "GTC", "DAY": "GFD", "IOC": "IOC", "FOK": "FOK"}
_CLIENT_ID = re.compile(r"[A-Za-z0-9._:=~-]{1,128}")


def check(order: Order, instrument: Instrument) -> None:
    """Refuse what Oanda would refuse for its form.

    Raises
    ------
    OrderError
        A type, time in force or id that Oanda does not know.
    InstrumentError
        A price or quantity off the grid or beyond the limits.
    """
    check_order(order)
    name = f"{VENUE}: order {order.client_order_id}"
    if order.order_type not in _TYPES:
        raise OrderError(
            f"{name}: Oanda has no {order.order_type.value} order (its stop with a price bound is cancelled beyond the "
            "bound, it does not rest there); send a stop"
        )
    if order.order_type is OrderType.STOP and order.effective_time_in_force in ("IOC", "FOK"):
        raise OrderError(f"{name}: a stop waits, {order.effective_time_in_force} does not; use GTC or DAY")
    if order.post_only:
        raise OrderError(f"{name}: Oanda is a dealer without post-only orders; a GTC limit never pays beyond its price")
    if not _CLIENT_ID.fullmatch(order.client_order_id):
        raise OrderError(f"{name}: a client order id is here 1 to 128 letters, digits or any of - _ . : = ~")
    instrument.check_quantity(order.quantity)
    if order.limit_price is not None:
        instrument.check_price(order.limit_price)
    if order.order_type is OrderType.STOP and order.stop_price is not None:
        instrument.check_price(order.stop_price, "stop_price")


def new_order(order: Order, instrument: Instrument, *, hedging: bool) -> dict[str, Any]:
    """The body that asks for a new order.

    Parameters
    ----------
    order : Order
        Checked.
    instrument : Instrument
    hedging : bool
        Whether the account keeps opposite positions side by side; the net is kept all the same.
    """
    body = _terms(order, instrument, exact(order.quantity), order.limit_price)
    if order.reduce_only:
        body["positionFill"] = "REDUCE_ONLY"
    elif hedging:
        body["positionFill"] = "REDUCE_FIRST"
    body["clientExtensions"] = {"id": order.client_order_id}
    return {"order": body}


def replacement(
    order: Order, instrument: Instrument, quantity: Decimal, price: float | None, *, hedging: bool
) -> dict[str, Any]:
    """The body that asks for an order in the place of a pending one; it inherits the client id.

    Parameters
    ----------
    quantity : Decimal
        What is to be left of it, units.
    price : float or None
        The new limit.
    """
    body = _terms(order, instrument, quantity, price)
    if order.reduce_only:
        body["positionFill"] = "REDUCE_ONLY"
    elif hedging:
        body["positionFill"] = "REDUCE_FIRST"
    return {"order": body}


def _terms(order: Order, instrument: Instrument, quantity: Decimal, limit: float | None) -> dict[str, Any]:
    kind, tif = _TYPES[order.order_type], order.effective_time_in_force
    body: dict[str, Any] = {
        "type": kind,
        "instrument": instrument.venue_symbol,
        "units": text_of(quantity if order.side is OrderSide.BUY else -quantity),
        # A market order does not wait: whatever waits for others is all or nothing here.
        "timeInForce": ("IOC" if tif == "IOC" else "FOK") if kind == "MARKET" else _TIMES[tif],
        "positionFill": "DEFAULT",
    }
    price = order.stop_price if kind == "STOP" else limit
    if kind != "MARKET" and price is not None:
        body["price"] = text_of(exact(price))
    return body
