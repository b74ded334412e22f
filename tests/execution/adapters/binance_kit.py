"""A Binance adapter on a sandbox over real sockets, and a proxy that misbehaves between them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderType, Report
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.units import parse_e8

BTC = "BTC/USDT"
_numbers = itertools.count(1)


@dataclass
class Desk:
    """What a test holds."""

    box: Sandbox
    adapter: BinanceAdapter
    world_name: str
    reports: list[Report] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def world(self) -> Any:
        return self.box.worlds[self.world_name]

    @property
    def price(self) -> float:
        return self.world.exchange.last_price["BTCUSDT"] / 1e8

    @property
    def account(self) -> Any:
        return next(iter(self.world.exchange.accounts.values()))

    def best(self, side: str) -> tuple[float, float]:
        """Best price and the size that stands there."""
        level = self.world.exchange.books["BTCUSDT"].best(Side.BUY if side == "buy" else Side.SELL)
        return level.price / 1e8, sum(slot.quantity for slot in level.queue) / 1e8

    def near(self, factor: float) -> float:
        """A price on the grid, `factor` times the market's."""
        return float(self.adapter.instruments.find(BTC).round_price(self.price * factor))

    def order(
        self, side: str = "buy", kind: OrderType = OrderType.LIMIT, quantity: float = 0.01, **fields: Any
    ) -> Order:
        fields.setdefault("client_order_id", f"t-{next(_numbers)}")
        return Order("", BTC, OrderSide(side), kind, quantity, **fields)

    def move(self, price: float) -> None:
        """The market goes to `price` and fills whoever stands in its way."""
        push_price(self.world, "BTCUSDT", parse_e8(f"{price:.2f}"))
        self.world.publish()

    def hit(self, side: str, price: float, quantity: float) -> None:
        """The outside market trades; `side` is its own."""
        exchange, now_ms = self.world.exchange, self.world.now_ms()
        taker = Side.BUY if side == "buy" else Side.SELL
        exchange.market_trade("BTCUSDT", taker, parse_e8(f"{price:.2f}"), parse_e8(f"{quantity:.5f}"), now_ms)
        self.world.publish()

    def kinds(self, order: Order) -> list[str]:
        return [type(r).__name__ for r in self.reports if r.client_order_id == order.client_order_id]

    def filled(self, order: Order) -> Decimal:
        return sum((exact(f.quantity) for f in self.fills if f.client_order_id == order.client_order_id), Decimal(0))

    def venue_orders(self) -> list[Any]:
        """Every order the venue ever took from this account."""
        return [order for orders in self.account.orders.values() for order in orders.values()]


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Wait for `condition`; how long it takes proves nothing here."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"never came: {what or condition}")


@asynccontextmanager
async def desk(
    *, live: bool = False, connect: bool = True, sandbox: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Desk]:
    """A sandbox whose market stands still, and a connected adapter on it."""
    async with Sandbox(seed=7, speed=0, **(sandbox or {})) as box:
        addresses = options.pop("addresses", None) or box.addresses["binance"]
        keys = box.addresses["binance"]["live"] if live else box.addresses["binance"]
        adapter = BinanceAdapter(
            options.pop("api_key", keys["api_key"]),
            options.pop("api_secret", keys["api_secret"]),
            testnet=not live,
            addresses=addresses,
            **options,
        )
        held = Desk(box, adapter, "live" if live else "testnet")
        adapter.subscribe_reports(held.reports.append)
        adapter.subscribe_fills(held.fills.append)
        adapter.subscribe_connection(lambda state, reason: held.states.append(state))
        try:
            if connect:
                await adapter.connect()
            yield held
        finally:
            await adapter.disconnect()


class Proxy:
    """A TCP proxy on loopback that forwards everything, and spoils the answer to one armed request.

    Parameters
    ----------
    port : int
        Where it forwards to.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._armed: tuple[bytes, str] | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.spoiled = 0
        self.reached_venue = asyncio.Event()

    def arm(self, start: str, how: str) -> None:
        """Spoil the answer to the next request that starts with `start`.

        `how`: "cut" drops the line instead of answering, "silence" never answers, "html" answers 200 with a page,
        "half" sends half a body and cuts, "empty" an empty 200, "refuse" a 503; "before" drops the line *before* the
        request is forwarded.
        """
        self._armed = (start.encode(), how)
        self.reached_venue.clear()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        how: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(reader, up_writer, how))
                group.create_task(self._answers(up_reader, writer, how))
        except* (ConnectionError, asyncio.IncompleteReadError, _Cut):
            pass
        finally:
            for one in (writer, up_writer):
                one.transport.abort()
            self._tasks.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter, how: list[str]) -> None:
        while data := await reader.read(65536):
            if self._armed is not None and data.startswith(self._armed[0]):
                how.append(self._armed[1])
                self._armed = None
                if how[-1] == "before":
                    self.spoiled += 1
                    raise _Cut
            up.write(data)
            await up.drain()
        raise _Cut

    async def _answers(self, up: asyncio.StreamReader, writer: asyncio.StreamWriter, how: list[str]) -> None:
        while data := await up.read(65536):
            if not how:
                writer.write(data)
                await writer.drain()
                continue
            self.spoiled += 1
            self.reached_venue.set()
            kind = how.pop()
            if kind == "silence":
                await asyncio.Event().wait()
            writer.write(_SPOILED.get(kind) or (data[: len(data) - 40] if kind == "half" else b""))
            await writer.drain()
            if kind in ("cut", "half"):
                raise _Cut
        raise _Cut


class _Cut(Exception):
    """The line ends."""


def _http(status: str, body: str, content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


_SPOILED = {
    "html": _http("200 OK", "<html><body>Welcome</body></html>", "text/html"),
    "empty": _http("200 OK", ""),
    "refuse": _http("503 Service Unavailable", '{"code":-1008,"msg":"Server is currently overloaded"}'),
    "timeout": _http("408 Request Timeout", '{"code":-1007,"msg":"Timeout waiting for response from backend server."}'),
    "unknown": _http("400 Bad Request", '{"code":-1006,"msg":"An unexpected response was received."}'),
}


@asynccontextmanager
async def desk_behind_proxy(
    *, part: str = "rest", sandbox: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[Desk, Proxy]]:
    """A desk whose REST or WebSocket line goes through a :class:`Proxy`."""
    async with Sandbox(seed=7, speed=0, **(sandbox or {})) as box:
        real = box.addresses["binance"]
        async with Proxy(int(real["rest"].rpartition(":")[2])) as proxy:
            origin = f"{'http' if part == 'rest' else 'ws'}://127.0.0.1:{proxy.port}"
            addresses = {"rest": real["rest"], "ws": real["ws"], part: origin}
            adapter = BinanceAdapter(real["api_key"], real["api_secret"], testnet=True, addresses=addresses, **options)
            held = Desk(box, adapter, "testnet")
            adapter.subscribe_reports(held.reports.append)
            adapter.subscribe_fills(held.fills.append)
            adapter.subscribe_connection(lambda state, reason: held.states.append(state))
            await adapter.connect()
            try:
                yield held, proxy
            finally:
                await adapter.disconnect()


def our_tasks(before: Iterable[asyncio.Task[Any]]) -> list[str]:
    """Names of the tasks that were not there before."""
    known = set(before)
    return [task.get_name() for task in asyncio.all_tasks() if task not in known]
