"""Fixtures of the sandbox's tests: recorded data, an exchange under hand, and a running sandbox with clients."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import ccxt.pro
import pytest
import pytest_asyncio
from shared_data import shared

from autotrader_lab.sandbox import Sandbox


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """A file of the recorded data, or a skip that names it."""
    return shared


@pytest_asyncio.fixture
async def box() -> AsyncIterator[Sandbox]:
    """A sandbox whose market stands still."""
    async with Sandbox(seed=7, speed=0) as running:
        yield running


def ccxt_client(addresses: dict[str, Any], live: bool = False) -> Any:
    """The real ccxt, pointed at one world as the venue's documentation of either environment has it."""
    entry = addresses["binance"]["live"] if live else addresses["binance"]
    rest, ws = entry["rest"], entry["ws"]
    urls = {
        "public": f"{rest}/api/v3",
        "private": f"{rest}/api/v3",
        "v1": f"{rest}/api/v1",
        **{name: f"{rest}/sapi/v{number}" for number, name in enumerate(("sapi", "sapiV2", "sapiV3", "sapiV4"), 1)},
        "ws": {"spot": f"{ws}/stream/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}},
    }
    client = ccxt.pro.binance(
        {
            "apiKey": entry["api_key"],
            "secret": entry["api_secret"],
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": live},
            "urls": {"api": urls} if live else {"test": urls},
        }
    )
    if not live:
        client.set_sandbox_mode(True)
    return client


@pytest_asyncio.fixture
async def connect(box: Sandbox) -> AsyncIterator[Callable[[bool], Awaitable[Any]]]:
    """Make ccxt clients of the running sandbox; they are closed at the end."""
    clients: list[Any] = []

    async def make(live: bool = False) -> Any:
        client = ccxt_client(box.addresses, live)
        clients.append(client)
        await client.load_markets()
        return client

    yield make
    for client in clients:
        await client.close()
