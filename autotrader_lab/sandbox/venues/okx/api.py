"""Runs one request: limits, signature, the operation, and its error if it has one; and the REST wrapping of it all."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from autotrader_lab.sandbox.orders import Account
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo
from autotrader_lab.sandbox.venues.okx import account as _account
from autotrader_lab.sandbox.venues.okx import public, trading
from autotrader_lab.sandbox.venues.okx.auth import check_request
from autotrader_lab.sandbox.venues.okx.calls import OPERATIONS, Call, Operation
from autotrader_lab.sandbox.venues.okx.desk import Desk
from autotrader_lab.sandbox.venues.okx.errors import ApiError
from autotrader_lab.sandbox.venues.okx.limits import Limits, Meter
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["VENUE", "Api", "decode_rows"]

OPERATION_MODULES = (public, _account, trading)
VENUE = "okx"

Json = dict[str, Any]


class Api:
    """The operations of one world.

    Parameters
    ----------
    world : World
        Where they act.
    other_keys : mapping of str to ApiKey
        The other environment's keys, to tell a key in the wrong place from an unknown one.
    is_demo : bool
        Whether this is the demo environment.
    limits : Limits, optional
        What is allowed.
    hooks : Hooks, optional
        Where faults are put in.
    """

    def __init__(
        self,
        world: World,
        other_keys: Mapping[str, ApiKey],
        is_demo: bool,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.world = world
        self.other_keys = other_keys
        self.is_demo = is_demo
        self.desk = Desk(world)
        self.meter = Meter(limits or Limits())
        self.hooks = hooks or Hooks()

    def add_routes(self, app: web.Application) -> None:
        """Serve every REST operation on `app`."""
        for operation in OPERATIONS.values():
            verb, _, path = operation.name.partition(" ")
            app.router.add_route(verb, path, self._handler(operation))
        app.router.add_route("*", "/api/{path:.*}", _not_found)

    def _handler(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = (await request.read()).decode("utf-8", "replace")
            try:
                rows = decode_rows(body) if request.method == "POST" else []
            except ApiError as error:
                return _to_response(Answer(error.status, error.body()))
            params: Json = {name: value for name, value in request.rel_url.query.items() if value}
            if len(rows) == 1:
                params |= rows[0]
            first: Json = params if len(rows) <= 1 else rows[0]
            info = RequestInfo(self.world.name, "rest", operation.name, first, VENUE)
            answer = await self.hooks.before(info)
            if answer is None:
                text = request.method + request.raw_path + body
                answer = self._run(operation, params, rows, request.headers, text)
            answer = await self.hooks.after(info, answer)
            if answer is None:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            return _to_response(answer)

        return handle

    def _run(
        self, operation: Operation, params: Json, rows: list[Json], headers: Mapping[str, str], text: str
    ) -> Answer:
        now_ms = self.world.now_ms()
        account: Account | None = None
        try:
            if operation.is_private:
                key = check_request(headers, text, self.world.keys, self.other_keys, now_ms, self.is_demo)
                account = self.world.exchange.accounts[key.account]
            self.meter.spend(account.name if account else "", operation.name, operation.per_2s, now_ms)
            call = Call(self.desk, params, rows, account, headers.get("expTime", ""))
            return Answer(200, self.run(operation, call))
        except ApiError as error:
            return Answer(error.status, error.body())
        finally:
            self.world.publish()

    def run(self, operation: Operation, call: Call) -> Json:
        """The answer of an operation.

        Raises
        ------
        ApiError
            If it fails as a whole.
        """
        if operation.name.endswith(("/order", "/batch-orders", "/amend-order", "/amend-batch-orders")) and call.rows:
            self.meter.count_orders(call.owner.name, len(call.rows), call.now_ms)
        data = operation.run(call)
        answer: Json = data if isinstance(data, dict) else {"code": "0", "data": data, "msg": ""}
        if operation.name.startswith("POST"):
            answer |= self.stamps()
        return answer

    def stamps(self) -> Json:
        """``inTime`` and ``outTime`` of a trading answer, µs."""
        now_us = f"{self.world.now_ms()}000"
        return {"inTime": now_us, "outTime": now_us}


def decode_rows(body: str) -> list[Json]:
    """The objects of a body, numbers as the texts that were sent.

    Raises
    ------
    ApiError
        50000 for an empty body, 50002 for one that is not JSON.
    """
    if not body.strip():
        raise ApiError("50000", "Body for POST request can not be empty.", 400)
    try:
        decoded = json.loads(body, parse_float=str, parse_int=str)
    except ValueError:
        raise ApiError("50002", "JSON syntax error", 400) from None
    rows = decoded if isinstance(decoded, list) else [decoded]
    if not all(isinstance(row, dict) for row in rows):
        raise ApiError("50002", "JSON syntax error", 400)
    return rows


def _to_response(answer: Answer) -> web.Response:
    headers = {"Content-Type": "application/json", **answer.headers}
    body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
    return web.Response(status=answer.status, body=body, headers=headers)


async def _not_found(request: web.Request) -> web.StreamResponse:
    return _to_response(Answer(404, {"code": "404", "data": [], "msg": "Not Found"}))
