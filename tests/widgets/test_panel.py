"""The notebook panel's kernel half: what it pushes, what it carries out, what it never holds."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from browser_support import wait_for
from standin_host import MovingSession

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the widget libraries' own at import
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
    panel._on_message(None, {"action": "kill", "id": "7", "flatten": True, "reason": "button"}, [])
    answer = wait_for(lambda: panel.__dict__.get("sent"), seconds=5, message="no answer came")[0]
    assert desk.calls == [("kill", {"flatten": True})]
    assert (answer["answer_to"], answer["ok"], answer["body"]["verified"]) == ("7", True, True)


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
