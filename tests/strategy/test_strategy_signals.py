from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.strategy import SignalConfig
from autotrader_lab.strategy.book import OpenPosition
from autotrader_lab.strategy.signals import entry_signal, exit_signal, expected_value

SECOND = 1_000_000_000
CONFIG = SignalConfig()


def held(quantity: float = 1.0, entry: float = 100.0, best: float | None = None) -> OpenPosition:
    return OpenPosition(quantity, entry, entry if best is None else best, 0, 0, 1)


def leave(position: OpenPosition, price: float, config: SignalConfig = CONFIG, seconds: float = 0, bars: int = 0):
    position.mark(price)
    return exit_signal(config, position, price, round(seconds * SECOND), bars)


def test_expected_value_worked_example():
    # 0.6*100 - 0.4*80 - 5
    assert expected_value(CONFIG, 0.6) == pytest.approx(23.0)


@pytest.mark.parametrize(
    ("probability", "side"), [(0.55, 1), (0.549, 0), (0.5, 0), (0.451, 0), (0.45, -1), (0.0, -1), (1.0, 1)]
)
def test_thresholds_are_inclusive(probability, side):
    assert entry_signal(CONFIG, probability).side == side


def test_expected_value_is_that_of_the_side_asked_for():
    short = entry_signal(CONFIG, 0.4)
    assert (short.side, short.confidence) == (-1, pytest.approx(0.6))
    assert short.expected_value == pytest.approx(23.0)


def test_too_little_expected_value_holds_and_a_given_one_replaces_it():
    demanding = SignalConfig(min_ev=30)
    assert entry_signal(demanding, 0.6).code == "EV_TOO_LOW"
    assert entry_signal(demanding, 0.6, given_ev=30.0).side == 1
    assert entry_signal(CONFIG, 0.9, given_ev=9.99).code == "EV_TOO_LOW"


def test_shorts_can_be_switched_off():
    assert entry_signal(CONFIG, 0.1, allow_short=False).code == "SHORT_NOT_ALLOWED"
    assert entry_signal(CONFIG, 0.9, allow_short=False).side == 1


@pytest.mark.parametrize(("quantity", "price"), [(1.0, 98.0), (-1.0, 102.0)])
def test_adverse_excursion_stops_either_side(quantity, price):
    assert leave(held(quantity), price).code == "MAX_ADVERSE_EXCURSION"


@pytest.mark.parametrize(("quantity", "best", "price"), [(1.0, 110.0, 107.8), (-1.0, 90.0, 91.8)])
def test_trailing_stop_counts_from_the_best_price(quantity, best, price):
    levels_off = SignalConfig(profit_levels=())
    assert leave(held(quantity, best=best), price, levels_off).code == "TRAILING_STOP"
    without = SignalConfig(profit_levels=(), trailing_stop=False)
    assert leave(held(quantity, best=best), price, without) is None


def test_time_stops_whichever_comes_first():
    assert leave(held(), 100.0, seconds=299, bars=99) is None
    assert leave(held(), 100.0, seconds=300, bars=1).code == "MAX_HOLD_SECONDS"
    assert leave(held(), 100.0, seconds=1, bars=100).code == "MAX_HOLD_BARS"
    endless = SignalConfig(max_hold_bars=None, max_hold_seconds=None)
    assert leave(held(), 100.0, endless, seconds=1e9, bars=10**9) is None


def test_a_jump_over_levels_closes_what_the_levels_would_have_closed_one_by_one():
    found = leave(held(), 101.2)
    assert found.levels == (0, 1)
    assert found.fraction == pytest.approx(1 - 0.75 * 0.5)
    assert leave(held(), 102.5).fraction == 1.0


def test_a_protective_stop_comes_before_a_profit_take():
    assert leave(held(), 103.0, seconds=300).code == "MAX_HOLD_SECONDS"


@given(st.lists(st.floats(95, 130), min_size=1, max_size=40), st.booleans())
def test_each_profit_level_is_offered_once_per_position(prices, long):
    config = SignalConfig(max_mae_pct=10.0, trailing_stop=False, max_hold_bars=None, max_hold_seconds=None)
    position = held(1.0 if long else -1.0)
    seen: list[int] = []
    for price in prices:
        found = leave(position, price if long else 200.0 - price, config)
        if found is not None:
            seen.extend(found.levels)
            position.levels_taken.update(found.levels)
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen)
    reached = max(prices) / 100.0 - 1.0
    assert len(seen) == sum(reached >= excursion - 1e-12 for excursion, _ in config.profit_levels)
