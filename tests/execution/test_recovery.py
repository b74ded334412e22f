"""Going on where another process ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from test_engine import SYMBOL, T0, Desk, Scripted, close, long

from autotrader_lab.execution import ExecutionEngine, RiskLimits
from autotrader_lab.execution.recovery import read_past
from autotrader_lab.model.market import Quote
from autotrader_lab.model.orders import OrderStatus


async def restarted(desk: Desk, strategy: Scripted, **engine: object) -> ExecutionEngine:
    """A new engine over the same venue and journal; the first one was never stopped."""
    await desk.engine._tasks.end()
    desk.adapter.report_callbacks.clear()
    again = ExecutionEngine(
        strategy,
        desk.adapter,
        feed=desk.feed,
        symbols=(SYMBOL,),
        journal=desk.journal,
        clock=desk.clock,
        id_prefix="again",
        **engine,  # type: ignore[arg-type]
    )
    starting = asyncio.ensure_future(again.start(read_past(desk.journal.read(stage="paper"))))
    while not starting.done():
        await desk.clock.advance(0.1)
    await starting
    return again


async def end(desk: Desk, engine: ExecutionEngine) -> None:
    stopping = asyncio.ensure_future(engine.stop())
    while not stopping.done():
        await desk.clock.advance(0.1)
    await stopping


async def test_books_strategy_and_baseline_go_on() -> None:
    desk = Desk(Scripted(long(0.5)))
    await desk.engine.start()
    await desk.quote(50_000, 50_010)
    told = Scripted(close)
    again = await restarted(desk, told)
    assert again.oms.get_position(SYMBOL) == 0.5
    assert told.executions[0][:2] == ("LONG", 0.0)
    assert told.closed == ["LONG"]
    assert again.monitor.reconciled is not None
    assert again.monitor.reconciled.ok
    desk.feed.push(Quote(SYMBOL, desk.clock.now_ns(), 50_100, 50_110, 5, 5))
    await desk.clock.advance(0.1)
    assert again.oms.get_position(SYMBOL) == 0.0
    assert again.trader.book.starting_equity == 100_000
    await end(desk, again)


async def test_a_fill_nobody_heard_of_is_adopted_once_and_the_strategy_learns_of_it() -> None:
    desk = Desk(Scripted(long(0.5, limit_price=49_000.0)))
    await desk.engine.start()
    await desk.quote(50_000, 50_010)
    await desk.engine._tasks.end()
    desk.adapter.report_callbacks.clear()  # the process is dead; the venue goes on
    await desk.quote(48_000, 48_010)
    told = Scripted()
    again = await restarted(desk, told)
    assert again.oms.get_position(SYMBOL) == 0.5
    assert [action for action, *_ in told.executions] == ["LONG"]
    assert again.monitor.reconciled is not None
    assert again.monitor.reconciled.fills_adopted == 1
    await end(desk, again)


async def test_an_intent_that_never_left_is_in_doubt_until_the_venue_answers() -> None:
    desk = Desk(Scripted(long(0.5)))
    await desk.engine.start()

    async def hangs(order: object) -> None:
        await asyncio.Event().wait()

    desk.engine.oms._transmit = hangs  # type: ignore[method-assign, assignment]
    await desk.quote(50_000, 50_010)
    again = await restarted(desk, Scripted(), oms={"fresh_s": 0.0})
    (order,) = again.trader.book.orders.values()
    assert order.status is OrderStatus.UNKNOWN
    await desk.clock.advance(5)
    assert order.status is OrderStatus.REJECTED
    assert desk.adapter.order_counter == 0
    assert len(again.dead_letters) == 1
    await end(desk, again)


async def test_the_days_loss_survives_the_restart() -> None:
    limits = RiskLimits(max_daily_loss=500, max_drawdown=None)
    desk = Desk(Scripted(long(1.0)), limits=limits)
    await desk.engine.start()
    await desk.quote(50_000, 50_010)
    await desk.quote(49_000, 49_010, seconds=1.5)
    again = await restarted(desk, Scripted(long(0.1)), limits=limits)
    desk.feed.push(Quote(SYMBOL, desk.clock.now_ns(), 49_000, 49_010, 5, 5))
    await desk.clock.advance(1.5)
    assert again.trader.gate.day_result(desk.clock.now_ns()) < -500
    newest = list(again.trader.book.orders.values())[-1]
    assert newest.status is OrderStatus.DENIED
    assert "DAILY_LOSS_OVER_LIMIT" in newest.reason
    assert desk.clock.now() - T0 < timedelta(hours=1)
    await end(desk, again)
