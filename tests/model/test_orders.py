"""The transition table and what a report does to an order."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.model.errors import IllegalTransition, OrderError
from autotrader_lab.model.orders import (
    DONE,
    OPEN,
    Accepted,
    Amended,
    Cancelled,
    Denied,
    Expired,
    Fill,
    Filled,
    InDoubt,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Rejected,
    check_order,
)
from autotrader_lab.model.transitions import TRANSITIONS, Event

T0 = datetime(2024, 8, 9, 12, 0, tzinfo=UTC)


def an_order(quantity: float = 1.0, **fields: object) -> Order:
    values: dict[str, object] = {"price": 100.0, "client_order_id": "c1", **fields}
    return Order("", "BTC/USDT", OrderSide.BUY, OrderType.LIMIT, quantity, **values)  # type: ignore[arg-type]


def a_fill(quantity: float, price: float = 100.0, execution_id: str = "e1", **fields: object) -> Filled:
    fill = Fill("v1", "BTC/USDT", OrderSide.BUY, quantity, price, 0.0, T0, execution_id)
    for name, value in fields.items():
        setattr(fill, name, value)
    return Filled("c1", 1, fill)


def test_an_order_lives_from_intent_to_filled() -> None:
    order = an_order(2.0)
    assert order.status is OrderStatus.PENDING
    assert order.apply(Accepted("c1", 1, "v1"))
    assert (order.status, order.order_id) == (OrderStatus.SUBMITTED, "v1")
    assert order.apply(a_fill(0.5, 100.0, "e1", commission=0.1, fee_currency="USDT"))
    assert (order.status, order.filled_quantity) == (OrderStatus.PARTIAL_FILL, 0.5)
    assert order.apply(a_fill(1.5, 104.0, "e2", commission=0.001, fee_currency="BTC"))
    assert order.status is OrderStatus.FILLED
    assert order.avg_fill_price == 103.0
    assert order.commission_by_currency == {"USDT": Decimal("0.1"), "BTC": Decimal("0.001")}
    assert order.leaves == 0


def test_applying_an_execution_twice_changes_nothing() -> None:
    order = an_order(2.0)
    assert order.apply(a_fill(0.5))
    before = order.copy()
    assert not order.apply(a_fill(0.5))
    assert order == before


def test_a_fill_after_the_cancel_is_booked() -> None:
    order = an_order(1.0)
    order.apply(Accepted("c1", 1, "v1"))
    order.apply(Cancelled("c1", 2))
    assert order.apply(a_fill(0.25))
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, 0.25)
    assert order.apply(a_fill(0.75, execution_id="e2"))
    assert order.status is OrderStatus.FILLED


def test_evidence_beats_a_lost_answer() -> None:
    order = an_order()
    order.apply(Accepted("c1", 1, "v1"))
    assert not order.apply(InDoubt("c1", 2, "timeout"))
    assert order.status is OrderStatus.SUBMITTED


def test_doubt_stays_open_until_evidence() -> None:
    order = an_order()
    order.apply(InDoubt("c1", 1, "timeout"))
    assert order.status is OrderStatus.UNKNOWN
    assert order.is_open
    assert order.apply(Rejected("c1", 2, "never arrived", "NEVER_ARRIVED"))
    assert order.status is OrderStatus.REJECTED


def test_more_than_asked_is_booked_and_told() -> None:
    order = an_order(1.0)
    order.apply(a_fill(1.0))
    order.apply(a_fill(0.5, execution_id="e2"))
    assert order.overfilled
    assert order.leaves == 0


def test_amending_changes_quantity_and_price() -> None:
    order = an_order(1.0)
    order.apply(Accepted("c1", 1, "v1"))
    assert order.apply(Amended("c1", 2, 0.5, 99.0, "v2"))
    assert (order.quantity, order.price, order.order_id) == (0.5, 99.0, "v2")
    assert not order.apply(Amended("c1", 3, 0.5, 99.0, "v2"))


def test_denial_says_code_and_figures() -> None:
    order = an_order()
    order.apply(Denied("c1", 1, "NOTIONAL_OVER_LIMIT", 12_000.0, 10_000.0))
    assert order.status is OrderStatus.DENIED
    assert "asked 12000.0, limit 10000.0" in order.reason


REPORTS = {
    Event.ACCEPT: Accepted("c1", 5, "v1"),
    Event.PARTIAL: a_fill(0.25, execution_id="p"),
    Event.FILL: a_fill(1.0, execution_id="f"),
    Event.CANCEL: Cancelled("c1", 5),
    Event.REJECT: Rejected("c1", 5, "no"),
    Event.EXPIRE: Expired("c1", 5),
    Event.DENY: Denied("c1", 5, "X"),
    Event.DOUBT: InDoubt("c1", 5, "?"),
    Event.AMEND: Amended("c1", 5, 2.0),
}


@pytest.mark.parametrize("status", list(OrderStatus))
@pytest.mark.parametrize("event", list(Event))
def test_every_cell_of_the_table_is_a_row_or_raises(status: OrderStatus, event: Event) -> None:
    order = an_order(1.0)
    order.status = status
    expected = TRANSITIONS.get((status, event))
    if expected is None:
        with pytest.raises(IllegalTransition, match=status.value):
            order.apply(REPORTS[event])
        assert order.status is status
    else:
        order.apply(REPORTS[event])
        if (status, event) == (OrderStatus.FILLED, Event.AMEND):
            expected = OrderStatus.PARTIAL_FILL  # made twice as big, it works on
        assert order.status is expected


def test_open_and_done_split_the_states() -> None:
    assert set(OrderStatus) == OPEN | DONE
    assert not OPEN & DONE
    assert OrderStatus.UNKNOWN in OPEN


@given(
    st.permutations([Accepted("c1", 1, "v1"), a_fill(0.25, execution_id="a"), a_fill(0.5, execution_id="b")]),
    st.lists(st.integers(0, 2), max_size=6),
)
def test_order_and_repetition_of_reports_do_not_matter(reports: list[object], repeats: list[int]) -> None:
    order = an_order(1.0)
    for report in [*reports, *(reports[i] for i in repeats)]:
        order.apply(report)  # type: ignore[arg-type]
    assert order.status is OrderStatus.PARTIAL_FILL
    assert order.filled_quantity == 0.75
    assert order.order_id == "v1"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantity": -1.0}, "quantity -1.0 must be a positive number"),
        ({"quantity": float("nan")}, "quantity nan must be a positive number"),
        ({"price": None}, "limit order needs a price"),
        ({"price": -5.0}, "price -5.0 must be a positive number"),
        ({"time_in_force": "GTX"}, "time_in_force 'GTX' is none of GTC"),
        ({"symbol": ""}, "symbol is empty"),
        ({"order_type": OrderType.STOP}, "stop order needs a stop_price"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    order = an_order()
    for name, value in fields.items():
        setattr(order, name, value)
    with pytest.raises(OrderError, match=message):
        check_order(order)


def test_order_types_carry_their_time_in_force() -> None:
    order = an_order()
    order.order_type = OrderType.FOK
    assert order.effective_time_in_force == "FOK"
    order.order_type = OrderType.MARKET
    assert order.limit_price is None
