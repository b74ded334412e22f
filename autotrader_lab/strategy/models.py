"""Prediction models plug in as a callable on the recent history; this file holds that history and two plain baselines.

Neither baseline claims to earn anything. They exist so that a session has an honest prediction to work with: they see
the past only, cost a few microseconds a bar, and give the same answer in replay and live.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.model.market import Bar

__all__ = ["History", "Model", "MomentumModel", "OnlineLogisticModel"]


class History:
    """The last bars of one symbol, as arrays that cost nothing to look at.

    The arrays are views, oldest bar first, good until the next bar arrives; copy what is to be kept.

    Parameters
    ----------
    capacity : int
        How many bars are remembered.

    Attributes
    ----------
    count : int
        Bars seen, forgotten ones too.
    last_close : float
        Close of the latest bar; cheaper than ``close[-1]``.
    last_ns : int
        When the latest bar became known, ns since the epoch; 0 before the first.
    """

    __slots__ = ("_close", "_end", "_high", "_low", "_times", "_volume", "capacity", "count", "last_close", "last_ns")

    def __init__(self, capacity: int) -> None:
        if capacity < 2:
            raise StrategyError(f"a history of {capacity} bars is too short; give two or more")
        self.capacity = capacity
        self.count = 0
        self.last_close = math.nan
        self.last_ns = 0
        self._end = 0
        # twice the capacity: the window slides through, and is moved back once per `capacity` bars
        self._close, self._high, self._low, self._volume = (np.empty(2 * capacity) for _ in range(4))
        self._times = np.empty(2 * capacity, dtype=np.int64)

    def append(self, bar: Bar) -> None:
        """Take in the next bar."""
        end = self._end
        if end == 2 * self.capacity:
            end = self.capacity - 1
            for column in (self._close, self._high, self._low, self._volume, self._times):
                column[:end] = column[-end:]
        self._close[end] = self.last_close = bar.close
        self._high[end] = bar.high
        self._low[end] = bar.low
        self._volume[end] = bar.volume
        self._times[end] = self.last_ns = bar.timestamp_ns
        self._end = end + 1
        self.count += 1

    def __len__(self) -> int:
        return min(self.count, self.capacity)

    @property
    def close(self) -> npt.NDArray[np.float64]:
        """Closes."""
        return self._close[self._end - len(self) : self._end]

    @property
    def high(self) -> npt.NDArray[np.float64]:
        """Highs."""
        return self._high[self._end - len(self) : self._end]

    @property
    def low(self) -> npt.NDArray[np.float64]:
        """Lows."""
        return self._low[self._end - len(self) : self._end]

    @property
    def volume(self) -> npt.NDArray[np.float64]:
        """Volumes, units."""
        return self._volume[self._end - len(self) : self._end]

    @property
    def timestamps(self) -> npt.NDArray[np.int64]:
        """When each bar became known, ns since the epoch."""
        return self._times[self._end - len(self) : self._end]


Model = Callable[[History], float]
"""Called once per bar, in order, after the bar is in; returns the probability that the price rises, 0 to 1."""


def _squash(score: float) -> float:
    """The logistic function, safe for any score."""
    if score >= 0.0:
        return 1.0 / (1.0 + math.exp(-score))
    grown = math.exp(score)
    return grown / (1.0 + grown)


class MomentumModel:
    """What rose will rise: the exponentially weighted mean return against its own noise, squashed to a probability.

    Parameters
    ----------
    span : int
        Bars of the weighting, two or more.
    strength : float
        Log-odds per standard error of the mean return; negative bets on reversal.
    """

    def __init__(self, span: int = 20, strength: float = 0.25) -> None:
        if span < 2:
            raise StrategyError(f"MomentumModel: span is {span}; it must be two bars or more")
        if not math.isfinite(strength):
            raise StrategyError(f"MomentumModel: strength is {strength}; it must be finite")
        self.span = span
        self.strength = strength
        self._seen = 0
        self._previous = math.nan
        self._mean = 0.0
        self._square = 0.0

    def __call__(self, history: History) -> float:
        close = history.last_close
        previous, self._previous = self._previous, close
        if previous != previous:
            return 0.5
        change = close / previous - 1.0
        weight = 2.0 / (self.span + 1.0)
        self._mean += weight * (change - self._mean)
        self._square += weight * (change * change - self._square)
        self._seen += 1
        if self._seen < self.span or self._square <= 0.0:
            return 0.5
        # a weighted mean of this span rests on about as many independent returns
        return _squash(self.strength * self._mean / math.sqrt(self._square / self.span))

    def parameters(self) -> dict[str, Any]:
        """What was chosen, without what was learnt."""
        return {"span": self.span, "strength": self.strength}


class OnlineLogisticModel:
    """Logistic regression of the next bar's direction, learnt as it goes.

    Three features, each in units of the running volatility and cut to ±3: the last return, the return over `span`
    bars, and the distance of the close from its exponential mean. When a bar arrives, the weights first learn from it
    with the features of the bar *before*; only then is the next one predicted. So nothing is ever fitted on what it
    predicts.

    Parameters
    ----------
    span : int
        Bars of momentum, mean and volatility, two or more; the history must hold one more.
    learning_rate : float
        Step of each update.
    decay : float
        Share of each weight given up per update (ridge).
    min_updates : int
        Predict 0.5 before so many bars have been learnt from.
    """

    def __init__(
        self, span: int = 20, learning_rate: float = 0.02, decay: float = 1e-4, min_updates: int = 100
    ) -> None:
        if span < 2:
            raise StrategyError(f"OnlineLogisticModel: span is {span}; it must be two bars or more")
        if not 0.0 < learning_rate < 1.0 or not 0.0 <= decay < 1.0:
            raise StrategyError(
                f"OnlineLogisticModel: learning_rate {learning_rate} must lie in (0, 1) and decay {decay} in [0, 1)"
            )
        self.span = span
        self.learning_rate = learning_rate
        self.decay = decay
        self.min_updates = min_updates
        self.updates = 0
        self.weights = [0.0, 0.0, 0.0, 0.0]
        self._features: tuple[float, float, float] | None = None
        self._previous = math.nan
        self._mean = math.nan
        self._square = 0.0

    def __call__(self, history: History) -> float:
        close = history.last_close
        previous, self._previous = self._previous, close
        if previous != previous:
            self._mean = close
            return 0.5
        change = close / previous - 1.0
        if self._features is not None and change != 0.0:
            self._learn(self._features, 1.0 if change > 0.0 else 0.0)
        weight = 2.0 / (self.span + 1.0)
        self._mean += weight * (close - self._mean)
        self._square += weight * (change * change - self._square)
        if len(history) <= self.span or self._square <= 0.0:
            self._features = None
            return 0.5
        noise = math.sqrt(self._square)
        trend = close / float(history.close[-1 - self.span]) - 1.0
        self._features = features = (
            max(-3.0, min(3.0, change / noise)),
            max(-3.0, min(3.0, trend / (noise * math.sqrt(self.span)))),
            max(-3.0, min(3.0, (close / self._mean - 1.0) / (noise * math.sqrt(self.span)))),
        )
        return self._predict(features) if self.updates >= self.min_updates else 0.5

    def _predict(self, features: tuple[float, float, float]) -> float:
        bias, first, second, third = self.weights
        return _squash(bias + first * features[0] + second * features[1] + third * features[2])

    def _learn(self, features: tuple[float, float, float], rose: float) -> None:
        step = self.learning_rate * (rose - self._predict(features))
        kept = 1.0 - self.decay
        bias, first, second, third = self.weights
        self.weights = [
            bias * kept + step,
            first * kept + step * features[0],
            second * kept + step * features[1],
            third * kept + step * features[2],
        ]
        self.updates += 1

    def parameters(self) -> dict[str, Any]:
        """What was chosen, without what was learnt."""
        return {
            "span": self.span,
            "learning_rate": self.learning_rate,
            "decay": self.decay,
            "min_updates": self.min_updates,
        }
