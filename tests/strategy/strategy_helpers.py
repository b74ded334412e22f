"""A strategy on simulated time, and the few moves that tests make with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from autotrader_lab.strategy import ExecutionDecision, StrategyConfig, TradingStrategy

T0 = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
T0_NS = int(T0.timestamp()) * 1_000_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def config(**sections: Any) -> StrategyConfig:
    """The specification's configuration with fixed fractional sizing of 10 % and what the test changes."""
    base: dict[str, Any] = {"sizing": {"method": "fixed_fractional", "fraction": 0.1}}
    for name, value in sections.items():
        base[name] = {**base.get(name, {}), **value} if isinstance(value, dict) else value
    return StrategyConfig.from_dict(base)


def strategy(equity: float = 100_000.0, **sections: Any) -> TradingStrategy:
    return TradingStrategy(config(**sections), equity)


def ask(
    made: TradingStrategy, symbol: str = "A", probability: float = 0.7, price: float = 100.0, at: int = 0, **more: Any
) -> ExecutionDecision:
    """One event `at` nanoseconds after T0."""
    return made.process_signal(symbol, probability, current_price=price, timestamp=T0_NS + at, **more)


def enter(
    made: TradingStrategy, symbol: str = "A", probability: float = 0.7, price: float = 100.0, at: int = 0, **more: Any
) -> ExecutionDecision:
    """Decide on an entry and have it filled, whole, at the price."""
    decision = ask(made, symbol, probability, price, at, **more)
    assert decision.action in ("LONG", "SHORT"), decision.metadata
    made.record_execution(decision, 0.0, fill_price=price)
    return decision


def lose(made: TradingStrategy, amount: float, at: int, symbol: str = "L") -> None:
    """A round trip that ends with this loss (a gain if negative) at one time."""
    from autotrader_lab.strategy import CLOSE, LONG

    when = datetime.fromtimestamp((T0_NS + at) // SECOND, UTC)
    opened = ExecutionDecision(LONG, symbol, 1.0, 1.0, when)
    closed = ExecutionDecision(CLOSE, symbol, 1.0, 1.0, when, {"position": "LONG"})
    made.record_execution(opened, 0.0, fill_price=100.0, timestamp=T0_NS + at)
    made.record_execution(closed, -amount, fill_price=100.0, timestamp=T0_NS + at)
