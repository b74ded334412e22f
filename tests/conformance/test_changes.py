"""A change in place and the executions around it may be told in any order."""

from __future__ import annotations

from datetime import UTC, datetime

from autotrader_lab.execution.oms.evidence import catch_up
from autotrader_lab.model.orders import Accepted, Amended, Fill, Filled, Order, OrderSide, OrderStatus, OrderType

T0 = datetime(2024, 8, 9, 12, 0, tzinfo=UTC)


def working(quantity: float = 3.0) -> Order:
    order = Order("", "BTC/USDT", OrderSide.BUY, OrderType.LIMIT, quantity, 100.0, client_order_id="c")
    order.apply(Accepted("c", 1, "v"))
    return order


def fill(quantity: float) -> Fill:
    return Fill("v", "BTC/USDT", OrderSide.BUY, quantity, 100.0, 0.0, T0, f"e-{quantity}", client_order_id="c")


def test_an_order_made_as_small_as_what_was_executed_is_filled() -> None:
    for reports in (
        [Amended("c", 2, 2.0), Filled("c", 3, fill(2.0))],
        [Filled("c", 2, fill(2.0)), Amended("c", 3, 2.0)],
    ):
        order = working()
        for report in reports:
            assert order.apply(report)
        assert order.status is OrderStatus.FILLED
        assert not order.overfilled


def test_a_change_whose_answer_was_lost_is_found_in_the_venues_view() -> None:
    ours, theirs = working(), working(2.0)
    theirs.price = 101.0
    theirs.apply(Filled("c", 2, fill(0.5)))
    reports, complete = catch_up(ours, theirs, [fill(0.5)], 5)
    assert complete
    assert [type(report).__name__ for report in reports] == ["Accepted", "Amended", "Filled"]
    for report in reports:
        ours.apply(report)
    assert (ours.quantity, ours.price, ours.filled_quantity) == (2.0, 101.0, 0.5)
    again, _ = catch_up(ours, theirs, [fill(0.5)], 6)
    assert [type(report).__name__ for report in again] == ["Accepted"]


def test_a_finished_order_is_not_changed_by_the_venues_view() -> None:
    ours, theirs = working(), working(2.0)
    ours.status = theirs.status = OrderStatus.CANCELLED
    reports, _ = catch_up(ours, theirs, [], 5)
    assert [type(report).__name__ for report in reports] == ["Accepted", "Cancelled"]
