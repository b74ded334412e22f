from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
from strategy_helpers import DAY, MINUTE, T0, T0_NS, config

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.model.market import Bar
from autotrader_lab.strategy import (
    CLOSE,
    HOLD,
    LONG,
    History,
    ModelStrategy,
    MomentumModel,
    OnlineLogisticModel,
    Strategy,
    fingerprint,
)


def bars(closes, symbol: str = "A", start: int = 0, step: int = MINUTE) -> list[Bar]:
    return [
        Bar(symbol, T0_NS + start + index * step, close, close * 1.001, close * 0.999, close, 10.0 + index)
        for index, close in enumerate(map(float, closes))
    ]


def walk(rows: int, seed: int = 1, drift: float = 0.0, memory: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    change, changes = 0.0, []
    for noise in rng.normal(drift, 0.002, rows):
        change = memory * change + noise
        changes.append(change)
    return 100.0 * np.cumprod(1 + np.array(changes))


class Account:
    """A context with a settable account."""

    def __init__(self, equity: float = 50_000.0, **positions: float) -> None:
        self.equity = equity
        self.positions = positions
        self.now = T0

    def position(self, symbol: str) -> float:
        return self.positions.get(symbol, 0.0)

    def instrument(self, symbol: str):
        raise KeyError(symbol)


# History.


@pytest.mark.parametrize("capacity", [2, 3, 7, 50])
def test_history_is_the_tail_of_all_bars(capacity):
    history = History(capacity)
    closes = walk(120)
    for count, bar in enumerate(bars(closes), start=1):
        history.append(bar)
        first = max(0, count - capacity)
        np.testing.assert_array_equal(history.close, closes[first:count])
        np.testing.assert_array_equal(history.high, closes[first:count] * 1.001)
        np.testing.assert_array_equal(history.low, closes[first:count] * 0.999)
        np.testing.assert_array_equal(history.volume, 10.0 + np.arange(first, count))
        np.testing.assert_array_equal(history.timestamps, T0_NS + np.arange(first, count) * MINUTE)
        assert (len(history), history.count) == (count - first, count)
        assert (history.last_close, history.last_ns) == (bar.close, bar.timestamp_ns)


# Models.


def run(model, closes) -> list[float]:
    history = History(100)
    found = []
    for bar in bars(closes):
        history.append(bar)
        found.append(model(history))
    return found


@pytest.mark.parametrize("make", [MomentumModel, OnlineLogisticModel])
def test_models_never_look_ahead(make):
    closes = walk(400)
    other = np.concatenate([closes[:300], closes[300:][::-1] * 1.3])
    first, second = run(make(), closes), run(make(), other)
    assert first[:300] == second[:300]
    assert first[300:] != second[300:]
    assert all(0.0 <= value <= 1.0 for value in first)


@pytest.mark.parametrize("make", [MomentumModel, OnlineLogisticModel])
def test_models_say_nothing_before_they_know_and_on_a_flat_market(make):
    assert set(run(make(), walk(20))) == {0.5}
    assert set(run(make(), np.full(300, 100.0))) == {0.5}


@pytest.mark.parametrize("make", [MomentumModel, OnlineLogisticModel])
def test_models_go_on_after_travelling(make):
    closes = walk(400)
    model, history, found = make(), History(100), []
    for index, bar in enumerate(bars(closes)):
        if index == 250:
            model, history = cloudpickle.loads(cloudpickle.dumps((model, history)))
        history.append(bar)
        found.append(model(history))
    assert found == run(make(), closes)


def test_momentum_follows_the_trend():
    assert run(MomentumModel(), walk(200, drift=0.002))[-1] > 0.6
    assert run(MomentumModel(), walk(200, drift=-0.002))[-1] < 0.4
    assert run(MomentumModel(strength=-0.25), walk(200, drift=0.002))[-1] < 0.4


def test_logistic_learns_a_market_that_repeats_itself_and_not_one_that_does_not():
    def hit_rate(memory: float) -> float:
        closes = walk(6000, seed=3, memory=memory)
        chances = run(OnlineLogisticModel(), closes)
        calls = [
            (chance > 0.5) == (closes[index + 1] > closes[index])
            for index, chance in enumerate(chances[:-1])
            if index > 2000
        ]
        return float(np.mean(calls))

    assert hit_rate(0.5) > 0.6
    assert 0.47 < hit_rate(0.0) < 0.53


@pytest.mark.parametrize(
    "make",
    [
        lambda: MomentumModel(span=1),
        lambda: MomentumModel(strength=float("nan")),
        lambda: OnlineLogisticModel(span=0),
        lambda: OnlineLogisticModel(learning_rate=2.0),
        lambda: History(1),
    ],
)
def test_senseless_parameters_are_refused(make):
    with pytest.raises(StrategyError):
        make()


# ModelStrategy.


def trade(made: ModelStrategy, events: list[Bar], context: Account) -> list[tuple]:
    """Fill every decision at the close; what was decided."""
    made.on_start(context)
    found = []
    for bar in events:
        decision = made.on_bar(bar, context)
        if decision is None:
            continue
        found.append((bar.timestamp_ns, decision.action, decision.size, decision.metadata["code"]))
        if decision.action != HOLD:
            fill(made, decision, bar.close, context)
    return found


def fill(made: ModelStrategy, decision, price: float, context: Account) -> None:
    held = context.position(decision.symbol)
    side = {"LONG": 1, "SHORT": -1}.get(decision.action, -1 if held > 0 else 1)
    context.positions[decision.symbol] = held + side * decision.size
    made.record_execution(decision, 0.0, 0.0, price, decision.size, decision.timestamp)
    made.decision_closed(decision)


def always(chance: float):
    return lambda history: chance


def test_it_trades_its_models_predictions_after_the_warm_up():
    made = ModelStrategy(always(0.8), config(), warmup_bars=10)
    assert isinstance(made, Strategy)
    found = trade(made, bars(np.full(14, 100.0)), Account())
    assert found[0] == (T0_NS + 10 * MINUTE, LONG, pytest.approx(50_000 * 0.1 / 100), "ENTRY")
    assert made.trading.ledger.symbols["A"].volatility.count == 13


def test_capital_is_the_accounts_unless_given():
    assert _first_size(ModelStrategy(always(0.8), config(), warmup_bars=0)) == pytest.approx(50.0)
    assert _first_size(ModelStrategy(always(0.8), config(), warmup_bars=0, initial_equity=1_000.0)) == pytest.approx(
        1.0
    )


def _first_size(made: ModelStrategy) -> float:
    return trade(made, bars([100.0]), Account())[0][2]


def test_other_symbols_are_left_alone():
    made = ModelStrategy(always(0.8), config(), symbols="A", warmup_bars=0)
    assert made.symbols == ("A",)
    assert made.on_bar(bars([100.0], "B")[0], Account()) is None


def test_each_symbol_has_its_own_model():
    made = ModelStrategy(MomentumModel(), config(), warmup_bars=30)
    events = sorted(
        bars(walk(200, drift=0.002), "UP") + bars(walk(200, drift=-0.002), "DOWN"), key=lambda bar: bar.timestamp_ns
    )
    made.on_start(Account())
    sides = {}
    for bar in events:
        decision = made.on_bar(bar, Account())
        if decision is not None and decision.action != HOLD:
            sides[bar.symbol] = decision.action
            made.decision_closed(decision)
    assert sides == {"UP": "LONG", "DOWN": "SHORT"}


def test_the_same_replay_twice_decides_the_same():
    made = ModelStrategy(OnlineLogisticModel(), config())
    events = bars(walk(1500, memory=0.5))
    first = trade(made, events, Account())
    assert first
    assert trade(made, events, Account()) == first


def test_a_later_stage_keeps_what_was_learnt_but_not_the_position():
    made = ModelStrategy(OnlineLogisticModel(), config(), warmup_bars=20)
    closes = walk(900, memory=0.5)
    trade(made, bars(closes[:600]), Account())
    updates = made._lanes["A"].model.updates
    assert updates > 500
    made.on_start(Account(7_000.0))
    assert made.trading.position("A") == 0.0
    assert made.trading.equity == 7_000.0
    made.on_bar(bars(closes)[600], Account())
    assert made._lanes["A"].model.updates == updates + 1


def test_bars_that_come_twice_or_too_late_are_dropped():
    made = ModelStrategy(always(0.8), config(), warmup_bars=0)
    first, second = bars([100.0, 101.0])
    made.on_start(Account())
    assert made.on_bar(second, Account()).action == LONG
    assert made.on_bar(second, Account()) is None
    assert made.on_bar(first, Account()) is None
    assert made._lanes["A"].history.count == 1


def test_a_position_of_before_the_restart_is_managed_from_its_first_bar():
    made = ModelStrategy(always(0.5), config(), warmup_bars=50)
    account = Account(A=-4.0)
    made.on_start(account)
    assert made.on_bar(bars([100.0])[0], account) is None
    leave = made.on_bar(bars([103.0], start=MINUTE)[0], account)
    assert (leave.action, leave.size) == (CLOSE, 4.0)
    alone = ModelStrategy(always(0.5), config(), adopt_positions=False)
    alone.on_start(account)
    alone.on_bar(bars([100.0])[0], account)
    assert alone.trading.position("A") == 0.0


def test_a_position_that_was_flattened_by_hand_is_forgotten():
    made = ModelStrategy(always(0.8), config(), warmup_bars=0)
    account = Account()
    made.on_start(account)
    first, second, third, fourth = bars([100.0, 90.0, 90.0, 90.0])
    decision = made.on_bar(first, account)
    # in flight: the engine's book is not asked yet
    assert made.on_bar(second, account) is None
    made.record_execution(decision, 0.0, 0.0, 100.0, decision.size, decision.timestamp)
    made.decision_closed(decision)
    account.positions["A"] = decision.size
    leave = made.on_bar(third, account)
    assert leave.action == CLOSE
    made.decision_closed(leave)
    account.positions["A"] = 0.0
    assert made.on_bar(fourth, account).action == LONG


def test_correlation_is_measured_on_common_bars():
    returns = np.random.default_rng(6).normal(0, 0.002, 80)
    twin = 100.0 * np.cumprod(1 + returns)
    made = ModelStrategy(lambda history: 0.8 if history.count >= 75 else 0.5, config(signal={"max_hold_seconds": None}))
    # B's bar of a minute comes after A's, and B misses some: the correlation is still that of equal minutes
    gaps = bars(twin * 2, "B")
    del gaps[10:13]
    events = sorted(bars(twin, "A") + gaps, key=lambda bar: (bar.timestamp_ns, bar.symbol))
    found = trade(made, events, Account())
    codes = [item[3] for item in found]
    assert codes[0] == "ENTRY"
    assert "CORRELATION" in codes


@pytest.mark.parametrize("answer", [float("nan"), 1.5, None, "up", np.array([0.1, 0.2])])
def test_a_model_that_returns_no_probability_is_named(answer):
    def forecast(history):
        return answer

    made = ModelStrategy(forecast, config())
    with pytest.raises(StrategyError, match=r"A: model forecast returned .* at 2024-03-05T12:00:00\+00:00; it must"):
        made.on_bar(bars([100.0])[0], Account())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model 3 cannot be called"),
        ({"model": MomentumModel}, r"MomentumModel is a class; give an instance: MomentumModel\(\.\.\.\)"),
        ({"model": always(0.5), "warmup_bars": -1}, "warmup_bars -1"),
        ({"model": always(0.5), "history_bars": 1}, "history_bars 1"),
        ({"model": always(0.5), "initial_equity": 0.0}, "initial_equity is 0.0"),
    ],
)
def test_a_senseless_strategy_is_refused_at_once(arguments, message):
    with pytest.raises(StrategyError, match=message):
        ModelStrategy(**arguments)


def test_it_travels_with_its_state():
    events = bars(walk(800, memory=0.5))
    whole = trade(ModelStrategy(OnlineLogisticModel(), config()), events, Account())
    made = ModelStrategy(OnlineLogisticModel(), config())
    account = Account()
    made.on_start(account)
    found = []
    for index, bar in enumerate(events):
        if index % 200 == 150:
            made = cloudpickle.loads(cloudpickle.dumps(made))
        decision = made.on_bar(bar, account)
        if decision is not None:
            found.append((bar.timestamp_ns, decision.action, decision.size, decision.metadata["code"]))
            if decision.action != HOLD:
                fill(made, decision, bar.close, account)
    assert found == whole


def test_the_fingerprint_follows_model_and_configuration_not_the_run():
    made = ModelStrategy(MomentumModel(), config())
    before = fingerprint(made)
    trade(made, bars(walk(200)), Account())
    assert fingerprint(made) == before
    assert fingerprint(ModelStrategy(MomentumModel(), config())) == before
    assert fingerprint(ModelStrategy(MomentumModel(span=21), config())) != before
    assert fingerprint(ModelStrategy(MomentumModel(), config(allow_short=False))) != before
    assert fingerprint(ModelStrategy(always(0.5), config())) != before


def test_a_day_of_bars_ends_the_daily_loss():
    made = ModelStrategy(always(0.8), config(portfolio={"cooldown_loss_count": 99}), warmup_bars=0)
    made.on_start(Account())
    made.trading.restore_daily_loss(10_000.0, T0.date())
    held, entered = bars([100.0, 100.0], step=DAY)
    assert made.on_bar(held, Account()).metadata["code"] == "DAILY_LOSS"
    assert made.on_bar(entered, Account()).action == LONG
