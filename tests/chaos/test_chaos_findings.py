"""What chaos found wrong, each as the smallest thing that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from autotrader_lab.execution import ExecutionEngine, TradingState
from autotrader_lab.execution.adapters.ccxt_errors import translate
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.market_data import LocalFeed
from autotrader_lab.journal import MemoryJournal, records
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import OutcomeUnknown, VenueError, VenueUnavailable
from autotrader_lab.strategy.contract import Strategy

SYMBOL = "BTC/USDT"


class Moody(PaperTradingAdapter):
    """A paper venue that answers the next so many questions for positions with an error."""

    mood: list[Exception]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mood = []

    async def get_positions(self) -> dict[str, float]:
        if self.mood:
            raise self.mood.pop(0)
        return await super().get_positions()


@asynccontextmanager
async def engine_on_moody(**options: Any) -> AsyncIterator[tuple[ExecutionEngine, Moody, SimulatedClock]]:
    clock = SimulatedClock()
    adapter = Moody(100_000, latency_ms=(10, 10), clock=clock, currency="USDT")
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
