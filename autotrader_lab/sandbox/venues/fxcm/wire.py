"""FIX on the wire as the sandbox reads and writes it; it shares nothing with the adapter that is tested on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

__all__ = ["Incoming", "Reader", "Tags", "compose", "stamp"]

SOH = "\x01"
Tags = list[tuple[int, str]]


class Incoming:
    """A message that came in, complete and with the right checksum."""

    def __init__(self, tags: Tags) -> None:
        self.tags = tags

    def __getitem__(self, tag: int) -> str:
        return next((value for name, value in self.tags if name == tag), "")

    def __contains__(self, tag: int) -> bool:
        return any(name == tag for name, _ in self.tags)

    def all(self, tag: int) -> list[str]:
        """Every value of a repeated tag."""
        return [value for name, value in self.tags if name == tag]

    @property
    def kind(self) -> str:
        """MsgType."""
        return self[35]

    @property
    def number(self) -> int:
        """MsgSeqNum; 0 where there is none."""
        text = self[34]
        return int(text) if text.isdigit() else 0

    def amount(self, tag: int) -> Decimal | None:
        """A number, or None where there is none or it is not one."""
        text = self[tag]
        try:
            value = Decimal(text)
        except ArithmeticError:
            return None
        return value if value.is_finite() else None


class Reader:
    """Takes a byte stream apart; what is garbled is ignored, as the standard says."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """Messages that are complete by now."""
        self._rest += data
        while True:
            begin = self._rest.find(b"8=FIX.4.4\x019=")
            if begin < 0:
                self._rest = self._rest[-12:]
                return
            self._rest = self._rest[begin:]
            head = self._rest.find(b"\x01", 12)
            if head < 0 and len(self._rest) < 24:
                return
            digits = self._rest[12:head]
            if not digits.isdigit() or len(digits) > 7:
                self._rest = self._rest[1:]
                continue
            end = head + 1 + int(digits)
            if len(self._rest) < end + 7:
                return
            raw, trailer = self._rest[:end], self._rest[end : end + 7]
            if trailer != b"10=%03d\x01" % (sum(raw) % 256):
                self._rest = self._rest[1:]
                continue
            self._rest = self._rest[end + 7 :]
            pairs = [part.partition("=") for part in raw[head + 1 : -1].decode("latin-1").split(SOH)]
            if all(equals and tag.isdigit() for tag, equals, _ in pairs):
                yield Incoming([(int(tag), value) for tag, _, value in pairs])


def compose(tags: Iterable[tuple[int, str]]) -> bytes:
    """A complete message from its tags, MsgType first."""
    body = "".join(f"{tag}={value}{SOH}" for tag, value in tags).encode("latin-1", "replace")
    raw = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
    return raw + b"10=%03d\x01" % (sum(raw) % 256)


def stamp(now_ms: int, *, with_ms: bool = True) -> str:
    """UTC time as FIX has it."""
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    return f"{moment:%Y%m%d-%H:%M:%S}" + (f".{now_ms % 1000:03d}" if with_ms else "")
