"""A fault plan strikes OKX in OKX's own words."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from okx_kit import LIMIT, NAME, Json, Socket, Wire

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.fault_plan import FaultPlanError
from autotrader_lab.sandbox.venues.okx.faults import make_dialect

Start = Callable[..., Awaitable[Wire]]


@pytest_asyncio.fixture
async def struck() -> AsyncIterator[Start]:
    """A sandbox with one rule at work, and a wire to it."""
    boxes: list[Sandbox] = []
    sessions: list[aiohttp.ClientSession] = []

    async def start(**rule: Any) -> Wire:
        box = Sandbox(seed=7, speed=0, venues=["okx"], symbols=["BTCUSDT"], faults={"rules": [rule]})
        await box.start()
        boxes.append(box)
        sessions.append(aiohttp.ClientSession())
        return Wire(sessions[-1], box.addresses["okx"])

    yield start
    for session in sessions:
        await session.close()
    for box in boxes:
        await box.stop()


async def private(wire: Wire, *channels: Json) -> Socket:
    socket = Socket(await wire.session.ws_connect(f"{wire.entry['ws']}/ws/v5/private"))
    await socket.log_in(wire)
    if channels:
        await socket.subscribe(*channels)
    return socket


@pytest.mark.parametrize(
    ("rule", "status", "code"),
    [
        ({"do": "rate_limit"}, 429, "50011"),
        ({"do": "maintenance"}, 503, "50001"),
        ({"do": "error", "status": 502}, 502, "50026"),
    ],
)
async def test_words(struck: Start, rule: Json, status: int, code: str) -> None:
    wire = await struck(**rule, where={"kind": "submit", "symbol": "BTC/USDT", "side": "buy"})
    answer = await wire.send("POST", "trade/order", LIMIT)
    assert (answer[0], answer[1]["code"], answer[1]["data"]) == (status, code, [])
    assert (await wire.order(side="sell", px="61000"))["sCode"] == "0"
    socket = await private(wire)
    await socket.send({"id": "1", "op": "order", "args": [LIMIT]})
    answered = await socket.next()
    assert (answered["id"], answered["op"], answered["code"]) == ("1", "order", code)


async def test_a_lost_answer_and_a_slow_one(struck: Start) -> None:
    wire = await struck(do="drop_after", where={"kind": "submit"}, when={"count": 1})
    with pytest.raises(aiohttp.ClientError):
        await wire.order(clOrdId="lost")
    assert [row["clOrdId"] for row in await wire.rows("trade/orders-pending")] == ["lost"]
    wire = await struck(do="delay", seconds=0.3, where={"request": "order"})
    socket = await private(wire)
    await socket.send({"id": "slow", "op": "order", "args": [{**LIMIT, "clOrdId": "a"}]})
    await socket.send({"id": "fast", "op": "cancel-order", "args": [{"instId": NAME, "ordId": "1"}]})
    assert [(await socket.next())["id"] for _ in range(2)] == ["fast", "slow"]


async def test_rubbish_answers(struck: Start) -> None:
    wire = await struck(do="rubbish", body="html", where={"request": "GET /api/v5/account/balance"})
    headers = wire.headers("GET", "/api/v5/account/balance", "")
    async with wire.session.get(f"{wire.entry['rest']}/api/v5/account/balance", headers=headers) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert (await response.text()).startswith("<!DOCTYPE html>")


async def test_events_are_lost_by_kind(struck: Start) -> None:
    wire = await struck(do="lose", where={"kind": "fill"})
    socket = await private(wire, {"channel": "orders", "instType": "SPOT"}, {"channel": "account"})
    await socket.until(channel="account")
    await wire.order(ordType="market", px="", sz="100", clOrdId="m")
    await wire.order(clOrdId="n")
    told = [(await socket.until(channel="orders"))["data"][0] for _ in range(2)]
    assert [(row["clOrdId"], row["state"]) for row in told] == [("m", "live"), ("n", "live")]


async def test_an_announced_end(struck: Start) -> None:
    wire = await struck(do="shutdown", where={"kind": "order"})
    socket = await private(wire, {"channel": "orders", "instType": "SPOT"})
    await wire.order()
    assert (await socket.until(event="notice"))["code"] == "64008"


def test_the_dialect_names_what_passes() -> None:
    dialect = make_dialect()
    for body, seen in (
        ({"arg": {"channel": "books", "instId": NAME}, "data": [{}]}, ("books", "book", NAME)),
        ({"arg": {"channel": "candle1H", "instId": NAME}, "data": [["1"]]}, ("candle1H", "candle", NAME)),
        ({"arg": {"channel": "orders"}, "data": [{"instId": NAME, "tradeId": "7"}]}, ("orders", "fill", NAME)),
        ({"event": "subscribe", "arg": {"channel": "books"}}, ("", "", "")),
        ({"id": "1", "op": "order", "data": [{"sCode": "0"}]}, ("", "", "")),
    ):
        passing = dialect.event("live", "stream", json.dumps(body))
        assert (passing.name, passing.kind, passing.symbol) == seen
    assert dialect.event("live", "ws-api", "pong").name == ""
    with pytest.raises(FaultPlanError, match="cancel-order"):
        Sandbox(venues=["okx"], faults={"rules": [{"do": "drop_before", "where": {"request": "cancl-order"}}]})


async def test_the_clock_of_the_venue_may_be_off(struck: Start) -> None:
    wire = await struck(do="clock_skew", offset_ms=40_000)
    assert (await wire.get("account/balance"))["code"] == "50102"
    stamp_ms = int((await wire.rows("public/time"))[0]["ts"])
    assert stamp_ms - time.time() * 1_000 > 30_000
