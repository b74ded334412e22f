"""The live panel of a session in a notebook: a view, with the browser's half in ``panel*.js``.

The browser asks the Jupyter server for the session's state and sends it the buttons, so that the panel lives on while a
cell blocks the kernel or after the kernel's death. What this half adds is for front ends where that road is
missing (VS Code, a page made by nbconvert): it pushes the snapshot as a trait, from one thread for all panels, and
carries out the buttons it is sent. No trait ever holds a token or a key.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from autotrader_lab.model.errors import HostError

try:
    import anywidget
    import traitlets
except ImportError as missing:
    raise ImportError("the notebook panel needs anywidget: pip install 'autotrader-lab[lab]'") from missing

__all__ = ["LabPanel", "SessionView"]

PUSH_INTERVAL_S = 0.25
SERVED_TURNS = 8
"""Where the browser is served by the Jupyter server, the kernel pushes only every so many turns."""
_ACTIONS = frozenset({"start", "stop", "kill", "settle"})
_HERE = Path(__file__).parent
_SCRIPTS = ("panel_dom.js", "panel_link.js", "panel_parts.js", "panel_attention.js", "panel.js")


class SessionView(Protocol):
    """What the panel needs of a lab; its buttons use ``start``, ``stop``, ``kill``, ``settle`` where they exist."""

    @property
    def session(self) -> str:
        """The session's name."""
        ...

    def snapshot(self) -> Mapping[str, Any] | None:
        """The newest state, plain values; None before there is one. Must not block."""
        ...


class LabPanel(anywidget.AnyWidget):
    """The panel of one session: ladder with evidence, start, stop, kill, orders in doubt, positions, equity.

    Parameters
    ----------
    lab : SessionView
        Anything with ``session`` and ``snapshot()``.
    """

    _esm = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    _css = (_HERE / "panel.css").read_text(encoding="utf-8")

    session = traitlets.Unicode().tag(sync=True)
    snapshot = traitlets.Dict().tag(sync=True)
    served = traitlets.Bool(False).tag(sync=True)

    def __init__(self, lab: SessionView) -> None:
        self._lab = lab
        super().__init__(session=lab.session, snapshot=_plain(lab.snapshot()))
        self.on_msg(self._on_message)
        _PUBLISHER.add(self)

    def __repr__(self) -> str:
        return f"LabPanel({self.session!r})"

    def refresh(self) -> None:
        """Push the newest snapshot to the browser, if it changed."""
        fresh = _plain(self._lab.snapshot())
        if fresh != self.snapshot:
            self.snapshot = fresh

    def close(self) -> None:
        """Take the panel off the page and stop pushing."""
        _PUBLISHER.remove(self)
        super().close()

    def _on_message(self, _: object, content: Any, __: object) -> None:
        if isinstance(content, dict) and content.get("action") in _ACTIONS:
            # Not on the kernel's loop: the answer may take as long as the venue does.
            threading.Thread(target=self._carry_out, args=(content,), name="panel action", daemon=True).start()

    def _carry_out(self, content: dict[str, Any]) -> None:
        answer_to = content.get("id", "")
        try:
            body = _run(self._lab, str(content["action"]), content.get("arguments") or {})
        except Exception as error:  # noqa: BLE001 - whatever it was, a person pressed a button and must be told
            self.send({"answer_to": answer_to, "ok": False, "message": f"{type(error).__name__}: {error}"})
        else:
            self.send({"answer_to": answer_to, "ok": True, "body": body})


def _run(lab: SessionView, action: str, arguments: Mapping[str, Any]) -> Any:
    """Call the lab's method of that name with those of `arguments` it takes, and wait for it."""
    method: Callable[..., Any] | None = getattr(lab, action, None)
    if method is None:
        raise HostError(f"{type(lab).__name__} cannot {action} from here; use the command line")
    known = inspect.signature(method).parameters
    result = method(**{name: value for name, value in arguments.items() if name in known})
    if inspect.isawaitable(result):
        result = asyncio.run(_awaited(result))
    return msgspec.to_builtins(result, enc_hook=str)


async def _awaited(result: Any) -> Any:
    return await result


def _plain(snapshot: Mapping[str, Any] | None) -> dict[str, Any]:
    """The snapshot as values JSON knows."""
    return dict(msgspec.to_builtins(snapshot, enc_hook=str)) if snapshot else {}


class _Publisher:
    """One thread that refreshes every panel of this process; it ends when there is none left."""

    def __init__(self) -> None:
        self._panels: weakref.WeakSet[LabPanel] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, panel: LabPanel) -> None:
        """Refresh `panel` from now on."""
        with self._guard:
            self._panels.add(panel)
            self._wake.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="panel publisher", daemon=True)
                self._thread.start()

    def remove(self, panel: LabPanel) -> None:
        """Leave `panel` alone from now on."""
        with self._guard:
            self._panels.discard(panel)
            if not self._panels:
                self._wake.set()

    def _work(self) -> None:
        turn = 0
        while True:
            self._wake.wait(PUSH_INTERVAL_S)
            turn += 1
            with self._guard:
                panels = list(self._panels)
                if not panels:
                    self._thread = None
                    return
            for panel in panels:
                if panel.served and turn % SERVED_TURNS:
                    continue
                try:
                    panel.refresh()
                except Exception as error:  # noqa: BLE001 - one broken view must not stop the others
                    panel.log.warning("panel %s: snapshot failed: %s", panel.session, error)
                    self.remove(panel)


_PUBLISHER = _Publisher()
