"""The REST face: who asks, what is asked, and the answer in the time format that was asked for."""

from __future__ import annotations

import hmac
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo
from autotrader_lab.sandbox.venues.oanda.desk import Desk
from autotrader_lab.sandbox.venues.oanda.errors import ApiError
from autotrader_lab.sandbox.venues.oanda.times import dress

__all__ = ["OPERATIONS", "Api", "Call", "operation"]

Json = dict[str, Any]
VENUE = "oanda"
MOST_OF_A_BODY = 2**20

OPERATIONS: dict[str, Callable[[Call], tuple[int, Json]]] = {}


class Call:
    """One request on its way.

    Parameters
    ----------
    desk : Desk
        The account's.
    path : mapping of str to str
        What the path names.
    query : mapping of str to str
        Parameters.
    body : dict
        The JSON body, numbers as texts.
    origin : str
        ``http://host:port`` as the client knows it.
    """

    def __init__(self, desk: Desk, path: Mapping[str, str], query: Mapping[str, str], body: Json, origin: str) -> None:
        self.desk = desk
        self.path = path
        self.query = query
        self.body = body
        self.origin = origin

    def flag(self, name: str, default: bool = False) -> bool:
        """A parameter that is true or false."""
        return self.query.get(name, str(default)).lower() == "true"

    def number(self, name: str, default: int | None = None) -> int:
        """A parameter that is a whole number.

        Raises
        ------
        ApiError
            If it is missing or something else.
        """
        text = self.query.get(name)
        if text is None and default is not None:
            return default
        if text is None:
            raise ApiError(400, f"Missing '{name}' parameter", "oanda::rest::core::MissingParameterException")
        if not text.isdigit():
            raise ApiError(400, f"Invalid value specified for '{name}'")
        return int(text)


def operation(name: str) -> Callable[[Callable[[Call], tuple[int, Json]]], Callable[[Call], tuple[int, Json]]]:
    """Register a function for ``VERB /path``; it returns the status and the body."""

    def register(function: Callable[[Call], tuple[int, Json]]) -> Callable[[Call], tuple[int, Json]]:
        OPERATIONS[name] = function
        return function

    return register


class Api:
    """One environment's REST.

    Parameters
    ----------
    desk : Desk
        The account's.
    token : str
        What must be presented.
    hooks : Hooks
        Where faults are put in.

    Attributes
    ----------
    requests_1s : int
        Requests allowed in a second; 0 is without limit.
    """

    def __init__(self, desk: Desk, token: str, hooks: Hooks) -> None:
        self.desk = desk
        self.token = token
        self.hooks = hooks
        self.requests_1s = 120
        self._times_ns: deque[int] = deque()

    def app(self) -> web.Application:
        """An application that serves every operation."""
        app = web.Application(client_max_size=MOST_OF_A_BODY)
        for name in OPERATIONS:
            verb, _, path = name.partition(" ")
            app.router.add_route(verb, path, self._handler(name))
        return app

    def check_access(self, request: web.Request) -> None:
        """Whether the token is right and the account is the token's.

        Raises
        ------
        ApiError
            401 or 403.
        """
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            raise ApiError(401, "Insufficient authorization to perform request.")
        if request.match_info.get("account", self.desk.account.name) != self.desk.account.name:
            raise ApiError(403, "The provided request was forbidden.")

    def _handler(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body: Json = {}
            problem: ApiError | None = None
            try:
                self._check_pace()
                self.check_access(request)
                body = await _read_body(request)
            except ApiError as error:
                problem = error
            info = RequestInfo(self.desk.world.name, "rest", name, _params(request, body), VENUE)
            answer = await self.hooks.before(info)
            if answer is None:
                answer = self._run(name, request, body) if problem is None else Answer(problem.status, problem.body())
            told = await self.hooks.after(info, answer)
            if told is None:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            return self._respond(told)

        return handle

    def _check_pace(self) -> None:
        now_ns = self.desk.world.clock.monotonic_ns()
        while self._times_ns and now_ns - self._times_ns[0] >= 1_000_000_000:
            self._times_ns.popleft()
        self._times_ns.append(now_ns)
        if self.requests_1s and len(self._times_ns) > self.requests_1s:
            raise ApiError(429, "The rate limit for the API has been exceeded. Please slow down.")

    def _run(self, name: str, request: web.Request, body: Json) -> Answer:
        origin = f"{request.scheme}://{request.host}"
        try:
            status, answer = OPERATIONS[name](Call(self.desk, request.match_info, request.query, body, origin))
        except ApiError as error:
            status, answer = error.status, error.body()
        finally:
            self.desk.world.publish()
        is_unix = request.headers.get("Accept-Datetime-Format", "").upper() == "UNIX"
        return Answer(status, dress(answer, is_unix))

    def _respond(self, answer: Answer) -> web.Response:
        content = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
        headers = {"RequestID": str(78_000_000_000_000_000 + len(self.desk.record.transactions)), **answer.headers}
        headers.setdefault("Content-Type", "application/json")
        return web.Response(status=answer.status, body=content, headers=headers)


async def _read_body(request: web.Request) -> Json:
    text = await request.text()
    if not text.strip():
        return {}
    try:
        body = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except ValueError:
        raise ApiError(400, "Malformed JSON in the request body") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The request body must be a JSON object")
    return body


def _params(request: web.Request, body: Json) -> Json:
    """What hooks may look at: path, query, and the terms of an order with the side by its sign."""
    params: Json = {**request.match_info, **request.query}
    order = body.get("order")
    if isinstance(order, dict):
        units = str(order.get("units", ""))
        params |= {"symbol": order.get("instrument", ""), "side": "sell" if units.startswith("-") else "buy", **order}
    return params
