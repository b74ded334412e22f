"""The four buttons, and the second chance of dead letters."""

from __future__ import annotations

import pytest
from test_doubt import SYMBOL, LossyVenue, clock, lost, oms, venue

from autotrader_lab.execution.adapters.base import Capabilities
from autotrader_lab.execution.oms import OrderManager
from autotrader_lab.execution.oms.settlement import Settlement
from autotrader_lab.execution.resiliency import DeadLetters
from autotrader_lab.execution.risk import TradingState
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import OrderError, OrderRefused, VenueUnavailable
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType

__all__ = ["clock", "oms", "venue"]


@pytest.fixture
def letters(clock: SimulatedClock) -> DeadLetters:
    return DeadLetters(clock)


@pytest.fixture
def buttons(oms: OrderManager, letters: DeadLetters) -> Settlement:
    oms.on_undelivered.append(lambda order, reason: letters.bury(order, VenueUnavailable(reason), 1))
    return Settlement(oms, letters)


async def test_query_books_what_the_venue_says(buttons: Settlement, oms: OrderManager, venue: LossyVenue) -> None:
    order = await lost(oms, venue, "answer")
    assert (await buttons.query(order.client_order_id)).status is OrderStatus.FILLED


async def test_resubmit_sends_only_what_the_venue_has_not(
    buttons: Settlement, oms: OrderManager, venue: LossyVenue
) -> None:
    order = await lost(oms, venue, "request")
    assert (await buttons.resubmit(order.client_order_id)).status is OrderStatus.FILLED
    with pytest.raises(OrderError, match="neither in doubt nor a dead letter"):
        await buttons.resubmit(order.client_order_id)
    there = await lost(oms, venue, "answer", quantity=0.2)
    with pytest.raises(OrderError, match="the venue has it"):
        await buttons.resubmit(there.client_order_id)
    assert there.status is OrderStatus.FILLED
    assert venue.submits == 3


async def test_a_silent_venue_ends_no_doubt_by_any_button(
    buttons: Settlement, oms: OrderManager, venue: LossyVenue
) -> None:
    order = await lost(oms, venue, "request")
    venue.silent = True
    for button in (buttons.query, buttons.resubmit, buttons.discard):
        with pytest.raises(VenueUnavailable):
            await button(order.client_order_id)
    assert order.status is OrderStatus.UNKNOWN


async def test_discard_gives_up_only_what_the_venue_has_not(
    buttons: Settlement, oms: OrderManager, venue: LossyVenue
) -> None:
    order = await lost(oms, venue, "request")
    assert (await buttons.discard(order.client_order_id)).status is OrderStatus.REJECTED
    there = await lost(oms, venue, "answer", quantity=0.2)
    with pytest.raises(OrderError, match="cancel it instead"):
        await buttons.discard(there.client_order_id)


async def test_adopt_ties_an_order_to_the_venues(buttons: Settlement, oms: OrderManager, venue: LossyVenue) -> None:
    order = await lost(oms, venue, "answer")
    venue_id = next(iter(venue.orders.values())).order_id
    assert (await buttons.adopt(order.client_order_id, venue_id)).status is OrderStatus.FILLED
    assert oms.get_position(SYMBOL) == 0.1


async def test_adopt_refuses_what_is_something_else(buttons: Settlement, oms: OrderManager, venue: LossyVenue) -> None:
    other = await oms.submit_order(SYMBOL, OrderSide.SELL, 0.1, OrderType.MARKET)
    bought = await oms.submit_order(SYMBOL, OrderSide.BUY, 0.1, OrderType.MARKET)
    sold = await oms.submit_order(SYMBOL, OrderSide.SELL, 0.05, OrderType.MARKET)
    assert other.status is OrderStatus.REJECTED
    order = await lost(oms, venue, "request", quantity=0.3)
    with pytest.raises(OrderError, match="adopt only what it really is"):
        await buttons.adopt(order.client_order_id, sold.order_id)
    with pytest.raises(OrderError, match="not in doubt"):
        await buttons.adopt(bought.client_order_id, sold.order_id)


async def test_without_our_ids_at_the_venue_a_person_must_look(
    buttons: Settlement, oms: OrderManager, venue: LossyVenue
) -> None:
    order = await lost(oms, venue, "request")
    venue.capabilities = Capabilities(reports=True)
    with pytest.raises(OrderRefused, match="keeps no client order ids"):
        await buttons.discard(order.client_order_id)


async def stale(oms: OrderManager, venue: LossyVenue, clock: SimulatedClock) -> Order:
    order = await lost(oms, venue, "request")
    await oms.resolve(order)
    await clock.advance(6)
    await oms.resolve(order)
    assert order.status is OrderStatus.REJECTED
    return order


async def test_what_never_arrived_and_is_stale_is_a_dead_letter(
    buttons: Settlement, letters: DeadLetters, oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    order = await stale(oms, venue, clock)
    assert [letter.order for letter in letters] == [order]
    again = await buttons.resubmit(order.client_order_id)
    assert again.metadata["resubmits"] == order.client_order_id
    assert again.status is OrderStatus.FILLED
    assert len(letters) == 0


async def test_reprocessing_asks_freshness_price_and_risk_again(
    buttons: Settlement, letters: DeadLetters, oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    await stale(oms, venue, clock)
    assert await buttons.reprocess(fresh_s=1) == []
    oms.desk.gate.state = TradingState.HALTED
    assert await buttons.reprocess() == []
    assert len(letters) == 1
    oms.desk.gate.state = TradingState.ACTIVE
    (sent,) = await buttons.reprocess()
    assert sent.status is OrderStatus.FILLED
    assert len(letters) == 0


async def test_a_dead_letter_can_be_discarded(
    buttons: Settlement, letters: DeadLetters, oms: OrderManager, venue: LossyVenue, clock: SimulatedClock
) -> None:
    told: list[str] = []
    letters.subscribe(lambda letter, what: told.append(what))
    order = await stale(oms, venue, clock)
    await buttons.discard(order.client_order_id)
    assert told == ["dead", "discarded"]
    assert letters.find(order.client_order_id) is None
