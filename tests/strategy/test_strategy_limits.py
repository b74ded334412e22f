from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategy_helpers import DAY, HOUR, MINUTE, SECOND

from autotrader_lab.strategy import RiskConfig, Status
from autotrader_lab.strategy.limits import Exposure, RiskManager, TradeWindow, drawdown_factor

NOON = 20_000 * DAY + 12 * HOUR


def manager(at: int = NOON, **values) -> RiskManager:
    made = RiskManager(RiskConfig(**values), 100_000.0)
    made.advance(at)
    return made


# Daily loss.


def test_daily_loss_adds_losses_and_ignores_gains():
    risk = manager()
    for net in (-5_000.0, 3_000.0, -2_999.0):
        risk.record_cash(net, NOON)
    assert (risk.daily_loss, risk.daily_state) == (7_999.0, "OK")
    risk.record_cash(-1.0, NOON)
    assert risk.daily_state == "WARNING"
    assert risk.halted(NOON) is None
    risk.record_cash(-2_000.0, NOON)
    assert (risk.daily_state, risk.status()) == ("BREACHED", Status.RISK_HALT)
    assert risk.halted(NOON).code == "DAILY_LOSS"


def test_a_new_utc_day_starts_at_zero_and_a_report_of_yesterday_does_not_count():
    risk = manager()
    risk.record_cash(-20_000.0, NOON)
    risk.advance(20_001 * DAY - 1)
    assert risk.status() is Status.RISK_HALT
    risk.advance(20_001 * DAY)
    assert risk.status() is Status.ACTIVE
    risk.record_cash(-500.0, NOON)
    assert risk.daily_loss == 0.0


def test_a_restart_takes_the_days_loss_along():
    risk = RiskManager(RiskConfig(), 100_000.0)
    risk.restore_daily_loss(9_000.0, 20_000)
    risk.advance(NOON)
    assert risk.daily_state == "WARNING"
    risk.restore_daily_loss(50_000.0, 19_999)
    assert risk.daily_loss == 9_000.0
    risk.restore_daily_loss(9_500.0, 20_000)
    assert risk.daily_loss == 9_500.0
    risk.advance(NOON + DAY)
    assert risk.daily_loss == 0.0


# Trade rates.


@given(st.lists(st.integers(0, 300), max_size=60).map(sorted), st.integers(1, 120))
def test_a_window_counts_what_is_younger_than_its_span(times, span):
    window = TradeWindow("test", span, 5)
    for index, now in enumerate(times):
        window.add(now)
        assert window.count(now) == sum(now - at < span for at in times[: index + 1])


def test_windows_slide_instead_of_jumping():
    risk = manager(max_trades_per_minute=2)
    risk.count_trade(NOON + 50 * SECOND)
    risk.count_trade(NOON + 59 * SECOND)
    # the next wall-clock minute does not help; a minute after the first trade does
    assert risk.halted(NOON + 61 * SECOND).code == "TRADE_RATE"
    assert risk.halted(NOON + 110 * SECOND) is None


@pytest.mark.parametrize(("key", "span"), [("minute", MINUTE), ("hour", HOUR), ("day", DAY)])
def test_each_rate_has_its_own_window(key, span):
    risk = manager(**{f"max_trades_per_{key}": 1})
    risk.count_trade(NOON)
    found = risk.halted(NOON + span - 1)
    assert (found.code, found.asked, found.limit) == ("TRADE_RATE", 1, 1)
    assert risk.halted(NOON + span) is None


# Losing streaks.


def test_losses_in_a_row_halt_until_the_cooldown_is_over():
    risk = manager()
    for _ in range(5):
        assert risk.status() is Status.ACTIVE
        risk.record_outcome(-1.0, NOON)
    assert risk.status() is Status.CIRCUIT_BREAKER
    risk.advance(NOON + 30 * MINUTE - 1)
    assert risk.halted(NOON + 30 * MINUTE - 1).code == "CONSECUTIVE_LOSSES"
    risk.advance(NOON + 30 * MINUTE)
    assert risk.status() is Status.ACTIVE
    assert risk.loss_streak == 0


def test_a_win_ends_the_halt_and_the_streak():
    risk = manager()
    for _ in range(5):
        risk.record_outcome(-1.0, NOON)
    risk.record_outcome(0.0, NOON)
    assert risk.status() is Status.CIRCUIT_BREAKER
    risk.record_outcome(1.0, NOON)
    assert (risk.status(), risk.loss_streak) == (Status.ACTIVE, 0)


# Drawdown.


def test_drawdown_worked_example():
    config = RiskConfig()
    assert [drawdown_factor(x, config) for x in (0.0, 0.10, 0.20, 0.5)] == [1.0, 1.0, 0.0, 0.0]
    assert drawdown_factor(0.15, config) == pytest.approx(0.5)
    assert drawdown_factor(0.2, RiskConfig(scale_start_drawdown=0.2)) == 0.0
    assert drawdown_factor(0.1999, RiskConfig(scale_start_drawdown=0.2)) == 1.0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1))
def test_drawdown_factor_is_monotone_and_a_share(one, other, maximum, start):
    config = RiskConfig(max_drawdown=maximum, scale_start_drawdown=start * maximum)
    small, large = sorted((one, other))
    assert 0.0 <= drawdown_factor(large, config) <= drawdown_factor(small, config) <= 1.0


def test_drawdown_counts_from_the_peak():
    risk = manager()
    risk.record_equity(120_000.0)
    risk.record_equity(96_000.0)
    assert risk.drawdown == pytest.approx(0.2)
    assert risk.halted(NOON).code == "DRAWDOWN_HALT"
    risk.record_equity(97_000.0)
    assert risk.halted(NOON) is None


# Inventory and exposure.


def entry(units: float, notional: float, sector: str | None = None) -> Exposure:
    return Exposure("A", units, notional, sector)


OTHERS = [Exposure("B", 10.0, 1_000.0, "tech"), Exposure("C", -5.0, -400.0, "oil")]


@pytest.mark.parametrize(
    ("limits", "trade", "code", "asked"),
    [
        ({"default_max_position": 4.0}, entry(-5.0, -500.0), "POSITION_LIMIT", 5.0),
        ({"max_position_per_symbol": {"A": 4.0}}, entry(5.0, 500.0), "POSITION_LIMIT", 5.0),
        ({"max_gross_exposure": 1_800.0}, entry(5.0, 500.0), "GROSS_EXPOSURE", 1_900.0),
        ({"max_net_exposure": 1_000.0}, entry(5.0, 500.0), "NET_EXPOSURE", 1_100.0),
        ({"max_sector_exposure": {"tech": 1_400.0}}, entry(5.0, 500.0, "tech"), "SECTOR_EXPOSURE", 1_500.0),
    ],
)
def test_caps_are_on_the_book_after_the_trade(limits, trade, code, asked):
    found = manager(**limits).check_exposure(trade, OTHERS)
    assert (found.code, found.asked) == (code, asked)
    assert f"{found.limit:.6g}" in found.reason


@pytest.mark.parametrize(
    ("limits", "trade"),
    [
        ({"max_position_per_symbol": {"A": 9.0}, "default_max_position": 1.0}, entry(5.0, 500.0)),
        ({"max_gross_exposure": 1_900.0}, entry(5.0, 500.0)),
        # a short brings the net closer to flat
        ({"max_net_exposure": 100.0}, entry(-5.0, -500.0)),
        ({"max_sector_exposure": {"tech": 100.0}}, entry(5.0, 500.0, "oil")),
    ],
)
def test_what_fits_passes(limits, trade):
    assert manager(**limits).check_exposure(trade, OTHERS) is None
