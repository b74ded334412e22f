"""How long the engine host is deaf while a notebook's kernel does its worst.

A real Jupyter kernel holds a lab whose host trades on paper. From outside, the host is asked for its state every 10 ms
while the kernel sleeps, burns Python, holds the interpreter in C, is interrupted, restarted and killed; and, in a
session of its own, while a host replays 20,000 bars (an order each) in a thread. The longest wait for an answer bounds
the gap in the host's heartbeat from above: it includes the asking.

Run: ``python benchmarks/heartbeat.py --json``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import jupyter_client
from common import machine, show

from autotrader_lab.host.runs import RunFolder, list_sessions

START = """
import numpy as np, pandas as pd
from autotrader_lab import Lab, Strategy

class Flip(Strategy):
    def on_bar(self, bar, context):
        if context.position(bar.symbol) > 0:
            return self.close(bar.symbol, context)
        return self.long(bar.symbol, 1.0, context)

close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 5000)))
bars = pd.DataFrame({"open": close, "high": close * 1.01, "low": close * 0.99, "close": close},
                    index=pd.date_range("2024-01-01", periods=5000, freq="D", tz="UTC"))
lab = Lab(Flip(), profile="rehearsal", name="heartbeat")
await lab.start("paper", data=bars, interval_s=0.05)
"""
REPLAYS = "replay in the host"
REPLAYER = """
many = pd.concat([bars] * 4)
many.index = pd.date_range("2000-01-01", periods=len(many), freq="1min", tz="UTC")
replayer = Lab(Flip(), profile="rehearsal", name="replaying")
await replayer.start("replay", data=bars)
"""


class Kernel:
    """A real kernel, and the cells that hurt it."""

    def __init__(self) -> None:
        self._manager = jupyter_client.KernelManager()
        self._manager.start_kernel()
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(self, code: str, timeout_s: float = 120) -> None:
        """Run a cell to its end."""
        reply = self._client.execute_interactive(code, timeout=timeout_s, output_hook=lambda message: None)
        if reply["content"]["status"] != "ok":
            raise SystemExit("\n".join(reply["content"]["traceback"]))

    def interrupt_a_busy_cell(self) -> None:
        """A cell that loops, interrupted after two seconds."""
        self._client.execute("while True: pass")
        time.sleep(2)
        self._manager.interrupt_kernel()
        time.sleep(1)

    def restart(self) -> None:
        """As the menu does."""
        self._manager.restart_kernel(now=True)
        self._client.wait_for_ready(timeout=60)

    def kill(self) -> None:
        """As the kernel's out-of-memory death does."""
        self._manager.signal_kernel(9)
        time.sleep(2)

    def close(self) -> None:
        """End it."""
        self._client.stop_channels()
        if self._manager.is_alive():
            self._manager.shutdown_kernel(now=True)
        self._manager.context.destroy(linger=0)


async def waits_during(work: Callable[[], None], session: str) -> list[float]:
    """Milliseconds each question to the session's host took while `work` ran in a thread."""
    info = RunFolder.named(session).host_if_alive()
    assert info is not None
    url = f"http://127.0.0.1:{info.port}/v1/status"
    waits: list[float] = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {info.token}"}) as client:
        running = asyncio.create_task(asyncio.to_thread(work))
        while not running.done():
            asked = time.perf_counter()
            async with client.get(url) as answer:
                await answer.read()
            waits.append((time.perf_counter() - asked) * 1e3)
            await asyncio.sleep(0.01)
        await running
    return waits


def measure() -> dict[str, Any]:
    """Every case, one after another, on one session."""
    kernel = Kernel()
    try:
        kernel.run(START)
        kernel.run(REPLAYER)
        cases: dict[str, Callable[[], None]] = {
            "idle": lambda: time.sleep(3),
            "time.sleep": lambda: kernel.run("import time; time.sleep(3)"),
            "Python loop": lambda: kernel.run("t = time.time()\nwhile time.time() - t < 3: pass"),
            "C call holding the GIL": lambda: kernel.run("sum(range(150_000_000))"),
            "sorting 2 million": lambda: kernel.run("sorted(np.random.default_rng(0).random(2_000_000).tolist())"),
            REPLAYS: lambda: kernel.run("await replayer.start('replay', data=many)"),
            "interrupt": kernel.interrupt_a_busy_cell,
            "kernel restart": kernel.restart,
            "kernel kill -9": kernel.kill,
        }
        found: dict[str, Any] = {}
        for name, work in cases.items():
            waits = asyncio.run(waits_during(work, "replaying" if name == REPLAYS else "heartbeat"))
            found[name] = {"median_ms": statistics.median(waits), "max_ms": max(waits), "asked": len(waits)}
        return found
    finally:
        kernel.close()
        for row in list_sessions():
            info = RunFolder(row.path).host_if_alive()
            if info is not None:
                os.kill(info.pid, 15)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["AUTOTRADER_LAB_HOME"] = home
        found = measure()
    result = {"worst_ms": max(case["max_ms"] for case in found.values()), **found, "machine": machine()}
    show("host heartbeat, from outside", result, arguments.json)


if __name__ == "__main__":
    main()
