from __future__ import annotations

import copy
import json
from datetime import date

import cloudpickle
import numpy as np
import pytest
from strategy_helpers import DAY, MINUTE, SECOND, T0, T0_NS, ask, config, enter, lose, strategy

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy import HOLD, LONG, Status, TradingStrategy, fingerprint

SECTIONS = {
    "sizing": {"method": "volatility_scaled"},
    "signal": {"max_hold_seconds": 3600},
    "risk": {"max_trades_per_hour": 60, "max_daily_loss": 20_000.0},
}


def drive(made: TradingStrategy, first: int, last: int) -> list[tuple]:
    """A seeded market over two symbols, every decision filled at once; what was decided."""
    prices = 100.0 * np.cumprod(1 + np.random.default_rng(9).normal(0, 0.004, (400, 2)), axis=0)
    chances = np.random.default_rng(10).uniform(0, 1, (400, 2))
    found = []
    for index in range(first, last):
        for column, symbol in enumerate("AB"):
            price = float(prices[index, column])
            held = made.position(symbol)
            decision = ask(made, symbol, float(chances[index, column]), price, index * MINUTE)
            found.append((decision.action, decision.size, decision.decision_id, decision.metadata["code"]))
            if decision.action == HOLD:
                continue
            pnl = 0.0
            if decision.action == "CLOSE":
                entry = made.ledger.symbols[symbol].position.entry_price
                pnl = decision.size * (price - entry) * (1 if held > 0 else -1)
            made.record_execution(decision, pnl, fees=0.5, fill_price=price)
            made.decision_closed(decision)
    return found


def reference() -> list[tuple]:
    return drive(strategy(**SECTIONS), 0, 400)


def test_the_reference_run_does_something():
    actions = [item[0] for item in reference()]
    assert {"LONG", "SHORT", "CLOSE", "HOLD"} <= set(actions)
    codes = {item[3] for item in reference()}
    assert "COOLDOWN" in codes


@pytest.mark.parametrize("cut", [1, 57, 200, 399])
@pytest.mark.parametrize("how", ["json", "cloudpickle", "deepcopy"])
def test_a_strategy_goes_on_elsewhere_as_if_nothing_had_happened(tmp_path, how, cut):
    made = strategy(**SECTIONS)
    before = drive(made, 0, cut)
    if how == "json":
        made.save_state(tmp_path / "state.json")
        other = TradingStrategy(config(**SECTIONS), 1.0)
        other.load_state(tmp_path / "state.json")
    elif how == "cloudpickle":
        other = cloudpickle.loads(cloudpickle.dumps(made))
    else:
        other = copy.deepcopy(made)
    assert before + drive(other, cut, 400) == reference()
    assert other.get_state_summary()["totals"]["executions"] > 0


def test_state_is_json_that_any_reader_takes(tmp_path):
    made = strategy(**SECTIONS)
    drive(made, 0, 100)
    made.save_state(tmp_path / "state.json")
    json.loads((tmp_path / "state.json").read_text(), parse_constant=pytest.fail)
    json.dumps(made.get_state_summary(), allow_nan=False)
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_decisions_in_flight_survive_and_can_be_closed_by_their_id(tmp_path):
    made = strategy()
    decision = ask(made)
    made.save_state(tmp_path / "state.json")
    other = strategy()
    other.load_state(tmp_path / "state.json")
    assert ask(other, at=SECOND).metadata["code"] == "ORDER_IN_FLIGHT"
    assert other.pending_decisions() == {"A": [decision.decision_id]}
    other.decision_closed(decision.decision_id)
    assert ask(other, at=2 * SECOND).action == LONG


def test_the_days_loss_survives_a_restart_in_either_way(tmp_path):
    made = strategy()
    lose(made, 10_000.0, 0)
    made.save_state(tmp_path / "state.json")
    loaded = strategy()
    loaded.load_state(tmp_path / "state.json")
    told = strategy()
    told.restore_daily_loss(10_000.0, T0.date())
    for other in (loaded, told):
        assert ask(other, at=SECOND).metadata["code"] == "DAILY_LOSS"
        assert other.status is Status.RISK_HALT
        assert ask(other, at=DAY).action == LONG
    with pytest.raises(StrategyError, match=r"-5\.0 is negative"):
        told.restore_daily_loss(-5.0, date(2024, 1, 1))


def test_a_position_can_be_taken_over_from_the_engines_book():
    made = strategy()
    made.restore_position("A", -3.0, 100.0, T0)
    assert made.position("A") == -3.0
    leave = ask(made, price=103.0, at=SECOND)
    assert (leave.action, leave.size, leave.metadata["code"]) == ("CLOSE", 3.0, "MAX_ADVERSE_EXCURSION")
    made.restore_position("A", 0.0, 100.0, T0)
    assert made.position("A") == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "layout is None"),
        ('{"layout": 99}', "layout is 99, this version reads 1"),
        ('{"layout": 1}', "damaged"),
    ],
)
def test_a_state_file_that_cannot_be_used_is_named_and_nothing_changes(tmp_path, text, message):
    path = tmp_path / "state.json"
    path.write_text(text)
    made = strategy()
    enter(made)
    with pytest.raises(StrategyError, match=f"{path}.*{message}"):
        made.load_state(path)
    with pytest.raises(StrategyError, match=r"absent\.json: cannot be read"):
        made.load_state(tmp_path / "absent.json")
    assert made.position("A") == 100.0


def test_a_state_of_another_volatility_is_refused(tmp_path):
    made = strategy()
    ask(made)
    made.save_state(tmp_path / "state.json")
    with pytest.raises(StrategyError, match="has volatility ewma over 20 bars, the configuration says std over 20"):
        strategy(sizing={"vol_method": "std"}).load_state(tmp_path / "state.json")


def test_reset_forgets_everything_but_keeps_ids_unique():
    made = strategy()
    first = enter(made)
    lose(made, 20_000.0, 0)
    made.reset()
    assert (made.position("A"), made.equity, made.status) == (0.0, 100_000.0, Status.ACTIVE)
    assert ask(made).decision_id != first.decision_id
    made.reset(initial_equity=500.0, keep_statistics=True)
    assert made.equity == 500.0
    assert made.ledger.symbols["A"].bars == 1


def test_parameters_are_the_configuration_and_the_fingerprint_follows_them():
    made, same, other = strategy(), strategy(), strategy(risk={"max_daily_loss": 1.0})
    assert made.parameters()["risk"]["max_daily_loss"] == 10_000.0
    assert fingerprint(made) == fingerprint(same) != fingerprint(other)
    enter(made)
    assert fingerprint(made) == fingerprint(same)


def test_wall_clock_is_used_only_when_no_time_is_given():
    made = TradingStrategy()
    decision = made.process_signal("A", 0.5, current_price=1.0)
    assert decision.timestamp.tzinfo is not None
    made = strategy()
    decision = ask(made)
    made.record_execution(decision, 0.0, fill_price=100.0)
    assert made.ledger.now_ns == T0_NS
