"""How much: notionals in account currency from capital, volatility and odds. Pure functions.

The strategy converts to units of the instrument (:func:`units`) before it decides; nothing here knows a price.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from autotrader_lab.strategy.config import SizingConfig

__all__ = [
    "clamp_notional",
    "fixed_fractional",
    "kelly",
    "kelly_share",
    "risk_parity",
    "units",
    "volatility_factor",
    "volatility_scaled",
]

MIN_FACTOR, MAX_FACTOR = 0.1, 10.0


def volatility_factor(target: float, realised: float | None) -> float:
    """clip(target/realised, 0.1, 10), both per bar. Not known yet (None): 0.1, the most careful the rule allows."""
    if realised is None:
        return MIN_FACTOR
    if realised <= 0.0:
        return MAX_FACTOR
    return min(MAX_FACTOR, max(MIN_FACTOR, target / realised))


def volatility_scaled(capital: float, config: SizingConfig, realised: float | None) -> float:
    """Notional: capital · max_position_pct · factor, before the limits."""
    return capital * config.max_position_pct * volatility_factor(config.target_volatility, realised)


def kelly_share(win_rate: float, avg_win: float, avg_loss: float) -> float:
    """f* = (p·b − q)/b with b = avg_win/avg_loss, cut to [0, 1]."""
    odds = avg_win / avg_loss
    return min(1.0, max(0.0, (win_rate * odds - (1.0 - win_rate)) / odds))


def kelly(capital: float, config: SizingConfig, win_rate: float, avg_win: float, avg_loss: float) -> float:
    """Notional: capital · f* · kelly_fraction, before the limits."""
    return capital * kelly_share(win_rate, avg_win, avg_loss) * config.kelly_fraction


def fixed_fractional(capital: float, config: SizingConfig) -> float:
    """Notional: capital · fraction, before the limits."""
    return capital * config.fraction


def risk_parity(capital: float, config: SizingConfig, realised: float | None, others: Iterable[float | None]) -> float:
    """Notional: capital · total_risk_budget · this position's share, shares ∝ 1/volatility.

    Parameters
    ----------
    capital : float
    config : SizingConfig
    realised : float or None
        Volatility per bar of what is to be entered; not known (None): the smallest factor of its equal share.
    others : iterable of float or None
        Those of the positions held; not known counts as equally volatile.
    """
    held = list(others)
    budget = capital * config.total_risk_budget
    if realised is None:
        return budget * MIN_FACTOR / (1 + len(held))
    own = 1.0 / max(realised, 1e-12)
    total = own + math.fsum(own if vol is None else 1.0 / max(vol, 1e-12) for vol in held)
    return budget * own / total


def clamp_notional(notional: float, capital: float, config: SizingConfig) -> float:
    """`notional` within `max_position` and `max_position_pct` of capital, never negative."""
    return max(0.0, min(notional, config.max_position, capital * config.max_position_pct))


def units(notional: float, price: float) -> float:
    """Currency to units of the instrument."""
    return notional / price
