"""``TradingStrategy``: a prediction goes in, a risk-checked decision in units of the instrument comes out.

Flow of one decision: signal (entry when flat, exit checks when in a position) → portfolio constraints → size →
correlation and drawdown scaling → risk limits → decision. The last four concern entries only: a halted strategy can
always get out.

All time is the event's; positions change only through :meth:`TradingStrategy.record_execution`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from autotrader_lab.model.clock import Clock, SystemClock, from_ns
from autotrader_lab.model.errors import StrategyError
from autotrader_lab.model.market import Bar
from autotrader_lab.strategy.book import Pending, SymbolState
from autotrader_lab.strategy.checks import event_ns, finite, is_scalar, positive
from autotrader_lab.strategy.config import StrategyConfig
from autotrader_lab.strategy.contract import Context
from autotrader_lab.strategy.decision import CLOSE, HOLD, LONG, SHORT, ExecutionDecision
from autotrader_lab.strategy.entries import EntryRequest, plan_entry
from autotrader_lab.strategy.ledger import Ledger
from autotrader_lab.strategy.limits import Status
from autotrader_lab.strategy.signals import ExitSignal, entry_signal, exit_signal

__all__ = ["TradingStrategy"]

_logger = logging.getLogger("autotrader_lab.strategy")
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class TradingStrategy:
    """The Phase 8 strategy.

    Parameters
    ----------
    config : StrategyConfig, optional
        Copied; defaults where none is given.
    initial_equity : float
        Account currency, above zero.
    clock : Clock, optional
        Asked only by :meth:`process_signal` calls without a `timestamp`; the machine's clock where none is given.
        Whoever replays passes timestamps, or a simulated clock.

    Raises
    ------
    StrategyError
        If `initial_equity` is not a finite amount above zero.

    Attributes
    ----------
    config : StrategyConfig
    ledger : Ledger
        What it holds, has lost and has in flight.
    """

    def __init__(
        self, config: StrategyConfig | None = None, initial_equity: float = 100_000.0, clock: Clock | None = None
    ) -> None:
        self.config = StrategyConfig() if config is None else config.model_copy(deep=True)
        self._clock: Clock = SystemClock() if clock is None else clock
        self.ledger = Ledger(self.config, positive(initial_equity, "initial_equity", "strategy"))

    # Deciding.

    def process_signal(
        self,
        symbol: str,
        probability: float,
        expected_value: float | None = None,
        returns: Any = None,
        high: Any = None,
        low: Any = None,
        sector: str | None = None,
        venue: str | None = None,
        returns_data: Any = None,
        *,
        current_price: float,
        timestamp: datetime | int | None = None,
        limit_price: float | None = None,
        win_rate: float | None = None,
        avg_win: float | None = None,
        avg_loss: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> ExecutionDecision:
        """Turn one prediction into a decision.

        Sizers work in account currency; the decision's `size` is in **units of the instrument**: the notional divided
        by `current_price`.

        Parameters
        ----------
        symbol : str
        probability : float
            Probability that the price rises, 0 to 1.
        expected_value : float, optional
            Of the side asked for, account currency; replaces the configured formula.
        returns : sequence of float or float, optional
            Simple returns per bar, oldest first, for the volatility of an entry; a number is this bar's return.
            Without it the strategy keeps its own running estimate from `current_price`; until that has seen
            `lookback` bars, entries take the smallest volatility factor.
        high, low : sequence of float or float, optional
            The bars' highs and lows, or this bar's; needed for Parkinson's estimate.
        sector, venue : str, optional
            Remembered per symbol.
        returns_data : mapping or pandas.DataFrame, optional
            Returns per symbol, aligned at their last row, for the correlation with what is held.
        current_price : float
            Price of one unit, account currency.
        timestamp : datetime or int, optional
            Time of the event: aware datetime, or nanoseconds since the epoch. One bar per distinct time.
        limit_price : float, optional
            Makes an entry a limit order; exits are never limited.
        win_rate, avg_win, avg_loss : float, optional
            For Kelly sizing.
        metadata : mapping, optional
            Passed on in the decision's.

        Returns
        -------
        ExecutionDecision
            ``metadata['code']`` and ``metadata['reason']`` say why, for HOLD too.

        Raises
        ------
        StrategyError
            Naming symbol, value and way out, if an input is missing, not a number, infinite or out of range.
        """
        price = positive(current_price, "current_price", symbol)
        chance = finite(probability, "probability", symbol)
        if not 0.0 <= chance <= 1.0:
            raise StrategyError(f"{symbol}: probability is {probability!r}; it must lie between 0 and 1")
        if expected_value is not None:
            expected_value = finite(expected_value, "expected_value", symbol)
        now_ns = self._clock.now_ns() if timestamp is None else event_ns(timestamp, symbol)
        state = self.ledger.state_of(symbol)
        if sector is not None:
            state.sector = sector
        if venue is not None:
            state.venue = venue
        if now_ns < state.last_ns:
            late_s = (state.last_ns - now_ns) / 1e9
            return self._hold(symbol, "OUT_OF_ORDER", f"{late_s:.6g} s older than the last event", now_ns, chance)
        self._observe(state, price, now_ns, returns, high, low)
        if state.position is not None:
            return self._manage(state, chance, expected_value, now_ns, metadata)
        if state.pending:
            return self._hold(symbol, "ORDER_IN_FLIGHT", _in_flight(state), now_ns, chance)
        signal = entry_signal(self.config.signal, chance, expected_value, self.config.allow_short)
        if signal.side == 0:
            return self._hold(symbol, signal.code, signal.reason, now_ns, signal.confidence)
        request = EntryRequest(
            state, signal, returns, high, low, returns_data, limit_price, win_rate, avg_win, avg_loss
        )
        plan = plan_entry(self.ledger, request)
        if metadata:
            plan.findings = {**metadata, **plan.findings}
        if plan.refusal is not None:
            refusal = plan.refusal
            plan.findings.update(code=refusal.code, reason=refusal.reason, asked=refusal.asked, limit=refusal.limit)
            return self._decide(HOLD, symbol, 0.0, signal.confidence, now_ns, plan.findings)
        plan.findings.update(code=signal.code, reason=signal.reason, price=price)
        action = LONG if signal.side > 0 else SHORT
        return self._send(state, action, signal.side, plan.units, signal.confidence, now_ns, plan.findings)

    def on_bar(self, bar: Bar, context: Context) -> ExecutionDecision | None:
        """Take a bar in, and get out where it says so; entries need a prediction, which is :meth:`process_signal`'s.

        So that an engine can be given this strategy as it is. :class:`ModelStrategy` adds the prediction.
        """
        self.observe(bar.symbol, bar.close, bar.timestamp_ns, high=bar.high, low=bar.low)
        state = self.ledger.state_of(bar.symbol)
        if state.position is None or bar.timestamp_ns < state.last_ns:
            return None
        decision = self._manage(state, None, None, bar.timestamp_ns, None)
        return None if decision.action == HOLD else decision

    def _manage(
        self,
        state: SymbolState,
        chance: float | None,
        expected_value: float | None,
        now_ns: int,
        metadata: Mapping[str, Any] | None,
    ) -> ExecutionDecision:
        position = state.position
        assert position is not None
        config = self.config.signal
        confidence = 0.5 if chance is None else chance
        found = exit_signal(config, position, state.price, now_ns, state.bars - position.opened_bar)
        if config.exit_on_reversal and chance is not None and (found is None or found.fraction < 1.0):
            signal = entry_signal(config, chance, expected_value)
            if signal.side == -position.side:
                found = ExitSignal("SIGNAL_REVERSAL", signal.reason, 1.0)
        if found is None:
            return self._hold(
                state.symbol,
                "IN_POSITION",
                "in a position; no exit condition is met",
                now_ns,
                confidence,
            )
        held = abs(position.quantity)
        closing = state.closing
        size = (held - closing) * found.fraction
        if size <= held * 1e-9:
            return self._hold(state.symbol, "ORDER_IN_FLIGHT", _in_flight(state), now_ns, confidence)
        side = position.side
        findings: dict[str, Any] = dict(metadata) if metadata else {}
        findings.update(
            code=found.code,
            reason=found.reason,
            price=state.price,
            position=LONG if side > 0 else SHORT,
            entry_price=position.entry_price,
            fraction=found.fraction,
        )
        if found.levels:
            findings["profit_levels"] = [index + 1 for index in found.levels]
            position.levels_taken.update(found.levels)
        return self._send(state, CLOSE, -side, size, 1.0, now_ns, findings, found.levels, position.serial)

    def _send(
        self,
        state: SymbolState,
        action: str,
        side: int,
        size: float,
        confidence: float,
        now_ns: int,
        findings: dict[str, Any],
        levels: tuple[int, ...] = (),
        serial: int = 0,
    ) -> ExecutionDecision:
        self.ledger.serial += 1
        decision_id = f"{now_ns:x}-{self.ledger.serial}"
        self.ledger.send(state, Pending(decision_id, action, size, side, levels=levels, serial=serial))
        return self._decide(action, state.symbol, size, confidence, now_ns, findings, decision_id)

    def _observe(self, state: SymbolState, price: float, now_ns: int, returns: Any, high: Any, low: Any) -> None:
        """One bar more, unless one of this very time was seen before."""
        if now_ns > state.last_ns:
            change = price / state.close - 1.0 if state.bars else None
            if returns is not None and is_scalar(returns):
                change = finite(returns, "returns", state.symbol)
            log_range = None
            if high is not None and low is not None and is_scalar(high) and is_scalar(low):
                top, bottom = positive(high, "high", state.symbol), positive(low, "low", state.symbol)
                if top < bottom:
                    raise StrategyError(f"{state.symbol}: high {high!r} is under low {low!r}; are they swapped?")
                log_range = math.log(top / bottom)
            state.volatility.update(change, log_range)
            state.bars += 1
            state.last_ns = now_ns
            state.close = price
        self.ledger.advance(now_ns)
        self.ledger.price(state, price)

    def _hold(self, symbol: str, code: str, reason: str, now_ns: int, confidence: float) -> ExecutionDecision:
        return self._decide(HOLD, symbol, 0.0, confidence, now_ns, {"code": code, "reason": reason})

    def _decide(
        self,
        action: str,
        symbol: str,
        size: float,
        confidence: float,
        now_ns: int,
        findings: dict[str, Any],
        decision_id: str = "",
    ) -> ExecutionDecision:
        if self.config.log_decisions:
            level = logging.DEBUG if action == HOLD else logging.INFO
            if level >= logging.getLevelNamesMapping()[self.config.log_level]:
                _logger.log(
                    level, "%s: %s %s %.10g (%s)", self.config.strategy_name, action, symbol, size, findings["reason"]
                )
        return ExecutionDecision(action, symbol, size, confidence, from_ns(now_ns), findings, decision_id)

    # What the market and the engine tell.

    def observe(
        self, symbol: str, current_price: float, timestamp: datetime | int, *, high: Any = None, low: Any = None
    ) -> None:
        """Take a bar in without asking for a decision: while a model warms up, the running volatility does too.

        Raises
        ------
        StrategyError
            If a price is not a finite number above zero, or the time is naive.
        """
        price, now_ns = positive(current_price, "current_price", symbol), event_ns(timestamp, symbol)
        state = self.ledger.state_of(symbol)
        if now_ns >= state.last_ns:
            self._observe(state, price, now_ns, None, high, low)

    def mark(self, symbol: str, price: float, timestamp: datetime | int | None = None) -> None:
        """Take a price for equity, drawdown and exposure without asking for a decision.

        Raises
        ------
        StrategyError
            If `price` is not a finite number above zero, or the time is naive.
        """
        value = positive(price, "price", symbol)
        if timestamp is not None:
            self.ledger.advance(event_ns(timestamp, symbol))
        self.ledger.price(self.ledger.state_of(symbol), value)

    def record_execution(
        self,
        decision: ExecutionDecision,
        pnl: float,
        fees: float = 0.0,
        fill_price: float | None = None,
        quantity: float | None = None,
        timestamp: datetime | int | None = None,
    ) -> None:
        """Take in one execution of `decision`; a partial fill is one of several calls.

        Parameters
        ----------
        decision : ExecutionDecision
        pnl : float
            P&L this execution realised, account currency, before fees.
        fees : float
            Fees of this execution, account currency; negative for a rebate.
        fill_price : float, optional
            Without it the price known last.
        quantity : float, optional
            Units executed; the whole of what is still to come where none is given.
        timestamp : datetime or int, optional
            Time of the execution; without it that of the last event, or of the decision if later.

        Raises
        ------
        StrategyError
            If `decision` is a HOLD, a number is not finite, or a CLOSE names no side and nothing is held.
        """
        self.ledger.record_execution(decision, pnl, fees, fill_price, quantity, timestamp)

    def decision_closed(self, decision: ExecutionDecision | str) -> None:
        """Nothing more will come of `decision` (or of its id): filled, cancelled, rejected, expired or denied.

        What was not executed is free to be decided again. Quiet for a decision that is not in flight.
        """
        decision_id = decision if isinstance(decision, str) else decision.decision_id
        found = self.ledger.find_pending(decision_id)
        if found is not None:
            self.ledger.close(*found)

    def pending_decisions(self) -> dict[str, list[str]]:
        """Ids of the decisions in flight, by symbol; after a restart the engine says of each what became of it."""
        return {name: list(state.pending) for name, state in self.ledger.engaged.items() if state.pending}

    def restore_daily_loss(self, amount: float, day: date) -> None:
        """Losses of the UTC `day` that happened in another process, account currency, as a positive amount.

        Raises
        ------
        StrategyError
            If `amount` is negative or not finite.
        """
        value = finite(amount, "amount of the daily loss", "strategy")
        if value < 0.0:
            raise StrategyError(f"daily loss {amount!r} is negative; give the losses as a positive amount")
        self.ledger.risk.restore_daily_loss(value, day.toordinal() - _EPOCH_ORDINAL)

    def restore_position(
        self, symbol: str, quantity: float, entry_price: float, opened: datetime | int, fees: float = 0.0
    ) -> None:
        """Take over what the engine's book holds, in place of what is held here: signed units, average entry, when.

        Raises
        ------
        StrategyError
            If a number is not finite or the price not above zero.
        """
        units = finite(quantity, "quantity", symbol)
        price = positive(entry_price, "entry_price", symbol)
        self.ledger.restore_position(symbol, units, price, event_ns(opened, symbol), finite(fees, "fees", symbol))

    # Looking in.

    @property
    def equity(self) -> float:
        """Initial equity plus realised P&L less fees plus open P&L at the last prices, account currency."""
        return self.ledger.risk.equity

    @property
    def status(self) -> Status:
        """What keeps entries out at the time of the last event, or ACTIVE."""
        return self.ledger.status()

    def position(self, symbol: str) -> float:
        """Units held, signed."""
        state = self.ledger.symbols.get(symbol)
        return state.quantity if state is not None else 0.0

    def parameters(self) -> dict[str, Any]:
        """The configuration as plain values; what evidence is bound to."""
        return self.config.to_dict()

    def get_state_summary(self) -> dict[str, Any]:
        """Status, equity, losses, positions and counts as plain values."""
        return {"strategy_name": self.config.strategy_name, **self.ledger.summary()}

    def save_state(self, path: str | Path) -> None:
        """Write the running state as JSON, whole or not at all."""
        self.ledger.save(Path(path))

    def load_state(self, path: str | Path) -> None:
        """Go on from :meth:`save_state`; decisions that were in flight still are (:meth:`pending_decisions`).

        Raises
        ------
        StrategyError
            If the file cannot be read, or is of another layout or volatility method than this strategy's.
        """
        self.ledger = Ledger.load(Path(path), self.config)

    def reset(self, initial_equity: float | None = None, keep_statistics: bool = False) -> None:
        """Forget positions, losses, halts and decisions in flight.

        Parameters
        ----------
        initial_equity : float, optional
            A new one, account currency; the old one by default.
        keep_statistics : bool
            Keep volatility estimates, sectors and venues: for another stage of the same market.
        """
        old = self.ledger
        equity = old.initial_equity if initial_equity is None else initial_equity
        self.ledger = Ledger(self.config, positive(equity, "initial_equity", "strategy"))
        # ids stay unique over the strategy's whole life
        self.ledger.serial = old.serial
        if keep_statistics:
            for name, state in old.symbols.items():
                self.ledger.symbols[name] = replace(state, price=0.0, position=None, pending={})


def _in_flight(state: SymbolState) -> str:
    asked = ", ".join(f"{item.action} {item.remaining:.6g}" for item in state.pending.values())
    return f"decided and not done yet: {asked}; decision_closed() ends the wait"
