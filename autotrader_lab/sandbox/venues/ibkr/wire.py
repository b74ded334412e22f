"""The TWS frame: four bytes of length, then text fields that each end in a zero byte."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from autotrader_lab.sandbox.units import TooPrecise, parse_e8, trim_e8

__all__ = ["MAX_VERSION", "MIN_VERSION", "UNSET", "UNSET_INT", "BadField", "Fields", "frame", "number", "text"]

MIN_VERSION, MAX_VERSION = 157, 178
UNSET = "1.7976931348623157E308"
UNSET_INT = "2147483647"


class BadField(ValueError):
    """A request that cannot be read."""


def text(fields: Iterable[str]) -> str:
    """Fields as the content of a frame."""
    return "".join(f"{field}\0" for field in fields)


def frame(content: str | bytes) -> bytes:
    """Content with its length before it."""
    body = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    return struct.pack(">I", len(body)) + body


def number(amount: int) -> str:
    """A number in e8 as TWS prints it."""
    return trim_e8(amount)


class Fields:
    """Reads a request's fields one after the other.

    Parameters
    ----------
    fields : sequence of str
        Everything after the message id.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._next = 0

    @property
    def left(self) -> int:
        """How many fields are left."""
        return len(self._fields) - self._next

    def text(self) -> str:
        """The next field.

        Raises
        ------
        BadField
            If there is none.
        """
        if not self.left:
            raise BadField("the message ends too early")
        field = self._fields[self._next]
        self._next += 1
        return field

    def skip(self, count: int) -> None:
        """Read `count` fields that do not matter here."""
        for _ in range(count):
            self.text()

    def integer(self) -> int:
        """The next field as a whole number; empty is 0.

        Raises
        ------
        BadField
            If it is something else.
        """
        field = self.text()
        try:
            return int(field or 0)
        except ValueError:
            raise BadField(f"{field!r} is no whole number") from None

    def flag(self) -> bool:
        """The next field as a boolean."""
        field = self.text()
        if field in ("", "0", "false", "False"):
            return False
        if field in ("1", "true", "True"):
            return True
        raise BadField(f"{field!r} is no boolean")

    def amount(self) -> int:
        """The next field as e8; empty and unset are 0, and what is finer than 1e-8 is off every grid.

        Raises
        ------
        BadField
            If it is no non-negative decimal number.
        """
        field = self.text()
        if not field or field.startswith("1.79769313486231"):
            return 0
        try:
            return parse_e8(field if "e" not in field.lower() else f"{float(field):.8f}")
        except TooPrecise:
            return parse_e8(field[: field.index(".") + 9]) | 1
        except ValueError:
            raise BadField(f"{field!r} is no decimal number that is allowed here") from None
