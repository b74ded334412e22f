"""The circuit breaker of one venue: after so many transport failures in a row, leave it alone for a while.

Closed → open → half-open, on a clock. Only transport failures count; a refusal is a healthy venue saying no. An open
breaker never blocks cancels, queries or exits: those do not ask it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from autotrader_lab.model.clock import NS, Clock

__all__ = ["BreakerState", "CircuitBreaker"]


class BreakerState(Enum):
    """CLOSED: all pass; OPEN: entries are held back; HALF_OPEN: one may try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Counts failures in a row.

    Parameters
    ----------
    clock : Clock
    threshold : int
        Failures in a row that open it.
    rest_s : float
        Seconds it stays open before one attempt may try.
    """

    def __init__(self, clock: Clock, threshold: int = 5, rest_s: float = 10.0) -> None:
        self._clock = clock
        self.threshold = threshold
        self.rest_s = rest_s
        self.failures = 0
        self._opened_ns: int | None = None
        self._trying = False
        self._callbacks: list[Callable[[bool], None]] = []

    def subscribe(self, callback: Callable[[bool], None]) -> None:
        """Call `callback` with true when it opens, and with false when it closes again."""
        self._callbacks.append(callback)

    @property
    def state(self) -> BreakerState:
        """Where it stands now."""
        if self._opened_ns is None:
            return BreakerState.CLOSED
        rested = self._clock.now_ns() - self._opened_ns >= self.rest_s * NS
        return BreakerState.HALF_OPEN if rested else BreakerState.OPEN

    def allows(self) -> bool:
        """Whether an attempt may be made; in HALF_OPEN only the first one that asks."""
        state = self.state
        if state is BreakerState.HALF_OPEN and not self._trying:
            self._trying = True
            return True
        return state is BreakerState.CLOSED

    def success(self) -> None:
        """The venue answered."""
        was_open = self._opened_ns is not None
        self.failures = 0
        self._opened_ns = None
        self._trying = False
        if was_open:
            self._tell(False)

    def failure(self) -> None:
        """The way to the venue failed."""
        self.failures += 1
        was_open = self._opened_ns is not None
        if self._trying or self.failures >= self.threshold:
            self._opened_ns = self._clock.now_ns()
        self._trying = False
        if self._opened_ns is not None and not was_open:
            self._tell(True)

    def undecided(self) -> None:
        """The attempt ended without a word on the venue: another one may try."""
        self._trying = False

    def _tell(self, is_open: bool) -> None:
        for callback in self._callbacks:
            callback(is_open)
