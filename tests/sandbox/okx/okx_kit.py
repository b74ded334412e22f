"""Signs and sends OKX requests by hand, so that the sandbox is not tested with anybody's library."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
import ccxt.pro

Json = dict[str, Any]
NAME = "BTC-USDT"
LIMIT: Json = {"instId": NAME, "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "0.01", "px": "58000"}


def signature(secret: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


class Wire:
    """REST by hand."""

    def __init__(self, session: aiohttp.ClientSession, entry: Json, demo: bool = True) -> None:
        self.session = session
        self.entry = entry
        self.demo = demo

    def headers(self, verb: str, path: str, body: str) -> Json:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers = {
            "OK-ACCESS-KEY": self.entry["api_key"],
            "OK-ACCESS-SIGN": signature(self.entry["api_secret"], f"{stamp}{verb}{path}{body}"),
            "OK-ACCESS-TIMESTAMP": stamp,
            "OK-ACCESS-PASSPHRASE": self.entry["passphrase"],
            "Content-Type": "application/json",
        }
        return headers | ({"x-simulated-trading": "1"} if self.demo else {})

    async def send(self, verb: str, path: str, body: Any = None, headers: Json | None = None) -> tuple[int, Json]:
        path = f"/api/v5/{path}"
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        sent = self.headers(verb, path, text) if headers is None else headers
        async with self.session.request(verb, self.entry["rest"] + path, data=text or None, headers=sent) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> Json:
        return (await self.send("GET", path))[1]

    async def rows(self, path: str) -> Any:
        answer = await self.get(path)
        assert answer["code"] == "0", answer
        return answer["data"]

    async def post(self, path: str, body: Any) -> Json:
        return (await self.send("POST", f"trade/{path}", body))[1]

    async def order(self, **fields: Any) -> Json:
        """Place one order and return its row."""
        row: Json = (await self.post("order", {**LIMIT, **fields}))["data"][0]
        return row

    async def look(self, row: Json) -> Json:
        """An order's details."""
        found: Json = (await self.rows(f"trade/order?instId={NAME}&ordId={row['ordId']}"))[0]
        return found

    def login(self, **changes: Any) -> Json:
        stamp = str(changes.pop("timestamp", int(time.time())))
        argument = {
            "apiKey": self.entry["api_key"],
            "passphrase": self.entry["passphrase"],
            "timestamp": stamp,
            "sign": signature(self.entry["api_secret"], f"{stamp}GET/users/self/verify"),
        }
        return {"op": "login", "args": [argument | changes]}


class Socket:
    """One WebSocket: what it received, and waiting for more."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen: list[Json] = []

    async def send(self, message: Any) -> None:
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def next(self) -> Json:
        message: Json = json.loads(await asyncio.wait_for(self.socket.receive_str(), 5))
        self.seen.append(message)
        return message

    async def until(self, **wanted: Any) -> Json:
        """The next message with these fields; a ``channel`` is looked for in ``arg`` and means data."""
        channel = wanted.pop("channel", None)
        while True:
            message = await self.next()
            here = message.get("arg", {}).get("channel")
            if (channel is None or ("data" in message and here == channel)) and wanted.items() <= message.items():
                return message

    async def log_in(self, wire: Wire) -> None:
        await self.send(wire.login())
        assert (await self.next())["event"] == "login"

    async def subscribe(self, *args: Json) -> None:
        await self.send({"op": "subscribe", "args": list(args)})


def ccxt_client(addresses: Json, live: bool = False) -> Any:
    """The real ccxt, pointed at one world."""
    entry = addresses["okx"]["live"] if live else addresses["okx"]
    urls = {"rest": entry["rest"], "ws": f"{entry['ws']}/ws/v5"}
    client = ccxt.pro.okx(
        {
            "apiKey": entry["api_key"],
            "secret": entry["api_secret"],
            "password": entry["passphrase"],
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["spot"]}},
            "urls": {"api": urls} if live else {"test": urls},
        }
    )
    if not live:
        client.set_sandbox_mode(True)
    return client
