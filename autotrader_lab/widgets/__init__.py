"""What a notebook shows of a session. Once this is imported, a ``Lab`` that ends a cell is shown as its live panel."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from autotrader_lab.lab.lab import Lab
from autotrader_lab.lab.present import set_display
from autotrader_lab.model.errors import HostError
from autotrader_lab.widgets.panel import LabPanel, SessionView

__all__ = ["LabPanel", "SessionView", "panel"]

_PANELS: weakref.WeakKeyDictionary[Lab, LabPanel] = weakref.WeakKeyDictionary()


class _LabView:
    """A lab as the panel wants it; holds the lab weakly, for widgets are kept for ever."""

    def __init__(self, lab: Lab) -> None:
        self.session = lab.session
        self._lab = weakref.ref(lab)
        self._known: Mapping[str, Any] = {}
        self._journal_then: list[tuple[str, int, int]] | None = None

    def snapshot(self) -> Mapping[str, Any]:
        lab = self._lab()
        if lab is None:
            return self._known
        client = lab.client
        if client is not None and client.is_alive and client.snapshot is not None:
            self._journal_then = None
            return lab.peek()
        # Without a host a look folds the whole journal: only when somebody has written to it.
        journal_now = [
            (path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(lab.folder.glob("journal*"))
        ]
        if journal_now != self._journal_then:
            self._known, self._journal_then = lab.peek(), journal_now
        return self._known

    async def start(self, stage: str = "paper") -> Mapping[str, Any]:
        return await self._there().start(stage)

    async def stop(self, flatten: bool = False) -> Mapping[str, Any]:
        return await self._there().stop(flatten)

    async def kill(self, flatten: bool = False, reason: str = "") -> Mapping[str, Any]:
        return await self._there().kill(flatten, reason)

    async def settle(self, action: str, order: str, venue_order_id: str = "") -> Mapping[str, Any]:
        lab = self._there()
        if action == "adopt":
            return await lab.adopt(order, venue_order_id)
        buttons = {"query": lab.query, "resubmit": lab.resubmit, "discard": lab.discard}
        if action not in buttons:
            raise HostError(f"{action!r} is none of the buttons: adopt, {', '.join(buttons)}")
        return await buttons[action](order)

    def _there(self) -> Lab:
        lab = self._lab()
        if lab is None:
            raise ReferenceError(f"the lab of session {self.session!r} is gone from this kernel; use the command line")
        return lab


def panel(lab: Lab) -> LabPanel:
    """The live panel of `lab`; the same one each time."""
    if lab not in _PANELS:
        _PANELS[lab] = LabPanel(_LabView(lab))
    return _PANELS[lab]


set_display(panel)
