"""Tokens are verified for real: key, signature, validity, and what request they are for."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from coinbase_kit import NAME, ROOT, Socket, Wire, token

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.venues.coinbase.api import Limits

PATH = f"{ROOT}/accounts"
Dial = Callable[..., Awaitable[Socket]]


async def status(wire: Wire, bearer: str, path: str = PATH) -> int:
    code, answer = await wire.send("GET", path, bearer=bearer)
    assert code == 200 or answer == "Unauthorized\n"
    return code


async def test_good_tokens(wire: Wire) -> None:
    host = wire.entry["rest"].partition("://")[2]
    for uri in (f"GET {host}{PATH}", f"GET http://{host}{PATH}", f"GET api.coinbase.com{PATH}"):
        assert await status(wire, token(wire.entry, uri)) == 200, uri
    assert await status(wire, token(wire.entry, f"GET {host}{PATH}", iss="coinbase-cloud", aud=["x"])) == 200
    code, answer = await wire.send("GET", PATH, query="limit=2")
    assert (code, len(answer["accounts"]), answer["has_next"]) == (200, 2, True), "the query is not signed"


@pytest.mark.parametrize(
    "change",
    [
        {"uri": None},
        {"uri": "POST api.coinbase.com/api/v3/brokerage/accounts"},
        {"uri": "GET api.coinbase.com/api/v3/brokerage/orders"},
        {"uri": "GET example.com/api/v3/brokerage/accounts"},
        {"sub": "organizations/1/apiKeys/2"},
        {"iss": "somebody"},
        {"nbf": None},
        {"exp": None},
        {"nbf": 600, "exp": 700},
        {"nbf": -600, "exp": -480},
        {"exp": 86_400},
        {"header": {"alg": "HS256"}},
        {"header": {"nonce": ""}},
        {"header": {"kid": "organizations/1/apiKeys/2"}},
    ],
)
async def test_bad_tokens(wire: Wire, change: dict[str, Any]) -> None:
    now = int(time.time())
    times = {name: now + seconds for name, seconds in change.items() if isinstance(seconds, int)}
    made = {"uri": f"GET api.coinbase.com{PATH}"} | change | times
    assert await status(wire, token(wire.entry, **made)) == 401


async def test_mangled_tokens(coinbase: Sandbox, wire: Wire) -> None:
    good = token(wire.entry, f"GET api.coinbase.com{PATH}")
    head, payload, signature = good.split(".")
    other = token({**coinbase.addresses["coinbase"]["live"], "api_key": wire.entry["api_key"]}, "GET " + PATH)
    for bad in ("", "x", "a.b", f"{head}.{payload}.", f"{head}.{payload}.{signature[:-4]}AAAA", f"é.{payload}.x",
                f"W10.{payload}.{signature}", f"{head}.{other.split('.')[1]}.{signature}", other):  # fmt: skip
        assert await status(wire, bad) == 401, bad


async def test_market_data_is_for_everybody(wire: Wire) -> None:
    for path in (f"{ROOT}/time", f"{ROOT}/market/products/{NAME}", "/v2/time"):
        assert (await wire.send("GET", path, bearer=""))[0] == 200
    assert (await wire.send("GET", f"{ROOT}/products/{NAME}", bearer=""))[0] == 401
    assert (await wire.send("GET", f"{ROOT}/nothing"))[0] == 404


async def test_the_user_channel_needs_a_token(wire: Wire, dial: Dial) -> None:
    for which in ("ws", "ws_user"):
        socket = await dial(which)
        for jwt in ({}, {"jwt": "x"}, {"jwt": token({**wire.entry, "api_key": "nobody"})}):
            await socket.subscribe("user", NAME, **jwt)
            assert await socket.next() == {"type": "error", "message": "authentication failure"}
        await socket.subscribe("user", NAME, jwt=token(wire.entry))
        assert (await socket.next())["events"] == [{"subscriptions": {"user": [NAME]}}]


async def test_too_many_requests(coinbase: Sandbox, wire: Wire) -> None:
    assert (await wire.send("GET", PATH))[0] == 200
    assert int(wire.headers["x-ratelimit-remaining"]) < int(wire.headers["x-ratelimit-limit"])
    coinbase.sites["coinbase"].venues["testnet"].api.limits = Limits(private_1s=0)  # type: ignore[attr-defined]
    code, answer = await wire.send("GET", PATH)
    assert (code, answer["errors"][0]["id"]) == (429, "rate_limit_exceeded")
    assert (await wire.send("GET", f"{ROOT}/time", bearer=""))[0] == 200, "the public has its own"
