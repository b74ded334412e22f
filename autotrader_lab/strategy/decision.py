"""What a strategy says: the specification's ``ExecutionDecision``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from autotrader_lab.model.errors import StrategyError

__all__ = ["ACTIONS", "CLOSE", "HOLD", "LONG", "SHORT", "ExecutionDecision", "check_decision"]

LONG, SHORT, CLOSE, HOLD = "LONG", "SHORT", "CLOSE", "HOLD"
ACTIONS = (LONG, SHORT, CLOSE, HOLD)


@dataclass(slots=True)
class ExecutionDecision:
    """A risk-checked wish to trade.

    Attributes
    ----------
    action : str
        ``LONG`` and ``SHORT`` open or add on that side, or flip to it: what is held the other way is closed on top
        of `size`. ``CLOSE`` flattens `size` units of what is held, whichever side that is; all of it when `size` is 0.
        ``HOLD`` sends nothing.
    symbol : str
        What to trade.
    size : float
        **Units of the instrument**, not currency.
    confidence : float
        The strategy's own, 0 to 1.
    timestamp : datetime
        When it was decided, UTC, from the market event.
    metadata : dict
        Why, and how: ``limit_price`` makes the order a limit; ``time_in_force``, ``stop_price``, ``post_only`` are
        passed on to it.
    decision_id : str
        Given by the engine where the strategy gave none; every later record carries it.
    """

    action: str
    symbol: str
    size: float
    confidence: float
    timestamp: datetime
    metadata: dict[str, Any] = field(default_factory=dict)
    decision_id: str = ""


def check_decision(decision: object) -> ExecutionDecision:
    """`decision` if it is one that can be executed.

    Raises
    ------
    StrategyError
        Naming the field, its value and the way out.
    """
    if not isinstance(decision, ExecutionDecision):
        raise StrategyError(
            f"a strategy returned {decision!r} ({type(decision).__name__}); "
            "return an ExecutionDecision, or None to hold"
        )
    if decision.action not in ACTIONS:
        raise StrategyError(f"decision action {decision.action!r} is none of {', '.join(ACTIONS)}")
    if decision.action == HOLD:
        return decision
    size = decision.size
    if isinstance(size, bool) or not isinstance(size, (int, float)) or not math.isfinite(size) or size < 0:
        raise StrategyError(
            f"{decision.action} {decision.symbol}: size {size!r} must be a finite number of units, zero or more"
        )
    if size == 0 and decision.action != CLOSE:
        raise StrategyError(f"{decision.action} {decision.symbol}: size 0 opens nothing; return HOLD or None instead")
    if decision.timestamp.tzinfo is None:
        raise StrategyError(f"{decision.action} {decision.symbol}: timestamp {decision.timestamp} is naive; use UTC")
    return decision
