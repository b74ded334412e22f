"""Resync: what happened while nobody listened appears once, foreign orders are visible, and both books agree."""

from __future__ import annotations

from autotrader_lab.execution.reconcile import foreign_orders, position_drift
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.harness import Fault
from autotrader_lab.testing.running import conforms

__all__ = ["Resync"]


class Resync:
    """Coming back to a venue that went on."""

    @conforms("reports", Fault.CUT)
    async def test_a_fill_in_the_gap_is_told_once_and_before_the_line_is_called_restored(self, bench: Bench) -> None:
        order = await bench.rest()
        told_when_restored: list[int] = []
        bench.adapter.subscribe_connection(
            lambda state, reason: told_when_restored.append(len(bench.fills)) if state == "restored" else None
        )
        await bench.venue.provoke(Fault.CUT)
        await self._fill_resting(bench)
        await self._restored(bench, 1)
        await bench.reaches(order, OrderStatus.FILLED)
        assert bench.filled(order) == bench.unit
        assert told_when_restored == [len(bench.fills)], "the gap is closed first, then the line is called restored"
        names = [state for state, _ in bench.states if state in ("lost", "restored")]
        assert names == ["lost", "restored"]

    @conforms("reports", Fault.CUT, Fault.VENUE_CANCEL)
    async def test_orders_that_ended_in_the_gap_end_here_too(self, bench: Bench) -> None:
        cancelled = await bench.rest(price=bench.away(OrderSide.BUY, 1.9))
        filled = await bench.rest()
        working = await bench.rest(price=bench.away(OrderSide.BUY, 1.8))
        await bench.venue.provoke(Fault.CUT)
        await bench.venue.cancel(cancelled.client_order_id)
        await self._fill_resting(bench)
        await self._restored(bench, 1)
        await bench.reaches(cancelled, OrderStatus.CANCELLED, OrderStatus.EXPIRED)
        await bench.reaches(filled, OrderStatus.FILLED)
        assert await bench.status(working) is OrderStatus.SUBMITTED

    @conforms("reports", Fault.CUT, Fault.PARTIAL)
    async def test_it_comes_back_again_and_again(self, bench: Bench) -> None:
        order = await bench.rest(units=3)
        for time in range(3):
            await bench.venue.provoke(Fault.CUT)
            await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit))
            await self._restored(bench, time + 1)
        await bench.reaches(order, OrderStatus.FILLED)
        assert bench.filled(order) == bench.unit * 3

    @conforms("reports", Fault.CUT)
    async def test_after_the_gap_the_new_line_works(self, bench: Bench) -> None:
        await bench.venue.provoke(Fault.CUT)
        await self._restored(bench, 1)
        order = await bench.rest()
        await self._fill_resting(bench)
        await bench.reaches(order, OrderStatus.FILLED)

    @conforms("reports", "fills_since", Fault.PARTIAL, Fault.MUTE, Fault.CUT)
    async def test_a_swallowed_fill_is_found_at_the_next_gap(self, bench: Bench) -> None:
        order = await bench.rest(units=2)
        await bench.venue.provoke(Fault.MUTE)
        await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit))
        await bench.settle()
        assert bench.filled(order) == 0, "the control keeps the fill from us"
        await bench.venue.calm()
        await bench.venue.provoke(Fault.CUT)
        await self._restored(bench, 1)
        await bench.told_filled(order, 1)
        assert bench.filled(order) == bench.unit

    @conforms("reports", "fills_since")
    async def test_a_fill_missed_while_disconnected_appears_once(self, bench: Bench) -> None:
        order = await bench.rest()
        await bench.disconnect()
        await self._fill_resting(bench)
        await bench.connect()
        await bench.settle()
        await bench.learn()
        assert bench.shadow(order).status is OrderStatus.FILLED
        assert exact(bench.shadow(order).filled_quantity) == bench.unit
        theirs = await bench.call(bench.adapter.get_order_status(order.order_id))
        assert theirs.status is OrderStatus.FILLED

    @conforms("reports", "fills_since", Fault.RESTART)
    async def test_a_later_process_takes_an_order_up_with_what_it_missed(self, bench: Bench) -> None:
        order = await bench.rest()
        await bench.disconnect()
        await self._fill_resting(bench)
        heir = bench.adapter = bench.venue.successor()
        bench.hear(heir)
        heir.adopt(bench.shadow(order).copy())
        try:
            await bench.connect()
            await bench.settle()
            await bench.learn()
            assert bench.shadow(order).status is OrderStatus.FILLED
            assert exact(bench.shadow(order).filled_quantity) == bench.unit
            await bench.finish()
        finally:
            await bench.disconnect()

    @conforms("open_orders", Fault.FOREIGN)
    async def test_foreign_orders_are_visible_and_left_alone(self, bench: Bench) -> None:
        ours = await bench.rest()
        before = len(bench.reports)
        price = bench.away(OrderSide.BUY, 1.2)
        order_id = await bench.venue.foreign_order(OrderSide.BUY, float(bench.unit), price)
        oms = bench.oms()
        oms.book.add(bench.shadow(ours).copy())

        async def seen() -> list[Order]:
            return await bench.call(bench.adapter.get_open_orders(bench.instrument.symbol))

        async def both() -> bool:
            return len(await seen()) == 2

        await bench.until(both, "two open orders")
        (foreign,) = foreign_orders(oms.book, await seen())
        assert foreign.subject == order_id
        assert not foreign.blocking
        assert len(bench.reports) == before, "their reports are not ours"
        bench.ignore_position()

    @conforms("open_orders")
    async def test_the_venues_snapshot_is_what_the_reports_add_up_to(self, bench: Bench) -> None:
        baseline = await bench.held()
        oms = bench.oms()
        symbol, unit = bench.instrument.symbol, float(bench.unit)
        kind = OrderType.MARKET if OrderType.MARKET in bench.can.order_types else OrderType.LIMIT
        for side, units in ((OrderSide.BUY, 3), (OrderSide.SELL, 1), (OrderSide.BUY, 2)):
            price = None if kind is OrderType.MARKET else bench.through(side)
            order = await oms.submit_order(symbol, side, unit * units, kind, price)
            await bench.reaches(order, OrderStatus.FILLED)
        resting = await oms.submit_order(symbol, OrderSide.BUY, unit, OrderType.LIMIT, bench.away(OrderSide.BUY))
        await bench.reaches(resting, OrderStatus.SUBMITTED)

        async def agrees() -> bool:
            positions = await bench.call(bench.adapter.get_positions())
            return not position_drift(oms.book, positions, {symbol: baseline})

        await bench.until(agrees, "the same position in both books")
        working = await bench.call(bench.adapter.get_open_orders())
        assert [order.client_order_id or order.order_id for order in working] == [resting.client_order_id]
        assert set(oms.book.open) == {resting.client_order_id}

    @conforms("reports", Fault.BAD_EVENT)
    async def test_an_event_that_makes_no_sense_is_survived(self, bench: Bench) -> None:
        order = await bench.rest()
        await bench.venue.provoke(Fault.BAD_EVENT)
        await bench.settle()
        await self._fill_resting(bench)
        await bench.reaches(order, OrderStatus.FILLED)
        assert bench.filled(order) == bench.unit

    async def _fill_resting(self, bench: Bench) -> None:
        """The market goes where resting orders stand, and comes back."""
        await bench.venue.set_price(bench.at(1 - 1.5 * bench.harness.away))
        await bench.venue.set_price(bench.at(1))

    async def _restored(self, bench: Bench, times: int) -> None:
        await bench.until(
            lambda: sum(1 for state, _ in bench.states if state == "restored") >= times, "the line restored"
        )
