"""Historical bars: what ``reqHistoricalData`` asks for, from the record of trades."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from autotrader_lab.sandbox.tape import Candle, interval_end
from autotrader_lab.sandbox.units import ONE
from autotrader_lab.sandbox.venues.ibkr.contracts import Contract
from autotrader_lab.sandbox.venues.ibkr.reports import stamp
from autotrader_lab.sandbox.venues.ibkr.ticks import Send, Subscription
from autotrader_lab.sandbox.venues.ibkr.wire import BadField, number
from autotrader_lab.sandbox.world import World

__all__ = ["HistoryRequest", "Updates", "history", "read_history"]

_BAR_SIZES = {
    "1 secs": "1s",
    "1 sec": "1s",
    "1 min": "1m",
    "3 mins": "3m",
    "5 mins": "5m",
    "15 mins": "15m",
    "30 mins": "30m",
    "1 hour": "1h",
    "2 hours": "2h",
    "4 hours": "4h",
    "8 hours": "8h",
    "1 day": "1d",
    "1 week": "1w",
    "1 month": "1M",
}
_SECONDS = {"S": 1, "D": 86_400, "W": 7 * 86_400, "M": 30 * 86_400, "Y": 365 * 86_400}
_WHAT = ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST", "AGGTRADES")


class HistoryRequest(msgspec.Struct, frozen=True):
    """What bars are wanted: up to `end_ms`, `span_ms` back, of `interval`; dates as text (1) or seconds (2)."""

    end_ms: int
    span_ms: int
    interval: str
    what: str
    date_format: int

    @property
    def has_volume(self) -> bool:
        """Whether the bars are of trades."""
        return self.what in ("TRADES", "ADJUSTED_LAST", "AGGTRADES")


def _end_ms(text: str, now_ms: int) -> int:
    if not text:
        return now_ms
    match = re.fullmatch(r"(\d{8})[ -]+(\d\d:\d\d:\d\d)(?:[ -]+(\S+))?", text)
    if match is None:
        raise BadField(f"Invalid end date: {text}")
    try:
        zone = ZoneInfo(match.group(3)) if match.group(3) else UTC
        when = datetime.strptime(match.group(1) + match.group(2), "%Y%m%d%H:%M:%S").replace(tzinfo=zone)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise BadField(f"Invalid end date: {text}") from error
    return min(now_ms, round(when.timestamp() * 1_000))


def read_history(end: str, bar_size: str, duration: str, what: str, date_format: int, now_ms: int) -> HistoryRequest:
    """A request's words.

    Raises
    ------
    BadField
        With TWS's complaint.
    """
    span = re.fullmatch(r"(\d+) ([SDWMY])", duration.strip())
    if span is None:
        raise BadField(f"Invalid time duration:{duration}")
    if bar_size not in _BAR_SIZES:
        raise BadField(f"Bar size '{bar_size}' is not supported here; legal ones are {', '.join(_BAR_SIZES)}")
    if what.upper() not in _WHAT:
        raise BadField(f"Incorrect what to show: {what}")
    span_ms = int(span.group(1)) * _SECONDS[span.group(2)] * 1_000
    return HistoryRequest(_end_ms(end, now_ms), span_ms, _BAR_SIZES[bar_size], what.upper(), date_format or 1)


def _date(bar: Candle, request: HistoryRequest) -> str:
    if request.interval in ("1d", "1w", "1M"):
        return f"{datetime.fromtimestamp(bar.open_ms / 1_000, UTC):%Y%m%d}"
    return str(bar.open_ms // 1_000) if request.date_format == 2 else stamp(bar.open_ms)


def _bars(world: World, contract: Contract, request: HistoryRequest) -> list[Candle]:
    candles = world.tapes[contract.instrument.symbol].candles(request.interval, world.now_ms())
    start_ms = request.end_ms - request.span_ms
    return [
        bar
        for bar in candles
        if bar.open_ms < request.end_ms and interval_end(bar.open_ms, request.interval) > start_ms
    ]


def _figures(bar: Candle, request: HistoryRequest) -> tuple[str, str, str]:
    """Volume, mean price and count."""
    if not request.has_volume:
        return "-1", "-1", "-1"
    mean = bar.amount * ONE // bar.volume if bar.volume else bar.close
    return number(bar.volume // ONE * ONE), number(mean), str(bar.count)


def history(world: World, contract: Contract, request_id: int, request: HistoryRequest) -> list[str]:
    """Message 17."""
    bars = _bars(world, contract, request)
    fields = ["17", str(request_id), stamp(request.end_ms - request.span_ms), stamp(request.end_ms), str(len(bars))]
    for bar in bars:
        fields.append(_date(bar, request))
        fields += [number(price) for price in (bar.open, bar.high, bar.low, bar.close)]
        fields += _figures(bar, request)
    return fields


class Updates(Subscription):
    """A history request that is kept up to date: the running bar, when it changed."""

    kind = "history"

    def __init__(self, world: World, request_id: int, contract: Contract, send: Send, request: HistoryRequest) -> None:
        super().__init__(world, request_id, contract, send)
        self._request = request
        self._sent: tuple[int, ...] = ()

    def on_tick(self, now_ms: int) -> None:
        bar = self.world.tapes[self.symbol].candle(self._request.interval, now_ms)
        if bar is None:
            return
        now = (bar.open_ms, bar.high, bar.low, bar.close, bar.volume)
        if now == self._sent:
            return
        self._sent = now
        volume, mean, count = _figures(bar, self._request)
        prices = [number(price) for price in (bar.open, bar.close, bar.high, bar.low)]
        self._send(["90", str(self.request_id), count, _date(bar, self._request), *prices, mean, volume])
