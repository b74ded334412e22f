"""A lab on paper: start, look, attach, stop; what is wrong is said before anything starts."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from autotrader_lab.host.runs import RunFolder, list_sessions
from autotrader_lab.lab import Lab, present
from autotrader_lab.model.errors import (
    ConfigError,
    DataError,
    GateClosed,
    HostError,
    StrategyError,
    TradingHalted,
)

from .strategies import Flip, Raises
from .support import host_of


def lab_on_history(strategy=None, **settings) -> Lab:
    return Lab(strategy if strategy is not None else Flip(), profile="rehearsal", config=None, **settings)


async def test_paper_on_history_fills_every_frame(bars):
    async with lab_on_history() as lab:
        status = await lab.start("paper", data=bars, interval_s=0.02)
        assert (status["stage"], status["state"], status["label"]) == ("paper", "running", "PAPER, rehearsal")
        status = await lab.wait(decisions=6, round_trips=2, timeout_s=20)
        assert status["lease"] == "held"
        assert status["counters"]["unreconciled"] == 0
        await lab.stop()
        orders, fills = lab.orders(), lab.fills()
        assert len(orders) >= 6
        assert set(orders["stage"]) == {"paper"}
        assert fills["quantity"].sum() == pytest.approx(orders["filled"].sum())
        assert set(orders["decision_id"]) <= set(lab.decisions()["decision_id"])
        assert len(lab.equity()) >= 1
        assert lab.positions()["round_trips"].iloc[0] >= 2
        assert (await lab.status())["state"] == "stopped"


async def test_replay_shows_its_result_and_opens_paper(bars):
    async with lab_on_history() as lab:
        status = await lab.start("replay", data=bars)
        assert status["state"] == "stopped"
        assert lab.result.stats["trades"] == len(lab.fills("replay")) == 299
        verdict = await lab.gate("paper")
        assert verdict.passed, verdict
        assert not (await lab.gate("testnet")).passed


async def test_another_client_attaches_and_the_first_may_go(bars):
    lab = lab_on_history()
    await lab.start("paper", data=bars, interval_s=0.02)
    other = await Lab.attach()
    assert other.session == lab.session
    assert (await other.status())["pid"] == host_of(lab).pid
    await lab.detach()
    await other.wait(decisions=4, timeout_s=20)
    assert Lab.sessions().loc[lab.session, "alive"]
    await other.close()
    assert not Lab.sessions().loc[lab.session, "alive"]
    assert len(lab.orders("paper")) >= 4


async def test_a_lab_that_dies_leaves_paper_running(bars):
    lab = lab_on_history()
    await lab.start("paper", data=bars, interval_s=0.02)
    await lab.client.close()  # the socket's end is all that a host sees of a death
    again = await Lab.attach(lab.session)
    before = (await again.status())["counters"]["decisions"]
    await again.wait(decisions=before + 3, timeout_s=20)
    assert (await again.status())["trading_state"] == "ACTIVE"
    await again.close()


async def test_starting_twice_and_promoting_without_evidence_are_refused(bars):
    async with lab_on_history() as lab:
        with pytest.raises(GateClosed, match=r"TESTNET, rehearsal is not open: evidence"):
            await lab.start("testnet", data=None)
        await lab.start("paper", data=bars, interval_s=0.02)
        with pytest.raises(HostError, match="paper is running"):
            await lab.start("paper", data=bars)
        with pytest.raises(GateClosed, match=r"TESTNET, rehearsal is not open.*decisions"):
            await lab.promote("testnet")
        with pytest.raises(GateClosed, match="one step at a time"):
            await lab.promote("live")
        assert (await lab.status())["state"] == "running"


async def test_kill_halts_until_rearmed(bars):
    async with lab_on_history() as lab:
        await lab.start("paper", data=bars, interval_s=0.02)
        await lab.wait(decisions=2, timeout_s=20)
        report = await lab.kill()
        assert report["verified"]
        status = await lab.status()
        assert (status["state"], status["trading_state"]) == ("halted", "HALTED")
        orders = status["counters"]["orders"]
        await asyncio.sleep(0.3)
        assert (await lab.status())["counters"]["orders"] == orders
        with pytest.raises(TradingHalted, match="rearm"):
            await lab.promote()
        await lab.rearm()
        await lab.wait(orders=orders + 1, timeout_s=20)
        assert list(lab.alerts()["code"]).count("KILLED") >= 1


async def test_the_kill_file_works_without_any_client(bars):
    async with lab_on_history() as lab:
        await lab.start("paper", data=bars, interval_s=0.02)
        (lab.folder / "KILL").touch()
        with pytest.raises(TradingHalted, match="KILL file"):
            await lab.wait(decisions=10_000, timeout_s=20)
        assert not (lab.folder / "KILL").exists()


async def test_a_strategy_that_raises_halts_entries_and_is_replaced(bars):
    async with lab_on_history(Raises()) as lab:
        await lab.start("paper", data=bars, interval_s=0.02)
        with pytest.raises(StrategyError, match=r"Raises\.on_bar raised ZeroDivisionError: my own mistake"):
            await lab.wait(decisions=100, timeout_s=20)
        status = await lab.status()
        assert status["trading_state"] == "REDUCING"
        assert "my own mistake" in status["failure"]
        assert "STRATEGY_FAILED" in list(lab.alerts()["code"])
        old = status["fingerprint"]
        await lab.start("paper", data=bars, strategy=Flip(), interval_s=0.02)
        status = await lab.wait(decisions=3, timeout_s=20)
        assert status["fingerprint"] != old
        assert status["failure"] == ""


async def test_what_cannot_travel_is_named_and_nothing_starts(bars):
    strategy = Flip()
    strategy.guard = threading.Lock()
    lab = lab_on_history(strategy)
    with pytest.raises(StrategyError, match=r"Flip\.guard is a _thread\.lock"):
        await lab.start("paper", data=bars)
    assert list_sessions() == []
    del strategy.guard
    async with lab:
        await lab.start("paper", data=bars, interval_s=0.02)


class LoadsOnlyHere(Flip):
    def __reduce__(self):
        return (_only_in, (os.getpid(),))


def _only_in(pid):
    if os.getpid() != pid:
        raise RuntimeError("I want my notebook")
    return LoadsOnlyHere()


async def test_what_does_not_load_in_the_host_is_said_and_the_session_lives(bars):
    async with lab_on_history(LoadsOnlyHere()) as lab:
        with pytest.raises(StrategyError, match="does not load in the engine host: RuntimeError: I want my notebook"):
            await lab.start("paper", data=bars)
        assert (await lab.status())["state"] == "idle"
        await lab.start("paper", data=bars, strategy=Flip(), interval_s=0.02)
        await lab.wait(decisions=2, timeout_s=20)


async def test_bad_data_is_refused_before_a_host_exists(bars):
    lab = lab_on_history()
    with pytest.raises(DataError, match="close"):
        await lab.start("replay", data=bars.drop(columns="close"))
    with pytest.raises(DataError, match="int"):
        await lab.start("replay", data=42)
    with pytest.raises(ConfigError, match="no stage 'prod'"):
        await lab.start("prod")
    assert list_sessions() == []


async def test_paper_without_a_market_says_what_to_give():
    async with lab_on_history() as lab:
        with pytest.raises(ConfigError, match="paper needs a market"):
            await lab.start("paper")
        assert (await lab.status())["state"] == "failed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"profile": "easy"}, "no profile 'easy'"),
        ({"symbols": ()}, "name what to trade"),
        ({"bar_interval_s": 0}, "bar_interval_s=0"),
        ({"initial_balance": -5}, "initial_balance=-5"),
        ({"limits": {"max_position": 1}}, "give RiskLimits"),
        ({"sandbox": {"kraken": {}}}, "names no venue"),
        ({"config": "nowhere.yaml"}, "no such file"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        Lab(Flip(), **settings)


def test_an_idle_lab_shows_itself_without_a_host(monkeypatch):
    monkeypatch.setattr(present, "_displays", [])  # as where no widgets are installed
    lab = lab_on_history()
    assert "IDLE" in repr(lab)
    bundle = lab._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert lab.orders().empty
    assert lab.orders().index.name == "client_order_id"
    with pytest.raises(DataError, match="no replay has ended"):
        _ = lab.result


async def test_nothing_of_the_token_is_in_journal_log_or_session(bars):
    async with lab_on_history() as lab:
        await lab.start("paper", data=bars, interval_s=0.02)
        token = host_of(lab).token
        for name in ("session.json", "journal.sqlite", "host.log"):
            assert token.encode() not in (lab.folder / name).read_bytes()
        assert token not in repr(lab.client) + repr(lab)
        assert RunFolder(lab.folder).host_file.stat().st_mode & 0o777 == 0o600
