from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategy_helpers import DAY, HOUR, MINUTE, SECOND, T0, T0_NS, ask, config, enter, lose, strategy

from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy import CLOSE, HOLD, LONG, SHORT, ExecutionDecision, Status, StrategyConfig, TradingStrategy
from autotrader_lab.strategy.decision import check_decision

PATIENT = {"max_hold_bars": None, "max_hold_seconds": None}
FREE = {"max_trades_per_minute": 10**6, "max_trades_per_hour": 10**6, "max_trades_per_day": 10**6}


# From a signal to units.


def test_sizes_are_units_not_currency():
    decision = ask(strategy(), price=50.0)
    assert (decision.action, decision.size) == (LONG, pytest.approx(10_000 / 50))
    assert decision.confidence == 0.7
    assert decision.timestamp == T0
    assert check_decision(decision) is decision


def test_a_low_probability_shorts():
    decision = ask(strategy(), probability=0.3)
    assert (decision.action, decision.size, decision.confidence) == (SHORT, pytest.approx(100.0), pytest.approx(0.7))


def test_default_sizing_takes_the_callers_returns():
    returns = np.random.default_rng(1).normal(0, 0.02, 300)
    decision = TradingStrategy(StrategyConfig(), 100_000.0).process_signal(
        "A", 0.7, returns=returns, current_price=100.0, timestamp=T0
    )
    realised = pd.Series(returns).ewm(span=20).std().iloc[-1]
    assert decision.size == pytest.approx(100_000 * 0.20 * (0.01 / realised) / 100.0, rel=1e-9)
    assert decision.metadata["sizing"]["volatility_per_bar"] == pytest.approx(realised)


def test_without_returns_the_strategy_keeps_its_own_estimate():
    made = strategy(sizing={"method": "volatility_scaled"})
    first = ask(made)
    assert first.metadata["sizing"]["volatility_per_bar"] is None
    assert first.size == pytest.approx(100_000 * 0.2 * 0.1 / 100)
    made.decision_closed(first)
    prices = 100.0 * np.cumprod(1 + np.random.default_rng(2).normal(0, 0.02, 60))
    for index, price in enumerate(prices, start=1):
        last = ask(made, probability=0.5, price=float(price), at=index * MINUTE)
        assert last.action == HOLD
    last = ask(made, price=float(prices[-1]), at=60 * MINUTE)
    series = pd.Series([100.0, *prices]).pct_change().dropna()
    assert last.metadata["sizing"]["volatility_per_bar"] == pytest.approx(series.ewm(span=20).std().iloc[-1], rel=1e-9)


def test_std_looks_at_the_lookback_only():
    returns = np.random.default_rng(3).normal(0, 0.02, 100)
    found = ask(strategy(sizing={"method": "volatility_scaled", "vol_method": "std"}), returns=returns)
    assert found.metadata["sizing"]["volatility_per_bar"] == pytest.approx(np.std(returns[-20:], ddof=1))


def test_parkinson_takes_series_or_bars_and_says_when_it_has_neither():
    high, low = np.full(30, 102.0), np.full(30, 100.0)
    expected = math.log(1.02) / math.sqrt(4 * math.log(2))
    sizing = {"method": "volatility_scaled", "vol_method": "parkinson"}
    by_series = ask(strategy(sizing=sizing), high=high, low=low)
    assert by_series.metadata["sizing"]["volatility_per_bar"] == pytest.approx(expected)
    made = strategy(sizing=sizing)
    for index in range(30):
        ask(made, probability=0.5, at=index * MINUTE, high=102.0, low=100.0)
    by_bars = ask(made, at=30 * MINUTE, high=102.0, low=100.0)
    assert by_bars.metadata["sizing"]["volatility_per_bar"] == pytest.approx(expected)
    with pytest.raises(StrategyError, match=r"A: vol_method parkinson needs high and low; pass high="):
        ask(strategy(sizing=sizing))
    with pytest.raises(StrategyError, match=r"30 and 29 values"):
        ask(strategy(sizing=sizing), high=high, low=low[1:])
    with pytest.raises(StrategyError, match=r"high 100.0 and low 102.0 make no bar"):
        ask(strategy(sizing=sizing), high=low, low=high)


def test_kelly_takes_the_callers_odds_then_the_configured_then_the_signals():
    sizing = {"method": "kelly", "max_position_pct": 1.0}
    # p 0.7, win 100, loss 80: (0.7*1.25 - 0.3)/1.25 = 0.46, a quarter of it
    assert ask(strategy(sizing=sizing)).size == pytest.approx(100_000 * 0.46 * 0.25 / 100)
    given = ask(strategy(sizing=sizing), win_rate=0.6, avg_win=50.0, avg_loss=40.0)
    assert given.size == pytest.approx(100_000 * 0.28 * 0.25 / 100)
    configured = ask(strategy(sizing={**sizing, "win_rate": 0.6}))
    assert configured.size == pytest.approx(100_000 * 0.28 * 0.25 / 100)
    assert ask(strategy(sizing={**sizing, "win_rate": 0.1})).metadata["code"] == "NO_SIZE"
    with pytest.raises(StrategyError, match=r"win_rate is 1\.2"):
        ask(strategy(sizing=sizing), win_rate=1.2)


def test_risk_parity_shares_the_budget_with_what_is_held():
    made = strategy(sizing={"method": "risk_parity", "lookback": 2, "vol_method": "std"})
    for index, factor in enumerate([1.0, 1.01, 1.0, 1.01]):
        ask(made, "A", 0.5, 100.0 * factor, index * MINUTE)
        ask(made, "B", 0.5, 100.0 * (2 * factor - 1), index * MINUTE)
    enter(made, "A", at=4 * MINUTE, price=101.0)
    share = ask(made, "B", at=4 * MINUTE, price=102.0)
    vol_a, vol_b = (made.ledger.symbols[name].volatility.value for name in "AB")
    assert share.metadata["sizing"]["notional"] == pytest.approx(10_000 * (1 / vol_b) / (1 / vol_a + 1 / vol_b))


def test_a_size_below_the_minimum_holds():
    decision = ask(strategy(sizing={"min_position": 20_000.0}))
    assert (decision.action, decision.metadata["code"]) == (HOLD, "MIN_POSITION")
    assert (decision.metadata["asked"], decision.metadata["limit"]) == (pytest.approx(10_000.0), 20_000.0)


def test_a_limit_price_rides_along_on_entries_only():
    made = strategy(signal=PATIENT)
    entry = enter(made, limit_price=99.5, metadata={"note": "mine"})
    assert (entry.metadata["limit_price"], entry.metadata["note"]) == (99.5, "mine")
    leave = ask(made, price=90.0, at=MINUTE, limit_price=99.5)
    assert leave.action == CLOSE
    assert "limit_price" not in leave.metadata


def test_every_hold_says_why():
    made = strategy(portfolio={"max_concurrent_positions": 1}, signal={"min_ev": 50})
    assert ask(made, probability=0.5).metadata["code"] == "NO_SIGNAL"
    assert ask(made, probability=0.7).metadata["code"] == "EV_TOO_LOW"
    assert ask(made, probability=0.7, expected_value=60).action == LONG
    assert ask(made, probability=0.7, expected_value=60, at=1).metadata["code"] == "ORDER_IN_FLIGHT"
    assert ask(made, "B", 0.7, expected_value=60, at=1).metadata["code"] == "CONCURRENT_POSITIONS"
    assert ask(made, at=0).metadata["code"] == "OUT_OF_ORDER"
    assert all(ask(made, "B", 0.5, at=2).metadata[key] for key in ("code", "reason"))


# Positions change by executions only.


def test_a_decision_alone_moves_nothing_and_is_not_sent_twice():
    made = strategy()
    decision = ask(made)
    assert made.position("A") == 0.0
    for index in range(1, 5):
        assert ask(made, at=index * SECOND).metadata["code"] == "ORDER_IN_FLIGHT"
    assert made.pending_decisions() == {"A": [decision.decision_id]}
    made.decision_closed(decision)
    assert made.pending_decisions() == {}
    assert ask(made, at=9 * SECOND).action == LONG


def test_partial_fills_add_up_and_the_average_entry_is_exact():
    made = strategy()
    decision = ask(made)
    made.record_execution(decision, 0.0, 1.0, fill_price=100.0, quantity=25.0)
    made.record_execution(decision, 0.0, 1.0, fill_price=104.0, quantity=75.0)
    assert made.position("A") == 100.0
    assert made.get_state_summary()["positions"]["A"]["entry_price"] == pytest.approx(103.0)
    assert made.pending_decisions() == {}


def test_a_partially_filled_entry_is_managed_and_its_rest_freed_when_closed():
    made = strategy(signal=PATIENT)
    decision = ask(made)
    made.record_execution(decision, 0.0, fill_price=100.0, quantity=40.0)
    assert ask(made, at=SECOND).metadata["code"] == "IN_POSITION"
    leave = ask(made, price=97.0, at=2 * SECOND)
    assert (leave.action, leave.size) == (CLOSE, 40.0)
    made.decision_closed(decision)
    assert made.position("A") == 40.0


def test_a_late_fill_of_a_closed_decision_is_booked():
    made = strategy()
    decision = ask(made)
    made.decision_closed(decision)
    made.record_execution(decision, 0.0, fill_price=100.0, quantity=10.0)
    assert made.position("A") == 10.0


def test_an_execution_without_figures_is_the_whole_decision_at_the_last_price():
    made = strategy(signal=PATIENT)
    decision = ask(made)
    made.record_execution(decision, 0.0)
    assert made.position("A") == 100.0
    leave = ask(made, price=97.0, at=MINUTE)
    made.record_execution(leave, -300.0)
    assert (made.position("A"), made.equity) == (0.0, 99_700.0)


def test_close_of_a_short_buys_back_and_never_doubles():
    made = strategy(signal=PATIENT)
    enter(made, probability=0.3)
    assert made.position("A") == -100.0
    leave = ask(made, probability=0.3, price=103.0, at=MINUTE)
    assert (leave.action, leave.size, leave.metadata["position"]) == (CLOSE, 100.0, SHORT)
    made.record_execution(leave, -300.0, fill_price=103.0)
    assert made.position("A") == 0.0


def test_equity_is_cash_and_open_profit():
    made = strategy(signal=PATIENT)
    decision = enter(made)
    assert decision.size == 100.0
    made.mark("A", 101.0)
    assert made.equity == pytest.approx(100_100.0)
    leave = ask(made, price=97.0, at=MINUTE)
    made.record_execution(leave, -300.0, fees=7.0, fill_price=97.0)
    assert made.equity == pytest.approx(99_693.0)
    totals = made.get_state_summary()["totals"]
    assert (totals["gross_pnl"], totals["fees"], totals["losses"]) == (-300.0, 7.0, 1)


def test_a_gain_smaller_than_the_fees_of_both_sides_is_a_loss():
    made = strategy(signal=PATIENT)
    decision = ask(made)
    made.record_execution(decision, 0.0, fees=6.0, fill_price=100.0)
    leave = ask(made, price=103.0, at=MINUTE)
    made.record_execution(leave, 10.0, fees=6.0, fill_price=100.1)
    assert made.get_state_summary()["totals"]["losses"] == 1


def test_entry_fees_are_charged_to_the_parts_they_opened():
    made = strategy(signal=PATIENT)
    decision = ask(made)
    made.record_execution(decision, 0.0, fees=10.0, fill_price=100.0)
    totals = made.ledger.totals
    assert (totals.wins, totals.losses) == (0, 0)  # an entry is no outcome, whatever it cost
    half = ExecutionDecision(CLOSE, "A", 50.0, 1.0, T0)
    made.record_execution(half, 6.0, fill_price=100.12)
    assert (totals.wins, totals.losses) == (1, 0)
    made.record_execution(half, 4.0, fill_price=100.08)
    assert (totals.wins, totals.losses) == (1, 1)


def test_leaving_at_the_entry_price_loses_the_fees():
    made = strategy(signal=PATIENT)
    enter(made)
    made.record_execution(ExecutionDecision(CLOSE, "A", 100.0, 1.0, T0), 0.0, fees=1.0, fill_price=100.0)
    assert made.get_state_summary()["consecutive_losses"] == 1


def test_a_decision_filled_in_parts_is_one_loss_in_the_streak():
    made = strategy(signal=PATIENT)
    enter(made)
    leave = ask(made, price=95.0, at=MINUTE)
    for _ in range(4):
        made.record_execution(leave, -125.0, fill_price=95.0, quantity=25.0)
    assert made.get_state_summary()["consecutive_losses"] == 1


def test_long_when_short_flips_with_nothing_of_the_old_position_left():
    made = strategy(signal=PATIENT)
    enter(made, probability=0.3)
    flip = ExecutionDecision(LONG, "A", 30.0, 1.0, T0)
    made.record_execution(flip, 0.0, fill_price=100.0)
    assert made.position("A") == 30.0
    made.record_execution(ExecutionDecision(SHORT, "A", 5.0, 1.0, T0), 0.0, fill_price=100.0, quantity=35.0)
    assert made.position("A") == -5.0


@given(
    st.lists(
        st.tuples(st.sampled_from([LONG, SHORT]), st.integers(1, 50), st.floats(50, 150), st.floats(0, 5)), max_size=30
    )
)
def test_position_is_the_sum_of_executions(fills):
    made = strategy()
    total = 0
    for action, units, price, fee in fills:
        decision = ExecutionDecision(action, "A", 1.0, 1.0, T0)
        made.record_execution(decision, 0.0, fee, price, quantity=float(units))
        total += units if action == LONG else -units
        assert made.position("A") == total
    assert made.ledger.totals.fees == pytest.approx(sum(fill[3] for fill in fills))


# Getting out.


def test_profit_levels_are_taken_once_and_reset_with_the_position():
    made = strategy(signal=PATIENT, risk=FREE)
    for start in (0, HOUR):
        enter(made, at=start)
        sizes = []
        for index, price in enumerate([100.4, 100.5, 100.6, 101.0, 100.9, 101.1, 102.0], start=1):
            leave = ask(made, price=price, at=start + index * MINUTE)
            if leave.action == CLOSE:
                assert leave.metadata["code"] == "PROFIT_LEVEL"
                sizes.append(leave.size)
                made.record_execution(leave, 0.0, fill_price=price)
        assert sizes == [pytest.approx(25.0), pytest.approx(37.5), pytest.approx(37.5)]
        assert made.position("A") == 0.0


def test_a_profit_take_that_was_refused_is_offered_again():
    made = strategy(signal=PATIENT)
    enter(made)
    first = ask(made, price=100.6, at=MINUTE)
    assert ask(made, price=100.7, at=2 * MINUTE).action == HOLD
    made.decision_closed(first)
    again = ask(made, price=100.7, at=3 * MINUTE)
    assert (again.action, again.metadata["profit_levels"]) == (CLOSE, [1])
    made.record_execution(again, 1.0, fill_price=100.7, quantity=1.0)
    made.decision_closed(again)
    assert ask(made, price=100.7, at=4 * MINUTE).metadata["code"] == "IN_POSITION"


def test_a_stop_overtakes_a_profit_take_in_flight_with_the_rest_only():
    made = strategy(signal=PATIENT)
    enter(made)
    part = ask(made, price=100.6, at=MINUTE)
    stop = ask(made, price=97.0, at=2 * MINUTE)
    assert (stop.action, stop.size + part.size) == (CLOSE, pytest.approx(100.0))
    assert ask(made, price=96.0, at=3 * MINUTE).metadata["code"] == "ORDER_IN_FLIGHT"


def test_trailing_mark_does_not_outlive_the_position():
    made = strategy(signal={**PATIENT, "profit_levels": []})
    enter(made)
    ask(made, price=110.0, at=MINUTE)
    leave = ask(made, price=107.0, at=2 * MINUTE)
    assert leave.metadata["code"] == "TRAILING_STOP"
    made.record_execution(leave, 700.0, fill_price=107.0)
    enter(made, price=100.0, at=3 * MINUTE)
    assert ask(made, price=99.9, at=4 * MINUTE).metadata["code"] == "IN_POSITION"


def test_time_stops_count_from_the_fill():
    made = strategy(signal={"max_hold_bars": 3, "max_hold_seconds": 10**6})
    decision = ask(made)
    ask(made, at=MINUTE)
    made.record_execution(decision, 0.0, fill_price=100.0, timestamp=T0 + timedelta(minutes=1))
    assert [ask(made, at=n * MINUTE).metadata["code"] for n in (2, 3)] == ["IN_POSITION"] * 2
    assert ask(made, at=4 * MINUTE).metadata["code"] == "MAX_HOLD_BARS"


def test_several_events_at_one_time_are_one_bar():
    made = strategy(signal={"max_hold_bars": 2, "max_hold_seconds": None})
    enter(made)
    for _ in range(5):
        assert ask(made, at=MINUTE).action == HOLD
    assert ask(made, at=2 * MINUTE).metadata["code"] == "MAX_HOLD_BARS"


def test_reversal_leaves_only_where_asked_for():
    assert _after_reversal(False).metadata["code"] == "IN_POSITION"
    assert _after_reversal(True).metadata["code"] == "SIGNAL_REVERSAL"


def _after_reversal(flag: bool) -> ExecutionDecision:
    made = strategy(signal={**PATIENT, "exit_on_reversal": flag})
    enter(made)
    return ask(made, probability=0.2, at=MINUTE)


# Halts.


def halt_daily(made: TradingStrategy) -> None:
    lose(made, 20_000.0, 0)


def halt_streak(made: TradingStrategy) -> None:
    for _ in range(5):
        lose(made, 1.0, 0)


def halt_pause(made: TradingStrategy) -> None:
    for _ in range(3):
        lose(made, 1.0, 0)


def halt_drawdown(made: TradingStrategy) -> None:
    lose(made, 9_000.0, -2 * DAY)
    lose(made, 9_000.0, -DAY)
    lose(made, 9_000.0, 0)


def halt_rate(made: TradingStrategy) -> None:
    for index in range(10):
        made.decision_closed(ask(made, f"R{index}"))


HALTS = [
    (halt_daily, "DAILY_LOSS", Status.RISK_HALT),
    (halt_streak, "CONSECUTIVE_LOSSES", Status.CIRCUIT_BREAKER),
    (halt_pause, "COOLDOWN", Status.COOLDOWN),
    (halt_drawdown, "DRAWDOWN_HALT", Status.DRAWDOWN_HALT),
    (halt_rate, "TRADE_RATE", Status.ACTIVE),
]


@pytest.mark.parametrize(("halt", "code", "status"), HALTS, ids=lambda item: getattr(item, "__name__", None))
def test_a_halt_keeps_entries_out_and_lets_exits_through(halt, code, status):
    portfolio = {"cooldown_loss_count": 100} if halt is not halt_pause else {}
    risk = {"max_drawdown": 0.25, "scale_start_drawdown": 0.24} if halt is not halt_drawdown else {}
    made = strategy(portfolio=portfolio, risk=risk, signal=PATIENT)
    enter(made, "HELD", at=-3 * DAY)
    halt(made)
    assert made.status is status
    entry = ask(made, "NEW", at=SECOND)
    assert (entry.action, entry.metadata["code"]) == (HOLD, code)
    leave = ask(made, "HELD", price=95.0, at=SECOND)
    assert (leave.action, leave.size) == (CLOSE, 100.0)


@given(st.lists(st.sampled_from(HALTS), min_size=1, max_size=5), st.sampled_from([0.7, 0.3]), st.floats(0.0, 1.0))
def test_exits_pass_under_any_heap_of_halts(halts, side, probability):
    made = strategy(signal=PATIENT, portfolio={"max_concurrent_positions": 20})
    enter(made, "HELD", side, at=-3 * DAY)
    for index, (halt, _, _) in enumerate(halts):
        if halt is not halt_rate or index == 0:
            halt(made)
    leave = ask(made, "HELD", probability, 95.0 if side > 0.5 else 105.0, SECOND)
    assert (leave.action, leave.size) == (CLOSE, 100.0)
    made.record_execution(leave, -500.0, fill_price=leave.metadata["price"])
    assert made.position("HELD") == 0.0


def test_replayed_days_end():
    made = strategy(portfolio={"cooldown_loss_count": 100})
    lose(made, 10_000.0, 0)
    assert ask(made, at=11 * HOUR).metadata["code"] == "DAILY_LOSS"
    decision = ask(made, at=12 * HOUR)  # T0 is noon: the next UTC day begins
    assert decision.action == LONG
    assert decision.metadata["risk"]["daily_loss"] == 0.0


def test_replayed_cooldowns_pass():
    made = strategy()
    halt_pause(made)
    assert ask(made, at=15 * MINUTE - 1).metadata["code"] == "COOLDOWN"
    assert ask(made, at=15 * MINUTE).action == LONG


def test_a_win_while_halted_ends_the_losing_streaks_halt():
    made = strategy(signal=PATIENT, portfolio={"cooldown_loss_count": 100})
    enter(made, "HELD", at=-HOUR)
    halt_streak(made)
    leave = ask(made, "HELD", price=103.0, at=SECOND)
    assert made.status is Status.CIRCUIT_BREAKER
    made.record_execution(leave, 300.0, fill_price=103.0)
    assert made.status is Status.ACTIVE


def test_drawdown_shrinks_entries():
    made = strategy(portfolio={"cooldown_loss_count": 100}, risk={"max_daily_loss": 1e9})
    lose(made, 15_000.0, 0)
    decision = ask(made, at=SECOND)
    assert decision.size == pytest.approx(85_000 * 0.1 * 0.5 / 100)


def test_open_losses_count_in_the_drawdown():
    made = strategy(signal={**PATIENT, "max_mae_pct": 1.0}, sizing={"fraction": 1.0, "max_position_pct": 1.0})
    enter(made)
    made.mark("A", 79.0, T0_NS + SECOND)
    assert made.status is Status.DRAWDOWN_HALT


def test_entries_in_flight_count_in_the_caps():
    made = strategy(risk={"max_gross_exposure": 15_000.0}, portfolio={"max_concurrent_positions": 2})
    first = ask(made, "A")
    assert ask(made, "B").metadata["code"] == "GROSS_EXPOSURE"
    made.decision_closed(first)
    assert ask(made, "B", at=SECOND).action == LONG


def test_correlation_with_what_is_held_shrinks_the_entry():
    rng = np.random.default_rng(4)
    common = rng.normal(0, 0.01, 100)
    frame = pd.DataFrame({"A": common, "B": common + rng.normal(0, 0.02, 100), "C": common})
    made = strategy(signal=PATIENT)
    enter(made, "A")
    found = ask(made, "B", returns_data=frame)
    expected = 1 - abs(frame.iloc[-60:].corr().loc["A", "B"]) / 0.7
    assert found.size == pytest.approx(100.0 * expected)
    assert ask(made, "C", returns_data=frame).metadata["code"] == "CORRELATION"


def test_sector_limits_remember_the_sector_and_ask_for_it():
    made = strategy(portfolio={"max_per_sector": 1})
    enter(made, "A", sector="tech")
    assert ask(made, "B", sector="tech").metadata["code"] == "PER_SECTOR"
    assert ask(made, "C", sector="oil").action == LONG
    with pytest.raises(StrategyError, match=r"D: .*sector"):
        ask(made, "D")
    by_venue = strategy(portfolio={"max_per_venue": 1})
    enter(by_venue, "A", venue="X")
    assert ask(by_venue, "B", venue="X").metadata["code"] == "PER_VENUE"


# Bad input.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probability": math.nan}, "A: probability is nan"),
        ({"probability": 1.01}, "A: probability is 1.01; it must lie between 0 and 1"),
        ({"probability": None}, "A: probability is None; it must be a number"),
        ({"price": 0.0}, "A: current_price is 0.0; it must be above zero"),
        ({"price": -5.0}, "A: current_price is -5.0"),
        ({"price": math.inf}, "A: current_price is inf; it must be finite"),
        ({"expected_value": math.nan}, "A: expected_value is nan"),
        ({"returns": [0.01, math.nan, 0.02]}, r"A: returns\[1\] is nan"),
        ({"returns": [0.01]}, "A: returns holds 1 values"),
        ({"returns": math.nan}, "A: returns is nan"),
        ({"high": 99.0, "low": 101.0}, "A: high 99.0 is under low 101.0"),
        ({"limit_price": -1.0}, "A: limit_price is -1.0"),
        ({"symbol": ""}, "symbol '' must be a name"),
    ],
)
def test_bad_input_names_symbol_value_and_way_out_and_changes_nothing(changes, message):
    made = strategy(sizing={"method": "volatility_scaled"})
    with pytest.raises(StrategyError, match=message):
        ask(made, **changes)
    assert made.pending_decisions() == {}


def test_naive_times_are_refused():
    with pytest.raises(StrategyError, match="A: timestamp: naive time 2024-01-01"):
        strategy().process_signal("A", 0.7, current_price=1.0, timestamp=datetime(2024, 1, 1))
    with pytest.raises(StrategyError, match="A: timestamp 'noon' must be an aware datetime"):
        strategy().process_signal("A", 0.7, current_price=1.0, timestamp="noon")


@pytest.mark.parametrize("equity", [0.0, -1.0, math.nan, math.inf, None])
def test_initial_equity_must_be_an_amount(equity):
    with pytest.raises(StrategyError, match="initial_equity"):
        TradingStrategy(config(), equity)


def test_executions_are_checked():
    made = strategy()
    decision = ask(made)
    for values, message in [
        ({"pnl": math.nan}, "A: pnl is nan"),
        ({"pnl": 0.0, "fees": math.inf}, "A: fees is inf"),
        ({"pnl": 0.0, "fill_price": 0.0}, "A: fill_price is 0.0"),
        ({"pnl": 0.0, "quantity": -1.0}, "A: quantity is -1.0"),
    ]:
        with pytest.raises(StrategyError, match=message):
            made.record_execution(decision, **values)
    with pytest.raises(StrategyError, match="A: a HOLD sends nothing"):
        made.record_execution(ExecutionDecision(HOLD, "A", 0.0, 0.5, T0), 0.0)
    with pytest.raises(StrategyError, match=r"B: an execution of a CLOSE, but nothing is held"):
        made.record_execution(ExecutionDecision(CLOSE, "B", 1.0, 1.0, T0), 0.0)
    with pytest.raises(StrategyError, match="B: no price is known; pass fill_price"):
        made.record_execution(ExecutionDecision(LONG, "B", 1.0, 1.0, T0), 0.0)
    assert made.position("A") == 0.0
    assert made.equity == 100_000.0


# Time.


def test_time_comes_from_events_and_a_clock_is_asked_only_without_one():
    clock = SimulatedClock(T0)
    made = TradingStrategy(config(), 1000.0, clock)
    assert made.process_signal("A", 0.5, current_price=1.0).timestamp == T0
    assert made.process_signal("B", 0.5, current_price=1.0, timestamp=pd.Timestamp(T0)).timestamp == T0
    later = datetime(2031, 1, 1, tzinfo=UTC)
    assert made.process_signal("A", 0.5, current_price=1.0, timestamp=later).timestamp == later


@given(st.integers(1, 4 * 10**9))
def test_the_same_events_at_another_time_of_another_century_decide_the_same(shift_days):
    shift = (shift_days % 20_000) * DAY
    runs = []
    for offset in (0, shift):
        made = strategy(portfolio={"cooldown_loss_count": 1})
        found = []
        for index, price in enumerate([100.0, 97.0, 96.0, 95.0, 100.0]):
            decision = ask(made, price=price, at=offset + index * 6 * MINUTE)
            found.append((decision.action, round(decision.size, 9), decision.metadata["code"]))
            if decision.action != HOLD:
                made.record_execution(decision, -10.0 if decision.action == CLOSE else 0.0, fill_price=price)
        runs.append(found)
    assert runs[0] == runs[1]


def test_decisions_are_logged_where_asked_for(caplog):
    made = TradingStrategy(config(log_decisions=True, strategy_name="mine"), 1000.0)
    with caplog.at_level(logging.DEBUG, logger="autotrader_lab.strategy"):
        ask(made, probability=0.5)
        assert caplog.records == []
        ask(made)
    assert "mine: LONG A" in caplog.text


def test_an_engine_can_be_given_the_strategy_as_it_is():
    from autotrader_lab.model.market import Bar
    from autotrader_lab.strategy import as_strategy

    made = strategy()
    engine_side = as_strategy(made)
    assert engine_side.on_bar(Bar("A", T0_NS, 100.0, 101.0, 99.0, 100.0, 1.0), None) is None
    enter(made, at=SECOND)
    assert engine_side.on_bar(Bar("A", T0_NS + MINUTE, 100.0, 101.0, 99.0, 100.0, 1.0), None) is None
    leave = engine_side.on_bar(Bar("A", T0_NS + 6 * MINUTE, 100.0, 101.0, 99.0, 100.0, 1.0), None)
    assert (leave.action, leave.metadata["code"]) == (CLOSE, "MAX_HOLD_SECONDS")
    engine_side.record_execution(leave, 0.0, 0.0, 100.0, 100.0, T0)
    engine_side.decision_closed(leave)
    assert made.position("A") == 0.0
    assert engine_side.parameters() == made.parameters()
