"""How hosts begin, change and end: idle exit, signals, promotion carries the strategy, demotion, interrupts."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from autotrader_lab.host.spawn import wait_until_gone
from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import HostError

from .strategies import Flip, Remembers
from .support import earn, host_of, kill_host


async def until(condition, timeout_s: float = 10.0):
    """Await until `condition` holds; returns what it gave."""
    for _ in range(round(timeout_s / 0.05)):
        found = condition()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it never came true")


async def test_an_idle_host_nobody_holds_ends_by_itself(bars, monkeypatch):
    monkeypatch.setenv("AUTOTRADER_LAB_IDLE_EXIT_S", "0.3")
    lab = Lab(Flip(), profile="rehearsal")
    await lab.start("replay", data=bars)
    info = host_of(lab)
    await asyncio.sleep(0.6)
    assert info.is_alive  # somebody holds it
    await lab.client.close()
    assert await asyncio.to_thread(wait_until_gone, info)
    assert not (lab.folder / "host.json").exists()
    assert (await lab.status())["stage"] == "replay"


async def test_a_terminated_host_leaves_its_stage_for_the_next(bars):
    lab = Lab(Flip(), profile="rehearsal")
    await lab.start("paper", data=bars, interval_s=0.02)
    await lab.wait(fills=2, timeout_s=20)
    info = host_of(lab)
    os.kill(info.pid, signal.SIGTERM)
    assert await asyncio.to_thread(wait_until_gone, info)
    fills = len(lab.fills())
    status = await lab.recover()
    assert (status["stage"], status["state"]) == ("paper", "running")
    await lab.wait(fills=fills + 2, timeout_s=20)
    await lab.close()


async def test_paper_goes_on_after_kill_9_with_the_money_it_had(bars):
    lab = Lab(Remembers(size=1.0), profile="rehearsal")
    await lab.start("paper", data=bars, interval_s=0.02)
    await lab.wait(fills=3, timeout_s=20)
    kill_host(lab)
    held = lab.positions()["quantity"].sum()
    fills = len(lab.fills())
    await lab.recover()
    await lab.wait(fills=fills + 3, timeout_s=20)
    await lab.stop()
    assert lab.fills()["execution_id"].is_unique
    signed = lab.fills()["quantity"] * lab.fills()["side"].map({"buy": 1, "sell": -1})
    assert lab.positions()["quantity"].sum() == pytest.approx(signed.sum())
    assert held in (0.0, 1.0)
    told = [metadata["told"] for metadata in lab.decisions()["metadata"]]
    assert told == sorted(told)
    with pytest.raises(HostError, match="nothing to recover"):
        await lab.recover()
    await lab.close()


async def test_promotion_carries_the_strategy_and_demotion_steps_down(sandbox):
    async with Lab(Remembers(), sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2) as lab:
        earn(lab, "paper")
        await lab.start("paper")
        await lab.wait(fills=2, timeout_s=20)
        await lab.promote("testnet")
        await lab.wait(fills=2, timeout_s=20)
        told = [metadata["told"] for metadata in lab.decisions("testnet")["metadata"]]
        assert told[0] >= 2  # the same object, with what it remembers
        status = await lab.demote()
        assert (status["stage"], status["state"]) == ("paper", "running")
        assert abs(lab.positions("testnet")["quantity"].sum()) < 1e-4
        await lab.wait(fills=1, timeout_s=20)
        with pytest.raises(HostError, match="demotion goes to paper or testnet"):
            await lab.demote()


async def test_an_interrupted_cell_does_not_cut_a_command_in_half(bars):
    async with Lab(Flip(), profile="rehearsal") as lab:
        starting = asyncio.ensure_future(lab.start("paper", data=bars, interval_s=0.02))
        await until(lambda: lab.client is not None)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        status = await lab.status()
        if status["stage"] == "paper":  # it had been sent: then it is carried out whole
            await lab.wait(decisions=1, timeout_s=20)
        else:
            await lab.start("paper", data=bars, interval_s=0.02)
        assert (await lab.status())["state"] == "running"


def test_a_script_without_a_loop_of_its_own_works(bars):
    async def script():
        async with Lab(Flip(), profile="rehearsal") as lab:
            await lab.start("replay", data=bars)
            return lab.result.stats["trades"]

    assert asyncio.run(script()) == asyncio.run(script()) == 299
