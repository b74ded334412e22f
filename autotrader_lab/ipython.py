"""Magics for a notebook: ``%stage``, ``%positions``, ``%orders`` and ``%kill``, after ``%load_ext autotrader_lab``.

They look at one session: the one named after the magic, else the newest whose host runs, else the newest. They read
the host or the journal directly, and need no variable of the notebook. A cell with ``%kill`` queues behind a busy
cell; the panel's button and ``autotrader-lab kill`` do not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from autotrader_lab.host.runs import RunFolder, list_sessions
from autotrader_lab.journal import Entry, Journal
from autotrader_lab.journal.frames import orders_frame, positions_frame
from autotrader_lab.jupyter.remote import HostSilent, in_words, last_known, status
from autotrader_lab.jupyter.remote import kill as pull
from autotrader_lab.model.errors import AutoTraderError, HostError

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

NAMES = ("stage", "positions", "orders", "kill")


def load_ipython_extension(shell: Any) -> None:
    """Give `shell` the magics, and labs their panel where the widget library is installed; IPython calls this."""
    with contextlib.suppress(ImportError):
        import autotrader_lab.widgets  # noqa: F401 - importing it is what registers the panel
    for name in NAMES:
        shell.register_magic_function(_spoken(globals()[f"_{name}"]), "line", name)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again; IPython calls this."""
    for name in NAMES:
        shell.magics_manager.magics["line"].pop(name, None)


def _stage(line: str) -> pd.DataFrame:
    """%stage [SESSION]: where the session stands, and what it takes to enter each stage."""
    folder = _folder(line)
    try:
        snapshot = status(folder)
    except HostSilent:
        snapshot = last_known(folder)
    rows = [
        {
            "stage": rung["stage"],
            "status": rung["status"],
            "passed": f"{sum(check['passed'] for check in rung['checks'])}/{len(rung['checks'])}",
            "missing": ", ".join(check["name"] for check in rung["checks"] if not check["passed"]),
        }
        for rung in snapshot.get("ladder", ())
    ]
    frame = pd.DataFrame(rows, columns=["stage", "status", "passed", "missing"]).set_index("stage")
    title = f"{snapshot['session']} · {snapshot['label']} · {snapshot['state']}"
    return frame.rename_axis(title, axis="columns")


def _positions(line: str) -> pd.DataFrame:
    """%positions [SESSION]: what is held, per stage."""
    return _read(line, positions_frame)


def _orders(line: str) -> pd.DataFrame:
    """%orders [SESSION]: the orders, newest first."""
    return _read(line, orders_frame).iloc[::-1]


def _kill(line: str) -> None:
    """%kill [SESSION] [--flatten]: refuse new orders, cancel everything, verify, stay halted."""
    words = line.split()
    flatten = "--flatten" in words
    folder = _folder(" ".join(word for word in words if word != "--flatten"))
    _, said = in_words(pull(folder, reason="%kill", flatten=flatten))
    _say(f"{folder.session}: {said}")


def _read(line: str, frame: Callable[[Iterable[Entry]], pd.DataFrame]) -> pd.DataFrame:
    with _journal(_folder(line)) as journal:
        return frame(journal.read())


def _journal(folder: RunFolder) -> Journal:
    return Journal.open(folder.journal_file, session=folder.session, read_only=True)


def _folder(line: str) -> RunFolder:
    name = line.strip()
    if name:
        folder = RunFolder.named(name)
        if not folder.exists:
            raise HostError(
                f"no session {name!r}; there are: {', '.join(row.session for row in list_sessions()) or 'none'}"
            )
        return folder
    rows = list_sessions()
    if not rows:
        raise HostError("no session in this home yet; start one with Lab")
    return RunFolder(Path(next((row for row in rows if row.alive), rows[0]).path))


def _spoken(magic: Callable[[str], Any]) -> Callable[[str], Any]:
    """The magic, telling a user's mistake in one line instead of a traceback."""

    def spoken(line: str) -> Any:
        try:
            return magic(line)
        except AutoTraderError as error:
            _say(f"error: {error}")
            return None

    spoken.__doc__ = magic.__doc__
    return spoken


def _say(text: str) -> None:
    from IPython.display import display

    display({"text/plain": text}, raw=True)  # type: ignore[no-untyped-call]
