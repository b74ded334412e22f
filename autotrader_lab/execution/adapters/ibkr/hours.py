"""When a contract trades: TWS's text of opening hours as spans in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from autotrader_lab.model.errors import DataError

__all__ = ["Hours", "read_hours"]

_ZONES = {
    "EST": "America/New_York",
    "EST5EDT": "America/New_York",
    "CST": "America/Chicago",
    "MST": "America/Denver",
    "PST": "America/Los_Angeles",
    "MET": "Europe/Berlin",
    "GB": "Europe/London",
    "JST": "Asia/Tokyo",
}
_SPAN = re.compile(r"(\d{8}):(\d{4})-(?:(\d{8}):)?(\d{4})")


class Hours(msgspec.Struct, frozen=True):
    """Spans (start, end) in UTC, and the days said to be closed; nothing is known beyond them."""

    spans: tuple[tuple[datetime, datetime], ...]
    closed_days: tuple[str, ...]

    def is_open(self, at: datetime) -> bool | None:
        """Whether it trades at `at`; None beyond what is known."""
        if any(start <= at < end for start, end in self.spans):
            return True
        ends = [end for _, end in self.spans]
        starts = [start for start, _ in self.spans]
        return False if ends and min(starts) <= at < max(ends) else None

    def next_open(self, at: datetime) -> datetime | None:
        """The first opening after `at` that is known."""
        return min((start for start, _ in self.spans if start > at), default=None)


def read_hours(text: str, time_zone: str) -> Hours:
    """Hours such as ``20260105:0930-20260105:1600;20260106:CLOSED``.

    Raises
    ------
    DataError
        If the zone or the text is not understood; the message has it.
    """
    word = time_zone.split(" ", maxsplit=1)[0]
    try:
        zone = ZoneInfo(_ZONES.get(word, word))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise DataError(f"ibkr: the time zone {time_zone!r} of trading hours is not known here") from error
    spans: list[tuple[datetime, datetime]] = []
    closed: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        day, _, word = part.partition(":")
        if word == "CLOSED":
            closed.append(day)
            continue
        match = _SPAN.fullmatch(part)
        if match is None:
            raise DataError(f"ibkr: trading hours {part!r} are not understood")
        first, start, last, end = match.groups()
        spans.append((_moment(first, start, zone), _moment(last or first, end, zone)))
    return Hours(tuple(spans), tuple(closed))


def _moment(day: str, time: str, zone: ZoneInfo) -> datetime:
    try:
        return datetime.strptime(day + time, "%Y%m%d%H%M").replace(tzinfo=zone).astimezone(UTC)
    except ValueError as error:
        raise DataError(f"ibkr: trading hours {day}:{time} are no time") from error
