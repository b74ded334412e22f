"""Signs and sends Binance requests by hand, so that the sandbox is not tested with anybody's library."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp

S = "BTCUSDT"
LIMIT = {"symbol": S, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "50000"}
Json = dict[str, Any]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Wire:
    """Signs and sends by hand, so that the sandbox is not tested with anybody's library."""

    def __init__(self, session: aiohttp.ClientSession, entry: Json) -> None:
        self.session = session
        self.entry = entry
        self.headers: Any = {}

    def sign(self, payload: str) -> str:
        return hmac.new(self.entry["api_secret"].encode(), payload.encode(), hashlib.sha256).hexdigest()

    async def send(
        self, verb: str, path: str, query: str = "", body: str | None = None, key: str = ""
    ) -> tuple[int, Any]:
        headers = {"X-MBX-APIKEY": key or self.entry["api_key"], "Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.entry['rest']}{path}" + (f"?{query}" if query else "")
        async with self.session.request(verb, url, data=body, headers=headers) as response:
            self.headers = response.headers
            return response.status, await response.json()

    async def signed(self, verb: str, path: str, **params: Any) -> tuple[int, Any]:
        query = urlencode({"timestamp": now_ms(), **params})
        return await self.send(verb, path, f"{query}&signature={self.sign(query)}")

    async def order(self, **params: Any) -> tuple[int, Any]:
        return await self.signed("POST", "/api/v3/order", **{k: v for k, v in params.items() if v is not None})

    def ws_params(self, **params: Any) -> Json:
        values = {"apiKey": self.entry["api_key"], "timestamp": now_ms(), **params}
        payload = "&".join(f"{name}={values[name]}" for name in sorted(values))
        return {**values, "signature": self.sign(payload)}


class Socket:
    """A WebSocket with request ids."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.other: list[Any] = []
        self.last_id = 0

    async def call(self, method: str, params: Any = None) -> Json:
        self.last_id += 1
        message = {"id": self.last_id, "method": method}
        await self.socket.send_json(message if params is None else {**message, "params": params})
        while True:
            answer: Json = await self.next()
            if answer.get("id") == self.last_id:
                return answer
            self.other.append(answer)

    async def next(self) -> Any:
        return json.loads(await asyncio.wait_for(self.socket.receive_str(), 5))
