"""Streams: one JSON object a line, prices as they move, transactions as they happen, a heartbeat every five seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from autotrader_lab.sandbox.venues.oanda import statement
from autotrader_lab.sandbox.venues.oanda.account_calls import named_pairs
from autotrader_lab.sandbox.venues.oanda.api import Api
from autotrader_lab.sandbox.venues.oanda.errors import ApiError
from autotrader_lab.sandbox.venues.oanda.instruments import Pair
from autotrader_lab.sandbox.venues.oanda.times import dress

__all__ = ["Streams"]

Json = dict[str, Any]

HEARTBEAT_MS = 5_000
PRICE_MS = 250
MOST_WAITING = 20_000
_END = object()


class _Reader:
    """One open stream: what it listens to, and the line its objects go out on."""

    def __init__(self, transport: asyncio.BaseTransport | None, kind: str, is_unix: bool, pairs: list[Pair]) -> None:
        self.kind = kind
        self.is_unix = is_unix
        self.pairs = pairs
        self.sent: dict[str, tuple[int, int]] = {}
        self.next_price_ms: dict[str, int] = {}
        self.next_heartbeat_ms = 0
        self._transport = transport
        self._queue: asyncio.Queue[object] = asyncio.Queue()

    def put(self, text: str) -> None:
        """Send a line after what waits already."""
        if self._queue.qsize() > MOST_WAITING:
            self.abort()
        else:
            self._queue.put_nowait(text)

    def pause(self, seconds: float) -> None:
        """Send nothing that is put from now on until so much later."""
        self._queue.put_nowait(seconds)

    def close(self) -> None:
        """End the stream once everything was sent."""
        self._queue.put_nowait(_END)

    def abort(self) -> None:
        """Cut the connection without a goodbye."""
        if isinstance(self._transport, asyncio.Transport):
            self._transport.abort()

    async def pump(self, response: web.StreamResponse) -> None:
        """Send until the stream ends or the client is gone."""
        while (one := await self._queue.get()) is not _END:
            if isinstance(one, str):
                await response.write(one.encode() + b"\n")
            elif isinstance(one, float | int):
                await asyncio.sleep(one)


class Streams:
    """One environment's streams.

    Parameters
    ----------
    api : Api
        The account's desk, its token and its hooks.

    Attributes
    ----------
    is_stalled : bool
        While true nothing is sent, not even heartbeats, though connections stay.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._desk = api.desk
        self._readers: dict[_Reader, asyncio.Task[Any]] = {}
        self.is_stalled = False
        self._desk.record.listeners.append(self._on_transaction)

    def app(self) -> web.Application:
        """An application that serves them."""
        app = web.Application()
        app.router.add_get("/v3/accounts/{account}/pricing/stream", self._prices)
        app.router.add_get("/v3/accounts/{account}/transactions/stream", self._transactions)
        app.on_shutdown.append(self._on_shutdown)
        return app

    async def _on_shutdown(self, app: web.Application) -> None:
        for reader in self._readers:
            reader.close()

    def drop(self) -> int:
        """Cut every stream without a goodbye; returns how many there were."""
        readers = list(self._readers)
        for reader in readers:
            reader.abort()
        return len(readers)

    async def _prices(self, request: web.Request) -> web.StreamResponse:
        def pairs() -> list[Pair]:
            return named_pairs(request.query.get("instruments"))

        return await self._serve(request, "price", pairs)

    async def _transactions(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "transaction", list)

    async def _serve(self, request: web.Request, kind: str, pairs: Callable[[], list[Pair]]) -> web.StreamResponse:
        is_unix = request.headers.get("Accept-Datetime-Format", "").upper() == "UNIX"
        try:
            self._api.check_access(request)
            chosen = pairs()
        except ApiError as error:
            return web.json_response(error.body(), status=error.status)
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        reader = _Reader(request.transport, kind, is_unix, chosen)
        task = asyncio.current_task()
        assert task is not None, "a request is served by a task"
        self._readers[reader] = task
        now_ms = self._desk.world.now_ms()
        if request.query.get("snapshot", "true").lower() == "true":
            for pair in chosen:
                self._price(reader, pair, now_ms)
        if kind == "transaction" or not chosen:
            self._beat(reader, now_ms)
        reader.next_heartbeat_ms = now_ms + HEARTBEAT_MS
        try:
            await reader.pump(response)
        except ConnectionError:
            pass
        finally:
            del self._readers[reader]
        return response

    # What goes out

    def _send(self, reader: _Reader, channel: str, body: Json) -> None:
        if not self.is_stalled:
            text = msgspec.json.encode(dress(body, reader.is_unix)).decode()
            self._api.hooks.frame(self._desk.world.name, channel, text, reader)

    def _beat(self, reader: _Reader, now_ms: int) -> None:
        reader.next_heartbeat_ms = now_ms + HEARTBEAT_MS
        body: Json = {"type": "HEARTBEAT"}
        if reader.kind == "transaction":
            body["lastTransactionID"] = self._desk.record.last_id
        self._send(reader, "stream", {**body, "time": self._desk.record.now()})

    def _price(self, reader: _Reader, pair: Pair, now_ms: int) -> None:
        reader.sent[pair.name] = self._desk.netting.quote(pair)
        reader.next_price_ms[pair.name] = now_ms + PRICE_MS
        self._send(reader, "stream", statement.price(self._desk, pair, for_stream=True))

    def _on_transaction(self, transaction: Json) -> None:
        for reader in list(self._readers):
            if reader.kind == "transaction":
                self._send(reader, "user", transaction)

    def on_market(self) -> None:
        """Send the prices that moved, no instrument more than four times a second."""
        now_ms = self._desk.world.now_ms()
        for reader in list(self._readers):
            for pair in reader.pairs:
                if now_ms >= reader.next_price_ms.get(pair.name, 0) and (
                    self._desk.netting.quote(pair) != reader.sent.get(pair.name)
                ):
                    self._price(reader, pair, now_ms)

    def tick(self) -> None:
        """Send what goes by the clock: prices that were held back, and heartbeats."""
        now_ms = self._desk.world.now_ms()
        self.on_market()
        for reader in list(self._readers):
            if now_ms >= reader.next_heartbeat_ms:
                self._beat(reader, now_ms)
