"""Faults as a Binance client sees them, over real sockets; and how a person puts them in and reads what they did."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from sandbox_wire import LIMIT, S, Socket, Wire, now_ms

from autotrader_lab.sandbox import Sandbox, start_sandbox
from autotrader_lab.sandbox.fault_plan import read_plan

MARKET = {"symbol": S, "side": "BUY", "type": "MARKET", "quantity": "0.01"}


class Client:
    """Talks to a sandbox and sets its faults."""

    def __init__(self, box: Sandbox, session: aiohttp.ClientSession) -> None:
        self.box = box
        self.session = session
        self.wire = Wire(session, box.addresses["binance"])

    def plan(self, *rules: dict[str, Any]) -> None:
        self.box.faults.replace(read_plan({"seed": 1, "rules": rules}))

    @property
    def orders(self) -> list[Any]:
        """What the exchange itself has."""
        account = next(iter(self.box.worlds["testnet"].exchange.accounts.values()))
        return [order for orders in account.orders.values() for order in orders.values()]

    async def socket(self, path: str = "/ws-api/v3") -> Socket:
        return Socket(await self.session.ws_connect(self.box.addresses["binance"]["ws"] + path))

    async def events(self) -> Socket:
        """A subscription to the account's events."""
        socket = await self.socket()
        answer = await socket.call("userDataStream.subscribe.signature", self.wire.ws_params())
        assert answer["status"] == 200, answer
        return socket


@pytest_asyncio.fixture
async def client(box: Sandbox) -> AsyncIterator[Client]:
    # Connections are not reused: aiohttp asks again by itself where an old one turns out to be closed.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(box, session)


@pytest.mark.parametrize(("do", "has_it"), [("drop_before", False), ("drop_after", True), ("disconnect", False)])
async def test_a_lost_answer_hides_whether_the_exchange_acted(client: Client, do: str, has_it: bool) -> None:
    client.plan({"do": do, "where": {"kind": "submit"}, "when": {"count": 1}})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.wire.order(**LIMIT)
    assert bool(client.orders) is has_it
    assert (await client.wire.order(**LIMIT))[0] == 200


@pytest.mark.parametrize(("point", "has_it"), [("arrival", False), ("answer", True)])
async def test_a_broken_server(client: Client, point: str, has_it: bool) -> None:
    client.plan({"do": "error", "status": 502, "point": point, "where": {"side": "buy"}})
    status, body = await client.wire.order(**LIMIT)
    assert (status, body["code"]) == (502, -1000)
    assert bool(client.orders) is has_it
    assert (await client.wire.order(**{**LIMIT, "side": "SELL", "price": "70000"}))[0] == 200


async def test_a_body_of_ones_own(client: Client) -> None:
    client.plan({"do": "error", "body": {"code": 1, "msg": "mine"}}, {"do": "error", "body": "<b>mine</b>"})
    assert await client.wire.order(**LIMIT) == (503, {"code": 1, "msg": "mine"})


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [("html", "text/html", "<!DOCTYPE html>"), ("truncated", "application/json", '{"symbol"'), ("empty", None, "")],
)
async def test_rubbish(client: Client, body: str, content_type: str | None, text: str) -> None:
    client.plan({"do": "rubbish", "body": body, "where": {"request": "POST /api/v3/order"}})
    query = f"symbol={S}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=50000&timestamp={now_ms()}"
    url = f"{client.wire.entry['rest']}/api/v3/order?{query}&signature={client.wire.sign(query)}"
    async with client.session.post(url, headers={"X-MBX-APIKEY": client.wire.entry["api_key"]}) as response:
        assert response.status == 200
        assert content_type is None or response.content_type == content_type
        told = await response.text()
    assert told.startswith(text)
    if body == "truncated":
        with pytest.raises(ValueError, match=r".*"):
            json.loads(told)
    assert len(client.orders) == 1


async def test_429_and_418_ask_to_wait_in_the_venues_words(client: Client) -> None:
    client.plan(
        {"do": "rate_limit", "retry_after_s": 7, "when": {"count": 1}},
        {"do": "rate_limit", "retry_after_s": 9, "ban": True},
    )
    status, body = await client.wire.order(**LIMIT)
    assert (status, body["code"], client.wire.headers["Retry-After"]) == (429, -1003, "7")
    status, body = await client.wire.order(**LIMIT)
    assert (status, client.wire.headers["Retry-After"]) == (418, "9")
    assert "banned until" in body["msg"]
    answer = await (await client.socket()).call("order.place", client.wire.ws_params(**LIMIT))
    assert answer["status"] == 418
    assert answer["error"]["data"]["retryAfter"] - answer["error"]["data"]["serverTime"] == 9_000


async def test_maintenance_is_the_documented_error_for_a_while(client: Client) -> None:
    client.plan({"do": "maintenance", "when": {"to_s": 0.2}})
    status, body = await client.wire.order(**LIMIT)
    assert (status, body["code"]) == (503, -1016)
    await asyncio.sleep(0.25)
    assert (await client.wire.order(**LIMIT))[0] == 200


async def test_a_slow_request_holds_only_itself_up_on_a_socket(client: Client) -> None:
    client.plan({"do": "delay", "seconds": 0.3, "where": {"request": "order.place"}, "when": {"count": 1}})
    socket = await client.socket()
    await socket.socket.send_json({"id": "slow", "method": "order.place", "params": client.wire.ws_params(**LIMIT)})
    await socket.socket.send_json({"id": "fast", "method": "time"})
    assert [(await socket.next())["id"] for _ in range(2)] == ["fast", "slow"]


@pytest.mark.parametrize(("do", "has_it"), [("drop_before", False), ("drop_after", True)])
async def test_a_socket_is_cut(client: Client, do: str, has_it: bool) -> None:
    client.plan({"do": do, "where": {"channel": "ws-api", "kind": "submit"}})
    socket = await client.socket()
    await socket.socket.send_json({"id": 1, "method": "order.place", "params": client.wire.ws_params(**LIMIT)})
    message = await asyncio.wait_for(socket.socket.receive(), 5)
    assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert bool(client.orders) is has_it


async def test_events_are_lost_doubled_and_swapped(client: Client) -> None:
    socket = await client.events()
    client.plan(
        {"do": "lose", "where": {"kind": "account"}},
        {"do": "reorder", "where": {"kind": "order"}},
        {"do": "duplicate", "where": {"kind": "fill", "side": "buy"}},
    )
    await client.wire.order(**MARKET)
    kinds = [(await socket.next())["event"]["x"] for _ in range(3)]
    assert kinds == ["TRADE", "TRADE", "NEW"]


async def test_an_event_cuts_its_connection_and_is_lost(client: Client) -> None:
    socket = await client.events()
    client.plan({"do": "disconnect", "where": {"event": "executionReport"}})
    await client.wire.order(**MARKET)
    message = await asyncio.wait_for(socket.socket.receive(), 5)
    assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_the_venue_announces_its_end_and_ends(client: Client) -> None:
    socket = await client.events()
    client.plan({"do": "shutdown", "grace_s": 0.05, "where": {"channel": "user"}, "when": {"count": 1}})
    await client.wire.order(**LIMIT)
    assert (await socket.next())["event"]["e"] == "serverShutdown"
    while (message := await asyncio.wait_for(socket.socket.receive(), 5)).type is aiohttp.WSMsgType.TEXT:
        pass
    assert message.type is aiohttp.WSMsgType.CLOSE


async def test_public_events_are_struck_by_their_own_names(client: Client) -> None:
    client.plan({"do": "lose", "where": {"channel": "stream", "kind": "trade"}})
    socket = await client.socket("/stream?streams=btcusdt@trade/btcusdt@bookTicker")
    client.box.driver.advance(60)
    for _ in range(3):
        assert "bookTicker" in (await socket.next())["stream"]
    (rule,) = client.box.faults.report()["rules"]
    assert rule["hits"] > 0


async def test_the_market_takes_only_a_part_and_money_is_conserved(client: Client) -> None:
    client.plan({"do": "partial_fill", "fraction": [0.2, 0.6]})
    _, body = await client.wire.order(**{**MARKET, "quantity": "0.2"})
    assert len(body["fills"]) > 1, "the rest was withdrawn, and the next level's turn came"
    _, body = await client.wire.order(
        **{**LIMIT, "price": body["fills"][-1]["price"], "timeInForce": "IOC", "quantity": "1"}
    )
    assert body["status"] == "EXPIRED"
    assert 0 < float(body["executedQty"]) < 1
    exchange = client.box.worlds["testnet"].exchange
    account = next(iter(exchange.accounts.values()))
    for asset in ("BTC", "USDT"):
        held = account.free[asset] + account.locked.get(asset, 0)
        assert held + exchange.fees.get(asset, 0) + exchange.market_flow[asset] == exchange.deposits[asset]


async def test_fill_or_kill_is_whole_whatever_the_plan(client: Client) -> None:
    client.plan({"do": "partial_fill", "fraction": 0.5})
    _, body = await client.wire.order(**{**LIMIT, "price": "70000", "timeInForce": "FOK"})
    assert (body["status"], float(body["executedQty"])) == ("FILLED", 0.01)


async def test_a_wrong_clock_is_told_and_refuses_our_stamps(client: Client) -> None:
    client.plan({"do": "clock_skew", "offset_ms": -3_000, "where": {"world": "testnet"}})
    _, body = await client.wire.send("GET", "/api/v3/time")
    assert -3_500 < body["serverTime"] - now_ms() < -2_500
    status, body = await client.wire.order(**LIMIT)
    assert (status, body["code"]) == (400, -1021)
    client.plan()
    assert (await client.wire.order(**LIMIT))[0] == 200


async def test_worlds_are_apart(client: Client) -> None:
    client.plan({"do": "drop_before", "where": {"world": "live"}})
    assert (await client.wire.order(**LIMIT))[0] == 200
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await Wire(client.session, client.box.addresses["binance"]["live"]).order(**LIMIT)


async def test_the_control_address_replaces_shows_strikes_once_and_ends(client: Client) -> None:
    control = client.box.addresses["control"]
    headers = {"X-Sandbox-Token": control["token"]}

    async def ask(verb: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        url = f"{control['url']}/faults{path}"
        async with client.session.request(verb, url, json=body, headers=headers) as response:
            return response.status, await response.json()

    rule = {"name": "mine", "do": "error", "where": {"kind": "submit"}}
    assert (await ask("POST", body={"seed": 3, "rules": [rule]}))[0] == 200
    assert (await client.wire.order(**LIMIT))[0] == 503
    _, shown = await ask("GET")
    assert shown["seed"] == 3
    assert shown["rules"] == [{**rule, "seen": 1, "hits": 1}]
    status, refused = await ask("POST", body={"rules": [{"do": "eror"}]})
    assert (status, refused["error"]) == (400, "fault plan: rule 1: do is \"eror\"; did you mean 'error'?")
    assert (await ask("GET"))[1]["rules"] == shown["rules"], "a plan that is refused changes nothing"
    _, ended = await ask("DELETE")
    assert ended["rules"] == shown["rules"]
    assert (await client.wire.order(**LIMIT))[0] == 200
    assert (await ask("POST", "/once", {"do": "rate_limit"}))[0] == 200
    assert [(await client.wire.order(**LIMIT))[0] for _ in range(2)] == [429, 200]
    assert (await ask("POST", "/once", {"do": "rate_limit", "where": {"venue": "nowhere"}}))[0] == 400
    async with client.session.delete(f"{control['url']}/faults") as response:
        assert response.status == 401


@pytest.mark.parametrize("given", ["values", "file"])
async def test_a_process_takes_a_plan(tmp_path: Path, given: str) -> None:
    values = {"rules": [{"do": "error", "where": {"request": "GET /api/v3/time"}}]}
    file = tmp_path / "faults.json"
    file.write_text(json.dumps(values))
    with start_sandbox(seed=1, faults=values if given == "values" else file) as process:
        url = f"{process.addresses['binance']['rest']}/api/v3/time"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 503


def test_the_command_line_refuses_a_plan_that_cannot_be_carried_out(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("rules:\n - {do: delay}\n")
    command = [sys.executable, "-m", "autotrader_lab.sandbox", "--faults", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "rule 1: delay needs the key 'seconds'" in ended.stderr
