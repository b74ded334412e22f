"""Keeps us under TWS's 50 messages a second: what is beyond is dropped, and the third time ends the session.

Orders come before data: a question waits until there is room and leaves a reserve; a submit or change is refused before
any I/O when there is none (whoever retries judges it anew); a cancel uses the reserve and waits only for the limit.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import RateLimited

__all__ = ["Action", "Pace"]

Action = Literal["query", "order", "cancel"]

_WINDOW_NS = 1_050_000_000


class Pace:
    """What was sent within the last second, over one connection.

    Parameters
    ----------
    clock : Clock
    messages_1s : int
        The limit, messages a second; 0 is without.
    """

    def __init__(self, clock: Clock, messages_1s: int) -> None:
        self._clock = clock
        self._room = {
            "query": max(1, messages_1s * 6 // 10),
            "order": max(1, messages_1s * 8 // 10),
            "cancel": max(1, messages_1s * 9 // 10),
        }
        self._is_limited = messages_1s > 0
        self._sent: deque[int] = deque()

    def count(self, messages: int = 1) -> None:
        """Take note of messages that did not ask for a turn."""
        self._sent.extend([self._clock.monotonic_ns()] * messages)

    async def turn(self, action: Action, what: str) -> None:
        """Return when `action` may be sent, and count it.

        Raises
        ------
        RateLimited
            For an order while there is no room, with the seconds until there is.
        """
        while self._is_limited and (wait_s := self._wait_s(self._room[action])) > 0:
            if action == "order":
                raise RateLimited(
                    f"{what}: {len(self._sent)} messages were sent within a second, TWS takes no more", wait_s
                )
            await self._clock.sleep(wait_s)
        self.count()

    def _wait_s(self, allowed: int) -> float:
        now_ns = self._clock.monotonic_ns()
        while self._sent and self._sent[0] <= now_ns - _WINDOW_NS:
            self._sent.popleft()
        if len(self._sent) < allowed:
            return 0.0
        return (self._sent[len(self._sent) - allowed] + _WINDOW_NS - now_ns) / 1e9
