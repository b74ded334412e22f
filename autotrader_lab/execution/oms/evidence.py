"""What a venue says of an order, as reports for our book. Pure: two views in, what is missing out."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import (
    Accepted,
    Amended,
    Cancelled,
    Expired,
    Fill,
    Filled,
    Order,
    OrderStatus,
    Rejected,
    Report,
)

__all__ = ["belongs", "catch_up", "change_in_place"]


def belongs(fill: Fill, order: Order) -> bool:
    """Whether `fill` is an execution of `order`, by our id or the venue's."""
    if fill.client_order_id:
        return fill.client_order_id == order.client_order_id
    return bool(order.order_id) and fill.order_id == order.order_id


def catch_up(ours: Order, theirs: Order, fills: Iterable[Fill], now_ns: int) -> tuple[list[Report], bool]:
    """Reports that bring our order to where the venue's is.

    Parameters
    ----------
    ours, theirs : Order
        Our book's order and the venue's view of it.
    fills : iterable of Fill
        The venue's executions; those of other orders are passed over.

    Returns
    -------
    reports : list of Report
        In an order our transition table takes.
    complete : bool
        False if the venue executed more than the fills it showed: then its end is not reported yet, ask again.
    """
    client_id = ours.client_order_id
    reports: list[Report] = []
    if theirs.status is not OrderStatus.REJECTED:
        reports.append(Accepted(client_id, now_ns, theirs.order_id))
    change = change_in_place(ours, theirs, now_ns)
    if change is not None:
        reports.append(change)
    known = exact(ours.filled_quantity)
    for fill in fills:
        if not (belongs(fill, ours) or belongs(fill, theirs)):
            continue
        if fill.execution_id not in ours.execution_ids:
            known += exact(fill.quantity)
            reports.append(Filled(client_id, to_ns(fill.timestamp), fill))
    if known < exact(theirs.filled_quantity) - Decimal("1e-12"):
        return reports, False
    ends: dict[OrderStatus, type[Cancelled] | type[Expired] | type[Rejected]] = {
        OrderStatus.CANCELLED: Cancelled,
        OrderStatus.EXPIRED: Expired,
        OrderStatus.REJECTED: Rejected,
    }
    end = ends.get(theirs.status)
    if end is not None:
        reports.append(end(client_id, now_ns, theirs.reason or "found so at the venue"))
    return reports, True


def change_in_place(ours: Order, theirs: Order, now_ns: int) -> Amended | None:
    """A change that the venue made and nobody told us of, its answer being lost; None if both say the same.

    An order that was made bigger unheard may look done to us and be working.
    """
    if ours.status in (OrderStatus.REJECTED, OrderStatus.DENIED):
        return None
    if theirs.status not in (OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL, OrderStatus.FILLED):
        return None
    quantity = theirs.quantity if exact(theirs.quantity) != exact(ours.quantity) else None
    price = None
    if ours.limit_price is not None and theirs.price is not None and exact(theirs.price) != exact(ours.limit_price):
        price = theirs.price
    if quantity is None and price is None:
        return None
    return Amended(ours.client_order_id, now_ns, quantity, price, theirs.order_id)
