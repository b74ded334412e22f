from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategy_helpers import MINUTE

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy import PortfolioConfig, RiskConfig
from autotrader_lab.strategy.limits import Exposure
from autotrader_lab.strategy.portfolio import PortfolioManager, correlation_factor, require_groups

HELD = [Exposure("B", 1.0, 600.0, "tech", "X"), Exposure("C", -1.0, -400.0, "oil", "Y")]


def manager(**values) -> PortfolioManager:
    return PortfolioManager(PortfolioConfig(**values))


def code(found) -> str | None:
    return None if found is None else found.code


# Counting.


@pytest.mark.parametrize(
    ("limits", "sector", "venue", "expected"),
    [
        ({}, None, None, None),
        ({"max_concurrent_positions": 2}, None, None, "CONCURRENT_POSITIONS"),
        ({"max_concurrent_positions": 3}, None, None, None),
        ({"max_per_sector": 1}, "tech", None, "PER_SECTOR"),
        ({"max_per_sector": 1}, "food", None, None),
        ({"max_per_venue": 1}, None, "Y", "PER_VENUE"),
        ({"max_per_venue": 2}, None, "Y", None),
        ({"min_sectors": 3}, "tech", None, "MIN_SECTORS"),
        ({"min_sectors": 3}, "food", None, None),
        ({"min_sectors": 2}, "tech", None, None),
        ({"min_venues": 3}, None, "X", "MIN_VENUES"),
    ],
)
def test_one_more_position(limits, sector, venue, expected):
    assert code(manager(**limits).check_entry(sector, venue, HELD, 0)) == expected


def test_diversification_limits_let_an_empty_book_begin():
    strict = manager(min_sectors=3, min_venues=2, max_sector_concentration=0.3, max_venue_concentration=0.3)
    assert strict.check_entry("tech", "X", [], 0) is None
    assert strict.check_concentration(Exposure("A", 1.0, 100.0, "tech", "X"), []) is None


@pytest.mark.parametrize(
    ("limits", "sector", "venue", "expected"),
    [
        # 600 + 500 of 1500
        ({"max_sector_concentration": 0.7}, "tech", "Z", "SECTOR_CONCENTRATION"),
        ({"max_sector_concentration": 0.74}, "tech", "Z", None),
        ({"max_venue_concentration": 0.5}, "food", "Y", "VENUE_CONCENTRATION"),
        ({"max_venue_concentration": 0.6}, "food", "Y", None),
        ({}, "tech", "X", None),
    ],
)
def test_concentration_after_the_trade(limits, sector, venue, expected):
    assert code(manager(**limits).check_concentration(Exposure("A", 5.0, 500.0, sector, venue), HELD)) == expected


def test_a_limit_by_sector_needs_the_sector():
    for portfolio, risk in [
        (PortfolioConfig(max_per_sector=1), RiskConfig()),
        (PortfolioConfig(), RiskConfig(max_sector_exposure={"tech": 1.0})),
    ]:
        with pytest.raises(StrategyError, match=r"A: .*sector is not known; pass sector="):
            require_groups("A", None, "X", portfolio, risk)
    with pytest.raises(StrategyError, match=r"A: .*venue is not known; pass venue="):
        require_groups("A", "tech", None, PortfolioConfig(max_venue_concentration=0.5), RiskConfig())
    require_groups("A", None, None, PortfolioConfig(), RiskConfig())


# Correlation.


def test_correlation_factor_worked_example():
    assert correlation_factor(0.35, 0.70) == pytest.approx(0.5)
    assert correlation_factor(0.70, 0.70) == 0.0
    assert correlation_factor(0.95, 0.70) == 0.0
    assert correlation_factor(0.0, 0.70) == 1.0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_more_correlation_never_means_more_size(one, other, maximum):
    low, high = sorted((one, other))
    assert 0.0 <= correlation_factor(high, maximum) <= correlation_factor(low, maximum) <= 1.0


def frame(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    common = rng.normal(0, 0.01, rows)
    return pd.DataFrame(
        {name: w * common + rng.normal(0, 0.01, rows) for name, w in [("A", 1), ("B", 0.5), ("C", -0.5)]}
    )


def test_correlation_with_what_is_held_is_the_mean_of_absolutes_over_the_lookback():
    data = frame()
    found = manager().correlation("A", ["B", "C"], data, 1)
    matrix = data.iloc[-60:].corr()
    expected = (abs(matrix.loc["A", "B"]) + abs(matrix.loc["A", "C"])) / 2
    assert found.mean_abs == pytest.approx(expected, rel=1e-9)
    assert found.factor == pytest.approx(1 - expected / 0.7)
    assert found.unmeasured == []


def test_what_cannot_be_measured_is_named():
    data = {"A": np.arange(5.0), "B": np.ones(5)}
    found = manager().correlation("A", ["B", "Q"], data, 1)
    assert (found.factor, found.mean_abs, found.unmeasured) == (1.0, None, ["B", "Q"])
    assert manager().correlation("A", ["B"], None, 1).unmeasured == ["B"]
    assert manager().correlation("A", [], data, 1).factor == 1.0


def test_correlation_is_measured_anew_after_so_many_bars():
    portfolio = manager(correlation_update_freq=10)
    same, opposite = np.arange(20.0) % 3, np.arange(20.0)[::-1] % 7
    first = portfolio.correlation("A", ["B"], {"A": same, "B": same}, 1)
    assert first.mean_abs == pytest.approx(1.0)
    assert portfolio.correlation("A", ["B"], {"A": same, "B": opposite}, 10).mean_abs == first.mean_abs
    assert portfolio.correlation("A", ["B"], {"A": same, "B": opposite}, 11).mean_abs < 0.9


def test_nan_in_the_returns_is_named():
    with pytest.raises(StrategyError, match=r"B: returns_data\[1\] is nan"):
        manager().correlation("A", ["B"], {"A": [0.1, 0.2, 0.3], "B": [0.1, np.nan, 0.3]}, 1)


# The pause after losses.


def lose(portfolio: PortfolioManager, count: int, now: int = 0) -> None:
    for _ in range(count):
        portfolio.record_outcome(-1.0, now)


def minutes(portfolio: PortfolioManager, now: int = 0) -> float:
    return (portfolio.cooldown_until_ns - now) / MINUTE


def test_three_losses_pause_and_time_ends_it():
    portfolio = manager()
    lose(portfolio, 2)
    assert portfolio.cooldown_until_ns is None
    lose(portfolio, 1)
    assert minutes(portfolio) == 15
    assert code(portfolio.check_entry(None, None, [], 0)) == "COOLDOWN"
    portfolio.advance(15 * MINUTE - 1)
    assert portfolio.cooldown_until_ns is not None
    portfolio.advance(15 * MINUTE)
    assert portfolio.check_entry(None, None, [], 15 * MINUTE) is None


def test_the_pause_doubles_up_to_its_maximum_and_a_win_resets_it():
    portfolio = manager()
    found = []
    for _ in range(6):
        lose(portfolio, 3)
        found.append(minutes(portfolio))
    assert found == [15, 30, 60, 120, 240, 240]
    portfolio.record_outcome(1.0, 0)
    lose(portfolio, 3)
    assert minutes(portfolio) == 15


def test_without_progression_it_stays():
    portfolio = manager(progressive_cooldown=False)
    for _ in range(3):
        lose(portfolio, 3)
        assert minutes(portfolio) == 15


def test_a_win_in_between_starts_the_count_again():
    portfolio = manager()
    lose(portfolio, 2)
    portfolio.record_outcome(1.0, 0)
    lose(portfolio, 2)
    assert portfolio.cooldown_until_ns is None
