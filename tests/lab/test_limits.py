"""Risk limits while trading, what a breach of them does, and that neither is forgotten by a restart."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.journal import Journal, records
from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import ConfigError, GateClosed, HostError, TradingHalted
from autotrader_lab.sandbox import start_sandbox

from .strategies import Flip, Rester
from .support import control, earn, kill_host
from .test_testnet import working


@pytest.fixture(scope="module")
def calm():
    """A venue whose market moves only when it is told to."""
    with start_sandbox(seed=7, speed=0) as running:
        yield running


@pytest.fixture
async def price(calm):
    """Sets the market, and keeps on quoting it so that prices are fresh."""
    now = {"price": 60_000}

    async def quote() -> None:
        while True:
            for cents in (0, 1):
                body = {"symbol": "BTCUSDT", "price": f"{now['price']}.0{cents}"}
                await asyncio.to_thread(control, calm, "POST", "/price", body)
                await asyncio.sleep(0.05)

    quoting = asyncio.create_task(quote())
    yield lambda value: now.update(price=value)
    quoting.cancel()
    await asyncio.gather(quoting, return_exceptions=True)


def new_lab(sandbox, strategy, *earned: str, **settings) -> Lab:
    lab = Lab(strategy, sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2, **settings)
    earn(lab, *earned)
    return lab


async def until(lab: Lab, condition, timeout_s: float = 20):
    """The first status that `condition` holds for."""
    async with asyncio.timeout(timeout_s):
        while not condition(status := await lab.status()):
            await asyncio.sleep(0.05)
    return status


def told(lab: Lab, kind: str, of: type) -> list:
    """Records of a kind in the lab's journal."""
    with Journal.open(lab.folder / "journal.sqlite", read_only=True) as journal:
        return [entry.decode(of) for entry in journal.read(kinds=[kind])]


async def test_limits_go_down_freely_and_up_only_when_armed_and_stay_over_a_restart(sandbox):
    async with new_lab(sandbox, Rester(), "paper", limits=RiskLimits(max_order_quantity=5)) as lab:
        await lab.start("testnet")
        assert (await lab.limits_now()).max_order_quantity == 5
        tighter = await lab.set_limits(max_order_quantity=2, max_daily_loss=100)
        assert (tighter.max_order_quantity, tighter.max_daily_loss) == (2, 100)
        with pytest.raises(GateClosed, match=r"would allow more than now: max_daily_loss"):
            await lab.set_limits(max_daily_loss=101)
        with pytest.raises(GateClosed, match="max_order_quantity"):
            await lab.set_limits(RiskLimits())
        kill_host(lab)
        await lab.recover()
        assert await lab.limits_now() == tighter
        await lab.arm((await lab.arm()).phrase, expires_s=60)
        assert (await lab.set_limits(max_order_quantity=4)).max_order_quantity == 4
        kill_host(lab)
        await lab.recover()  # not armed any more, and the limits are as they were set
        assert (await lab.limits_now()).max_order_quantity == 4
        with pytest.raises(GateClosed):
            await lab.set_limits(max_order_quantity=5)
        await lab.stop()
        await lab.start("testnet")  # another run of the stage: what was tightened stays
        assert (await lab.limits_now()).max_daily_loss == 100
        assert "LIMITS_CHANGED" in list(lab.alerts()["code"])


async def test_what_was_loosened_ends_with_its_stage(sandbox):
    async with new_lab(sandbox, Rester(), "paper", "testnet", limits=RiskLimits(max_order_quantity=5)) as lab:
        await lab.arm((await lab.arm()).phrase, expires_s=60)
        await lab.start("testnet")
        await lab.set_limits(max_order_quantity=7, max_open_orders=9)
        await lab.promote("live")
        now = await lab.limits_now()
        assert (now.max_order_quantity, now.max_open_orders) == (5, 9)


async def test_limits_that_make_no_sense_are_named(bars):
    async with Lab(Flip(), profile="rehearsal") as lab:
        with pytest.raises(HostError, match="no host yet"):
            await lab.limits_now()
        await lab.start("replay", data=bars)
        assert await lab.limits_now() == RiskLimits()
        with pytest.raises(HostError, match="no stage trades"):
            await lab.set_limits(max_daily_loss=5)
        await lab.start("paper", data=bars, interval_s=0.05)
        for changes, message in (
            ({"max_daily_los": 5}, "max_daily_los=5.*the limits are"),
            ({"max_daily_loss": -5}, "max_daily_loss=-5.*greater than 0"),
        ):
            with pytest.raises(ConfigError, match=message):
                await lab.set_limits(**changes)
        with pytest.raises(ConfigError, match=r"give RiskLimits"):
            await lab.set_limits({"max_daily_loss": 5})


async def test_a_daily_loss_stops_entries_and_outlives_the_host(calm, price):
    limits = RiskLimits(max_daily_loss=150, max_drawdown=None)
    async with new_lab(calm, Rester(buy=0.2), "paper", limits=limits) as lab:
        await lab.start("testnet")
        await lab.wait(orders=2, fills=1, timeout_s=20)
        price(59_000)
        status = await until(lab, lambda now: now["breach"])
        assert "DAILY_LOSS_OVER_LIMIT" in status["breach"]
        assert (status["stage"], status["trading_state"]) == ("testnet", "REDUCING")
        assert "limit breached" in status["held_back"]
        with pytest.raises(TradingHalted, match="a breached stage does not climb"):
            await lab.promote("live")
        kill_host(lab)
        assert "DAILY_LOSS" in (await lab.status())["breach"]
        await lab.recover()
        status = await lab.status()
        assert (status["trading_state"], "limit breached" in status["held_back"]) == ("REDUCING", True)
        await lab.rearm()
        # Re-armed by a person, and still over the day's limit: the loss of before the restart counts.
        status = await until(lab, lambda now: "limit" in now["held_back"] and now["breach"])
        assert status["trading_state"] == "REDUCING"
        price(60_000)
        status = await until(lab, lambda now: "limit" not in now["held_back"])
        assert status["trading_state"] == "REDUCING"  # the loss is made good, and still it takes a person
        await lab.rearm()
        await until(lab, lambda now: now["trading_state"] == "ACTIVE")
        await lab.stop(flatten=True)


async def test_a_realised_loss_of_before_the_restart_still_counts(calm, price):
    limits = RiskLimits(max_daily_loss=150, max_drawdown=None)
    async with new_lab(calm, Rester(buy=0.2), "paper", limits=limits) as lab:
        await lab.start("testnet")
        await lab.wait(orders=2, fills=1, timeout_s=20)
        price(59_000)
        await until(lab, lambda now: now["breach"])
        await lab.kill(flatten=True)
        assert lab.positions()["realised"].sum() < -150
        kill_host(lab)
        await lab.recover()
        await lab.rearm()
        status = await until(lab, lambda now: "limit" in now["held_back"])
        assert status["trading_state"] == "REDUCING"
        price(60_000)


async def test_a_breach_in_live_steps_down_to_paper_with_nothing_left(calm, price):
    limits = RiskLimits(max_daily_loss=150, max_drawdown=None)
    async with new_lab(calm, Rester(buy=0.2), "paper", "testnet", limits=limits) as lab:
        await lab.arm((await lab.arm()).phrase)
        await lab.start("live")
        await lab.wait(orders=2, fills=1, timeout_s=20)
        price(59_000)
        status = await until(lab, lambda now: now["stage"] == "paper" and now["state"] == "running")
        assert status["armed_until_ns"] is None
        demoted = told(lab, records.DEMOTED, records.Promotion)
        assert [(one.source, one.target) for one in demoted] == [("live", "paper")]
        assert "DAILY_LOSS_OVER_LIMIT" in demoted[0].reason
        assert abs(lab.positions("live")["quantity"].sum()) < 1e-4
        assert not lab.orders("live")["status"].isin(["submitted", "partial_fill", "unknown"]).any()
        assert {"DAILY_LOSS_OVER_LIMIT", "BREACHED"} <= set(lab.alerts("live")["code"])
        price(60_000)


async def test_a_drift_that_persists_is_a_breach_and_closes_nothing(calm, price):
    async with new_lab(calm, Rester(buy=0.2), "paper", on_breach="demote") as lab:
        await lab.start("testnet")
        await lab.wait(orders=2, fills=1, timeout_s=20)
        sold = (await lab.status())["counters"]["orders"]
        body = {"asset": "BTC", "free": "500", "world": "testnet"}
        await asyncio.to_thread(control, calm, "POST", "/balance", body)
        outcome = await lab.reconcile()
        assert not outcome["ok"]
        assert "position_drift BTC/USDT" in outcome["differences"][0]
        await until(lab, lambda now: now["stage"] == "paper" and now["state"] == "running")
        assert {"POSITION_DRIFT", "BREACHED", "POSITIONS_LEFT"} <= set(lab.alerts("testnet")["code"])
        assert "persists" in told(lab, records.DEMOTED, records.Promotion)[0].reason
        assert len(lab.orders("testnet")) == sold  # nothing was sent from books in dispute
        assert working(calm, lab) == []


def test_a_policy_that_is_none_is_named():
    with pytest.raises(ConfigError, match=r"on_breach='panic': give one of exits, demote"):
        Lab(Flip(), on_breach="panic")
