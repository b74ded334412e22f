"""Faults at Oanda: what a client lives through, and what the record says."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio
import requests
from oanda_wire import Client, Oanda

from autotrader_lab.sandbox import Sandbox


@pytest_asyncio.fixture
async def faulty(request: Any) -> Any:
    """A client at an environment with one fault rule."""
    plan = {"seed": 1, "rules": [request.param]}
    async with Sandbox(seed=7, speed=0, venues=("oanda",), faults=plan) as box:
        oanda = Oanda(box)
        api = Client(oanda.entry())
        yield oanda, api
        api.api.client.close()


def fills(oanda: Oanda) -> list[str]:
    record = oanda.site.venues["testnet"].desk.record
    return [row.get("clientOrderID", "") for row in record.transactions if row["type"] == "ORDER_FILL"]


@pytest.mark.parametrize(
    ("faulty", "reached"),
    [
        ({"do": "drop_before", "where": {"kind": "submit"}, "when": {"count": 1}}, []),
        ({"do": "drop_after", "where": {"kind": "submit"}, "when": {"count": 1}}, ["mine"]),
    ],
    indirect=["faulty"],
)
async def test_a_cut_around_an_order(faulty: tuple[Oanda, Client], reached: list[str]) -> None:
    oanda, api = faulty
    with pytest.raises(requests.exceptions.ConnectionError):
        await api.order("MARKET", "10", clientExtensions={"id": "mine"})
    assert fills(oanda) == reached
    since = (await api.ask("TransactionsSinceID", {"id": 3}))["transactions"]
    assert [row["clientOrderID"] for row in since if row["type"] == "ORDER_FILL"] == reached


@pytest.mark.parametrize(
    ("faulty", "status"),
    [
        ({"do": "error", "status": 502, "where": {"kind": "submit"}}, 502),
        ({"do": "rate_limit", "where": {"kind": "submit"}}, 429),
        ({"do": "maintenance", "where": {"kind": "submit"}}, 503),
    ],
    indirect=["faulty"],
)
async def test_the_venues_own_words(faulty: tuple[Oanda, Client], status: int) -> None:
    oanda, api = faulty
    answer = await api.order("MARKET", "10")
    assert (answer[0], "errorMessage" in answer[1]) == (status, True)
    assert fills(oanda) == []


@pytest.mark.parametrize("faulty", [{"do": "rubbish", "body": "truncated", "where": {"kind": "submit"}}], indirect=True)
async def test_half_an_answer(faulty: tuple[Oanda, Client]) -> None:
    oanda, api = faulty
    with pytest.raises(ValueError, match=r"JSON|delimiter|Expecting|Unterminated"):
        await api.order("MARKET", "10", clientExtensions={"id": "mine"})
    assert fills(oanda) == ["mine"]


@pytest.mark.parametrize("faulty", [{"do": "lose", "where": {"kind": "fill"}, "when": {"count": 1}}], indirect=True)
async def test_a_fill_lost_on_the_stream_is_in_the_record(faulty: tuple[Oanda, Client]) -> None:
    oanda, api = faulty
    reading = asyncio.create_task(api.stream("TransactionsStream", 4))
    while not oanda.site.venues["testnet"].streams._readers:
        await asyncio.sleep(0.01)
    await api.order("MARKET", "10")
    await api.order("MARKET", "20")
    rows = await asyncio.wait_for(reading, 10)
    assert [row["type"] for row in rows] == ["HEARTBEAT", "MARKET_ORDER", "MARKET_ORDER", "ORDER_FILL"]
    assert len(fills(oanda)) == 2
