"""Fills: parts sum up, each execution counts once whichever way it comes, and the fee stands in its own currency."""

from __future__ import annotations

import pytest

from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import OutcomeUnknown
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Filled, OrderSide, OrderStatus
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.harness import Fault
from autotrader_lab.testing.running import conforms

__all__ = ["Fills"]


class Fills:
    """Executions."""

    @conforms(Fault.PARTIAL)
    async def test_parts_sum_up(self, bench: Bench) -> None:
        order = await bench.rest(units=3)
        price = order.price or 0.0
        await bench.venue.trade(OrderSide.SELL, price, float(bench.unit))
        await bench.told_filled(order, 1)
        assert await bench.status(order) is OrderStatus.PARTIAL_FILL
        await bench.venue.trade(OrderSide.SELL, price, float(bench.unit * 2))
        await bench.reaches(order, OrderStatus.FILLED)
        assert bench.filled(order) == bench.unit * 3
        assert {fill.price for fill in bench.fills_of(order)} == {price}, "a resting order executes at its own price"
        found = await bench.call(bench.adapter.get_order_status(order.order_id))
        assert exact(found.filled_quantity) == bench.unit * 3
        assert found.avg_fill_price == pytest.approx(price)

    @conforms(Fault.PARTIAL, Fault.DUPLICATE, "reports")
    async def test_what_is_told_twice_counts_once(self, bench: Bench) -> None:
        await bench.venue.provoke(Fault.DUPLICATE)
        order = await bench.rest(units=2)
        for _ in range(2):
            await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit))
        await bench.reaches(order, OrderStatus.FILLED)
        await bench.settle()
        assert bench.kinds(order).count("Filled") == len({fill.execution_id for fill in bench.fills_of(order)})
        assert bench.filled(order) == bench.unit * 2

    @conforms(Fault.PARTIAL, Fault.REORDER, "reports")
    async def test_events_in_any_order_give_the_same_order(self, bench: Bench) -> None:
        order = await bench.rest(units=2)
        await bench.venue.provoke(Fault.REORDER)
        for _ in range(2):
            await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit))
        await bench.settle()
        assert bench.filled(order) == 0, "the control holds the events back"
        await bench.venue.calm()
        await bench.reaches(order, OrderStatus.FILLED)
        assert bench.filled(order) == bench.unit * 2

    @conforms(Fault.REORDER, Fault.LOSE_ANSWER, "reports")
    async def test_a_fill_before_the_acknowledgement_is_booked(self, bench: Bench) -> None:
        await bench.venue.provoke(Fault.REORDER)
        await bench.venue.provoke(Fault.LOSE_ANSWER)
        order = bench.order(price=bench.through(OrderSide.BUY))
        with pytest.raises(OutcomeUnknown):
            await bench.submit(order)
        await bench.venue.calm()
        await bench.reaches(order, OrderStatus.FILLED)
        await bench.settle()
        assert bench.filled(order) == bench.unit
        assert set(bench.kinds(order)) <= {"Accepted", "Filled"}

    @conforms()
    async def test_fees_are_in_their_currency_and_what_is_held_is_net_of_them(self, bench: Bench) -> None:
        before = await bench.held()
        order = await bench.buy(units=2)
        kept = bench.unit * 2
        for fill in bench.fills_of(order):
            assert isinstance(fill.commission, float)
            if fill.commission and fill.fee_currency == bench.instrument.base:
                kept -= exact(fill.commission)

        async def holds() -> bool:
            return await bench.held() - before == kept

        await bench.until(holds, f"{kept} more in the account")

    @conforms("reports")
    async def test_a_fill_says_whose_it_is(self, bench: Bench) -> None:
        order = await bench.buy()
        for report in bench.of(order):
            if isinstance(report, Filled):
                fill = report.fill
                assert fill.client_order_id == order.client_order_id
                assert fill.order_id == order.order_id
                assert fill.side is OrderSide.BUY
                assert fill.liquidity in ("", "maker", "taker")
                assert fill.venue == bench.adapter.venue

    @conforms("fills_since")
    async def test_asked_for_executions_are_those_that_were_told(self, bench: Bench) -> None:
        first, second = await bench.buy(), await bench.buy()

        async def all_there() -> bool:
            found = await bench.call(bench.adapter.get_fills(bench.instrument.symbol, 0))
            return {fill.execution_id for fill in bench.fills} <= {fill.execution_id for fill in found}

        await bench.until(all_there, "every execution in the venue's list")
        found = await bench.call(bench.adapter.get_fills(bench.instrument.symbol, 0))
        assert [to_ns(fill.timestamp) for fill in found] == sorted(to_ns(fill.timestamp) for fill in found)
        listed = {fill.execution_id: fill for fill in found}
        for told in bench.fills:
            same = listed[told.execution_id]
            assert (same.quantity, same.price, same.side) == (told.quantity, told.price, told.side)
            assert (same.commission, same.fee_currency) == (told.commission, told.fee_currency)
            assert same.client_order_id in ("", first.client_order_id, second.client_order_id)
        last_ns = max(to_ns(fill.timestamp) for fill in found)
        assert await bench.call(bench.adapter.get_fills(bench.instrument.symbol, last_ns + 1_000_000_000)) == []
