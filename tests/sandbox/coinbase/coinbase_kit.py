"""Signs and sends Coinbase requests by hand, so that the sandbox is not tested with anybody's library."""

import asyncio
import base64
import json
import secrets
import time
from typing import Any

import aiohttp
import ccxt.pro
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

Json = dict[str, Any]
NAME = "BTC-USD"
ROOT = "/api/v3/brokerage"
LIMIT: Json = {"base_size": "0.01", "limit_price": "58000"}


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def token(entry: Json, uri: str = "", header: Json | None = None, **changes: Any) -> str:
    """A JSON web token; `changes` replace what the payload says, None leaves it out."""
    now = int(time.time())
    payload = {"sub": entry["api_key"], "iss": "cdp", "nbf": now, "exp": now + 120, "uri": uri or None, **changes}
    head = {"alg": "ES256", "typ": "JWT", "kid": entry["api_key"], "nonce": secrets.token_hex(), **(header or {})}
    kept = {name: value for name, value in payload.items() if value is not None}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, kept))
    key = load_pem_private_key(entry["pem"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Wire:
    """REST by hand."""

    def __init__(self, session: aiohttp.ClientSession, entry: Json) -> None:
        self.session = session
        self.entry = entry
        self.headers: Any = {}

    async def send(
        self, verb: str, path: str, body: Any = None, query: str = "", bearer: str | None = None
    ) -> tuple[int, Any]:
        host = self.entry["rest"].partition("://")[2]
        bearer = token(self.entry, f"{verb} {host}{path}") if bearer is None else bearer
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"} if bearer else {}
        url = self.entry["rest"] + path + (f"?{query}" if query else "")
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        async with self.session.request(verb, url, data=text, headers=headers) as response:
            self.headers = response.headers
            answer = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(answer) if is_json else answer

    async def get(self, path: str, query: str = "") -> Any:
        status, answer = await self.send("GET", f"{ROOT}/{path}", query=query)
        assert status == 200, answer
        return answer

    async def post(self, path: str, body: Any) -> Any:
        return (await self.send("POST", f"{ROOT}/{path}", body))[1]

    async def create(
        self, kind: str = "limit_limit_gtc", side: str = "BUY", client_id: str = "", **fields: Any
    ) -> Json:
        """Place an order; `fields` replace those of a resting limit order, None leaves one out."""
        base = LIMIT if kind.startswith(("limit", "sor", "stop")) else {}
        kept = {name: value for name, value in {**base, **fields}.items() if value is not None}
        order = {"client_order_id": client_id or secrets.token_hex(8), "product_id": NAME, "side": side}
        answer: Json = await self.post("orders", {**order, "order_configuration": {kind: kept}})
        return answer

    async def place(self, kind: str = "limit_limit_gtc", side: str = "BUY", client_id: str = "", **fields: Any) -> str:
        """Place an order that is accepted; returns its id."""
        answer = await self.create(kind, side, client_id, **fields)
        assert answer["success"], answer
        number: str = answer["success_response"]["order_id"]
        return number

    async def look(self, order_id: str) -> Json:
        found: Json = (await self.get(f"orders/historical/{order_id}"))["order"]
        return found

    async def balance(self, asset: str) -> tuple[str, str]:
        """Available and on hold."""
        rows = (await self.get("accounts"))["accounts"]
        (row,) = [row for row in rows if row["currency"] == asset]
        return row["available_balance"]["value"], row["hold"]["value"]


class Socket:
    """One WebSocket: its messages must be numbered without a gap."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.count = 0

    async def subscribe(self, channel: str, *products: str, **more: Any) -> None:
        message = {"type": "subscribe", "channel": channel, "product_ids": list(products), **more}
        await self.socket.send_str(json.dumps(message))

    async def next(self) -> Json:
        message: Json = json.loads(await asyncio.wait_for(self.socket.receive_str(), 5))
        if message.get("type") != "error":
            assert message["sequence_num"] == self.count
            self.count += 1
        return message

    async def until(self, channel: str) -> Json:
        while True:
            message = await self.next()
            if message.get("channel") == channel:
                return message


def ccxt_client(addresses: Json, live: bool = False) -> Any:
    """The real ccxt, pointed at one world."""
    entry = addresses["coinbase"]["live"] if live else addresses["coinbase"]
    urls = {"api": {"rest": entry["rest"], "ws": entry["ws"]}}
    return ccxt.pro.coinbase(
        {"apiKey": entry["api_key"], "secret": entry["pem"], "enableRateLimit": False, "urls": urls}
    )
