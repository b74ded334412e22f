"""After a host's death: what the survey finds, what the command line explains and does, and who must be there."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from autotrader_lab.cli import app
from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import HostError

from .strategies import Flip, Rester
from .support import control, earn, host_of, kill_host
from .test_testnet import venue, working


@pytest.fixture
async def cut_off(sandbox, monkeypatch):
    """A session with an order working and a position held on testnet, whose host was killed."""
    monkeypatch.setenv("AUTOTRADER_LAB_SANDBOX", json.dumps(sandbox.addresses))
    lab = Lab(Rester(buy=0.02), profile="rehearsal", bar_interval_s=0.2)
    earn(lab, "paper")
    await lab.start("testnet")
    await lab.wait(orders=2, fills=1, timeout_s=20)
    async with asyncio.timeout(10):
        while not working(sandbox, lab):
            await asyncio.sleep(0.05)
    kill_host(lab)
    yield lab
    # Nothing is left at the venue for the next test to meet.
    if not host_of(lab).is_alive:
        await recover(lab.session)
    again = await Lab.attach(lab.session)
    await again.rearm()
    await again.stop(flatten=True)
    await again.close()


async def recover(*arguments: str):
    return await asyncio.to_thread(
        CliRunner().invoke, app, ["recover", *arguments], env={"COLUMNS": "220", "TERM": "dumb"}
    )


def fill_at_the_venue(sandbox, order: str) -> None:
    """The outside market trades through a waiting order of ours, while nobody listens."""
    row = next(row for row in venue(sandbox)["orders"] if row["clientOrderId"] == order)
    body = {"symbol": "BTCUSDT", "side": "SELL", "price": row["price"], "quantity": "5000", "world": "testnet"}
    control(sandbox, "POST", "/trade", body)
    assert working_ids(sandbox, order) == []


def working_ids(sandbox, order: str) -> list[str]:
    return [
        row["clientOrderId"]
        for row in venue(sandbox)["orders"]
        if row["clientOrderId"] == order and row["status"] in ("NEW", "PARTIALLY_FILLED")
    ]


async def test_a_dry_run_explains_and_sends_nothing(cut_off, sandbox):
    order = working(sandbox, cut_off)[0]
    before = venue(sandbox)
    done = await recover("--dry-run")
    assert done.exit_code == 0, done.output
    for words in (cut_off.session, "asked binance testnet", order, "goes on working", "agrees once all is booked"):
        assert words in done.output
    assert "until a notebook attaches" in done.output
    assert "nothing was started" in done.output
    assert not host_of(cut_off).is_alive
    assert venue(sandbox) == before
    found = await cut_off.survey()
    assert list(found["what"]) == ["order", "position"]
    assert not found["trouble"].any()


async def test_a_fill_missed_meanwhile_is_found_and_booked(cut_off, sandbox):
    order = working(sandbox, cut_off)[0]
    fill_at_the_venue(sandbox, order)
    found = (await cut_off.survey()).set_index("what")
    assert found.loc["order", "plan"] == "booked as filled"
    assert found.loc["fill", "plan"] == f"booked to {order}"
    assert not found.loc["position", "trouble"]
    done = await recover(cut_off.session)
    assert done.exit_code == 0, done.output
    assert "books agree" in done.output
    assert "1 missed fills booked" in done.output
    assert cut_off.orders().loc[order, "status"] == "filled"
    orders = cut_off.orders()  # and, if a bar was quick, what the strategy asked for since
    assert sorted(cut_off.fills()["client_order_id"]) == sorted(orders.index[orders["status"] == "filled"])


async def test_recovered_with_nobody_there_it_takes_exits_only_until_somebody_comes(cut_off):
    done = await recover()
    assert done.exit_code == 0, done.output
    assert "held back: lease lost" in done.output
    again = await Lab.attach(cut_off.session)
    assert (await again.status())["trading_state"] == "ACTIVE"
    kill_host(again)
    assert (await recover("--detach")).exit_code == 0
    status = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--json"])
    row = json.loads(status.output)[0]
    assert (row["trading_state"], row["lease"]) == ("ACTIVE", "detached")
    kill_host(again)
    done = await recover()  # detached it was, detached it goes on
    assert "trading ACTIVE" in done.output


async def test_what_nothing_explains_is_said_before_and_after(cut_off, sandbox):
    balance = {"asset": "BTC", "free": "77", "world": "testnet"}
    await asyncio.to_thread(control, sandbox, "POST", "/balance", balance)
    done = await recover("--dry-run")
    assert "DRIFT: nothing explains it" in done.output
    done = await recover()
    assert done.exit_code == 4
    assert "is failed" in done.output
    assert "do NOT agree" in done.output


async def test_a_halt_and_a_kill_file_are_in_the_plan(cut_off, sandbox):
    (cut_off.folder / "KILL").touch()
    done = await recover()
    assert done.exit_code == 0, done.output
    assert "the KILL file was touched" in done.output
    assert "pull the kill switch again" in done.output
    assert "is halted" in done.output
    assert working(sandbox, cut_off) == []


async def test_an_order_that_never_arrived_is_in_doubt(cut_off, sandbox):
    from autotrader_lab.journal import Journal, records
    from autotrader_lab.model.orders import Order, OrderSide, OrderType

    lost = Order("", "BTC/USDT", OrderSide.BUY, OrderType.LIMIT, 0.01, 50_000.0, client_order_id="lost-1")
    with Journal.open(cut_off.folder / "journal.sqlite", session=cut_off.session) as journal:
        journal.append(records.INTENT, lost, stage="testnet", client_order_id="lost-1", symbol="BTC/USDT")
    assert "lost-1" in cut_off.attention().index
    found = (await cut_off.survey()).set_index("which")
    assert (found.loc["lost-1", "venue"], bool(found.loc["lost-1", "trouble"])) == ("has none", True)
    assert "asked about again" in found.loc["lost-1", "plan"]


async def test_paper_and_what_was_not_cut_off(bars):
    lab = Lab(Flip(), profile="rehearsal")
    await lab.start("paper", data=bars, interval_s=0.02)
    await lab.wait(fills=1, timeout_s=20)
    with pytest.raises(HostError, match=r"runs \(pid"):
        await lab.survey()
    kill_host(lab)
    done = await recover("--dry-run")
    assert "from its journal alone" in done.output
    assert "simulated market" in done.output
    done = await recover()
    assert done.exit_code == 0, done.output
    assert "PAPER, rehearsal is running" in done.output
    again = await Lab.attach(lab.session)
    await again.stop()
    await again.close()
    with pytest.raises(HostError, match="paper was left in order"):
        await again.survey()
    nothing = await recover()
    assert (nothing.exit_code, "no session was cut off" in nothing.output) == (2, True)
    nobody = await recover("nobody")
    assert (nobody.exit_code, "no session 'nobody'" in nobody.output) == (2, True)
