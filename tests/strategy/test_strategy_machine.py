"""Whatever the market and the engine do, in whatever order, the promises of the strategy hold."""

from __future__ import annotations

import json
import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from strategy_helpers import MINUTE, T0_NS, config

from autotrader_lab.strategy import CLOSE, HOLD, LONG, SHORT, TradingStrategy
from autotrader_lab.strategy.decision import check_decision

SYMBOLS = ("A", "B", "C")


class Trading(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.made = TradingStrategy(
            config(sizing={"method": "volatility_scaled", "lookback": 3}, portfolio={"max_concurrent_positions": 2}),
            1e5,
        )
        self.now = T0_NS
        self.price = dict.fromkeys(SYMBOLS, 100.0)
        self.held = dict.fromkeys(SYMBOLS, 0.0)
        self.entry = dict.fromkeys(SYMBOLS, 0.0)
        self.levels: dict[str, list[int]] = {name: [] for name in SYMBOLS}
        self.open: list[list] = []
        self.cash = 1e5

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        probability=st.floats(0, 1),
        move=st.floats(-0.03, 0.03),
        wait=st.integers(0, 30),
    )
    def event(self, symbol: str, probability: float, move: float, wait: int) -> None:
        self.now += wait * MINUTE
        self.price[symbol] *= 1 + move
        held, flying = self.held[symbol], [item for item in self.open if item[0].symbol == symbol]
        capital = self.made.equity
        decision = check_decision(
            self.made.process_signal(symbol, probability, current_price=self.price[symbol], timestamp=self.now)
        )
        assert decision.metadata["code"]
        assert decision.metadata["reason"]
        if decision.action == HOLD:
            assert decision.size == 0.0
            return
        assert decision.size > 0.0
        assert decision.decision_id not in {item[0].decision_id for item in self.open}
        if decision.action in (LONG, SHORT):
            assert held == 0.0
            assert not flying
            assert decision.size * self.price[symbol] <= capital * 0.2 * (1 + 1e-9)
            assert sum(1 for name in SYMBOLS if self.held[name] or self.flying(name)) < 2
        else:
            closing = sum(left for asked, left in flying if asked.action == CLOSE)
            assert decision.size + closing <= abs(held) * (1 + 1e-9)
        self.open.append([decision, decision.size])

    def flying(self, symbol: str) -> bool:
        return any(asked.symbol == symbol and asked.action != CLOSE for asked, _ in self.open)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.sampled_from([0.25, 0.5, 1.0]), slip=st.floats(-0.001, 0.001), fee=st.floats(0, 3))
    def execution(self, data: st.DataObject, share: float, slip: float, fee: float) -> None:
        item = data.draw(st.sampled_from(self.open))
        decision, left = item
        name = decision.symbol
        quantity, price = left * share, self.price[name] * (1 + slip)
        side = {LONG: 1, SHORT: -1}.get(decision.action) or (-1 if decision.metadata["position"] == LONG else 1)
        before = self.held[name]
        pnl = 0.0
        if before * side < 0:
            pnl = quantity * (price - self.entry[name]) * (1 if before > 0 else -1)
        after = before + side * quantity
        if abs(after) < 1e-9 * max(abs(before), quantity):
            after = 0.0
        if before * side >= 0:
            self.entry[name] = (abs(before) * self.entry[name] + quantity * price) / (abs(before) + quantity)
        self.held[name] = after
        self.cash += pnl - fee
        self.made.record_execution(decision, pnl, fee, price, quantity, self.now)
        if after == 0.0:
            self.levels[name] = []
        elif decision.action == CLOSE and item[1] == decision.size:
            self.levels[name].extend(decision.metadata.get("profit_levels", []))
        item[1] = left - quantity
        if share == 1.0:
            self.open.remove(item)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end_of_order(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.open))
        self.open.remove(item)
        self.made.decision_closed(item[0])

    @rule()
    def restart(self) -> None:
        state = self.made.ledger
        content = {name: symbol.state() for name, symbol in state.symbols.items()}
        for name, plain in json.loads(json.dumps(content)).items():
            state.symbols[name] = type(state.symbols[name]).from_state(plain)
            if name in state.engaged:
                state.engaged[name] = state.symbols[name]

    @invariant()
    def books_agree(self) -> None:
        for name in SYMBOLS:
            assert math.isclose(self.made.position(name), self.held[name], rel_tol=1e-6, abs_tol=1e-9)
            assert len(self.levels[name]) == len(set(self.levels[name]))
        assert math.isclose(self.made.ledger.cash, self.cash, rel_tol=1e-9)
        known = {key for keys in self.made.pending_decisions().values() for key in keys}
        assert known == {asked.decision_id for asked, _ in self.open}

    @invariant()
    def exits_can_always_be_asked_for(self) -> None:
        for name in SYMBOLS:
            if self.held[name] and not any(item[0].symbol == name for item in self.open):
                twin = TradingStrategy(self.made.config, 1e5)
                twin.ledger.symbols[name] = type(self.made.ledger.symbols[name]).from_state(
                    self.made.ledger.symbols[name].state()
                )
                twin.ledger.engaged[name] = twin.ledger.symbols[name]
                twin.ledger.risk.daily_loss = 1e9
                late = self.now + 10_000 * MINUTE
                leave = twin.process_signal(name, 0.5, current_price=self.price[name], timestamp=late)
                assert leave.action == CLOSE
                assert math.isclose(leave.size, abs(self.held[name]), rel_tol=1e-6)


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
