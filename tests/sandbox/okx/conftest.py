"""A running OKX sandbox whose market stands still, and clients of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from okx_kit import Socket, Wire, ccxt_client

from autotrader_lab.sandbox import Sandbox


@pytest_asyncio.fixture
async def okx() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=7, speed=0, venues=["okx"], symbols=["BTCUSDT"]) as running:
        yield running


@pytest_asyncio.fixture
async def wire(okx: Sandbox) -> AsyncIterator[Wire]:
    """Hand-made requests to the demo world."""
    async with aiohttp.ClientSession() as session:
        yield Wire(session, okx.addresses["okx"])


@pytest.fixture
def dial(wire: Wire) -> Callable[[str], Awaitable[Socket]]:
    """Open one of the WebSockets."""

    async def make(door: str) -> Socket:
        return Socket(await wire.session.ws_connect(f"{wire.entry['ws']}/ws/v5/{door}"))

    return make


@pytest_asyncio.fixture
async def connect(okx: Sandbox) -> AsyncIterator[Callable[[bool], Awaitable[Any]]]:
    """Make ccxt clients of the running sandbox; they are closed at the end."""
    clients: list[Any] = []

    async def make(live: bool = False) -> Any:
        client = ccxt_client(okx.addresses, live)
        clients.append(client)
        await client.load_markets()
        return client

    yield make
    for client in clients:
        await client.close()
