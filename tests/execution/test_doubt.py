"""An order whose outcome is unknown: asked about, never repeated blind, never written off by a timer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from autotrader_lab.execution.adapters.base import Capabilities
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.book import OrderBook
from autotrader_lab.execution.oms import Desk, OrderManager
from autotrader_lab.execution.oms.evidence import catch_up
from autotrader_lab.execution.risk import RiskGate, RiskLimits, TradingState
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import OrderError, OutcomeUnknown, VenueUnavailable
from autotrader_lab.model.orders import Fill, Filled, Order, OrderSide, OrderStatus, OrderType

T0 = datetime(2024, 8, 9, 12, 0, tzinfo=UTC)
SYMBOL = "BTC/USDT"


class LossyVenue(PaperTradingAdapter):
    """Paper, with a line that loses the request or its answer, and a venue that may not answer questions."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(latency_ms=0, slippage_bps=0, commission_bps=0, clock=clock, currency="USDT")
        self.lose: str = ""
        self.silent = False
        self.submits = 0

    async def submit_order(self, order: Order) -> Order:
        self.submits += 1
        if self.lose == "request":
            raise OutcomeUnknown("timeout")
        if self.lose == "answer":
            callbacks, self.report_callbacks = self.report_callbacks, []
            await super().submit_order(order)
            self.report_callbacks = callbacks
            raise OutcomeUnknown("connection reset")
        return await super().submit_order(order)

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        if self.silent:
            raise VenueUnavailable("503")
        return await super().find_order(client_order_id, symbol)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(T0)


@pytest.fixture
def venue(clock: SimulatedClock) -> LossyVenue:
    venue = LossyVenue(clock)
    venue.set_price(SYMBOL, 50_000.0)
    return venue


@pytest.fixture
def oms(clock: SimulatedClock, venue: LossyVenue) -> OrderManager:
    book = OrderBook(venue.instruments, 100_000.0)
    desk = Desk(book, RiskGate(RiskLimits(), book), clock, id_prefix="d")
    return OrderManager(venue, desk=desk, clock=clock, settle_s=2.0, fresh_s=5.0)


async def lost(oms: OrderManager, venue: LossyVenue, what: str, quantity: float = 0.1) -> Order:
    venue.lose = what
    order = await oms.submit_order(SYMBOL, OrderSide.BUY, quantity, OrderType.MARKET)
    venue.lose = ""
    assert order.status is OrderStatus.UNKNOWN
    assert order in oms.get_open_orders()
    return order


async def test_found_at_the_venue_it_is_adopted_with_its_fills(oms: OrderManager, venue: LossyVenue) -> None:
    order = await lost(oms, venue, "answer")
    assert await oms.resolve(order) is OrderStatus.FILLED
    assert oms.get_position(SYMBOL) == 0.1
    assert venue.submits == 1


async def test_absent_and_fresh_it_is_sent_again_under_the_same_id(
    oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    order = await lost(oms, venue, "request")
    assert await oms.resolve(order) is OrderStatus.UNKNOWN  # absent once proves nothing
    assert await oms.resolve(order) is OrderStatus.UNKNOWN  # nor twice, at once
    await clock.advance(2.1)
    assert await oms.resolve(order) is OrderStatus.FILLED
    assert venue.submits == 2
    assert list(venue.orders) == [order.client_order_id]
    assert oms.get_position(SYMBOL) == 0.1


async def test_absent_and_stale_it_is_given_up_and_says_why(
    oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    order = await lost(oms, venue, "request")
    await oms.resolve(order)
    await clock.advance(6.0)
    assert await oms.resolve(order) is OrderStatus.REJECTED
    assert "stale" in order.reason
    assert venue.submits == 1


async def test_absent_and_the_gate_closed_meanwhile_it_is_not_sent_again(
    oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    order = await lost(oms, venue, "request")
    await oms.resolve(order)
    oms.desk.gate.state = TradingState.HALTED
    await clock.advance(2.1)
    assert await oms.resolve(order) is OrderStatus.REJECTED
    assert venue.submits == 1


async def test_no_timer_ends_the_doubt_while_the_venue_is_silent(
    oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    order = await lost(oms, venue, "answer")
    venue.silent = True
    for _ in range(5):
        await clock.advance(3600)
        assert await oms.resolve(order) is OrderStatus.UNKNOWN
    assert oms.book.working(SYMBOL) > 0  # it reserves risk all the while
    venue.silent = False
    assert await oms.resolve(order) is OrderStatus.FILLED


async def test_a_venue_without_our_ids_leaves_the_doubt_to_a_person(
    oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    order = await lost(oms, venue, "request")
    venue.capabilities = Capabilities(reports=True)
    await clock.advance(60)
    assert await oms.resolve(order) is OrderStatus.UNKNOWN


async def test_any_other_error_of_an_adapter_leaves_the_outcome_open(oms: OrderManager, venue: LossyVenue) -> None:
    async def broken(order: Order) -> Order:
        raise RuntimeError("malformed answer")

    oms._submit = broken
    order = await oms.submit_order(SYMBOL, OrderSide.BUY, 0.1, OrderType.MARKET)
    assert order.status is OrderStatus.UNKNOWN
    assert "RuntimeError: malformed answer" in order.reason


async def test_what_never_left_is_rejected_not_in_doubt(oms: OrderManager) -> None:
    async def down(order: Order) -> Order:
        raise VenueUnavailable("connection refused")

    oms._submit = down
    order = await oms.submit_order(SYMBOL, OrderSide.BUY, 0.1, OrderType.MARKET)
    assert order.status is OrderStatus.REJECTED


async def test_a_working_order_older_than_the_timeout_is_cancelled(
    oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    oms.order_timeout_seconds = 300
    order = await oms.submit_order(SYMBOL, OrderSide.BUY, 0.1, OrderType.LIMIT, 40_000.0)
    assert await oms.cancel_expired() == 0
    await clock.advance(301)
    assert await oms.cancel_expired() == 1
    assert order.status is OrderStatus.CANCELLED


async def test_input_that_makes_no_sense_is_refused_before_any_io(oms: OrderManager, venue: LossyVenue) -> None:
    with pytest.raises(OrderError, match="quantity -1 must be a positive number"):
        await oms.submit_order(SYMBOL, OrderSide.BUY, -1, OrderType.MARKET)
    with pytest.raises(OrderError, match="needs a price"):
        await oms.submit_order(SYMBOL, OrderSide.BUY, 1)
    with pytest.raises(OrderError, match="no order 'x' in this session"):
        await oms.cancel_order("x")
    assert venue.submits == 0


async def test_amending_in_place_keeps_the_order(oms: OrderManager) -> None:
    order = await oms.submit_order(SYMBOL, OrderSide.BUY, 0.2, OrderType.LIMIT, 40_000.0)
    same = await oms.modify_order(order.order_id, quantity=0.1, price=41_000.0)
    assert same is order
    assert (order.quantity, order.price) == (0.1, 41_000.0)


async def test_replacing_never_fills_more_than_the_target(oms: OrderManager, venue: LossyVenue) -> None:
    venue.capabilities = Capabilities(reports=True, client_order_ids=True, fills_since=True)
    order = await oms.submit_order(SYMBOL, OrderSide.BUY, 0.2, OrderType.LIMIT, 40_000.0)
    cancel = venue.cancel_order

    async def raced(order_id: str) -> bool:
        venue.set_price(SYMBOL, 39_000.0)  # it fills while the cancel is on its way
        return await cancel(order_id)

    venue.cancel_order = raced  # type: ignore[method-assign]
    same = await oms.modify_order(order.order_id, quantity=0.2, price=41_000.0)
    assert same is order
    assert order.status is OrderStatus.FILLED
    assert venue.submits == 1


@pytest.mark.parametrize("build", [lambda f: [f], lambda f: [f, f]], ids=["once", "twice"])
def test_the_end_of_an_order_waits_for_its_last_fill(build: Callable[[Filled], list[Filled]]) -> None:
    ours = Order("v1", SYMBOL, OrderSide.BUY, OrderType.LIMIT, 1.0, 100.0, client_order_id="c")
    theirs = ours.copy()
    theirs.status, theirs.filled_quantity = OrderStatus.CANCELLED, 0.5
    reports, complete = catch_up(ours, theirs, [], 1)
    assert not complete
    assert [type(report).__name__ for report in reports] == ["Accepted"]
    fill = Fill("v1", SYMBOL, OrderSide.BUY, 0.5, 100.0, 0.0, T0, "e1")
    reports, complete = catch_up(ours, theirs, [fill], 1)
    assert complete
    assert [type(report).__name__ for report in reports] == ["Accepted", "Filled", "Cancelled"]
    for report in reports:
        ours.apply(report)
    again, _ = catch_up(ours, theirs, [fill for _ in build(reports[1])], 2)  # type: ignore[arg-type]
    assert not any(isinstance(report, Filled) for report in again)


async def test_a_change_goes_through_the_gate_like_a_new_order(oms: OrderManager, venue: LossyVenue) -> None:
    order = await oms.submit_order(SYMBOL, OrderSide.BUY, 0.2, OrderType.LIMIT, 40_000.0)
    oms.book.mark(SYMBOL, 50_000.0, oms.clock.now_ns())
    with pytest.raises(OrderError, match=r"stays as it is: PRICE_OUTSIDE_COLLAR \(asked 90000.0"):
        await oms.modify_order(order.order_id, price=90_000.0)
    oms.desk.gate.state = TradingState.HALTED
    with pytest.raises(OrderError, match="TRADING_HALTED"):
        await oms.modify_order(order.order_id, quantity=0.3)
    await oms.modify_order(order.order_id, quantity=0.1)  # smaller is always allowed
    assert order.quantity == 0.1
