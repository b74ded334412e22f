"""What the generators make is sound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.instruments import Instruments, exact
from autotrader_lab.model.market import Bar, Book, Quote
from autotrader_lab.model.orders import Accepted, Filled, check_order
from autotrader_lab.model.positions import Positions
from autotrader_lab.testing import generators as made


@given(st.data())
def test_orders_make_sense_and_their_fills_never_exceed_them(data: st.DataObject) -> None:
    instrument = data.draw(made.instruments())
    order = data.draw(made.orders(instrument))
    check_order(order)
    assert instrument.on_quantity_grid(order.quantity)
    assert order.price is None or instrument.on_price_grid(order.price)
    assert exact(order.quantity) >= instrument.min_quantity
    fills = data.draw(made.fills(order, instrument))
    positions = Positions(Instruments([instrument]))
    order.apply(Accepted(order.client_order_id, to_ns(order.created_at), "v1"))
    for fill in fills:
        assert instrument.on_quantity_grid(fill.quantity)
        order.apply(Filled(order.client_order_id, to_ns(fill.timestamp), fill))
        positions.apply(fill)
    assert not order.overfilled
    assert exact(order.filled_quantity) == sum((exact(fill.quantity) for fill in fills), exact(0))


@given(st.data())
def test_market_events_go_forward_and_are_not_crossed(data: st.DataObject) -> None:
    instrument = data.draw(made.instruments())
    events = data.draw(made.events(instrument))
    stamps = [event.timestamp_ns for event in events]
    assert stamps == sorted(stamps)
    for event in events:
        if isinstance(event, Quote):
            assert 0 < event.bid <= event.ask
        elif isinstance(event, Bar):
            assert event.low <= min(event.open, event.close) <= max(event.open, event.close) <= event.high
        elif isinstance(event, Book) and event.bids and event.asks:
            assert event.bids[0][0] < event.asks[0][0]
