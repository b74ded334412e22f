"""OKX's public channels: what is pushed to whom when, and the order book's chain of updates with its checksum."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, Protocol

from autotrader_lab.sandbox.orders import Instrument, Side, TradeEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.tape import Candle, interval_end, interval_start
from autotrader_lab.sandbox.venues.okx import public, render
from autotrader_lab.sandbox.venues.okx.desk import Desk, inst_id

__all__ = ["INSTRUMENT_CHANNELS", "Feeds", "Subscriber", "checksum", "is_candle"]

Json = dict[str, Any]
Rows = list[list[str]]
Key = tuple[str, str]

DEPTH = 400
CHECKED = 25
QUIET_MS = 60_000
INSTRUMENT_CHANNELS = frozenset({"books", "books5", "bbo-tbt", "tickers", "trades", "trades-all", "price-limit"})


def checksum(bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> int:
    """The documented CRC32, as a signed 32-bit number, of the 25 best levels: ``bid:size:ask:size:…``."""
    parts: list[str] = []
    for bid, ask in zip_longest(list(bids)[:CHECKED], list(asks)[:CHECKED]):
        for row in (bid, ask):
            if row is not None:
                parts += row[:2]
    value = zlib.crc32(":".join(parts).encode())
    return value - 2**32 if value >= 2**31 else value


def is_candle(channel: str) -> bool:
    """Whether a channel is one of the candles'."""
    return channel.startswith("candle") and channel.removeprefix("candle") in public.BARS


class Subscriber(Protocol):
    """A connection as the feeds see it."""

    def push(self, message: Json, kind: str) -> None:
        """Send a message."""
        ...


class _BookChain:
    """What has been published of one book: its rows and the number of the last message."""

    def __init__(self, bids: Rows, asks: Rows, sequence: int, now_ms: int) -> None:
        self.bids = {row[0]: row for row in bids}
        self.asks = {row[0]: row for row in asks}
        self.sequence = sequence
        self.sent_ms = now_ms


class Feeds:
    """The public channels of one world.

    Parameters
    ----------
    desk : Desk
        The world and its instruments.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._world = desk.world
        self._readers: dict[Key, dict[Subscriber, Json]] = {}
        self._chains: dict[str, _BookChain] = {}
        self._tops: dict[Key, tuple[Rows, Rows]] = {}
        self._tickers: dict[str, tuple[int, int, int, int, int]] = {}
        self._candles: dict[Key, int] = {}
        desk.world.listeners.append(self._on_events)

    # Subscriptions

    def add(self, reader: Subscriber, key: Key, arg: Json) -> None:
        """Subscribe, and send what a new subscriber is sent first."""
        channel, name = key
        if channel == "books":
            self._flush_book(name)
        self._readers.setdefault(key, {})[reader] = arg
        if channel == "books":
            self._send_snapshot(reader, name, arg)
        elif channel in ("books5", "bbo-tbt"):
            reader.push({"arg": arg, "data": [self._depth(name, 5 if channel == "books5" else 1)]}, "stream")
        elif channel == "tickers":
            reader.push({"arg": arg, "data": [self._ticker(name)]}, "stream")
        elif channel == "price-limit":
            reader.push({"arg": arg, "data": [self._price_limit(name)]}, "stream")
        elif channel == "instruments":
            rows = [render.instrument_row(i, self._desk.codes[n]) for n, i in self._desk.by_id.items()]
            reader.push({"arg": arg, "data": rows}, "stream")
        elif is_candle(channel):
            self._send_candle(channel, name, [(reader, arg)])

    def remove(self, reader: Subscriber, key: Key) -> None:
        """Unsubscribe."""
        readers = self._readers.get(key, {})
        readers.pop(reader, None)
        if not readers:
            self._readers.pop(key, None)
            if key[0] == "books":
                self._chains.pop(key[1], None)
            self._candles.pop(key, None)

    def _push(self, key: Key, make: Callable[[], Json | list[Json]]) -> None:
        readers = self._readers.get(key)
        if not readers:
            return
        made = make()
        data = made if isinstance(made, list) else [made]
        for reader, arg in readers.items():
            reader.push({"arg": arg, "data": data}, "stream")

    def _instrument(self, name: str) -> Instrument:
        return self._desk.by_id[name]

    # Books

    def _rows(self, name: str, count: int) -> tuple[Rows, Rows]:
        book = self._desk.exchange.books[self._instrument(name).symbol]
        return public.levels(book, Side.BUY, count), public.levels(book, Side.SELL, count)

    def _sequence(self, name: str) -> int:
        return self._desk.exchange.books[self._instrument(name).symbol].update_id

    def _send_snapshot(self, reader: Subscriber, name: str, arg: Json) -> None:
        chain = self._chains.get(name)
        if chain is None:
            bids, asks = self._rows(name, DEPTH)
            chain = self._chains[name] = _BookChain(bids, asks, self._sequence(name), self._world.now_ms())
        body = self._book_body(list(chain.bids.values()), list(chain.asks.values()), chain)
        reader.push(
            {"arg": arg, "action": "snapshot", "data": [body | {"seqId": chain.sequence, "prevSeqId": -1}]}, "stream"
        )

    def _book_body(self, bids: Rows, asks: Rows, chain: _BookChain) -> Json:
        return {
            "asks": asks,
            "bids": bids,
            "ts": str(self._world.now_ms()),
            "checksum": checksum(chain.bids.values(), chain.asks.values()),
        }

    def _flush_book(self, name: str) -> None:
        """Send what has changed since the last message, chained to it."""
        chain, readers = self._chains.get(name), self._readers.get(("books", name))
        if chain is None or not readers:
            self._chains.pop(name, None)
            return
        sequence, now_ms = self._sequence(name), self._world.now_ms()
        bids, asks = self._rows(name, DEPTH) if sequence != chain.sequence else ([], [])
        if sequence != chain.sequence:
            changed_bids, chain.bids = _difference(chain.bids, bids)
            changed_asks, chain.asks = _difference(chain.asks, asks)
            bids, asks = changed_bids, changed_asks
        if not bids and not asks:
            if now_ms - chain.sent_ms < QUIET_MS:
                return
            sequence = chain.sequence
        before, chain.sequence, chain.sent_ms = chain.sequence, sequence, now_ms
        body = self._book_body(bids, asks, chain) | {"seqId": sequence, "prevSeqId": before}
        for reader, arg in readers.items():
            reader.push({"arg": arg, "action": "update", "data": [body]}, "stream")

    def _depth(self, name: str, count: int) -> Json:
        bids, asks = self._rows(name, count)
        body: Json = {"asks": asks, "bids": bids, "ts": str(self._world.now_ms()), "seqId": self._sequence(name)}
        return body | {"instId": name} if count > 1 else body

    def _send_depth(self, channel: str, name: str, count: int) -> None:
        key = (channel, name)
        if key not in self._readers:
            return
        rows = self._rows(name, count)
        if rows != self._tops.get(key):
            self._tops[key] = rows
            self._push(key, lambda: self._depth(name, count))

    # The others

    def _ticker(self, name: str) -> Json:
        return public.ticker_row(self._desk, self._instrument(name), self._world.now_ms())

    def _price_limit(self, name: str) -> Json:
        return public.price_limit_row(self._desk, self._instrument(name), self._world.now_ms())

    def _send_ticker(self, name: str) -> None:
        symbol = self._instrument(name).symbol
        book = self._desk.exchange.books[symbol]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        mark = (
            self._desk.exchange.last_price[symbol],
            bid.price if bid else 0,
            bid.total if bid else 0,
            ask.price if ask else 0,
            ask.total if ask else 0,
        )
        if mark != self._tickers.get(name):
            self._tickers[name] = mark
            self._push(("tickers", name), lambda: self._ticker(name))

    def _on_events(self, events: Sequence[Event]) -> None:
        if not self._readers:
            return
        trades: dict[str, list[TradeEvent]] = {}
        for event in events:
            if isinstance(event, TradeEvent):
                trades.setdefault(inst_id(self._desk.exchange.instruments[event.symbol]), []).append(event)
        for name, rows in trades.items():
            self._send_trades(name, rows)
        for name in self._desk.by_id:
            self._send_depth("bbo-tbt", name, 1)

    def _send_trades(self, name: str, trades: list[TradeEvent]) -> None:
        for trade in trades:
            self._push(("trades-all", name), lambda trade=trade: public.trade_row(self._desk, trade))  # type: ignore[misc]
        if ("trades", name) not in self._readers:
            return
        groups: list[list[TradeEvent]] = []
        for trade in trades:
            if groups and (groups[-1][0].aggressor, groups[-1][0].price) == (trade.aggressor, trade.price):
                groups[-1].append(trade)
            else:
                groups.append([trade])
        for group in groups:
            self._push(("trades", name), lambda group=group: self._aggregate(name, group))  # type: ignore[misc]

    def _aggregate(self, name: str, group: list[TradeEvent]) -> Json:
        total = sum(trade.quantity for trade in group)
        last = group[-1]
        whole = TradeEvent(
            last.symbol, last.trade_id, last.price, total, last.buyer_is_maker, last.time_ms, last.aggressor
        )
        return public.trade_row(self._desk, whole) | {"count": str(len(group)), "seqId": self._sequence(name)}

    def _send_candle(self, channel: str, name: str, readers: Iterable[tuple[Subscriber, Json]]) -> None:
        """The running candle, and once more, confirmed, the one before when it has just ended."""
        bar, instrument, now_ms = channel.removeprefix("candle"), self._instrument(name), self._world.now_ms()
        interval, shift_ms = public.BARS[bar]
        open_ms = interval_start(now_ms + shift_ms, interval) - shift_ms
        before_ms = self._candles.get((channel, name), open_ms)
        self._candles[channel, name] = open_ms
        wanted = [before_ms, open_ms] if before_ms != open_ms else [open_ms]
        rows = [
            public.candle_row(candle, end_ms, now_ms)
            for start_ms in wanted
            for candle, end_ms in self._candle_at(instrument, bar, start_ms)
        ]
        for reader, arg in readers:
            for row in rows:
                reader.push({"arg": arg, "data": [row]}, "stream")

    def _candle_at(self, instrument: Instrument, bar: str, open_ms: int) -> list[tuple[Candle, int]]:
        interval, shift_ms = public.BARS[bar]
        if not shift_ms:
            candle = self._world.tapes[instrument.symbol].candle(interval, open_ms)
            return [] if candle is None else [(candle, interval_end(open_ms, interval))]
        found = public.candles(self._desk, instrument, bar, self._world.now_ms())
        return [(candle, end_ms) for candle, end_ms in found if candle.open_ms == open_ms]

    def tick(self, slow: bool) -> None:
        """Send what is due every 100 ms, and every second if `slow`."""
        for book in self._desk.exchange.books.values():
            # Nobody reads the notes of changed levels here: pictures are compared instead.
            book.dirty.clear()
        for channel, name in list(self._readers):
            if channel == "books":
                self._flush_book(name)
            elif channel == "books5":
                self._send_depth(channel, name, 5)
            elif channel == "tickers":
                self._send_ticker(name)
            elif slow and channel == "price-limit":
                self._push((channel, name), lambda name=name: self._price_limit(name))  # type: ignore[misc]
            elif slow and is_candle(channel):
                self._send_candle(channel, name, list(self._readers[channel, name].items()))


def _difference(before: dict[str, list[str]], rows: Rows) -> tuple[Rows, dict[str, list[str]]]:
    """What changed between two pictures of one side, and the new picture."""
    after = {row[0]: row for row in rows}
    changed = [row for price, row in after.items() if before.get(price) != row]
    changed += [[price, "0", "0", "0"] for price in before if price not in after]
    return changed, after
