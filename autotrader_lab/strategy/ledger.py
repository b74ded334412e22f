"""The strategy's memory: what it holds and what is in flight, equity, and the limits' running state.

Everything that happens (executions, ends of orders, prices, time) comes in here, and is told on to the risk and
portfolio managers; deciding only reads. The whole of it goes to JSON and back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy.book import NEVER_NS, OpenPosition, Pending, SymbolState, apply_fill
from autotrader_lab.strategy.checks import event_ns, finite, positive
from autotrader_lab.strategy.config import StrategyConfig
from autotrader_lab.strategy.decision import CLOSE, HOLD, LONG, ExecutionDecision
from autotrader_lab.strategy.limits import Exposure, RiskManager, Status
from autotrader_lab.strategy.portfolio import PortfolioManager
from autotrader_lab.strategy.statistics import RunningVolatility

__all__ = ["Ledger", "Totals"]

LAYOUT = 1


@dataclass(slots=True)
class Totals:
    """Counts and sums since the start: executions, winning and losing decisions, amounts in account currency."""

    executions: int = 0
    wins: int = 0
    losses: int = 0
    gross_pnl: float = 0.0
    fees: float = 0.0


class Ledger:
    """Positions, decisions in flight, equity and limits.

    Parameters
    ----------
    config : StrategyConfig
    equity : float
        Initial, account currency.
    """

    def __init__(self, config: StrategyConfig, equity: float) -> None:
        self.config = config
        self.initial_equity = equity
        self.cash = equity
        self.risk = RiskManager(config.risk, equity)
        self.portfolio = PortfolioManager(config.portfolio)
        self.totals = Totals()
        self.now_ns = NEVER_NS
        self.serial = 0
        self.symbols: dict[str, SymbolState] = {}
        # those with a position or a decision in flight; kept apart because every decision walks over them
        self.engaged: dict[str, SymbolState] = {}

    # Time and prices.

    def state_of(self, symbol: str) -> SymbolState:
        """What is known of `symbol`; made at its first mention."""
        state = self.symbols.get(symbol)
        if state is None:
            if not isinstance(symbol, str) or not symbol:
                raise StrategyError(f"symbol {symbol!r} must be a name that is not empty")
            sizing = self.config.sizing
            state = self.symbols[symbol] = SymbolState(symbol, RunningVolatility(sizing.vol_method, sizing.lookback))
        return state

    def advance(self, now_ns: int) -> None:
        """Let time pass; it never goes back."""
        if now_ns > self.now_ns:
            self.now_ns = now_ns
            self.risk.advance(now_ns)
            self.portfolio.advance(now_ns)

    def price(self, state: SymbolState, price: float) -> None:
        """Mark a symbol."""
        state.price = price
        if state.position is not None:
            state.position.mark(price)
            self._revalue()

    def _revalue(self) -> None:
        self.risk.record_equity(self.cash + sum(state.unrealised for state in self.engaged.values()))

    def status(self) -> Status:
        """The worst halt in force, or ACTIVE."""
        found = self.risk.status()
        if found is Status.ACTIVE and self.portfolio.cooldown_until_ns is not None:
            return Status.COOLDOWN
        return found

    def others(self, symbol: str) -> list[Exposure]:
        """The book without `symbol`, as it will stand once every entry in flight is executed."""
        found = []
        for name, state in self.engaged.items():
            committed = state.committed
            if name != symbol and committed:
                found.append(Exposure(name, committed, committed * state.price, state.sector, state.venue))
        return found

    # Decisions and what comes of them.

    def send(self, state: SymbolState, pending: Pending) -> None:
        """A decision goes out."""
        state.pending[pending.decision_id] = pending
        self.engaged[state.symbol] = state
        self.risk.count_trade(self.now_ns)

    def record_execution(
        self,
        decision: ExecutionDecision,
        pnl: float,
        fees: float,
        fill_price: float | None,
        quantity: float | None,
        timestamp: datetime | int | None,
    ) -> None:
        """Fold one execution in; see :meth:`TradingStrategy.record_execution`."""
        symbol = decision.symbol
        if decision.action == HOLD:
            raise StrategyError(
                f"{symbol}: a HOLD sends nothing, so nothing can be executed; record the decision that did"
            )
        profit, fee = finite(pnl, "pnl", symbol), finite(fees, "fees", symbol)
        state = self.state_of(symbol)
        pending = state.pending.get(decision.decision_id)
        side = _side_of(decision, pending, state)
        size = _units_of(decision, pending, state, side) if quantity is None else positive(quantity, "quantity", symbol)
        price = _price_of(decision, state) if fill_price is None else positive(fill_price, "fill_price", symbol)
        at_ns = event_ns(decision.timestamp if timestamp is None else timestamp, symbol)
        if timestamp is None:
            at_ns = max(at_ns, self.now_ns)
        self.advance(at_ns)

        held = state.position
        closes = held is not None and held.quantity * side < 0
        self.serial += 1
        state.position, entry_fees = apply_fill(held, side * size, price, fee, at_ns, state.bars, self.serial)
        state.price = state.price or price
        self.cash += profit - fee
        self.totals.executions += 1
        self.totals.gross_pnl += profit
        self.totals.fees += fee
        self.risk.record_cash(profit - fee, at_ns)

        net = profit - fee - entry_fees
        realised = closes or profit != 0.0
        if pending is None:
            if realised:
                self._outcome(net)
        else:
            pending.executed += size
            if realised:
                pending.net += net
                pending.realised = True
            if pending.done:
                self.close(state, pending)
        self._engage(state)
        self._revalue()

    def close(self, state: SymbolState, pending: Pending) -> None:
        """Nothing more will come of a decision: its outcome counts, and what it did not take is free again."""
        del state.pending[pending.decision_id]
        position = state.position
        if pending.levels and pending.executed == 0.0 and position is not None and position.serial == pending.serial:
            position.levels_taken.difference_update(pending.levels)
        if pending.realised:
            self._outcome(pending.net)
        self._engage(state)

    def find_pending(self, decision_id: str) -> tuple[SymbolState, Pending] | None:
        """The decision in flight with this id."""
        for state in self.engaged.values():
            pending = state.pending.get(decision_id)
            if pending is not None:
                return state, pending
        return None

    def restore_position(self, symbol: str, quantity: float, entry_price: float, opened_ns: int, fees: float) -> None:
        """Replace what is held by what the engine's book says."""
        state = self.state_of(symbol)
        self.serial += 1
        if quantity == 0.0:
            state.position = None
        else:
            state.position = OpenPosition(quantity, entry_price, entry_price, opened_ns, state.bars, self.serial, fees)
            state.price = state.price or entry_price
            state.position.mark(state.price)
        self._engage(state)
        self._revalue()

    def _engage(self, state: SymbolState) -> None:
        if state.position is not None or state.pending:
            self.engaged[state.symbol] = state
        else:
            self.engaged.pop(state.symbol, None)

    def _outcome(self, net: float) -> None:
        if net > 0.0:
            self.totals.wins += 1
        elif net < 0.0:
            self.totals.losses += 1
        self.risk.record_outcome(net, self.now_ns)
        self.portfolio.record_outcome(net, self.now_ns)

    # Looking in, and going on elsewhere.

    def summary(self) -> dict[str, Any]:
        """Plain values for people and dashboards."""
        risk, portfolio = self.risk, self.portfolio
        return {
            "status": self.status().value,
            "time": from_ns(self.now_ns).isoformat() if self.now_ns != NEVER_NS else None,
            "initial_equity": self.initial_equity,
            "equity": risk.equity,
            "cash": self.cash,
            "peak_equity": risk.peak_equity,
            "drawdown": risk.drawdown,
            "daily_loss": risk.daily_loss,
            "daily_loss_state": risk.daily_state.value,
            "consecutive_losses": risk.loss_streak,
            "circuit_breaker_until": _time_text(risk.broken_until_ns),
            "cooldown_until": _time_text(portfolio.cooldown_until_ns),
            "trades": {window.name: window.count(self.now_ns) for window in risk.windows},
            "totals": asdict(self.totals),
            "positions": {
                name: {
                    "quantity": state.position.quantity,
                    "entry_price": state.position.entry_price,
                    "price": state.price,
                    "unrealised": state.unrealised,
                    "opened": from_ns(state.position.opened_ns).isoformat(),
                    "profit_levels_taken": [index + 1 for index in sorted(state.position.levels_taken)],
                    "sector": state.sector,
                    "venue": state.venue,
                }
                for name, state in self.engaged.items()
                if state.position is not None
            },
            "in_flight": {name: list(state.pending) for name, state in self.engaged.items() if state.pending},
        }

    def save(self, path: Path) -> None:
        """Write everything as JSON, whole or not at all."""
        content = {
            "layout": LAYOUT,
            "initial_equity": self.initial_equity,
            "cash": self.cash,
            "now_ns": self.now_ns,
            "serial": self.serial,
            "totals": asdict(self.totals),
            "risk": self.risk.state(),
            "portfolio": self.portfolio.state(),
            "symbols": [state.state() for state in self.symbols.values()],
        }
        beside = path.with_name(path.name + ".part")
        beside.write_text(json.dumps(content), encoding="utf-8")
        beside.replace(path)

    @classmethod
    def load(cls, path: Path, config: StrategyConfig) -> Ledger:
        """The inverse of :meth:`save`, under `config`."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StrategyError(f"strategy state {path}: cannot be read ({error}); check the path") from error
        layout = content.get("layout") if isinstance(content, dict) else None
        if layout != LAYOUT:
            raise StrategyError(
                f"strategy state {path}: layout is {layout!r}, this version reads {LAYOUT}; start afresh"
            )
        try:
            made = cls(config, content["initial_equity"])
            made.cash, made.now_ns, made.serial = content["cash"], content["now_ns"], content["serial"]
            made.totals = Totals(**content["totals"])
            made.risk.restore(content["risk"])
            made.portfolio.restore(content["portfolio"])
            states = [SymbolState.from_state(item) for item in content["symbols"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StrategyError(f"strategy state {path}: damaged ({error!r}); start afresh") from error
        sizing = config.sizing
        for state in states:
            kept = state.volatility
            if (kept.method, kept.lookback) != (sizing.vol_method, sizing.lookback):
                raise StrategyError(
                    f"strategy state {path}: {state.symbol} has volatility {kept.method} over {kept.lookback} bars, "
                    f"the configuration says {sizing.vol_method} over {sizing.lookback}; "
                    "load it with the configuration it ran with"
                )
            made.symbols[state.symbol] = state
            made._engage(state)
        return made


def _side_of(decision: ExecutionDecision, pending: Pending | None, state: SymbolState) -> int:
    if pending is not None:
        return pending.side
    if decision.action != CLOSE:
        return 1 if decision.action == LONG else -1
    closes = decision.metadata.get("position")
    if closes is not None:
        return -1 if closes == LONG else 1
    if state.position is not None:
        return -state.position.side
    raise StrategyError(
        f"{decision.symbol}: an execution of a CLOSE, but nothing is held and the decision does not say "
        "which side it closed; set metadata['position'] to 'LONG' or 'SHORT'"
    )


def _units_of(decision: ExecutionDecision, pending: Pending | None, state: SymbolState, side: int) -> float:
    """The whole of what is still to come of `decision`."""
    if pending is not None:
        return pending.remaining
    held = abs(state.quantity)
    if decision.action == CLOSE:
        size = min(decision.size, held) if held and decision.size else held or decision.size
    else:
        # LONG and SHORT flip: what is held the other way is closed on top of the size
        size = decision.size + (held if state.quantity * side < 0 else 0.0)
    return positive(size, "size", decision.symbol)


def _price_of(decision: ExecutionDecision, state: SymbolState) -> float:
    price = state.price or decision.metadata.get("price")
    if price is None:
        raise StrategyError(f"{decision.symbol}: no price is known; pass fill_price=... to record_execution")
    return positive(price, "price", decision.symbol)


def _time_text(at_ns: int | None) -> str | None:
    return None if at_ns is None else from_ns(at_ns).isoformat()
