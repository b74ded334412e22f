"""A sandbox with Interactive Brokers, and the real ib_async connected to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest_asyncio
from ib_async import IB
from tws_wire import Tws

from autotrader_lab.sandbox import Sandbox


@pytest_asyncio.fixture
async def tws() -> AsyncIterator[Tws]:
    """The gateways; the market stands still."""
    async with Sandbox(seed=7, speed=0, venues=("ibkr",)) as box:
        yield Tws(box)


@pytest_asyncio.fixture
async def connect(tws: Tws) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Make connected ib_async clients; they are disconnected at the end."""
    clients: list[IB] = []

    async def make(client_id: int = 1, live: bool = False) -> IB:
        client = IB()
        clients.append(client)
        await client.connectAsync(*tws.address(live), clientId=client_id, timeout=5, raiseSyncErrors=True)
        return client

    yield make
    for client in clients:
        client.disconnect()
