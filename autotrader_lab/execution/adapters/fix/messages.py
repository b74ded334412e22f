"""One FIX message as values: fields in order, numbers and times read strictly, repeating groups split.

simplefix writes the bytes (begin string, body length and checksum are its work). Reading is our own, because a message
that is not exactly what it says it is must never become an order's state.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from autotrader_lab.model.clock import from_ns, to_ns
from autotrader_lab.model.errors import DataError

__all__ = ["BEGIN_STRING", "SOH", "Field", "FixMessage", "encode", "fix_time"]

SOH = "\x01"
BEGIN_STRING = "FIX.4.4"
Field = tuple[int, str]

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?")


class FixMessage:
    """Fields in order of arrival, without begin string, body length and checksum.

    Parameters
    ----------
    fields : sequence of (int, str)
        Tag and value.
    """

    __slots__ = ("_first", "fields")

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        self._first: dict[int, str] = {}
        for tag, value in self.fields:
            self._first.setdefault(tag, value)

    def __repr__(self) -> str:
        # Passwords travel in 554 and 925; a message is logged where something went wrong.
        shown = (f"{tag}={'…' if tag in (554, 925) else value}" for tag, value in self.fields)
        return f"FixMessage({'|'.join(shown)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FixMessage) and self.fields == other.fields

    def __hash__(self) -> int:
        return hash(self.fields)

    def __contains__(self, tag: int) -> bool:
        return tag in self._first

    @property
    def msg_type(self) -> str:
        """Tag 35; empty where the message has none."""
        return self._first.get(35, "")

    def get(self, tag: int, default: str = "") -> str:
        """The first value of `tag`."""
        return self._first.get(tag, default)

    def require(self, tag: int) -> str:
        """The first value of `tag`.

        Raises
        ------
        DataError
            If it is missing or empty.
        """
        value = self._first.get(tag, "")
        if not value:
            raise DataError(f"FIX message {self.msg_type or '?'} has no tag {tag}: {self!r:.200}")
        return value

    def integer(self, tag: int) -> int:
        """The value of `tag` as a whole number.

        Raises
        ------
        DataError
            If it is missing or none.
        """
        text = self.require(tag)
        if not (text.isascii() and text.removeprefix("-").isdigit()) or len(text) > 18:
            raise DataError(f"FIX message {self.msg_type}: tag {tag} is {text[:40]!r}, not a whole number")
        return int(text)

    def decimal(self, tag: int, default: Decimal | None = None) -> Decimal:
        """The value of `tag` as a number.

        Raises
        ------
        DataError
            If it is no finite number, or missing without a default.
        """
        if default is not None and not self._first.get(tag, ""):
            return default
        text = self.require(tag)
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise DataError(f"FIX message {self.msg_type}: tag {tag} is {text[:40]!r}, not a number") from None
        if not value.is_finite():
            raise DataError(f"FIX message {self.msg_type}: tag {tag} is {text[:40]!r}, not a finite number")
        return value

    def time_ns(self, tag: int, default_ns: int | None = None) -> int:
        """The UTC timestamp of `tag`, ns since the epoch.

        Raises
        ------
        DataError
            If it is no timestamp, or missing without a default.
        """
        if default_ns is not None and not self._first.get(tag, ""):
            return default_ns
        text = self.require(tag)
        match = _TIME.fullmatch(text)
        if match is None:
            raise DataError(f"FIX message {self.msg_type}: tag {tag} is {text[:40]!r}, not a UTC timestamp")
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        try:
            # A leap second is written as :60.
            whole = to_ns(datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC))
        except ValueError:
            raise DataError(f"FIX message {self.msg_type}: tag {tag} is {text[:40]!r}, not a date") from None
        return whole + int((match.group(7) or "").ljust(9, "0"))

    def groups(self, count_tag: int, first_tag: int, end_tags: Collection[int] = ()) -> list[FixMessage]:
        """The entries of a repeating group.

        Parameters
        ----------
        count_tag, first_tag : int
            The tag that counts the entries, and the one that begins each.
        end_tags : collection of int
            Tags that end the last entry; without them it reaches to the end of the message.

        Raises
        ------
        DataError
            If there are not as many entries as were counted.
        """
        if count_tag not in self._first:
            return []
        count = self.integer(count_tag)
        entries: list[list[Field]] = []
        at = next(index for index, (tag, _) in enumerate(self.fields) if tag == count_tag)
        for tag, value in self.fields[at + 1 :]:
            if tag == first_tag:
                if len(entries) == count:
                    break
                entries.append([])
            elif tag in end_tags or not entries:
                break
            entries[-1].append((tag, value))
        if len(entries) != count:
            raise DataError(
                f"FIX message {self.msg_type}: tag {count_tag} counts {count} entries of {first_tag}, "
                f"{len(entries)} came"
            )
        return [FixMessage(entry) for entry in entries]


def encode(header: Iterable[Field], body: Iterable[Field]) -> bytes:
    """A complete message: what is given, with begin string, body length and checksum around it.

    Raises
    ------
    DataError
        If a value is empty or has a character that FIX cannot carry.
    """
    import simplefix

    message = simplefix.FixMessage()
    message.append_pair(8, BEGIN_STRING, header=True)
    for tag, value in (*header, *body):
        if not value or SOH in value or not value.isascii():
            shown = "…" if tag in (554, 925) else repr(value[:40])
            raise DataError(f"FIX tag {tag} cannot carry {shown}: give plain ASCII text without control characters")
        message.append_pair(tag, value)
    encoded: bytes = message.encode()
    return encoded


def fix_time(at_ns: int) -> str:
    """A UTC timestamp with milliseconds, as FIX writes it."""
    moment = from_ns(at_ns)
    return f"{moment:%Y%m%d-%H:%M:%S}.{moment.microsecond // 1000:03d}"
