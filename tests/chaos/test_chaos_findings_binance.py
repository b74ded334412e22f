"""What chaos found wrong in the adapters behind ccxt, each as the smallest thing that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.execution.oms import OrderManager
from autotrader_lab.model.errors import VenueUnavailable
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.fault_plan import read_plan

BTC = "BTC/USDT"


@asynccontextmanager
async def adapter_on_sandbox(*rules: Any, **options: Any) -> AsyncIterator[tuple[Sandbox, BinanceAdapter]]:
    async with Sandbox(seed=7, speed=0, faults={"rules": rules}) as box:
        entry = box.addresses["binance"]
        adapter = BinanceAdapter(entry["api_key"], entry["api_secret"], testnet=True, addresses=entry, **options)
        await adapter.connect()
        try:
            yield box, adapter
        finally:
            await adapter.disconnect()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"never came: {condition}")


@pytest.mark.parametrize("body", ["html", "truncated", "empty"])
async def test_a_time_that_is_none_is_no_answer_and_does_not_end_the_measuring(body: str) -> None:
    async with adapter_on_sandbox(clock_sync_s=0.01) as (box, adapter):
        box.faults.replace(read_plan({"rules": [{"do": "rubbish", "body": body, "where": {"kind": "public"}}]}))
        with pytest.raises(VenueUnavailable, match="time"):
            await adapter.sync_clock()
        await asyncio.sleep(0.1)
        box.faults.replace(read_plan({"rules": [{"do": "clock_skew", "offset_ms": 400}]}))
        await until(lambda: 300 < (adapter.clock_offset_ms or 0.0) < 500)


async def test_a_clock_found_wrong_is_measured_again_soon() -> None:
    async with adapter_on_sandbox({"do": "clock_skew", "offset_ms": 4_000}, clock_sync_s=3_600) as (box, adapter):
        assert (adapter.clock_offset_ms or 0.0) > 3_000
        box.faults.replace(read_plan({}))
        await until(lambda: abs(adapter.clock_offset_ms or 0.0) < 500)


async def test_an_order_that_arrives_after_it_was_sent_again_is_refused_by_the_venue_not_executed_twice() -> None:
    late = {"do": "delay", "seconds": 1.6, "where": {"kind": "submit"}, "when": {"count": 1}}
    async with adapter_on_sandbox(late, timeout_s=0.3, order_window_s=0.3) as (box, adapter):
        oms = OrderManager(adapter, settle_s=0.1, fresh_s=60)
        order = await oms.submit_order(BTC, OrderSide.BUY, 0.01, OrderType.MARKET)
        assert order.status is OrderStatus.UNKNOWN
        for _ in range(200):
            await oms.resolve(order)
            if order.status is OrderStatus.FILLED:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(2.0)
        account = next(iter(box.worlds["testnet"].exchange.accounts.values()))
        assert [one.client_order_id for one in account.orders["BTCUSDT"].values()] == [order.client_order_id]


async def test_after_a_cut_a_question_that_fails_is_asked_again_and_the_line_comes_back() -> None:
    async with adapter_on_sandbox(timeout_s=1) as (box, adapter):
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        price = float(adapter.instruments.find(BTC).round_price(55_000.0))
        for number in range(30):
            await adapter.submit_order(
                Order("", BTC, OrderSide.BUY, OrderType.LIMIT, 0.001, price - number, client_order_id=f"t-{number}")
            )
        for world in box.worlds.values():
            for held in list(world.exchange.accounts.values()):
                for resting in list(held.open.values()):
                    world.exchange.cancel(held.name, resting, world.now_ms())
            world.exchange.drain()  # nobody is told: each of the thirty has to be asked about
        box.faults.replace(read_plan({"rules": [{"do": "error", "where": {"kind": "query"}, "when": {"every": 4}}]}))
        box.venues["testnet"].drop("ws-api")
        await until(lambda: "restored" in states)
        assert all(view.status is OrderStatus.CANCELLED for view in adapter.orders.values())


async def test_an_order_that_meets_a_closing_socket_never_left_and_takes_the_other_road() -> None:
    async with adapter_on_sandbox(websocket_orders=True) as (box, adapter):
        client = adapter._exchange.clients[adapter._ws_api]
        client.connection._conn.transport.close()  # its end is not known yet: the socket still counts as open
        order = Order("", BTC, OrderSide.BUY, OrderType.MARKET, 0.01, client_order_id="t-1")
        assert not client.closed()
        sent = await adapter.submit_order(order)
        assert sent.status is OrderStatus.FILLED
        account = next(iter(box.worlds["testnet"].exchange.accounts.values()))
        assert len(account.orders["BTCUSDT"]) == 1
