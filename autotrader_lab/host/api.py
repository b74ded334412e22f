"""The host's control interface: what the notebook, the widget's server side, the dashboard and the CLI talk to.

It answers on 127.0.0.1 only, and that is not enough: any page in the researcher's browser can reach loopback too. So
every route asks for the token of ``host.json`` (compared in constant time), refuses a ``Host`` header that is not
this very address (a foreign name bound to 127.0.0.1 is how browsers are tricked), and whatever changes something
refuses a foreign ``Origin``. The stream's WebSocket is the lease: the system closes it when its holder dies, which is
the one sign of death that cannot be late or wrong.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
import structlog
from aiohttp import WSCloseCode, web

from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model import errors
from autotrader_lab.model.errors import (
    AutoTraderError,
    ConfigError,
    DataError,
    GateClosed,
    HostError,
    InstrumentError,
    OrderError,
    StrategyError,
    TradingHalted,
    VenueError,
)

__all__ = ["ControlledSession", "build_app", "error_class"]

STREAM_INTERVAL_S = 0.25
METRICS_PATH = "/v1/metrics"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_MAX_BODY = 256 * 1024 * 1024  # a pickled strategy may hold a model
_STATUS: tuple[tuple[type[AutoTraderError], int], ...] = (
    (TradingHalted, 409),
    (GateClosed, 403),
    (StrategyError, 422),
    (ConfigError, 422),
    (DataError, 422),
    (InstrumentError, 422),
    (OrderError, 422),
    (HostError, 409),
    (VenueError, 502),
)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = structlog.get_logger(__name__)


class ControlledSession(Protocol):
    """What the interface needs of a session."""

    def snapshot(self) -> dict[str, Any]:
        """The state, as plain values."""
        ...

    async def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out `name` (start, promote, kill, …); the answer is plain values."""
        ...

    async def gate(self, stage: str) -> dict[str, Any]:
        """The verdict on entering `stage`."""
        ...

    async def limits(self) -> dict[str, Any]:
        """The risk limits that hold now."""
        ...

    def metrics(self) -> bytes:
        """Figures in Prometheus' text format."""
        ...

    def lease_taken(self) -> None:
        """A client holds the stream."""
        ...

    def lease_lost(self) -> None:
        """A client that held the stream is gone."""
        ...


COMMANDS = (
    "start",
    "promote",
    "demote",
    "stop",
    "kill",
    "rearm",
    "arm",
    "drill",
    "settle",
    "limits",
    "reconcile",
    "detach",
    "resume",
    "shutdown",
)


def error_class(name: str) -> type[AutoTraderError]:
    """Our error class of that name, so that a client raises what the host raised."""
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, AutoTraderError) else HostError


def build_app(
    session: ControlledSession, token: str, port: Callable[[], int], metrics_token: str = ""
) -> web.Application:
    """The interface to `session` as an aiohttp application.

    Parameters
    ----------
    token : str
        What every request must carry as ``Authorization: Bearer``.
    port : callable
        The port we answer on, known once the socket is bound.
    metrics_token : str, optional
        One that opens ``GET /v1/metrics`` and nothing else.
    """
    app = web.Application(middlewares=[_errors, _guard(token, port, metrics_token)], client_max_size=_MAX_BODY)

    async def status(request: web.Request) -> web.Response:
        return _answer(session.snapshot())

    async def gate(request: web.Request) -> web.Response:
        return _answer(await session.gate(request.query.get("stage", "")))

    async def limits(request: web.Request) -> web.Response:
        return _answer(await session.limits())

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=session.metrics(), headers={"Content-Type": _PROMETHEUS})

    async def command(request: web.Request) -> web.Response:
        return _answer(await session.command(request.match_info["command"], await _arguments(request)))

    async def stream(request: web.Request) -> web.WebSocketResponse:
        return await _stream(request, session)

    app.router.add_get("/v1/status", status)
    app.router.add_get("/v1/gate", gate)
    app.router.add_get("/v1/limits", limits)
    app.router.add_get(METRICS_PATH, metrics)
    app.router.add_get("/v1/stream", stream)
    app.router.add_post(f"/v1/{{command:{'|'.join(COMMANDS)}}}", command)
    return app


def _guard(token: str, port: Callable[[], int], metrics_token: str) -> Any:
    expected = f"Bearer {token}".encode()
    for_metrics = f"Bearer {metrics_token}".encode() if metrics_token else expected

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        names = {f"127.0.0.1:{port()}", f"localhost:{port()}"}
        if request.headers.get("Host", "") not in names:
            return _refusal(421, "HostError", "this interface answers to 127.0.0.1 only; check the Host header")
        given = request.headers.get("Authorization", "").encode()
        scrapes = request.method == "GET" and request.path == METRICS_PATH
        opens = hmac.compare_digest(given, expected) or (scrapes and hmac.compare_digest(given, for_metrics))
        if not opens:
            return _refusal(401, "HostError", "token missing or wrong; it is in host.json of the run folder")
        origin = request.headers.get("Origin")
        changes = request.method != "GET" or request.path == "/v1/stream"
        if changes and origin is not None and origin.removeprefix("http://") not in names:
            return _refusal(403, "HostError", f"a page from {origin} may not command this session")
        return await handler(request)

    return guard


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except AutoTraderError as error:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        return _refusal(status, type(error).__name__, str(error))
    except web.HTTPException as error:
        return _refusal(error.status, "HostError", f"{request.method} {request.path}: {error.reason}")
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - the session must stay alive and say what happened
        _log.exception("request failed", path=request.path)
        return _refusal(500, "HostError", f"{type(error).__name__}: {error} (the traceback is in host.log)")


async def _arguments(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    if not body:
        return {}
    try:
        arguments = msgspec.json.decode(body)
    except msgspec.MsgspecError as error:
        raise HostError(f"the request's body is no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise HostError("the request's body must be a JSON object")
    return arguments


async def _stream(request: web.Request, session: ControlledSession) -> web.WebSocketResponse:
    """Send snapshots until the peer goes; unless it asked for ``lease=0`` it holds the lease meanwhile."""
    socket = web.WebSocketResponse(heartbeat=60.0)
    await socket.prepare(request)
    holds = request.query.get("lease", "1") != "0"
    sender = asyncio.create_task(_send_snapshots(socket, session), name="stream snapshots")
    if holds:
        session.lease_taken()
    try:
        async for _ in socket:
            pass  # nothing is expected from the peer but its end
    finally:
        if holds:
            session.lease_lost()
        await end_tasks(sender)
        await socket.close(code=WSCloseCode.GOING_AWAY)
    return socket


async def _send_snapshots(socket: web.WebSocketResponse, session: ControlledSession) -> None:
    while not socket.closed:
        await socket.send_bytes(msgspec.json.encode(session.snapshot()))
        await asyncio.sleep(STREAM_INTERVAL_S)


def _answer(content: Mapping[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


def _refusal(status: int, kind: str, message: str) -> web.Response:
    body = msgspec.json.encode({"error": {"type": kind, "message": message}})
    return web.Response(status=status, body=body, content_type="application/json")
