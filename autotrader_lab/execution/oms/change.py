"""Changing a working order: in place where the venue can, else by a cancel and a new order for what is left."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import TYPE_CHECKING

from autotrader_lab.model.errors import OrderError, OutcomeUnknown, VenueError
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Amended, Order

if TYPE_CHECKING:
    from autotrader_lab.execution.oms.manager import OrderManager

__all__ = ["change_order"]


async def change_order(
    oms: OrderManager, order: Order, quantity: float | None = None, price: float | None = None
) -> Order:
    """Change `order`; see :meth:`OrderManager.modify_order`.

    A change that could cost more is judged like a new order. One without an answer is asked about at once.
    """
    name = order.client_order_id
    if not order.is_open:
        raise OrderError(f"order {name} is {order.status.value}; only a working order can be modified")
    target = exact(quantity if quantity is not None else order.quantity, "quantity")
    if target <= 0:
        raise OrderError(f"order {name}: quantity {quantity} must be positive; to end it use cancel_order")
    _judge(oms, order, target, price)
    if oms.adapter.can_amend(order, float(target), price):
        try:
            view = await oms.adapter.modify_order(order.order_id or name, float(target), price)
        except OutcomeUnknown:
            if not await _found_changed(oms, order, target, price):
                raise
            return order
        if not oms.adapter.capabilities.reports:
            oms.take(Amended(name, oms.clock.now_ns(), float(target), price, view.order_id))
        return order
    await oms.cancel_order(name)
    if oms.adapter.capabilities.fills_since:
        await oms.learn(order)  # a fill that raced the cancel counts against what is left
    if name in oms.book.open:
        raise OrderError(f"order {name}: its cancel is not confirmed, so nothing new was sent; try again")
    left = oms.instruments.find(order.symbol).round_quantity(target - exact(order.filled_quantity))
    if left <= 0:
        return order
    replacement = Order(
        "",
        order.symbol,
        order.side,
        order.order_type,
        float(left),
        price if price is not None else order.price,
        order.stop_price,
        order.time_in_force,
        metadata={**order.metadata, "replaced_order_id": order.order_id or name},
        post_only=order.post_only,
        reduce_only=order.reduce_only,
    )
    if oms.desk.approve(replacement) is not None:
        return replacement
    return await oms.send(replacement)


def _judge(oms: OrderManager, order: Order, target: Decimal, price: float | None) -> None:
    """Let the gate judge a change that could cost more."""
    same_price = price is None or order.price is None or exact(price) == exact(order.price)
    left = float(target - exact(order.filled_quantity))
    if (same_price and target <= exact(order.quantity)) or left <= 0:
        return
    denied = oms.desk.judge_again(order, left, price)
    if denied is not None:
        raise OrderError(f"order {order.client_order_id} stays as it is: {denied}")


async def _found_changed(oms: OrderManager, order: Order, target: Decimal, price: float | None) -> bool:
    """Ask at once whether a change without answer was made; reconciliation asks again if nobody can tell now."""
    with contextlib.suppress(VenueError):
        await oms.learn(order)
    return exact(order.quantity) == target and (price is None or exact(order.price or 0) == exact(price))
