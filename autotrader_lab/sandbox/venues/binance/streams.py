"""Market streams: ``/ws``, ``/stream``, subscriptions, and what each stream sends when."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import WSMsgType, web

from autotrader_lab.sandbox.orders import Side, TradeEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.tape import INTERVALS_MS, interval_start
from autotrader_lab.sandbox.venues.binance import stream_events
from autotrader_lab.sandbox.venues.binance.api import Api
from autotrader_lab.sandbox.venues.channel import Channel, serve

__all__ = ["Streams"]

Json = dict[str, Any]

TICK_S = 0.1
SLOW_TICKS = 10
KIND = "stream"
_NAME = re.compile(
    r"(?:(?P<symbol>[a-z0-9]+)@(?P<kind>trade|aggTrade|bookTicker|ticker|miniTicker|avgPrice|"
    r"kline_(?P<interval>[0-9]+[smhdwM])|depth(?P<levels>5|10|20)?)(?P<speed>@100ms|@1000ms)?)"
    r"|!(?P<all>ticker|miniTicker)@arr"
)


class _Reader:
    """One connection: what it listens to, and whether its events are wrapped with their stream's name."""

    def __init__(self, channel: Channel, combined: bool) -> None:
        self.channel = channel
        self.combined = combined
        self.names: dict[str, None] = {}


class _Changes:
    """Levels changed since the last diff, and the update id that diff ended with."""

    def __init__(self, last_id: int) -> None:
        self.last_id = last_id
        self.levels: set[tuple[Side, int]] = set()


class Streams:
    """The market streams of one world.

    Parameters
    ----------
    api : Api
        The world, its clock and its hooks.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._world = api.world
        self._readers: set[_Reader] = set()
        self._by_name: dict[str, set[_Reader]] = {}
        self._changes: dict[tuple[str, str], _Changes] = {}
        self._tops: dict[str, tuple[int, int, int, int]] = {}
        self._klines: dict[str, int] = {}
        self._aggregates: dict[str, int] = dict.fromkeys(self._world.tapes, 0)
        for symbol, book in self._world.exchange.books.items():
            for speed in ("", "@100ms"):
                self._changes[symbol, speed] = _Changes(book.update_id)
        self._world.listeners.append(self._on_events)

    @property
    def reader_count(self) -> int:
        """How many connections there are."""
        return len(self._readers)

    def close(self) -> None:
        """End every connection."""
        for reader in self._readers:
            reader.channel.close()

    def drop(self) -> int:
        """Cut every connection without a goodbye; returns how many there were."""
        count = len(self._readers)
        for reader in list(self._readers):
            reader.channel.abort()
        return count

    # Connections

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection of ``/ws``, ``/ws/<names>`` or ``/stream?streams=<names>``."""
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=2**20)
        await socket.prepare(request)
        combined = "streams" in request.query or request.path.rstrip("/").endswith("/stream")
        reader = _Reader(Channel(socket, self._api.hooks, self._world.name, request.transport), combined)
        self._readers.add(reader)
        names = request.query.get("streams") or request.match_info.get("names", "")
        self._listen(reader, [name for name in names.split("/") if name])
        try:
            await serve(reader.channel, "stream", self._read(reader))
        finally:
            self._readers.discard(reader)
            self._unlisten(reader, list(reader.names))
        return socket

    async def _read(self, reader: _Reader) -> None:
        async for message in reader.channel.socket:
            if message.type is WSMsgType.TEXT:
                reader.channel.send(self._on_request(reader, message.data), KIND)

    def _on_request(self, reader: _Reader, text: str) -> Json:
        try:
            request = json.loads(text)
        except ValueError:
            return {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}}
        if not isinstance(request, dict) or "method" not in request:
            return {"error": {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 1"}}
        names, request_id = request.get("params") or [], request.get("id")
        match request["method"]:
            case "SUBSCRIBE":
                self._listen(reader, names)
            case "UNSUBSCRIBE":
                self._unlisten(reader, names)
            case "LIST_SUBSCRIPTIONS":
                return {"result": list(reader.names), "id": request_id}
            case "SET_PROPERTY":
                reader.combined = bool(names[1])
            case "GET_PROPERTY":
                return {"result": reader.combined, "id": request_id}
            case unknown:
                known = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
                text = f"Invalid request: unknown variant `{unknown}`, expected one of {known}"
                return {"error": {"code": 2, "msg": text}, "id": request_id}
        return {"result": None, "id": request_id}

    def _listen(self, reader: _Reader, names: Sequence[str]) -> None:
        for name in names:
            reader.names[name] = None
            if _NAME.fullmatch(name):
                self._by_name.setdefault(name, set()).add(reader)

    def _unlisten(self, reader: _Reader, names: Sequence[str]) -> None:
        for name in names:
            reader.names.pop(name, None)
            listening = self._by_name.get(name)
            if listening is not None:
                listening.discard(reader)
                if not listening:
                    del self._by_name[name]
                    self._klines.pop(name, None)

    def _send(self, name: str, make: Callable[..., Json | list[Json] | None], *arguments: Any) -> None:
        readers = self._by_name.get(name)
        if not readers:
            return
        body = make(*arguments)
        if body is None:
            return
        for reader in readers:
            reader.channel.send({"stream": name, "data": body} if reader.combined else body, KIND)

    # Events

    def _on_events(self, events: Sequence[Event]) -> None:
        now_ms = self._world.now_ms()
        for event in events:
            if isinstance(event, TradeEvent):
                self._send(f"{event.symbol.lower()}@trade", stream_events.trade, event, now_ms)
        for symbol, book in self._world.exchange.books.items():
            self._send_aggregates(symbol, now_ms)
            if not book.dirty:
                continue
            for speed in ("", "@100ms"):
                self._changes[symbol, speed].levels |= book.dirty
            book.dirty = set()
            self._send_top(symbol)

    def _send_aggregates(self, symbol: str, now_ms: int) -> None:
        aggregates = self._world.tapes[symbol].aggregates
        sent = self._aggregates[symbol]
        if not aggregates or aggregates[-1].aggregate_id == sent:
            return
        fresh = []
        for aggregate in reversed(aggregates):
            if aggregate.aggregate_id <= sent:
                break
            fresh.append(aggregate)
        self._aggregates[symbol] = aggregates[-1].aggregate_id
        for aggregate in reversed(fresh):
            self._send(f"{symbol.lower()}@aggTrade", stream_events.aggregate, symbol, aggregate, now_ms)

    def _send_top(self, symbol: str) -> None:
        book = self._world.exchange.books[symbol]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        top = (
            bid.price if bid else 0,
            bid.total if bid else 0,
            ask.price if ask else 0,
            ask.total if ask else 0,
        )
        if top != self._tops.get(symbol):
            self._tops[symbol] = top
            self._send(f"{symbol.lower()}@bookTicker", stream_events.book_ticker, symbol, book.update_id, top)

    async def run(self) -> None:
        """Send the streams that go by the clock, for ever."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            self.tick(slow=ticks % SLOW_TICKS == 0)

    def tick(self, slow: bool) -> None:
        """Send what is due at 100 ms, and at 1 s if `slow`."""
        now_ms = self._world.now_ms()
        for symbol in self._world.exchange.books:
            self._send_diff(symbol, "@100ms", now_ms)
            if slow:
                self._send_diff(symbol, "", now_ms)
        for name in list(self._by_name):
            found = _NAME.fullmatch(name)
            assert found is not None, "only known names are listened to"
            fast = found["speed"] == "@100ms"
            if found["all"]:
                if slow:
                    self._send(name, self._all_tickers, found["all"] == "miniTicker")
                continue
            symbol = found["symbol"].upper()
            if symbol not in self._world.tapes:
                continue
            if found["levels"] and (slow or fast):
                self._send(name, stream_events.partial_depth, self._world, symbol, int(found["levels"]))
            elif slow and found["interval"] in INTERVALS_MS:
                self._send_kline(name, symbol, found["interval"], now_ms)
            elif slow and found["kind"] in ("ticker", "miniTicker"):
                self._send(name, stream_events.ticker, self._api, symbol, found["kind"] == "miniTicker")
            elif slow and found["kind"] == "avgPrice":
                self._send(name, stream_events.average_price, self._api, symbol)

    def _send_kline(self, name: str, symbol: str, interval: str, now_ms: int) -> None:
        """The running candle, and once more, closed, the one before when it has just ended."""
        open_ms = interval_start(now_ms, interval)
        before_ms = self._klines.get(name, open_ms)
        self._klines[name] = open_ms
        if before_ms != open_ms:
            self._send(name, stream_events.kline, self._world, symbol, interval, before_ms)
        self._send(name, stream_events.kline, self._world, symbol, interval, now_ms)

    def _all_tickers(self, mini: bool) -> list[Json]:
        return [stream_events.ticker(self._api, symbol, mini) for symbol in self._world.tapes]

    def _send_diff(self, symbol: str, speed: str, now_ms: int) -> None:
        book, changes = self._world.exchange.books[symbol], self._changes[symbol, speed]
        if book.update_id == changes.last_id:
            return
        first_id, changes.last_id = changes.last_id + 1, book.update_id
        touched = sorted(changes.levels | book.dirty)
        changes.levels = set()
        names = [f"{symbol.lower()}@depth{speed}"]
        if not speed:
            names.append(f"{symbol.lower()}@depth@1000ms")
        for name in names:
            self._send(name, stream_events.diff, symbol, book, first_id, touched, now_ms)
