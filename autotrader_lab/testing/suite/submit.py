"""Submit: acknowledgement first, ids kept, everything on the grid, and every order type and time in force there is."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.model.errors import AutoTraderError, InstrumentError, OrderError, OrderNotFound
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import TIMES_IN_FORCE, OrderSide, OrderStatus, OrderType
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.running import conforms

__all__ = ["Submit"]

ENDED = (OrderStatus.EXPIRED, OrderStatus.CANCELLED)
"""How venues call what is left of an order that had to execute at once."""


class Submit:
    """Sending orders."""

    @conforms()
    async def test_a_resting_order_is_acknowledged_with_an_id_and_found_by_it(self, bench: Bench) -> None:
        order = bench.order(decision_id="d-1")
        asked = order.client_order_id
        sent = await bench.submit(order)
        assert sent.client_order_id == asked, "our id never changes"
        assert sent.order_id, "submit_order returns the venue's id"
        await bench.reaches(sent, OrderStatus.SUBMITTED)
        found = await bench.call(bench.adapter.get_order_status(sent.order_id))
        assert (found.order_id, found.symbol, found.side) == (sent.order_id, bench.instrument.symbol, OrderSide.BUY)
        assert (exact(found.quantity), exact(found.price or 0)) == (exact(order.quantity), exact(order.price or 0))
        assert found is not sent, "a query answers with an order of its own"
        assert found.decision_id == "d-1"

    @conforms("reports")
    async def test_the_acknowledgement_comes_first_and_once(self, bench: Bench) -> None:
        resting, bought = await bench.rest(), await bench.buy()
        await bench.settle()
        assert bench.kinds(resting) == ["Accepted"]
        kinds = bench.kinds(bought)
        assert kinds[0] == "Accepted"
        assert set(kinds[1:]) == {"Filled"}

    @conforms("client_order_ids")
    async def test_our_id_finds_the_order_open_and_done(self, bench: Bench) -> None:
        resting, bought = await bench.rest(), await bench.buy()
        for order, status in ((resting, OrderStatus.SUBMITTED), (bought, OrderStatus.FILLED)):
            found = await bench.call(bench.adapter.find_order(order.client_order_id, bench.instrument.symbol))
            assert found is not None
            assert (found.client_order_id, found.order_id) == (order.client_order_id, order.order_id)
            assert found.status is status
            again = await bench.call(bench.adapter.get_order_status(order.client_order_id))
            assert again.order_id == order.order_id
        absent = bench.order().client_order_id
        assert await bench.call(bench.adapter.find_order(absent, bench.instrument.symbol)) is None

    @conforms()
    async def test_an_order_nobody_sent_is_not_found(self, bench: Bench) -> None:
        with pytest.raises(OrderNotFound):
            await bench.call(bench.adapter.get_order_status("999999999"))

    @conforms("client_order_ids")
    async def test_an_order_without_an_id_of_ours_is_given_one(self, bench: Bench) -> None:
        first = await bench.submit(bench.order(client_order_id=""))
        second = await bench.submit(bench.order(client_order_id=""))
        assert first.client_order_id
        assert second.client_order_id
        assert first.client_order_id != second.client_order_id

    @conforms("client_order_ids")
    async def test_one_id_makes_one_order(self, bench: Bench) -> None:
        order = await bench.rest()
        with pytest.raises(AutoTraderError):
            await bench.call(bench.adapter.submit_order(bench.order(client_order_id=order.client_order_id)))
        await bench.settle()
        assert (await bench.venue.taken()).count(order.client_order_id) == 1
        assert bench.shadow(order).status is OrderStatus.SUBMITTED, "the first one works on"

    @conforms()
    async def test_the_venues_own_symbol_works_too(self, bench: Bench) -> None:
        name = bench.instrument.venue_symbol or bench.instrument.symbol
        order = await bench.submit(bench.order(symbol=name, price=bench.through(OrderSide.BUY)))
        await bench.told_filled(order, 1)

    @conforms()
    async def test_many_at_once_are_kept_apart(self, bench: Bench) -> None:
        orders = [bench.order(price=bench.away(OrderSide.BUY, 1 + n / 20)) for n in range(6)]
        sent = await asyncio.gather(*(bench.submit(order) for order in orders))
        assert len({order.order_id for order in sent}) == len(orders)
        for order in sent:
            await bench.reaches(order, OrderStatus.SUBMITTED)
        assert len(await bench.venue.taken()) == len(orders)

    # --- types and times in force -----------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", list(OrderType), ids=lambda kind: kind.value)
    @conforms()
    async def test_every_order_type_the_venue_has(self, bench: Bench, kind: OrderType) -> None:
        if kind in (OrderType.STOP, OrderType.STOP_LIMIT):
            await self._stop(bench, kind)
            return
        price = None if kind is OrderType.MARKET else bench.through(OrderSide.BUY)
        bought = await bench.submit(bench.order(kind=kind, price=price))
        await bench.reaches(bought, OrderStatus.FILLED)
        assert bench.filled(bought) == bench.unit
        if kind in (OrderType.IOC, OrderType.FOK):
            await self._ends_at_once(bench, kind, "GTC")

    async def _stop(self, bench: Bench, kind: OrderType) -> None:
        """A protective stop: below the market, sells when the market falls to it."""
        await bench.buy()
        limit = bench.at(1 - 2 * bench.harness.away) if kind is OrderType.STOP_LIMIT else None
        trigger = bench.at(1 - bench.harness.away)
        stop = await bench.submit(bench.order(OrderSide.SELL, kind, price=limit, stop_price=trigger))
        await bench.settle()
        assert await bench.status(stop) is OrderStatus.SUBMITTED, "it waits for the market"
        await bench.venue.set_price(bench.at(1 - 1.2 * bench.harness.away))
        await bench.reaches(stop, OrderStatus.FILLED)
        assert bench.filled(stop) == bench.unit

    @pytest.mark.parametrize("tif", TIMES_IN_FORCE)
    @conforms()
    async def test_every_time_in_force_the_venue_has(self, bench: Bench, tif: str) -> None:
        if tif not in bench.can.times_in_force:
            pytest.skip(f"{type(bench.adapter).__name__} declares no {tif} orders")
        if tif in ("IOC", "FOK"):
            await self._ends_at_once(bench, OrderType.LIMIT, tif)
            return
        order = await bench.rest(time_in_force=tif)
        await bench.settle()
        assert await bench.status(order) is OrderStatus.SUBMITTED
        assert await bench.call(bench.adapter.cancel_order(order.order_id))

    async def _ends_at_once(self, bench: Bench, kind: OrderType, tif: str) -> None:
        order = await bench.submit(bench.order(kind=kind, time_in_force=tif))
        await bench.reaches(order, *ENDED)
        assert bench.filled(order) == 0

    @conforms("post_only")
    async def test_post_only_rests_or_is_refused_and_never_takes(self, bench: Bench) -> None:
        maker = await bench.rest(post_only=True)
        taker = await bench.submit(bench.order(price=bench.through(OrderSide.BUY), post_only=True))
        await bench.reaches(taker, OrderStatus.REJECTED, *ENDED)
        assert bench.filled(taker) == 0
        assert bench.shadow(taker).reason, "and says why"
        assert await bench.status(maker) is OrderStatus.SUBMITTED

    # --- the grid ---------------------------------------------------------------------------------------------

    @conforms()
    async def test_what_is_off_the_grid_is_refused_or_cut_never_sent_as_it_is(self, bench: Bench) -> None:
        lot, tick = bench.instrument.lot_size, bench.instrument.tick_size
        off_lot = bench.order(quantity=float(bench.unit + lot / 2))
        off_tick = bench.order(price=float(exact(bench.away(OrderSide.BUY)) + tick / 2))
        for order in (off_lot, off_tick):
            asked = (exact(order.quantity), exact(order.price or 0))
            try:
                sent = await bench.submit(order)
            except (InstrumentError, OrderError):
                assert order.client_order_id not in await bench.venue.taken()
                del bench.shadows[order.client_order_id]
                continue
            assert bench.instrument.on_quantity_grid(sent.quantity)
            assert bench.instrument.on_price_grid(sent.price or 0)
            assert exact(sent.quantity) <= asked[0], "never more than was asked"
            assert exact(sent.price or 0) <= asked[1], "a buyer never pays more than was asked"
            assert sent.metadata, "and what was cut is recorded"

    @conforms("instruments")
    async def test_instruments_tell_the_grid_and_unknown_symbols_their_neighbours(self, bench: Bench) -> None:
        listed = await bench.call(bench.adapter.load_instruments([bench.instrument.symbol]))
        told = listed.find(bench.instrument.symbol)
        assert (told.tick_size, told.lot_size) == (bench.instrument.tick_size, bench.instrument.lot_size)
        assert (told.base, told.quote) == (bench.instrument.base, bench.instrument.quote)
        with pytest.raises(InstrumentError, match="NO_SUCH_THING"):
            await bench.call(bench.adapter.load_instruments(["NO_SUCH_THING"]))
