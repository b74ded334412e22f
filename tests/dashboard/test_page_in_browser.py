"""The monitoring page, served by the command, in a real browser, over journals that grow."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import browser_page, process, standin_host, wait_for
from journaled import JournaledSession

from autotrader_lab.host.runs import RunFolder

pytestmark = pytest.mark.browser


@pytest.fixture
def address(home: Path, tmp_path: Path) -> Iterator[str]:
    log = tmp_path / "dashboard.log"
    command = [sys.executable, "-m", "autotrader_lab.cli", "dashboard", "--port", "0", "--no-browser"]
    with process(command, log, AUTOTRADER_LAB_HOME=str(home), PYTHONUNBUFFERED="1") as child:

        def said() -> Any:
            assert child.poll() is None, log.read_text()
            return re.search(r"http://127\.0\.0\.1:\d+/monitor", log.read_text())

        yield wait_for(said, message="the dashboard did not come up").group()


def test_it_shows_sessions_and_the_newest_order_on_top_as_the_journal_grows(home: Path, address: str) -> None:
    older = JournaledSession("older", strategy="Breakout")
    older.start()
    older.trade(12)
    session = JournaledSession("newer")
    session.start()
    session.trade(600)
    session.alert("MARKET_DATA_STALE", "no <quote> for 5.2 s")
    complaints: list[str] = []
    foreign: list[str] = []
    with browser_page(viewport={"width": 1400, "height": 1500}) as page:
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: foreign.append(request.url) if "127.0.0.1" not in request.url else None)
        page.goto(f"{address}?session=newer")
        top = page.locator(".tabulator-row").first
        wait_for(lambda: "at-000600" in _cells(top), message="the newest order is not on top")
        session.trade(7)
        wait_for(lambda: "at-000607" in _cells(top), message="the newest order is not on top after the journal grew")
        assert page.get_by_text("PAPER, rehearsal").count() == 1
        assert page.get_by_text("no <quote> for 5.2 s").count() == 1
        assert page.locator(".step").count() == 4
        assert page.locator("[aria-current=step]").inner_text().startswith("●")
        assert page.locator(".bk-Figure, .bk-Canvas").count() > 0
        wait_for(lambda: "100," in page.locator(".figure").inner_text(), message="the account's worth is missing")

        page.get_by_label("Session").select_option("older")
        wait_for(lambda: "at-000012" in _cells(top), message="the other session is not shown")
        assert "Breakout" in page.locator(".masthead").inner_text()
    assert complaints == []
    assert [url for url in foreign if not url.startswith(("data:", "blob:"))] == []


def test_its_kill_button_reaches_the_host(home: Path, address: str) -> None:
    with standin_host(home, "alpha", "--journal"), browser_page(viewport={"width": 1400, "height": 900}) as page:
        page.goto(f"{address}?session=alpha")
        wait_for(lambda: page.get_by_text("running").count() > 0, message="the host's word is not shown")
        page.get_by_role("button", name="KILL", exact=True).click()
        page.get_by_role("button", name="Confirm KILL").click()
        wait_for(lambda: page.get_by_text("nothing left at the venue").count() == 1, message="no word of the kill")
        wait_for(lambda: page.get_by_text("HALTED", exact=True).count() == 1, message="the page does not show the halt")
        assert page.get_by_role("button", name="Confirm KILL").count() == 0, "it still asks"


def test_an_order_in_doubt_is_settled_from_the_page(home: Path, address: str) -> None:
    complaints: list[str] = []
    asked: list[str] = []
    with (
        standin_host(home, "doubtful", "--journal", "--stage", "testnet", "--doubt"),
        browser_page(viewport={"width": 1400, "height": 1200}) as page,
    ):
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: asked.append(str(frame))))
        page.goto(f"{address}?session=doubtful")
        wait_for(lambda: page.get_by_text("3 orders need a person").count(), message="no order in doubt")
        lost = page.locator(".attention-row", has_text="66,950.50")
        assert lost.get_by_text("UNKNOWN").count() == 1
        lost.get_by_role("button", name="Discard").click()
        lost.get_by_role("button", name="Confirm discard").click()
        refusal = "Refused: order at-lost-answer: the venue has it (submitted); cancel it instead"
        wait_for(lambda: lost.get_by_text(refusal).count(), message="the refusal is not shown")
        lost.get_by_role("button", name="Query").click()
        wait_for(lambda: lost.get_by_text("The venue has it: submitted").count(), message="the answer is not shown")
        wait_for(lambda: page.get_by_text("2 orders need a person").count(), message="it still asks for a person")

        away = page.locator(".attention-row", has_text="66,800.00")
        away.get_by_role("button", name="Adopt", exact=True).click()
        away.get_by_role("textbox").fill("88123")
        page.wait_for_timeout(900)  # two looks: what is typed must outlive them
        away.get_by_role("button", name="Adopt it").click()
        wait_for(lambda: away.get_by_text("The venue has it").count(), message="it was not adopted")

        never = page.locator(".attention-row", has_text="DEAD LETTER")
        never.get_by_role("button", name="Resubmit").click()
        never.get_by_role("button", name="Confirm resubmit").click()
        wait_for(lambda: never.get_by_text("Sent again: submitted").count(), message="it was not sent again")
        assert page.get_by_text("If the engine host dies: NOT covered").count() == 1
        host = RunFolder.named("doubtful").read_host()
        assert host is not None
        assert asked
        assert not any(host.token in frame for frame in (*asked, page.content()))
    assert complaints == []


def _cells(row: Any) -> str:
    return " ".join(row.locator(".tabulator-cell").all_inner_texts()) if row.count() else ""
