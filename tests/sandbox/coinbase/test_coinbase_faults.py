"""A fault plan strikes Coinbase in Coinbase's own words."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from coinbase_kit import NAME, ROOT, Json, Socket, Wire, token

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.venues.coinbase.faults import make_dialect

Start = Callable[..., Awaitable[Wire]]


@pytest_asyncio.fixture
async def struck() -> AsyncIterator[Start]:
    """A sandbox with one rule at work, and a wire to it."""
    boxes: list[Sandbox] = []
    sessions: list[aiohttp.ClientSession] = []

    async def start(**rule: Any) -> Wire:
        box = Sandbox(seed=7, speed=0, venues=["coinbase"], symbols=["BTCUSDT"], faults={"rules": [rule]})
        await box.start()
        boxes.append(box)
        sessions.append(aiohttp.ClientSession())
        return Wire(sessions[-1], box.addresses["coinbase"])

    yield start
    for session in sessions:
        await session.close()
    for box in boxes:
        await box.stop()


@pytest.mark.parametrize(
    ("rule", "status", "body"),
    [
        ({"do": "rate_limit"}, 429, {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}),
        ({"do": "maintenance"}, 503, {"error": "UNAVAILABLE"}),
        ({"do": "error", "status": 500}, 500, {"error": "INTERNAL"}),
    ],
)
async def test_words(struck: Start, rule: Json, status: int, body: Json) -> None:
    wire = await struck(**rule, where={"kind": "submit", "symbol": "BTC/USD", "side": "buy"})
    order = {"client_order_id": "x", "product_id": NAME, "side": "BUY", "order_configuration": {}}
    code, answer = await wire.send("POST", f"{ROOT}/orders", order)
    assert code == status
    assert body.items() <= answer.items()
    assert (await wire.create(side="SELL", limit_price="61000"))["success"]


async def test_a_lost_answer_and_rubbish(struck: Start) -> None:
    wire = await struck(do="drop_after", where={"kind": "submit"}, when={"count": 1})
    with pytest.raises(aiohttp.ClientError):
        await wire.create(client_id="lost")
    assert (await wire.create(client_id="lost"))["success"], "the order that is there"
    assert len((await wire.get("orders/historical/batch"))["orders"]) == 1
    wire = await struck(do="rubbish", body="truncated", where={"kind": "query"})
    with pytest.raises(json.JSONDecodeError):
        await wire.get("accounts")


async def test_fills_are_lost_and_clocks_are_off(struck: Start) -> None:
    wire = await struck(do="lose", where={"kind": "fill"})
    socket = Socket(await wire.session.ws_connect(wire.entry["ws_user"]))
    await socket.subscribe("user", NAME, jwt=token(wire.entry))
    await socket.until("user")
    await wire.place("market_market_ioc", client_id="m", quote_size="100")
    socket.count = 2
    assert (await socket.until("user"))["events"][0]["orders"][0]["status"] == "PENDING"
    await wire.place(client_id="n")
    message = json.loads(await socket.socket.receive_str())
    assert message["sequence_num"] == 4, "the gap shows"
    wire = await struck(do="clock_skew", offset_ms=600_000)
    assert (await wire.send("GET", f"{ROOT}/accounts"))[0] == 401


def test_the_dialect_names_what_passes() -> None:
    dialect = make_dialect()
    for body, seen in (
        ({"channel": "l2_data", "events": [{"product_id": NAME, "updates": []}]}, ("l2_data", "book", NAME)),
        (
            {"channel": "market_trades", "events": [{"trades": [{"product_id": NAME}]}]},
            ("market_trades", "trade", NAME),
        ),
        ({"channel": "heartbeats", "events": [{"heartbeat_counter": 1}]}, ("heartbeats", "", "")),
        ({"channel": "user", "events": [{"orders": [{"product_id": NAME}]}]}, ("user", "order", NAME)),
        ({"channel": "user", "events": [{"orders": [{"number_of_fills": "2"}]}]}, ("user", "fill", "")),
        ({"type": "error", "message": "x"}, ("", "", "")),
    ):
        passing = dialect.event("live", "stream", json.dumps(body))
        assert (passing.name, passing.kind, passing.symbol) == seen
    assert json.loads(dialect.notice("user", 0))["type"] == "error"
