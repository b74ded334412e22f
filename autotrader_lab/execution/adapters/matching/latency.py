"""Simulated latency, seeded: the only randomness of paper trading."""

from __future__ import annotations

import random

from autotrader_lab.model.errors import ConfigError
from autotrader_lab.model.instruments import is_number

__all__ = ["Latency"]


class Latency:
    """Draws latencies evenly between two bounds.

    Parameters
    ----------
    latency_ms : number or pair of numbers
        Milliseconds: one fixed latency, or (least, most).
    seed : int, optional
        The same seed draws the same latencies.

    Raises
    ------
    ConfigError
        If the bounds are no numbers, negative or the wrong way round.
    """

    def __init__(self, latency_ms: float | tuple[float, float] = 0, seed: int | None = None) -> None:
        least, most = _bounds(latency_ms)
        self._least_ns = round(least * 1_000_000)
        self._most_ns = round(most * 1_000_000)
        self._random = random.Random(seed)

    def draw_ns(self) -> int:
        """One latency in nanoseconds."""
        if self._least_ns == self._most_ns:
            return self._least_ns
        return self._random.randint(self._least_ns, self._most_ns)


def _bounds(latency_ms: object) -> tuple[float, float]:
    pair = latency_ms if isinstance(latency_ms, (tuple, list)) else (latency_ms, latency_ms)
    if len(pair) == 2 and all(is_number(bound) for bound in pair) and 0 <= pair[0] <= pair[1]:
        return pair[0], pair[1]
    raise ConfigError(f"latency_ms {latency_ms!r} must be a number or (least, most) with 0 <= least <= most")
