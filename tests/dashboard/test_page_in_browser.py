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
        wait_for(lambda: page.get_by_text("HALTED").count() == 1, message="the page does not show the halt")


def _cells(row: Any) -> str:
    return " ".join(row.locator(".tabulator-cell").all_inner_texts()) if row.count() else ""
