"""Coinbase's WebSockets: subscriptions, and what each channel sends when."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import WSMsgType, web

from autotrader_lab.sandbox.orders import Account, Instrument, OrderEvent, Side, TradeEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.units import trim_e8
from autotrader_lab.sandbox.venues.channel import Channel, serve
from autotrader_lab.sandbox.venues.coinbase import render
from autotrader_lab.sandbox.venues.coinbase.api import Api
from autotrader_lab.sandbox.venues.coinbase.auth import check_token
from autotrader_lab.sandbox.venues.coinbase.desk import product_id
from autotrader_lab.sandbox.venues.coinbase.errors import Unauthorized

__all__ = ["Sockets"]

Json = dict[str, Any]
Level = tuple[Side, int]

MARKET, USER = "market", "user"
CHANNELS = {
    MARKET: frozenset({"level2", "market_trades", "ticker", "ticker_batch", "candles", "status", "heartbeats", "user"}),
    USER: frozenset({"user", "heartbeats", "futures_balance_summary"}),
}
SIGNED = frozenset({"user", "futures_balance_summary"})
ALL = "*"
SNAPSHOT_TRADES = 100
SNAPSHOT_ORDERS = 50
SILENT_MS = 5_000


class Connection:
    """One WebSocket: what it listens to, and the number of its next message."""

    def __init__(self, channel: Channel, door: str, now_ms: int) -> None:
        self.channel = channel
        self.door = door
        self.opened_ms = now_ms
        self.account: Account | None = None
        self.names: dict[str, set[str]] = {}
        self.sequence = 0

    def listens(self, channel: str, product: str) -> bool:
        """Whether it wants a product's messages of a channel."""
        products = self.names.get(channel)
        return products is not None and (product in products or ALL in products)

    def send(self, channel: str, events: list[Json], now_ms: int) -> None:
        """Send a message, numbered."""
        stamp = render.time_text(now_ms)
        message = {"channel": channel, "client_id": "", "timestamp": stamp, "sequence_num": self.sequence}
        self.sequence += 1
        kind = "user" if channel in SIGNED else "ws-api" if channel == "subscriptions" else "stream"
        self.channel.send(message | {"events": events}, kind)


class Sockets:
    """The WebSocket addresses of one world.

    Parameters
    ----------
    api : Api
        The world, its desk and its hooks.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._desk = api.desk
        self._world = api.world
        self._connections: set[Connection] = set()
        self._beats = 0
        self._trades: dict[str, list[TradeEvent]] = {}
        self._candles: dict[str, tuple[int, ...]] = {}
        api.world.listeners.append(self._on_events)

    @property
    def subscriber_count(self) -> int:
        """How many connections receive orders."""
        return sum(1 for connection in self._connections if "user" in connection.names)

    def close(self) -> None:
        """End every connection."""
        for connection in self._connections:
            connection.channel.close()

    def drop(self, kind: str | None = None) -> int:
        """Cut connections without a goodbye: market data ("stream"), those with orders ("ws-api"), or all."""
        chosen = [c for c in self._connections if kind is None or ("user" in c.names) == (kind == "ws-api")]
        for connection in chosen:
            connection.channel.abort()
        return len(chosen)

    def handler(self, door: str) -> Callable[[web.Request], Any]:
        """What serves a connection at one of the two addresses."""

        async def handle(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(heartbeat=20, max_msg_size=2**20)
            await socket.prepare(request)
            channel = Channel(socket, self._api.hooks, self._world.name, request.transport)
            connection = Connection(channel, door, self._world.now_ms())
            self._connections.add(connection)
            try:
                await serve(channel, f"coinbase {door}", self._read(connection))
            finally:
                self._connections.discard(connection)
            return socket

        return handle

    async def _read(self, connection: Connection) -> None:
        async for message in connection.channel.socket:
            if message.type is WSMsgType.TEXT:
                self._on_request(connection, message.data)

    # Subscriptions

    def _on_request(self, connection: Connection, text: str) -> None:
        try:
            request = json.loads(text)
            kind, channel = request["type"], request["channel"]
            products = request.get("product_ids") or []
            if kind not in ("subscribe", "unsubscribe") or not isinstance(products, list):
                raise ValueError(kind)
        except (ValueError, TypeError, KeyError):
            self._error(connection, "invalid message")
            return
        if channel not in CHANNELS[connection.door]:
            self._error(connection, f"channel {channel} is not available")
            return
        if channel in SIGNED and not self._identify(connection, request):
            self._error(connection, "authentication failure")
            return
        unknown = [name for name in products if name not in self._desk.by_id]
        if unknown:
            self._error(connection, f"invalid product_ids: {', '.join(map(str, unknown))}")
            return
        if kind == "unsubscribe":
            self._unsubscribe(connection, channel, products)
        else:
            self._subscribe(connection, channel, products)

    def _error(self, connection: Connection, message: str) -> None:
        connection.channel.send({"type": "error", "message": message}, "ws-api")

    def _identify(self, connection: Connection, request: Json) -> bool:
        try:
            key = check_token(str(request.get("jwt") or ""), self._world.keys, self._world.now_ms() / 1_000)
        except Unauthorized:
            return False
        connection.account = self._world.exchange.accounts[key.account]
        return True

    def _subscribe(self, connection: Connection, channel: str, products: list[str]) -> None:
        if channel == "level2":
            self._flush_books()
        before = connection.names.get(channel, set())
        fresh = [name for name in products or self._desk.by_id if name not in before]
        connection.names[channel] = before | (set(products) or {ALL})
        self._tell_subscriptions(connection)
        now_ms = self._world.now_ms()
        if channel == "user":
            self._send_open_orders(connection, fresh, now_ms)
            return
        for name in fresh if channel in ("level2", "market_trades", "ticker", "ticker_batch", "candles") else []:
            self._send_snapshot(connection, channel, self._desk.by_id[name], now_ms)
        if channel == "status":
            event = {"type": "snapshot", "products": [_status(self._desk.by_id[name]) for name in fresh]}
            connection.send("status", [event], now_ms)

    def _unsubscribe(self, connection: Connection, channel: str, products: list[str]) -> None:
        left = connection.names.get(channel, set()) - set(products)
        if left and products:
            connection.names[channel] = left
        else:
            connection.names.pop(channel, None)
        self._tell_subscriptions(connection)

    def _tell_subscriptions(self, connection: Connection) -> None:
        names = {channel: sorted(products - {ALL}) or [channel] for channel, products in connection.names.items()}
        connection.send("subscriptions", [{"subscriptions": names}], self._world.now_ms())

    def _send_snapshot(self, connection: Connection, channel: str, instrument: Instrument, now_ms: int) -> None:
        name = product_id(instrument)
        if channel == "level2":
            book = self._desk.exchange.books[instrument.symbol]
            levels = [(side, level.price) for side in (Side.BUY, Side.SELL) for level in book.walk(side)]
            updates = self._level_rows(instrument, levels, now_ms)
            connection.send("l2_data", [{"type": "snapshot", "product_id": name, "updates": updates}], now_ms)
        elif channel == "market_trades":
            trades = list(self._world.tapes[instrument.symbol].trades)[-SNAPSHOT_TRADES:]
            rows = [render.trade_row(self._desk, trade) for trade in reversed(trades)]
            connection.send("market_trades", [{"type": "snapshot", "trades": rows}], now_ms)
        elif channel == "candles":
            candles = self._world.tapes[instrument.symbol].candles("5m", now_ms)[-SNAPSHOT_TRADES:]
            rows = [render.candle_row(candle) | {"product_id": name} for candle in reversed(candles)]
            connection.send("candles", [{"type": "snapshot", "candles": rows}], now_ms)
        else:
            event = {"type": "snapshot", "tickers": [self._ticker(instrument, now_ms)]}
            connection.send(channel, [event], now_ms)

    def _send_open_orders(self, connection: Connection, products: list[str], now_ms: int) -> None:
        """The open orders, fifty a message; the last message has fewer."""
        assert connection.account is not None, "the channel is signed"
        symbols = {self._desk.by_id[name].symbol for name in products}
        rows = [render.user_order(self._desk, o) for o in connection.account.open.values() if o.symbol in symbols]
        for start in range(0, len(rows) + 1, SNAPSHOT_ORDERS):
            event = {"type": "snapshot", "orders": rows[start : start + SNAPSHOT_ORDERS]}
            connection.send("user", [event | _no_positions()], now_ms)

    # Events

    def _on_events(self, events: Sequence[Event]) -> None:
        now_ms = self._world.now_ms()
        for event in events:
            if isinstance(event, TradeEvent):
                name = product_id(self._desk.exchange.instruments[event.symbol])
                self._trades.setdefault(name, []).append(event)
            elif isinstance(event, OrderEvent):
                self._send_order(event, now_ms)

    def _send_order(self, event: OrderEvent, now_ms: int) -> None:
        name = product_id(self._desk.exchange.instruments[event.order.symbol])
        for connection in self._connections:
            account = connection.account
            if account is not None and account.name == event.order.account and connection.listens("user", name):
                row = render.user_order(self._desk, event.order, event.kind)
                connection.send("user", [{"type": "update", "orders": [row]} | _no_positions()], now_ms)

    def tick(self, ticks: int) -> None:
        """Send what is due every 50 ms, and what is due less often."""
        now_ms = self._world.now_ms()
        self._flush_books()
        if ticks % 5 == 0:
            self._flush_trades(now_ms)
        if ticks % 20 == 0:
            self._send_each_second(now_ms)
        if ticks % 100 == 0:
            self._send_tickers("ticker_batch", list(self._desk.by_id), now_ms)

    def _listening(self, channel: str, name: str) -> list[Connection]:
        return [connection for connection in self._connections if connection.listens(channel, name)]

    def _flush_books(self) -> None:
        now_ms = self._world.now_ms()
        for name, instrument in self._desk.by_id.items():
            book = self._desk.exchange.books[instrument.symbol]
            if not book.dirty:
                continue
            touched, book.dirty = sorted(book.dirty), set()
            listening = self._listening("level2", name)
            if listening:
                rows = self._level_rows(instrument, touched, now_ms)
                for connection in listening:
                    connection.send("l2_data", [{"type": "update", "product_id": name, "updates": rows}], now_ms)

    def _level_rows(self, instrument: Instrument, levels: Sequence[Level], now_ms: int) -> list[Json]:
        book, stamp = self._desk.exchange.books[instrument.symbol], render.time_text(now_ms)
        return [
            {
                "side": "bid" if side is Side.BUY else "offer",
                "event_time": stamp,
                "price_level": trim_e8(price),
                "new_quantity": trim_e8(book.total(side, price)),
            }
            for side, price in levels
        ]

    def _flush_trades(self, now_ms: int) -> None:
        trades, self._trades = self._trades, {}
        for name, rows in trades.items():
            event = {"type": "update", "trades": [render.trade_row(self._desk, trade) for trade in reversed(rows)]}
            for connection in self._listening("market_trades", name):
                connection.send("market_trades", [event], now_ms)
        self._send_tickers("ticker", list(trades), now_ms)

    def _send_tickers(self, channel: str, names: list[str], now_ms: int) -> None:
        for name in names:
            listening = self._listening(channel, name)
            if listening:
                event = {"type": "update", "tickers": [self._ticker(self._desk.by_id[name], now_ms)]}
                for connection in listening:
                    connection.send(channel, [event], now_ms)

    def _send_each_second(self, now_ms: int) -> None:
        self._beats += 1
        stamp = render.time_text(now_ms).replace("T", " ").replace("Z", " +0000 UTC")
        beat = {"current_time": f"{stamp} m=+{self._beats}.0", "heartbeat_counter": self._beats}
        for connection in list(self._connections):
            if "heartbeats" in connection.names:
                connection.send("heartbeats", [beat], now_ms)
            if not connection.names and now_ms - connection.opened_ms > SILENT_MS:
                connection.channel.close()
        for name, instrument in self._desk.by_id.items():
            listening = self._listening("candles", name)
            candle = self._world.tapes[instrument.symbol].candle("5m", now_ms) if listening else None
            if candle is None:
                continue
            mark = (candle.open_ms, candle.count, candle.close)
            if mark != self._candles.get(name):
                self._candles[name] = mark
                event = {"type": "update", "candles": [render.candle_row(candle) | {"product_id": name}]}
                for connection in listening:
                    connection.send("candles", [event], now_ms)

    def _ticker(self, instrument: Instrument, now_ms: int) -> Json:
        last = self._desk.exchange.last_price[instrument.symbol]
        book = self._desk.exchange.books[instrument.symbol]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        today, _ = render.day(self._desk, instrument, now_ms)
        high, low = trim_e8(max(today.high, last)), trim_e8(min(today.low, last))
        return {
            "type": "ticker",
            "product_id": product_id(instrument),
            "price": trim_e8(last),
            "volume_24_h": trim_e8(today.volume),
            "low_24_h": low,
            "high_24_h": high,
            "low_52_w": low,
            "high_52_w": high,
            "price_percent_chg_24_h": render.percent_change(last, today.open),
            "best_bid": trim_e8(bid.price) if bid else "",
            "best_bid_quantity": trim_e8(bid.total) if bid else "",
            "best_ask": trim_e8(ask.price) if ask else "",
            "best_ask_quantity": trim_e8(ask.total) if ask else "",
        }


def _no_positions() -> Json:
    return {"positions": {"perpetual_futures_positions": [], "expiring_futures_positions": []}}


def _status(instrument: Instrument) -> Json:
    return {
        "product_type": "SPOT",
        "id": product_id(instrument),
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "base_increment": trim_e8(instrument.step),
        "quote_increment": trim_e8(instrument.tick),
        "display_name": f"{instrument.base}/{instrument.quote}",
        "status": "online",
        "status_message": "",
        "min_market_funds": "1",
    }
