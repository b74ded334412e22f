"""Trading at random on a venue that misbehaves at random, and what must hold whatever happens.

A Hypothesis state machine over an order manager, its journal and any harness. After every step: nothing is filled
beyond what was asked, neither an order nor a chain of replacements; the position is the sum of the fills; a finished
order changes only by a late fill or a change heard late; and the journal, read again, gives the live book. At the end
the line is calm, the doubts are ended by evidence, and our book is the venue's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from autotrader_lab.execution.oms import OrderManager
from autotrader_lab.journal import fold
from autotrader_lab.model.errors import AutoTraderError, OrderNotFound
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.harness import REQUEST_FAULTS, Fault, Harness

__all__ = ["OrderMachine", "order_machine"]

T = TypeVar("T")
_ZERO = Decimal(0)

_KINDS = (OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT, OrderType.IOC)
_ANSWERS = (None, None, None, *REQUEST_FAULTS)
"""What goes wrong with a request; most of the time nothing."""

sides = st.sampled_from(OrderSide)
units = st.integers(1, 4)
picks = st.integers(0, 30)
distances = st.sampled_from([0.5, 1.0, 1.5])
answers = st.sampled_from(_ANSWERS)
_Wish = tuple[OrderSide, OrderType, int, float]
wishes = st.tuples(sides, st.sampled_from(_KINDS), units, distances)


class _Link(NamedTuple):
    """One replacement: together they may fill no more than the target."""

    replaced: Order
    replacement: Order
    target: Decimal


class OrderMachine(RuleBasedStateMachine):
    """The machine; :func:`order_machine` makes one for a harness.

    Attributes
    ----------
    make : callable
        An async factory of harnesses, as :meth:`AdapterConformance.make`.
    """

    make: ClassVar[Callable[[], Awaitable[Harness]]]

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.bench, self.oms = self._run(self._open())
        self.errors: list[Exception] = []
        self.oms.on_error.append(self.errors.append)
        self._done: dict[str, tuple[Any, ...]] = {}
        self._links: list[_Link] = []
        self._asked: dict[str, Decimal] = {}

    async def _open(self) -> tuple[Bench, OrderManager]:
        bench = Bench(await type(self).make())
        await bench.open()
        self._held_at_start = await bench.held()
        return bench, bench.oms(fresh_s=3600.0, settle_s=0.0)

    def _run(self, asked: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asked)

    # --- what happens -----------------------------------------------------------------------------------------

    @initialize(wishes=st.lists(wishes, min_size=1, max_size=4))
    def begin(self, wishes: list[_Wish]) -> None:
        """Something is there to begin with, and something to sell."""
        self._run(self._submit(OrderSide.BUY, OrderType.MARKET, 12, 1.0, None))
        for wish in wishes:
            self._run(self._submit(*wish, None))

    @rule(wish=wishes, fault=answers)
    def submit(self, wish: _Wish, fault: Fault | None) -> None:
        self._run(self._submit(*wish, fault))

    @rule(wishes=st.lists(wishes, min_size=2, max_size=4))
    def submit_at_once(self, wishes: list[_Wish]) -> None:
        self._run(self._submit_together(wishes))

    async def _submit_together(self, wishes: list[_Wish]) -> None:
        await asyncio.gather(*(self._submit(*wish, None) for wish in wishes))

    async def _submit(self, side: OrderSide, kind: OrderType, size: int, distance: float, fault: Fault | None) -> None:
        bench = self.bench
        if kind not in bench.can.order_types:
            return
        await self._spoil(fault, "submit")
        price = None if kind is OrderType.MARKET else bench.away(side, distance)
        if kind is OrderType.IOC:
            price = bench.through(side)
        quantity = float(bench.unit * size)
        await bench.call(self.oms.submit_order(bench.instrument.symbol, side, quantity, kind, price))

    @rule(pick=picks, size=units)
    def execute(self, pick: int, size: int) -> None:
        """Somebody takes a part of a resting order."""
        order = self._open_order(pick)
        if order is not None and order.price and Fault.PARTIAL in self.bench.venue.faults:
            quantity = float(self.bench.unit * size)
            self._run(self.bench.venue.trade(order.side.opposite, order.price, quantity))

    @rule(factor=st.sampled_from([0.86, 0.94, 1.0, 1.06, 1.14]))
    def move(self, factor: float) -> None:
        """The market goes somewhere and comes back."""
        self._run(self._move(factor))

    async def _move(self, factor: float) -> None:
        await self.bench.venue.set_price(self.bench.at(factor))
        await self.bench.venue.set_price(self.bench.at(1))

    @rule(pick=picks, fault=answers)
    def cancel(self, pick: int, fault: Fault | None) -> None:
        order = self._open_order(pick)
        if order is not None:
            self._run(self._cancel(order, fault))

    async def _cancel(self, order: Order, fault: Fault | None) -> None:
        await self._spoil(fault, "cancel")
        with contextlib.suppress(AutoTraderError):
            await self.bench.call(self.oms.cancel_order(order.client_order_id))

    @rule(pick=picks, size=st.none() | st.integers(1, 6), distance=st.none() | distances, fault=answers)
    def replace(self, pick: int, size: int | None, distance: float | None, fault: Fault | None) -> None:
        order = self._open_order(pick)
        if order is not None and order.order_type is OrderType.LIMIT:
            self._run(self._replace(order, size, distance, fault))

    async def _replace(self, order: Order, size: int | None, distance: float | None, fault: Fault | None) -> None:
        bench = self.bench
        await self._spoil(fault, "amend" if bench.can.amend else "cancel")
        quantity = None if size is None else float(bench.unit * size)
        price = None if distance is None else bench.away(order.side, distance)
        target = exact(order.quantity if quantity is None else quantity)
        if bench.can.amend:
            # The answer may be lost, and an execution heard before the change is.
            self._asked[order.client_order_id] = max(target, self._asked.get(order.client_order_id, _ZERO))
        with contextlib.suppress(AutoTraderError):
            found = await bench.call(self.oms.modify_order(order.client_order_id, quantity, price))
            if found is not order:
                self._links.append(_Link(order, found, target))

    @rule(fault=st.sampled_from([Fault.MUTE, Fault.DUPLICATE, Fault.REORDER, None]))
    def tell(self, fault: Fault | None) -> None:
        """Events are dropped, told twice, told in another order, or told as they should be."""
        if fault is None:
            self._run(self.bench.venue.calm())
        elif fault in self.bench.venue.faults:
            self._run(self.bench.venue.provoke(fault))

    @rule(orderly=st.booleans())
    def reconnect(self, orderly: bool) -> None:
        """The line is cut, or we go and come back."""
        if orderly or Fault.CUT not in self.bench.venue.faults:
            self._run(self._reconnect())
        else:
            self._run(self.bench.venue.provoke(Fault.CUT))

    async def _reconnect(self) -> None:
        await self.bench.disconnect()
        await self.bench.connect()

    @rule()
    def wait(self) -> None:
        """Time passes, and the venue is asked about orders in doubt."""
        self._run(self.bench.settle())
        self._run(self._resolve())

    async def _resolve(self) -> None:
        for order in self.oms.book.in_doubt():
            await self.bench.call(self.oms.resolve(order))

    async def _spoil(self, fault: Fault | None, on: Any) -> None:
        if fault is not None and fault in self.bench.venue.faults:
            await self.bench.venue.provoke(fault, on)

    def _open_order(self, pick: int) -> Order | None:
        working = list(self.oms.book.open.values())
        return working[pick % len(working)] if working else None

    # --- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_filled_beyond_what_was_asked(self) -> None:
        for order in self.oms.book.orders.values():
            asked = max(exact(order.quantity), self._asked.get(order.client_order_id, _ZERO))
            assert exact(order.filled_quantity) <= asked, f"{order.client_order_id}: {order.filled_quantity} of {asked}"
        for link in self._links:
            together = exact(link.replaced.filled_quantity) + exact(link.replacement.filled_quantity)
            assert together <= link.target, f"{link.replaced.client_order_id} and its replacement: {together}"

    @invariant()
    def the_position_is_the_sum_of_the_fills(self) -> None:
        book, instrument = self.oms.book, self.bench.instrument
        total = _ZERO
        for fill in book.fills:
            total += exact(fill.quantity) * fill.side.sign
            if fill.fee_currency and fill.fee_currency == instrument.base:
                total -= exact(fill.commission)
        assert book.position(instrument.symbol) == total
        by_order = sum((exact(order.filled_quantity) for order in book.orders.values()), _ZERO)
        assert by_order == sum((exact(fill.quantity) for fill in book.fills), _ZERO)
        assert len({fill.execution_id for fill in book.fills}) == len(book.fills)

    @invariant()
    def a_finished_order_changes_only_by_a_late_fill(self) -> None:
        for name, order in self.oms.book.orders.items():
            now = (order.status, order.filled_quantity, order.quantity, order.price, len(order.execution_ids))
            before = self._done.get(name)
            if before is not None and now != before:
                late_change = name in self._asked and now[2:4] != before[2:4]
                assert now[-1] > before[-1] or late_change, f"{name} was {before} and is {now}"
            self._done.pop(name, None)
            if not order.is_open:
                self._done[name] = now

    @invariant()
    def the_journal_gives_the_live_book(self) -> None:
        live = self.oms.book
        books = fold(self.oms.desk.journal.read(), self.bench.adapter.instruments)
        assert books.problems == []
        assert list(books.orders) == list(live.orders)
        for name, order in live.orders.items():
            assert _told(books.orders[name]) == _told(order), f"{_told(books.orders[name])} read, {_told(order)} live"
        assert [fill.execution_id for fill in books.fills] == [fill.execution_id for fill in live.fills]
        assert {symbol: _worth(position) for symbol, position in books.positions.items()} == {
            symbol: _worth(position) for symbol, position in live.positions.items()
        }

    @invariant()
    def no_report_was_impossible(self) -> None:
        assert self.errors == []

    # --- the end ----------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self._run(self._end())
            for held in (
                self.nothing_is_filled_beyond_what_was_asked,
                self.the_position_is_the_sum_of_the_fills,
                self.a_finished_order_changes_only_by_a_late_fill,
                self.the_journal_gives_the_live_book,
            ):
                held()
        finally:
            self._run(self._close())
            self._runner.close()

    async def _end(self) -> None:
        """The line is calm, the gaps are closed, the doubts are ended; both books agree."""
        bench, oms = self.bench, self.oms
        await bench.venue.calm()
        await bench.settle()
        await self._reconnect()

        async def certain() -> bool:
            await self._resolve()
            return not oms.book.in_doubt()

        await bench.until(certain, "the end of all doubt")
        for order in list(oms.book.open.values()):
            await bench.call(oms.learn(order))
        # What was finished may have been executed unheard, and the venue lists it.
        for order in oms.book.orders.values():
            await bench.until(partial(self._agrees, order), f"agreement about {order.client_order_id}")
            assert not order.overfilled, f"{order.client_order_id}: {order.filled_quantity} of {order.quantity}"
        assert oms.book.position(bench.instrument.symbol) == await bench.held() - self._held_at_start
        taken = await bench.venue.taken()
        assert len(set(taken)) == len(taken), "one client order id made two orders"
        working = {order.client_order_id for order in await bench.call(bench.adapter.get_open_orders())}
        assert working == set(oms.book.open)

    async def _agrees(self, order: Order) -> bool:
        """Whether the venue says of an order what our book says."""
        if order.status in (OrderStatus.REJECTED, OrderStatus.DENIED):
            return True
        try:
            theirs = await self.bench.call(self.bench.adapter.get_order_status(order.order_id))
        except OrderNotFound:
            return False
        same = exact(theirs.filled_quantity) == exact(order.filled_quantity) and theirs.is_open is order.is_open
        if not same:
            await self.bench.call(self.oms.learn(order))
        return same

    async def _close(self) -> None:
        await self.bench.call(self.bench.adapter.disconnect())
        await self.bench.venue.close()


def _told(order: Order) -> tuple[Any, ...]:
    """What reports and intent say of an order."""
    return (
        order.order_id,
        order.status,
        order.side,
        order.quantity,
        order.price,
        order.filled_quantity,
        order.avg_fill_price,
        order.commission_by_currency,
        order.execution_ids,
    )


def _worth(position: Any) -> tuple[Any, ...]:
    return (position.quantity, position.open_cost, position.realised, position.fees, position.other_fees)


def order_machine(make: Callable[[], Awaitable[Harness]], name: str = "Orders") -> type[OrderMachine]:
    """A state machine over the harnesses that `make` makes.

    ``TestAcmeOrders = order_machine(acme_harness).TestCase`` is a test; set ``TestAcmeOrders.settings`` to Hypothesis
    settings of its own.
    """
    return type(name, (OrderMachine,), {"make": staticmethod(make)})
