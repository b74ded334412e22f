"""What the FXCM tests share: a sandbox with FXCM in it, adapters on it, and something that waits for facts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from shared_data import shared

from autotrader_lab.execution.adapters.fix import FixMessage, Framer
from autotrader_lab.execution.adapters.fxcm import FXCMAdapter
from autotrader_lab.model.orders import Order, OrderSide, OrderType, Report
from autotrader_lab.sandbox import Sandbox, sites
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.venues.fxcm.site import FxcmSite

SYMBOL = "EUR/USD"


def recorded(name: str) -> list[dict[str, Any]]:
    """The messages of one recorded file, in order."""
    content = json.loads(Path(shared(f"payloads/fxcm/{name}.json")).read_text(encoding="utf-8"))
    return content if isinstance(content, list) else [content]


def wire(entry: dict[str, Any]) -> bytes:
    """A recorded message as it was on the wire."""
    return "".join(f"{tag}={value}\x01" for tag, value in entry["fields"]).encode("latin-1")


def parse(data: bytes) -> FixMessage:
    """The one message in `data`."""
    (message,) = Framer().feed(data)
    return message


def fix(text: str) -> FixMessage:
    """A message written with bars between its fields."""
    pairs = (part.partition("=") for part in text.strip("|").split("|"))
    return FixMessage([(int(tag), value) for tag, _, value in pairs])


async def start_sandbox(**settings: Any) -> Sandbox:
    """A running sandbox that serves FXCM."""
    sites.VENUES = tuple(dict.fromkeys((*sites.VENUES, "fxcm")))
    box = Sandbox(**{"seed": 5, "speed": 0, "venues": ("fxcm",), **settings})
    await box.start()
    return box


@asynccontextmanager
async def fxcm_sandbox(**settings: Any) -> AsyncIterator[Sandbox]:
    """A running sandbox that serves FXCM, stopped at the end."""
    box = await start_sandbox(**settings)
    try:
        yield box
    finally:
        await box.stop()


def site_of(box: Sandbox) -> FxcmSite:
    site = box.sites["fxcm"]
    assert isinstance(site, FxcmSite)
    return site


@asynccontextmanager
async def connected(box: Sandbox, environment: str = "demo", **more: Any) -> AsyncIterator[FXCMAdapter]:
    adapter = FXCMAdapter.on_sandbox(box.addresses["fxcm"], environment, **more)
    await adapter.connect()
    try:
        yield adapter
    finally:
        await adapter.disconnect()


def listen(adapter: FXCMAdapter) -> list[Report]:
    """Everything the adapter reports from now on."""
    reports: list[Report] = []
    adapter.subscribe_reports(reports.append)
    return reports


def kinds(reports: list[Report], name: str) -> list[str]:
    """What happened to one order."""
    return [type(report).__name__ for report in reports if report.client_order_id == name]


def order(name: str, side: str = "buy", kind: str = "market", quantity: float = 5000, **more: Any) -> Order:
    return Order("", SYMBOL, OrderSide(side), OrderType(kind), quantity, client_order_id=name, **more)


def touch(box: Sandbox, world: str = "testnet", symbol: str = "EURUSD") -> tuple[float, float]:
    """Best bid and ask."""
    bid, ask = site_of(box).venues[world].desk.touch(symbol)
    return bid / 1e8, ask / 1e8


def trade_at(box: Sandbox, price: float, quantity: int, taker: Side, world: str = "testnet") -> None:
    """Let the outside market trade with what rests at a price."""
    there = site_of(box).worlds[world]
    there.exchange.market_trade("EURUSD", taker, round(price * 1e8), quantity * 10**8, there.now_ms())
    there.publish()


async def until(fact: Callable[[], Any], what: str = "", within_s: float = 5.0) -> Any:
    """Wait for a fact."""
    async with asyncio.timeout(within_s):
        while not (found := fact()):
            await asyncio.sleep(0.005)
    return found
