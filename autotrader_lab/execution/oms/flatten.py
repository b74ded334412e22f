"""Closing everything at the market: for the kill switch, for stopping, for a policy that asks for it."""

from __future__ import annotations

from autotrader_lab.execution.oms.manager import OrderManager
from autotrader_lab.model.clock import NS
from autotrader_lab.model.orders import Order, OrderSide, OrderType

__all__ = ["flatten"]

_TURN_S = 0.02


async def flatten(oms: OrderManager, reason: str, patience_s: float = 5.0) -> list[str]:
    """Send a reduce-only market order for every position, one after another, and wait for each.

    It passes a halted gate: flattening is what a kill switch asks for.

    Parameters
    ----------
    patience_s : float
        Seconds to wait for each order's end; the venue is asked meanwhile.

    Returns
    -------
    list of str
        What could not be sent, in words; empty if all were.

    Raises
    ------
    VenueUnavailable, OutcomeUnknown
        If nobody answers.
    """
    troubles: list[str] = []
    gate = oms.desk.gate
    gate.flattening = True
    try:
        for symbol, position in list(oms.book.positions.items()):
            quantity = position.instrument.round_quantity(abs(position.quantity))
            if not quantity:
                continue
            side = OrderSide.SELL if position.quantity > 0 else OrderSide.BUY
            order = Order(
                "", symbol, side, OrderType.MARKET, float(quantity), reduce_only=True, metadata={"why": reason}
            )
            if oms.desk.approve(order) is not None:
                troubles.append(f"{symbol}: {order.reason}")
                continue
            await oms.send(order)
            await _until_done(oms, order, patience_s)
    finally:
        gate.flattening = False
    return troubles


async def _until_done(oms: OrderManager, order: Order, patience_s: float) -> None:
    deadline_ns = oms.clock.monotonic_ns() + round(patience_s * NS)
    while order.is_open and oms.clock.monotonic_ns() < deadline_ns:
        await oms.clock.sleep(_TURN_S)
        if order.is_open and oms.adapter.capabilities.client_order_ids:
            await oms.learn(order)
