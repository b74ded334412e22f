"""What we say to TWS about an order, and what is refused before it is said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.ibkr.contracts import Listing
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, plain
from autotrader_lab.model.errors import InstrumentError, OrderError
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Order, OrderSide, OrderType

__all__ = ["TYPES", "check", "ib_order"]

TYPES = {
    OrderType.MARKET: "MKT",
    OrderType.LIMIT: "LMT",
    OrderType.IOC: "LMT",
    OrderType.FOK: "LMT",
    OrderType.STOP: "STP",
    OrderType.STOP_LIMIT: "STP LMT",
}
_LONGEST_ID = 100


def check(order: Order, listing: Listing) -> None:
    """Refuse what IB would refuse for its form.

    Raises
    ------
    OrderError, InstrumentError
    """
    name = f"{VENUE}: order {order.client_order_id}"
    instrument = listing.instrument
    if order.post_only:
        raise OrderError(f"{name}: IB has no post-only orders here; send a limit that does not reach the market")
    if order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT) and order.effective_time_in_force in (
        "IOC",
        "FOK",
    ):
        raise OrderError(f"{name}: a stop waits, {order.effective_time_in_force} does not; use GTC or DAY")
    if not order.client_order_id.isascii() or not order.client_order_id.isprintable():
        raise OrderError(f"{name}: a client order id has printable ASCII characters only at IB")
    if len(order.client_order_id) > _LONGEST_ID:
        raise OrderError(f"{name}: a client order id has at most {_LONGEST_ID} characters here")
    instrument.check_quantity(order.quantity)
    if order.limit_price is not None:
        listing.check_price(order.limit_price)
    if order.stop_price is not None and order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
        listing.check_price(order.stop_price, "stop_price")
    if instrument.symbol != order.symbol:
        raise InstrumentError(f"{name}: {order.symbol!r} is called {instrument.symbol!r}")


def ib_order(
    make: Any,
    order: Order,
    account: str,
    *,
    outside_hours: bool,
    quantity: Decimal | None = None,
    limit: Decimal | None = None,
) -> Any:
    """`order` in the library's form; numbers as text, so that none goes out as 5e-05."""
    wanted = make(
        action="BUY" if order.side is OrderSide.BUY else "SELL",
        totalQuantity=plain(exact(order.quantity) if quantity is None else quantity),
        orderType=TYPES[order.order_type],
        tif=order.effective_time_in_force,
        account=account,
        orderRef=order.client_order_id,
        outsideRth=bool(order.metadata.get("outside_hours", outside_hours)),
        transmit=True,
    )
    if order.limit_price is not None:
        wanted.lmtPrice = plain(exact(order.limit_price) if limit is None else limit)
    if order.stop_price is not None and order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
        wanted.auxPrice = plain(exact(order.stop_price))
    return wanted
