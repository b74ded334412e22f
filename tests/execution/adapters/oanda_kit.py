"""What the Oanda tests share: a sandbox with Oanda in it, adapters on it, and something that waits for facts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shared_data import shared

from autotrader_lab.execution.adapters.oanda import OandaAdapter
from autotrader_lab.model.orders import Order, OrderSide, OrderType, Report
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo
from autotrader_lab.sandbox.venues.oanda.venue import OandaVenue

SYMBOL = "EUR/USD"
ORDERS = "POST /v3/accounts/{account}/orders"


def recorded(name: str) -> Any:
    """One recorded file."""
    return json.loads(Path(shared(f"payloads/oanda/{name}.json")).read_text(encoding="utf-8"))


class Saying(Hooks):
    """Says something else in answer to one operation, as often as wanted.

    Parameters
    ----------
    operation : str
    say : callable
        From the venue's answer, or None where the venue is not to see the request, to another answer; None cuts.
    times : int
    acted : bool
        Whether the venue sees the request first.
    """

    def __init__(
        self, operation: str, say: Callable[[Answer | None], Answer | None], times: int = 1, acted: bool = True
    ) -> None:
        self.operation = operation
        self.say = say
        self.times = times
        self.acted = acted
        self.asked: list[str] = []
        self.mute: Callable[[dict[str, Any]], bool] = lambda event: False

    async def before(self, request: RequestInfo) -> Answer | None:
        self.asked.append(request.operation)
        if self.acted or request.operation != self.operation or self.times <= 0:
            return None
        self.times -= 1
        return self.say(None)

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        if not self.acted or request.operation != self.operation or self.times <= 0:
            return answer
        self.times -= 1
        return self.say(answer)

    def frame(self, world: str, channel: str, text: str, line: Any) -> None:
        if channel != "user" or not self.mute(json.loads(text)):
            line.put(text)


def nothing_else() -> Saying:
    """Hooks that change nothing and take note of what is asked."""
    return Saying("", lambda answer: answer, 0)


@asynccontextmanager
async def oanda_sandbox(**settings: Any) -> AsyncIterator[Sandbox]:
    """A running sandbox that serves Oanda, stopped at the end."""
    box = Sandbox(**{"seed": 5, "speed": 0, "venues": ("oanda",), **settings})
    await box.start()
    try:
        yield box
    finally:
        await box.stop()


def venue_of(box: Sandbox, world: str = "testnet") -> OandaVenue:
    venue = box.sites["oanda"].venues[world]
    assert isinstance(venue, OandaVenue)
    return venue


def make(box: Sandbox, environment: str = "practice", **more: Any) -> OandaAdapter:
    return OandaAdapter.on_sandbox(box.addresses["oanda"], environment, **{"timeout_s": 1.0, "paced": False, **more})


@asynccontextmanager
async def connected(box: Sandbox, environment: str = "practice", **more: Any) -> AsyncIterator[OandaAdapter]:
    adapter = make(box, environment, **more)
    await adapter.connect()
    try:
        yield adapter
    finally:
        await adapter.disconnect()


def listen(adapter: OandaAdapter) -> list[Report]:
    """Everything the adapter reports from now on."""
    reports: list[Report] = []
    adapter.subscribe_reports(reports.append)
    return reports


def kinds(reports: list[Report], name: str) -> list[str]:
    """What happened to one order."""
    return [type(report).__name__ for report in reports if report.client_order_id == name]


def order(name: str, side: str = "buy", kind: str = "market", quantity: float = 1000, **more: Any) -> Order:
    return Order("", SYMBOL, OrderSide(side), OrderType(kind), quantity, client_order_id=name, **more)


def move(box: Sandbox, price: float, symbol: str = "EUR_USD", world: str = "testnet") -> None:
    """The whole market goes to a price."""
    there = box.sites["oanda"].worlds[world]
    push_price(there, symbol, round(price * 1e8))
    there.publish()


def taken(box: Sandbox, world: str = "testnet") -> list[str]:
    """Our ids of all orders the desk ever took."""
    return [each.client_id for each in venue_of(box, world).desk.orders.values()]


async def until(fact: Callable[[], Any], within_s: float = 5.0) -> Any:
    """Wait for a fact."""
    async with asyncio.timeout(within_s):
        while not (found := fact()):
            await asyncio.sleep(0.005)
    return found
