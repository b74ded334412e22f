"""Every way of pulling the kill switch, judged by the venue's own books; and a host that is frozen, or dead."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from typer.testing import CliRunner

from autotrader_lab.cli import app
from autotrader_lab.host.runs import RunFolder
from autotrader_lab.journal import Journal, records
from autotrader_lab.jupyter.remote import kill as pull
from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import HostError, TradingHalted

from .strategies import Rester
from .support import earn, host_of, kill_host
from .test_testnet import working


@pytest.fixture
async def lab(sandbox):
    """On testnet, with one order working at the venue."""
    lab = Lab(Rester(), sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2)
    earn(lab, "paper")
    await lab.start("testnet")
    await lab.wait(orders=1, timeout_s=20)
    async with asyncio.timeout(10):
        while not working(sandbox, lab):
            await asyncio.sleep(0.05)
    yield lab
    await lab.close()


async def kill_cli(lab: Lab):
    return await asyncio.to_thread(CliRunner().invoke, app, ["kill", lab.session])


async def halted(lab: Lab) -> dict:
    async with asyncio.timeout(10):
        while (status := await lab.status())["state"] != "halted" or status["trading_state"] != "HALTED":
            await asyncio.sleep(0.05)
    return status


async def by_lab(lab: Lab) -> None:
    assert (await lab.kill())["verified"]


async def by_command_line(lab: Lab) -> None:
    done = await kill_cli(lab)
    assert (done.exit_code, "nothing left at the venue" in done.output) == (0, True)


async def by_jupyter_or_dashboard(lab: Lab) -> None:
    report = await asyncio.to_thread(pull, RunFolder(lab.folder), reason="the panel's button")
    assert report["verified"]


async def by_file(lab: Lab) -> None:
    (lab.folder / "KILL").touch()


@pytest.mark.parametrize("pulled", [by_lab, by_command_line, by_jupyter_or_dashboard, by_file])
async def test_every_way_of_pulling_it_leaves_nothing_at_the_venue(lab, sandbox, pulled):
    await pulled(lab)
    await halted(lab)
    assert working(sandbox, lab) == []
    with pytest.raises(TradingHalted, match="rearm"):
        await lab.start("testnet")
    assert "KILLED" in list(lab.alerts()["code"])


async def test_a_frozen_host_is_not_believed_and_obeys_once_it_thaws(lab, sandbox):
    pid = host_of(lab).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        done = await kill_cli(lab)
        assert done.exit_code == 3
        assert "does not answer" in done.output
        assert "NOT verified" in done.output
        assert (lab.folder / "KILL").exists()
        with pytest.raises(HostError, match=r"has not answered the kill.*Look at the venue itself"):
            await lab.kill()
        assert len(working(sandbox, lab)) == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    status = await halted(lab)
    assert "KILL file" in status["halted"]
    assert working(sandbox, lab) == []
    assert not (lab.folder / "KILL").exists()


async def test_a_kill_file_left_for_a_dead_host_is_honoured_before_anything_else(lab, sandbox):
    kill_host(lab)
    done = await kill_cli(lab)
    assert (done.exit_code, "No process of this session trades" in done.output) == (3, True)
    with pytest.raises(HostError, match="its KILL file is left"):
        await lab.kill()
    assert len(working(sandbox, lab)) == 1
    sent = len(lab.orders())
    status = await lab.recover()
    assert (status["state"], status["trading_state"]) == ("halted", "HALTED")
    assert working(sandbox, lab) == []
    # The strategy, told everything anew, may have asked again, in vain.
    assert len(lab.orders().query("status != 'denied'")) == sent
    kill_host(lab)
    status = await lab.recover()
    assert status["trading_state"] == "HALTED"  # the file is gone, the halt is not
    await lab.rearm()
    assert (await lab.status())["trading_state"] == "ACTIVE"


async def test_a_host_that_died_while_killing_is_finished_by_the_next(lab, sandbox):
    """The halt reached the journal, the cancels did not reach the venue."""
    kill_host(lab)
    with Journal.open(lab.folder / "journal.sqlite", session=lab.session) as journal:
        journal.append(records.TRADING_STATE, records.TradingStateRecord("HALTED", "asked for"), stage="testnet")
    status = await lab.recover()
    assert status["trading_state"] == "HALTED"
    assert working(sandbox, lab) == []
