"""The host's round: what it sees without being told."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.host.arming import Arming
from autotrader_lab.host.lease import Lease
from autotrader_lab.host.runs import RunFolder
from autotrader_lab.host.watch import Watch
from autotrader_lab.model.clock import NS, SystemClock


class JumpingClock(SystemClock):
    """The machine's clock, whose wall time somebody sets."""

    ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns


class WatchedSession:
    """What the watch looks at, and what it was told."""

    def __init__(self, folder: RunFolder) -> None:
        self.clock = JumpingClock()
        self.folder = folder
        self.arming = Arming(self.clock)
        self.lease = Lease(self.clock.monotonic_ns())
        self.run_of_stage = None
        self.stage = ""
        self.is_changing = False
        self.told: list[str] = []

    async def clock_jumped(self, seconds: float) -> None:
        self.told.append(f"clock {round(seconds)}")

    async def kill(self, reason: str) -> None:
        self.told.append(reason)

    @property
    def trades_unarmed(self) -> bool:
        return "armed" in self.told and self.arming.armed_until_ns is None and "arming ended" not in self.told

    def arming_ended(self) -> None:
        self.told.append("arming ended")


@pytest.fixture
async def watched(tmp_path):
    session = WatchedSession(RunFolder(tmp_path))
    session.lease.taken(0)
    task = asyncio.create_task(Watch(session, {"AUTOTRADER_LAB_IDLE_EXIT_S": "0.2"}).run())
    session.task = task
    await asyncio.sleep(0.1)
    yield session
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def told(session: WatchedSession, what: str) -> None:
    async with asyncio.timeout(5):
        while what not in session.told:
            await asyncio.sleep(0.01)


async def test_a_clock_that_jumps_is_noticed_and_one_that_runs_is_not(watched):
    assert watched.told == []
    watched.clock.ahead_ns = 60 * NS
    await told(watched, "clock 60")
    watched.clock.ahead_ns = 0
    await told(watched, "clock -60")


async def test_the_kill_file_is_obeyed(watched):
    watched.folder.kill_file.touch()
    await told(watched, "the KILL file was touched")


async def test_the_end_of_arming_is_told(watched):
    watched.arming.confirm(watched.arming.challenge("LIVE", ["BTC/USDT"]).phrase, expires_s=0.3)
    watched.told.append("armed")
    await told(watched, "arming ended")


async def test_it_returns_when_nobody_needs_the_host(watched):
    await asyncio.sleep(0.4)
    assert not watched.task.done()
    watched.is_changing = True
    watched.lease.lost(0)
    await asyncio.sleep(0.4)
    assert not watched.task.done()
    watched.is_changing = False
    await asyncio.wait_for(watched.task, 5)


def test_detaching_is_no_loss():
    lease = Lease(0)
    assert lease.taken(1)
    assert not lease.taken(2)
    assert not lease.lost(3)
    assert lease.state == "held"
    lease.detach()
    assert not lease.lost(4)
    assert lease.state == "detached"
    assert lease.taken(5)
    assert lease.lost(6)
    assert lease.state == "none"
