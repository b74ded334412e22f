"""From a stream of bytes to messages: what is not exactly framed is skipped and counted, never guessed at.

FIX 4.4 says to ignore a garbled message: the gap it leaves in the sequence numbers is what gets it sent again.
"""

from __future__ import annotations

from autotrader_lab.execution.adapters.fix.messages import Field, FixMessage

__all__ = ["MAX_BODY", "Framer"]

MAX_BODY = 4 * 1024 * 1024
"""Longest body taken, bytes: some 200 times the longest message a venue is known to send."""

_BEGIN = b"8=FIX"
_HEADER_MOST = 40
_TRAILER = 7


class Framer:
    """Cuts a byte stream into messages.

    Parameters
    ----------
    max_body : int
        A message that claims a longer body is garbled, bytes.

    Attributes
    ----------
    garbled : int
        How many messages or stretches of bytes were skipped.
    last_garble : str
        Why the last one was.
    """

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self.garbled = 0
        self.last_garble = ""
        self._max_body = max_body
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[FixMessage]:
        """Take bytes in, in any portions; returns the messages that are complete now."""
        self._buffer += data
        messages: list[FixMessage] = []
        at = 0
        while True:
            start = self._buffer.find(_BEGIN, at)
            if start < 0:
                # The beginning may be cut in two.
                keep = next((n for n in range(len(_BEGIN) - 1, 0, -1) if self._buffer.endswith(_BEGIN[:n])), 0)
                end = max(len(self._buffer) - keep, at)
                if end > at:
                    self._skip("bytes between messages")
                at = end
                break
            if start > at:
                self._skip("bytes between messages")
            at = start
            found = self._frame(start)
            if found is None:
                break
            end, message = found
            if message is not None:
                messages.append(message)
            at = end
        del self._buffer[:at]
        return messages

    def _skip(self, why: str) -> None:
        self.garbled += 1
        self.last_garble = why

    def _frame(self, start: int) -> tuple[int, FixMessage | None] | None:
        """The message at `start` and where it ends; None while it is not all there."""
        buffer = self._buffer
        begin_end = buffer.find(b"\x01", start, start + _HEADER_MOST)
        length_end = buffer.find(b"\x01", begin_end + 1, start + _HEADER_MOST) if begin_end >= 0 else -1
        if length_end < 0:
            if len(buffer) - start < _HEADER_MOST:
                return None
            return self._garbled(start, "no body length")
        claim = bytes(buffer[begin_end + 1 : length_end])
        digits = claim[2:]
        if claim[:2] != b"9=" or not digits.isdigit() or len(digits) > 10:
            return self._garbled(start, f"body length is {claim[:20]!r}")
        length = int(digits)
        if length > self._max_body:
            return self._garbled(start, f"a body of {length} bytes, over {self._max_body}")
        body_start = length_end + 1
        body_end = body_start + length
        end = body_end + _TRAILER
        if len(buffer) < end:
            return None
        trailer = bytes(buffer[body_end:end])
        said = trailer[3:6]
        if trailer[:3] != b"10=" or trailer[6:] != b"\x01" or not said.isdigit():
            return self._garbled(start, "no checksum where the body length puts it")
        if int(said) != sum(buffer[start:body_end]) % 256:
            return self._garbled(start, "checksum does not match")
        fields = _split(bytes(buffer[body_start:body_end]))
        if fields is None:
            return self._garbled(start, "a field that is not tag=value")
        return end, FixMessage(fields)

    def _garbled(self, start: int, why: str) -> tuple[int, None]:
        self._skip(why)
        return start + len(_BEGIN), None


def _split(body: bytes) -> list[Field] | None:
    """A body's fields; None if it does not consist of them."""
    if not body.endswith(b"\x01"):
        return None
    fields: list[Field] = []
    for part in body[:-1].decode("latin-1").split("\x01"):
        tag, equals, value = part.partition("=")
        if not equals or not (tag.isascii() and tag.isdigit()) or len(tag) > 9:
            return None
        fields.append((int(tag), value))
    return fields
