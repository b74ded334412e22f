"""What chaos found wrong at the other venues, adapter or sandbox, each as the smallest thing that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from venue_kit import KITS

from autotrader_lab.execution.oms import OrderManager
from autotrader_lab.model.errors import VenueUnavailable
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.fault_plan import read_plan


@asynccontextmanager
async def on_sandbox(venue: str, *rules: Any, **options: Any) -> AsyncIterator[tuple[Sandbox, Any]]:
    """A sandbox with these faults, and an adapter that came before them."""
    async with Sandbox(seed=7, speed=0, venues=[venue]) as box:
        adapter = KITS[venue].adapter(box.addresses, **options)
        await adapter.connect()
        box.faults.replace(read_plan({"rules": rules}))
        try:
            yield box, adapter
        finally:
            await adapter.disconnect()


def market_buy(venue: str, name: str) -> Order:
    kit = KITS[venue]
    return Order("", kit.symbol, OrderSide.BUY, OrderType.MARKET, kit.quantity, client_order_id=name)


def taken(box: Sandbox, venue: str) -> list[str]:
    """Client ids of all orders in the venue's books."""
    world = box.sites[venue].worlds["testnet"]
    (account,) = world.exchange.accounts.values()
    return [order.client_order_id for orders in account.orders.values() for order in orders.values()]


@pytest.mark.parametrize(
    ("venue", "stuck_s", "options"),
    [
        ("okx", 1.7, {"order_window_s": 0.3}),
        ("okx", 1.7, {"order_window_s": 0.3, "websocket_orders": True}),
        ("coinbase", 3.3, {"order_window_s": 1.0}),
    ],
    ids=["okx", "okx, socket", "coinbase"],
)
async def test_an_order_that_arrives_after_it_was_sent_again_is_refused(
    venue: str, stuck_s: float, options: dict[str, Any]
) -> None:
    late = {"do": "delay", "seconds": stuck_s, "where": {"kind": "submit"}, "when": {"count": 1}}
    began_s = asyncio.get_running_loop().time()
    async with on_sandbox(venue, late, timeout_s=0.3, **options) as (box, adapter):
        oms = OrderManager(adapter, settle_s=0.1, fresh_s=60)
        kit = KITS[venue]
        order = await oms.submit_order(kit.symbol, OrderSide.BUY, kit.quantity, OrderType.MARKET)
        assert order.status is OrderStatus.UNKNOWN
        for _ in range(200):
            await oms.resolve(order)
            if order.status is OrderStatus.FILLED:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(began_s + stuck_s + 0.5 - asyncio.get_running_loop().time())
        assert taken(box, venue) == [kit.client_id(order.client_order_id)]


@pytest.mark.parametrize(("venue", "offset_ms"), [("okx", 6_500), ("coinbase", 6_500)])
async def test_what_was_refused_for_the_clock_is_sent_again_by_the_right_one(venue: str, offset_ms: int) -> None:
    window = {} if venue == "okx" else {"order_window_s": 2.0}
    async with on_sandbox(venue, {"do": "clock_skew", "offset_ms": offset_ms}, **window) as (box, adapter):
        sent = await adapter.submit_order(market_buy(venue, "t1"))
        assert sent.status not in (OrderStatus.REJECTED, OrderStatus.UNKNOWN), sent.reason
        assert abs(adapter.clock_offset_ms - offset_ms) < 500
        assert taken(box, venue) == ["t1"]


async def test_a_part_of_fxcm_that_is_out_for_a_moment_is_asked_again() -> None:
    out = [{"do": "error", "where": {"kind": kind}, "when": {"count": 2}} for kind in ("query", "cancel")]
    async with on_sandbox("fxcm") as (box, adapter):
        price = float(adapter.instruments.find("EUR/USD").round_price(1.05))
        order = Order("", "EUR/USD", OrderSide.BUY, OrderType.LIMIT, 1000, price, client_order_id="t1")
        await adapter.submit_order(order)
        box.faults.replace(read_plan({"rules": out}))
        assert await adapter.get_positions() == {"EUR/USD": 0.0}
        assert await adapter.cancel_order("t1")
        assert [rule["hits"] for rule in box.faults.report()["rules"]] == [2, 2]


async def test_tws_says_when_its_own_connection_is_back_after_maintenance() -> None:
    async with on_sandbox("ibkr") as (box, adapter):
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        box.faults.replace(read_plan({"rules": [{"do": "maintenance", "when": {"to_s": 0.5}}]}))
        with pytest.raises(VenueUnavailable):
            await adapter.get_positions()
        for _ in range(200):
            if states[-1:] == ["restored"]:
                break
            await asyncio.sleep(0.02)
        assert states == ["lost", "restored"]
        assert await adapter.get_positions() == {}
