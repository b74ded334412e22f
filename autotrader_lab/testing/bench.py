"""What a conformance test holds: the harness, everything the adapter ever said, and what must always be true of it.

Each order sent through the bench has a *shadow*, our own fold of the adapter's reports through the transition table.
:meth:`Bench.finish` runs at the end of every test, so that each of them also proves that no fill was told twice, none
exceeded what was asked, times are UTC, prices are on the grid and the venue agrees with what was told.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter, Capabilities
from autotrader_lab.execution.book import OrderBook
from autotrader_lab.execution.oms import OrderManager
from autotrader_lab.execution.oms.desk import Desk
from autotrader_lab.execution.oms.evidence import catch_up
from autotrader_lab.execution.risk import RiskGate, RiskLimits
from autotrader_lab.model.clock import SimulatedClock, to_ns
from autotrader_lab.model.errors import IllegalTransition, OrderNotFound
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Accepted, Fill, Filled, Order, OrderSide, OrderStatus, OrderType, Report
from autotrader_lab.model.positions import Positions
from autotrader_lab.testing.harness import Harness

__all__ = ["NO_LIMITS", "Bench", "eventually"]

T = TypeVar("T")

NO_LIMITS = RiskLimits(
    price_collar_pct=None,
    duplicate_window_s=0,
    max_daily_loss=None,
    max_drawdown=None,
    max_orders_per_minute=None,
    max_open_orders=10_000,
    stale_data_s=None,
    max_clock_skew_ms=None,
)
"""A risk gate that lets the suite do what it wants."""

_YEAR = timedelta(days=365)


async def eventually(condition: Callable[[], Any], clock: Any, patience_s: float) -> bool:
    """Whether `condition` (a function, async or not) comes true within `patience_s` on `clock`."""
    step_s = 0.005
    for _ in range(math.ceil(patience_s / step_s)):
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return True
        if isinstance(clock, SimulatedClock):
            await clock.advance(step_s)
        else:
            await clock.sleep(step_s)
    return False


class Bench:
    """A harness with ears.

    Attributes
    ----------
    adapter, venue, instrument, clock
        The harness's.
    reports, fills, states : list
        What the adapter told, in order of arrival: reports, fills, and (state, reason) of the connection.
    shadows : dict of str to Order
        By client order id: each order sent here, moved by reports only.
    learned : list of Fill
        Executions that nobody told and :meth:`learn` found by asking.
    lossy : bool
        Set by a test whose fault makes the venue tell less than happened, so that the end need not agree.
    """

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.adapter: BaseBrokerAdapter = harness.adapter
        self.venue = harness.venue
        self.instrument = harness.instrument
        self.clock = harness.clock
        self.reports: list[Report] = []
        self.fills: list[Fill] = []
        self.states: list[tuple[str, str]] = []
        self.shadows: dict[str, Order] = {}
        self.learned: list[Fill] = []
        self.lossy = False
        self.price = 0.0
        self.unit = Decimal(0)
        self._problems: list[str] = []
        self._told: set[str] = set()
        self._orphans: list[Fill] = []
        self._is_open = False
        self._held_at_start: Decimal | None = None
        self._started_ns = self.clock.now_ns()
        self._prefix = f"t{uuid.uuid4().hex[:10]}"
        self._numbers = itertools.count(1)
        self.hear(self.adapter)

    def hear(self, adapter: BaseBrokerAdapter) -> None:
        """Listen to `adapter` too: a later process's, say."""
        if adapter.capabilities.reports:
            adapter.subscribe_reports(self._on_report)
        adapter.subscribe_fills(self._on_fill)
        adapter.subscribe_connection(lambda state, reason: self.states.append((state, reason)))

    async def open(self) -> None:
        """See where the market stands, connect, and see what the account holds."""
        await self.look()
        await self.connect()
        self._held_at_start = await self.held()

    async def connect(self) -> None:
        """Connect the adapter, once more or for the first time."""
        assert await self.call(self.adapter.connect()), "connect() must return True once orders can be sent"
        self._is_open = True

    async def disconnect(self) -> None:
        """Disconnect the adapter."""
        self._is_open = False
        await self.call(self.adapter.disconnect())

    async def look(self) -> None:
        """See where the market stands."""
        self.price = await self.venue.price()
        self.unit = self.harness.unit if self.harness.unit is not None else self._default_unit()

    def _default_unit(self) -> Decimal:
        instrument = self.instrument
        low = exact(self.price) * exact(1 - 2.5 * self.harness.away) * instrument.multiplier
        least = max(instrument.lot_size * 4, instrument.min_quantity * 2, instrument.min_notional * 2 / low)
        return math.ceil(least / instrument.lot_size) * instrument.lot_size

    # --- what the adapter is and says -------------------------------------------------------------------------

    @property
    def can(self) -> Capabilities:
        """What the adapter declares."""
        return self.adapter.capabilities

    def _on_report(self, report: Report) -> None:
        self.reports.append(report)
        shadow = self.shadows.get(report.client_order_id)
        if shadow is None:
            return
        if isinstance(report, Filled):
            name = report.fill.execution_id
            if name in self._told:
                self._problems.append(f"execution {name} of {report.client_order_id} was told twice")
            self._told.add(name)
        try:
            shadow.apply(report)
        except IllegalTransition as error:
            self._problems.append(f"{type(report).__name__}: {error}")

    def _on_fill(self, fill: Fill) -> None:
        self.fills.append(fill)
        if self.can.reports:
            return
        self._orphans.append(fill)
        self._adopt_orphans()

    def _adopt_orphans(self) -> None:
        """Book fills without reports; one that came before its order's id was known waits for it."""
        orphans, self._orphans = self._orphans, []
        for fill in orphans:
            for shadow in self.shadows.values():
                if fill.client_order_id == shadow.client_order_id or fill.order_id == shadow.order_id:
                    shadow.apply(Filled(shadow.client_order_id, to_ns(fill.timestamp), fill))
                    break
            else:
                self._orphans.append(fill)

    def kinds(self, order: Order) -> list[str]:
        """Names of the reports about `order`, in order of arrival."""
        return [type(report).__name__ for report in self.of(order)]

    def of(self, order: Order) -> list[Report]:
        """The reports about `order`."""
        return [report for report in self.reports if report.client_order_id == order.client_order_id]

    def fills_of(self, order: Order) -> list[Fill]:
        """The fills told about `order`."""
        name, order_id = order.client_order_id, self.shadow(order).order_id
        return [
            fill
            for fill in self.fills
            if (fill.client_order_id == name if fill.client_order_id else fill.order_id == order_id)
        ]

    def filled(self, order: Order) -> Decimal:
        """Units executed of `order` as told, each execution once."""
        return sum((exact(f.quantity) for f in {f.execution_id: f for f in self.fills_of(order)}.values()), Decimal(0))

    def shadow(self, order: Order) -> Order:
        """Our own fold of what was told about `order`."""
        return self.shadows[order.client_order_id]

    async def status(self, order: Order) -> OrderStatus:
        """Where `order` stands by what was told; where an adapter reports no steps, by what the venue says."""
        if self.can.reports:
            return self.shadow(order).status
        known = self.shadow(order).order_id or order.order_id or order.client_order_id
        return (await self.call(self.adapter.get_order_status(known))).status

    async def held(self) -> Decimal:
        """Units of the instrument that the venue says the account holds."""
        positions = await self.call(self.adapter.get_positions())
        return exact(positions.get(self.instrument.symbol, 0.0))

    # --- orders -----------------------------------------------------------------------------------------------

    def order(
        self,
        side: OrderSide = OrderSide.BUY,
        kind: OrderType = OrderType.LIMIT,
        units: int = 1,
        price: float | None = None,
        **fields: Any,
    ) -> Order:
        """An order of so many units; a limit without `price` rests away from the market."""
        if price is None and kind not in (OrderType.MARKET, OrderType.STOP):
            price = self.away(side)
        fields.setdefault("client_order_id", f"{self._prefix}-{next(self._numbers)}")
        fields.setdefault("created_at", self.clock.now())
        quantity = fields.pop("quantity", float(self.unit * units))
        symbol = fields.pop("symbol", self.instrument.symbol)
        return Order("", symbol, side, kind, quantity, price, **fields)

    def away(self, side: OrderSide, times: float = 1.0) -> float:
        """A price on the grid at which an order of `side` rests: `times` the harness's distance from the market."""
        return self.at(1 - side.sign * self.harness.away * times)

    def through(self, side: OrderSide) -> float:
        """A limit on the grid at which an order of `side` executes at once."""
        return self.at(1 + side.sign * self.harness.through)

    def at(self, factor: float) -> float:
        """A price on the grid, `factor` times the market's."""
        return float(self.instrument.round_price(self.price * factor))

    async def submit(self, order: Order) -> Order:
        """Send `order` and take note of it; the adapter's errors pass through."""
        # A second attempt under the same id goes on with the same shadow.
        self.shadows.setdefault(order.client_order_id, order.copy())
        sent = await self.call(self.adapter.submit_order(order))
        shadow = self.shadows.setdefault(sent.client_order_id, sent.copy())
        shadow.order_id = shadow.order_id or sent.order_id
        if not self.can.reports and shadow.status is OrderStatus.PENDING and sent.is_open:
            shadow.apply(Accepted(shadow.client_order_id, self.clock.now_ns(), sent.order_id))
        self._adopt_orphans()
        return sent

    async def rest(self, side: OrderSide = OrderSide.BUY, units: int = 1, **fields: Any) -> Order:
        """A limit order that rests, acknowledged."""
        order = await self.submit(self.order(side, units=units, **fields))
        await self.reaches(order, OrderStatus.SUBMITTED)
        return order

    async def buy(self, units: int = 1) -> Order:
        """A market order, executed; a limit through the market where the venue has no market orders."""
        market = OrderType.MARKET in self.can.order_types
        kind = OrderType.MARKET if market else OrderType.LIMIT
        order = await self.submit(
            self.order(kind=kind, units=units, price=None if market else self.through(OrderSide.BUY))
        )
        await self.reaches(order, OrderStatus.FILLED)
        return order

    def oms(self, **options: Any) -> OrderManager:
        """An order manager over the adapter, with a book and a journal of its own and no limits."""
        book = OrderBook(self.adapter.instruments)
        desk = Desk(book, RiskGate(NO_LIMITS, book), self.clock, id_prefix=f"{self._prefix}o{next(self._numbers)}")
        options.setdefault("settle_s", self.harness.settle_s)
        options.setdefault("submit", self.submit)
        return OrderManager(self.adapter, desk=desk, clock=self.clock, **options)

    async def learn(self) -> None:
        """Ask the venue about every order, as the engine does, and book what nobody told."""
        for shadow in self.shadows.values():
            if self.can.client_order_ids:
                asked = self.adapter.find_order(shadow.client_order_id, self.instrument.symbol)
            else:
                asked = self.adapter.get_order_status(shadow.order_id)
            theirs = await self.call(asked)
            if theirs is None:
                continue
            fills = await self.call(self.adapter.get_fills(self.instrument.symbol, self._started_ns))
            reports, _ = catch_up(shadow, theirs, fills, self.clock.now_ns())
            for report in reports:
                shadow.apply(report)
                if isinstance(report, Filled):
                    self.learned.append(report.fill)

    # --- time -------------------------------------------------------------------------------------------------

    async def call(self, asked: Awaitable[T]) -> T:
        """Await `asked`, moving a simulated clock on until it is there."""
        if not isinstance(self.clock, SimulatedClock):
            return await asked
        await self.clock.advance(1e-6)  # no two requests are sent at the very same time
        task = asyncio.ensure_future(asked)
        try:
            await asyncio.sleep(0)
            if not await eventually(task.done, self.clock, self.harness.patience_s):
                raise AssertionError(f"no answer within {self.harness.patience_s} s: {asked}")
            return await task
        finally:
            task.cancel()

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for what must come; fails the test, naming `what`, if it does not."""
        if not await eventually(condition, self.clock, self.harness.patience_s):
            raise AssertionError(f"never came: {what}; told so far: {self.told()}")

    async def reaches(self, order: Order, *statuses: OrderStatus) -> None:
        """Wait until `order` stands at one of `statuses`."""

        async def there() -> bool:
            return await self.status(order) in statuses

        names = " or ".join(status.value for status in statuses)
        await self.until(there, f"order {order.client_order_id} {names}")

    async def told_filled(self, order: Order, units: int | Decimal) -> None:
        """Wait until so many units (of :attr:`unit`) of `order` are told as executed."""
        wanted = self.unit * units
        await self.until(lambda: self.filled(order) >= wanted, f"{wanted} executed of {order.client_order_id}")

    async def settle(self) -> None:
        """Let what is under way arrive."""
        if isinstance(self.clock, SimulatedClock):
            await self.clock.advance(self.harness.settle_s)
        else:
            await self.clock.sleep(self.harness.settle_s)

    def told(self) -> str:
        """What was told, for messages."""
        lines = [f"{type(report).__name__}({report.client_order_id})" for report in self.reports]
        return ", ".join([*lines, *(state for state, _ in self.states)]) or "nothing"

    # --- the end ----------------------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Prove what holds after every test."""
        await self.venue.calm()
        assert not self._problems, "; ".join(self._problems)
        for fill in self.fills:
            self._check_fill(fill)
        if self.can.reports:
            told = [report.fill.execution_id for report in self.reports if isinstance(report, Filled)]
            assert told == [fill.execution_id for fill in self.fills], "every fill is told as a report and as a fill"
        for shadow in self.shadows.values():
            assert not shadow.overfilled, f"{shadow.client_order_id}: {shadow.filled_quantity} of {shadow.quantity}"
            self._check_limit(shadow)
        if self.can.client_order_ids:
            taken = await self.venue.taken()
            twice = sorted(name for name in self.shadows if taken.count(name) > 1)
            assert not twice, f"one client order id made two orders: {twice}"
        if not self.lossy and self._is_open:
            await self._check_agreement()

    def _check_fill(self, fill: Fill) -> None:
        name = f"fill {fill.execution_id}"
        assert fill.execution_id, f"{fill}: no execution_id, so it cannot be counted once"
        assert fill.timestamp.tzinfo is UTC or fill.timestamp.utcoffset() == timedelta(0), f"{name}: time is not UTC"
        assert abs(fill.timestamp - self.clock.now()) < _YEAR, f"{name}: {fill.timestamp} is another era's"
        assert fill.quantity > 0, f"{name}: quantity {fill.quantity}"
        assert self.instrument.on_quantity_grid(fill.quantity), f"{name}: quantity {fill.quantity} is off the grid"
        assert fill.price > 0, f"{name}: price {fill.price}"
        assert self.instrument.on_price_grid(fill.price), f"{name}: price {fill.price} is off the grid"
        assert self.adapter.instruments.find(fill.symbol).symbol == self.instrument.symbol, f"{name}: {fill.symbol}"
        assert not fill.commission or fill.fee_currency, f"{name}: a fee of {fill.commission} in no currency"

    def _check_limit(self, shadow: Order) -> None:
        limit = shadow.limit_price
        if limit is None or "Amended" in self.kinds(shadow):
            return
        for fill in self.fills_of(shadow):
            worse = (exact(fill.price) - exact(limit)) * shadow.side.sign
            assert worse <= 0, f"{shadow.client_order_id}: executed at {fill.price}, worse than its limit {limit}"

    async def _check_agreement(self) -> None:
        """The venue's view of every order is what was told, and the position moved by the fills."""
        for shadow in self.shadows.values():
            if shadow.order_id and shadow.status is not OrderStatus.REJECTED:
                await self.until(partial(self._agrees, shadow), f"agreement about {shadow}")
        if self._held_at_start is not None:
            await self.until(self._position_agrees, "a position that moved by the fills that were told")

    async def _agrees(self, shadow: Order) -> bool:
        try:
            theirs = await self.call(self.adapter.get_order_status(shadow.order_id))
        except OrderNotFound:
            return not shadow.is_open
        if self.can.reports and theirs.is_open is not shadow.is_open:
            return False
        return exact(theirs.filled_quantity) == exact(shadow.filled_quantity)

    async def _position_agrees(self) -> bool:
        assert self._held_at_start is not None
        positions = Positions()
        positions.know(self.instrument)
        for fill in (*self.fills, *self.learned):
            positions.apply(fill)  # each execution once, told or found
        return self._held_at_start + positions.quantity(self.instrument.symbol) == await self.held()

    def ignore_position(self) -> None:
        """For tests in which somebody else trades on the account."""
        self._held_at_start = None
