"""The session layer of FIX 4.4 as an initiator lives it, without I/O: bytes in, events out, bytes to send collected.

Covered: Logon with ResetSeqNumFlag each time, heartbeats, test requests, the sequence check in both directions,
resend requests (ours for what we miss; theirs are answered with a gap fill), sequence resets, logout. An order is never
sent a second time because the other side asks for a resend: it would be stale, and whether it arrived is a question for
the venue's books. Left out: acceptors, encryption, sequence numbers that live longer than a connection.

What comes in goes through :meth:`FixSession.receive`; what must go out is taken with :meth:`FixSession.take_output`.
A session is one connection's; the next connection gets a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from autotrader_lab.execution.adapters.fix.framing import Framer
from autotrader_lab.execution.adapters.fix.messages import Field, FixMessage, encode, fix_time
from autotrader_lab.model.errors import DataError

__all__ = [
    "Event",
    "Failed",
    "FixSession",
    "LoggedOn",
    "LoggedOut",
    "Missed",
    "Received",
    "SessionSettings",
    "SessionState",
]

NS = 1_000_000_000


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who talks to whom.

    Attributes
    ----------
    sender_comp_id, target_comp_id, target_sub_id : str
        Tags 49, 56 and 57 of what we send; `target_sub_id` is left out where it is empty.
    username, password : str
        Tags 553 and 554 of the Logon; left out where they are empty.
    heartbeat_s : int
        Tag 108, seconds.
    """

    sender_comp_id: str
    target_comp_id: str
    target_sub_id: str = ""
    username: str = ""
    password: str = ""
    heartbeat_s: int = 30

    def __repr__(self) -> str:
        return f"SessionSettings({self.sender_comp_id}->{self.target_comp_id}/{self.target_sub_id})"


class SessionState(Enum):
    """Where a session stands."""

    NEW = "new"
    LOGON_SENT = "logon sent"
    ACTIVE = "active"
    LOGOUT_SENT = "logout sent"
    ENDED = "ended"


class LoggedOn(msgspec.Struct, frozen=True):
    """The other side accepted the Logon; `clock_offset_ms` is its clock minus ours, as well as one answer can tell."""

    clock_offset_ms: float


class Received(msgspec.Struct, frozen=True):
    """An application message (or a session-level Reject of one of ours), in sequence."""

    message: FixMessage


class LoggedOut(msgspec.Struct, frozen=True):
    """The other side says goodbye, or refuses the Logon."""

    text: str
    was_active: bool


class Missed(msgspec.Struct, frozen=True):
    """The other side will not send again what did not arrive: what it said may have to be asked for."""

    count: int


class Failed(msgspec.Struct, frozen=True):
    """The session cannot go on: close the connection."""

    reason: str


Event = LoggedOn | Received | LoggedOut | Missed | Failed

_ADMIN = frozenset("0124A5")
_MOST_EARLY = 10_000


class FixSession:
    """One connection's session.

    Parameters
    ----------
    settings : SessionSettings

    Attributes
    ----------
    state : SessionState
    next_out, next_in : int
        Sequence numbers of the next message each way.
    clock_offset_ms : float or None
        Their clock minus ours, from the latest answer to a Logon or a test request.
    """

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self.state = SessionState.NEW
        self.next_out = self.next_in = 1
        self.clock_offset_ms: float | None = None
        self.framer = Framer()
        self._output = bytearray()
        self._last_sent_ns = self._last_received_ns = self._logon_sent_ns = 0
        self._test: tuple[str, int] | None = None
        self._heartbeat_ns = settings.heartbeat_s * NS
        self._gap_asked_ns: int | None = None
        self._early: dict[int, FixMessage] = {}

    # --- what goes out ----------------------------------------------------------------------------------------

    def take_output(self) -> bytes:
        """The bytes to send, in order; each is handed out once."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def start(self, now_ns: int) -> None:
        """Ask to be logged on; resets the sequence numbers of both sides."""
        settings = self.settings
        body: list[Field] = [(98, "0"), (108, str(settings.heartbeat_s)), (141, "Y")]
        if settings.username:
            body += [(553, settings.username), (554, settings.password)]
        self.state = SessionState.LOGON_SENT
        self._logon_sent_ns = self._last_received_ns = now_ns
        self._write("A", body, now_ns)

    def send(self, msg_type: str, body: Iterable[Field], now_ns: int) -> int:
        """Send an application message.

        Returns
        -------
        int
            Its sequence number, which a reject names.

        Raises
        ------
        DataError
            If a value cannot be written, or the session is not active; nothing was sent then.
        """
        if self.state is not SessionState.ACTIVE:
            raise DataError(f"the FIX session is {self.state.value}, not active")
        return self._write(msg_type, body, now_ns)

    def logout(self, now_ns: int, text: str = "") -> None:
        """Say goodbye, once."""
        if self.state in (SessionState.ACTIVE, SessionState.LOGON_SENT):
            self.state = SessionState.LOGOUT_SENT
            self._write("5", [(58, text)] if text else [], now_ns)

    def _write(self, msg_type: str, body: Iterable[Field], now_ns: int, number: int | None = None) -> int:
        settings = self.settings
        sequence = self.next_out if number is None else number
        header: list[Field] = [
            (35, msg_type),
            (34, str(sequence)),
            (49, settings.sender_comp_id),
            (52, fix_time(now_ns)),
            (56, settings.target_comp_id),
        ]
        if settings.target_sub_id:
            header.append((57, settings.target_sub_id))
        self._output += encode(header, body)
        if number is None:
            self.next_out += 1
        self._last_sent_ns = now_ns
        return sequence

    # --- the passing of time ----------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due by now: a heartbeat, a test request, or giving up on a silent side."""
        if self.state is not SessionState.ACTIVE:
            return []
        if self._gap_asked_ns is not None and now_ns - self._gap_asked_ns > self._heartbeat_ns:
            return self._fail(f"messages from {self.next_in} on were asked for again and did not come", now_ns)
        silent_ns = now_ns - self._last_received_ns
        if silent_ns >= 2 * self._heartbeat_ns:
            return self._fail(f"nothing came for {silent_ns / NS:.1f} s, and no answer to a test request", now_ns)
        if silent_ns >= 6 * self._heartbeat_ns // 5 and self._test is None:
            self._test = (f"T{now_ns}", now_ns)
            self._write("1", [(112, self._test[0])], now_ns)
        elif now_ns - self._last_sent_ns >= self._heartbeat_ns:
            self._write("0", [], now_ns)
        return []

    # --- what comes in ----------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes in; what they mean, in order."""
        events: list[Event] = []
        for message in self.framer.feed(data):
            if self.state is SessionState.ENDED:
                break
            self._last_received_ns = now_ns
            self._test = None if message.msg_type != "0" else self._test
            try:
                events += self._take(message, now_ns)
            except DataError as error:
                events += self._fail(str(error), now_ns)
        return events

    def _take(self, message: FixMessage, now_ns: int) -> list[Event]:
        settings = self.settings
        if (message.get(49), message.get(56)) != (settings.target_comp_id, settings.sender_comp_id):
            return self._fail(
                f"a message from {message.get(49)!r} to {message.get(56)!r}, not from {settings.target_comp_id!r} to "
                f"{settings.sender_comp_id!r}",
                now_ns,
            )
        if self.state is SessionState.LOGON_SENT:
            return self._take_first(message, now_ns)
        number = message.integer(34)
        if message.msg_type == "4" and message.get(123) != "Y":
            return self._reset_to(message, now_ns)
        if number > self.next_in:
            return self._take_early(message, number, now_ns)
        if number < self.next_in:
            if message.get(43) == "Y":
                return []
            return self._fail(f"sequence number {number} came where {self.next_in} was due", now_ns)
        self.next_in += 1
        events = self._handle(message, now_ns)
        while self.next_in in self._early:
            # It came before the gap was closed; that it comes again is of no interest then.
            waiting = self._early.pop(self.next_in)
            self.next_in += 1
            events += self._handle(waiting, now_ns)
        if self._gap_asked_ns is not None and not self._early:
            self._gap_asked_ns = None
        return events

    def _take_first(self, message: FixMessage, now_ns: int) -> list[Event]:
        if message.msg_type == "5":
            return self._end(message.get(58), was_active=False)
        if message.msg_type == "3":
            return self._end(message.get(58) or "the Logon was rejected", was_active=False)
        if message.msg_type != "A":
            return self._fail(f"the first answer is a {message.msg_type!r} message, not a Logon", now_ns)
        self.next_in = message.integer(34) + 1
        interval_s = message.integer(108)
        if interval_s > 0:
            self._heartbeat_ns = interval_s * NS
        self.state = SessionState.ACTIVE
        return [LoggedOn(self._measure(message, self._logon_sent_ns, now_ns))]

    def _take_early(self, message: FixMessage, number: int, now_ns: int) -> list[Event]:
        """A message beyond a gap: it waits for what is missing before it, which is asked for."""
        if self._gap_asked_ns is None:
            self._gap_asked_ns = now_ns
            self._write("2", [(7, str(self.next_in)), (16, "0")], now_ns)
        # A goodbye and a question must not wait for the gap: both sides would wait for each other.
        if message.msg_type in ("2", "5"):
            return self._handle(message, now_ns)
        if len(self._early) < _MOST_EARLY:
            self._early.setdefault(number, message)
        return []

    def _handle(self, message: FixMessage, now_ns: int) -> list[Event]:
        kind = message.msg_type
        if kind == "0":
            if self._test is not None and message.get(112) == self._test[0]:
                self._measure(message, self._test[1], now_ns)
            self._test = None
        elif kind == "1":
            self._write("0", [(112, message.require(112))], now_ns)
        elif kind == "2":
            self._fill_gap(message, now_ns)
        elif kind == "4":
            return self._skip_to(message.integer(36), now_ns)
        elif kind == "5":
            was_active = self.state is SessionState.ACTIVE
            self.logout(now_ns)
            return self._end(message.get(58), was_active)
        elif kind == "A":
            return self._fail("a second Logon came in the middle of the session", now_ns)
        if kind in _ADMIN:
            return []
        return [Received(message)]

    def _skip_to(self, number: int, now_ns: int) -> list[Event]:
        """What is up to `number` will not be sent again; what of it came early is taken now."""
        events: list[Event] = []
        # The gap fill itself had the number before next_in.
        missed = 1 if self._gap_asked_ns is not None else 0
        while self.next_in < number:
            waiting = self._early.pop(self.next_in, None)
            self.next_in += 1
            if waiting is None:
                missed += 1
            else:
                events += self._handle(waiting, now_ns)
        return [*events, Missed(missed)] if missed else events

    def _fill_gap(self, message: FixMessage, now_ns: int) -> None:
        """Answer a resend request: nothing we sent is worth sending again."""
        first, last = message.integer(7), message.integer(16)
        if not 1 <= first < self.next_out:
            return
        following = self.next_out if last == 0 or last >= self.next_out else last + 1
        when = (122, fix_time(now_ns))
        self._write("4", [(43, "Y"), when, (123, "Y"), (36, str(following))], now_ns, number=first)

    def _reset_to(self, message: FixMessage, now_ns: int) -> list[Event]:
        number = message.integer(36)
        if number < self.next_in:
            return self._fail(f"a sequence reset back to {number}, {self.next_in} is due", now_ns)
        self.next_in = number
        self._gap_asked_ns = None
        self._early.clear()
        return [Missed(1)]

    def _measure(self, message: FixMessage, asked_ns: int, now_ns: int) -> float:
        theirs_ns = message.time_ns(52)
        self.clock_offset_ms = (theirs_ns - (asked_ns + now_ns) / 2) / 1e6
        return self.clock_offset_ms

    def _end(self, text: str, was_active: bool) -> list[Event]:
        self.state = SessionState.ENDED
        return [LoggedOut(text, was_active)]

    def _fail(self, reason: str, now_ns: int) -> list[Event]:
        self.logout(now_ns, reason[:200].encode("ascii", "replace").decode())
        self.state = SessionState.ENDED
        return [Failed(reason)]
