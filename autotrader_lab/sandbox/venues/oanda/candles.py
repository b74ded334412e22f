"""Candles: what ``/candles`` asks for, from the record of trades. Spans without a trade have none, as at Oanda."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from autotrader_lab.sandbox.tape import Candle
from autotrader_lab.sandbox.venues.oanda.desk import Desk
from autotrader_lab.sandbox.venues.oanda.errors import ApiError
from autotrader_lab.sandbox.venues.oanda.instruments import Pair
from autotrader_lab.sandbox.venues.oanda.times import Instant, read_time

__all__ = ["candles"]

Json = dict[str, Any]

_SECOND, _MINUTE = 1_000, 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
LENGTHS_MS: Mapping[str, int] = {
    **{f"S{n}": n * _SECOND for n in (5, 10, 15, 30)},
    **{f"M{n}": n * _MINUTE for n in (1, 2, 4, 5, 10, 15, 30)},
    **{f"H{n}": n * _HOUR for n in (1, 2, 3, 4, 6, 8, 12)},
    "D": _DAY,
    "W": 7 * _DAY,
    "M": 31 * _DAY,
}
_FRIDAY_MS = 1 * _DAY
MOST = 5_000


def _start(open_ms: int, granularity: str) -> int:
    if granularity == "M":
        when = datetime.fromtimestamp(open_ms / 1_000, UTC)
        return round(datetime(when.year, when.month, 1, tzinfo=UTC).timestamp()) * 1_000
    length = LENGTHS_MS[granularity]
    shift = _FRIDAY_MS if granularity == "W" else 0
    return (open_ms - shift) // length * length + shift


def _fold(pieces: Iterable[Candle], granularity: str) -> list[Candle]:
    folded: list[Candle] = []
    for piece in pieces:
        open_ms = _start(piece.open_ms, granularity)
        if folded and folded[-1].open_ms == open_ms:
            folded[-1].add(piece)
        else:
            folded.append(msgspec.structs.replace(piece, open_ms=open_ms))
    return folded


def _moment(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    try:
        return int(read_time(query[name])) // 1_000_000
    except ValueError:
        raise ApiError(400, f"Invalid value specified for '{name}'") from None


def candles(desk: Desk, pair: Pair, query: Mapping[str, str]) -> Json:
    """The answer to ``/candles``.

    Raises
    ------
    ApiError
        For parameters that are wrong or too many.
    """
    granularity, wanted = query.get("granularity", "S5"), query.get("price", "M")
    if granularity not in LENGTHS_MS:
        raise ApiError(400, "Invalid value specified for 'granularity'")
    if not wanted or set(wanted) - set("MBA"):
        raise ApiError(400, "Invalid value specified for 'price'")
    count_text = query.get("count")
    if count_text is not None and (not count_text.isdigit() or not int(count_text)):
        raise ApiError(400, "Invalid value specified for 'count'")
    count = int(count_text or 500)
    if count > MOST:
        raise ApiError(400, "Maximum value for 'count' exceeded")
    start_ms, end_ms = _moment(query, "from"), _moment(query, "to")
    if count_text is not None and start_ms is not None and end_ms is not None:
        raise ApiError(400, "'count' cannot be specified when both 'to' and 'from' are specified")
    tape, now_ms = desk.world.tapes[pair.name], desk.world.now_ms()
    rows = _fold(tape.seconds if granularity.startswith("S") else tape.minutes, granularity)
    if start_ms is not None:
        after = start_ms if query.get("includeFirst", "true").lower() != "false" else start_ms + 1
        rows = [row for row in rows if row.open_ms >= _start(start_ms, granularity) and row.open_ms >= after - 1]
    if end_ms is not None:
        rows = [row for row in rows if row.open_ms < end_ms]
    if start_ms is not None and end_ms is not None:
        if len(rows) > MOST:
            raise ApiError(400, "The results returned satisfying the query exceeds the maximum size")
    else:
        rows = rows[:count] if start_ms is not None else rows[-count:]
    bid, ask = desk.netting.quote(pair)
    half = (ask - bid) // 2 // pair.instrument.tick * pair.instrument.tick
    length = LENGTHS_MS[granularity]
    sides = {"M": ("mid", 0), "B": ("bid", -half), "A": ("ask", half)}
    return {
        "instrument": pair.name,
        "granularity": granularity,
        "candles": [
            {
                "complete": row.open_ms + length <= now_ms,
                "volume": row.count,
                "time": Instant(row.open_ms * 1_000_000),
                **{
                    name: {
                        letter: pair.price(value + shift)
                        for letter, value in (("o", row.open), ("h", row.high), ("l", row.low), ("c", row.close))
                    }
                    for name, shift in (sides[letter] for letter in dict.fromkeys(wanted))
                },
            }
            for row in rows
        ],
    }
