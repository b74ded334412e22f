"""The asyncio shell of a FIX session: one connection at a time, kept alive, made anew with growing pauses.

One task owns everything here; :meth:`FixLink.stop` leaves nothing behind. Nothing is decided here that the session or
the adapter could decide. After every logon the adapter *greets* (asks for what it may have missed) before anybody is
told that the line is back.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Iterable

from autotrader_lab.execution.adapters.base import ConnectionState
from autotrader_lab.execution.adapters.fix.messages import Field, FixMessage
from autotrader_lab.execution.adapters.fix.session import (
    Event,
    Failed,
    FixSession,
    LoggedOn,
    LoggedOut,
    Missed,
    Received,
    SessionSettings,
)
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import AutoTraderError, VenueUnavailable

__all__ = ["FixLink", "LogonRefused"]

log = logging.getLogger(__name__)

_MOST_WAITING_BYTES = 1_000_000


class LogonRefused(VenueUnavailable):
    """The other side answered the Logon with a Logout; the message is its text."""


class FixLink:
    """A FIX connection that comes back.

    Parameters
    ----------
    name : str
        Of the owning task, and for messages.
    settings : SessionSettings
    host, port : str, int
    clock : Clock
    tls : ssl.SSLContext, optional
    timeout_s : float
        Longest wait for the connection and for the answer to the Logon, seconds.
    greet : callable
        Awaited after every logon; what it raises ends the connection.
    catch_up : callable
        Awaited when the other side says that it will not send again what did not arrive.
    deliver : callable
        Takes one application message; called from the socket's reader, must not block.
    tell : callable
        Hears ``lost`` and ``restored`` with a reason.
    first_pause_s, longest_pause_s : float
        Pauses between attempts: doubling, with jitter, seconds.
    """

    def __init__(
        self,
        name: str,
        settings: SessionSettings,
        host: str,
        port: int,
        *,
        clock: Clock,
        greet: Callable[[], Awaitable[None]],
        catch_up: Callable[[], Awaitable[None]],
        deliver: Callable[[FixMessage], None],
        tell: Callable[[ConnectionState, str], None],
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 10.0,
        first_pause_s: float = 0.05,
        longest_pause_s: float = 5.0,
    ) -> None:
        self.connections = 0
        self._up = asyncio.Event()
        self._name = name
        self._settings = settings
        self._host, self._port, self._tls = host, port, tls
        self._clock = clock
        self._greet, self._catch_up, self._deliver, self._tell = greet, catch_up, deliver, tell
        self._timeout_s = timeout_s
        self._pauses_s = (first_pause_s, longest_pause_s)
        self._task: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._wire: _Wire | None = None

    def __repr__(self) -> str:
        return f"FixLink({self._settings!r} at {self._host}:{self._port}, {'up' if self.is_up else 'down'})"

    @property
    def is_up(self) -> bool:
        """Whether it is logged on and greeted."""
        return self._up.is_set()

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent; true while greeting, too."""
        return self._wire is not None and self._wire.is_open

    @property
    def clock_offset_ms(self) -> float | None:
        """Their clock minus ours, ms, where it was measured."""
        return self._wire.session.clock_offset_ms if self._wire is not None else None

    async def start(self) -> None:
        """Connect, log on and greet; raises what the first attempt raised.

        Raises
        ------
        LogonRefused
            If the other side says no.
        VenueUnavailable
            If it cannot be reached, or is silent.
        """
        self._ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(self._ready), name=self._name)
        try:
            await self._ready
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Log out and close. Twice is quiet."""
        task, self._task = self._task, None
        if task is not None:
            if self._wire is not None:
                self._wire.say_goodbye()
            await end_tasks(task)

    async def wait_up(self, within_s: float) -> bool:
        """Whether the line is up, or comes up within so many seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    def send(self, msg_type: str, body: Iterable[Field]) -> int:
        """Put a message on the wire, now.

        Returns
        -------
        int
            Its sequence number in this connection.

        Raises
        ------
        VenueUnavailable
            If there is no logged-on connection, or the other side has stopped reading; nothing left.
        DataError
            If a value cannot be written; nothing left.
        """
        wire = self._wire
        if wire is None or not wire.is_open:
            raise VenueUnavailable(f"{self._name}: there is no connection to {self._host}:{self._port} right now")
        if wire.waiting_bytes > _MOST_WAITING_BYTES:
            raise VenueUnavailable(f"{self._name}: the venue has stopped reading, {wire.waiting_bytes} bytes wait")
        return wire.send(msg_type, body)

    async def _run(self, ready: asyncio.Future[None]) -> None:
        attempt = 0
        while True:
            was_up = False
            try:
                await self._live(ready)
            except (AutoTraderError, OSError, ExceptionGroup) as error:
                was_up, cause = self.is_up, _first(error)
            finally:
                self._up.clear()
                wire, self._wire = self._wire, None
                if wire is not None:
                    wire.close()
            if not ready.done():
                ready.set_exception(cause)
                return
            if self._task is None:
                # A task group that fails while stop() cancels it raises its error alone.
                return
            if was_up:
                attempt = 0
                log.warning("%s: connection lost: %s", self._name, cause)
                self._tell("lost", str(cause))
            else:
                log.warning("%s: attempt %d to come back failed: %s", self._name, attempt, cause)
            await self._clock.sleep(self._pause_s(attempt, isinstance(cause, LogonRefused)) * random.uniform(0.5, 1.0))
            attempt += 1

    def _pause_s(self, attempt: int, refused: bool) -> float:
        first_s, longest_s = self._pauses_s
        if refused:
            # A venue that is asked too often with credentials it does not take locks the account.
            first_s, longest_s = max(first_s, 0.5), max(longest_s, 60.0)
        return min(longest_s, first_s * 2.0 ** min(attempt, 30))

    async def _live(self, ready: asyncio.Future[None]) -> None:
        """One connection, from the dial to its end, which is always an error."""
        loop = asyncio.get_running_loop()
        wire = _Wire(FixSession(self._settings), self._clock, self._deliver, loop)
        try:
            async with asyncio.timeout(self._timeout_s):
                await loop.create_connection(lambda: wire, self._host, self._port, ssl=self._tls)
        except TimeoutError:
            raise VenueUnavailable(
                f"{self._host}:{self._port} did not take the connection within {self._timeout_s:g} s"
            ) from None
        except OSError as error:
            raise VenueUnavailable(f"{self._host}:{self._port} cannot be reached: {error}") from error
        self._wire = wire
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.wait({wire.logged_on, wire.ended}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise VenueUnavailable(
                f"{self._host}:{self._port} took the connection and did not answer the Logon of "
                f"{self._settings!r} within {self._timeout_s:g} s; check sender, target and target sub id"
            ) from None
        if wire.ended.done():
            wire.ended.result()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_time(wire), name=f"{self._name}-heartbeat")
            group.create_task(_end_of(wire), name=f"{self._name}-watch")
            await self._greet()
            group.create_task(self._keep_complete(wire), name=f"{self._name}-catch-up")
            self._up.set()
            self.connections += 1
            if ready.done():
                self._tell("restored", "what was missed is known")
            else:
                ready.set_result(None)

    async def _keep_complete(self, wire: _Wire) -> None:
        while True:
            await wire.missed.wait()
            wire.missed.clear()
            log.warning("%s: messages were lost on the way, asking for what they may have told", self._name)
            await self._catch_up()

    async def _keep_time(self, wire: _Wire) -> None:
        while True:
            await self._clock.sleep(min(1.0, self._settings.heartbeat_s / 5))
            wire.tick()


class _Wire(asyncio.Protocol):
    """One socket and its session."""

    def __init__(
        self,
        session: FixSession,
        clock: Clock,
        deliver: Callable[[FixMessage], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.session = session
        self.logged_on: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.missed = asyncio.Event()
        # Looked at here, so that asyncio does not complain where nobody waits any more.
        self.ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self._clock = clock
        self._deliver = deliver
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and self.logged_on.done()
            and not self.ended.done()
        )

    @property
    def waiting_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send(self, msg_type: str, body: Iterable[Field]) -> int:
        number = self.session.send(msg_type, body, self._clock.now_ns())
        self._flush()
        return number

    def tick(self) -> None:
        self._act(self.session.tick(self._clock.now_ns()))

    def say_goodbye(self) -> None:
        self.session.logout(self._clock.now_ns())
        self._flush()

    def close(self) -> None:
        if self._transport is not None:
            # close() would wait for a peer that no longer reads.
            if self.waiting_bytes:
                self._transport.abort()
            else:
                self._transport.close()
        self._end(ConnectionError("closed"))

    # --- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "create_connection makes stream transports"
        self._transport = transport
        self.session.start(self._clock.now_ns())
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            self._act(self.session.receive(data, self._clock.now_ns()))
        except Exception as error:
            # Whatever a message does to us, the answer is a new connection and asking the venue.
            log.exception("a message could not be taken")
            self._end(VenueUnavailable(f"a message could not be taken: {error!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(VenueUnavailable(f"the connection was closed{f' ({exc})' if exc else ' by the other side'}"))

    def _act(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                self._deliver(event.message)
            elif isinstance(event, LoggedOn):
                self.logged_on.set_result(None)
            elif isinstance(event, Missed):
                self.missed.set()
            elif isinstance(event, LoggedOut):
                if event.was_active:
                    self._end(VenueUnavailable(f"the venue logged us out: {event.text or 'no reason given'}"))
                else:
                    self._end(LogonRefused(event.text or "no reason given"))
            elif isinstance(event, Failed):
                self._end(VenueUnavailable(f"the FIX session ended: {event.reason}"))
        self._flush()

    def _flush(self) -> None:
        output = self.session.take_output()
        if output and self._transport is not None and not self._transport.is_closing():
            self._transport.write(output)

    def _end(self, why: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(why)


async def _end_of(wire: _Wire) -> None:
    await wire.ended


def _first(error: BaseException) -> BaseException:
    """The first plain error of a group's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
