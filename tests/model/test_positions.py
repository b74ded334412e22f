"""Positions fold fills exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.model.errors import InstrumentError
from autotrader_lab.model.instruments import Instrument, Instruments, exact
from autotrader_lab.model.orders import Fill, OrderSide
from autotrader_lab.model.positions import Positions

T0 = datetime(2024, 1, 1, tzinfo=UTC)
BTC = Instrument("BTC/USDT", Decimal("0.01"), Decimal("0.00001"), base="BTC", quote="USDT")


def fill(side: str, quantity: float, price: float, fee: float = 0.0, currency: str = "", number: int = 0) -> Fill:
    return Fill(
        "o", "BTC/USDT", OrderSide(side), quantity, price, fee, T0, f"e{number}", fee_currency=currency, venue="v"
    )


def book(*fills: Fill) -> Positions:
    positions = Positions(Instruments([BTC]))
    for number, one in enumerate(fills):
        one.execution_id = f"e{number}"
        assert positions.apply(one) is not None
    return positions


def test_average_cost_and_realised() -> None:
    position = book(fill("buy", 1, 100), fill("buy", 1, 110), fill("sell", 1, 120))["BTC/USDT"]
    assert position.quantity == 1
    assert position.average_price == 105
    assert position.realised == 15
    assert position.unrealised(130) == 25


def test_flip_realises_the_old_side_and_opens_the_new_at_the_fill() -> None:
    position = book(fill("buy", 1, 100), fill("sell", 3, 90))["BTC/USDT"]
    assert (position.quantity, position.realised, position.average_price) == (-2, -10, 90)
    assert position.round_trips == 1


def test_a_fee_in_the_base_currency_shrinks_what_is_held() -> None:
    position = book(fill("buy", 1, 100, fee=0.001, currency="BTC"))["BTC/USDT"]
    assert position.quantity == Decimal("0.999")
    assert position.fees == Decimal("0.1")
    assert position.realised == 0
    assert position.unrealised(100) == 0


def test_what_a_fee_left_below_a_lot_is_flat() -> None:
    position = book(fill("buy", 0.001, 60_000, fee=0.000001, currency="BTC"), fill("sell", 0.00099, 60_000))["BTC/USDT"]
    assert position.quantity == Decimal("0.000009")
    assert position.is_flat
    assert position.round_trips == 1


def test_fees_in_a_third_currency_are_kept_apart() -> None:
    position = book(fill("buy", 1, 100, fee=0.01, currency="BNB"))["BTC/USDT"]
    assert position.other_fees == {"BNB": Decimal("0.01")}
    assert position.fees == 0


def test_an_execution_counts_once() -> None:
    positions = book(fill("buy", 1, 100))
    assert positions.apply(fill("buy", 1, 100, number=0)) is None
    assert positions.quantity("BTC/USDT") == 1


_lots = st.integers(1, 1_000_000).map(lambda lots: float(lots * Decimal("0.00001")))
_ticks = st.integers(1, 10_000_000).map(lambda ticks: float(ticks * Decimal("0.01")))
_fees = st.tuples(st.integers(0, 1000).map(lambda n: n / 1e6), st.sampled_from(["", "USDT", "BTC"]))


@given(st.lists(st.tuples(st.sampled_from(["buy", "sell"]), _lots, _ticks, _fees), min_size=1, max_size=30), _ticks)
def test_profit_is_cash_flow_plus_holdings_at_every_mark(
    trades: list[tuple[str, float, float, tuple[float, str]]], mark: float
) -> None:
    positions = book(*(fill(side, q, p, fee, currency) for side, q, p, (fee, currency) in trades))
    position = positions["BTC/USDT"]
    held = sum((exact(q) * OrderSide(side).sign for side, q, _, _ in trades), Decimal(0))
    cash = sum((-exact(q) * exact(p) * OrderSide(side).sign for side, q, p, _ in trades), Decimal(0))
    for _, _, _, (fee, currency) in trades:
        if currency == "BTC":
            held -= exact(fee)
        else:
            cash -= exact(fee)
    assert position.quantity == held
    total = position.realised + position.unrealised(mark) - position.fees
    assert abs(total - (cash + held * exact(mark))) <= Decimal("1e-9")
    if held == 0:
        assert position.open_cost == 0


def test_an_unlisted_symbol_is_refused_with_the_nearest() -> None:
    with pytest.raises(InstrumentError, match="no symbol 'BTC/USD'; did you mean BTC/USDT"):
        Positions(Instruments([BTC])).position("BTC/USD")


def test_numbers_that_are_none_are_refused() -> None:
    for bad in (float("nan"), float("inf"), "abc", None):
        with pytest.raises(InstrumentError):
            exact(bad, "price")  # type: ignore[arg-type]


def test_the_grid() -> None:
    assert BTC.round_quantity(0.123456789) == Decimal("0.12345")
    assert BTC.round_price(100.004) == Decimal("100.00")
    assert BTC.round_price(100.004, "up") == Decimal("100.01")
    assert BTC.check_price(100.01) == Decimal("100.01")
    with pytest.raises(
        InstrumentError, match=r"price 100\.005 is off the grid of 0\.01; nearest are 100\.00 and 100\.01"
    ):
        BTC.check_price(100.005)
    with pytest.raises(InstrumentError, match="must be positive"):
        BTC.check_price(-1)
    with pytest.raises(InstrumentError, match="tick_size"):
        Instrument("X", tick_size=Decimal(0))


def test_symbols_are_found_by_either_name() -> None:
    listed = Instruments([Instrument("BTC/USDT", venue_symbol="BTCUSDT")], venue="binance")
    assert listed.find("BTCUSDT") is listed["BTC/USDT"]
    assert list(listed) == ["BTC/USDT"]
    assert "X/Y" not in listed
