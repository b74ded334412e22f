from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.strategy import SizingConfig
from autotrader_lab.strategy.sizing import (
    clamp_notional,
    fixed_fractional,
    kelly,
    kelly_share,
    risk_parity,
    volatility_factor,
    volatility_scaled,
)

amounts = st.floats(0.01, 1e9)
rates = st.floats(0, 1)


def test_kelly_worked_example():
    # p 0.6, win 100, loss 80: b = 1.25, f* = (0.6*1.25 - 0.4)/1.25 = 0.28
    assert kelly_share(0.6, 100, 80) == pytest.approx(0.28)
    assert kelly(100_000, SizingConfig(), 0.6, 100, 80) == pytest.approx(7_000)
    assert kelly_share(0.3, 100, 80) == 0.0
    assert kelly_share(1.0, 100, 80) == 1.0


def test_volatility_scaling_worked_example():
    config = SizingConfig()
    # realised 2 % against a target of 1 %: half of 20 % of the capital
    assert volatility_scaled(100_000, config, 0.02) == pytest.approx(10_000)
    assert volatility_factor(0.01, 1.0) == 0.1
    assert volatility_factor(0.01, 1e-9) == 10.0
    assert volatility_factor(0.01, 0.0) == 10.0
    assert volatility_factor(0.01, None) == 0.1


def test_fixed_fractional_worked_example():
    assert fixed_fractional(50_000, SizingConfig()) == 1_000


def test_risk_parity_worked_example():
    config = SizingConfig(method="risk_parity")
    # shares ∝ 1/vol: 1/0.02 = 50 against 1/0.01 = 100, so a third of 10 % of the capital
    assert risk_parity(90_000, config, 0.02, [0.01]) == pytest.approx(3_000)
    assert risk_parity(90_000, config, 0.02, []) == pytest.approx(9_000)
    assert risk_parity(90_000, config, 0.02, [None]) == pytest.approx(4_500)
    assert risk_parity(90_000, config, None, []) == pytest.approx(900)


@given(st.floats(0, 1e12), amounts, st.floats(0.001, 1), st.floats(1, 1e9))
def test_limits_hold_for_any_notional(notional, capital, share, cap):
    config = SizingConfig(max_position_pct=share, max_position=cap)
    found = clamp_notional(notional, capital, config)
    assert 0 <= found <= min(notional, cap, capital * share)


@given(rates, amounts, amounts)
def test_kelly_share_is_a_share(win_rate, win, loss):
    assert 0 <= kelly_share(win_rate, win, loss) <= 1


@given(st.floats(1e-6, 1), st.one_of(st.none(), st.floats(0, 10)))
def test_volatility_factor_is_clipped(target, realised):
    assert 0.1 <= volatility_factor(target, realised) <= 10


@given(st.floats(1e-6, 1), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_more_volatility_never_means_more_size(target, one, other):
    calm, wild = sorted((one, other))
    assert volatility_factor(target, wild) <= volatility_factor(target, calm)


@given(amounts, st.floats(1e-5, 1), st.lists(st.floats(1e-5, 1), max_size=8))
def test_risk_parity_shares_add_up_to_the_budget(capital, own, others):
    config = SizingConfig(method="risk_parity")
    everyone = [own, *others]
    total = math.fsum(
        risk_parity(capital, config, vol, everyone[:index] + everyone[index + 1 :])
        for index, vol in enumerate(everyone)
    )
    assert total == pytest.approx(capital * 0.10, rel=1e-9)
