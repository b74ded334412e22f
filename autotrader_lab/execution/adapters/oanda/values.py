"""Single values as Oanda writes them: numbers as texts or numbers, ids as texts or numbers, times in two ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import DataError

__all__ = ["VENUE", "decimal", "identifier", "items", "number_of", "record", "text_of", "time_ns", "word"]

VENUE = "oanda"
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?(?:Z|z|([+-])(\d\d):(\d\d))?")
_UNIX = re.compile(r"(\d{1,11})(?:\.(\d{1,12}))?")
_MISSING = object()
_MOST_DIGITS = 25
_LONGEST_ID = 256


def _name(body: Mapping[str, Any], key: str) -> str:
    of = " ".join(str(body[each])[:40] for each in ("type", "id", "name") if isinstance(body.get(each), (str, int)))
    return f"{VENUE}: {key} of {of or 'a message'}"


def decimal(body: Mapping[str, Any], key: str, default: Decimal | object = _MISSING) -> Decimal:
    """A number, written as text or as number; missing and null are the default where there is one.

    Raises
    ------
    DataError
        If it is missing, or no finite number.
    """
    value = body.get(key)
    if value is None or value == "":
        if isinstance(default, Decimal):
            return default
        raise DataError(f"{_name(body, key)} is missing")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(f"{_name(body, key)} is no number: {str(value)[:40]!r}")
    try:
        # A float through its shortest repr: the number that was meant.
        found = Decimal(value if isinstance(value, (str, int)) else repr(value))
    except ArithmeticError as error:
        raise DataError(f"{_name(body, key)} is no number: {str(value)[:40]!r}") from error
    if not found.is_finite() or (found and abs(found.adjusted()) > _MOST_DIGITS):
        raise DataError(f"{_name(body, key)} is beyond any amount: {str(value)[:40]!r}")
    return found


def identifier(body: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """An id, written as text or as number.

    Raises
    ------
    DataError
        If it is missing and there is no default.
    """
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not 0 < len(str(value)) <= _LONGEST_ID:
        if value is None and default is not None:
            return default
        raise DataError(f"{_name(body, key)} is no id: {str(value)[:40]!r}")
    return str(value)


def number_of(name: str) -> int:
    """The number of a transaction, 0 for a name that is none."""
    return int(name) if name.isascii() and name.isdigit() and len(name) <= 18 else 0


def word(body: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text.

    Raises
    ------
    DataError
        If it is none and there is no default.
    """
    value = body.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise DataError(f"{_name(body, key)} is no text: {str(value)[:40]!r}")
    return value


def record(body: object, what: str) -> Mapping[str, Any]:
    """An object.

    Raises
    ------
    DataError
        If it is something else.
    """
    if not isinstance(body, Mapping):
        raise DataError(f"{VENUE}: {what} is no object: {str(body)[:40]!r}")
    return body


def items(body: object, key: str) -> list[Mapping[str, Any]]:
    """A list of objects under a key.

    Raises
    ------
    DataError
        If there is none.
    """
    rows = record(body, f"the answer with {key}").get(key)
    if not isinstance(rows, list):
        raise DataError(f"{VENUE}: {key} is no list: {str(rows)[:40]!r}")
    return [record(row, f"one of {key}") for row in rows]


def time_ns(body: Mapping[str, Any], key: str) -> int:
    """A time, RFC 3339 or seconds since the epoch, in nanoseconds.

    Raises
    ------
    DataError
        If it is neither.
    """
    value = body.get(key)
    if isinstance(value, str):
        if found := _RFC3339.fullmatch(value):
            return _from_rfc3339(found, body, key)
        if found := _UNIX.fullmatch(value):
            return int(found[1]) * 1_000_000_000 + int((found[2] or "0").ljust(9, "0")[:9])
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e11:
        return int(Decimal(repr(value)) * 1_000_000_000)
    raise DataError(f"{_name(body, key)} is no time: {str(value)[:40]!r}")


def _from_rfc3339(found: re.Match[str], body: Mapping[str, Any], key: str) -> int:
    day, clock, fraction, sign, hours, minutes = found.groups()
    zone: timezone = UTC
    try:
        if sign:
            shift = timedelta(hours=int(hours), minutes=int(minutes))
            zone = timezone(shift if sign == "+" else -shift)
        moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone)
    except ValueError as error:
        raise DataError(f"{_name(body, key)} is no time: {found[0]!r}") from error
    return to_ns(moment) + int((fraction or "0").ljust(9, "0")[:9])


def text_of(value: Decimal) -> str:
    """A number without exponent and without idle zeros."""
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written
