"""Our orders in Coinbase's words, and what the venue would refuse for its form.

No I/O and no state. Numbers are written from Decimals, never from floats.
"""

from __future__ import annotations

import re
from typing import Any

from autotrader_lab.execution.adapters.ccxt_coinbase import VENUE, Rules
from autotrader_lab.execution.adapters.ccxt_send import check_in_force
from autotrader_lab.model.errors import InstrumentError, OrderError
from autotrader_lab.model.instruments import Instrument, exact, plain_text
from autotrader_lab.model.orders import Order, OrderSide, OrderType, check_order

__all__ = ["check", "encode_order"]

_CLIENT_ID = re.compile(r"[!-~]{1,128}")


def check(order: Order, instrument: Instrument, rules: Rules) -> None:
    """Refuse, before any I/O, what Coinbase would refuse for its form.

    Raises
    ------
    OrderError
        A type, time in force or client id the venue does not take.
    InstrumentError
        A product that does not trade now; a price or quantity off the grid or outside the limits.
    """
    check_order(order)
    name = f"{VENUE} {instrument.symbol}"
    if rules.blocked:
        raise InstrumentError(f"{name}: is listed but not trading ({rules.blocked})")
    if not _CLIENT_ID.fullmatch(order.client_order_id):
        raise OrderError(
            f"{name}: client_order_id {order.client_order_id!r} must be 1 to 128 visible ASCII characters without blank"
        )
    if order.order_type is OrderType.STOP:
        raise OrderError(f"{name}: there are no stop market orders here; use a STOP_LIMIT with a limit beyond the stop")
    check_in_force(order, name)
    if order.order_type is OrderType.STOP_LIMIT and order.effective_time_in_force != "GTC":
        raise OrderError(f"{name}: a stop_limit order waits until it is cancelled; use GTC")
    if rules.limit_only and order.order_type is OrderType.MARKET:
        raise InstrumentError(f"{name}: takes limit orders only at present")
    if rules.post_only and not order.post_only:
        raise InstrumentError(f"{name}: takes post-only orders only at present")
    instrument.check_quantity(order.quantity)
    if order.order_type is OrderType.STOP_LIMIT:
        instrument.check_price(order.stop_price or 0, "stop_price")
    if order.limit_price is not None:
        instrument.check_notional(order.quantity, instrument.check_price(order.limit_price))


def encode_order(order: Order, instrument: Instrument) -> dict[str, Any]:
    """The body of a new order that :func:`check` let pass. Sizes count the base currency, of market buys too."""
    size = plain_text(exact(order.quantity))
    limit = "" if order.limit_price is None else plain_text(exact(order.limit_price))
    in_force = order.effective_time_in_force
    if order.order_type is OrderType.MARKET:
        how: dict[str, Any] = {"market_market_ioc": {"base_size": size}}
    elif order.order_type is OrderType.STOP_LIMIT:
        direction = "STOP_DIRECTION_STOP_UP" if order.side is OrderSide.BUY else "STOP_DIRECTION_STOP_DOWN"
        stop = {"stop_price": plain_text(exact(order.stop_price or 0)), "stop_direction": direction}
        how = {"stop_limit_stop_limit_gtc": {"base_size": size, "limit_price": limit, **stop}}
    elif in_force == "IOC":
        how = {"sor_limit_ioc": {"base_size": size, "limit_price": limit}}
    elif in_force == "FOK":
        how = {"limit_limit_fok": {"base_size": size, "limit_price": limit}}
    else:
        how = {"limit_limit_gtc": {"base_size": size, "limit_price": limit, "post_only": order.post_only}}
    return {
        "client_order_id": order.client_order_id,
        "product_id": instrument.venue_symbol,
        "side": order.side.name,
        "order_configuration": how,
    }
