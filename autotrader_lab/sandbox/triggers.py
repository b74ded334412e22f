"""Stop orders waiting for the last price to reach them, in the order in which the price would."""

from __future__ import annotations

from bisect import insort

from autotrader_lab.sandbox.orders import Order, OrderType, Side

__all__ = ["Triggers"]


class Triggers:
    """One instrument's waiting stop orders."""

    def __init__(self) -> None:
        self._rising: list[tuple[int, int, Order]] = []
        self._falling: list[tuple[int, int, Order]] = []

    @staticmethod
    def waits_for_rise(side: Side, type_: OrderType) -> bool:
        """Whether such an order triggers when the price rises to its stop (else when it falls to it)."""
        is_stop_loss = type_ in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
        return is_stop_loss == (side is Side.BUY)

    @staticmethod
    def is_due(side: Side, type_: OrderType, stop_price: int, last_price: int) -> bool:
        """Whether the last price has reached the stop."""
        if Triggers.waits_for_rise(side, type_):
            return last_price >= stop_price
        return last_price <= stop_price

    def add(self, order: Order) -> None:
        """Wait."""
        if self.waits_for_rise(order.side, order.type):
            insort(self._rising, (order.stop_price, order.order_id, order), key=_by_rank)
        else:
            insort(self._falling, (-order.stop_price, order.order_id, order), key=_by_rank)

    def remove(self, order: Order) -> None:
        """Stop waiting."""
        self._rising = [row for row in self._rising if row[2] is not order]
        self._falling = [row for row in self._falling if row[2] is not order]

    def pop_due(self, rising: int, falling: int) -> Order | None:
        """The next order whose stop the price has reached, or None.

        Parameters
        ----------
        rising, falling : int
            What stops waiting for a rise and for a fall look at; 0 is no price yet.
        """
        if rising and self._rising and self._rising[0][0] <= rising:
            return self._rising.pop(0)[2]
        if falling and self._falling and -self._falling[0][0] >= falling:
            return self._falling.pop(0)[2]
        return None


def _by_rank(row: tuple[int, int, Order]) -> tuple[int, int]:
    return row[0], row[1]
