"""The control address, the command line, and the sandbox as a process of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from autotrader_lab.sandbox import Sandbox, start_sandbox
from autotrader_lab.sandbox.__main__ import app
from autotrader_lab.sandbox.orders import OrderRequest, OrderType, Side
from autotrader_lab.sandbox.units import parse_e8

S = "BTCUSDT"


class Stage:
    """Calls the control address."""

    def __init__(self, session: aiohttp.ClientSession, box: Sandbox) -> None:
        self._session = session
        self._control = box.addresses["control"]

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        async with self._session.post(
            f"{self._control['url']}{path}", json=body, headers={"X-Sandbox-Token": self._control["token"]}
        ) as response:
            return response.status, await response.json()

    async def get(self, path: str, token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or self._control['token']}"}
        async with self._session.get(f"{self._control['url']}{path}", headers=headers) as response:
            return response.status, await response.json()


@pytest_asyncio.fixture
async def stage(box: Sandbox) -> AsyncIterator[Stage]:
    async with aiohttp.ClientSession() as session:
        yield Stage(session, box)


def rest(box: Sandbox, world: str, side: Side, price: str, quantity: str = "0.1") -> int:
    """Place a resting order; returns its number."""
    exchange = box.worlds[world].exchange
    request = OrderRequest(
        symbol=S,
        side=side,
        type=OrderType.LIMIT,
        client_order_id=f"{world}-{price}",
        price=parse_e8(price),
        quantity=parse_e8(quantity),
    )
    return exchange.place(f"{world}-customer", request, 1).order_id


async def test_the_token_guards_it(stage: Stage) -> None:
    status, answer = await stage.get("/books", token="guess")
    assert status == 401
    assert "X-Sandbox-Token" in answer["error"]


async def test_a_pushed_price_fills_who_stands_in_the_way_in_that_world_only(stage: Stage, box: Sandbox) -> None:
    for world in ("testnet", "live"):
        rest(box, world, Side.BUY, "58000")
    assert (await stage.post("/price", world="live", symbol=S, price="57000"))[0] == 200
    _, live = await stage.get("/books?world=live")
    _, testnet = await stage.get("/books")
    assert live["accounts"][0]["orders"][0]["status"] == "FILLED"
    assert live["accounts"][0]["trades"][0]["price"] == "58000.00000000"
    assert live["accounts"][0]["trades"][0]["isMaker"]
    assert testnet["accounts"][0]["orders"][0]["status"] == "NEW"
    assert live["last_price"][S] == "57000.00000000"


async def test_books_add_up(stage: Stage, box: Sandbox) -> None:
    rest(box, "testnet", Side.BUY, "61000")
    rest(box, "testnet", Side.SELL, "65000")
    await stage.post("/balance", world="testnet", asset="USDT", free="5000")
    _, books = await stage.get("/books?world=testnet")
    for asset in ("USDT", "BTC"):
        balance = books["accounts"][0]["balances"][asset]
        parts = (balance["free"], balance["locked"], books["fees"].get(asset, "0"))
        flow = books["market_flow"].get(asset, "0")
        signed = -parse_e8(flow[1:]) if flow.startswith("-") else parse_e8(flow)
        deposit = books["deposits"][asset]
        deposited = -parse_e8(deposit[1:]) if deposit.startswith("-") else parse_e8(deposit)
        assert sum(parse_e8(part) for part in parts) + signed == deposited
    assert books["accounts"][0]["balances"]["USDT"]["free"] == "5000.00000000"


async def test_trades_and_levels_by_hand(stage: Stage, box: Sandbox) -> None:
    number = rest(box, "testnet", Side.SELL, "60500")
    await stage.post("/trade", symbol=S, side="BUY", price="60500", quantity="0.04")
    order = box.worlds["testnet"].exchange.accounts["testnet-customer"].orders[S][number]
    assert order.executed == parse_e8("0.04")
    await stage.post("/level", symbol=S, side="BUY", price="60600", quantity="1")
    assert order.executed == parse_e8("0.1")


async def test_the_market_stands_and_advances(stage: Stage, box: Sandbox) -> None:
    before = (await stage.get("/status"))[1]
    assert before["paused"]
    assert (await stage.post("/resume"))[0] == 400
    await stage.post("/advance", seconds=60)
    after = (await stage.get("/status"))[1]
    assert after["market_s"] - before["market_s"] == pytest.approx(60)
    assert after["last_price"]["live"] != before["last_price"]["live"]


async def test_connections_can_be_cut(stage: Stage, box: Sandbox) -> None:
    entry = box.addresses["binance"]
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{entry['ws']}/ws/btcusdt@trade") as socket:
        assert (await stage.post("/disconnect", world="testnet", kind="stream"))[1] == {"disconnected": 1}
        message = await asyncio.wait_for(socket.receive(), 5)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("/price", {"symbol": S, "price": "1.234567"}, "off the tick"),
        ("/price", {"symbol": "XYZ", "price": "1"}, "XYZ"),
        ("/price", {"symbol": S}, "price"),
        ("/price", {"symbol": S, "price": "1", "world": "moon"}, "moon"),
        ("/trade", {"symbol": S, "side": "UP", "price": "1", "quantity": "1"}, "UP"),
        ("/advance", {"seconds": -1}, "backwards"),
        ("/disconnect", {"kind": "fax"}, "fax"),
    ],
)
async def test_wrong_orders_to_the_stage_are_named(
    stage: Stage, path: str, body: dict[str, Any], complaint: str
) -> None:
    status, answer = await stage.post(path, **body)
    assert status == 400
    assert complaint in answer["error"]


async def test_the_same_seed_gives_the_same_keys_and_market() -> None:
    seen = []
    for _ in range(2):
        async with Sandbox(seed=5, speed=0) as box:
            box.driver.advance(20)
            entry = box.addresses["binance"]
            keys = [entry["api_key"], entry["live"]["api_secret"]]
            seen.append((keys, [world.exchange.books[S].depth(Side.BUY, 20) for world in box.worlds.values()]))
    assert seen[0] == seen[1]
    assert seen[0][1][0] == seen[0][1][1], "both worlds see one market"
    async with Sandbox(speed=0) as box:
        assert box.addresses["binance"]["api_key"] != seen[0][0][0]


async def test_nothing_is_left_running() -> None:
    async with Sandbox(seed=5, speed=5) as box:
        assert box.addresses["binance"]["rest"].startswith("http://127.0.0.1:")
    mine = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert [task.get_name() for task in mine if "sandbox" in task.get_name()] == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--symbols", "BTCEUR"], "the sandbox has no BTCEUR; choose from BTCUSDT"),
        (["--symbols", ","], "no symbol was given"),
        (["--speed", "-1"], "speed -1.0 is not usable"),
        (["--market", "nowhere.gz"], "nowhere.gz does not exist"),
        (["--port-base", "70000"], "port base 70000 leaves no room"),
    ],
)
def test_wrong_options_are_one_clear_line(options: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 2
    assert complaint in result.output
    assert "Traceback" not in result.output


async def test_a_taken_port_is_named() -> None:
    async with Sandbox(seed=5, speed=0) as box:
        port = int(box.addresses["binance"]["rest"].rpartition(":")[2])
        with pytest.raises(ValueError, match=f"port {port} on 127.0.0.1 cannot be used"):
            await Sandbox(seed=5, speed=0, port_base=port).start()


def test_a_process_of_its_own() -> None:
    with start_sandbox(seed=1, speed=2) as sandbox:
        assert set(sandbox.addresses) == {"binance", "control"}
        assert set(sandbox.addresses["binance"]["live"]) == {"rest", "ws", "api_key", "api_secret"}
        assert os.getsid(sandbox.pid) == sandbox.pid, "it is detached from our session"
        assert sandbox.addresses["binance"]["api_secret"] not in repr(sandbox)
        assert sandbox.is_running
    assert not sandbox.is_running
    sandbox.stop()


def test_a_process_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="the sandbox has no XYZ"):
        start_sandbox(symbols=["XYZ"])


def test_json_is_exactly_one_line_and_an_interrupt_ends_it_quietly() -> None:
    command = [sys.executable, "-m", "autotrader_lab.sandbox", "--json", "--seed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest_of_output, complaints = process.communicate(timeout=10)
    assert set(json.loads(line)["binance"]) == {"rest", "ws", "api_key", "api_secret", "live"}
    assert (rest_of_output, complaints, process.returncode) == (b"", b"", 0)
