"""The panel in a real JupyterLab, in a real browser: it must outlive what blocks or kills the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import browser_page, jupyter, notebook, standin_host, wait_for

pytestmark = pytest.mark.browser

KERNEL_IDLE = """() => {
  const app = window.jupyterapp;
  const panel = app && app.shell.currentWidget;
  const kernel = panel && panel.sessionContext && panel.sessionContext.session && panel.sessionContext.session.kernel;
  return Boolean(kernel) && kernel.status === 'idle' && kernel.connectionStatus === 'connected';
}"""
RUN_CELL = """async () => {
  await window.jupyterapp.commands.execute('notebook:run-cell-and-select-next');
}"""
START_BLOCKING_CELL = """() => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1;
  window.jupyterapp.commands.execute('notebook:run-cell');
}"""
SHOW = """
from autotrader_lab.widgets import LabPanel


class View:
    def __init__(self, session):
        self.session = session

    def snapshot(self):
        return {}


LabPanel(View('alpha'))
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Any, Any, list[str]]]:
    home, root = tmp_path / "home", tmp_path / "root"
    home.mkdir(mode=0o700)
    root.mkdir()
    notebook(root / "climb.ipynb", SHOW, "import time\ntime.sleep(120)")
    complaints: list[str] = []
    with (
        standin_host(home, "alpha", "--stage", "live", "--rehearsal") as host,
        jupyter(home, root, token="a-token") as address,
        browser_page(viewport={"width": 1300, "height": 1100}) as page,
    ):
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/lab/tree/climb.ipynb?token=a-token")
        page.wait_for_function(KERNEL_IDLE, timeout=60_000)
        page.wait_for_timeout(1500)  # the widget manager asks the kernel for its comms when it connects
        page.evaluate(RUN_CELL)
        page.wait_for_selector(".atl .atl-figure", timeout=30_000)
        yield page, host, complaints


def test_it_shows_moves_and_kills_while_a_cell_blocks_the_kernel(lab: tuple[Any, Any, list[str]]) -> None:
    page, host, complaints = lab
    panel = page.locator(".atl")
    notice = panel.locator(".atl-notice")
    wait_for(
        lambda: panel.locator(".atl-label").inner_text() == "LIVE, rehearsal", message="the stage's label is missing"
    )
    assert panel.get_attribute("data-rehearsal") == "true"
    assert panel.locator(".atl-step").count() == 4
    assert panel.locator("[data-rung=live]").get_attribute("aria-current") == "step"
    assert panel.locator(".atl-line").get_attribute("d").startswith("M")
    assert panel.get_by_text("<b>EVIL</b>/USDT").count() == 1
    panel.locator("[data-rung=live]").click()
    assert panel.locator(".atl-evidence tbody tr").count() == 5
    assert "kill switch drilled" in panel.locator(".atl-evidence").inner_text()

    page.evaluate(START_BLOCKING_CELL)
    blocked = page.locator(".jp-CodeCell").nth(1).locator(".jp-InputPrompt").first
    wait_for(lambda: blocked.inner_text() == "[*]:", message="the cell does not run")
    equity = panel.locator(".atl-figure").inner_text()
    newest = panel.locator(".atl-wide tbody tr").first.get_attribute("title")
    wait_for(
        lambda: panel.locator(".atl-figure").inner_text() != equity, message="equity stands still while a cell runs"
    )
    wait_for(
        lambda: panel.locator(".atl-wide tbody tr").first.get_attribute("title") != newest,
        message="no new order appears on top while a cell runs",
    )

    panel.get_by_role("button", name="KILL", exact=True).click()
    page.wait_for_timeout(400)
    panel.get_by_role("button", name="Confirm KILL").click()
    wait_for(lambda: "Killed" in notice.inner_text(), message="the kill was not answered")
    wait_for(lambda: panel.get_by_text("HALTED", exact=True).count() == 1, message="the panel does not show the halt")
    assert blocked.inner_text() == "[*]:"

    host.kill()
    wait_for(
        lambda: "Host not answering since" in notice.inner_text(),
        message="the death is not shown",
    )
    page.keyboard.press("Alt+Shift+KeyK")
    page.wait_for_timeout(400)
    page.keyboard.press("Alt+Shift+KeyK")
    wait_for(lambda: "KILL file is written" in notice.inner_text(), message="no word of the KILL file")
    assert complaints == []
