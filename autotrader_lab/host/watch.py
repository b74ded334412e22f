"""What a host looks at all the time, asked or not: the KILL file, the clock, arming, and whether it is needed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from autotrader_lab.host.running import EngineRun
from autotrader_lab.model.clock import NS

if TYPE_CHECKING:
    from autotrader_lab.host.session import Session

__all__ = ["IDLE_EXIT_VARIABLE", "Watch"]

IDLE_EXIT_VARIABLE = "AUTOTRADER_LAB_IDLE_EXIT_S"
IDLE_EXIT_S = 900.0
_TURN_S = 0.05
_CLOCK_JUMP_NS = int(1.5 * NS)
_TIDY_EVERY_S = 1.0
_log = structlog.get_logger(__name__)


class Watch:
    """The host's round.

    Parameters
    ----------
    session : Session
    environment : mapping
        ``AUTOTRADER_LAB_IDLE_EXIT_S``: seconds without anything to do, or anybody to do it for, until the host ends.
    """

    def __init__(self, session: Session, environment: Mapping[str, str]) -> None:
        self._session = session
        self.idle_exit_s = float(environment.get(IDLE_EXIT_VARIABLE) or IDLE_EXIT_S)
        self._idle_since_ns: int | None = None

    async def run(self) -> None:
        """Go round until cancelled, or return when the host is not needed any more."""
        clock = self._session.clock
        wall_ns, steady_ns = clock.now_ns(), clock.monotonic_ns()
        tidied_ns = steady_ns
        while not self._not_needed():
            await asyncio.sleep(_TURN_S)
            if steady_ns - tidied_ns > _TIDY_EVERY_S * NS:
                tidied_ns = steady_ns
                _keep_collections_short()
            now_ns, now_steady_ns = clock.now_ns(), clock.monotonic_ns()
            jump_ns = (now_ns - wall_ns) - (now_steady_ns - steady_ns)
            wall_ns, steady_ns = now_ns, now_steady_ns
            if abs(jump_ns) > _CLOCK_JUMP_NS:
                await self._session.clock_jumped(jump_ns / NS)
            if self._session.folder.take_kill_file():
                await self._session.kill("the KILL file was touched")
            if self._session.trades_unarmed:
                self._session.arming_ended()

    def _not_needed(self) -> bool:
        """Idle and nobody there; or paper, flat, nobody there and nobody who detached on purpose."""
        session = self._session
        run = session.run_of_stage
        trading = run is not None and run.is_running
        needed = session.lease.state == "held" or session.is_changing
        if trading and not needed:
            # What holds a position, or real orders, or was left running on purpose, stays.
            flat_paper = isinstance(run, EngineRun) and session.stage == "paper" and run.is_flat
            needed = session.lease.state == "detached" or not flat_paper
        now_ns = session.clock.monotonic_ns()
        if needed:
            self._idle_since_ns = None
            return False
        if self._idle_since_ns is None:
            self._idle_since_ns = now_ns
        if now_ns - self._idle_since_ns < self.idle_exit_s * NS:
            return False
        _log.info("nobody needs this host", idle_s=self.idle_exit_s)
        return True


def _keep_collections_short() -> None:
    """Take what has lived for a while out of the garbage collector's rounds.

    Books only grow, and a full collection of a long day's books stops the whole host for half a second. What is young
    is collected first; then all that is left counts as permanent.
    """
    gc.collect(1)
    gc.freeze()
