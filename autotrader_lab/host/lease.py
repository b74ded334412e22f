"""The lease on a session: who holds its stream, and what becomes of its orders when nobody does any more.

A kernel's loss is a policy per stage, not an accident: paper keeps working (nothing is at stake), testnet and live
cancel what works and let no new entry out. Detaching on purpose keeps everything as it is.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["POLICIES", "Lease", "LeaseState", "Policy"]

LeaseState = Literal["held", "detached", "none"]
Policy = Literal["keep", "cancel"]

POLICIES: dict[str, Policy] = {"": "keep", "replay": "keep", "paper": "keep", "testnet": "cancel", "live": "cancel"}


class Lease:
    """Counts the holders.

    Attributes
    ----------
    since_ns : int
        When the state last changed, monotonic ns.
    """

    def __init__(self, now_ns: int) -> None:
        self._holders = 0
        self._detached = False
        self.since_ns = now_ns

    @property
    def state(self) -> LeaseState:
        """Held by a client, let go on purpose, or lost (or never taken)."""
        if self._holders:
            return "held"
        return "detached" if self._detached else "none"

    def taken(self, now_ns: int) -> bool:
        """A client came; whether it is the first."""
        self._holders += 1
        self._detached = False
        self.since_ns = now_ns
        return self._holders == 1

    def lost(self, now_ns: int) -> bool:
        """A client went; whether the policy is due: nobody holds it and nobody detached on purpose."""
        self._holders = max(self._holders - 1, 0)
        if self._holders:
            return False
        self.since_ns = now_ns
        return not self._detached

    def detach(self) -> None:
        """What happens to the holders from now on is meant."""
        self._detached = True
