"""What the benchmarks share: an engine on the local sandbox, the machine in one line, figures with their spread."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.journal import Journal
from autotrader_lab.sandbox import SandboxProcess, start_sandbox
from autotrader_lab.strategy.contract import Strategy

__all__ = ["engine_on_sandbox", "machine", "show", "spread"]


class Idle(Strategy):
    """Decides nothing; the benchmark sends the orders."""


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    load = os.getloadavg()[0]
    return {"python": platform.python_version(), "cores": os.cpu_count(), "load_1m": round(load, 2)}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median and maximum."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


@asynccontextmanager
async def engine_on_sandbox(
    folder: Path, *, speed: float = 1.0, **options: Any
) -> AsyncIterator[tuple[ExecutionEngine, SandboxProcess]]:
    """A started engine on Binance's testnet world of a sandbox in a process of its own, with a journal on disk.

    Yields the engine and the sandbox.
    """
    box = start_sandbox(seed=5, speed=speed)
    try:
        addresses = box.addresses["binance"]
        adapter = BinanceAdapter(addresses["api_key"], addresses["api_secret"], testnet=True, addresses=addresses)
        with Journal.open(folder / "journal.sqlite", session="benchmark") as journal:
            engine = ExecutionEngine(Idle(), adapter, symbols=["BTC/USDT"], journal=journal, stage="testnet", **options)
            await engine.start()
            try:
                yield engine, box
            finally:
                await engine.stop()
    finally:
        box.stop()


def show(title: str, result: Mapping[str, Any], as_json: bool) -> None:
    """Print `result` as one line of JSON, or as a table."""
    if as_json:
        print(json.dumps(result))
        return
    table = Table(title=title)
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, value in result.items():
        words = (
            ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in value.items())
            if isinstance(value, Mapping)
            else str(value)
        )
        table.add_row(name.replace("_", " "), words)
    Console().print(table)
