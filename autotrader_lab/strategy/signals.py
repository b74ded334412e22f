"""When to get in and when to get out: pure functions of the configuration, the prediction and the open position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autotrader_lab.strategy.book import OpenPosition
from autotrader_lab.strategy.config import SignalConfig

__all__ = ["EntrySignal", "ExitSignal", "entry_signal", "exit_signal", "expected_value"]

NS_PER_S = 1_000_000_000
# an excursion met exactly in decimal figures must not be missed by a float's last digit
ROUNDING = 1e-12


@dataclass(slots=True)
class EntrySignal:
    """What the prediction asks for when flat.

    Attributes
    ----------
    side : int
        1 long, −1 short, 0 hold.
    code, reason : str
        Why.
    confidence : float
        Probability of the side that is likelier, or asked for.
    expected_value : float or None
        Account currency; None where the thresholds already said hold.
    """

    side: int
    code: str
    reason: str
    confidence: float
    expected_value: float | None = None

    def findings(self) -> dict[str, Any]:
        """Plain values for a decision's metadata."""
        return {"side": self.side, "probability_of_side": self.confidence, "expected_value": self.expected_value}


@dataclass(slots=True)
class ExitSignal:
    """Get out of `fraction` of the position; `levels` are the profit levels that this takes."""

    code: str
    reason: str
    fraction: float
    levels: tuple[int, ...] = ()


def expected_value(config: SignalConfig, win_probability: float) -> float:
    """p·win − (1−p)·loss − cost, account currency."""
    return win_probability * config.avg_win - (1.0 - win_probability) * config.avg_loss - config.transaction_cost


def entry_signal(
    config: SignalConfig, probability: float, given_ev: float | None = None, allow_short: bool = True
) -> EntrySignal:
    """Long at or above the buy threshold, short at or below the sell threshold, if the expected value suffices.

    Parameters
    ----------
    config : SignalConfig
    probability : float
        Probability that the price rises, 0 to 1.
    given_ev : float, optional
        The caller's own expected value of the side asked for, account currency; replaces the configured formula.
    allow_short : bool
    """
    if probability >= config.buy_threshold:
        side, win = 1, probability
    elif probability <= config.sell_threshold:
        side, win = -1, 1.0 - probability
        if not allow_short:
            return EntrySignal(
                0, "SHORT_NOT_ALLOWED", f"probability {probability:.4g} asks for a short; allow_short is off", win
            )
    else:
        return EntrySignal(
            0,
            "NO_SIGNAL",
            f"probability {probability:.4g} lies between {config.sell_threshold} and {config.buy_threshold}",
            probability if probability >= 0.5 else 1.0 - probability,
        )
    ev = expected_value(config, win) if given_ev is None else given_ev
    if ev < config.min_ev:
        return EntrySignal(0, "EV_TOO_LOW", f"expected value {ev:.6g} is under min_ev {config.min_ev:.6g}", win, ev)
    return EntrySignal(side, "ENTRY", f"probability of the side {win:.4g}, expected value {ev:.6g}", win, ev)


def exit_signal(
    config: SignalConfig, position: OpenPosition, price: float, now_ns: int, bars_held: int
) -> ExitSignal | None:
    """The first reason to get out, protective ones first; None to stay.

    `position.best_price` must already include `price`.
    """
    side = 1.0 if position.quantity > 0 else -1.0
    entry = position.entry_price
    gain = side * (price - entry) / entry
    stop = config.max_mae_pct
    if gain <= ROUNDING - stop:
        return ExitSignal(
            "MAX_ADVERSE_EXCURSION", f"{gain:.4%} from the entry {entry:.6g}; the stop is {-stop:.4%}", 1.0
        )
    if config.trailing_stop:
        best = position.best_price
        back = side * (best - price) / best
        if back >= stop - ROUNDING:
            return ExitSignal(
                "TRAILING_STOP", f"came back {back:.4%} from its best {best:.6g}; the stop is {stop:.4%}", 1.0
            )
    if config.max_hold_bars is not None and bars_held >= config.max_hold_bars:
        return ExitSignal("MAX_HOLD_BARS", f"held {bars_held} bars; the limit is {config.max_hold_bars}", 1.0)
    if config.max_hold_seconds is not None:
        held_ns = now_ns - position.opened_ns
        if held_ns >= config.max_hold_seconds * NS_PER_S:
            held_s = held_ns / NS_PER_S
            return ExitSignal(
                "MAX_HOLD_SECONDS", f"held {held_s:.6g} s; the limit is {config.max_hold_seconds:.6g} s", 1.0
            )
    if gain > 0.0:
        return _profit_take(config, position, gain)
    return None


def _profit_take(config: SignalConfig, position: OpenPosition, gain: float) -> ExitSignal | None:
    kept = 1.0
    levels: list[int] = []
    for index, (excursion, fraction) in enumerate(config.profit_levels):
        if gain < excursion - ROUNDING:
            break
        if index not in position.levels_taken:
            # a jump over several levels closes what one level after the other would have closed
            kept *= 1.0 - fraction
            levels.append(index)
    if not levels:
        return None
    return ExitSignal(
        "PROFIT_LEVEL", f"{gain:.4%} from the entry reached profit level {levels[-1] + 1}", 1.0 - kept, tuple(levels)
    )
