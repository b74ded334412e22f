"""The engine, its order manager and kill switch over Binance's adapter and feed, real sockets all the way."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest
from binance_kit import BTC, Desk, desk, until

from autotrader_lab.execution import ExecutionEngine, KillSwitch
from autotrader_lab.journal import MemoryJournal
from autotrader_lab.model.market import Quote
from autotrader_lab.model.orders import OrderSide, OrderStatus, OrderType
from autotrader_lab.sandbox.venues.binance.calls import Answer
from autotrader_lab.sandbox.venues.binance.hooks import Hooks, RequestInfo
from autotrader_lab.strategy.contract import Context, Strategy


class Silent(Strategy):
    """Watches the quotes and decides nothing: the orders here are the test's own."""

    def __init__(self) -> None:
        self.seen = 0

    def on_quote(self, quote: Quote, context: Context) -> Any:
        self.seen += 1


@asynccontextmanager
async def engine_on(held: Desk, **options: Any):
    engine = ExecutionEngine(
        Silent(), held.adapter, symbols=(BTC,), journal=MemoryJournal(), stage="testnet", **options
    )
    await engine.start()
    try:
        for step in range(500):
            if engine.strategy.seen:
                break
            held.move(60_000.0 + step)
            await asyncio.sleep(0.01)
        assert engine.strategy.seen, "the feed brought the market"
        yield engine
    finally:
        await engine.stop()


@pytest.mark.parametrize("websocket_orders", [False, True], ids=["rest", "websocket"])
async def test_a_round_trip_is_booked_and_reconciles(websocket_orders: bool) -> None:
    async with desk(connect=False, websocket_orders=websocket_orders) as held, engine_on(held) as engine:
        bought = await engine.oms.submit_order(BTC, OrderSide.BUY, 0.01, OrderType.MARKET)
        assert bought.status is OrderStatus.FILLED
        assert engine.oms.get_position(BTC) == pytest.approx(0.00999), "the fee was paid in the base currency"
        sold = await engine.oms.submit_order(BTC, OrderSide.SELL, 0.00999, OrderType.MARKET)
        assert sold.status is OrderStatus.FILLED
        outcome = await engine.reconcile()
        assert outcome.ok, outcome.differences


async def test_the_order_manager_changes_price_and_quantity_without_overfilling() -> None:
    async with desk(connect=False) as held, engine_on(held) as engine:
        order = await engine.oms.submit_order(BTC, OrderSide.BUY, 0.03, OrderType.LIMIT, held.near(0.9))
        held.hit("sell", order.price, 0.01)
        await until(lambda: order.status is OrderStatus.PARTIAL_FILL)
        lower = held.near(0.89)
        replacement = await engine.oms.modify_order(order.order_id, quantity=0.03, price=lower)
        assert (replacement.quantity, replacement.price) == (0.02, lower)
        held.hit("sell", lower, 0.02)
        await until(lambda: replacement.status is OrderStatus.FILLED)
        assert sum(fill.quantity for fill in engine.oms.fills) == pytest.approx(0.03)


async def test_a_smaller_quantity_keeps_its_place_and_its_id() -> None:
    async with desk(connect=False) as held, engine_on(held) as engine:
        order = await engine.oms.submit_order(BTC, OrderSide.BUY, 0.03, OrderType.LIMIT, held.near(0.9))
        same = await engine.oms.modify_order(order.order_id, quantity=0.02)
        assert same is order
        assert order.quantity == 0.02
        assert [found.quantity for found in await held.adapter.get_open_orders()] == [0.02]


async def test_a_fill_during_a_lost_line_is_booked_once_and_reconciles() -> None:
    async with desk(connect=False) as held, engine_on(held) as engine:
        order = await engine.oms.submit_order(BTC, OrderSide.BUY, 0.01, OrderType.LIMIT, held.near(0.9))
        held.box.venues["testnet"].websocket_api.drop()
        held.hit("sell", order.price, 0.01)
        await until(lambda: "restored" in held.states)
        await until(lambda: order.status is OrderStatus.FILLED)
        assert len(engine.oms.fills) == 1
        assert (await engine.reconcile()).ok


async def test_a_lost_answer_ends_in_one_order_and_one_fill() -> None:
    class LoseOne(Hooks):
        armed = True

        async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
            if self.armed and request.operation == "POST /api/v3/order":
                self.armed = False
                return None
            return answer

        def outgoing(self, world: str, channel: str, text: str) -> tuple[str, ...]:
            return () if channel == "user" else (text,)

    async with desk(connect=False, sandbox={"hooks": LoseOne()}) as held, engine_on(held) as engine:
        order = await engine.oms.submit_order(BTC, OrderSide.BUY, 0.01, OrderType.MARKET)
        await until(lambda: order.status is OrderStatus.FILLED)
        assert len(held.venue_orders()) == len(engine.oms.fills) == 1


async def test_the_kill_switch_leaves_nothing_working_at_the_venue() -> None:
    async with desk(connect=False) as held, engine_on(held) as engine:
        for number in range(5):
            # Different prices: the gate takes the same order twice for a slip.
            price = held.near(0.9) - number
            order = await engine.oms.submit_order(BTC, OrderSide.BUY, 0.001, OrderType.LIMIT, price)
            assert order.status is OrderStatus.SUBMITTED, order.reason
        report = await KillSwitch(engine).activate("test")
        assert report.verified
        assert (report.cancelled, report.remaining) == (5, [])
        assert not held.account.open
