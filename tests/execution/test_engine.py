"""The live loop over paper: feed → strategy → risk → OMS → adapter → fills → strategy."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from autotrader_lab.execution import ExecutionEngine, KillSwitch, RiskLimits, TradingState
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.market_data import LocalFeed
from autotrader_lab.journal import MemoryJournal, records
from autotrader_lab.journal.fold import fold
from autotrader_lab.model.clock import SimulatedClock, to_ns
from autotrader_lab.model.errors import GateClosed, RateLimited, TradingHalted
from autotrader_lab.model.market import Bar, Quote, Trade
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.strategy.contract import Context, Strategy
from autotrader_lab.strategy.decision import ExecutionDecision

T0 = datetime(2024, 8, 9, 12, 0, tzinfo=UTC)
SYMBOL = "BTC/USDT"


class Scripted(Strategy):
    """Says what it was told to, one answer an event; remembers what it learned."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.seen: list[Any] = []
        self.executions: list[tuple[str, float, float, float | None, float | None]] = []
        self.closed: list[str] = []

    def on_quote(self, quote: Quote, context: Context) -> Any:
        self.seen.append(quote)
        answer = self.answers.pop(0) if self.answers else None
        return answer(context) if callable(answer) else answer

    def record_execution(
        self,
        decision: ExecutionDecision,
        pnl: float,
        fees: float = 0.0,
        fill_price: float | None = None,
        quantity: float | None = None,
        timestamp: datetime | None = None,
    ) -> None:
        self.executions.append((decision.action, pnl, fees, fill_price, quantity))

    def decision_closed(self, decision: ExecutionDecision) -> None:
        self.closed.append(decision.action)


class Desk:
    """An engine on paper with a feed pushed by hand and a clock that steps."""

    def __init__(self, strategy: Any, **engine: Any) -> None:
        self.clock = SimulatedClock(T0)
        self.feed = LocalFeed()
        self.adapter = PaperTradingAdapter(
            100_000, latency_ms=(10, 10), slippage_bps=0, commission_bps=10, clock=self.clock, currency="USDT"
        )
        self.journal = MemoryJournal(clock=self.clock)
        self.engine = ExecutionEngine(
            strategy,
            self.adapter,
            feed=self.feed,
            symbols=(SYMBOL,),
            journal=self.journal,
            clock=self.clock,
            id_prefix="t",
            **engine,
        )

    async def __aenter__(self) -> Desk:
        await self.engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        stopping = asyncio.ensure_future(self.engine.stop())
        while not stopping.done():
            await self.clock.advance(0.1)
        await stopping

    async def quote(self, bid: float, ask: float, seconds: float = 0.1) -> None:
        self.feed.push(Quote(SYMBOL, self.clock.now_ns(), bid, ask, 5.0, 5.0))
        await self.clock.advance(seconds)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.journal.read()]


def long(size: float, **metadata: Any) -> Any:
    return lambda context: Strategy.long(SYMBOL, size, context, **metadata)


def close(context: Context) -> ExecutionDecision:
    return Strategy.close(SYMBOL, context)


async def test_a_decision_becomes_a_fill_and_the_strategy_learns_the_truth() -> None:
    strategy = Scripted(long(0.5), None, close)
    async with Desk(strategy) as desk:
        await desk.quote(50_000, 50_010)
        await desk.quote(50_100, 50_110)
        await desk.quote(50_200, 50_210)
        assert strategy.executions == [
            ("LONG", 0.0, pytest.approx(25.005), 50_010.0, 0.5),
            ("CLOSE", pytest.approx(95.0), pytest.approx(25.1), 50_200.0, 0.5),
        ]
        assert strategy.closed == ["LONG", "CLOSE"]
        status = desk.engine.status()
        assert status["equity"] == pytest.approx(100_000 + 95 - 25.005 - 25.1)
        assert status["counters"]["round_trips"] == 1
        assert status["counters"]["unreconciled"] == 0


class Busy(PaperTradingAdapter):
    """Asks to wait, each question so often; an earlier process has used the account's share."""

    def __init__(self, times: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.left = dict.fromkeys(("balance", "positions", "open orders"), times)

    def busy(self, question: str) -> None:
        if self.left[question]:
            self.left[question] -= 1
            raise RateLimited(f"{question}: slow down", 1.5)

    async def get_account_balance(self) -> dict[str, float]:
        self.busy("balance")
        return await super().get_account_balance()

    async def get_positions(self) -> dict[str, float]:
        self.busy("positions")
        return await super().get_positions()

    async def get_open_orders(self, symbol: str | None = None) -> Any:
        self.busy("open orders")
        return await super().get_open_orders(symbol)


async def started(engine: ExecutionEngine, clock: SimulatedClock) -> None:
    starting = asyncio.ensure_future(engine.start())
    while not starting.done():
        await clock.advance(0.1)
    await starting


@pytest.mark.parametrize(
    ("times", "resiliency", "refusal"),
    [(1, True, None), (2, True, None), (3, True, RateLimited), (1, False, RateLimited)],
)
async def test_a_start_waits_as_a_busy_venue_asks_it_to(
    times: int, resiliency: bool, refusal: type[Exception] | None
) -> None:
    clock = SimulatedClock(T0)
    adapter = Busy(times, initial_balance=100_000, clock=clock, currency="USDT")
    engine = ExecutionEngine(
        Scripted(), adapter, resiliency, feed=LocalFeed(), symbols=(SYMBOL,), journal=MemoryJournal(clock=clock),
        clock=clock,
    )  # fmt: skip
    if refusal is not None:
        with pytest.raises(refusal, match="balance: slow down"):
            await started(engine, clock)
        assert engine.status()["running"] is False
        return
    await started(engine, clock)
    assert set(adapter.left.values()) == {0}, "every question was asked until it was answered"
    assert (clock.now() - T0).total_seconds() >= 2 * times * 1.5, "no sooner than the venue said"
    assert engine.status()["reconciled"] is True
    stopping = asyncio.ensure_future(engine.stop())
    while not stopping.done():
        await clock.advance(0.1)


async def test_a_start_gives_up_a_venue_that_cannot_be_compared_with() -> None:
    clock = SimulatedClock(T0)
    adapter = Busy(0, initial_balance=100_000, clock=clock, currency="USDT")
    adapter.left["open orders"] = 1_000
    engine = ExecutionEngine(
        Scripted(), adapter, feed=LocalFeed(), symbols=(SYMBOL,), journal=MemoryJournal(clock=clock), clock=clock
    )
    with pytest.raises(TradingHalted, match="open orders: slow down"):
        await started(engine, clock)
    assert engine.status()["running"] is False


async def test_the_journal_is_written_before_the_wire_and_gives_the_books_back() -> None:
    async with Desk(Scripted(long(0.5))) as desk:
        order_of_things: list[str] = []
        submit = desk.adapter.submit_order

        async def watched(order: Any) -> Any:
            order_of_things.append(desk.kinds()[-1])
            return await submit(order)

        desk.engine.resiliency.adapter.submit_order = watched  # type: ignore[union-attr, method-assign]
        await desk.quote(50_000, 50_010)
        assert order_of_things == ["intent"]
        books = fold(desk.journal.read())
        assert books.positions.quantity(SYMBOL) == desk.engine.trader.book.position(SYMBOL)
        assert {i: o.status for i, o in books.orders.items()} == {"t-1": OrderStatus.FILLED}
    kinds = set(desk.kinds())
    assert {"decision", "intent", "report", "equity", "counters", "latency", "reconciliation"} <= kinds


async def test_the_strategy_sees_the_latest_quote_not_a_backlog() -> None:
    strategy = Scripted()
    async with Desk(strategy) as desk:
        for bid in range(100, 200):
            desk.feed.push(Quote(SYMBOL, desk.clock.now_ns(), bid, bid + 1))
        await desk.clock.advance(0.1)
        assert [quote.bid for quote in strategy.seen] == [199]


async def test_bars_are_built_from_trades() -> None:
    class OnBars(Strategy):
        def __init__(self) -> None:
            self.bars: list[Bar] = []

        def on_bar(self, bar: Bar, context: Context) -> None:
            self.bars.append(bar)

    strategy = OnBars()
    async with Desk(strategy, bar_interval_s=1.0) as desk:
        for price in (10.0, 12.0, 9.0, 11.0):
            desk.feed.push(Trade(SYMBOL, desk.clock.now_ns(), price, 1.0))
            await desk.clock.advance(0.2)
        await desk.clock.advance(1.0)
        assert strategy.bars == [Bar(SYMBOL, to_ns(T0) + 10**9, 10.0, 12.0, 9.0, 11.0, 4.0)]


async def test_a_strategy_that_raises_stops_entries_and_nothing_else() -> None:
    def broken(context: Context) -> None:
        raise ZeroDivisionError("spread is zero")

    strategy = Scripted(long(0.5, limit_price=40_000.0), broken, long(1.0))
    async with Desk(strategy) as desk:
        await desk.quote(50_000, 50_010)
        await desk.quote(50_000, 50_010)
        await desk.quote(50_000, 50_010)
        assert desk.engine.failure is not None
        assert "Scripted.on_quote raised ZeroDivisionError: spread is zero" in str(desk.engine.failure)
        assert desk.engine.trader.gate.state is TradingState.REDUCING
        assert len(strategy.seen) == 2
        (order,) = desk.engine.oms.get_open_orders()
        cancelling = asyncio.ensure_future(desk.engine.oms.cancel_order(order.client_order_id))
        await desk.clock.advance(0.1)
        assert await cancelling
        assert [alert.code for _, alert in desk.engine.guard.alerts] == ["STRATEGY_FAILED"]


@pytest.mark.parametrize("size", [float("nan"), -1.0, float("inf"), "a lot"])
async def test_a_size_that_is_no_number_of_units_is_named(size: Any) -> None:
    async with Desk(Scripted(long(size))) as desk:
        await desk.quote(50_000, 50_010)
        assert "must be a finite number of units" in str(desk.engine.failure)
        assert desk.engine.trader.book.orders == {}


async def test_an_answer_that_is_no_decision_is_named() -> None:
    async with Desk(Scripted("LONG")) as desk:
        await desk.quote(50_000, 50_010)
        assert "return an ExecutionDecision, or None to hold" in str(desk.engine.failure)


async def test_a_strategy_that_raises_on_its_own_fill_does_not_lose_the_fill() -> None:
    class Forgetful(Scripted):
        def record_execution(self, *arguments: Any, **named: Any) -> None:
            raise KeyError("position")

    async with Desk(Forgetful(long(0.5))) as desk:
        await desk.quote(50_000, 50_010)
        assert desk.engine.oms.get_position(SYMBOL) == 0.5
        assert "record_execution raised KeyError" in str(desk.engine.failure)
        assert fold(desk.journal.read()).positions.quantity(SYMBOL) == desk.engine.trader.book.position(SYMBOL)


async def test_a_denial_is_journaled_told_and_costs_no_io() -> None:
    strategy = Scripted(long(0.5))
    async with Desk(strategy, limits=RiskLimits(max_order_notional=10_000)) as desk:
        await desk.quote(50_000, 50_010)
        (order,) = desk.engine.trader.book.orders.values()
        assert order.status is OrderStatus.DENIED
        assert order.reason.startswith("NOTIONAL_OVER_LIMIT (asked 25005.0, limit 10000.0)")
        assert desk.adapter.order_counter == 0
        assert strategy.closed == ["LONG"]
        assert desk.engine.status()["counters"]["denied"] == 1


async def test_kill_cancels_verifies_and_stays_halted() -> None:
    strategy = Scripted(long(0.5), long(0.1, limit_price=40_000.0), long(0.2))
    async with Desk(strategy) as desk:
        await desk.quote(50_000, 50_010)
        await desk.quote(50_000, 50_010)
        assert len(desk.engine.oms.get_open_orders()) == 1
        killing = asyncio.ensure_future(KillSwitch(desk.engine).activate("drill", flatten=True, disconnect=False))
        while not killing.done():
            await desk.clock.advance(0.05)
        report = await killing
        assert report.verified
        assert report.remaining == []
        assert report.cancelled == 1
        assert desk.engine.oms.get_position(SYMBOL) == 0.0
        await desk.quote(50_000, 50_010)
        assert list(desk.engine.trader.book.orders.values())[-1].status is OrderStatus.DENIED
        states = [e.decode(records.TradingStateRecord).state for e in desk.journal.read(kinds=[records.TRADING_STATE])]
        assert states == ["HALTED"]


async def test_after_stop_no_task_of_ours_is_alive() -> None:
    before = asyncio.all_tasks()
    async with Desk(Scripted(long(0.5))) as desk:
        await desk.quote(50_000, 50_010)
        assert asyncio.all_tasks() - before
    await desk.engine.stop()
    assert asyncio.all_tasks() - before == set()


async def test_breach_of_the_daily_loss_leaves_exits_only() -> None:
    strategy = Scripted(long(1.0), None, long(0.1), close)
    async with Desk(strategy, limits=RiskLimits(max_daily_loss=500, max_drawdown=None)) as desk:
        await desk.quote(50_000, 50_010)
        await desk.quote(49_000, 49_010, seconds=1.5)
        assert desk.engine.trader.gate.state is TradingState.REDUCING
        await desk.quote(49_000, 49_010)
        await desk.quote(49_000, 49_010)
        assert desk.engine.oms.get_position(SYMBOL) == 0.0
        assert "DAILY_LOSS_OVER_LIMIT" in [alert.code for _, alert in desk.engine.guard.alerts]


async def test_run_live_trading_ends_in_order_when_cancelled() -> None:
    feed = LocalFeed()
    adapter = PaperTradingAdapter(latency_ms=0, currency="USDT")
    engine = ExecutionEngine(Scripted(long(0.5)), adapter, feed=feed, symbols=(SYMBOL,))
    running = asyncio.create_task(engine.run_live_trading())
    while not engine.is_running:
        await asyncio.sleep(0.01)
    feed.push(Quote(SYMBOL, engine.clock.now_ns(), 50_000, 50_010, 5, 5))
    while engine.oms.get_position(SYMBOL) == 0.0:
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not engine.is_running


async def test_limits_go_down_freely_and_up_only_when_armed() -> None:
    async with Desk(Scripted(None, long(0.5)), limits=RiskLimits(max_order_notional=50_000)) as desk:
        engine = desk.engine
        engine.guard.set_limits(RiskLimits(max_order_notional=10_000, max_position={SYMBOL: 1.0}))
        with pytest.raises(GateClosed, match=r"max_order_notional, max_position\[BTC/USDT\]; tighten"):
            engine.guard.set_limits(RiskLimits(max_order_notional=20_000))
        await desk.quote(50_000, 50_010)
        await desk.quote(50_000, 50_010)
        (order,) = engine.trader.book.orders.values()
        assert order.status is OrderStatus.DENIED
        engine.guard.set_limits(RiskLimits(max_order_notional=20_000), armed=True)
        assert engine.trader.gate.limits.max_order_notional == 20_000


async def test_where_a_venue_shows_no_trades_bars_are_built_from_quotes() -> None:
    class OnBars(Strategy):
        def __init__(self) -> None:
            self.bars: list[Bar] = []

        def on_bar(self, bar: Bar, context: Context) -> None:
            self.bars.append(bar)

    strategy = OnBars()
    desk = Desk(strategy, bar_interval_s=1.0)
    desk.feed.kinds = ("quotes",)  # type: ignore[attr-defined]
    async with desk:
        for mid in (10.0, 12.0, 9.0, 11.0):
            await desk.quote(mid - 0.5, mid + 0.5, seconds=0.2)
        await desk.clock.advance(1.0)
        assert strategy.bars == [Bar(SYMBOL, to_ns(T0) + 10**9, 10.0, 12.0, 9.0, 11.0, 0.0)]
