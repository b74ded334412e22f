"""``kill -9`` at every journal write: recovery loses nothing, doubles nothing, and leaves nothing open.

The venue's own books judge. Each point is a process of its own on one sandbox.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dying_engine import SYMBOL, build_engine

from autotrader_lab.execution.recovery import read_past
from autotrader_lab.journal import Journal
from autotrader_lab.journal.fold import fold
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.sandbox import SandboxProcess, start_sandbox
from autotrader_lab.testing.audit import audit, binance_books

CHILD = Path(__file__).with_name("dying_engine.py")


@pytest.fixture(scope="module")
def box() -> Iterator[SandboxProcess]:
    with start_sandbox(seed=3, speed=1) as running:
        yield running


def run_child(box: SandboxProcess, folder: Path, write: int, when: str) -> int:
    folder.mkdir(parents=True)
    environment = {**os.environ, "CRASH_ADDRESSES": json.dumps(box.addresses)}
    ended = subprocess.run(
        [sys.executable, str(CHILD), str(folder), str(write), when],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if ended.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(ended.stderr)
    return ended.returncode


async def venue_books(box: SandboxProcess) -> dict[str, Any]:
    control = box.addresses["control"]
    async with (
        aiohttp.ClientSession(headers={"X-Sandbox-Token": control["token"]}) as client,
        client.get(f"{control['url']}/books", params={"world": "testnet"}) as answer,
    ):
        found: dict[str, Any] = await answer.json()
        return found


async def recover_and_judge(box: SandboxProcess, folder: Path, fresh_s: float) -> None:
    addresses = box.addresses["binance"]
    with Journal.open(folder / "journal.sqlite", session="crash") as journal:
        past = read_past(journal.read(stage="testnet"))
        engine = build_engine(addresses, journal, f"again{folder.name}", fresh_s=fresh_s)
        await engine.start(past)
        for _ in range(200):
            if not engine.trader.book.in_doubt():
                break
            await asyncio.sleep(0.05)
        assert engine.trader.book.in_doubt() == []
        await engine.oms.cancel_all()
        reconciled = await engine.reconcile()
        assert reconciled.ok, reconciled.differences
        held = engine.trader.book.position(SYMBOL)
        await engine.stop()
        books = fold(journal.read(stage="testnet"))
    verdict = audit(books, *binance_books(await venue_books(box)))
    assert verdict.clean, verdict
    assert books.positions.quantity(SYMBOL) == held
    assert all(order.status is not OrderStatus.UNKNOWN for order in books.orders.values())


@pytest.mark.parametrize(
    ("when", "fresh_s"), [("before", 0.0), ("after", 60.0)], ids=["before, given up", "after, sent again"]
)
def test_every_write_point(box: SandboxProcess, tmp_path: Path, when: str, fresh_s: float) -> None:
    write = 0
    died = True
    while died:
        write += 1
        folder = tmp_path / f"{when[0]}{int(fresh_s)}w{write}"
        died = run_child(box, folder, write, when) == -signal.SIGKILL
        asyncio.run(recover_and_judge(box, folder, fresh_s))
    assert write > 15  # the script really writes: decisions apart, an intent and its reports for each of four orders
