"""The accepting side of a FIX session: logon, sequence numbers in both directions, heartbeats, resends, logout.

It keeps what it sent, so that a client that asks gets it again, marked as possible duplicates. It does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from autotrader_lab.sandbox.venues.fxcm.wire import Incoming, Reader, Tags, compose, stamp

__all__ = ["Acceptor"]

ADMIN = frozenset("0124A5")
"""Never sent again. A Reject (3) is, and needs no answer."""
MOST_KEPT = 20_000


class Acceptor:
    """One connection's session.

    Parameters
    ----------
    comp_id, session_id : str
        Who we are: SenderCompID and SenderSubID of what we send.
    write : callable
        Puts bytes on the wire.
    now_ms : callable
        The venue's clock.

    Attributes
    ----------
    is_open : bool
        Whether the client is logged on.
    is_over : bool
        Whether the connection is to be closed.
    """

    def __init__(
        self, comp_id: str, session_id: str, write: Callable[[bytes], None], now_ms: Callable[[], int]
    ) -> None:
        self.comp_id = comp_id
        self.session_id = session_id
        self.client = ""
        self.is_open = False
        self.is_over = False
        self.next_out = self.next_in = 1
        self._write = write
        self._now_ms = now_ms
        self._reader = Reader()
        self._kept: dict[int, Tags] = {}
        self._interval_ms = 30_000
        self._heard_ms = self._said_ms = now_ms()
        self._tested = False
        self._asked_from = 0

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """Take bytes in; yields the Logon and, once it was accepted, application messages in sequence."""
        for message in self._reader.feed(data):
            if self.is_over:
                return
            self._heard_ms, self._tested = self._now_ms(), False
            if not self.is_open:
                # "Any messages you send before this will be ignored."
                if message.kind == "A":
                    yield message
                continue
            if self._in_sequence(message) and self._application(message):
                yield message

    def accept(self, logon: Incoming) -> None:
        """Let a client in."""
        self.client = logon[49]
        self.is_open = True
        if logon[141] == "Y":
            self.next_out, self.next_in = 1, 1
            self._kept.clear()
        self.next_in = logon.number + 1
        interval = logon[108]
        self._interval_ms = int(interval) * 1000 if interval.isdigit() and int(interval) else 30_000
        tags: Tags = [(98, "0"), (108, str(self._interval_ms // 1000))]
        self.send("A", [*tags, (141, "Y")] if logon[141] == "Y" else tags)

    def refuse(self, logon: Incoming, why: str) -> None:
        """Turn a client away, saying why."""
        self.client = logon[49]
        self.send("5", [(58, why)])
        self.is_over = True

    def send(self, kind: str, tags: Tags) -> None:
        """Send a message under the next number."""
        number, self.next_out = self.next_out, self.next_out + 1
        if kind not in ADMIN:
            self._kept[number] = [(35, kind), *tags]
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        self._put(kind, number, tags)

    def _put(self, kind: str, number: int, tags: Tags, *, again: bool = False) -> None:
        self._said_ms = self._now_ms()
        now = stamp(self._said_ms)
        head: Tags = [(35, kind), (34, str(number))]
        if again:
            head.append((43, "Y"))
        head += [(49, self.comp_id), (50, self.session_id), (52, now), (56, self.client)]
        if again:
            head.append((122, now))
        self._write(compose([*head, *tags]))

    def reject(self, message: Incoming, why: str, reason: int = 99, tag: int = 0) -> None:
        """Reject (3) a message."""
        about: Tags = [(371, str(tag))] if tag else []
        self.send("3", [(45, str(message.number)), *about, (372, message.kind), (373, str(reason)), (58, why)])

    def logout(self, why: str) -> None:
        """End the session."""
        if not self.is_over:
            self.send("5", [(58, why)] if why else [])
            self.is_over, self.is_open = True, False

    def tick(self) -> None:
        """Send what is due: a heartbeat, a test request; give up on a client that is silent."""
        now_ms = self._now_ms()
        if not self.is_open:
            return
        silent_ms = now_ms - self._heard_ms
        if silent_ms > 2.4 * self._interval_ms:
            self.logout("no heartbeat")
        elif silent_ms > 1.2 * self._interval_ms and not self._tested:
            self._tested = True
            self.send("1", [(112, f"TEST-{now_ms}")])
        elif now_ms - self._said_ms >= self._interval_ms:
            self.send("0", [])

    def _in_sequence(self, message: Incoming) -> bool:
        """Whether a message is the next one; what is missing is asked for."""
        if (message[49], message[56]) != (self.client, self.comp_id):
            self.reject(message, "CompID problem", 9)
            self.logout("CompID problem")
            return False
        if message.kind == "4" and message[123] != "Y":
            self.next_in = max(self.next_in, int(message[36] or 0))
            return False
        if message.number == self.next_in:
            self.next_in += 1
            return True
        if message.number > self.next_in:
            if self._asked_from != self.next_in:
                self._asked_from = self.next_in
                self.send("2", [(7, str(self.next_in)), (16, "0")])
            return message.kind in ("2", "5")
        if message[43] != "Y":
            self.logout(f"MsgSeqNum too low, expecting {self.next_in} but received {message.number}")
        return False

    def _application(self, message: Incoming) -> bool:
        """Whether it is for the application; the session's own messages are dealt with here."""
        kind = message.kind
        if kind == "1":
            self.send("0", [(112, message[112])])
        elif kind == "2":
            self._resend(message)
        elif kind == "4":
            self.next_in = max(self.next_in, int(message[36] or 0))
        elif kind == "5":
            self.logout("")
        elif kind == "A":
            self.reject(message, "already logged on", 99)
        elif kind not in ADMIN and not message[57]:
            self.reject(message, "TargetSubID is required on every message", 1, 57)
            return False
        return kind not in ADMIN and kind != "3"

    def _resend(self, message: Incoming) -> None:
        """Send again what was kept; a run of what is not kept becomes one gap fill."""
        first, last = int(message[7] or 0), int(message[16] or 0)
        last = self.next_out - 1 if last == 0 or last >= self.next_out else last
        number = max(first, 1)
        while number <= last:
            kept = self._kept.get(number)
            if kept is not None:
                self._put(kept[0][1], number, kept[1:], again=True)
                number += 1
                continue
            begin = number
            while number <= last and number not in self._kept:
                number += 1
            self._put("4", begin, [(123, "Y"), (36, str(number))], again=True)
