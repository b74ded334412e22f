"""A running Coinbase sandbox whose market stands still, and clients of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from coinbase_kit import Socket, Wire, ccxt_client

from autotrader_lab.sandbox import Sandbox


@pytest_asyncio.fixture
async def coinbase() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=7, speed=0, venues=["coinbase"], symbols=["BTCUSDT"]) as running:
        yield running


@pytest_asyncio.fixture
async def wire(coinbase: Sandbox) -> AsyncIterator[Wire]:
    """Hand-made requests to the first world."""
    async with aiohttp.ClientSession() as session:
        yield Wire(session, coinbase.addresses["coinbase"])


@pytest.fixture
def dial(wire: Wire) -> Callable[[str], Awaitable[Socket]]:
    """Open a WebSocket: ``ws`` or ``ws_user``."""

    async def make(which: str = "ws") -> Socket:
        return Socket(await wire.session.ws_connect(wire.entry[which]))

    return make


@pytest_asyncio.fixture
async def connect(coinbase: Sandbox) -> AsyncIterator[Callable[[bool], Awaitable[Any]]]:
    """Make ccxt clients of the running sandbox; they are closed at the end."""
    clients: list[Any] = []

    async def make(live: bool = False) -> Any:
        client = ccxt_client(coinbase.addresses, live)
        clients.append(client)
        await client.load_markets()
        return client

    yield make
    for client in clients:
        await client.close()
