"""Small strategies for the tests of this folder."""

from __future__ import annotations

from collections import deque
from typing import Any

from autotrader_lab.model.market import Bar
from autotrader_lab.strategy import Context, ExecutionDecision, Strategy


class SmaCross(Strategy):
    """Long when the fast mean is above the slow one, else short; always in the market."""

    def __init__(self, fast: int = 20, slow: int = 100, size: float = 1.0) -> None:
        self.fast, self.slow, self.size = fast, slow, size
        self.closes: deque[float] = deque(maxlen=slow)
        self.side: bool | None = None

    def on_bar(self, bar: Bar, context: Context) -> ExecutionDecision | None:
        self.closes.append(bar.close)
        if len(self.closes) < self.slow:
            return None
        window = list(self.closes)
        up = sum(window[-self.fast :]) / self.fast > sum(window) / self.slow
        if up is self.side:
            return None
        self.side = up
        say = self.long if up else self.short
        return say(bar.symbol, self.size, context)


class Watcher(Strategy):
    """Keeps what it saw of the account and trades at the rows it was told to."""

    def __init__(self, plan: dict[int, tuple[str, float]] | None = None, **metadata: Any) -> None:
        self.plan = plan or {}
        self.metadata = metadata
        self.equities: list[float] = []
        self.events: list[Any] = []
        self.executions: list[tuple[float, float, float | None]] = []
        self.closed = 0

    def on_bar(self, bar: Any, context: Context) -> ExecutionDecision | None:
        row = len(self.events)
        self.events.append(bar)
        self.equities.append(context.equity)
        if row not in self.plan:
            return None
        action, size = self.plan[row]
        return ExecutionDecision(action, bar.symbol, size, 1.0, context.now, dict(self.metadata))

    def record_execution(
        self, decision: Any, pnl: float, fees: float = 0.0, fill_price: float | None = None, **more: Any
    ) -> None:
        self.executions.append((pnl, fees, fill_price))

    def decision_closed(self, decision: Any) -> None:
        self.closed += 1


class TickWatcher(Watcher):
    """The same on quotes or trades."""

    def on_quote(self, quote: Any, context: Context) -> ExecutionDecision | None:
        return self._tick(quote, context)

    def on_trade(self, trade: Any, context: Context) -> ExecutionDecision | None:
        return self._tick(trade, context)

    def _tick(self, tick: Any, context: Context) -> ExecutionDecision | None:
        return Watcher.on_bar(self, tick, context)
