"""What Binance, OKX and Coinbase say alike about an order's form."""

from __future__ import annotations

from autotrader_lab.model.errors import OrderError
from autotrader_lab.model.orders import Order, OrderType

__all__ = ["check_in_force"]


def check_in_force(order: Order, name: str) -> None:
    """Refuse a time in force that a market without a close has not, and post-only where it means nothing.

    Raises
    ------
    OrderError
        `name` begins the message.
    """
    time_in_force = order.effective_time_in_force
    if time_in_force == "DAY":
        raise OrderError(f"{name}: time_in_force 'DAY' does not exist here, the market never closes; use GTC")
    if order.post_only and (order.order_type is not OrderType.LIMIT or time_in_force != "GTC"):
        raise OrderError(f"{name}: post_only goes with a GTC limit order, not with {order.order_type.value}")
