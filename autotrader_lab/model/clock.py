"""Time comes from here and from nowhere else, so that replay, tests and live trading share one code path.

``SystemClock`` is the machine's clock; ``SimulatedClock`` moves only when it is told to, and lets tasks that
sleep on it wake in order. All times are UTC; integers are nanoseconds since the epoch.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

__all__ = ["Clock", "SimulatedClock", "SystemClock", "from_ns", "to_ns"]

NS = 1_000_000_000


def from_ns(timestamp_ns: int) -> datetime:
    """Nanoseconds since the epoch as an aware UTC datetime (microsecond resolution, truncated)."""
    seconds, rest_ns = divmod(timestamp_ns, NS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)


def to_ns(moment: datetime) -> int:
    """An aware datetime as nanoseconds since the epoch.

    Raises
    ------
    ValueError
        If `moment` is naive: a time without a zone has no place on the line.
    """
    if moment.tzinfo is None:
        raise ValueError(f"naive time {moment.isoformat()}: give it a time zone, e.g. .replace(tzinfo=UTC)")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS + delta.microseconds * 1000


@runtime_checkable
class Clock(Protocol):
    """What the package asks of a clock."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        ...

    def now_ns(self) -> int:
        """The time in nanoseconds since the epoch."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that never jump; for measuring spans."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return `seconds` later on this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.perf_counter_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SimulatedClock:
    """A clock that moves only by :meth:`advance` or :meth:`set_ns`.

    Parameters
    ----------
    start : datetime or int, default the epoch
        Aware datetime, or nanoseconds since the epoch.
    """

    def __init__(self, start: datetime | int = 0) -> None:
        self._now_ns = start if isinstance(start, int) else to_ns(start)
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return from_ns(self._now_ns)

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    def set_ns(self, now_ns: int) -> None:
        """Jump to `now_ns` without waking anybody; for synchronous replay. Time never goes back."""
        if now_ns > self._now_ns:
            self._now_ns = now_ns

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ns + round(seconds * NS), next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move `seconds` forward, waking every sleeper at its own time, in order."""
        until_ns = self._now_ns + round(seconds * NS)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= until_ns:
            wake_ns, _, future = heapq.heappop(self._sleepers)
            self.set_ns(wake_ns)
            if not future.done():
                future.set_result(None)
            await _settle()
        self.set_ns(until_ns)
        await _settle()


async def _settle() -> None:
    """Let every task that can run do so, a bounded number of turns."""
    for _ in range(20):
        await asyncio.sleep(0)
