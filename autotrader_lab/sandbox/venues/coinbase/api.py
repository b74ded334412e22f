"""Runs one REST request: limits, token, the operation, and its error if it has one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from autotrader_lab.sandbox.orders import Account
from autotrader_lab.sandbox.venues.coinbase import private, public
from autotrader_lab.sandbox.venues.coinbase.auth import check_token
from autotrader_lab.sandbox.venues.coinbase.calls import OPERATIONS, Call, Operation
from autotrader_lab.sandbox.venues.coinbase.desk import Desk
from autotrader_lab.sandbox.venues.coinbase.errors import ApiError, Unauthorized, invalid
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo
from autotrader_lab.sandbox.world import World

__all__ = ["VENUE", "Api", "Limits"]

OPERATION_MODULES = (public, private)
VENUE = "coinbase"

Json = dict[str, Any]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Requests a second, signed and not. The default is far above the venue's 30 and 10, for load tests."""

    private_1s: int = 30_000
    public_1s: int = 10_000


class Api:
    """The operations of one world.

    Parameters
    ----------
    world : World
        Where they act.
    limits : Limits, optional
        What is allowed.
    hooks : Hooks, optional
        Where faults are put in.
    """

    def __init__(self, world: World, limits: Limits | None = None, hooks: Hooks | None = None) -> None:
        self.world = world
        self.desk = Desk(world)
        self.limits = limits or Limits()
        self.hooks = hooks or Hooks()
        self._counts: dict[bool, tuple[int, int]] = {}

    def add_routes(self, app: web.Application) -> None:
        """Serve every REST operation on `app`."""
        for operation in OPERATIONS.values():
            verb, _, path = operation.name.partition(" ")
            app.router.add_route(verb, path, self._handler(operation))
        app.router.add_route("*", "/{path:(?:api|v2)/.*}", _not_found)

    def _handler(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            text = await request.text()
            query = parse_qs(request.rel_url.raw_query_string)
            try:
                body = _body(text) if request.method == "POST" else {}
            except ApiError as error:
                return _to_response(Answer(error.status, error.body()))
            seen: Json = {name: values[0] for name, values in query.items()} | dict(request.match_info) | body
            info = RequestInfo(self.world.name, "rest", operation.name, seen, VENUE)
            answer = await self.hooks.before(info)
            if answer is None:
                answer = self._run(operation, request, query, body)
            answer = await self.hooks.after(info, answer)
            if answer is None:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            return _to_response(answer)

        return handle

    def _run(self, operation: Operation, request: web.Request, query: dict[str, list[str]], body: Json) -> Answer:
        account: Account | None = None
        try:
            headers = self._spend(operation.is_private)
            if operation.is_private:
                token = request.headers.get("Authorization", "").removeprefix("Bearer ")
                now_s = self.world.now_ms() / 1_000
                key = check_token(token, self.world.keys, now_s, request.method, request.host, request.rel_url.raw_path)
                account = self.world.exchange.accounts[key.account]
            answer = operation.run(Call(self.desk, request.match_info, query, body, account))
            return Answer(200, answer, headers)
        except Unauthorized as error:
            return Answer(error.status, b"Unauthorized\n", {"Content-Type": "text/plain; charset=utf-8"})
        except ApiError as error:
            return Answer(error.status, error.body())
        finally:
            self.world.publish()

    def _spend(self, is_private: bool) -> dict[str, str]:
        """Count a request of this second; returns the headers that tell.

        Raises
        ------
        ApiError
            429.
        """
        second = self.world.now_ms() // 1_000
        most = self.limits.private_1s if is_private else self.limits.public_1s
        start, count = self._counts.get(is_private, (second, 0))
        count = 1 if start != second else count + 1
        self._counts[is_private] = (second, count)
        if count > most:
            raise ApiError(429, "rate_limit_exceeded", "Too many requests")
        return {
            "x-ratelimit-limit": str(most),
            "x-ratelimit-remaining": str(most - count),
            "x-ratelimit-reset": "1",
        }


def _body(text: str) -> Json:
    if not text.strip():
        return {}
    try:
        body = json.loads(text, parse_float=str, parse_int=str)
    except ValueError:
        raise invalid("invalid JSON") from None
    if not isinstance(body, dict):
        raise invalid("the body must be an object")
    return body


def _to_response(answer: Answer) -> web.Response:
    headers = {"Content-Type": "application/json; charset=utf-8"} | answer.headers
    body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
    return web.Response(status=answer.status, body=body, headers=headers)


async def _not_found(request: web.Request) -> web.StreamResponse:
    body = {"error": "NOT_FOUND", "error_details": "Not Found", "message": "Not Found"}
    return _to_response(Answer(404, body))
