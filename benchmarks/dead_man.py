"""How long orders outlive the notebook that stood for them: from its death to the venue's own record of the cancel.

A process that stands for a notebook climbs to testnet on a sandbox, leaves orders waiting there, and is killed with
``kill -9``; another takes its place, again and again. Both moments are on this machine's clock: the kill as it is sent,
the last cancel as the venue's books have it (whole milliseconds).

Run: ``python benchmarks/dead_man.py --json``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

from common import machine, show, spread

from autotrader_lab.host.runs import RunFolder, list_sessions
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.sandbox import SandboxProcess, start_sandbox

NOTEBOOK = """
import asyncio, json, sys
from autotrader_lab import Lab, Strategy

class Waits(Strategy):
    def __init__(self):
        self.bars = 0
    def on_bar(self, bar, context):
        self.bars += 1
        if self.bars % 10 == 5:
            return self.long(bar.symbol, 0.01, context, limit_price=float(round(bar.close * 0.9)))
        if context.position(bar.symbol) > 0:
            return self.close(bar.symbol, context)
        return self.long(bar.symbol, 0.01, context)

async def main():
    sandbox = json.loads(sys.stdin.readline())
    if len(sys.argv) > 1:
        lab = await Lab.attach(sys.argv[1], sandbox=sandbox)
    else:
        lab = Lab(Waits(), sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2)
        await lab.start("paper")
        await lab.wait(gate="testnet", timeout_s=120)
        await lab.promote("testnet")
    print(lab.session, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
WORKING = ("NEW", "PARTIALLY_FILLED")


def orders(box: SandboxProcess) -> list[dict[str, Any]]:
    """Every order of the testnet world, from the venue's books."""
    control = box.addresses["control"]
    request = urllib.request.Request(
        f"{control['url']}/books?world=testnet", headers={"X-Sandbox-Token": control["token"]}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return [row for account in json.load(answer)["accounts"] for row in account["orders"]]


def until(condition: Any, what: str) -> None:
    """Return once `condition` holds."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within 30 s")
        time.sleep(0.02)


def resting(box: SandboxProcess) -> list[str]:
    """Ids of the orders that wait."""
    return [row["clientOrderId"] for row in orders(box) if row["status"] in WORKING and row["type"] == "LIMIT"]


def one_death(box: SandboxProcess, session: str) -> tuple[str, float]:
    """A notebook that dies with orders waiting; returns its session, and ms until the venue cancelled the last."""
    notebook = subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, *([session] if session else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert notebook.stdin is not None
    assert notebook.stdout is not None
    try:
        notebook.stdin.write(json.dumps(box.addresses) + "\n")
        notebook.stdin.flush()
        session = notebook.stdout.readline().strip()
        if not session:
            raise SystemExit("the notebook's stand-in ended early; its error is above")
        until(lambda: resting(box), "an order that waits")
        ours = set(resting(box))
        killed_ms = SystemClock().now_ns() / 1e6
        notebook.kill()
        until(lambda: not resting(box), "the cancels")
        cancelled = [row["updateTime"] for row in orders(box) if row["clientOrderId"] in ours]
        return session, max(cancelled) - killed_ms
    finally:
        notebook.kill()
        notebook.communicate()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, start_sandbox(seed=5) as box:
        os.environ["AUTOTRADER_LAB_HOME"] = home
        session, waits = "", []
        try:
            for _ in range(arguments.runs):
                session, wait_ms = one_death(box, session)
                waits.append(wait_ms)
        finally:
            for row in list_sessions():
                info = RunFolder(row.path).host_if_alive()
                if info is not None:
                    os.kill(info.pid, signal.SIGKILL)
    result = {"death_to_cancelled_ms": spread(waits), "runs": len(waits), "machine": machine()}
    show("a notebook's death to its orders' cancel", result, arguments.json)


if __name__ == "__main__":
    main()
