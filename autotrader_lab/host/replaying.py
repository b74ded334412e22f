"""The first stage: the strategy against history, in a worker thread of the host, with its progress shown."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autotrader_lab.host.dead_man import coverage
from autotrader_lab.host.lease import LeaseState
from autotrader_lab.model.errors import ConfigError, HostError
from autotrader_lab.strategy.contract import Strategy

if TYPE_CHECKING:
    from autotrader_lab.host.machine import StageMachine

__all__ = ["ReplayRun"]

_OPTIONS = frozenset(
    {
        "allow_short",
        "bar_interval",
        "commission_bps",
        "initial_balance",
        "latency_ms",
        "leverage",
        "max_participation",
        "seed",
        "slippage_bps",
        "symbol",
        "timezone",
    }
)


class _Stopped(Exception):
    """Somebody ended the replay."""


class ReplayRun:
    """One replay from its start to its end.

    Parameters
    ----------
    session : StageMachine
    strategy : Strategy
    options : mapping
        Passed on to :func:`autotrader_lab.research.replay`.
    """

    def __init__(self, session: StageMachine, strategy: Strategy, options: Mapping[str, Any]) -> None:
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise ConfigError(f"replay option {unknown[0]!r} is none of {', '.join(sorted(_OPTIONS))}")
        if not session.folder.replay_file.exists():
            raise HostError("replay needs history: await lab.start('replay', data=frame)")
        self._session = session
        self._strategy = strategy
        self._options = dict(options)
        self.fingerprint = session.info.fingerprint
        self.failure = ""
        self._done = self._total = 0
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether bars are still being shown."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Begin; the work goes on in a thread. The replay itself writes the stage's start and its evidence."""
        shutil.rmtree(self._session.folder.result_folder, ignore_errors=True)
        self._task = asyncio.create_task(self._work(), name="replay")

    def cancel(self) -> None:
        """End it at the next bar it tells of."""
        self._stop.set()

    async def drain(self, *, flatten: bool, reason: str) -> int:
        """End it; there is nothing to leave behind."""
        await self.abandon(cancel=True)
        return 0

    async def abandon(self, *, cancel: bool) -> None:
        """End it because the host ends."""
        self.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def progress(self) -> dict[str, Any] | None:
        """How far it is, in market events."""
        return {"done": self._done, "total": self._total} if self.is_running else None

    def coverage(self, lease: LeaseState) -> dict[str, str]:
        """Nothing works at a venue."""
        return coverage("replay", lease, "", None)

    def live_facts(self) -> dict[str, Any]:
        """Nothing that the journal does not know."""
        return {}

    async def _work(self) -> None:
        session = self._session
        try:
            await asyncio.to_thread(self._replay)
        except _Stopped:
            session.replay_ended("stopped before its end", ok=False)
        except Exception as error:  # noqa: BLE001 - whatever it was, the session lives on and says it
            self.failure = f"{type(error).__name__}: {error}"
            session.replay_ended(self.failure, ok=False)
        else:
            await session.caught_up()
            session.replay_ended("done", ok=True)

    def _tell(self, done: int, total: int) -> None:
        self._done, self._total = done, total
        if self._stop.is_set():
            raise _Stopped

    def _replay(self) -> None:
        from autotrader_lab.research.replay import replay

        session = self._session
        options = {"initial_balance": session.info.initial_balance, **self._options}
        result = replay(
            self._strategy,
            session.folder.replay_file,
            limits=session.settings.limits(self._strategy),
            journal=session.journal,
            progress=False,
            on_progress=self._tell,
            evidence_for=self.fingerprint,
            **options,
        )
        result.save(session.folder.result_folder)
