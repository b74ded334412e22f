"""Keys, signatures, clocks and environments, checked as the venue documents."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from okx_kit import Socket, Wire

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.venues.okx.limits import Limits

Dial = Callable[[str], Awaitable[Socket]]
PATH = "/api/v5/account/balance"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"OK-ACCESS-KEY": ""}, "50103"),
        ({"OK-ACCESS-PASSPHRASE": ""}, "50104"),
        ({"OK-ACCESS-PASSPHRASE": "another"}, "50105"),
        ({"OK-ACCESS-SIGN": ""}, "50106"),
        ({"OK-ACCESS-TIMESTAMP": ""}, "50107"),
        ({"OK-ACCESS-TIMESTAMP": "yesterday"}, "50112"),
        ({"OK-ACCESS-TIMESTAMP": "2020-12-08T09:08:57.715Z"}, "50102"),
        ({"OK-ACCESS-KEY": "nobody"}, "50111"),
        ({"OK-ACCESS-SIGN": "bm8="}, "50113"),
        ({"x-simulated-trading": "0"}, "50101"),
    ],
)
async def test_what_is_wrong_with_a_request(wire: Wire, change: dict[str, str], code: str) -> None:
    headers = {**wire.headers("GET", PATH, ""), **change}
    status, answer = await wire.send("GET", "account/balance", headers=headers)
    assert (status, answer["code"], answer["data"]) == (401, code, [])


async def test_a_signature_covers_query_and_body(wire: Wire) -> None:
    headers = wire.headers("GET", PATH, "")
    assert (await wire.send("GET", "account/balance?ccy=BTC", headers=headers))[1]["code"] == "50113"
    headers = wire.headers("POST", "/api/v5/trade/order", "{}")
    assert (await wire.send("POST", "trade/order", '{"instId": "BTC-USDT"}', headers=headers))[1]["code"] == "50113"


async def test_keys_belong_to_their_environment(okx: Sandbox, wire: Wire) -> None:
    both = okx.addresses["okx"]
    demo_key_at_live = {**both, "rest": both["live"]["rest"]}
    async with aiohttp.ClientSession() as session:
        for entry, demo, code in (
            (demo_key_at_live, False, "50101"),
            (both["live"], True, "50101"),
            (both["live"], False, "0"),
        ):
            assert (await Wire(session, entry, demo).send("GET", "account/balance"))[1]["code"] == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"apiKey": ""}, "60001"),
        ({"sign": ""}, "60002"),
        ({"passphrase": ""}, "60003"),
        ({"timestamp": "now"}, "60004"),
        ({"timestamp": 1_600_000_000}, "60006"),
        ({"apiKey": "nobody"}, "60005"),
        ({"sign": "bm8="}, "60007"),
        ({"passphrase": "another"}, "60024"),
    ],
)
async def test_what_is_wrong_with_a_login(wire: Wire, dial: Dial, change: dict[str, Any], code: str) -> None:
    socket = await dial("private")
    await socket.send(wire.login(**change))
    answer = await socket.next()
    assert (answer["event"], answer["code"]) == ("error", code)
    await socket.subscribe({"channel": "account"})
    assert (await socket.next())["code"] == "60011"


async def test_where_what_can_be_asked(wire: Wire, dial: Dial) -> None:
    public, private, business = [await dial(door) for door in ("public", "private", "business")]
    await public.send(wire.login())
    assert (await public.next())["code"] == "60008"
    await private.log_in(wire)
    for socket, argument, code in (
        (public, {"channel": "candle1m", "instId": "BTC-USDT"}, "60018"),
        (public, {"channel": "books", "instId": "BTC-EUR"}, "60018"),
        (public, {"channel": "books-l2-tbt", "instId": "BTC-USDT"}, "64003"),
        (public, {"channel": "orders", "instType": "SPOT"}, "60018"),
        (private, {"channel": "orders"}, "60013"),
        (private, {"channel": "tickers", "instId": "BTC-USDT"}, "60018"),
        (business, {"channel": "orders-algo", "instType": "SPOT"}, "60011"),
    ):
        await socket.subscribe(argument)
        answer = await socket.next()
        assert (answer["event"], answer["code"]) == ("error", code), argument
    for text in ("{", '{"op": "subscribe"}', '{"op": "dance", "args": []}'):
        await public.send(text)
        assert (await public.next())["code"] == "60012"
    await business.send({"id": "9", "op": "order", "args": [{}]})
    assert (await business.next())["code"] == "60028"


async def test_too_many_requests(okx: Sandbox, wire: Wire) -> None:
    meter = okx.sites["okx"].venues["testnet"].api.meter  # type: ignore[attr-defined]
    meter.limits = Limits(scale=0.1)
    answers = [await wire.send("GET", "account/balance") for _ in range(5)]
    assert (429, "50011") in [(status, answer["code"]) for status, answer in answers]
    assert (await wire.send("GET", "trade/fills"))[1]["code"] == "0", "each operation has a limit of its own"
    meter.limits = Limits(scale=1, orders_2s=0)
    assert (await wire.post("order", {"instId": "BTC-USDT"}))["code"] == "50061"
