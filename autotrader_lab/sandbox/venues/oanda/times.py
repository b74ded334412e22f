"""Oanda's two ways of writing a time, and values that wait to be written in one of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

__all__ = ["Instant", "dress", "end_of_day_ns", "read_time"]

NS = 1_000_000_000
_NEW_YORK = ZoneInfo("America/New_York")


class Instant(int):
    """Nanoseconds since the epoch, to be printed as the request asks."""

    __slots__ = ()

    def rfc3339(self) -> str:
        """2019-01-01T00:00:00.000000000Z."""
        seconds, rest = divmod(int(self), NS)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"

    def unix(self) -> str:
        """1546300800.000000000."""
        seconds, rest = divmod(int(self), NS)
        return f"{seconds}.{rest:09d}"


def dress(value: Any, is_unix: bool) -> Any:
    """A JSON value with every instant in it as text."""
    if isinstance(value, Instant):
        return value.unix() if is_unix else value.rfc3339()
    if isinstance(value, dict):
        return {name: dress(one, is_unix) for name, one in value.items()}
    if isinstance(value, list):
        return [dress(one, is_unix) for one in value]
    return value


def read_time(text: str) -> Instant:
    """A time in either way.

    Raises
    ------
    ValueError
        If it is neither.
    """
    seconds, _, rest = text.partition(".")
    if seconds.lstrip("-").isdigit():
        return Instant(int(seconds) * NS + int((rest or "0").ljust(9, "0")[:9]))
    whole, _, rest = text.removesuffix("Z").partition(".")
    when = datetime.fromisoformat(whole)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return Instant(int(when.timestamp()) * NS + int((rest or "0").ljust(9, "0")[:9]))


def end_of_day_ns(now_ns: int) -> int:
    """When the trading day ends: 17:00 in New York."""
    now = datetime.fromtimestamp(now_ns / NS, _NEW_YORK)
    end = now.replace(hour=17, minute=0, second=0, microsecond=0)
    if end <= now:
        end = (end + timedelta(days=1)).replace(hour=17)
    return int(end.timestamp()) * NS
