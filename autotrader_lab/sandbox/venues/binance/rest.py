"""The REST wrapping: paths and verbs, query and form parameters, headers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from autotrader_lab.sandbox.venues.binance.api import Api, Credentials
from autotrader_lab.sandbox.venues.binance.calls import OPERATIONS, Answer
from autotrader_lab.sandbox.venues.binance.errors import ApiError
from autotrader_lab.sandbox.venues.binance.params import Params

__all__ = ["add_routes", "without_signature"]

_SIGNATURE = re.compile(r"(?:^|&)signature=[^&]*")
_RETIRED = "/api/v3/userDataStream"


def without_signature(text: str) -> str:
    """A query or form text without its ``signature`` parameter, otherwise as sent."""
    return _SIGNATURE.sub("", text).removeprefix("&")


def add_routes(app: web.Application, api: Api) -> None:
    """Serve every REST operation on `app`."""
    for name in OPERATIONS:
        verb, _, path = name.partition(" ")
        if path:
            app.router.add_route(verb, path, _handler(api, name))
    app.router.add_route("*", _RETIRED, _gone)


def _handler(api: Api, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        query = request.rel_url.raw_query_string
        body = (await request.read()).decode("utf-8", "replace")
        try:
            values = _merge(query, body)
        except ApiError as error:
            return to_response(Answer(error.status, error.body()))
        signature = values.pop("signature", None)
        payload = without_signature(query) + without_signature(body)
        credentials = Credentials(request.headers.get("X-MBX-APIKEY"), payload, signature)
        answer = await api.answer(name, Params(values), credentials, "rest")
        if answer is None:
            return _hang_up(request)
        return to_response(answer)

    return handle


def _merge(query: str, body: str) -> dict[str, str]:
    """Parameters of query and body; the query wins where both name one.

    Raises
    ------
    ApiError
        -1101 if one of them names a parameter twice.
    """
    merged: dict[str, str] = {}
    for text in (body, query):
        pairs = parse_qsl(text, keep_blank_values=True)
        if len({name for name, _ in pairs}) != len(pairs):
            raise ApiError(-1101, "Duplicate values for a parameter detected.")
        merged.update(pairs)
    return merged


def to_response(answer: Answer) -> web.Response:
    """An answer on the wire."""
    headers = {"Content-Type": "application/json;charset=UTF-8", **answer.headers}
    body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
    return web.Response(status=answer.status, body=body, headers=headers)


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _gone(request: web.Request) -> web.StreamResponse:
    return web.Response(status=410, text="")
