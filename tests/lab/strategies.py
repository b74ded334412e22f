"""Strategies that the lab's tests send to real hosts."""

from __future__ import annotations

from autotrader_lab.strategy.contract import Strategy


class Flip(Strategy):
    """In and out, bar by bar."""

    def __init__(self, size: float = 0.01) -> None:
        self.size = size

    def on_bar(self, bar, context):
        if context.position(bar.symbol) > 0:
            return self.close(bar.symbol, context)
        return self.long(bar.symbol, self.size, context)


class Rester(Strategy):
    """One order that waits far below the market, and a position if asked."""

    def __init__(self, buy: float = 0.0, first_bar: int = 1) -> None:
        self.buy = buy
        self._bars = 1 - first_bar

    def on_bar(self, bar, context):
        self._bars += 1
        if self._bars == 1:
            return self.long(bar.symbol, 0.01, context, limit_price=float(round(bar.close * 0.9)))
        if self._bars == 2 and self.buy:
            return self.long(bar.symbol, self.buy, context)
        return None


class Once(Strategy):
    """One market order, on the third bar."""

    def __init__(self, size: float = 0.01) -> None:
        self.size = size
        self._bars = 0

    def on_bar(self, bar, context):
        self._bars += 1
        return self.long(bar.symbol, self.size, context) if self._bars == 3 else None


class Raises(Strategy):
    """Works for two bars."""

    def __init__(self) -> None:
        self._bars = 0

    def on_bar(self, bar, context):
        self._bars += 1
        if self._bars > 2:
            raise ZeroDivisionError("my own mistake")
        return self.long(bar.symbol, 0.01, context)


class Remembers(Flip):
    """Keeps what it was told of its executions."""

    def __init__(self, size: float = 0.01) -> None:
        super().__init__(size)
        self._told = []

    def record_execution(self, decision, pnl, fees=0.0, fill_price=None, quantity=None, timestamp=None):
        self._told.append((decision.decision_id, quantity, fill_price))

    def on_bar(self, bar, context):
        decision = super().on_bar(bar, context)
        decision.metadata["told"] = len(self._told)
        return decision
