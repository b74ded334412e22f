"""The gateway without a connection: orders that end with the day, expiries, fees, reading."""

from datetime import UTC, datetime
from typing import Any

import pytest

from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.sandbox.orders import Instrument, Order, OrderType, Prevention, Side, TimeInForce
from autotrader_lab.sandbox.sites import Plan
from autotrader_lab.sandbox.units import parse_e8, trim_e8
from autotrader_lab.sandbox.venues.ibkr.contracts import Contract, Query, find, make_catalogue
from autotrader_lab.sandbox.venues.ibkr.fees import commission
from autotrader_lab.sandbox.venues.ibkr.history import read_history
from autotrader_lab.sandbox.venues.ibkr.placing import Ticket
from autotrader_lab.sandbox.venues.ibkr.portfolio import cents
from autotrader_lab.sandbox.venues.ibkr.site import make_site
from autotrader_lab.sandbox.venues.ibkr.wire import BadField, Fields

e = parse_e8
EVENING = datetime(2026, 1, 5, 23, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)


def ticket(order_id: int, time_in_force: str, good_till: str = "") -> Ticket:
    return Ticket(
        order_id=order_id,
        query=Query(symbol="AAPL", kind="STK", exchange="SMART"),
        side=Side.BUY,
        quantity=e("10"),
        type_name="LMT",
        limit=e("180"),
        stop=0,
        time_in_force=time_in_force,
        account="",
        reference="",
        good_till=good_till,
        outside_hours=False,
        what_if=False,
    )


def test_orders_end_with_their_day_or_their_time() -> None:
    clock = SimulatedClock(EVENING)
    gateway = make_site(Plan([], None, clock, seed=1)).venues["testnet"].gateway
    for order_id, (tif, till) in enumerate([("DAY", ""), ("GTC", ""), ("GTD", "20260105 23:30:00")], 1):
        gateway.place(1, ticket(order_id, tif, till))
    gateway.expire()
    assert len(gateway.open_orders()) == 3
    clock.set_ns(clock.now_ns() + 1_800 * 10**9)
    gateway.expire()
    assert [api.order_id for api in gateway.open_orders()] == [1, 2]
    clock.set_ns(clock.now_ns() + 1_800 * 10**9)
    gateway.expire()
    assert [api.order_id for api in gateway.open_orders()] == [2]
    assert [api.reason for api in gateway.completed_orders()] == ["Expired"] * 2


@pytest.mark.parametrize(
    ("day", "future", "option"),
    [
        (datetime(2026, 1, 5, tzinfo=UTC), "20260320", "20260116"),
        (datetime(2026, 3, 13, tzinfo=UTC), "20260619", "20260417"),
        (datetime(2026, 12, 20, tzinfo=UTC), "20270319", "20270115"),
    ],
)
def test_expiries_lie_ahead(day: datetime, future: str, option: str) -> None:
    catalogue = make_catalogue(ms(day))
    expiries = {contract.kind: contract.expiry for contract in catalogue}
    assert (expiries["FUT"], expiries["OPT"]) == (future, option)
    (es,) = find(catalogue, Query(symbol="ES", kind="FUT", expiry=future[:6], exchange="CME"))
    assert es.local_symbol == f"ES{'FGHJKMNQUVXZ'[int(future[4:6]) - 1]}{future[3]}"
    assert find(catalogue, Query(symbol="ES", kind="FUT", expiry="209901")) == []


def order_of(contract: Contract, quantity: str) -> Order:
    return Order(
        account="a",
        symbol=contract.instrument.symbol,
        order_id=1,
        client_order_id="",
        side=Side.BUY,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC,
        price=0,
        quantity=e(quantity),
        quote_quantity=0,
        stop_price=0,
        iceberg=0,
        prevention=Prevention.NONE,
        created_ms=0,
        updated_ms=0,
        fills=[],
    )


@pytest.mark.parametrize(
    ("kind", "price", "quantity", "fee"),
    [
        ("STK", "190", "100", "1"),
        ("STK", "190", "1000", "5"),
        ("STK", "0.5", "1000", "2.5"),
        ("CASH", "1.1", "20000", "2"),
        ("CASH", "1.1", "1000000", "22"),
        ("FUT", "5200", "3", "6.75"),
        ("OPT", "5", "1", "1"),
        ("OPT", "5", "10", "6.5"),
    ],
)
def test_commissions(kind: str, price: str, quantity: str, fee: str) -> None:
    contract = next(c for c in make_catalogue(ms(EVENING)) if c.kind == kind)
    instrument: Instrument = contract.instrument
    whole = order_of(contract, quantity)
    assert trim_e8(commission(instrument, whole, e(price), e(quantity))) == fee


@pytest.mark.parametrize(
    ("read", "fields"),
    [
        (lambda f: f.text(), []),
        (lambda f: f.integer(), ["1.5"]),
        (lambda f: f.flag(), ["perhaps"]),
        (lambda f: f.amount(), ["-1"]),
        (lambda f: f.amount(), ["nan"]),
    ],
)
def test_fields_that_cannot_be_read(read: Any, fields: list[str]) -> None:
    with pytest.raises(BadField):
        read(Fields(fields))


def test_numbers_that_mean_nothing_and_numbers_too_fine() -> None:
    fields = Fields(["", "1.7976931348623157E308", "1e-05", "0.1234567891"])
    assert [fields.amount() for _ in range(4)] == [0, 0, 1_000, 12_345_679]
    assert [cents(e("1.005")), cents(-e("1.005")), cents(e("0.004"))] == ["1.01", "-1.01", "0.00"]


def test_ends_of_history_in_their_zones() -> None:
    now_ms = ms(EVENING)
    for text in ("20260105 12:00:00 US/Eastern", "20260105-17:00:00", "20260105 17:00:00 UTC"):
        assert read_history(text, "1 min", "60 S", "TRADES", 1, now_ms).end_ms == ms(EVENING) - 6 * 3_600_000
    with pytest.raises(BadField, match="Invalid end date"):
        read_history("20260105 12:00:00 Mars/Olympus", "1 min", "60 S", "TRADES", 1, now_ms)
