"""Asking and commanding an engine host from outside the notebook: the server extension, the CLI and the dashboard.

Plain blocking calls over loopback, with the token read from the run folder each time, because a host may have been
restarted on another port since. :func:`kill` never gives up: where no host answers it leaves the ``KILL`` file,
which a host that is alive but deaf still sees, and the next host finds before it trades.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from autotrader_lab.host.api import error_class
from autotrader_lab.host.runs import HostInfo, RunFolder
from autotrader_lab.host.snapshot import offline_snapshot
from autotrader_lab.journal import Journal
from autotrader_lab.model.errors import AutoTraderError, HostError, JournalError

__all__ = ["HostSilent", "in_words", "kill", "last_known", "send_command", "status"]

STATUS_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 60.0
KILL_TIMEOUT_S = 30.0
PROBE_TIMEOUT_S = 1.0
_UNAUTHORIZED = 401
_LAST_KNOWN: dict[Path, tuple[int, dict[str, Any]]] = {}


class HostSilent(HostError):
    """No host of the session runs, or it does not answer."""


def status(folder: RunFolder, timeout_s: float = STATUS_TIMEOUT_S) -> dict[str, Any]:
    """The session's snapshot, from its host.

    Raises
    ------
    HostSilent
        If no host answers within `timeout_s` seconds.
    """
    return _ask(folder, "GET", "status", None, timeout_s)


def last_known(folder: RunFolder) -> dict[str, Any]:
    """The session's snapshot from its journal alone; its ``state`` is ``failed`` where a host died at work.

    A session that never journaled anything is ``idle``. Read again only when the journal has grown.
    """
    info = folder.read_session()
    try:
        with Journal.open(folder.journal_file, session=folder.session, read_only=True) as journal:
            seq = journal.last_seq()
            known = _LAST_KNOWN.get(folder.path)
            if known is None or known[0] != seq:
                known = _LAST_KNOWN[folder.path] = (seq, offline_snapshot(info, journal))
            return known[1]
    except JournalError:
        idle = {"session": info.session, "strategy": info.strategy, "stage": "", "state": "idle", "label": "IDLE"}
        return {**idle, "profile": info.profile, "symbols": list(info.symbols)}


def send_command(
    folder: RunFolder, name: str, arguments: Mapping[str, Any] | None = None, timeout_s: float = COMMAND_TIMEOUT_S
) -> dict[str, Any]:
    """Have the host carry out `name` (start, stop, …).

    Raises
    ------
    HostSilent
        If no host answers within `timeout_s` seconds.
    AutoTraderError
        What the host raised.
    """
    return _ask(folder, "POST", name, arguments or {}, timeout_s)


def kill(
    folder: RunFolder, *, reason: str = "", flatten: bool = False, timeout_s: float = KILL_TIMEOUT_S
) -> dict[str, Any]:
    """Pull the session's kill switch, through its host or, where none answers, by file.

    Returns
    -------
    dict
        The host's kill report (``verified`` tells whether the venue confirmed that nothing is left), or
        ``{"fallback": "kill_file", "verified": False, "message": …}``.

    Raises
    ------
    AutoTraderError
        If the host answers, and what it says is that the kill failed.
    """
    try:
        _probe(folder)
        return send_command(folder, "kill", {"reason": reason, "flatten": flatten}, timeout_s)
    except HostSilent as error:
        folder.kill_file.touch(mode=0o600)
        if folder.host_if_alive() is None:
            rest = (
                "No process of this session trades; orders it left at the venue keep working until the next host of "
                "this session finds the file, or you cancel them at the venue."
            )
        else:
            rest = "The host looks for the file by itself and then cancels everything; check the venue."
        message = f"{error} NOT verified. The KILL file is written. {rest}"
        return {"fallback": "kill_file", "verified": False, "message": message}


def _probe(folder: RunFolder) -> None:
    """A frozen host takes connections and answers nothing: find out in a second, not after the kill's own patience."""
    try:
        status(folder, PROBE_TIMEOUT_S)
    except HostSilent:
        raise
    except AutoTraderError:
        return  # it lives and has trouble: all the more reason to go on


def in_words(report: Mapping[str, Any]) -> tuple[str, str]:
    """What :func:`kill` returned, for a person: ``halted`` where nothing works for certain, else ``critical``."""
    if "fallback" in report:
        return "critical", str(report["message"])
    cancelled, remaining = (_count(report.get(name, 0)) for name in ("cancelled", "remaining"))
    orders = "1 order" if cancelled == 1 else f"{cancelled} orders"
    if report.get("verified"):
        seconds = f" in {report['seconds']:.2f} s" if isinstance(report.get("seconds"), float) else ""
        return "halted", f"Killed: {orders} cancelled, nothing left at the venue{seconds}. Halted until re-armed."
    return (
        "critical",
        f"Killed, but NOT verified: {orders} cancelled, {remaining} may still work. Look at the venue itself.",
    )


def _count(value: Any) -> int:
    return len(value) if isinstance(value, (list, tuple, dict)) else int(value)


def _ask(
    folder: RunFolder, method: str, path: str, arguments: Mapping[str, Any] | None, timeout_s: float
) -> dict[str, Any]:
    info = folder.host_if_alive()
    if info is None:
        raise HostSilent(f"No host of session {folder.session!r} runs.")
    connection = http.client.HTTPConnection("127.0.0.1", info.port, timeout=timeout_s)
    try:
        body = None if arguments is None else msgspec.json.encode(arguments)
        connection.request(method, f"/v1/{path}", body=body, headers={"Authorization": f"Bearer {info.token}"})
        answer = connection.getresponse()
        content = msgspec.json.decode(answer.read(), type=dict[str, Any])
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise _silent(folder, info, error) from error
    finally:
        connection.close()
    if answer.status == _UNAUTHORIZED:
        raise HostSilent(f"Session {folder.session!r}: port {info.port} does not take this session's token.")
    if answer.status >= http.client.BAD_REQUEST:
        told = content.get("error", {})
        raise error_class(told.get("type", ""))(told.get("message", f"HTTP {answer.status}"))
    return content


def _silent(folder: RunFolder, info: HostInfo, error: Exception) -> HostSilent:
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return HostSilent(f"The host of session {folder.session!r} (pid {info.pid}) does not answer ({why}).")
