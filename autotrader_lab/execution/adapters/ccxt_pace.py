"""Keeps us under a venue's request limits where the venue tells no counters: by counting what we send ourselves.

Orders come before data: a query waits until there is room and leaves a reserve, a submit or change is refused before
any I/O when the window is full (it would be late anyway, and whoever retries it judges it anew), a cancel always goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from autotrader_lab.execution.adapters.ccxt_errors import Action
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import RateLimited

__all__ = ["Pace"]

_SHARES: Mapping[Action, float] = {"query": 0.7, "submit": 0.95, "amend": 0.95, "cancel": 1.0}


class Pace:
    """A venue's limits, and how much of them is used.

    Parameters
    ----------
    clock : Clock
    count : int
        Requests that may be sent in a window.
    window_s : float
        Seconds.
    shared : bool
        Whether all kinds of requests count together; else the venue counts each kind by itself.
    cancels_wait : bool, default False
        Whether cancels wait for room too: where the venue refuses whatever is over, going at once helps nobody.
    """

    def __init__(self, clock: Clock, count: int, window_s: float, *, shared: bool, cancels_wait: bool = False) -> None:
        self._clock = clock
        self._count = count
        self._window_ns = round(window_s * 1e9)
        self._shared = shared
        self._cancels_wait = cancels_wait
        self._sent: dict[str, deque[int]] = {}

    async def turn(self, action: Action, what: str) -> None:
        """Return when `action` may be sent, and count it.

        Raises
        ------
        RateLimited
            For a submit or change while there is no room, with the seconds until there is.
        """
        sent = self._sent.setdefault("" if self._shared else action, deque())
        allowed = int(self._count * (_SHARES[action] if self._shared else 1.0))
        while (wait_s := self._wait_s(sent, allowed)) > 0 and (action != "cancel" or self._cancels_wait):
            if action not in ("query", "cancel"):
                raise RateLimited(
                    f"{what}: {allowed} requests were sent within {self._window_ns / 1e9:g} s, the venue takes no more",
                    wait_s,
                )
            await self._clock.sleep(wait_s)
        sent.append(self._clock.monotonic_ns())

    def _wait_s(self, sent: deque[int], allowed: int) -> float:
        now_ns = self._clock.monotonic_ns()
        while sent and sent[0] <= now_ns - self._window_ns:
            sent.popleft()
        if len(sent) < allowed:
            return 0.0
        return (sent[len(sent) - allowed] + self._window_ns - now_ns) / 1e9
