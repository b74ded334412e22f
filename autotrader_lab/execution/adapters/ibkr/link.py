"""The connection that comes back: one at a time, asked after when it is silent, made anew with growing pauses.

TWS and Gateway restart every night; the socket then closes and nobody answers for a while. One task owns everything
here; :meth:`Link.stop` leaves nothing behind. After every logon the adapter *greets* (asks for what it may have missed)
before anybody is told that the line is back.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from autotrader_lab.execution.adapters.base import ConnectionState
from autotrader_lab.execution.adapters.ibkr.library import Library
from autotrader_lab.execution.adapters.ibkr.wire import ClientIdInUse, Deliver, Wire
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import AutoTraderError, VenueUnavailable

__all__ = ["Link"]

log = logging.getLogger(__name__)


class Link:
    """A connection to TWS that comes back.

    Parameters
    ----------
    library : Library
    host, port, client_id : str, int, int
    clock : Clock
    deliver : callable
        Takes one callback's name and values, from the socket's reader.
    greet : callable
        Awaited after every logon; what it raises ends the connection.
    tell : callable
        Hears ``lost`` and ``restored`` with a reason.
    ask : callable
        Awaited from time to time while it is up; what it raises ends the connection.
    timeout_s, heartbeat_s : float
        Longest wait for the logon, and the time between two questions, seconds.
    time_zone : str
        Of times that TWS tells without one.
    first_pause_s, longest_pause_s : float
        Pauses between attempts: doubling, with jitter, seconds.
    """

    def __init__(
        self,
        library: Library,
        host: str,
        port: int,
        client_id: int,
        *,
        clock: Clock,
        deliver: Deliver,
        greet: Callable[[], Coroutine[Any, Any, None]],
        tell: Callable[[ConnectionState, str], None],
        ask: Callable[[], Awaitable[None]],
        timeout_s: float,
        heartbeat_s: float,
        time_zone: str = "",
        first_pause_s: float = 0.05,
        longest_pause_s: float = 5.0,
    ) -> None:
        self.connections = 0
        self._up = asyncio.Event()
        self._library = library
        self._at = (host, port, client_id)
        self._clock = clock
        self._deliver, self._greet, self._tell, self._ask = deliver, greet, tell, ask
        self._timeout_s, self._heartbeat_s = timeout_s, heartbeat_s
        self._time_zone = time_zone
        self._pauses_s = (first_pause_s, longest_pause_s)
        self._task: asyncio.Task[None] | None = None
        self._wire: Wire | None = None

    def __repr__(self) -> str:
        host, port, client_id = self._at
        return f"Link({self._library.name}, {host}:{port} as client {client_id}, {'up' if self.is_up else 'down'})"

    @property
    def is_up(self) -> bool:
        """Whether it is logged on and greeted."""
        return self._up.is_set()

    @property
    def wire(self) -> Wire:
        """The open connection; there is one while greeting, too.

        Raises
        ------
        VenueUnavailable
            If there is none, or it cannot be written to.
        """
        if self._wire is None:
            raise VenueUnavailable("there is no connection to TWS right now")
        self._wire.check()
        return self._wire

    async def start(self) -> None:
        """Connect, log on and greet; raises what the first attempt raised."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(ready), name="autotrader ibkr line")
        try:
            await ready
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close. Twice is quiet."""
        task, self._task = self._task, None
        if task is not None:
            await end_tasks(task)

    async def wait_up(self, within_s: float) -> bool:
        """Whether the line is up, or comes up within so many seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    def drop(self, reason: str) -> None:
        """End this connection; a new one is made."""
        if self._wire is not None:
            self._wire.end(VenueUnavailable(reason))

    async def _run(self, ready: asyncio.Future[None]) -> None:
        attempt = 0
        patience_ns = self._clock.monotonic_ns() + round(max(1.0, self._timeout_s / 2) * 1e9)
        while True:
            was_up = False
            try:
                await self._live(ready)
            except Exception as error:
                # Whatever it was, the answer is a new connection.
                if not isinstance(error, (AutoTraderError, OSError)):
                    log.exception("ibkr: an error of our own ended the connection")
                was_up, cause = self.is_up, error
            finally:
                self._up.clear()
                wire, self._wire = self._wire, None
                if wire is not None:
                    await wire.close()
            if not ready.done():
                if isinstance(cause, ClientIdInUse) and self._clock.monotonic_ns() < patience_ns:
                    # Perhaps our own former session: TWS takes a moment to notice that it is gone.
                    await self._clock.sleep(0.1)
                    continue
                ready.set_exception(cause)
                return
            if was_up:
                attempt = 0
                log.warning("ibkr: connection lost: %s", cause)
                self._tell("lost", str(cause))
            else:
                log.warning("ibkr: attempt %d to come back failed: %s", attempt, cause)
            await self._clock.sleep(self._pause_s(attempt, cause) * random.uniform(0.5, 1.0))
            attempt += 1

    def _pause_s(self, attempt: int, cause: Exception) -> float:
        first_s, longest_s = self._pauses_s
        if isinstance(cause, ClientIdInUse):
            # Our own former session, as a rule: TWS takes a moment to notice that it is gone.
            first_s = max(first_s, 0.1)
        return float(min(longest_s, first_s * 2.0 ** min(attempt, 30)))

    async def _live(self, ready: asyncio.Future[None]) -> None:
        """One connection, from the dial to its end, which is always an error."""
        wire = Wire(self._library, self._deliver, self._time_zone)
        self._wire = wire
        await wire.open(*self._at, self._timeout_s)
        # No task group: one that fails while it is cancelled forgets the cancellation.
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._alongside(wire, self._greet(), "greeting", tasks)
            self._up.set()
            self.connections += 1
            if ready.done():
                self._tell("restored", "what was missed is known")
            else:
                ready.set_result(None)
            await self._alongside(wire, self._keep_asking(), "heartbeat", tasks)
        finally:
            await end_tasks(*tasks)

    async def _alongside(
        self, wire: Wire, work: Coroutine[Any, Any, None], name: str, tasks: list[asyncio.Task[None]]
    ) -> None:
        """Do `work` while the connection lasts; raises what ended either."""
        task = asyncio.create_task(work, name=f"autotrader ibkr {name}")
        tasks.append(task)
        await asyncio.wait({task, wire.ended}, return_when=asyncio.FIRST_COMPLETED)
        if wire.ended.done():
            wire.ended.result()
        task.result()

    async def _keep_asking(self) -> None:
        while True:
            await self._clock.sleep(self._heartbeat_s)
            await self._ask()
