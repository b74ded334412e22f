"""OKX's WebSockets: login, subscriptions, order operations, and what an account is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import WSMsgType, web

from autotrader_lab.sandbox.instruments import new_secret
from autotrader_lab.sandbox.orders import Account, AccountEvent, OrderEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.units import trim_e8
from autotrader_lab.sandbox.venues.channel import Channel, serve
from autotrader_lab.sandbox.venues.hooks import Answer, RequestInfo
from autotrader_lab.sandbox.venues.okx import render
from autotrader_lab.sandbox.venues.okx.account import held_assets
from autotrader_lab.sandbox.venues.okx.algos import Algo
from autotrader_lab.sandbox.venues.okx.api import VENUE, Api
from autotrader_lab.sandbox.venues.okx.auth import check_login
from autotrader_lab.sandbox.venues.okx.desk import inst_id
from autotrader_lab.sandbox.venues.okx.errors import ApiError
from autotrader_lab.sandbox.venues.okx.feeds import INSTRUMENT_CHANNELS, Feeds, is_candle
from autotrader_lab.sandbox.venues.okx.trading import MOST_ROWS

__all__ = ["SOCKET_REQUESTS", "Sockets"]

Json = dict[str, Any]
Key = tuple[str, str]

PUBLIC, PRIVATE, BUSINESS = "public", "private", "business"
PRIVATE_CHANNELS = frozenset({"account", "orders", "fills", "positions", "balance_and_position", "liquidation-warning"})
ALGO_CHANNELS = frozenset({"orders-algo", "algo-advance"})
INSTRUMENT_TYPES = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "ANY")
VIP_CHANNELS = frozenset({"books50-l2-tbt", "books-l2-tbt"})
_ACTIONS = {
    "order": "place",
    "batch-orders": "place",
    "cancel-order": "cancel",
    "batch-cancel-orders": "cancel",
    "amend-order": "amend",
    "batch-amend-orders": "amend",
}
SOCKET_REQUESTS = ("login", *_ACTIONS)


class Connection:
    """One WebSocket."""

    def __init__(self, channel: Channel, door: str) -> None:
        self.channel = channel
        self.door = door
        self.conn_id = new_secret(None, 8).lower()
        self.account: Account | None = None
        self.args: dict[Key, Json] = {}

    def push(self, message: Json, kind: str) -> None:
        """Send a message."""
        self.channel.send(message, kind)


class Sockets:
    """The WebSocket addresses of one world.

    Parameters
    ----------
    api : Api
        What runs the operations.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._desk = api.desk
        self._world = api.world
        self.feeds = Feeds(api.desk)
        self._connections: set[Connection] = set()
        self._totals: dict[tuple[str, str], int] = {}
        self._traded: list[Json] = []
        api.world.listeners.append(self._on_events)
        api.desk.algos.listeners.append(self._on_algo)

    @property
    def subscriber_count(self) -> int:
        """How many connections receive orders."""
        return sum(1 for connection in self._connections if any(key[0] == "orders" for key in connection.args))

    def close(self) -> None:
        """End every connection."""
        for connection in self._connections:
            connection.channel.close()

    def drop(self, kind: str | None = None) -> int:
        """Cut connections without a goodbye: market data ("stream"), private ones ("ws-api"), or all."""
        chosen = [c for c in self._connections if kind is None or (c.door == PRIVATE) == (kind == "ws-api")]
        for connection in chosen:
            connection.channel.abort()
        return len(chosen)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection of ``/ws/v5/<door>``."""
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=2**20)
        await socket.prepare(request)
        channel = Channel(socket, self._api.hooks, self._world.name, request.transport)
        connection = Connection(channel, request.match_info["door"])
        self._connections.add(connection)
        try:
            await serve(channel, f"okx {connection.door}", self._read(connection))
        finally:
            self._connections.discard(connection)
            for key in connection.args:
                self.feeds.remove(connection, key)
        return socket

    async def _read(self, connection: Connection) -> None:
        # Requests begin in their order; one that a fault keeps waiting does not keep the others waiting.
        async with asyncio.TaskGroup() as group:
            async for message in connection.channel.socket:
                if message.type is WSMsgType.TEXT:
                    group.create_task(self._take(connection, message.data), name="sandbox okx request")

    async def _take(self, connection: Connection, text: str) -> None:
        if text == "ping":
            connection.channel.send_text("pong", "ws-api")
        elif not await self._on_request(connection, text):
            connection.channel.abort()

    async def _on_request(self, connection: Connection, text: str) -> bool:
        try:
            request = json.loads(text, parse_float=str, parse_int=str)
            op, args = request["op"], request["args"]
            if not isinstance(args, list) or not all(isinstance(arg, dict) for arg in args):
                raise TypeError("args is a list of objects")
        except (ValueError, TypeError, KeyError):
            self._error(connection, "60012", f"Illegal request: {text}")
            return True
        request_id = request.get("id")
        if op == "login":
            return await self._log_in(connection, args)
        if op in ("subscribe", "unsubscribe"):
            for arg in args:
                self._change(connection, op, arg, request_id)
        elif op in _ACTIONS:
            return await self._act(connection, op, request, args)
        else:
            self._error(connection, "60012", f"Illegal request: {text}", request_id)
        return True

    def _error(self, connection: Connection, code: str, message: str, request_id: Any = None) -> None:
        body: Json = {"event": "error", "code": code, "msg": message, "connId": connection.conn_id}
        if request_id is not None:
            body["id"] = str(request_id)
        connection.push(body, "ws-api")

    # Login and subscriptions

    async def _log_in(self, connection: Connection, args: list[Json]) -> bool:
        info = RequestInfo(self._world.name, "ws-api", "login", {}, VENUE)
        answer = await self._api.hooks.before(info)
        if answer is None:
            answer = Answer(200, self._login(connection, args))
        answer = await self._api.hooks.after(info, answer)
        if answer is None:
            return False
        if isinstance(answer.body, bytes):
            connection.channel.send_text(answer.body.decode("utf-8", "replace"), "ws-api")
        else:
            connection.push({"event": "error"} | answer.body | {"connId": connection.conn_id}, "ws-api")
        return True

    def _login(self, connection: Connection, args: list[Json]) -> Json:
        try:
            if connection.door == PUBLIC:
                raise ApiError("60008", "Login is not supported for public channels")
            key = check_login(args[0] if args else {}, self._world.keys, self._api.other_keys, self._world.now_ms())
        except ApiError as error:
            return {"event": "error", "code": error.code, "msg": error.message}
        connection.account = self._world.exchange.accounts[key.account]
        return {"event": "login", "code": "0", "msg": ""}

    def _change(self, connection: Connection, op: str, arg: Json, request_id: Any) -> None:
        try:
            key = self._key(connection, arg)
        except ApiError as error:
            self._error(connection, error.code, error.message, request_id)
            return
        answer: Json = {"event": op, "arg": arg, "connId": connection.conn_id}
        if request_id is not None:
            answer["id"] = str(request_id)
        connection.push(answer, "ws-api")
        if op == "unsubscribe":
            connection.args.pop(key, None)
            self.feeds.remove(connection, key)
            return
        connection.args[key] = arg
        if key[0] in PRIVATE_CHANNELS | ALGO_CHANNELS:
            count = sum(1 for c in self._connections if any(k[0] == key[0] for k in c.args))
            body = {"event": "channel-conn-count", "channel": key[0], "connCount": str(count)}
            connection.push(body | {"connId": connection.conn_id}, "ws-api")
            self._greet(connection, key[0], arg)
        else:
            self.feeds.add(connection, key, arg)

    def _key(self, connection: Connection, arg: Json) -> Key:
        """Channel and instrument of a subscription.

        Raises
        ------
        ApiError
            60018 for one that is not there, 60011 without a login, 64003 for the VIP channels.
        """
        channel, name = str(arg.get("channel", "")), str(arg.get("instId") or "")
        if channel in VIP_CHANNELS and connection.door == PUBLIC:
            raise ApiError("64003", "Your trading fee tier doesn't meet the requirement to access this channel")
        door = PUBLIC
        if channel in PRIVATE_CHANNELS:
            door = PRIVATE
        elif channel in ALGO_CHANNELS or is_candle(channel) or channel == "trades-all":
            door = BUSINESS
        wants_instrument = channel in INSTRUMENT_CHANNELS or is_candle(channel)
        known = channel in PRIVATE_CHANNELS | ALGO_CHANNELS | {"instruments", "status"} or wants_instrument
        if not known or door != connection.door or (wants_instrument and name not in self._desk.by_id):
            given = ",".join(f"{field}:{value}" for field, value in arg.items())
            raise ApiError(
                "60018",
                f"Wrong URL or {given} doesn't exist. Please use the correct URL, channel and parameters referring to "
                "API document.",
            )
        if channel in PRIVATE_CHANNELS | ALGO_CHANNELS and connection.account is None:
            raise ApiError("60011", "Please log in")
        if channel in ("orders", "orders-algo") and arg.get("instType") not in INSTRUMENT_TYPES:
            raise ApiError("60013", "Invalid args")
        if channel in ("instruments", "status"):
            name = str(arg.get("instType") or "")
        elif not wants_instrument:
            name = f"{arg.get('instType', '')}/{name}/{arg.get('ccy', '')}"
        return channel, name

    def _greet(self, connection: Connection, channel: str, arg: Json) -> None:
        """What a new subscriber of a private channel is sent first."""
        account = connection.account
        assert account is not None, "private channels are for those who logged in"
        pages: Json = {"arg": arg | {"uid": render.UID}, "eventType": "snapshot", "curPage": 1, "lastPage": True}
        if channel == "account":
            assets = [asset for asset in held_assets(account) if arg.get("ccy") in (None, "", asset)]
            connection.push(pages | {"data": [render.account_row(self._desk, account, assets)]}, "user")
        elif channel == "positions":
            connection.push(pages | {"data": []}, "user")
        elif channel == "balance_and_position":
            data = self._balances(account, held_assets(account), "snapshot", [])
            connection.push({"arg": pages["arg"], "data": [data]}, "user")

    # Order operations

    async def _act(self, connection: Connection, op: str, request: Json, args: list[Json]) -> bool:
        first = args[0] if args else {}
        info = RequestInfo(self._world.name, "ws-api", op, first | {"instId": self._desk.named(first)}, VENUE)
        answer = await self._api.hooks.before(info)
        if answer is None:
            answer = Answer(200, self._run(connection, op, request, args))
        answer = await self._api.hooks.after(info, answer)
        if answer is None:
            return False
        if isinstance(answer.body, bytes):
            connection.channel.send_text(answer.body.decode("utf-8", "replace"), "ws-api")
        else:
            connection.push({"id": str(request.get("id", "")), "op": op} | answer.body, "ws-api")
        return True

    def _run(self, connection: Connection, op: str, request: Json, args: list[Json]) -> Json:
        try:
            if connection.door != PRIVATE:
                raise ApiError("60028", "The current operation is not supported by this URL")
            if connection.account is None:
                raise ApiError("60011", "Please log in")
            if not args:
                raise ApiError("60013", "Invalid args")
            if len(args) > MOST_ROWS:
                raise ApiError("51111", f"Maximum {MOST_ROWS} orders can be placed in bulk")
            now_ms = self._world.now_ms()
            self._api.meter.spend(connection.account.name, op, 60, now_ms)
            if not op.endswith(("cancel-order", "cancel-orders")):
                self._api.meter.count_orders(connection.account.name, len(args), now_ms)
            action = getattr(self._desk, _ACTIONS[op])
            body = self._desk.run_rows(action, connection.account, args, str(request.get("expTime") or ""))
            if body["code"] == "1":
                body["msg"] = ""
            return body | self._api.stamps()
        except ApiError as error:
            return error.body() | self._api.stamps()
        finally:
            self._world.publish()

    # Events

    def _listening(self, account_name: str, channel: str) -> list[tuple[Connection, Json]]:
        return [
            (connection, arg | {"uid": render.UID})
            for connection in self._connections
            if connection.account is not None and connection.account.name == account_name
            for key, arg in connection.args.items()
            if key[0] == channel
        ]

    def _on_events(self, events: Sequence[Event]) -> None:
        if not any(connection.account for connection in self._connections):
            return
        for event in events:
            if isinstance(event, OrderEvent):
                self._tell_order(event)
            elif isinstance(event, AccountEvent):
                self._tell_account(event)

    def _tell_order(self, event: OrderEvent) -> None:
        name = inst_id(self._desk.exchange.instruments[event.order.symbol])
        for connection, arg in self._listening(event.order.account, "orders"):
            if arg.get("instType") in ("SPOT", "ANY") and arg.get("instId") in (None, "", name):
                connection.push({"arg": arg, "data": [render.order_push(self._desk, event)]}, "user")
        if event.fill is None:
            return
        self._traded.append({"instId": name, "tradeId": str(event.fill.trade_id)})
        for connection, arg in self._listening(event.order.account, "fills"):
            if arg.get("instId") in (None, "", name):
                data = render.fill_push(self._desk, event.order, event.fill)
                connection.push({"arg": arg, "data": [data]}, "user")

    def _tell_account(self, event: AccountEvent) -> None:
        account = self._world.exchange.accounts[event.account]
        assets = [row[0] for row in event.balances]
        for connection, arg in self._listening(event.account, "account"):
            wanted = [asset for asset in assets if arg.get("ccy") in (None, "", asset)]
            if wanted:
                row = self._account_row(account, event, wanted)
                body = {"arg": arg, "eventType": "event_update", "curPage": 1, "lastPage": True, "data": [row]}
                connection.push(body, "user")
        moved = [a for a, free, locked in event.balances if self._totals.get((event.account, a)) != free + locked]
        self._totals |= {(event.account, asset): free + locked for asset, free, locked in event.balances}
        trades, self._traded = self._traded, []
        if moved:
            why = "filled" if event.delta is None else "deposit" if event.delta >= 0 else "withdraw"
            for connection, arg in self._listening(event.account, "balance_and_position"):
                connection.push({"arg": arg, "data": [self._balances(account, moved, why, trades)]}, "user")

    def _account_row(self, account: Account, event: AccountEvent, assets: list[str]) -> Json:
        """The account as it stood at an event."""
        row = render.account_row(self._desk, account, assets)
        stood = {asset: (free, locked) for asset, free, locked in event.balances}
        for detail in row["details"]:
            free, locked = stood[detail["ccy"]]
            detail |= {"availBal": trim_e8(free), "cashBal": trim_e8(free + locked), "eq": trim_e8(free + locked)}
            detail |= {"frozenBal": trim_e8(locked), "ordFrozen": trim_e8(locked), "uTime": str(event.time_ms)}
        return row

    def _balances(self, account: Account, assets: list[str], why: str, trades: list[Json]) -> Json:
        stamp = str(self._world.now_ms())
        rows = [
            {"ccy": asset, "cashBal": trim_e8(sum(account.balance(asset)[1:])), "uTime": str(account.updated_ms)}
            for asset in assets
        ]
        return {"pTime": stamp, "eventType": why, "balData": rows, "posData": [], "trades": trades}

    def _on_algo(self, algo: Algo) -> None:
        name = inst_id(algo.instrument)
        for connection, arg in self._listening(algo.account, "orders-algo"):
            if arg.get("instId") in (None, "", name):
                connection.push({"arg": arg, "data": [self._desk.algos.row(algo)]}, "user")
