"""The engine, its order manager and kill switch over Oanda's adapter and feed, real sockets all the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from oanda_kit import ORDERS, SYMBOL, Saying, make, move, oanda_sandbox, taken, until, venue_of

from autotrader_lab.execution import ExecutionEngine, KillSwitch
from autotrader_lab.execution.recovery import read_past
from autotrader_lab.journal import MemoryJournal
from autotrader_lab.model.market import Bar, Quote
from autotrader_lab.model.orders import OrderSide, OrderStatus, OrderType
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.strategy.contract import Context, Strategy


class Silent(Strategy):
    """Watches the quotes and decides nothing: the orders here are the test's own."""

    def __init__(self) -> None:
        self.seen = 0

    def on_quote(self, quote: Quote, context: Context) -> Any:
        self.seen += 1


class InAndOut(Strategy):
    """In on one bar, out on the next."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []

    def on_bar(self, bar: Bar, context: Context) -> Any:
        self.bars.append(bar)
        if context.position(bar.symbol) > 0:
            return self.close(bar.symbol, context)
        return self.long(bar.symbol, 1_000, context)


@asynccontextmanager
async def engine_on(box: Sandbox, strategy: Strategy, **options: Any) -> AsyncIterator[ExecutionEngine]:
    engine = ExecutionEngine(
        strategy, make(box), symbols=(SYMBOL,), journal=MemoryJournal(), stage="testnet", **options
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def quiet_engine(box: Sandbox) -> AsyncIterator[ExecutionEngine]:
    """An engine that has seen the market."""
    strategy = Silent()
    async with engine_on(box, strategy) as engine:
        await until(lambda: strategy.seen)
        yield engine


async def test_a_strategy_trades_on_bars_made_of_quotes() -> None:
    async with oanda_sandbox(speed=20) as box:
        strategy = InAndOut()
        async with engine_on(box, strategy, bar_interval_s=0.1) as engine:
            await until(lambda: len(engine.oms.fills) >= 4, within_s=20)
            assert {bar.symbol for bar in strategy.bars} == {SYMBOL}
            sides = [fill.side for fill in engine.oms.fills[:4]]
            assert sides == [OrderSide.BUY, OrderSide.SELL] * 2
        assert taken(box) == [each.client_order_id for each in engine.adapter.orders.values()]


async def test_an_order_is_changed_in_place_and_reconciles() -> None:
    async with oanda_sandbox() as box, quiet_engine(box) as engine:
        order = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 3_000, OrderType.LIMIT, 1.05)
        first = order.order_id
        same = await engine.oms.modify_order(order.order_id, quantity=2_000, price=1.06)
        assert same is order
        assert (order.quantity, order.price, order.order_id != first) == (2_000, 1.06, True)
        move(box, 1.055)
        await until(lambda: order.status is OrderStatus.FILLED)
        assert engine.oms.get_position(SYMBOL) == 2_000
        outcome = await engine.reconcile()
        assert outcome.ok, outcome.differences


async def test_a_fill_during_a_lost_line_is_booked_once_and_reconciles() -> None:
    async with oanda_sandbox() as box, quiet_engine(box) as engine:
        states: list[str] = []
        engine.adapter.subscribe_connection(lambda state, reason: states.append(state))
        order = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 1_000, OrderType.LIMIT, 1.09)
        venue_of(box).drop()
        move(box, 1.085)
        await until(lambda: states == ["lost", "restored"])
        await until(lambda: order.status is OrderStatus.FILLED)
        assert len(engine.oms.fills) == 1
        assert (await engine.reconcile()).ok


async def test_a_lost_answer_ends_in_one_order_and_one_fill() -> None:
    hooks = Saying(ORDERS, lambda answer: None)
    hooks.mute = lambda event: True
    async with oanda_sandbox(hooks=hooks) as box, quiet_engine(box) as engine:
        order = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 1_000, OrderType.MARKET)
        await until(lambda: order.status is OrderStatus.FILLED)
        assert len(taken(box)) == len(engine.oms.fills) == 1


async def test_the_kill_switch_leaves_nothing_working_and_nothing_held() -> None:
    async with oanda_sandbox() as box, quiet_engine(box) as engine:
        bought = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 5_000, OrderType.MARKET)
        assert bought.status is OrderStatus.FILLED
        for number in range(5):
            # Different prices: the gate takes the same order twice for a slip.
            price = round(1.09 - number / 1000, 5)
            order = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 1_000, OrderType.LIMIT, price)
            assert order.status is OrderStatus.SUBMITTED, order.reason
        report = await KillSwitch(engine).activate("test", flatten=True)
        assert report.verified
        assert (report.cancelled, report.remaining) == (5, [])
        assert not venue_of(box).desk.pending()
        assert not venue_of(box).desk.netting.open_trades()


async def test_a_restarted_engine_takes_up_what_an_earlier_one_left() -> None:
    async with oanda_sandbox() as box:
        journal = MemoryJournal()
        first = ExecutionEngine(Silent(), make(box), symbols=(SYMBOL,), journal=journal, stage="testnet")
        await first.start()
        await until(lambda: first.strategy.seen)
        order = await first.oms.submit_order(SYMBOL, OrderSide.BUY, 1_000, OrderType.LIMIT, 1.09)
        await first._tasks.end()  # as a process that dies: nothing is cancelled
        await first.feed.close()
        await first.adapter.disconnect()
        move(box, 1.085)
        second = ExecutionEngine(
            Silent(), make(box), symbols=(SYMBOL,), journal=journal, stage="testnet", id_prefix="again"
        )
        await second.start(read_past(journal.read(stage="testnet")))
        assert second.oms.get_position(SYMBOL) == 1_000
        assert second.oms.book.orders[order.client_order_id].status is OrderStatus.FILLED
        assert (await second.reconcile()).ok
        await second.stop()
