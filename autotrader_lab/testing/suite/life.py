"""Life: open and close twice is quiet, nothing of ours survives, and it opens again."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.model.errors import NotConnected
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.harness import Fault
from autotrader_lab.testing.running import conforms

__all__ = ["Life"]


class Life:
    """Connecting and disconnecting."""

    @conforms()
    async def test_connecting_twice_is_quiet(self, bench: Bench) -> None:
        await bench.connect()
        order = await bench.rest()
        assert (await bench.status(order)) is OrderStatus.SUBMITTED

    @conforms()
    async def test_disconnecting_twice_is_quiet(self, bench: Bench) -> None:
        await bench.disconnect()
        told = len(bench.states)
        await bench.disconnect()
        assert len(bench.states) == told, "the second time there is nothing to tell"

    @conforms(connected=False)
    async def test_disconnecting_what_was_never_connected_is_quiet(self, bench: Bench) -> None:
        await bench.disconnect()
        assert bench.states == []

    @conforms()
    async def test_after_disconnect_every_call_says_so(self, bench: Bench) -> None:
        order = await bench.rest()
        await bench.disconnect()
        with pytest.raises(NotConnected):
            await bench.call(bench.adapter.submit_order(bench.order()))
        with pytest.raises(NotConnected):
            await bench.call(bench.adapter.cancel_order(order.order_id))
        with pytest.raises(NotConnected):
            await bench.call(bench.adapter.get_account_balance())
        assert len(await bench.venue.taken()) == 1

    @conforms()
    async def test_it_opens_again_and_trades(self, bench: Bench) -> None:
        for _ in range(2):
            await bench.disconnect()
            await bench.connect()
        order = await bench.buy()
        assert bench.filled(order) == bench.unit

    @conforms("open_orders")
    async def test_disconnecting_leaves_orders_working(self, bench: Bench) -> None:
        order = await bench.rest()
        await bench.disconnect()
        await bench.connect()
        found = await bench.call(bench.adapter.get_open_orders(bench.instrument.symbol))
        assert [each.order_id for each in found] == [order.order_id]

    @conforms("native_dead_man_switch", Fault.TIME)
    async def test_the_venue_cancels_when_we_fall_silent(self, bench: Bench) -> None:
        order = await bench.rest()
        await bench.call(bench.adapter.arm_dead_man_switch(30))
        await bench.venue.pass_time(20)
        await bench.call(bench.adapter.arm_dead_man_switch(30))
        await bench.venue.pass_time(20)
        assert await bench.status(order) is OrderStatus.SUBMITTED, "armed again in time"
        await bench.venue.pass_time(20)
        await bench.reaches(order, OrderStatus.CANCELLED)

    @conforms(Fault.SILENCE)
    async def test_closing_while_an_answer_is_awaited_neither_hangs_nor_writes_the_order_off(
        self, bench: Bench
    ) -> None:
        order = bench.order()
        await bench.venue.provoke(Fault.SILENCE)
        sending = asyncio.ensure_future(bench.submit(order))
        await bench.until(lambda: _is_in(bench, order.client_order_id), "the order at the venue")
        await bench.disconnect()
        await asyncio.wait({sending})
        assert sending.cancelled() or sending.exception() is None or order.status is not OrderStatus.REJECTED
        assert bench.shadow(order).status is not OrderStatus.REJECTED


async def _is_in(bench: Bench, name: str) -> bool:
    return name in await bench.venue.taken()
