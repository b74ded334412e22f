"""The notebook panel's kernel half: what it pushes, what it carries out, what it never holds."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import wait_for
from standin_host import Doubts, MovingSession

from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import HostError
from autotrader_lab.strategy.contract import Strategy

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the widget libraries' own at import
    from autotrader_lab import widgets
    from autotrader_lab.widgets import LabPanel


class Desk:
    """A working lab in memory: what the panel takes is anything with a session and a snapshot."""

    session = "desk"

    def __init__(self) -> None:
        self.moving = MovingSession("desk", "paper", rehearsal=False)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def snapshot(self) -> dict[str, Any]:
        return self.moving.snapshot()

    async def kill(self, *, flatten: bool = False) -> dict[str, Any]:
        self.calls.append(("kill", {"flatten": flatten}))
        return await self.moving.command("kill", {})

    async def settle(self, action: str, order: str) -> dict[str, Any]:
        return await self.moving.command("settle", {"action": action, "order": order})

    def stop(self) -> None:
        raise RuntimeError("the venue is closed")


class Recorder(LabPanel):
    """Keeps what would go to the browser."""

    def send(self, content: Any, buffers: Any = None) -> None:
        self.__dict__.setdefault("sent", []).append(content)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def panel(desk: Desk) -> Iterator[Recorder]:
    made = Recorder(desk)
    yield made
    made.close()


def test_text_is_stable_and_short(panel: Recorder) -> None:
    assert repr(panel) == "LabPanel('desk')"
    data, _ = panel._repr_mimebundle_()
    assert data["text/plain"] == "LabPanel('desk')"


def test_the_kernel_pushes_what_changed(panel: Recorder, desk: Desk) -> None:
    assert panel.snapshot["session"] == "desk"
    desk.moving.turn()
    wait_for(lambda: panel.snapshot["heartbeat_ns"] == desk.moving.beat, seconds=5, message="nothing was pushed")


def test_a_button_through_the_kernel_calls_the_lab_with_what_it_takes(panel: Recorder, desk: Desk) -> None:
    panel._on_message(None, {"action": "kill", "id": "7", "arguments": {"flatten": True, "reason": "button"}}, [])
    answer = wait_for(lambda: panel.__dict__.get("sent"), seconds=5, message="no answer came")[0]
    assert desk.calls == [("kill", {"flatten": True})]
    assert (answer["answer_to"], answer["ok"], answer["body"]["verified"]) == ("7", True, True)


def test_an_order_in_doubt_is_settled_through_the_kernel(panel: Recorder, desk: Desk) -> None:
    desk.moving.doubts = Doubts()
    asked = {"action": "discard", "order": "at-lost-answer"}
    panel._on_message(None, {"action": "settle", "id": "11", "arguments": asked}, [])
    answer = wait_for(lambda: panel.__dict__.get("sent"), seconds=5, message="no answer came")[0]
    assert (answer["answer_to"], answer["ok"]) == ("11", False)
    assert "the venue has it (submitted); cancel it instead" in answer["message"]
    panel._on_message(None, {"action": "settle", "id": "12", "arguments": {**asked, "action": "query"}}, [])
    answer = wait_for(lambda: panel.__dict__["sent"][1:], seconds=5, message="no answer came")[0]
    assert (answer["ok"], answer["body"]["status"]) == (True, "submitted")


class Holder(Strategy):
    """Never trades."""

    def on_bar(self, bar: Any, context: Any) -> None:
        return None


class Asked(Lab):
    """Keeps what its host would be asked."""

    async def _settle(self, action: str, order_id: str, **more: str) -> dict[str, Any]:
        return {"action": action, "order": order_id, **more}


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("query", {}),
        ("adopt", {"venue_order_id": "77"}),
        ("resubmit", {}),
        ("discard", {"why": "discarded by a person"}),
    ],
)
def test_each_of_the_four_buttons_reaches_the_lab(
    action: str, more: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOTRADER_LAB_HOME", str(tmp_path))
    lab = Asked(Holder(), profile="rehearsal", config=None, name="idle")
    view = widgets.panel(lab)._lab
    answer = asyncio.run(view.settle(action, "at-1", "77"))
    assert answer == {"action": action, "order": "at-1", **more}
    with pytest.raises(HostError, match="none of the buttons"):
        asyncio.run(view.settle("forget", "at-1"))
    widgets.panel(lab).close()


def test_a_button_that_fails_says_why(panel: Recorder) -> None:
    panel._on_message(None, {"action": "stop", "id": "8"}, [])
    answer = wait_for(lambda: panel.__dict__.get("sent"), seconds=5, message="no answer came")[0]
    assert (answer["ok"], answer["message"]) == (False, "RuntimeError: the venue is closed")


def test_only_the_panels_own_actions_are_carried_out(panel: Recorder, desk: Desk) -> None:
    panel._on_message(None, {"action": "snapshot", "id": "9"}, [])
    panel._on_message(None, {"action": "__init__", "id": "10"}, [])
    assert "sent" not in panel.__dict__
    assert desk.calls == []


def test_a_view_without_a_state_yet_is_shown_empty() -> None:
    class Early:
        session = "early"

        def snapshot(self) -> None:
            return None

    panel = LabPanel(Early())
    assert panel.snapshot == {}
    panel.close()


def test_nothing_secret_is_among_the_traits(panel: Recorder) -> None:
    state = {name: value for name, value in panel.get_state().items() if name not in ("_esm", "_css", "layout")}
    own = {name for name in state if not name.startswith("_")}
    assert own == {"session", "snapshot", "served", "tabbable", "tooltip"}
    assert "token" not in json.dumps(state["snapshot"]).lower()


def test_data_never_becomes_markup() -> None:
    source = LabPanel._esm
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        found = source.replace("http://www.w3.org/2000/svg", "")
        assert way not in found, way
