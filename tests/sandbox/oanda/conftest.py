"""A sandbox with Oanda, and the real oandapyV20 pointed at it, as its own environment table allows."""

from collections.abc import AsyncIterator, Callable, Iterator

import oandapyV20.oandapyV20
import pytest
import pytest_asyncio
from oanda_wire import Client, Oanda

from autotrader_lab.sandbox import Sandbox


@pytest_asyncio.fixture
async def oanda() -> AsyncIterator[Oanda]:
    """Both environments; the market stands still."""
    async with Sandbox(seed=7, speed=0, venues=("oanda",)) as box:
        yield Oanda(box)


@pytest.fixture
def client(oanda: Oanda) -> Iterator[Callable[..., Client]]:
    """Make clients of the practice or the live environment."""
    made: list[Client] = []

    def make(live: bool = False, token: str = "", unix: bool = False) -> Client:
        made.append(Client(oanda.entry(live), token, unix))
        return made[-1]

    yield make
    for one in made:
        one.api.client.close()
    oandapyV20.oandapyV20.TRADING_ENVIRONMENTS.pop("sandbox", None)
