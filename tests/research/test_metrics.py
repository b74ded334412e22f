"""The formulas against numbers worked by hand, and against what must hold for any run."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.orders import Fill, OrderSide
from autotrader_lab.model.positions import Positions
from autotrader_lab.research import metrics, replay, samples

from .frames import bars_frame
from .strategies import Watcher
from .test_replay import QUIET

DAY_NS = 86_400 * 10**9
START = datetime(2024, 1, 1, tzinfo=UTC)


def _fill(number: int, side: str, quantity: float, price: float, fee: float = 0.0, currency: str = "USD") -> Fill:
    when = START + timedelta(minutes=number)
    return Fill("o", "X/USD", OrderSide(side), quantity, price, fee, when, f"e{number}", fee_currency=currency)


def test_drawdown_by_hand() -> None:
    equity = np.array([100.0, 120.0, 90.0, 120.0, 130.0, 65.0, 70.0])
    assert metrics.drawdown(equity).tolist() == [0, 0, 0.25, 0, 0, 0.5, 1 - 70 / 130]
    assert metrics.drawdown(equity, 200.0)[0] == 0.5
    assert metrics.drawdown(np.array([])).tolist() == []
    times = np.arange(7, dtype=np.int64) * DAY_NS
    assert metrics.longest_drawdown_ns(times, equity) == 2 * DAY_NS  # days 1 to 3, and 4 to the end
    assert metrics.longest_drawdown_ns(times, np.sort(equity)) == 0


def test_growth_by_hand() -> None:
    assert metrics.cagr(100, 121, 2) == pytest.approx(0.10)
    assert metrics.cagr(100, 50, 1) == pytest.approx(-0.5)
    assert math.isnan(metrics.cagr(100, 101, 0.5 / 365.25))
    assert math.isnan(metrics.cagr(100, -1, 2))
    assert metrics.cagr(1e-300, 1e300, 0.5) == math.inf


def test_sharpe_and_sortino_by_hand() -> None:
    returns = np.array([0.02, -0.01, 0.03, 0.00])
    # mean 0.01, deviations 0.01 -0.02 0.02 -0.01: sample variance 0.001 / 3
    assert metrics.sharpe(returns, 4) == pytest.approx(0.01 / math.sqrt(0.001 / 3) * 2)
    assert metrics.sortino(returns, 4) == pytest.approx(0.01 / math.sqrt(0.0001 / 4) * 2)
    for flat in (np.zeros(5), np.array([0.1])):
        assert math.isnan(metrics.sharpe(flat, 252))
        assert math.isnan(metrics.sortino(flat, 252))


def test_profit_factor_by_hand() -> None:
    assert metrics.profit_factor(np.array([30.0, -10.0, -5.0])) == 2.0
    assert metrics.profit_factor(np.array([1.0])) == math.inf
    assert math.isnan(metrics.profit_factor(np.array([])))


def test_equity_is_sampled_at_the_end_of_periods() -> None:
    times = np.array([0, 4, 4, 25], dtype=np.int64) * 10**8
    equity = np.array([1.0, 2.0, 3.0, 4.0])
    grid, values = metrics.sampled(times, equity, 1.0)
    assert (grid // 10**8).tolist() == [0, 10, 20, 30]
    assert values.tolist() == [1.0, 3.0, 3.0, 4.0]
    assert metrics.sampled(times, equity)[1].tolist() == [1.0, 3.0, 4.0]


def test_round_trips_by_hand() -> None:
    fills = [
        _fill(0, "buy", 2, 100, 0.2),
        _fill(1, "buy", 1, 106, 0.1),
        _fill(2, "sell", 1, 110, 0.1),
        _fill(3, "sell", 4, 112, 0.8),  # closes 2, turns 2 short
        _fill(4, "buy", 2, 115, 0.2),
        _fill(5, "sell", 1, 90),  # stays open
    ]
    trips = metrics.round_trips(fills, Instruments([Instrument("X/USD")]))
    assert trips["side"].tolist() == ["long", "short"]
    assert trips["quantity"].tolist() == [3, 2]
    assert trips["entry_price"].tolist() == [102, 112]
    assert trips["exit_price"].tolist() == pytest.approx([(110 + 2 * 112) / 3, 115])
    assert trips["gross"].tolist() == pytest.approx([8 + 2 * 10, -6])
    assert trips["fees"].tolist() == pytest.approx([0.2 + 0.1 + 0.1 + 0.4, 0.4 + 0.2])
    assert trips["profit"].tolist() == pytest.approx([27.2, -6.6])
    assert trips["return"].tolist() == pytest.approx([27.2 / 306, -6.6 / 224])
    assert trips["exit_time"].dt.minute.tolist() == [3, 4]
    assert len(metrics.round_trips([])) == 0


def test_fees_in_the_base_currency_leave_no_phantom_trip() -> None:
    from decimal import Decimal

    listed = Instruments([Instrument("X/USD", base="X", lot_size=Decimal("0.01"))])
    fills = [_fill(0, "buy", 1, 100, 0.001, "X"), _fill(1, "sell", 0.99, 110, 0.1)]
    trips = metrics.round_trips(fills, listed)
    assert len(trips) == 1
    assert trips["fees"].iloc[0] == pytest.approx(0.001 * 100 + 0.1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 5), st.integers(90, 110), st.integers(0, 3)),
        max_size=25,
    )
)
def test_trips_add_up_to_the_positions(raw: list[tuple[str, int, int, int]]) -> None:
    fills = [_fill(number, side, size, price, fee) for number, (side, size, price, fee) in enumerate(raw)]
    position = Positions()
    for fill in fills:
        position.apply(fill)
    # Flatten at the end, so that every trip is over.
    left = float(position.quantity("X/USD"))
    if left:
        closing = _fill(len(fills), "sell" if left > 0 else "buy", abs(left), 100, 1)
        fills.append(closing)
        position.apply(closing)
    trips = metrics.round_trips(fills)
    if fills:
        assert trips["gross"].sum() == pytest.approx(float(position["X/USD"].realised), abs=1e-9)
        assert trips["fees"].sum() == pytest.approx(float(position["X/USD"].fees), abs=1e-9)
        assert len(trips) == position["X/USD"].round_trips
    assert (trips["profit"] <= trips["gross"]).all()


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=60))
def test_drawdown_is_a_fraction_and_zero_at_peaks(values: list[float]) -> None:
    equity = np.array(values)
    fallen = metrics.drawdown(equity)
    assert ((fallen >= 0) & (fallen < 1)).all()
    assert fallen[int(equity.argmax())] == 0
    times = np.arange(len(values), dtype=np.int64)
    assert 0 <= metrics.longest_drawdown_ns(times, equity) <= len(values)


def test_the_year_is_counted_from_the_data() -> None:
    daily = replay(Watcher({1: ("LONG", 100.0)}), samples.stocks("AAPL"), **QUIET).stats
    assert 249 < daily["periods_per_year"] < 253
    minutes = replay(Watcher({1: ("LONG", 100.0)}), bars_frame(3000), **QUIET).stats
    assert minutes["periods_per_year"] == pytest.approx(365.25 * 1440)
    years = (daily["end"] - daily["start"]).total_seconds() / (365.25 * 86_400)
    assert daily["cagr"] == pytest.approx((1 + daily["total_return"]) ** (1 / years) - 1)


def test_buy_and_hold_of_google_is_the_reference_number() -> None:
    frame = samples.stocks("GOOG", adjusted=False)
    # The reference file has the same closes, but the first one rounded to cents (here 100.335).
    frame.iloc[0, frame.columns.get_loc("close")] = 100.34  # type: ignore[index]
    result = replay(Watcher(), frame, **QUIET)
    assert 100 * result.stats["buy_and_hold"] == pytest.approx(703.458242, abs=1e-4)
    assert result.stats["events"] == 2148


def test_figures_of_a_small_run_by_hand() -> None:
    frame = pd.DataFrame(
        {
            "open": [100.0, 100, 110, 120, 105],
            "high": [101.0, 112, 122, 121, 106],
            "low": [99.0, 99, 109, 104, 99],
            "close": [100.0, 110, 120, 105, 100],
        },
        index=pd.date_range("2024-01-01", periods=5, freq="D", tz="UTC"),
    )
    # Buys 10 at 100 (bar 1), sells 10 at 105 (bar 4).
    options = {**QUIET, "initial_balance": 10_000}
    stats = replay(
        Watcher({0: ("LONG", 10.0), 3: ("CLOSE", 0.0)}), frame, slippage_bps=0, commission_bps=10, **options
    ).stats
    equity = [10_000, 10_099, 10_199, 10_049, 10_047.95]
    returns = np.diff(equity) / equity[:-1]
    assert stats["end_equity"] == pytest.approx(equity[-1])
    assert stats["fees"] == pytest.approx(1 + 1.05)
    assert stats["turnover"] == pytest.approx((1_000 + 1_050) / np.mean(equity))
    assert stats["exposure"] == pytest.approx(3 / 4)
    assert stats["max_drawdown"] == pytest.approx(1 - 10_047.95 / 10_199)
    assert stats["max_drawdown_duration"] == pd.Timedelta(days=2)
    assert stats["volatility"] == pytest.approx(returns.std(ddof=1) * math.sqrt(365.25))
    assert stats["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * math.sqrt(365.25))
    assert (stats["round_trips"], stats["win_rate"], stats["profit_factor"]) == (1, 1.0, math.inf)
    assert stats["best_trip"] == pytest.approx(47.95)
    assert stats["buy_and_hold"] == pytest.approx(0.0)
