"""Orders in doubt and orders never delivered, made by a venue that fails on command, and a person's four buttons."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from autotrader_lab.cli import app
from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import ConfigError, HostError, OrderError, VenueUnavailable

from .strategies import Flip, Once, Rester
from .support import control, earn, kill_host
from .test_testnet import venue, working

NO_LOOKUPS = {"do": "error", "where": {"kind": "query"}}
LOST_ANSWER = {"do": "drop_after", "where": {"kind": "submit"}, "when": {"count": 1}}
LOST_EVENT = {"do": "lose", "where": {"kind": "order"}, "when": {"count": 1}}
LOST_REQUEST = {"do": "drop_before", "where": {"kind": "submit"}, "when": {"count": 1}}
BUSY = {"do": "rate_limit", "where": {"kind": "submit"}, "when": {"count": 3}}


@pytest.fixture
def faults(sandbox):
    """Scripts the venue's faults; none is left behind."""

    def script(*rules) -> None:
        control(sandbox, "POST", "/faults", {"rules": list(rules)})

    yield script
    control(sandbox, "DELETE", "/faults")


@pytest.fixture
async def lab(sandbox):
    lab = Lab(Rester(first_bar=3), sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2)
    earn(lab, "paper")
    yield lab
    await lab.close()


async def needing_a_person(lab: Lab, status: str) -> str:
    """The one order that does, once there is one."""
    async with asyncio.timeout(20):
        while not len(found := lab.attention()):
            await asyncio.sleep(0.05)
    assert list(found["status"]) == [status]
    return str(found.index[0])


async def test_an_answer_that_got_lost_is_found_by_asking_again(lab, sandbox, faults):
    await lab.start("testnet")
    faults(LOST_ANSWER, LOST_EVENT, NO_LOOKUPS)
    order = await needing_a_person(lab, "unknown")
    row = lab.attention().loc[order]
    assert (row["symbol"], row["side"], row["quantity"]) == ("BTC/USDT", "buy", 0.01)
    assert row["reason"]
    for button in (lab.query, lab.resubmit, lab.discard):
        with pytest.raises(VenueUnavailable):
            await button(order)
    assert list(lab.attention().index) == [order]  # nobody answers: no button ends the doubt
    faults()
    assert (await lab.query(order))["status"] == "submitted"
    assert lab.attention().empty
    assert working(sandbox, lab) == [order]
    with pytest.raises(OrderError, match="not in doubt"):
        await lab.discard(order)


async def test_a_persons_resubmit_and_the_hosts_own_never_send_twice(lab, sandbox, faults):
    faults(LOST_REQUEST)
    await lab.start("testnet")
    order = await needing_a_person(lab, "unknown")
    with pytest.raises(OrderError, match="may still arrive"):
        await lab.resubmit(order)
    async with asyncio.timeout(20):
        while order not in working(sandbox, lab):
            answers = await asyncio.gather(*(lab.resubmit(order) for _ in range(4)), return_exceptions=True)
            assert len([answer for answer in answers if isinstance(answer, dict)]) <= 1
            assert {type(answer) for answer in answers} <= {OrderError, dict}
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.7)  # the host's own asking had its turn as well
    assert [row["clientOrderId"] for row in venue(sandbox)["orders"]].count(order) == 1


async def test_adopt_ties_an_order_to_the_venues(lab, sandbox, faults):
    await lab.start("testnet")
    faults(LOST_ANSWER, LOST_EVENT, NO_LOOKUPS)
    order = await needing_a_person(lab, "unknown")
    theirs = next(row["orderId"] for row in venue(sandbox)["orders"] if row["clientOrderId"] == order)
    with pytest.raises(VenueUnavailable):
        await lab.adopt(order, str(theirs))
    with pytest.raises(HostError, match="give venue_order_id"):
        await lab.adopt(order, "")
    faults()
    (answer,) = await asyncio.gather(lab.adopt(order, str(theirs)), return_exceptions=True)
    if isinstance(answer, OrderError):  # the host's own asking came first
        assert "not in doubt" in str(answer)
    else:
        assert answer["order_id"] == str(theirs)
    assert lab.attention().empty
    assert lab.orders().loc[order, "order_id"] == str(theirs)


async def test_dead_letters_wait_for_a_person_and_outlive_the_host(lab, sandbox, faults):
    faults(BUSY)
    await lab.start("testnet")
    order = await needing_a_person(lab, "dead_letter")
    assert lab.attention().loc[order, "attempts"] == 3
    kill_host(lab)
    assert list(lab.attention().index) == [order]  # read from the journal
    await lab.recover()
    assert list(lab.attention().index) == [order]
    async with asyncio.timeout(20):
        while (again := await lab.resubmit(order))["status"] == "denied":  # no price yet, or the venue wants a rest
            assert list(lab.attention().index) == [order]
            await asyncio.sleep(0.2)
    assert again["status"] == "submitted"
    assert again["client_order_id"] != order
    assert again["client_order_id"] in working(sandbox, lab)
    assert order not in working(sandbox, lab)
    assert lab.attention().empty


async def test_the_command_line_lists_and_decides(lab, faults):
    run = CliRunner()
    faults(BUSY)
    await lab.start("testnet")
    order = await needing_a_person(lab, "dead_letter")

    def settle(*arguments: str):
        return run.invoke(app, ["settle", lab.session, *arguments], env={"COLUMNS": "200"})

    listed = await asyncio.to_thread(settle)
    assert order in listed.output
    assert "never delivered" in listed.output
    assert [row["client_order_id"] for row in json.loads((await asyncio.to_thread(settle, "--json")).output)] == [order]
    wrong = await asyncio.to_thread(settle, order, "forget")
    assert (wrong.exit_code, "query, adopt, resubmit, discard" in wrong.output) == (2, True)
    unknown = await asyncio.to_thread(settle, "nobody", "query")
    assert (unknown.exit_code, "no order 'nobody'" in unknown.output) == (2, True)
    done = await asyncio.to_thread(settle, order, "discard", "--why", "too late")
    assert done.exit_code == 0, done.output
    assert "no order needs a person" in (await asyncio.to_thread(settle)).output
    assert "SETTLED" in list(lab.alerts()["code"])


async def test_reprocess_gives_a_second_chance(lab, sandbox, faults):
    lab.strategy = Once()
    earn(lab, "paper")
    faults(BUSY)
    await lab.start("testnet")
    order = await needing_a_person(lab, "dead_letter")
    async with asyncio.timeout(20):
        while not (sent := await lab.reprocess()):  # until the venue has had its rest
            await asyncio.sleep(0.2)
    assert [row["status"] for row in sent] == ["filled"]
    assert lab.attention().empty
    assert [row["clientOrderId"] for row in venue(sandbox)["orders"] if row["clientOrderId"] in lab.orders().index] == [
        sent[0]["client_order_id"]
    ]
    assert sent[0]["client_order_id"] != order
    await lab.stop(flatten=True)


async def test_settling_without_a_stage_or_an_order_says_so(bars):
    async with Lab(Flip(), profile="rehearsal") as lab:
        with pytest.raises(HostError, match="no host yet"):
            await lab.query("x")
        with pytest.raises(ConfigError, match="order_id=None"):
            await lab.query(None)
        await lab.start("replay", data=bars)
        with pytest.raises(HostError, match="no stage trades, so there is nothing to settle"):
            await lab.query("x")
        assert lab.attention().empty
        assert list(lab.attention()["since"].dt.tz_convert("UTC")) == []
