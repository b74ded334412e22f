"""What the public has seen: trades, their aggregates, candles and day statistics of one instrument.

Candles are kept per minute and per second and folded into longer ones when asked. Before the sandbox starts there is
no market, so the minutes before it are filled with a seeded random walk that ends at the opening price: a strategy
that needs a warm-up finds one, and the same seed gives the same past.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial

import msgspec

from autotrader_lab.sandbox.orders import Instrument, TradeEvent
from autotrader_lab.sandbox.units import notional

__all__ = ["INTERVALS_MS", "AggregateTrade", "Candle", "Tape", "interval_end", "interval_start"]

MINUTE_MS = 60_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS
KEPT_MINUTES = 20_000

INTERVALS_MS = {
    "1s": 1_000,
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": WEEK_MS,
    "1M": 30 * DAY_MS,
}


def interval_start(time_ms: int, interval: str) -> int:
    """When the candle that holds `time_ms` opened; weeks open on Monday, months on the first, UTC."""
    if interval == "1M":
        day = datetime.fromtimestamp(time_ms / 1_000, UTC)
        return round(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 1_000
    length_ms = INTERVALS_MS[interval]
    offset_ms = MONDAY_MS if interval == "1w" else 0
    return (time_ms - offset_ms) // length_ms * length_ms + offset_ms


def interval_end(open_ms: int, interval: str) -> int:
    """When the candle that opened at `open_ms` closes (exclusive)."""
    if interval == "1M":
        return interval_start(open_ms + 32 * DAY_MS, "1M")
    return open_ms + INTERVALS_MS[interval]


class Candle(msgspec.Struct):
    """One bar; prices, volumes and amounts in e8, `open_ms` its first millisecond."""

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    amount: int = 0
    taker_volume: int = 0
    taker_amount: int = 0
    count: int = 0
    first_id: int = -1
    last_id: int = -1

    def add(self, other: Candle) -> None:
        """Take in a later candle."""
        self.high = max(self.high, other.high)
        self.low = min(self.low, other.low)
        self.close = other.close
        self.volume += other.volume
        self.amount += other.amount
        self.taker_volume += other.taker_volume
        self.taker_amount += other.taker_amount
        self.count += other.count
        if self.first_id < 0:
            self.first_id = other.first_id
        if other.last_id >= 0:
            self.last_id = other.last_id


class AggregateTrade(msgspec.Struct):
    """Fills of one incoming order at one price."""

    aggregate_id: int
    price: int
    quantity: int
    first_id: int
    last_id: int
    time_ms: int
    buyer_is_maker: bool
    aggressor: int


class Tape:
    """One instrument's public record.

    Parameters
    ----------
    instrument : Instrument
        Grid and typical size.
    keep : int, default 20000
        Trades, aggregates and second candles kept.
    """

    def __init__(self, instrument: Instrument, keep: int = 20_000) -> None:
        self._instrument = instrument
        self.trades: deque[TradeEvent] = deque(maxlen=keep)
        self.aggregates: deque[AggregateTrade] = deque(maxlen=keep)
        self._minutes: deque[Candle] = deque(maxlen=KEPT_MINUTES)
        self._past: Callable[[], list[Candle]] | None = None
        self.seconds: deque[Candle] = deque(maxlen=keep)
        self._aggregate_id = 0

    @property
    def minutes(self) -> deque[Candle]:
        """Candles of a minute, the oldest first."""
        if self._past is not None:
            make, self._past = self._past, None
            room = KEPT_MINUTES - len(self._minutes)
            self._minutes.extendleft(reversed(make()[-room:] if room else ()))
        return self._minutes

    def backfill(self, seed: int, price: int, now_ms: int, minutes: int = 2_880) -> None:
        """Make up the minutes before `now_ms`, ending at `price` (e8), once somebody looks at them."""
        self._past = partial(self._make_past, seed, price, now_ms, minutes)

    def _make_past(self, seed: int, price: int, now_ms: int, minutes: int) -> list[Candle]:
        source = random.Random(f"past/{seed}/{self._instrument.symbol}")
        tick, step = self._instrument.tick, self._instrument.step
        sigma = self._instrument.volatility * math.sqrt(60 / (365 * 86_400))
        log_price, drift, path = 0.0, 0.0, [0.0]
        for _ in range(minutes):
            drift += -0.02 * drift + sigma * 0.02 * source.gauss(0, 1)
            log_price -= drift + sigma * source.gauss(0, 1)
            path.append(log_price)
        closes = [max(tick, round(price * math.exp(x) / tick) * tick) for x in reversed(path)]
        start_ms = interval_start(now_ms, "1m") - minutes * MINUTE_MS
        past: list[Candle] = []
        for index in range(minutes):
            first, last = closes[index], closes[index + 1]
            reach = round(price * sigma * abs(source.gauss(0, 0.7)) / tick) * tick
            volume = max(
                step, round(self._instrument.typical_size * 25 * math.exp(source.gauss(0, 0.5))) // step * step
            )
            taken = volume * source.randint(30, 70) // 100 // step * step
            middle = (first + last) // 2 // tick * tick
            past.append(
                Candle(
                    start_ms + index * MINUTE_MS,
                    first,
                    max(first, last) + reach,
                    max(tick, min(first, last) - reach),
                    last,
                    volume,
                    notional(middle, volume),
                    taken,
                    notional(middle, taken),
                    source.randint(80, 400),
                )
            )
        return past

    def add(self, trade: TradeEvent) -> AggregateTrade:
        """Record a trade; returns the aggregate it belongs to."""
        self.trades.append(trade)
        bought = not trade.buyer_is_maker
        amount = notional(trade.price, trade.quantity)
        piece = Candle(
            0,
            trade.price,
            trade.price,
            trade.price,
            trade.price,
            trade.quantity,
            amount,
            trade.quantity if bought else 0,
            amount if bought else 0,
            1,
            trade.trade_id,
            trade.trade_id,
        )
        for candles, length_ms in ((self._minutes, MINUTE_MS), (self.seconds, 1_000)):
            open_ms = trade.time_ms // length_ms * length_ms
            if candles and candles[-1].open_ms >= open_ms:
                candles[-1].add(piece)
            else:
                candles.append(msgspec.structs.replace(piece, open_ms=open_ms))
        last = self.aggregates[-1] if self.aggregates else None
        if last and last.aggressor == trade.aggressor and last.price == trade.price:
            last.quantity += trade.quantity
            last.last_id = trade.trade_id
            return last
        self._aggregate_id += 1
        aggregate = AggregateTrade(
            self._aggregate_id,
            trade.price,
            trade.quantity,
            trade.trade_id,
            trade.trade_id,
            trade.time_ms,
            trade.buyer_is_maker,
            trade.aggressor,
        )
        self.aggregates.append(aggregate)
        return aggregate

    def candles(self, interval: str, now_ms: int) -> list[Candle]:
        """Candles of an interval without gaps, the running one last."""
        source = self.seconds if interval == "1s" else self.minutes
        folded = list(_fold(source, interval))
        return list(_without_gaps(folded, interval, now_ms))

    def candle(self, interval: str, at_ms: int) -> Candle | None:
        """The candle of an interval that holds `at_ms`, or None before the first trade."""
        start_ms = interval_start(at_ms, interval)
        end_ms = interval_end(start_ms, interval)
        current: Candle | None = None
        for piece in reversed(self.seconds if interval == "1s" else self.minutes):
            if piece.open_ms >= end_ms:
                continue
            if piece.open_ms < start_ms:
                if current is None:
                    flat = piece.close
                    return Candle(start_ms, flat, flat, flat, flat)
                break
            piece = msgspec.structs.replace(piece, open_ms=start_ms)
            if current is not None:
                piece.add(current)
            current = piece
        return current

    def since(self, start_ms: int) -> Candle | None:
        """Everything since `start_ms` as one candle, or None."""
        total: Candle | None = None
        for piece in self.minutes:
            if piece.open_ms < start_ms - MINUTE_MS:
                continue
            if total is None:
                total = msgspec.structs.replace(piece)
            else:
                total.add(piece)
        return total


def _fold(pieces: Iterable[Candle], interval: str) -> Iterator[Candle]:
    current: Candle | None = None
    for piece in pieces:
        open_ms = interval_start(piece.open_ms, interval)
        if current is not None and current.open_ms == open_ms:
            current.add(piece)
            continue
        if current is not None:
            yield current
        current = msgspec.structs.replace(piece, open_ms=open_ms)
    if current is not None:
        yield current


def _without_gaps(candles: list[Candle], interval: str, now_ms: int) -> Iterator[Candle]:
    for index, candle in enumerate(candles):
        yield candle
        last = index + 1 == len(candles)
        end_ms = interval_end(interval_start(now_ms, interval), interval) if last else candles[index + 1].open_ms
        open_ms = interval_end(candle.open_ms, interval)
        while open_ms < end_ms:
            yield Candle(open_ms, candle.close, candle.close, candle.close, candle.close)
            open_ms = interval_end(open_ms, interval)
