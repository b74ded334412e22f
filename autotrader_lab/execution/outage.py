"""From the loss of a connection to reconciled books: entries are held back for exactly that long.

That a connection is restored is not the end of it. The venue is asked until it answers, and only books that agree let
entries pass again. One round is under way at a time; a connection lost and restored meanwhile makes it start over.
"""

from __future__ import annotations

from autotrader_lab.execution.guard import Guard
from autotrader_lab.execution.monitor import Monitor
from autotrader_lab.execution.tasks import Tasks
from autotrader_lab.model.clock import NS, Clock

__all__ = ["Outage"]


class Outage:
    """Watches one adapter's connection.

    Parameters
    ----------
    guard : Guard
    monitor : Monitor
    clock : Clock
    tasks : Tasks
        The engine's.
    """

    def __init__(
        self,
        guard: Guard,
        monitor: Monitor,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._guard = guard
        self._monitor = monitor
        self._clock = clock
        self._tasks = tasks
        self._lost_ns: int | None = None
        self._restores = 0
        self._reconciling = False

    def on_lost(self, reason: str) -> None:
        """The connection is gone: hold entries back."""
        self._guard.alert("warning", "CONNECTION_LOST", reason)
        self._monitor.is_connected = False
        self._guard.hold_back("connection", "connection lost")
        if self._lost_ns is None:
            self._lost_ns = self._clock.monotonic_ns()

    def on_restored(self, reason: str) -> None:
        """It is back: reconcile."""
        self._guard.alert("info", "CONNECTION_RESTORED", reason)
        self._monitor.is_connected = True
        self._restores += 1
        if not self._reconciling:
            self._reconciling = True
            self._tasks.own(self._reconcile(), "reconcile after reconnect")

    async def _reconcile(self) -> None:
        try:
            while True:
                restores = self._restores
                outcome = await self._monitor.reconcile_until_answered("reconnect", self._outage_s)
                if restores == self._restores:
                    break
            if outcome.ok and self._monitor.is_connected:
                self._lost_ns = None
        finally:
            self._reconciling = False

    def _outage_s(self) -> float | None:
        return None if self._lost_ns is None else (self._clock.monotonic_ns() - self._lost_ns) / NS
