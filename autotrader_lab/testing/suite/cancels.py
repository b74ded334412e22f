"""Cancel and replace: quiet about what is done, fair to a late fill, and the chain never fills more than its target."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from autotrader_lab.model.errors import AutoTraderError, OrderNotFound, OutcomeUnknown, VenueUnavailable
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.harness import REQUEST_FAULTS, Fault
from autotrader_lab.testing.running import conforms

__all__ = ["Cancels"]

_CHANGES: tuple[tuple[str, int | None, float | None], ...] = (
    ("less", 2, None),
    ("more", 4, None),
    ("nearer", None, 0.9),
    ("less and nearer", 2, 0.9),
)
"""Name, new total in units (of three), new distance from the market in the harness's own."""


class Cancels:
    """Cancelling, changing and replacing orders."""

    @conforms()
    async def test_a_cancel_is_told_once(self, bench: Bench) -> None:
        order = await bench.rest()
        assert await bench.call(bench.adapter.cancel_order(order.order_id)) is True
        await bench.reaches(order, OrderStatus.CANCELLED)
        await bench.settle()
        if bench.can.reports:
            assert bench.kinds(order) == ["Accepted", "Cancelled"]

    @conforms("client_order_ids")
    async def test_a_cancel_goes_by_our_id_too(self, bench: Bench) -> None:
        order = await bench.rest()
        assert await bench.call(bench.adapter.cancel_order(order.client_order_id)) is True
        await bench.reaches(order, OrderStatus.CANCELLED)

    @conforms()
    async def test_cancelling_what_is_done_is_quiet(self, bench: Bench) -> None:
        cancelled, bought = await bench.rest(), await bench.buy()
        await bench.call(bench.adapter.cancel_order(cancelled.order_id))
        for order, status in ((cancelled, OrderStatus.CANCELLED), (bought, OrderStatus.FILLED)):
            assert await bench.call(bench.adapter.cancel_order(order.order_id)) is True
            await bench.settle()
            assert await bench.status(order) is status

    @conforms()
    async def test_cancelling_what_nobody_sent_says_so(self, bench: Bench) -> None:
        with pytest.raises(OrderNotFound):
            await bench.call(bench.adapter.cancel_order("999999999"))

    @conforms(Fault.PARTIAL)
    async def test_a_cancel_keeps_what_was_executed(self, bench: Bench) -> None:
        order = await bench.rest(units=3)
        await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit))
        assert await bench.call(bench.adapter.cancel_order(order.order_id)) is True
        await bench.reaches(order, OrderStatus.CANCELLED)
        await bench.told_filled(order, 1)
        assert bench.filled(order) == bench.unit

    @conforms()
    async def test_a_cancel_that_loses_the_race_books_the_fill(self, bench: Bench) -> None:
        order = await bench.rest()
        cancelling = asyncio.ensure_future(bench.call(bench.adapter.cancel_order(order.order_id)))
        await bench.venue.set_price(bench.at(1 - 1.5 * bench.harness.away))
        assert await cancelling is True, "it is no longer working"
        await bench.reaches(order, OrderStatus.FILLED, OrderStatus.CANCELLED)
        full = await bench.status(order) is OrderStatus.FILLED
        assert bench.filled(order) == (bench.unit if full else 0)

    @conforms(Fault.PARTIAL, Fault.REORDER, Fault.VENUE_CANCEL, "reports")
    async def test_a_fill_told_after_its_cancel_is_booked(self, bench: Bench) -> None:
        order = await bench.rest(units=3)
        await bench.venue.provoke(Fault.REORDER)
        await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit))
        await bench.venue.cancel(order.client_order_id)
        await bench.settle()
        await bench.venue.calm()
        await bench.reaches(order, OrderStatus.CANCELLED)
        await bench.told_filled(order, 1)
        assert bench.shadow(order).status is OrderStatus.CANCELLED

    @pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.SILENCE, Fault.SERVER_ERROR, Fault.RUBBISH])
    @conforms()
    async def test_a_cancel_without_answer_may_be_repeated(self, bench: Bench, fault: Fault) -> None:
        order = await bench.rest()
        await bench.venue.provoke(fault, "cancel")
        try:
            await bench.call(bench.adapter.cancel_order(order.order_id))
        except (VenueUnavailable, OutcomeUnknown):
            assert bench.shadow(order).status is not OrderStatus.REJECTED
        await bench.venue.calm()
        assert await bench.call(bench.adapter.cancel_order(order.order_id)) is True
        await bench.reaches(order, OrderStatus.CANCELLED)
        await bench.settle()
        if bench.can.reports:
            assert bench.kinds(order).count("Cancelled") == 1

    @conforms("cancel_all", "open_orders")
    async def test_everything_is_cancelled_at_once(self, bench: Bench) -> None:
        orders = [await bench.rest(price=bench.away(OrderSide.BUY, 1 + n / 20)) for n in range(3)]
        assert await bench.call(bench.adapter.cancel_all(bench.instrument.symbol)) == 3
        for order in orders:
            await bench.reaches(order, OrderStatus.CANCELLED)
        assert await bench.call(bench.adapter.get_open_orders()) == []
        assert await bench.call(bench.adapter.cancel_all()) == 0

    # --- amend ------------------------------------------------------------------------------------------------

    @conforms("amend")
    async def test_every_change_is_made_in_place_or_refused_without_harm(self, bench: Bench) -> None:
        made = []
        for name, units, distance in _CHANGES:
            order = await bench.rest(units=3)
            change: dict[str, Any] = {
                "quantity": None if units is None else float(bench.unit * units),
                "price": None if distance is None else bench.away(OrderSide.BUY, distance),
            }
            if bench.adapter.can_amend(order, **change):
                await self._amend(bench, order, change)
                made.append(name)
            else:
                with pytest.raises(AutoTraderError):
                    await bench.call(bench.adapter.modify_order(order.order_id, **change))
                assert await bench.status(order) is OrderStatus.SUBMITTED, f"{name}: it works on as it was"
            await bench.call(bench.adapter.cancel_order(bench.shadow(order).order_id))
        assert made, f"amend is declared, and none of {[name for name, *_ in _CHANGES]} can be done in place"

    async def _amend(self, bench: Bench, order: Order, change: dict[str, Any]) -> None:
        wanted = (change["quantity"] or order.quantity, change["price"] or order.price)
        changed = await bench.call(bench.adapter.modify_order(order.order_id, **change))
        assert (changed.quantity, changed.price) == wanted
        theirs = await bench.call(bench.adapter.get_order_status(changed.order_id))
        assert (theirs.quantity, theirs.price) == wanted, "the venue has it so"
        assert theirs.client_order_id == order.client_order_id
        await bench.settle()
        if bench.can.reports:
            assert bench.kinds(order) == ["Accepted", "Amended"]
            shadow = bench.shadow(order)
            assert (shadow.quantity, shadow.price) == wanted

    @conforms("amend", Fault.PARTIAL)
    async def test_a_total_below_what_was_executed_is_refused(self, bench: Bench) -> None:
        order = await bench.rest(units=3)
        await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit * 2))
        await bench.told_filled(order, 2)
        with pytest.raises(AutoTraderError):
            await bench.call(bench.adapter.modify_order(order.order_id, quantity=float(bench.unit)))
        assert await bench.status(order) is OrderStatus.PARTIAL_FILL

    @pytest.mark.parametrize("fault", REQUEST_FAULTS, ids=lambda fault: fault.name.lower())
    @conforms("amend", "reports", "client_order_ids", "fills_since")
    async def test_a_change_without_answer_is_found_out(self, bench: Bench, fault: Fault) -> None:
        order, change = await self._changeable(bench)
        await bench.venue.provoke(fault, "amend")
        with contextlib.suppress(OutcomeUnknown, VenueUnavailable):
            await bench.call(bench.adapter.modify_order(order.order_id, **change))
        await bench.venue.calm()
        await bench.settle()
        await bench.learn()
        theirs = await bench.call(bench.adapter.get_order_status(order.order_id))
        assert (bench.shadow(order).quantity, bench.shadow(order).price) == (theirs.quantity, theirs.price)
        await bench.venue.set_price(bench.at(1 - 1.5 * bench.harness.away))
        await bench.reaches(order, OrderStatus.FILLED)
        assert bench.filled(order) == exact(theirs.quantity)

    @pytest.mark.parametrize("executed", [False, True], ids=["resting", "executed"])
    @conforms("amend", "reports", "fills_since", Fault.MUTE, Fault.CUT, Fault.LOSE_ANSWER)
    async def test_a_change_that_nobody_told_is_told_after_the_next_gap(self, bench: Bench, executed: bool) -> None:
        order, change = await self._changeable(bench)
        await bench.venue.provoke(Fault.MUTE)
        await bench.venue.provoke(Fault.LOSE_ANSWER, "amend")
        with contextlib.suppress(OutcomeUnknown, VenueUnavailable):
            await bench.call(bench.adapter.modify_order(order.order_id, **change))
        await bench.venue.calm()
        await bench.venue.provoke(Fault.CUT)
        if executed:
            await bench.venue.set_price(bench.at(1 - 1.5 * bench.harness.away))
        await bench.until(lambda: any(state == "restored" for state, _ in bench.states), "the line restored")
        theirs = await bench.call(bench.adapter.get_order_status(order.order_id))
        assert (theirs.quantity, theirs.price) == (change["quantity"] or order.quantity, change["price"] or order.price)
        await bench.venue.set_price(bench.at(1 - 1.5 * bench.harness.away))
        await bench.reaches(order, OrderStatus.FILLED)
        assert bench.filled(order) == exact(theirs.quantity)

    async def _changeable(self, bench: Bench) -> tuple[Order, dict[str, Any]]:
        """A resting order, and the first change that can be made of it in place."""
        order = await bench.rest(units=3)
        for _, units, distance in _CHANGES:
            change: dict[str, Any] = {
                "quantity": None if units is None else float(bench.unit * units),
                "price": None if distance is None else bench.away(OrderSide.BUY, distance),
            }
            if bench.adapter.can_amend(order, **change):
                return order, change
        raise AssertionError(f"amend is declared, and none of {[name for name, *_ in _CHANGES]} can be done in place")

    # --- replace ----------------------------------------------------------------------------------------------

    @conforms("reports", Fault.PARTIAL)
    async def test_a_chain_of_replacements_never_fills_more_than_its_target(self, bench: Bench) -> None:
        oms = bench.oms()
        before = await bench.held()
        order = await oms.submit_order(
            bench.instrument.symbol, OrderSide.BUY, float(bench.unit * 4), OrderType.LIMIT, bench.away(OrderSide.BUY)
        )
        await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit))
        await bench.told_filled(order, 1)
        second = await bench.call(oms.modify_order(order.order_id, price=bench.away(OrderSide.BUY, 0.9)))
        await bench.venue.trade(OrderSide.SELL, second.price or 0.0, float(bench.unit))
        third = await bench.call(oms.modify_order(second.order_id, price=bench.away(OrderSide.BUY, 0.8)))
        await bench.venue.set_price(bench.at(1 - 1.5 * bench.harness.away))
        await bench.until(lambda: not oms.get_open_orders(), "the end of the chain")
        chain = {each.client_order_id: each for each in (order, second, third)}
        assert sum(exact(each.filled_quantity) for each in chain.values()) == bench.unit * 4
        fees = sum(
            (exact(fill.commission) for fill in bench.fills if fill.fee_currency == bench.instrument.base),
            start=exact(0),
        )
        assert await bench.held() - before == bench.unit * 4 - fees

    @conforms("reports", "fills_since", Fault.PARTIAL, Fault.MUTE)
    async def test_a_replacement_counts_a_fill_that_nobody_told(self, bench: Bench) -> None:
        oms = bench.oms()
        order = await oms.submit_order(
            bench.instrument.symbol, OrderSide.BUY, float(bench.unit * 3), OrderType.LIMIT, bench.away(OrderSide.BUY)
        )
        await bench.venue.provoke(Fault.MUTE)
        await bench.venue.trade(OrderSide.SELL, order.price or 0.0, float(bench.unit))
        await bench.settle()
        assert oms.book.position(bench.instrument.symbol) == 0, "the control keeps the fill from us"
        second = await bench.call(
            oms.modify_order(order.order_id, float(bench.unit * 3), bench.away(OrderSide.BUY, 0.9))
        )
        await bench.venue.calm()
        if second is order:
            bench.lossy = True  # amended in place: the venue itself counts what it executed
            return
        assert exact(second.quantity) == bench.unit * 2
        assert exact(order.filled_quantity) == bench.unit
        await bench.learn()
