"""One instrument's order book: price levels, each a queue in order of arrival.

A queue holds customers' orders and, between them, blocks of the outside market's liquidity. The outside market
speaks in absolute level sizes ("statements") and in trades; both keep the customers' places in the queue honest:
trades take from the front, other decreases from the back, increases join the back.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator

from autotrader_lab.sandbox.orders import Order, Side

__all__ = ["Book", "Level", "Slot"]


class Slot:
    """A place in a queue: `quantity` on display, of `order` or (None) of the outside market."""

    __slots__ = ("order", "quantity")

    def __init__(self, quantity: int, order: Order | None) -> None:
        self.quantity = quantity
        self.order = order


class Level:
    """A price's queue; `total` is what it displays and `market` the outside market's part of that."""

    __slots__ = ("market", "price", "queue", "total")

    def __init__(self, price: int) -> None:
        self.price = price
        self.queue: deque[Slot] = deque()
        self.total = 0
        self.market = 0

    def add_market(self, quantity: int) -> None:
        """Outside liquidity joins the back."""
        if self.queue and self.queue[-1].order is None:
            self.queue[-1].quantity += quantity
        else:
            self.queue.append(Slot(quantity, None))
        self.market += quantity
        self.total += quantity

    def cut_market(self, quantity: int) -> None:
        """Outside liquidity leaves, the last to come first."""
        left = min(quantity, self.market)
        self.market -= left
        self.total -= left
        kept: list[Slot] = []
        while left:
            slot = self.queue.pop()
            if slot.order is not None:
                kept.append(slot)
            elif slot.quantity > left:
                slot.quantity -= left
                left = 0
                kept.append(slot)
            else:
                left -= slot.quantity
        self.queue.extend(reversed(kept))

    def take(self, slot: Slot, quantity: int) -> None:
        """Trade against a slot; it leaves the queue when nothing of it is left."""
        slot.quantity -= quantity
        self.total -= quantity
        if slot.order is None:
            self.market -= quantity
        if not slot.quantity:
            self.queue.remove(slot)


class Book:
    """Both sides of one instrument, with the changes not yet published.

    `update_id` grows by one with every change of a level's displayed size. `stated` is the size the outside market
    last stated for a price, `traded` what has traded there since and its next statement will account for.
    """

    def __init__(self) -> None:
        self.levels: dict[Side, dict[int, Level]] = {Side.BUY: {}, Side.SELL: {}}
        self.prices: dict[Side, list[int]] = {Side.BUY: [], Side.SELL: []}
        self.stated: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.traded: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.update_id = 0
        self.dirty: set[tuple[Side, int]] = set()

    def best(self, side: Side) -> Level | None:
        """The best level of a side, or None."""
        prices = self.prices[side]
        if not prices:
            return None
        return self.levels[side][prices[-1] if side is Side.BUY else prices[0]]

    def walk(self, side: Side) -> Iterator[Level]:
        """Levels from the best outwards."""
        prices = self.prices[side]
        levels = self.levels[side]
        for price in reversed(prices) if side is Side.BUY else prices:
            yield levels[price]

    def depth(self, side: Side, limit: int) -> list[tuple[int, int]]:
        """Up to `limit` (price, displayed quantity) pairs from the best outwards."""
        rows: list[tuple[int, int]] = []
        for level in self.walk(side):
            if len(rows) == limit:
                break
            rows.append((level.price, level.total))
        return rows

    def total(self, side: Side, price: int) -> int:
        """What is displayed at a price."""
        level = self.levels[side].get(price)
        return level.total if level else 0

    def changed(self, side: Side, level: Level) -> None:
        """Note a change of a level's displayed size; drop the level when nothing is left of it."""
        self.update_id += 1
        self.dirty.add((side, level.price))
        if not level.queue:
            del self.levels[side][level.price]
            prices = self.prices[side]
            del prices[bisect_left(prices, level.price)]

    def rest(self, order: Order) -> None:
        """Put an order (or an iceberg's next slice) at the back of its price."""
        level = self._level(order.side, order.price)
        shown = min(order.iceberg, order.remaining) if order.iceberg else order.remaining
        level.queue.append(Slot(shown, order))
        level.total += shown
        self.changed(order.side, level)

    def remove(self, order: Order) -> None:
        """Take an order out, if it rests here."""
        level, slot = self._find(order)
        if level is not None and slot is not None:
            level.total -= slot.quantity
            level.queue.remove(slot)
            self.changed(order.side, level)

    def shrink(self, order: Order, remaining: int) -> None:
        """Show no more than `remaining` of a resting order, which keeps its place."""
        level, slot = self._find(order)
        if level is not None and slot is not None and slot.quantity > remaining:
            level.total -= slot.quantity - remaining
            slot.quantity = remaining
            self.changed(order.side, level)

    def state(self, side: Side, price: int, quantity: int) -> int:
        """Take note of the outside market's new size at a price and apply it if it is a decrease.

        Returns
        -------
        int
            The increase still to be brought in (it may meet customers' orders first), else 0.
        """
        before = self.stated[side].get(price, 0)
        if quantity:
            self.stated[side][price] = quantity
        else:
            self.stated[side].pop(price, None)
        if quantity > before:
            return quantity - before
        gone = before - quantity
        traded = self.traded[side].get(price, 0)
        if traded:
            explained = min(gone, traded)
            gone -= explained
            self.traded[side][price] = traded - explained
        level = self.levels[side].get(price)
        if gone and level is not None and level.market:
            level.cut_market(gone)
            self.changed(side, level)
        return 0

    def add_market(self, side: Side, price: int, quantity: int) -> None:
        """Outside liquidity joins a price."""
        level = self._level(side, price)
        level.add_market(quantity)
        self.changed(side, level)

    def note_traded(self, side: Side, price: int, quantity: int) -> None:
        """Outside liquidity was traded away by the outside market itself."""
        traded = self.traded[side]
        traded[price] = traded.get(price, 0) + quantity

    def unconfirmed(self) -> list[tuple[Side, int, int]]:
        """What trades took and no statement confirmed, as (side, price, quantity) to bring back, once.

        The outside market refilled these levels before it spoke again, so its statement showed no change.
        """
        rows = [
            (side, price, min(quantity, self.stated[side].get(price, 0)))
            for side in (Side.BUY, Side.SELL)
            for price, quantity in self.traded[side].items()
        ]
        self.traded = {Side.BUY: {}, Side.SELL: {}}
        return [row for row in rows if row[2]]

    def stated_prices(self) -> list[tuple[Side, int]]:
        """Every (side, price) the outside market has stated something for."""
        return [(side, price) for side in (Side.BUY, Side.SELL) for price in self.stated[side]]

    def _level(self, side: Side, price: int) -> Level:
        level = self.levels[side].get(price)
        if level is None:
            level = self.levels[side][price] = Level(price)
            insort(self.prices[side], price)
        return level

    def _find(self, order: Order) -> tuple[Level | None, Slot | None]:
        level = self.levels[order.side].get(order.price)
        if level is None:
            return None, None
        return level, next((slot for slot in level.queue if slot.order is order), None)
