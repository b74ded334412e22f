"""On a real venue's protocol: what becomes of orders when the notebook dies, the host dies, or a person says stop."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from autotrader_lab.execution.config import BinanceConfig, ExecutionConfig
from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import GateClosed, HostError

from .strategies import Flip, Remembers, Rester
from .support import arguments_of, earn, host_of, kill_host


def new_lab(sandbox, strategy, *earned: str, **settings) -> Lab:
    lab = Lab(strategy, sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2, **settings)
    earn(lab, *earned)
    return lab


def venue(sandbox, world: str = "testnet") -> dict:
    """The venue's own books."""
    control = sandbox.addresses["control"]
    request = urllib.request.Request(
        f"{control['url']}/books?world={world}", headers={"X-Sandbox-Token": control["token"]}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        accounts = json.load(answer)["accounts"]
    return {name: [row for account in accounts for row in account[name]] for name in ("orders", "trades")}


def working(sandbox, lab: Lab, stage: str = "testnet") -> list[str]:
    """Client order ids of the lab that the venue has working."""
    ours = set(lab.orders(stage).index)
    states = ("NEW", "PARTIALLY_FILLED")
    return [
        order["clientOrderId"]
        for order in venue(sandbox, stage)["orders"]
        if order["clientOrderId"] in ours and order["status"] in states
    ]


@pytest.mark.parametrize(("stage", "earned"), [("testnet", ["paper"]), ("live", ["paper", "testnet"])])
async def test_a_dead_notebook_cancels_and_the_position_is_kept(sandbox, stage, earned):
    lab = new_lab(sandbox, Rester(buy=0.02), *earned)
    notebook = _notebook(sandbox, lab, stage)
    try:
        assert notebook.stdout.readline().strip() == "ready"
        assert len(working(sandbox, lab, stage)) == 1
        notebook.kill()
        notebook.communicate()
        again = await Lab.attach(lab.session)
        for _ in range(50):
            if not working(sandbox, lab, stage):
                break
            await asyncio.sleep(0.05)
        assert working(sandbox, lab, stage) == []
        assert "LEASE_LOST" in list(again.alerts()["code"])
        assert again.positions().loc["BTC/USDT", "quantity"] > 0
        # Somebody is there again; with real orders it takes more than that.
        assert (await again.status())["trading_state"] == ("ACTIVE" if stage == "testnet" else "REDUCING")
        await again.stop(flatten=True)
        assert abs(again.positions().loc["BTC/USDT", "quantity"]) < 1e-4
        await again.close()
    finally:
        notebook.kill()
        notebook.communicate()


async def test_a_detached_session_keeps_its_orders(sandbox):
    lab = new_lab(sandbox, Rester(buy=0.02), "paper")
    notebook = _notebook(sandbox, lab, "testnet", "--detach")
    try:
        assert [notebook.stdout.readline().strip() for _ in range(2)] == ["ready", "detached"]
        notebook.kill()
        notebook.communicate()
        await asyncio.sleep(0.3)
        assert len(working(sandbox, lab)) == 1
        again = await Lab.attach(lab.session)
        report = await again.kill(flatten=True)
        assert report["verified"]
        assert report["cancelled"] == 1
        assert working(sandbox, lab) == []
        await again.close()
    finally:
        notebook.kill()
        notebook.communicate()


def _notebook(sandbox, lab: Lab, *arguments: str) -> subprocess.Popen:
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, str(here / "leave_orders.py"), lab.session, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(here.parent)},
    )
    process.stdin.write(json.dumps(sandbox.addresses) + "\n")
    process.stdin.flush()
    return process


async def test_kill_9_and_recovery_lose_nothing_and_double_nothing(sandbox):
    lab = new_lab(sandbox, Remembers(), "paper")
    await lab.start("testnet")
    await lab.wait(fills=3, timeout_s=20)
    kill_host(lab)
    with pytest.raises(HostError, match=r"has died.*recover"):
        await lab.stop()
    dead = await lab.status()
    assert (dead["state"], dead["stage"]) == ("failed", "testnet")
    before = lab.fills()
    assert len(before) >= 3
    found = await Lab.attach()
    assert found.session == lab.session
    with pytest.raises(HostError, match="recover"):
        await found.promote()
    status = await lab.recover()
    assert (status["stage"], status["state"]) == ("testnet", "running")
    await lab.wait(fills=len(before) + 2, timeout_s=20)
    told = [decision["told"] for decision in lab.decisions()["metadata"]]
    assert told == sorted(told)  # the new process's strategy knows what the old one's did
    await lab.stop(flatten=True)
    ours = set(lab.orders()["order_id"])
    theirs = [str(trade["tradeId"]) for trade in venue(sandbox)["trades"] if str(trade["orderId"]) in ours]
    fills = lab.fills()
    assert sorted(theirs) == sorted(fills["execution_id"])
    assert fills["execution_id"].is_unique
    status = await lab.status()
    assert status["counters"]["unreconciled"] == 0
    assert lab.positions()["quantity"].abs().max() < 1e-4
    await lab.close()


async def test_a_halt_outlives_the_host(sandbox):
    lab = new_lab(sandbox, Flip(), "paper")
    await lab.start("testnet")
    await lab.wait(fills=1, timeout_s=20)
    await lab.kill(flatten=True)
    kill_host(lab)
    status = await lab.recover()
    assert (status["state"], status["trading_state"]) == ("halted", "HALTED")
    orders = status["counters"]["orders"]
    await asyncio.sleep(0.5)
    assert (await lab.status())["counters"]["orders"] == orders
    await lab.rearm()
    await lab.wait(orders=orders + 1, timeout_s=20)
    await lab.stop(flatten=True)
    await lab.close()


async def test_live_needs_its_phrase_and_goes_on_with_exits_only_after_a_restart(sandbox):
    async with new_lab(sandbox, Flip(), "paper", "testnet") as lab:
        with pytest.raises(GateClosed, match="not armed"):
            await lab.start("live")
        with pytest.raises(GateClosed, match="nothing to confirm"):
            await lab.arm("LIVE BTC/USDT yes")
        challenge = await lab.arm()
        assert challenge.phrase.startswith("LIVE, rehearsal BTC/USDT ")
        assert (await lab.arm(challenge.phrase, expires_s=60))["armed_until_ns"] is not None
        status = await lab.start("live")
        assert status["label"] == "LIVE, rehearsal"
        await lab.wait(fills=1, timeout_s=20)
        kill_host(lab)
        status = await lab.recover()
        assert (status["armed_until_ns"], status["trading_state"]) == (None, "REDUCING")
        assert "REARM_NEEDED" in list(lab.alerts()["code"])
        await lab.arm((await lab.arm()).phrase)
        assert (await lab.status())["trading_state"] == "ACTIVE"
        await lab.stop(flatten=True)


async def test_when_arming_ends_live_takes_exits_only(sandbox):
    async with new_lab(sandbox, Flip(), "paper", "testnet") as lab:
        await lab.arm((await lab.arm()).phrase, expires_s=1.5)
        await lab.start("live")
        for _ in range(60):
            status = await lab.status()
            if status["trading_state"] == "REDUCING":
                break
            await asyncio.sleep(0.05)
        assert status["trading_state"] == "REDUCING"
        assert "ARMING_ENDED" in list(lab.alerts()["code"])
        await lab.stop(flatten=True)


async def test_the_drill_leaves_nothing_working_and_trading_goes_on(sandbox):
    async with new_lab(sandbox, Rester(), "paper") as lab:
        await lab.start("testnet")
        await lab.wait(orders=1, timeout_s=20)
        drill = await lab.drill()
        assert drill["ok"]
        assert drill["cancelled"] == 1
        assert working(sandbox, lab) == []
        assert (await lab.status())["trading_state"] == "ACTIVE"


async def test_the_rehearsal_never_opens_a_real_venue():
    keys = BinanceConfig(api_key="k" * 64, api_secret="s" * 64, testnet=False)
    lab = Lab(Flip(), config=ExecutionConfig(broker="binance", binance=keys), profile="rehearsal")
    earn(lab, "paper", "testnet")
    async with lab:
        with pytest.raises(GateClosed, match="'rehearsal' cannot open the live stage of a real venue"):
            await lab.arm()
        with pytest.raises(GateClosed, match="'rehearsal' cannot open the live stage of a real venue"):
            await lab.start("live")
        assert list(lab.orders("live").index) == []
        secrets = b"s" * 64
        for name in ("session.json", "journal.sqlite", "host.log"):
            assert secrets not in (lab.folder / name).read_bytes()
        assert "s" * 64 not in arguments_of(host_of(lab).pid)


async def test_recovering_without_the_sandbox_says_what_to_give(sandbox):
    lab = new_lab(sandbox, Flip(), "paper")
    await lab.start("testnet")
    kill_host(lab)
    with pytest.raises(HostError, match=r"AUTOTRADER_LAB_SANDBOX names none; give it"):
        await Lab.attach(lab.session, recover=True)
    again = await Lab.attach(lab.session, recover=True, sandbox=sandbox)
    assert (await again.status())["stage"] == "testnet"
    await again.stop(flatten=True)
    await again.close()


async def test_two_sessions_do_not_trade_one_account(sandbox):
    async with new_lab(sandbox, Rester(), "paper", name="first") as first:
        await first.start("testnet")
        async with new_lab(sandbox, Rester(), "paper", name="second") as second:
            with pytest.raises(HostError, match="session 'first' trades on this account"):
                await second.start("testnet")
            await first.stop()
            await second.start("testnet")
            await second.stop()
