"""The routes: ``autotrader-lab/sessions``, ``autotrader-lab/<session>/status`` and POST ``…/kill|stop|start|settle``.

Jupyter's own login, authorizer, origin check and XSRF token protect them, as they do its kernels. What is added here is
the run folder's token, after the session's name was checked so that it can only name a folder of a session.

``status`` answers 200 also when the host is silent, and says so in the body: it is asked several times a second, and a
host that is down is news for the panel, not a line in Jupyter's log each time.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from autotrader_lab.host.runs import RunFolder, list_sessions
from autotrader_lab.jupyter.remote import HostSilent, kill, last_known, send_command, status
from autotrader_lab.model.errors import AutoTraderError, GateClosed, HostError, TradingHalted

__all__ = ["routes"]

ACTIONS = ("kill", "stop", "start", "settle")


class _Handler(APIHandler):
    auth_resource = "autotrader-lab"
    _track_activity = False  # a panel left open is not a person at work

    def answer(self, content: dict[str, Any], status_code: int = 200) -> None:
        self.set_status(status_code)
        self.set_header("Cache-Control", "no-store")
        self.finish(msgspec.json.encode(content))

    def refuse(self, error: AutoTraderError, status_code: int) -> None:
        self.answer({"error": {"type": type(error).__name__, "message": str(error)}}, status_code)


class SessionsHandler(_Handler):
    """All sessions of this home."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List the sessions: name, profile, strategy, whether their host runs. No paths, no tokens."""
        rows = await asyncio.to_thread(list_sessions)
        self.answer(
            {
                "sessions": [
                    {"session": row.session, "profile": row.profile, "strategy": row.strategy, "alive": row.alive}
                    for row in rows
                ]
            }
        )


class StatusHandler(_Handler):
    """The snapshot of one session."""

    @web.authenticated
    @authorized
    async def get(self, session: str) -> None:
        """Answer ``{"host": "answering" | "silent" | "ended" | "unknown", "snapshot": …, "message": …}``.

        ``ended`` is a host that left its session in order; ``silent`` one that should be there. Where no process runs,
        the snapshot is the journal's.
        """
        try:
            folder = existing(session)
        except HostError as error:
            self.answer({"host": "unknown", "snapshot": None, "message": str(error)})
            return
        try:
            snapshot = await asyncio.to_thread(status, folder)
        except AutoTraderError as error:
            self.answer(await asyncio.to_thread(without_host, folder, str(error)))
            return
        self.answer({"host": "answering", "snapshot": snapshot, "message": ""})


class ActionHandler(_Handler):
    """What a person may do to a session from the panel."""

    @web.authenticated
    @authorized
    async def post(self, session: str, action: str) -> None:
        """Forward `action` to the session's host; a kill never gives up where the host is silent."""
        try:
            folder = existing(session)
        except HostError as error:
            self.refuse(error, 404)
            return
        try:
            arguments = self.arguments_given()
        except HostError as error:
            self.refuse(error, 400)
            return
        try:
            if action == "kill":
                answer = await asyncio.to_thread(
                    kill, folder, reason=str(arguments.get("reason", "")), flatten=bool(arguments.get("flatten"))
                )
            else:
                answer = await asyncio.to_thread(send_command, folder, action, arguments)
        except HostSilent as error:
            self.refuse(error, 503)
        except (TradingHalted, GateClosed, HostError) as error:
            self.refuse(error, 409)
        except AutoTraderError as error:
            self.refuse(error, 422)
        else:
            self.answer(answer)

    def arguments_given(self) -> dict[str, Any]:
        """The request's JSON object."""
        if not self.request.body:
            return {}
        try:
            return msgspec.json.decode(self.request.body, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise HostError(f"the request's body must be a JSON object: {error}") from error


def existing(session: str) -> RunFolder:
    """The folder of a session that exists.

    Raises
    ------
    HostError
        If the name could not be a session's, or there is none of that name.
    """
    folder = RunFolder.named(session)
    if not folder.exists:
        raise HostError(f"session {session!r} is not in this server's home; is AUTOTRADER_LAB_HOME the kernel's?")
    return folder


def without_host(folder: RunFolder, message: str) -> dict[str, Any]:
    """What ``status`` answers where no host does."""
    if folder.host_if_alive() is not None:
        return {"host": "silent", "snapshot": None, "message": message}
    snapshot = last_known(folder)
    return {"host": "silent" if snapshot["state"] == "failed" else "ended", "snapshot": snapshot, "message": message}


def routes(base_url: str) -> list[tuple[str, type[_Handler]]]:
    """The handlers for an application at `base_url`."""
    root = url_path_join(base_url, "autotrader-lab")
    return [
        (f"{root}/sessions", SessionsHandler),
        (f"{root}/([^/]+)/status", StatusHandler),
        (f"{root}/([^/]+)/({'|'.join(ACTIONS)})", ActionHandler),
    ]
