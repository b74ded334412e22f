"""OKX's private WebSocket lines: one for orders, and one for stops, which the venue calls business.

ccxt dials, pings and reads; logging in, subscribing and order entry are written here, so that a failure of any of them
is told to whoever waits for it and nothing is merged on the way.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from typing import Any

from autotrader_lab.model.errors import VenueUnavailable

__all__ = ["OkxLines"]

log = logging.getLogger(__name__)

_LOST = "autotrader:user-data"
_CHANNELS = ("orders", "orders-algo")
_EXPIRING = frozenset({"order", "amend-order"})
_NEVER_LEFT = ("Cannot write to closing transport", "Connection closed before send")
"""What aiohttp and ccxt say before anything of a frame is written."""
_SERVICE_UPGRADE = "64008"


class OkxLines:
    """Both lines of one account.

    Parameters
    ----------
    exchange : ccxt.pro.okx
        With the account's keys.
    timeout_s : float
        Longest wait for an answer, seconds.
    push : callable
        Gets ``(channel, row)`` of everything private.
    """

    def __init__(self, exchange: Any, timeout_s: float, push: Callable[[tuple[str, Any]], None]) -> None:
        self._exchange = exchange
        self._timeout_s = timeout_s
        self._push = push
        self._clients: dict[str, Any] = {}
        self._waiting: dict[str, Any] = {}
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.ended.add_done_callback(_look)

    async def open(self) -> None:
        """Dial, log in and subscribe; returns when the venue confirmed all of it."""
        self._exchange.open()
        # ccxt would wait up to 30 s after failed dials; how long to wait is the stream keeper's to say.
        self._exchange.ws_dial_backoff = {}
        for channel in _CHANNELS:
            url = self._exchange.get_url(channel, "private")
            stale = self._exchange.clients.pop(url, None)
            if stale is not None:
                # Before close, which cancels what still waits on it, and a cancelled wait looks like our own end.
                stale.reject(ConnectionError("the connection is made anew"))
                await stale.close()
            self._clients[channel] = client = self._exchange.client(url)
            client.future(_LOST).add_done_callback(self._end)
            await self._ask(client, "login", {"op": "login", "args": [self._credentials()]})
            topic = {"channel": channel, "instType": "SPOT"}
            await self._ask(client, f"subscribe:{channel}", {"op": "subscribe", "args": [topic]})
            if client.closed():
                raise ConnectionError("the user stream ended as it began")

    def is_alive(self) -> bool:
        """Whether both sockets are open and nothing has gone wrong on them."""
        return all(not client.closed() and client.error is None for client in self._clients.values())

    async def call(self, operation: str, params: Mapping[str, Any]) -> Any:
        """Enter, change or cancel one order over the line of orders; raises ccxt's error for a refusal.

        Raises
        ------
        VenueUnavailable
            If the socket is closing, so that it certainly never left.
        """
        request_id = str(self._exchange.request_id())
        request = {"id": request_id, "op": operation, "args": [params]}
        if operation in _EXPIRING:
            request["expTime"] = self._exchange.deadline_ms()
        return await self._ask(self._clients["orders"], request_id, request)

    def tap(self, message: Any) -> bool:
        """Every WebSocket message before ccxt; true for what ccxt need not see, which is all but pongs."""
        if not isinstance(message, dict):
            return False
        event = message.get("event")
        arg: Any = message.get("arg")
        channel = arg.get("channel") if isinstance(arg, dict) else None
        if "id" in message and event is None:
            self._answer(str(message["id"]), message)
        elif event == "login":
            self._answer("login", message)
        elif event == "subscribe":
            self._answer(f"subscribe:{channel}", message)
        elif event == "error":
            self._fail(message)
        elif event == "notice" and str(message.get("code")) == _SERVICE_UPGRADE:
            for client in self._clients.values():
                client.reject(ConnectionError(f"the venue ends the stream: {message.get('msg')}"), _LOST)
        elif event is None and channel in _CHANNELS:
            data = message.get("data")
            for row in data if isinstance(data, list) else [data]:
                self._push((channel, row))
        return True

    def _credentials(self) -> dict[str, str]:
        exchange = self._exchange
        stamp = str(int(exchange.nonce()) // 1000)
        text = f"{stamp}GET/users/self/verify".encode()
        digest = hmac.new(exchange.secret.encode(), text, hashlib.sha256).digest()
        return {
            "apiKey": exchange.apiKey,
            "passphrase": exchange.password,
            "timestamp": stamp,
            "sign": base64.b64encode(digest).decode(),
        }

    async def _ask(self, client: Any, key: str, request: Mapping[str, Any]) -> Any:
        # In client.futures the end of the line finds it too.
        answer = self._waiting[key] = client.future(key)
        try:
            async with asyncio.timeout(self._timeout_s):
                if client.connection is None:
                    # A dial that fails is told to the answer only.
                    dialled = client.connect(self._exchange.session)
                    await asyncio.wait({dialled, answer}, return_when=asyncio.FIRST_COMPLETED)
                if answer.done():
                    return answer.result()
                await _send(client, request)
                return await answer
        finally:
            del self._waiting[key]
            client.futures.pop(key, None)

    def _answer(self, key: str, message: dict[str, Any]) -> None:
        answer = self._waiting.get(key)
        if answer is None or answer.done():
            return
        try:
            # ccxt's own table of codes, the same as for REST.
            self._exchange.handle_errors(
                200, "", "", "", {}, self._exchange.json(message), {"code": "0", **message}, {}, ""
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever asked
            answer.reject(error)
        else:
            answer.resolve(message)

    def _fail(self, message: dict[str, Any]) -> None:
        """An error without an answer's id: it belongs to the handshake under way, if there is one."""
        asked = str(message["id"]) if "id" in message else ""
        keys = [asked] if asked in self._waiting else [key for key in self._waiting if not key.isdigit()]
        if not keys:
            log.warning("okx: the private line reports %s (%s)", message.get("msg"), message.get("code"))
        for key in keys:
            self._answer(key, message)

    def _end(self, lost: asyncio.Future[Any]) -> None:
        """One line is over: so is the subscription."""
        error = None if lost.cancelled() else lost.exception()
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionError("the stream ended"))


async def _send(client: Any, request: Mapping[str, Any]) -> None:
    try:
        await client.send(request)
    except ConnectionError as error:
        if not any(words in str(error) for words in _NEVER_LEFT):
            raise
        raise VenueUnavailable(f"okx: {request['op']} never left, the socket is closing") from error


def _look(ended: asyncio.Future[Any]) -> None:
    """Take note of how it ended, so that asyncio does not complain where nobody waited any more."""
    if not ended.cancelled():
        ended.exception()
