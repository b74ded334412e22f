"""Doubt: what was sent and not answered is never called rejected, and one client id never makes two orders."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from autotrader_lab.model.errors import OrderError, OrderRefused, OutcomeUnknown, VenueUnavailable
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType, Rejected
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.harness import REQUEST_FAULTS, Fault
from autotrader_lab.testing.running import conforms

__all__ = ["Doubt"]

_ACTED = [fault for fault in REQUEST_FAULTS if fault is not Fault.LOSE_REQUEST]
acted = pytest.mark.parametrize("fault", _ACTED, ids=lambda fault: fault.name.lower())
"""The venue took the order, whatever we heard."""


class Doubt:
    """Orders whose outcome is unknown."""

    @acted
    @conforms("reports", "client_order_ids")
    async def test_a_lost_answer_is_doubt_and_the_order_is_found(self, bench: Bench, fault: Fault) -> None:
        order = await self._send_in_doubt(bench, fault, bench.order())
        found = await bench.call(bench.adapter.find_order(order.client_order_id, bench.instrument.symbol))
        assert found is not None, "the venue has it"
        assert found.status is OrderStatus.SUBMITTED
        await self._resolve(bench, order)
        assert bench.shadow(order).status in (OrderStatus.SUBMITTED, OrderStatus.PENDING)
        assert (await bench.venue.taken()).count(order.client_order_id) == 1

    @acted
    @conforms("reports", "client_order_ids", "fills_since")
    async def test_a_market_order_with_a_lost_answer_is_one_fill(self, bench: Bench, fault: Fault) -> None:
        if OrderType.MARKET in bench.can.order_types:
            sent = bench.order(kind=OrderType.MARKET)
        else:
            sent = bench.order(price=bench.through(OrderSide.BUY))
        order = await self._send_in_doubt(bench, fault, sent)
        await bench.settle()
        await bench.learn()
        assert bench.shadow(order).status is OrderStatus.FILLED
        assert len(bench.shadow(order).execution_ids) >= 1
        assert (await bench.venue.taken()).count(order.client_order_id) == 1

    @acted
    @conforms("reports", "client_order_ids")
    async def test_sending_again_under_the_same_id_makes_no_second_order(self, bench: Bench, fault: Fault) -> None:
        order = await self._send_in_doubt(bench, fault, bench.order())
        again = order.copy()
        again.status = OrderStatus.PENDING
        with contextlib.suppress(OutcomeUnknown, OrderError, OrderRefused):
            # Anything else, as if it had never left, would have it sent a third time.
            await bench.submit(again)
        await bench.settle()
        assert (await bench.venue.taken()).count(order.client_order_id) == 1
        assert bench.shadow(order).status is not OrderStatus.REJECTED, "an order that works must not be called dead"

    @conforms("reports", "client_order_ids", Fault.LOSE_REQUEST)
    async def test_a_lost_request_is_doubt_too_and_may_be_sent_again(self, bench: Bench) -> None:
        order = bench.order()
        await bench.venue.provoke(Fault.LOSE_REQUEST)
        # An adapter that is certain that it never left may say so.
        with pytest.raises((OutcomeUnknown, VenueUnavailable)):
            await bench.submit(order)
        assert bench.shadow(order).status is not OrderStatus.REJECTED
        await bench.venue.calm()
        await self._back(bench)
        assert await bench.call(bench.adapter.find_order(order.client_order_id, bench.instrument.symbol)) is None
        again = order.copy()
        again.status = OrderStatus.PENDING
        await bench.submit(again)
        await bench.reaches(again, OrderStatus.SUBMITTED)
        assert (await bench.venue.taken()).count(order.client_order_id) == 1

    @pytest.mark.parametrize("fault", REQUEST_FAULTS, ids=lambda fault: fault.name.lower())
    @conforms("reports", "client_order_ids")
    async def test_the_order_manager_ends_the_doubt_by_evidence(self, bench: Bench, fault: Fault) -> None:
        oms = bench.oms(fresh_s=60.0)
        await bench.venue.provoke(fault)
        order = await oms.submit_order(
            bench.instrument.symbol, OrderSide.BUY, float(bench.unit), OrderType.LIMIT, bench.away(OrderSide.BUY)
        )
        if fault is not Fault.LOSE_REQUEST:
            assert order.status is not OrderStatus.REJECTED
        await bench.venue.calm()

        async def is_over() -> bool:
            await bench.call(oms.resolve(order))
            return order.status in (OrderStatus.SUBMITTED, OrderStatus.REJECTED)

        await bench.until(is_over, "the end of the doubt")
        taken = (await bench.venue.taken()).count(order.client_order_id)
        assert taken == (1 if order.status is OrderStatus.SUBMITTED else 0)

    @conforms("reports", "client_order_ids", "open_orders", Fault.LOSE_ANSWER)
    async def test_what_was_given_up_and_arrived_after_all_can_be_cancelled(self, bench: Bench) -> None:
        order = bench.order()
        if Fault.MUTE in bench.venue.faults:
            await bench.venue.provoke(Fault.MUTE)
        await bench.venue.provoke(Fault.LOSE_ANSWER)
        with contextlib.suppress(OutcomeUnknown):
            await bench.submit(order)
        bench.adapter.give_up(Rejected(order.client_order_id, bench.clock.now_ns(), "stale", "NEVER_ARRIVED"))
        await bench.venue.calm()
        await self._back(bench)

        async def listed() -> list[Order]:
            working = await bench.call(bench.adapter.get_open_orders())
            return [each for each in working if each.client_order_id == order.client_order_id]

        await bench.until(listed, "the order among those that work")
        (arrived,) = await listed()
        assert await bench.call(bench.adapter.cancel_order(arrived.order_id))
        assert await listed() == []
        # Twice is quiet, by either id.
        assert await bench.call(bench.adapter.cancel_order(order.client_order_id))

    @conforms("reports", "client_order_ids", Fault.SILENCE)
    async def test_a_submit_that_is_interrupted_is_in_doubt_not_forgotten(self, bench: Bench) -> None:
        order = bench.order()
        await bench.venue.provoke(Fault.SILENCE)
        sending = asyncio.ensure_future(bench.submit(order))

        async def has_it() -> bool:
            return order.client_order_id in await bench.venue.taken()

        await bench.until(has_it, "the order at the venue")
        sending.cancel()
        await asyncio.wait({sending})
        await bench.venue.calm()
        await self._back(bench)
        found = await bench.call(bench.adapter.find_order(order.client_order_id, bench.instrument.symbol))
        assert found is not None
        assert order.client_order_id in bench.adapter.orders, "the adapter still knows it as ours"
        assert bench.adapter.orders[order.client_order_id].status is not OrderStatus.REJECTED

    @conforms(Fault.DOWN)
    async def test_while_the_venue_is_down_nothing_is_called_rejected(self, bench: Bench) -> None:
        await bench.venue.provoke(Fault.DOWN)
        order = bench.order()
        with pytest.raises((OutcomeUnknown, VenueUnavailable)):
            await bench.submit(order)
        assert bench.shadow(order).status is not OrderStatus.REJECTED
        with pytest.raises(VenueUnavailable):
            await bench.call(bench.adapter.get_account_balance())
        await bench.venue.calm()
        await self._back(bench)
        del bench.shadows[order.client_order_id]
        assert await bench.venue.taken() == []
        bought = await bench.buy()
        assert bench.filled(bought) == bench.unit

    @pytest.mark.parametrize("fault", REQUEST_FAULTS, ids=lambda fault: fault.name.lower())
    @conforms()
    async def test_a_query_without_answer_says_ask_again(self, bench: Bench, fault: Fault) -> None:
        order = await bench.rest()
        await bench.venue.provoke(fault, "query")
        # A client library may ask once more by itself: a question is safe to repeat.
        with contextlib.suppress(VenueUnavailable):
            found = await bench.call(bench.adapter.get_order_status(order.order_id))
            assert found.status is OrderStatus.SUBMITTED
        await bench.venue.calm()
        await self._back(bench)
        assert (await bench.call(bench.adapter.get_order_status(order.order_id))).status is OrderStatus.SUBMITTED

    async def _send_in_doubt(self, bench: Bench, fault: Fault, order: Order) -> Order:
        """Send with `fault`; the adapter raises OutcomeUnknown, or knows better by the time it answers."""
        await bench.venue.provoke(fault)
        try:
            sent = await bench.submit(order)
        except OutcomeUnknown as doubt:
            if order.client_order_id not in str(doubt):
                raise AssertionError(f"the error does not name the order: {doubt}") from doubt
        else:
            assert sent.status in (OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL, OrderStatus.FILLED)
        assert order.status is not OrderStatus.REJECTED
        assert "Rejected" not in bench.kinds(order)
        await bench.venue.calm()
        await self._back(bench)
        return order

    async def _back(self, bench: Bench) -> None:
        """Wait until the line that a fault cut is there again."""
        await bench.until(lambda: not bench.states or bench.states[-1][0] != "lost", "the line")

        async def answers() -> bool:
            try:
                await bench.call(bench.adapter.get_account_balance())
            except VenueUnavailable:
                return False
            return True

        await bench.until(answers, "an answer")

    async def _resolve(self, bench: Bench, order: Order) -> None:
        """Let the stream end the doubt where it does."""
        await bench.settle()
        assert bench.shadow(order).status is not OrderStatus.REJECTED
