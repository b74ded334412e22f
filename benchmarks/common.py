"""What the benchmarks share: an engine on the local sandbox, its control, the machine, figures with their spread."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table
from venue_kit import KITS, Kit

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.journal import Journal
from autotrader_lab.sandbox import SandboxProcess, start_sandbox
from autotrader_lab.strategy.contract import Strategy

__all__ = ["Control", "engine_on_sandbox", "machine", "quoted", "show", "spread"]


class Idle(Strategy):
    """Decides nothing; the benchmark sends the orders."""


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    load = os.getloadavg()[0]
    return {"python": platform.python_version(), "cores": os.cpu_count(), "load_1m": round(load, 2)}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median and maximum."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


class Control:
    """The sandbox's control address.

    Parameters
    ----------
    session : aiohttp.ClientSession
    box : SandboxProcess
    venue : str
        Whom requests are about.
    """

    def __init__(self, session: aiohttp.ClientSession, box: SandboxProcess, venue: str) -> None:
        self._session = session
        self._venue = venue
        self._url = box.addresses["control"]["url"]
        self._headers = {"X-Sandbox-Token": box.addresses["control"]["token"]}

    async def ask(self, verb: str, path: str, body: Any = None) -> Any:
        """One request; anything but success ends the benchmark."""
        async with self._session.request(verb, f"{self._url}{path}", json=body, headers=self._headers) as response:
            answer = await response.json()
            if response.status != 200:
                raise RuntimeError(f"{verb} {path}: {answer}")
            return answer

    async def post(self, path: str, **body: Any) -> Any:
        """Ask for one thing in the venue's test world."""
        return await self.ask("POST", path, {"venue": self._venue, "world": "testnet", **body})

    async def books(self) -> Any:
        """The venue's own record."""
        return await self.ask("GET", f"/books?venue={self._venue}&world=testnet")


@asynccontextmanager
async def engine_on_sandbox(
    folder: Path,
    *,
    kit: Kit = KITS["binance"],
    speed: float = 1.0,
    box: SandboxProcess | None = None,
    **options: Any,
) -> AsyncIterator[tuple[ExecutionEngine, SandboxProcess]]:
    """A started engine on a venue's test world, with a journal on disk.

    The sandbox is a process of its own: `box`, which then goes on, or a new one. Yields the engine and the sandbox.
    """
    own = start_sandbox(seed=5, speed=speed, venues=[kit.name]) if box is None else None
    where = own or box
    assert where is not None, "one of the two"
    try:
        adapter = kit.adapter(where.addresses)
        with Journal.open(folder / "journal.sqlite", session="benchmark") as journal:
            engine = ExecutionEngine(Idle(), adapter, symbols=[kit.symbol], journal=journal, stage="testnet", **options)
            await engine.start()
            try:
                yield engine, where
            finally:
                await engine.stop()
    finally:
        if own is not None:
            own.stop()


async def quoted(engine: ExecutionEngine, symbol: str) -> tuple[float, float]:
    """Bid and ask, as soon as there are any."""
    while symbol not in engine.trader.book.bid_ask:
        await asyncio.sleep(0.01)
    return engine.trader.book.bid_ask[symbol]


def show(title: str, result: Mapping[str, Any], as_json: bool) -> None:
    """Print `result` as one line of JSON, or as a table."""
    if as_json:
        print(json.dumps(result))
        return
    table = Table(title=title)
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, value in _rows(result):
        words = ", ".join(f"{k} {_short(v)}" for k, v in value.items()) if isinstance(value, Mapping) else _short(value)
        table.add_row(name.replace("_", " "), words)
    Console().print(table)


def _rows(result: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names and values; what has figures of its own inside gets a row for each of them."""
    rows = []
    for name, value in result.items():
        if isinstance(value, Mapping) and any(isinstance(part, Mapping) for part in value.values()):
            rows += [(f"{name}: {inner}", part) for inner, part in _rows(value)]
        else:
            rows.append((name, value))
    return rows


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1_000 else str(value)
