from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy.statistics import (
    RunningVolatility,
    as_series,
    correlation,
    ewma_volatility,
    parkinson_volatility,
    std_volatility,
)

changes = st.lists(st.floats(-0.2, 0.2), min_size=25, max_size=120)


@pytest.fixture
def returns():
    return np.random.default_rng(7).normal(0.0002, 0.013, 1500)


@pytest.mark.parametrize("span", [2, 5, 20, 60])
@pytest.mark.parametrize("rows", [2, 3, 30, 1500])
def test_ewma_is_pandas_ewm_std(returns, span, rows):
    expected = pd.Series(returns[:rows]).ewm(span=span).std().iloc[-1]
    assert ewma_volatility(returns[:rows], span) == pytest.approx(expected, rel=1e-10)


def test_std_is_numpys_sample_deviation(returns):
    assert std_volatility(returns[-20:]) == pytest.approx(pd.Series(returns).rolling(20).std().iloc[-1], rel=1e-12)


def test_parkinson_worked_example():
    high, low = np.array([102.0, 101.0, 103.0]), np.array([100.0, 99.0, 100.0])
    by_hand = math.sqrt((math.log(1.02) ** 2 + math.log(101 / 99) ** 2 + math.log(1.03) ** 2) / 3 / (4 * math.log(2)))
    assert parkinson_volatility(high, low) == pytest.approx(by_hand, rel=1e-14)


def test_too_little_data_is_nan_not_zero():
    one = np.array([0.01])
    assert math.isnan(std_volatility(one))
    assert math.isnan(ewma_volatility(one, 20))
    assert math.isnan(parkinson_volatility(np.array([]), np.array([])))


@given(changes, st.sampled_from(["std", "ewma"]))
def test_running_equals_whole_array(values, method):
    running = RunningVolatility(method, 20)
    for value in values:
        running.update(value, None)
    array = np.array(values)
    expected = std_volatility(array[-20:]) if method == "std" else pd.Series(array).ewm(span=20).std().iloc[-1]
    assert running.value == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_running_parkinson_equals_whole_array():
    rng = np.random.default_rng(3)
    low = rng.uniform(90, 100, 50)
    high = low * (1 + rng.uniform(0, 0.05, 50))
    running = RunningVolatility("parkinson", 20)
    for top, bottom in zip(high, low, strict=True):
        running.update(None, math.log(top / bottom))
    assert running.value == pytest.approx(parkinson_volatility(high[-20:], low[-20:]), rel=1e-12)


def test_running_is_silent_until_it_has_seen_the_lookback():
    running = RunningVolatility("ewma", 5)
    for _ in range(4):
        running.update(0.01, None)
        assert running.value is None
    running.update(-0.01, None)
    assert running.value is not None


def test_running_does_not_drift_over_a_long_quiet_stretch():
    running = RunningVolatility("ewma", 20)
    for value in np.random.default_rng(1).normal(0, 0.5, 1000):
        running.update(float(value), None)
    quiet = np.random.default_rng(2).normal(0, 1e-6, 5000)
    for value in quiet:
        running.update(float(value), None)
    assert running.value == pytest.approx(ewma_volatility(quiet, 20), rel=1e-6)


@given(changes, st.sampled_from(["std", "ewma", "parkinson"]))
def test_running_state_goes_on_elsewhere(values, method):
    first = RunningVolatility(method, 10)
    for value in values[:-3]:
        first.update(value, abs(value))
    second = RunningVolatility.from_state(first.state())
    for value in values[-3:]:
        first.update(value, abs(value))
        second.update(value, abs(value))
    assert first.value == second.value


def test_correlation_is_numpys(returns):
    other = 0.6 * returns + np.random.default_rng(8).normal(0, 0.01, returns.size)
    assert correlation(returns, other) == pytest.approx(np.corrcoef(returns, other)[0, 1], rel=1e-12)
    # aligned at the last row
    assert correlation(returns, other[-60:]) == pytest.approx(np.corrcoef(returns[-60:], other[-60:])[0, 1], rel=1e-12)


def test_correlation_that_is_not_defined():
    assert correlation(np.ones(10), np.arange(10.0)) is None
    assert correlation(np.arange(2.0), np.arange(2.0)) is None


def test_series_from_pandas_lose_their_leading_nan_only():
    frame = pd.Series([100.0, 101.0, 102.0]).pct_change()
    assert as_series(frame, "returns", "A").size == 2
    with pytest.raises(StrategyError, match=r"A: returns\[1\] is nan"):
        as_series([0.1, math.nan, 0.2], "returns", "A")
    with pytest.raises(StrategyError, match=r"A: returns\[0\] is inf"):
        as_series([math.inf, 0.1], "returns", "A")
    with pytest.raises(StrategyError, match="sequence of numbers"):
        as_series(["x"], "returns", "A")
    with pytest.raises(StrategyError, match="2 dimensions"):
        as_series([[0.1], [0.2]], "returns", "A")
