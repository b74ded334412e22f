"""Code written to the specification's sketches runs after changing the package name."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from autotrader_lab.execution import ExecutionEngine, KillSwitch
from autotrader_lab.execution.adapters import BaseBrokerAdapter, Fill, Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.oms import OrderManager
from autotrader_lab.execution.resiliency import ResiliencyManager
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import RateLimited, VenueUnavailable
from autotrader_lab.strategy import ExecutionDecision, StrategyConfig, TradingStrategy

T0 = datetime(2025, 10, 24, 12, 0, tzinfo=UTC)


class SketchAdapter(BaseBrokerAdapter):
    """Only the nine methods, written as the specification writes them; never calls super().__init__()."""

    def __init__(self, failures: list[Exception] | None = None) -> None:
        self.failures = failures or []
        self.sent: list[Order] = []
        self.fill_callbacks: list[Any] = []

    async def connect(self) -> bool:
        return True

    async def disconnect(self) -> None:
        pass

    async def submit_order(self, order: Order) -> Order:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(order)
        order.order_id = f"S_{len(self.sent)}"
        order.status = OrderStatus.SUBMITTED
        self.orders[order.order_id] = order
        return order

    def fill(self, order_id: str, quantity: float, price: float) -> None:
        order = self.orders[order_id]
        fill = Fill(order_id, order.symbol, order.side, quantity, price, 0.5, T0, f"FILL_{order_id}_{quantity}")
        self._notify_fills(fill)

    async def cancel_order(self, order_id: str) -> bool:
        return order_id in self.orders

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        return self.orders[order_id]

    async def get_order_status(self, order_id: str) -> Order:
        return self.orders[order_id]

    async def get_positions(self) -> dict[str, float]:
        return {}

    async def get_account_balance(self) -> dict[str, float]:
        return {"USD": 1_000_000.0}

    def subscribe_fills(self, callback: Any) -> None:
        self.fill_callbacks.append(callback)


def decide(action: str, size: float = 1.0, **metadata: Any) -> ExecutionDecision:
    return ExecutionDecision(action, "BTCUSDT", size, 0.7, T0, metadata)


async def test_order_manager_over_an_adapter_with_the_nine_methods() -> None:
    adapter = SketchAdapter()
    oms = OrderManager(adapter)
    order = await oms.submit_order("BTCUSDT", OrderSide.BUY, 2.0, OrderType.LIMIT, 100.0)
    assert order.status is OrderStatus.SUBMITTED
    assert oms.active_orders == {order.order_id: order}
    adapter.fill(order.order_id, 0.5, 100.0)
    assert oms.get_position("BTCUSDT") == 0.5
    assert order.status is OrderStatus.PARTIAL_FILL
    new = await oms.modify_order(order.order_id, quantity=1.5, price=101.0)
    assert new.metadata["replaced_order_id"] == "S_1"
    assert (new.quantity, new.price) == (1.0, 101.0)  # what is left of the target after the fill
    adapter.fill(new.order_id, 1.0, 101.0)
    assert oms.get_position("BTCUSDT") == 1.5
    assert oms.total_filled == 0.5 * 100 + 1.0 * 101
    assert oms.total_commission == 1.0
    assert [o.order_id for o in oms.completed_orders] == ["S_1", "S_2"]
    assert len(oms.fills) == 2
    assert oms.get_open_orders() == oms.get_open_orders("BTCUSDT") == []


async def test_cancel_moves_the_order_to_completed() -> None:
    oms = OrderManager(SketchAdapter())
    order = await oms.submit_order("BTCUSDT", OrderSide.SELL, 1.0, OrderType.LIMIT, 100.0)
    assert await oms.cancel_order(order.order_id)
    assert order.status is OrderStatus.CANCELLED
    assert oms.completed_orders == [order]
    assert not await oms.cancel_order(order.order_id)


async def test_retry_sends_again_only_what_never_left() -> None:
    adapter = SketchAdapter([VenueUnavailable("connection refused"), ConnectionRefusedError("no")])
    clock = SimulatedClock(T0)
    manager = ResiliencyManager(adapter, max_retries=3, initial_backoff=0.0, backoff_multiplier=2.0, clock=clock)
    order = await manager.submit_order_with_retry(Order("", "BTCUSDT", OrderSide.BUY, OrderType.MARKET, 1.0))
    assert order.order_id == "S_1"
    assert manager.failure_count == 0
    assert manager.get_failure_stats()["retries"] == 2


async def test_an_entry_does_not_wait_for_a_venue_that_asks_for_minutes_and_an_exit_does() -> None:
    clock = SimulatedClock(T0)
    adapter = SketchAdapter([RateLimited("slow down", 60.0), RateLimited("slow down", 60.0)])
    manager = ResiliencyManager(adapter, clock=clock)
    entry = Order("", "BTCUSDT", OrderSide.BUY, OrderType.MARKET, 1.0)
    with pytest.raises(RateLimited, match="slow down"):
        await manager.submit_order_with_retry(entry)
    assert [dead for dead, _ in manager.dead_letter_queue] == [entry]
    leaving = asyncio.ensure_future(
        manager.submit_order_with_retry(Order("", "BTCUSDT", OrderSide.SELL, OrderType.MARKET, 1.0, reduce_only=True))
    )
    await clock.advance(59)
    assert not leaving.done()
    await clock.advance(2)
    assert (await leaving).order_id == "S_1"

    async def busy() -> None:
        raise RateLimited("banned", 3_600.0)

    with pytest.raises(RateLimited, match="banned"):
        await manager.ask_with_retry(busy)
    assert (clock.now() - T0).total_seconds() == 61, "nobody waits an hour without a word"


async def test_exhausted_retries_are_dead_letters_and_open_the_circuit() -> None:
    adapter = SketchAdapter([VenueUnavailable("down")] * 5)
    clock = SimulatedClock(T0)
    manager = ResiliencyManager(
        adapter, max_retries=2, initial_backoff=0.0, circuit_breaker_threshold=3, clock=clock, breaker_rest_s=10
    )
    order = Order("", "BTCUSDT", OrderSide.BUY, OrderType.MARKET, 1.0)
    with pytest.raises(VenueUnavailable):
        await manager.submit_order_with_retry(order)
    assert [dead for dead, _ in manager.dead_letter_queue] == [order]
    with pytest.raises(VenueUnavailable, match="circuit breaker open"):
        await manager.submit_order_with_retry(order)
    assert manager.circuit_open
    exit_order = Order("", "BTCUSDT", OrderSide.SELL, OrderType.MARKET, 1.0, reduce_only=True)
    with pytest.raises(VenueUnavailable, match="down"):  # it is tried: exits pass an open breaker
        await manager.submit_order_with_retry(exit_order)
    await clock.advance(10)
    assert not manager.circuit_open
    assert (await manager.submit_order_with_retry(order)).order_id == "S_1"
    assert await manager.process_dead_letter_queue()
    assert manager.dead_letter_queue == []
    assert await manager.reconnect()


async def test_engine_executes_phase_8_decisions_on_paper() -> None:
    adapter = PaperTradingAdapter(initial_balance=100_000, latency_ms=(0, 0), slippage_bps=5, commission_bps=10)
    engine = ExecutionEngine(strategy=TradingStrategy(StrategyConfig(), 100_000.0), adapter=adapter)
    await adapter.connect()
    adapter.set_price("BTCUSDT", 50_000)
    assert await engine.execute_decision(decide("HOLD", 0.0)) is None
    order = await engine.execute_decision(decide("LONG", 0.5))
    assert order is not None
    assert order.status is OrderStatus.FILLED
    assert order.avg_fill_price == pytest.approx(50_025)
    assert engine.oms.get_position("BTCUSDT") == 0.5
    closed = await engine.execute_decision(decide("CLOSE", 0.0))
    assert closed is not None
    assert closed.side is OrderSide.SELL
    assert engine.oms.get_position("BTCUSDT") == 0.0
    assert await engine.execute_decision(decide("CLOSE", 0.0)) is None
    limit = await engine.execute_decision(decide("LONG", 0.1, limit_price=40_000.0))
    assert limit is not None
    assert (limit.order_type, limit.status) == (OrderType.LIMIT, OrderStatus.SUBMITTED)
    report = await KillSwitch(engine).activate()
    assert limit.status is OrderStatus.CANCELLED
    assert report.verified
    halted = await engine.execute_decision(decide("LONG", 0.1))
    assert halted is not None
    assert halted.status is OrderStatus.DENIED
    assert "TRADING_HALTED" in halted.reason


async def test_engine_without_resiliency_takes_the_same_order_path() -> None:
    adapter = SketchAdapter()
    engine = ExecutionEngine(TradingStrategy(StrategyConfig(), 100_000.0), adapter, enable_resiliency=False)
    assert engine.resiliency is None
    order = await engine.execute_decision(decide("SHORT", 1.0, limit_price=99.0))
    assert order is not None
    assert engine.oms.active_orders == {"S_1": order}
    assert order.side is OrderSide.SELL
