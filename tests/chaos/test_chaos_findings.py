"""What chaos found wrong, each as the smallest thing that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from autotrader_lab.execution import ExecutionEngine, TradingState
from autotrader_lab.execution.adapters.ccxt_errors import translate
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.market_data import LocalFeed
from autotrader_lab.execution.resiliency import ResiliencyManager
from autotrader_lab.journal import MemoryJournal, records
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import OrderError, OutcomeUnknown, VenueError, VenueUnavailable
from autotrader_lab.model.market import Quote
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.strategy.contract import Strategy

SYMBOL = "BTC/USDT"


class Moody(PaperTradingAdapter):
    """A paper venue that answers the next so many questions for positions with an error."""

    mood: list[Exception]
    sends: list[Exception]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mood = []
        self.sends = []

    async def submit_order(self, order: Order) -> Order:
        if self.sends:
            raise self.sends.pop(0)
        return await super().submit_order(order)

    async def get_account_balance(self) -> dict[str, float]:
        if self.mood:
            raise self.mood.pop(0)
        return await super().get_account_balance()

    async def get_positions(self) -> dict[str, float]:
        if self.mood:
            raise self.mood.pop(0)
        return await super().get_positions()


@asynccontextmanager
async def engine_on_moody(
    kind: type[Moody] = Moody, **options: Any
) -> AsyncIterator[tuple[ExecutionEngine, Moody, SimulatedClock]]:
    clock = SimulatedClock()
    adapter = kind(100_000, latency_ms=(10, 10), clock=clock, currency="USDT")
    engine = ExecutionEngine(
        Strategy(),
        adapter,
        feed=LocalFeed(),
        symbols=(SYMBOL,),
        journal=MemoryJournal(clock=clock),
        clock=clock,
        **options,
    )
    await engine.start()
    try:
        yield engine, adapter, clock
    finally:
        stopping = asyncio.ensure_future(engine.stop())
        while not stopping.done():
            await clock.advance(0.1)
        await stopping


def reconciliations(engine: ExecutionEngine) -> list[bool]:
    return [entry.payload["ok"] for entry in engine.journal.read(kinds=records.RECONCILIATION)]


@pytest.mark.parametrize("error", [VenueError("a refusal nobody expected"), KeyError("a bug")])
async def test_an_unexpected_error_does_not_end_the_reconciling_on_the_timer(error: Exception) -> None:
    async with engine_on_moody(reconcile_every_s=5) as (engine, adapter, clock):
        adapter.mood = [error]
        await clock.advance(6)
        before = len(reconciliations(engine))
        await clock.advance(6)
        assert len(reconciliations(engine)) > before
        assert engine.guard.state is TradingState.ACTIVE


async def test_after_a_reconnect_a_venue_that_does_not_answer_is_asked_again_soon() -> None:
    async with engine_on_moody(reconcile_every_s=1_000) as (engine, adapter, clock):
        adapter.mood = [VenueUnavailable("busy"), VenueUnavailable("busy")]
        adapter._connection("lost", "test")
        assert engine.guard.state is TradingState.REDUCING
        adapter._connection("restored", "test")
        await clock.advance(2)
        assert engine.guard.state is TradingState.ACTIVE
        assert reconciliations(engine)[-3:] == [False, False, True]


async def test_books_that_agree_do_not_let_entries_pass_while_the_reports_do_not_reach_us() -> None:
    async with engine_on_moody() as (engine, adapter, clock):
        adapter._connection("lost", "test")
        assert (await engine.reconcile()).ok
        assert engine.guard.state is TradingState.REDUCING
        adapter._connection("restored", "test")
        await clock.advance(1)
        assert engine.guard.state is TradingState.ACTIVE


def test_a_broken_servers_word_is_no_refusal_whatever_class_the_client_library_has_for_its_code() -> None:
    import ccxt

    error = ccxt.BadRequest('binance {"code":-1020,"msg":"This service is no longer available."}')
    error.http_status = 503
    assert isinstance(translate(error, "submit", "an order"), OutcomeUnknown)
    assert isinstance(translate(error, "query", "a question"), VenueUnavailable)


async def buy(engine: ExecutionEngine, clock: SimulatedClock) -> Order:
    assert isinstance(engine.feed, LocalFeed)
    engine.feed.push(Quote(SYMBOL, clock.now_ns(), 50_000, 50_010, 5.0, 5.0))
    await clock.advance(0.2)
    sending = asyncio.ensure_future(engine.oms.submit_order(SYMBOL, OrderSide.BUY, 0.01, OrderType.MARKET))
    while not sending.done():
        await clock.advance(0.1)
    return await sending


async def test_an_open_breaker_denies_at_the_gate_and_a_question_not_an_order_closes_it() -> None:
    settings = {"circuit_breaker_threshold": 2, "breaker_rest_s": 5.0, "max_retries": 1}
    async with engine_on_moody(resiliency=settings) as (engine, adapter, clock):
        adapter.sends = [VenueUnavailable("down"), VenueUnavailable("down")]
        for _ in range(2):
            assert (await buy(engine, clock)).status is OrderStatus.REJECTED
        held_back = await buy(engine, clock)
        assert held_back.status is OrderStatus.DENIED
        assert len(engine.dead_letters) == 2, "what was never let through is no dead letter"
        await clock.advance(4)
        assert engine.guard.state is TradingState.REDUCING
        adapter.mood = [VenueUnavailable("still down")] * 3
        await clock.advance(3)
        assert not adapter.mood, "it was asked until it answered"
        assert engine.guard.state is TradingState.ACTIVE
        assert (await buy(engine, clock)).status is not OrderStatus.DENIED


async def test_a_venue_that_answers_all_that_a_comparison_asks_closes_the_breaker() -> None:
    settings = {"circuit_breaker_threshold": 1, "breaker_rest_s": 1_000.0, "max_retries": 1}
    async with engine_on_moody(resiliency=settings, reconcile_every_s=1_000) as (engine, adapter, clock):
        adapter.sends = [VenueUnavailable("down")]
        assert (await buy(engine, clock)).status is OrderStatus.REJECTED
        adapter.mood = [VenueUnavailable("still down")]
        assert not (await engine.reconcile()).ok
        assert "breaker" in engine.guard.reasons
        assert (await engine.reconcile()).ok
        assert engine.guard.state is TradingState.ACTIVE
        assert (await buy(engine, clock)).status is OrderStatus.FILLED


async def test_absent_and_held_back_for_a_moment_it_stays_in_doubt_and_goes_again_when_it_may() -> None:
    settings = {"settle_s": 0.5, "fresh_s": 10.0}
    async with engine_on_moody(oms=settings) as (engine, adapter, clock):
        adapter.sends = [OutcomeUnknown("cut")]
        order = await buy(engine, clock)
        assert order.status is OrderStatus.UNKNOWN
        adapter._connection("lost", "test")
        await clock.advance(3)
        assert order.status is OrderStatus.UNKNOWN
        adapter._connection("restored", "test")
        await clock.advance(3)
        assert order.status is OrderStatus.FILLED
        assert len(engine.oms.fills) == 1


async def test_absent_and_held_back_until_it_is_stale_it_is_given_up() -> None:
    settings = {"settle_s": 0.5, "fresh_s": 4.0}
    async with engine_on_moody(oms=settings) as (engine, adapter, clock):
        adapter.sends = [OutcomeUnknown("cut")]
        order = await buy(engine, clock)
        adapter._connection("lost", "test")
        await clock.advance(6)
        assert order.status is OrderStatus.REJECTED
        assert "stale" in order.reason
        assert len(engine.dead_letters) == 1


async def test_an_attempt_that_says_nothing_of_the_venue_does_not_keep_the_breaker_half_open_for_ever() -> None:
    clock = SimulatedClock()
    adapter = Moody(100_000, clock=clock, currency="USDT")
    manager = ResiliencyManager(adapter, 1, circuit_breaker_threshold=1, clock=clock, breaker_rest_s=1.0)
    adapter.sends = [VenueUnavailable("down"), OrderError("no such thing"), VenueUnavailable("still down")]
    for error in (VenueUnavailable, OrderError, VenueUnavailable):
        with pytest.raises(error, match=r"down|no such"):
            await manager.submit_order_with_retry(Order("", SYMBOL, OrderSide.BUY, OrderType.MARKET, 0.01))
        await clock.advance(2)
    assert not adapter.sends, "every attempt reached the venue"


async def test_orders_in_doubt_wait_for_the_venue_side_by_side_not_one_after_the_other() -> None:
    class Slow(Moody):
        async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
            await clock.sleep(1)
            return await super().find_order(client_order_id, symbol)

    calm = {"circuit_breaker_threshold": 50}
    async with engine_on_moody(Slow, oms={"settle_s": 0.5, "fresh_s": 6.0}, resiliency=calm) as (
        engine,
        adapter,
        clock,
    ):
        adapter.sends = [OutcomeUnknown("cut")] * 5
        orders = [await buy(engine, clock) for _ in range(5)]
        await clock.advance(8)
        assert [order.status for order in orders] == [OrderStatus.FILLED] * 5, "none became stale in the queue"


async def test_answers_that_are_lost_while_the_orders_work_do_not_open_the_breaker() -> None:
    class Deaf(Moody):
        async def submit_order(self, order: Order) -> Order:
            await super().submit_order(order)
            raise OutcomeUnknown("the answer was lost, the reports come")

    async with engine_on_moody(Deaf, resiliency={"circuit_breaker_threshold": 2}) as (engine, _, clock):
        orders = [await buy(engine, clock) for _ in range(4)]
        assert engine.guard.state is TradingState.ACTIVE
        await clock.advance(1)
        assert [order.status for order in orders] == [OrderStatus.FILLED] * 4


async def test_each_time_an_order_is_sent_the_settle_time_begins_anew() -> None:
    sent_at_s: list[float] = []

    class Noting(Moody):
        async def submit_order(self, order: Order) -> Order:
            sent_at_s.append(clock.now_ns() / 1e9)
            return await super().submit_order(order)

    async with engine_on_moody(Noting, oms={"settle_s": 2.0, "fresh_s": 60.0}) as (engine, adapter, clock):
        adapter.sends = [OutcomeUnknown("cut"), OutcomeUnknown("cut again")]
        order = await buy(engine, clock)
        await clock.advance(12)
        assert order.status is OrderStatus.FILLED
        assert len(sent_at_s) == 3
        assert min(later - earlier for earlier, later in pairwise(sent_at_s)) >= 2.0


async def test_what_was_given_up_is_not_in_doubt_at_the_adapter_either() -> None:
    async with engine_on_moody(oms={"settle_s": 2.0, "fresh_s": 1.0}) as (engine, adapter, clock):
        adapter.sends = [OutcomeUnknown("cut")]
        order = await buy(engine, clock)
        adapter.orders[order.client_order_id] = view = order.copy()
        adapter.find_order = _absent  # type: ignore[method-assign]
        await clock.advance(4)
        assert order.status is OrderStatus.REJECTED
        assert view.status is OrderStatus.REJECTED, "or every reconnect would ask about it again"


async def _absent(client_order_id: str, symbol: str) -> None:
    return None


async def test_an_order_that_was_given_up_and_works_all_the_same_blocks_trading() -> None:
    async with engine_on_moody(oms={"settle_s": 2.0, "fresh_s": 1.0}) as (engine, adapter, clock):
        adapter.sends = [OutcomeUnknown("stuck on the way")]
        order = await buy(engine, clock)
        await clock.advance(4)
        assert order.status is OrderStatus.REJECTED
        working = order.copy()
        working.status, working.order_id = OrderStatus.SUBMITTED, "V-1"

        async def open_orders(symbol: str | None = None) -> list[Order]:
            return [working]

        adapter.get_open_orders = open_orders  # type: ignore[method-assign]
        outcome = asyncio.ensure_future(engine.reconcile())
        while not outcome.done():
            await clock.advance(0.5)
        assert not (await outcome).ok
        assert engine.guard.state is TradingState.REDUCING


@pytest.mark.parametrize("button", ["resubmit", "discard"])
async def test_a_person_cannot_decide_before_the_venue_can_know(button: str) -> None:
    class Distant(Moody):
        arrival_window_s = 30.0

    async with engine_on_moody(Distant, oms={"settle_s": 1.0}) as (engine, adapter, clock):
        adapter.sends = [OutcomeUnknown("stuck on the way")]
        order = await buy(engine, clock)
        with pytest.raises(OrderError, match="may still arrive"):
            await getattr(engine.settlement, button)(order.client_order_id)
        await clock.advance(20)
        assert order.status is OrderStatus.UNKNOWN, "nor does the clock before that"


async def test_what_an_order_in_doubt_may_have_done_is_no_drift_and_more_than_that_is() -> None:
    async with engine_on_moody(oms={"settle_s": 60.0}) as (engine, adapter, clock):
        held = 0.0

        async def positions() -> dict[str, float]:
            return {SYMBOL: held}

        adapter.get_positions = positions  # type: ignore[method-assign]
        adapter.sends = [OutcomeUnknown("cut")]
        assert (await buy(engine, clock)).status is OrderStatus.UNKNOWN
        for held, is_explained in ((0.0, True), (0.004, True), (0.01, True), (0.02, False), (-0.01, False)):
            asking = asyncio.ensure_future(engine.reconcile())
            while not asking.done():
                await clock.advance(0.5)
            assert (await asking).ok is is_explained, held


async def test_a_difference_that_changes_while_orders_fill_is_looked_at_again() -> None:
    async with engine_on_moody() as (engine, adapter, clock):
        told = [0.5, 0.2, 0.0]

        async def positions() -> dict[str, float]:
            return {SYMBOL: told.pop(0) if len(told) > 1 else told[0]}

        adapter.get_positions = positions  # type: ignore[method-assign]
        asking = asyncio.ensure_future(engine.reconcile())
        while not asking.done():
            await clock.advance(0.5)
        assert (await asking).ok
        assert not any(alert.code == records.DRIFT_CODE for _, alert in engine.guard.alerts)
