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
from chaos_judge import judge
from dying_engine import build_engine
from venue_kit import KITS, Kit

from autotrader_lab.execution.recovery import read_past
from autotrader_lab.journal import Journal
from autotrader_lab.journal.fold import fold
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.sandbox import SandboxProcess, start_sandbox

CHILD = Path(__file__).with_name("dying_engine.py")


@pytest.fixture(scope="module")
def box() -> Iterator[SandboxProcess]:
    with start_sandbox(seed=3, speed=1, venues=list(KITS)) as running:
        yield running


class Deaths:
    """The process that forks those that die."""

    def __init__(self, box: SandboxProcess) -> None:
        environment = {**os.environ, "CRASH_ADDRESSES": json.dumps(box.addresses)}
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def die(self, venue: str, folder: Path, write: int, when: str) -> bool:
        """Whether the engine died at that write; false if it came to its end before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        folder.mkdir(parents=True)
        self._process.stdin.write(json.dumps([venue, str(folder), write, when]) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        assert status in (0, -signal.SIGKILL), "it failed otherwise than it was to; see its stderr"
        return status != 0

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def deaths(box: SandboxProcess) -> Iterator[Deaths]:
    served = Deaths(box)
    yield served
    served.close()


async def venue_books(box: SandboxProcess, venue: str) -> dict[str, Any]:
    control = box.addresses["control"]
    async with (
        aiohttp.ClientSession(headers={"X-Sandbox-Token": control["token"]}) as client,
        client.get(f"{control['url']}/books", params={"venue": venue, "world": "testnet"}) as answer,
    ):
        found: dict[str, Any] = await answer.json()
        return found


async def recover_and_judge(
    box: SandboxProcess, kit: Kit, folder: Path, before: dict[str, Any], fresh_s: float
) -> dict[str, Any]:
    """The venue's books afterwards."""
    with Journal.open(folder / "journal.sqlite", session="crash") as journal:
        past = read_past(journal.read(stage="testnet"))
        engine = build_engine(kit, box.addresses, journal, f"a{folder.name}", fresh_s=fresh_s)
        patience = engine.resiliency
        assert patience is not None
        await engine.start(past)
        for _ in range(200):
            if not engine.trader.book.in_doubt():
                break
            await patience.ask_with_retry(engine.monitor.settle_doubt)  # the dead used up some of the venue's share
            await asyncio.sleep(0.02)
        assert engine.trader.book.in_doubt() == []
        await engine.oms.cancel_all()
        reconciled = await engine.monitor.reconcile_until_answered("asked", attempts=6)
        assert reconciled.ok, reconciled.differences
        held = engine.trader.book.position(kit.symbol)
        await engine.stop()
        written = list(journal.read(stage="testnet"))
    after = await venue_books(box, kit.name)
    verdict = judge(written, before, after, kit)
    assert verdict.findings == [], [str(finding) for finding in verdict.findings]
    books = fold(written)
    assert books.positions.quantity(kit.symbol) == held
    assert all(order.status is not OrderStatus.UNKNOWN for order in books.orders.values())
    return after


@pytest.mark.parametrize("venue", KITS)
@pytest.mark.parametrize(
    ("when", "fresh_s"), [("before", 0.0), ("after", 60.0)], ids=["before, given up", "after, sent again"]
)
def test_every_write_point(
    box: SandboxProcess, deaths: Deaths, tmp_path: Path, venue: str, when: str, fresh_s: float
) -> None:
    books = asyncio.run(venue_books(box, venue))
    write = 0
    died = True
    while died:
        write += 1
        folder = tmp_path / f"{when[0]}{write}"
        died = deaths.die(venue, folder, write, when)
        books = asyncio.run(recover_and_judge(box, KITS[venue], folder, books, fresh_s))
    assert write > 15  # the script really writes: decisions apart, an intent and its reports for each of four orders
