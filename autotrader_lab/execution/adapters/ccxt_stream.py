"""Keeps one private stream alive: subscribe, deliver in order, notice the end, close the gap, tell.

One task owns everything here, under one name; :meth:`StreamKeeper.stop` leaves nothing behind. What happened while
the stream was down is asked for over REST before anybody is told that it is back.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from autotrader_lab.execution.adapters.base import ConnectionState
from autotrader_lab.execution.adapters.ccxt_errors import venue_message
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.clock import Clock

__all__ = ["StreamKeeper", "Subscription", "backoff_s", "unexpected"]

log = logging.getLogger(__name__)


def backoff_s(attempt: int, first_s: float = 0.05, most_s: float = 5.0) -> float:
    """Seconds to wait before attempt `attempt` (from 0): doubling, with jitter so that clients do not come at once."""
    return float(min(most_s, first_s * 2.0**attempt) * random.uniform(0.5, 1.0))


class Subscription(Protocol):
    """A live subscription."""

    @property
    def ended(self) -> asyncio.Future[Any]:
        """Done, usually with an error, when the stream is over."""
        ...

    def is_alive(self) -> bool:
        """Whether its socket is open."""
        ...


class StreamKeeper:
    """One stream's life.

    Parameters
    ----------
    name : str
        Of the owning task.
    clock : Clock
    subscribe : callable
        Opens the stream; returns when the venue confirmed it.
    deliver : callable
        Takes one message; what it raises ends the stream, which is then opened anew and its gap closed.
    resync : callable
        Closes the gap over REST.
    settle : callable
        Asks for what a message only hinted at.
    tell : callable
        Hears ``lost`` and ``restored`` with a reason.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        subscribe: Callable[[], Awaitable[Subscription]],
        deliver: Callable[[Any], None],
        resync: Callable[[], Awaitable[None]],
        settle: Callable[[], Awaitable[None]],
        tell: Callable[[ConnectionState, str], None],
    ) -> None:
        self._name = name
        self._clock = clock
        self._subscribe = subscribe
        self._deliver = deliver
        self._resync = resync
        self._settle = settle
        self._in_doubt = False
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._wanted = asyncio.Event()
        self._ready: asyncio.Future[None] | None = None
        self.is_live = False

    def push(self, message: Any) -> None:
        """A message came; called by the socket's reader, never blocks and never raises."""
        self._inbox.put_nowait(message)

    def ask_resync(self) -> None:
        """Something could not be understood: look at the venue's books soon."""
        self._in_doubt = True
        self._wanted.set()

    def ask_settle(self) -> None:
        """A message hinted at something that has to be asked for."""
        self._wanted.set()

    async def start(self) -> None:
        """Open the stream; returns when it is live, raises what the first attempt raised."""
        self._ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=self._name)
        try:
            await self._ready
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it. Twice is quiet."""
        task, self._task = self._task, None
        self.is_live = False
        if task is not None:
            await end_tasks(task)

    async def _run(self) -> None:
        assert self._ready is not None, "start makes it"
        attempt = 0
        while True:
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001 - whatever ended the stream, the answer is to open it anew
                cause = _first(error)
            was_live, self.is_live = self.is_live, False
            if not self._ready.done():
                self._ready.set_exception(cause)
                return
            reason = venue_message(cause)
            if was_live:
                attempt = 0
                log.warning("%s: stream lost: %s", self._name, reason, exc_info=unexpected(cause))
                self._tell("lost", reason)
            else:
                log.warning("%s: attempt %d to come back failed: %s", self._name, attempt, reason)
            await self._clock.sleep(backoff_s(attempt))
            attempt += 1

    async def _live(self) -> None:
        assert self._ready is not None, "start makes it"
        subscription = await self._subscribe()
        async with asyncio.TaskGroup() as group:
            group.create_task(_watch(subscription), name=f"{self._name}-watch")
            group.create_task(self._deliver_all(), name=f"{self._name}-deliver")
            await self._resync()
            self.is_live = True
            if self._ready.done():
                self._tell("restored", "the gap is closed")
            else:
                self._ready.set_result(None)
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                in_doubt, self._in_doubt = self._in_doubt, False
                await (self._resync if in_doubt else self._settle)()

    async def _deliver_all(self) -> None:
        while True:
            self._deliver(await self._inbox.get())


async def _watch(subscription: Subscription) -> None:
    """Raise when the stream is over."""
    while True:
        done, _ = await asyncio.wait({subscription.ended}, timeout=10)
        if done:
            if not subscription.ended.cancelled():
                subscription.ended.result()
            raise ConnectionError("the stream ended")
        if not subscription.is_alive():
            raise ConnectionError("the socket is closed")


def _first(error: BaseException) -> BaseException:
    """The first plain error of a task group's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def unexpected(error: BaseException) -> BaseException | None:
    """`error` where it is no ordinary loss of a connection, so that its traceback is logged."""
    ordinary = any(kind.__name__ in ("BaseError", "VenueError", "OSError") for kind in type(error).__mro__)
    return None if ordinary else error
