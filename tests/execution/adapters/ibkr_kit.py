"""What the Interactive Brokers tests share: a sandbox with its gateways, adapters on it, and something that waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from odd_server import Behaviour, listening
from shared_data import shared

from autotrader_lab.execution.adapters.ibkr import IBKRAdapter
from autotrader_lab.model.orders import Order, OrderSide, OrderType, Report
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.venues.hooks import Hooks
from autotrader_lab.sandbox.venues.ibkr.session import Session
from autotrader_lab.sandbox.venues.ibkr.venue import IbkrVenue
from autotrader_lab.sandbox.venues.ibkr.wire import frame, text

FAST: dict[str, Any] = {"timeout_s": 1.0, "commission_wait_s": 0.15}


def recorded(name: str) -> Any:
    """A recorded file's content."""
    return json.loads(Path(shared(f"payloads/ib/{name}.json")).read_text(encoding="utf-8"))


def objects(value: Any) -> Any:
    """Recorded objects with attributes instead of keys."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: objects(each) for key, each in value.items()})
    return [objects(each) for each in value] if isinstance(value, list) else value


@asynccontextmanager
async def ibkr_sandbox(**settings: Any) -> AsyncIterator[Sandbox]:
    """A running sandbox that serves Interactive Brokers, stopped at the end."""
    async with Sandbox(**{"seed": 5, "speed": 0, "venues": ("ibkr",), **settings}) as box:
        yield box


def door(box: Sandbox, world: str = "testnet") -> IbkrVenue:
    """One world's gateway."""
    found = box.sites["ibkr"].venues[world]
    assert isinstance(found, IbkrVenue)
    return found


def session(box: Sandbox, world: str = "testnet") -> Session:
    """The newest connection to it."""
    return list(door(box, world)._sessions)[-1]


@asynccontextmanager
async def connected(box: Sandbox, environment: str = "paper", **more: Any) -> AsyncIterator[IBKRAdapter]:
    adapter = IBKRAdapter.on_sandbox(box.addresses["ibkr"], environment, **{**FAST, **more})
    await adapter.connect()
    try:
        yield adapter
    finally:
        await adapter.disconnect()


def listen(adapter: IBKRAdapter) -> list[Report]:
    """Everything the adapter reports from now on."""
    reports: list[Report] = []
    adapter.subscribe_reports(reports.append)
    return reports


def kinds(reports: list[Report], name: str) -> list[str]:
    """What happened to one order."""
    return [type(report).__name__ for report in reports if report.client_order_id == name]


def order(
    name: str, side: str = "buy", kind: str = "market", quantity: float = 10, symbol: str = "AAPL", **more: Any
) -> Order:
    return Order("", symbol, OrderSide(side), OrderType(kind), quantity, client_order_id=name, **more)


def resting(name: str, price: float = 150.0, **more: Any) -> Order:
    """A limit order far below the market."""
    return order(name, kind="limit", price=price, **more)


def trade_at(box: Sandbox, price: float, quantity: int, taker: Side, symbol: str = "AAPL") -> None:
    """Let the outside market trade with what rests at a price."""
    world = door(box).world
    world.exchange.market_trade(symbol, taker, round(price * 1e8), quantity * 10**8, world.now_ms())
    world.publish()


def move(box: Sandbox, price: float, symbol: str = "AAPL") -> None:
    """Move the market: it trades there, and offers both sides."""
    world = door(box).world
    push_price(world, symbol, round(price * 1e8))
    world.publish()


async def until(fact: Callable[[], Any], within_s: float = 5.0) -> Any:
    """Wait for a fact."""
    async with asyncio.timeout(within_s):
        while not (found := fact()):
            await asyncio.sleep(0.005)
    return found


class Dialect(Hooks):
    """Rewrites events: the function gets fields and connection, and gives lists of fields to send instead."""

    def __init__(self, rewrite: Callable[[list[str], Any], list[list[str]]]) -> None:
        self._rewrite = rewrite

    def frame(self, world: str, channel: str, content: str, line: Any) -> None:
        for fields in self._rewrite(content.split("\0")[:-1], line):
            line.put(text(fields))


def say(box: Sandbox, *fields: str) -> None:
    """Let the gateway say something to the newest connection."""
    session(box).put(text(fields))


@asynccontextmanager
async def server(behaviour: Behaviour, **more: Any) -> AsyncIterator[IBKRAdapter]:
    """An adapter for a server that is no TWS, or a strange one."""
    async with listening(behaviour) as port:
        adapter = IBKRAdapter("127.0.0.1", port, 9, **{"timeout_s": 0.3, **more})
        try:
            yield adapter
        finally:
            await adapter.disconnect()


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, account: str = "DU1") -> None:
    """The server's side of the handshake."""
    await reader.readexactly(4)
    await read_frame(reader)
    writer.write(frame(text(["176", "20261122 12:00:00 UTC"])))
    await read_frame(reader)
    writer.write(frame(text(["15", "1", account])) + frame(text(["9", "1", "1"])))


async def read_frame(reader: asyncio.StreamReader) -> list[str]:
    """One message from the client."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    return (await reader.readexactly(length)).decode().split("\0")
