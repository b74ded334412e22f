"""Oanda's streams in the event loop: read by a thread of their own, watched, and opened anew when they fall silent.

Oanda says something at least every five seconds on each stream; one that says nothing for longer is dead although its
connection stands (users' first complaint about its streams). After each opening the owner closes the gap before
anything the stream says is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.oanda.crew import joined
from autotrader_lab.execution.adapters.oanda.errors import LIBRARY_ERRORS, shown, translate_stream
from autotrader_lab.execution.adapters.oanda.wire import StreamStopped, Wire
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import AuthenticationFailed, VenueError

__all__ = ["KeptStream"]

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _REFUSED_PAUSE_S = 0.05, 10.0, 30.0
Message = dict[str, Any]


class _Reader:
    """One opened stream."""

    def __init__(self, name: str, wire: Wire, endpoint: Any, silence_s: float) -> None:
        self._wire = wire
        self._endpoint = endpoint
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.messages: asyncio.Queue[Message | BaseException] = asyncio.Queue()
        self._thread = threading.Thread(target=self._read, name=name, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        error: BaseException = StreamStopped("the venue ended the stream")
        try:
            for line in self._wire.lines(self._endpoint, lambda: self._tell(self._on_open), self._silence_s):
                self._take(line)
        except Exception as problem:  # noqa: BLE001 - whatever ends it, the loop must hear of it
            error = problem
        self._wire.close()
        self._tell(self._on_end, error)

    def _take(self, line: bytes) -> None:
        try:
            message = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            log.warning("oanda: a line of a stream was not understood (%s): %s", error, shown(line))
            return
        if isinstance(message, dict):
            self._tell(self.messages.put_nowait, message)
        else:
            log.warning("oanda: a line of a stream is no object: %s", shown(line))

    def _tell(self, what: Callable[..., Any], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(what, *arguments)

    def _on_open(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)

    def _on_end(self, error: BaseException) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()
        self.messages.put_nowait(error)

    async def close(self) -> None:
        self._wire.cut()
        await joined([self._thread])


class KeptStream:
    """A stream that is kept open.

    Parameters
    ----------
    name : str
    make_wire : callable
        A wire for each attempt.
    endpoint : callable
        What is asked for, at each attempt anew.
    clock : Clock
    silence_s : float
        A stream that says nothing for so long is dead; seconds.
    on_open : callable
        Closes the gap; an error from it closes the stream again.
    on_message : callable
        Called with each object, in order.
    on_change : callable
        (``lost`` or ``restored``, reason).
    """

    def __init__(
        self,
        name: str,
        make_wire: Callable[[], Wire],
        endpoint: Callable[[], Any],
        clock: Clock,
        silence_s: float,
        *,
        on_open: Callable[[], Awaitable[None]],
        on_message: Callable[[Message], None],
        on_change: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self._make_wire = make_wire
        self._endpoint = endpoint
        self._clock = clock
        self._silence_s = silence_s
        self._on_open = on_open
        self._on_message = on_message
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._reader: _Reader | None = None
        self.is_up = False

    async def start(self) -> None:
        """Open it; it is kept open from then on.

        Raises
        ------
        AuthenticationFailed, VenueUnavailable
            If it cannot be opened now; it is not kept then.
        """
        self._reader = await self._open()
        self.is_up = True
        self._task = asyncio.create_task(self._keep(self._reader), name=self.name)

    async def stop(self) -> None:
        """Close it and return when its thread has ended."""
        task, self._task = self._task, None
        self.is_up = False
        if task is not None:
            await end_tasks(task)
            if self._reader is not None:
                # A task that is cancelled before its first step does not even come to its end.
                await self._reader.close()
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _open(self) -> _Reader:
        reader = _Reader(self.name, self._make_wire(), self._endpoint(), self._silence_s)
        try:
            # Its own timeouts begin anew with every byte.
            async with asyncio.timeout(self._silence_s):
                await reader.opened
            await self._on_open()
        except BaseException as error:
            await reader.close()
            if isinstance(error, VenueError) or not isinstance(error, Exception):
                raise
            if not isinstance(error, LIBRARY_ERRORS):
                log.exception("%s: could not be opened", self.name)
            raise translate_stream(error, self.name) from error
        return reader

    async def _keep(self, reader: _Reader) -> None:
        while True:
            try:
                reason = await self._listen(reader)
            finally:
                await reader.close()
            self.is_up = False
            self._on_change("lost", reason)
            reader = self._reader = await self._reopen()
            self.is_up = True
            self._on_change("restored", "")

    async def _listen(self, reader: _Reader) -> str:
        """Hand on what comes until it ends; returns why it did."""
        while True:
            message = await reader.messages.get()
            if isinstance(message, BaseException):
                return str(translate_stream(message, self.name))
            try:
                self._on_message(message)
            except Exception as error:
                # Whatever a message does to us, the answer is a new stream and asking the venue.
                log.exception("%s: a message could not be taken", self.name)
                return f"a message could not be taken: {error!r}"

    async def _reopen(self) -> _Reader:
        pause_s = _FIRST_PAUSE_S
        while True:
            await self._clock.sleep(pause_s)
            try:
                return await self._open()
            except AuthenticationFailed as error:
                # A token that was withdrawn: asking for it often helps nobody.
                log.warning("%s: %s", self.name, error)
                pause_s = _REFUSED_PAUSE_S
            except VenueError as error:
                log.info("%s: not yet open again: %s", self.name, error)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
