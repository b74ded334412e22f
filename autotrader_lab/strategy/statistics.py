"""Volatility, once as plain functions on arrays and once as running estimates that cost next to nothing a bar.

Both forms give the same numbers; a test holds them to pandas' and numpy's. Nothing is annualised: a volatility is the
standard deviation of the return of one bar, whatever a bar is.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from autotrader_lab.model.errors import StrategyError

__all__ = [
    "RunningVolatility",
    "as_series",
    "correlation",
    "ewma_volatility",
    "parkinson_volatility",
    "std_volatility",
]

FloatArray = npt.NDArray[np.float64]
FOUR_LN_2 = 4.0 * math.log(2.0)


def as_series(values: Any, what: str, symbol: str) -> FloatArray:
    """`values` as a one-dimensional array of finite floats; NaN at its beginning (pandas' pct_change) is dropped.

    Raises
    ------
    StrategyError
        If it is not a sequence of numbers, or holds NaN or infinity further on.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StrategyError(f"{symbol}: {what} must be a sequence of numbers, got {type(values).__name__}") from error
    if array.ndim != 1:
        raise StrategyError(f"{symbol}: {what} has {array.ndim} dimensions; give one column")
    finite = np.isfinite(array)
    if not finite.all():
        first = int(np.argmax(finite)) if finite.any() else array.size
        bad = np.flatnonzero(~finite[first:]) + first
        if bad.size or not np.isnan(array[:first]).all():
            place = int(bad[0]) if bad.size else 0
            raise StrategyError(f"{symbol}: {what}[{place}] is {array[place]}; drop or fill such rows first")
        array = array[first:]
    return array


def std_volatility(returns: FloatArray) -> float:
    """Sample standard deviation (ddof 1); NaN with fewer than two returns."""
    return float(np.std(returns, ddof=1)) if returns.size >= 2 else math.nan


def ewma_volatility(returns: FloatArray, span: int) -> float:
    """Exponentially weighted, as ``pandas.Series.ewm(span=span).std()`` ends; NaN with fewer than two returns."""
    # weights fall under the float's resolution after some 19 spans: what is older cannot change the result
    tail = returns[-20 * (span + 1) :]
    if tail.size < 2:
        return math.nan
    decay = 1.0 - 2.0 / (span + 1.0)
    weights = decay ** np.arange(tail.size - 1, -1, -1, dtype=np.float64)
    total = float(weights.sum())
    mean = float(weights @ tail) / total
    spread = float(weights @ (tail - mean) ** 2)
    return math.sqrt(max(0.0, spread * total / (total * total - float(weights @ weights))))


def parkinson_volatility(high: FloatArray, low: FloatArray) -> float:
    """Parkinson's range estimate: √(mean(ln(high/low)²) / (4 ln 2)); NaN without bars."""
    if high.size == 0:
        return math.nan
    return math.sqrt(float(np.mean(np.log(high / low) ** 2)) / FOUR_LN_2)


def correlation(first: FloatArray, second: FloatArray) -> float | None:
    """Pearson correlation of two return series aligned at their last row; None where it is not defined."""
    rows = min(first.size, second.size)
    if rows < 3:
        return None
    a, b = first[-rows:], second[-rows:]
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0.0 else None


class RunningVolatility:
    """Volatility of one symbol, kept up to date bar by bar.

    Parameters
    ----------
    method : str
        ``std``, ``ewma`` or ``parkinson``.
    lookback : int
        Window of the first and last, span of the second.
    """

    __slots__ = ("_decay", "_m2", "_mean", "_weight", "_weight_sq", "_window", "count", "lookback", "method")

    def __init__(self, method: str, lookback: int) -> None:
        self.method = method
        self.lookback = lookback
        self.count = 0
        self._window: deque[float] = deque(maxlen=lookback)
        self._decay = 1.0 - 2.0 / (lookback + 1.0)
        self._weight = self._weight_sq = self._mean = self._m2 = 0.0

    def update(self, change: float | None, log_range: float | None) -> None:
        """Take one bar in: its simple return and, where known, ln(high/low)."""
        if self.method == "parkinson":
            if log_range is not None:
                self.count += 1
                self._window.append(log_range * log_range)
        elif change is not None:
            self.count += 1
            if self.method == "std":
                self._window.append(change)
                return
            # West's update for decaying weights: no sum of squares, so nothing cancels
            kept = self._weight * self._decay
            self._weight = weight = kept + 1.0
            self._weight_sq = self._weight_sq * self._decay * self._decay + 1.0
            delta = change - self._mean
            self._mean += delta / weight
            self._m2 = self._m2 * self._decay + delta * delta * kept / weight

    @property
    def value(self) -> float | None:
        """Volatility per bar; None until `lookback` bars have been seen."""
        if self.count < self.lookback:
            return None
        if self.method == "ewma":
            weight = self._weight
            return math.sqrt(max(0.0, self._m2 * weight / (weight * weight - self._weight_sq)))
        size = len(self._window)
        if self.method == "parkinson":
            return math.sqrt(math.fsum(self._window) / size / FOUR_LN_2)
        mean = math.fsum(self._window) / size
        return math.sqrt(math.fsum((item - mean) ** 2 for item in self._window) / (size - 1))

    def state(self) -> dict[str, Any]:
        """Everything needed to go on elsewhere, as plain values."""
        return {
            "method": self.method,
            "lookback": self.lookback,
            "count": self.count,
            "window": list(self._window),
            "moments": [self._weight, self._weight_sq, self._mean, self._m2],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> RunningVolatility:
        """The inverse of :meth:`state`."""
        made = cls(state["method"], state["lookback"])
        made.count = state["count"]
        made._window.extend(state["window"])
        made._weight, made._weight_sq, made._mean, made._m2 = state["moments"]
        return made
