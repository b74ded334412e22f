"""The WebSocket API: the same operations by method name, and user-data subscriptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import WSMsgType, web

from autotrader_lab.sandbox.orders import Account, AccountEvent, OrderEvent, TradeEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.venues.binance import render
from autotrader_lab.sandbox.venues.binance.api import Api, Credentials
from autotrader_lab.sandbox.venues.binance.auth import find_key
from autotrader_lab.sandbox.venues.binance.calls import OPERATIONS, Access, Answer
from autotrader_lab.sandbox.venues.binance.errors import ApiError
from autotrader_lab.sandbox.venues.binance.params import Params
from autotrader_lab.sandbox.venues.channel import Channel, serve
from autotrader_lab.sandbox.venues.hooks import RequestInfo

__all__ = ["SESSION_METHODS", "WebSocketApi"]

Json = dict[str, Any]

USER_EVENTS = "user"
ANSWERS = "ws-api"


class _Session:
    """One connection to the WebSocket API."""

    def __init__(self, channel: Channel, connected_ms: int) -> None:
        self.channel = channel
        self.connected_ms = connected_ms
        self.authorized_ms: int | None = None
        self.account: Account | None = None
        self.api_key: str | None = None
        self.subscriptions: dict[int, str] = {}
        self.next_subscription = 0


class WebSocketApi:
    """The endpoint ``/ws-api/v3`` of one world.

    Parameters
    ----------
    api : Api
        What runs the operations.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._sessions: set[_Session] = set()
        api.world.listeners.append(self._on_events)

    @property
    def subscriber_count(self) -> int:
        """How many connections receive user data."""
        return sum(1 for session in self._sessions if session.subscriptions)

    def close(self) -> None:
        """End every connection."""
        for session in self._sessions:
            session.channel.close()

    def drop(self) -> int:
        """Cut every connection without a goodbye; returns how many there were."""
        count = len(self._sessions)
        for session in list(self._sessions):
            session.channel.abort()
        return count

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=2**20)
        await socket.prepare(request)
        channel = Channel(socket, self._api.hooks, self._api.world.name, request.transport)
        session = _Session(channel, self._api.world.now_ms())
        self._sessions.add(session)
        try:
            await serve(session.channel, "ws-api", self._read(session))
        finally:
            self._sessions.discard(session)
        return socket

    async def _read(self, session: _Session) -> None:
        # Requests begin in their order; one that a fault keeps waiting does not keep the others waiting.
        async with asyncio.TaskGroup() as group:
            async for message in session.channel.socket:
                if message.type is WSMsgType.TEXT:
                    group.create_task(self._take(session, message.data), name="sandbox ws-api request")

    async def _take(self, session: _Session, text: str) -> None:
        if not await self._on_request(session, text):
            session.channel.abort()

    async def _on_request(self, session: _Session, text: str) -> bool:
        request_id: Any = None
        try:
            request = json.loads(text, parse_float=str)
            if not isinstance(request, dict) or not isinstance(request.get("method"), str):
                raise ApiError(-1135, "Invalid JSON Request")
            request_id = request.get("id")
            method, values = request["method"], _texts(request.get("params") or {})
        except ValueError:
            return self._reply(session, None, _failed(ApiError(-1135, "Invalid JSON Request")), True)
        except ApiError as error:
            return self._reply(session, request_id, _failed(error), True)
        wants_limits = values.get("returnRateLimits", "true") != "false"
        answer = await self._run(session, method, values)
        return self._reply(session, request_id, answer, wants_limits)

    async def _run(self, session: _Session, method: str, values: dict[str, str]) -> Answer | None:
        payload = "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "signature")
        signature = values.pop("signature", None)
        credentials = Credentials(values.get("apiKey") or session.api_key, payload, signature, session.account)
        params = Params(values)
        own = getattr(self, _OWN.get(method, ""), None)
        if own is None:
            if method not in OPERATIONS or " " in method:
                return _failed(ApiError(-1020, "This operation is not supported."))
            return await self._api.answer(method, params, credentials, ANSWERS)
        info = RequestInfo(self._api.world.name, ANSWERS, method, values)
        answer = await self._api.hooks.before(info)
        if answer is None:
            try:
                answer = Answer(200, own(session, params, credentials))
            except ApiError as error:
                answer = _failed(error)
        return await self._api.hooks.after(info, answer)

    def _reply(self, session: _Session, request_id: Any, answer: Answer | None, wants_limits: bool) -> bool:
        if answer is None:
            return False
        if isinstance(answer.body, bytes):
            session.channel.send_text(answer.body.decode(), ANSWERS)
            return True
        body: Json = {"id": request_id, "status": answer.status}
        body["result" if answer.status == 200 else "error"] = answer.body
        if wants_limits:
            body["rateLimits"] = self._api.meter.usage(answer.counts_of, self._api.world.now_ms())
        session.channel.send(body, ANSWERS)
        return True

    # Sessions and subscriptions

    def _logon(self, session: _Session, params: Params, credentials: Credentials) -> Json:
        key = find_key(self._api.world.keys, credentials.api_key)
        if not key.public_key:
            raise ApiError(-4056, "HMAC_SHA256 API key is not supported.")
        session.account = self._api.identify(params, credentials, Access.SIGNED)
        session.api_key, session.authorized_ms = key.key, self._api.world.now_ms()
        return self._session_status(session, params, credentials)

    def _logout(self, session: _Session, params: Params, credentials: Credentials) -> Json:
        session.account = session.api_key = session.authorized_ms = None
        return self._session_status(session, params, credentials)

    def _session_status(self, session: _Session, params: Params, credentials: Credentials) -> Json:
        return {
            "apiKey": session.api_key,
            "authorizedSince": session.authorized_ms,
            "connectedSince": session.connected_ms,
            "returnRateLimits": True,
            "serverTime": self._api.world.now_ms(),
            "userDataStream": bool(session.subscriptions),
        }

    def _subscribe_signed(self, session: _Session, params: Params, credentials: Credentials) -> Json:
        account = self._api.identify(params, credentials, Access.SIGNED)
        assert account is not None, "signed access has an account"
        return self._add_subscription(session, account)

    def _subscribe(self, session: _Session, params: Params, credentials: Credentials) -> Json:
        if session.account is None:
            raise ApiError(-1002, "You are not authorized to execute this request.", 401)
        return self._add_subscription(session, session.account)

    def _add_subscription(self, session: _Session, account: Account) -> Json:
        if account.name in session.subscriptions.values():
            raise ApiError(-2035, "User Data Stream subscription already active.")
        number = session.next_subscription
        session.next_subscription += 1
        session.subscriptions[number] = account.name
        return {"subscriptionId": number}

    def _unsubscribe(self, session: _Session, params: Params, credentials: Credentials) -> Json:
        number = params.integer("subscriptionId")
        if not session.subscriptions or (number is not None and number not in session.subscriptions):
            raise ApiError(-2036, "User Data Stream subscription not active.")
        for ended in [number] if number is not None else list(session.subscriptions):
            del session.subscriptions[ended]
        return {}

    def _subscriptions(self, session: _Session, params: Params, credentials: Credentials) -> list[Json]:
        return [{"subscriptionId": number} for number in session.subscriptions]

    def _on_events(self, events: Sequence[Event]) -> None:
        listening = [session for session in self._sessions if session.subscriptions]
        if not listening:
            return
        now_ms = self._api.world.now_ms()
        for event in events:
            if isinstance(event, TradeEvent):
                continue
            account, body = _render(event, now_ms)
            for session in listening:
                for number, name in session.subscriptions.items():
                    if name == account:
                        session.channel.send({"subscriptionId": number, "event": body}, USER_EVENTS)


_OWN = {
    "session.logon": "_logon",
    "session.logout": "_logout",
    "session.status": "_session_status",
    "session.subscriptions": "_subscriptions",
    "userDataStream.subscribe.signature": "_subscribe_signed",
    "userDataStream.subscribe": "_subscribe",
    "userDataStream.unsubscribe": "_unsubscribe",
}
SESSION_METHODS = frozenset(_OWN)


def _render(event: OrderEvent | AccountEvent, now_ms: int) -> tuple[str, Json]:
    if isinstance(event, OrderEvent):
        return event.order.account, render.execution_report(event, now_ms)
    if event.delta is not None:
        return event.account, render.balance_update(event, now_ms)
    return event.account, render.account_position(event, now_ms)


def _failed(error: ApiError) -> Answer:
    return Answer(error.status, error.body())


def _texts(values: Any) -> dict[str, str]:
    """Parameters as the texts that were sent.

    Raises
    ------
    ApiError
        -1135 if they are not an object.
    """
    if not isinstance(values, dict):
        raise ApiError(-1135, "Invalid JSON Request")
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":"))
