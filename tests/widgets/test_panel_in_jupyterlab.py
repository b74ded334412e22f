"""The panel in a real JupyterLab, in a real browser: it must outlive what blocks or kills the kernel."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import browser_page, jupyter, notebook, standin_host, wait_for

from autotrader_lab.host.runs import RunFolder, list_sessions
from autotrader_lab.journal import Journal, records

pytestmark = pytest.mark.browser

TOKEN = "a-token"
KERNEL_IDLE = """() => {
  const app = window.jupyterapp;
  const panel = app && app.shell.currentWidget;
  const kernel = panel && panel.sessionContext && panel.sessionContext.session && panel.sessionContext.session.kernel;
  return Boolean(kernel) && kernel.status === 'idle' && kernel.connectionStatus === 'connected';
}"""
RUN_CELL = """(index) => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  window.jupyterapp.commands.execute('notebook:run-cell');
}"""
KILL_KERNEL = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()"
TRADE = """
import numpy as np
import pandas as pd

import autotrader_lab.widgets
from autotrader_lab.lab import Lab
from autotrader_lab.strategy.contract import Strategy


class Flip(Strategy):
    def on_bar(self, bar, context):
        if context.position(bar.symbol) > 0:
            return self.close(bar.symbol, context)
        return self.long(bar.symbol, 1.0, context)


close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 2000)))
index = pd.date_range("2024-01-01", periods=len(close), freq="h", tz="UTC")
bars = pd.DataFrame(dict(open=close, high=close * 1.01, low=close * 0.99, close=close, volume=1.0), index=index)
lab = Lab(Flip(), profile="rehearsal", config=None, name="paper-run")
await lab.start("paper", data=bars, interval_s=0.1)
lab
"""
WATCH = """
from autotrader_lab.widgets import LabPanel


class View:
    session = "standin"

    def snapshot(self):
        return {}


LabPanel(View())
"""
THROUGH_THE_KERNEL = """
import time

from autotrader_lab.widgets import LabPanel


class Elsewhere:
    session = "not-in-the-servers-home"
    killed = False

    def snapshot(self):
        halted = "HALTED" if self.killed else "ACTIVE"
        equity = {"value": time.time(), "start": 1.0, "series": []}
        return {"stage": "paper", "label": "PAPER", "state": "running", "trading_state": halted, "equity": equity}

    async def kill(self):
        self.killed = True
        return {"cancelled": 2, "remaining": 0, "seconds": 0.5, "verified": True}


LabPanel(Elsewhere())
"""
BLOCK = "import time\ntime.sleep(120)"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    home, root = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("root")
    home.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch, jupyter(home, root, token=TOKEN) as address:
        patch.setenv("AUTOTRADER_LAB_HOME", str(home))
        yield address, home, root
        for row in list_sessions():
            host = RunFolder(row.path).host_if_alive()
            if host is not None:
                os.kill(host.pid, signal.SIGKILL)


@contextlib.contextmanager
def opened(world: tuple[str, Path, Path], *cells: str) -> Iterator[tuple[Any, list[str]]]:
    """A notebook of `cells` in JupyterLab with a ready kernel; its first cell has been run and shows a panel."""
    address, _, root = world
    complaints: list[str] = []
    path = notebook(root / f"{len(list(root.iterdir()))}.ipynb", *cells)
    # High enough for panel and cells: JupyterLab draws no cell that is out of sight, so its prompt would never change.
    with browser_page(viewport={"width": 1300, "height": 2400}) as page:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # A workspace of its own: else the notebooks of earlier tests come back with their cells.
        page.goto(f"{address}/lab/workspaces/own-{path.stem}/tree/{path.name}?token={TOKEN}")
        page.wait_for_function(KERNEL_IDLE, timeout=60_000)
        page.wait_for_timeout(1500)  # the widget manager asks the kernel for its comms when it connects
        page.evaluate(RUN_CELL, 0)
        page.wait_for_selector(".atl .atl-figure", timeout=30_000)
        yield page, complaints


def block(page: Any) -> Any:
    """Let the second cell block the kernel; returns its prompt."""
    page.evaluate(RUN_CELL, 1)
    prompt = page.locator(".jp-CodeCell").nth(1).locator(".jp-InputPrompt").first
    wait_for(lambda: prompt.inner_text() == "[*]:", message="the cell does not run")
    return prompt


def kill(page: Any) -> None:
    page.get_by_role("button", name="KILL", exact=True).click()
    page.wait_for_timeout(400)
    page.get_by_role("button", name="Confirm KILL").click()


def test_a_paper_session_moves_and_is_killed_while_a_cell_blocks_the_kernel(world: tuple[str, Path, Path]) -> None:
    with opened(world, TRADE, BLOCK) as (page, complaints):
        panel = page.locator(".atl")
        notice = panel.locator(".atl-notice")
        assert panel.locator(".atl-label").inner_text() == "PAPER, rehearsal"
        blocked = block(page)
        orders = panel.locator(".atl-wide tbody tr")
        newest = orders.first.get_attribute("title")
        wait_for(lambda: orders.first.get_attribute("title") != newest, message="no new order while a cell runs")
        wait_for(lambda: panel.locator(".atl-line").get_attribute("d"), message="no equity line while a cell runs")
        worth = panel.locator(".atl-figure")
        before = worth.inner_text()
        wait_for(lambda: worth.inner_text() != before, message="equity stands still while a cell runs")
        panel.locator("[data-rung=testnet]").click()
        wait_for(lambda: "round trips" in panel.locator(".atl-evidence").inner_text(), message="no evidence is shown")

        kill(page)
        wait_for(lambda: "Killed" in notice.inner_text(), message="the kill was not answered")
        wait_for(lambda: panel.get_by_text("HALTED", exact=True).count(), message="the panel does not show the halt")
        assert blocked.inner_text() == "[*]:"
        with Journal.open(RunFolder.named("paper-run").journal_file, read_only=True) as journal:
            states = [entry.payload["state"] for entry in journal.read(kinds=records.TRADING_STATE)]
        assert states[-1] == "HALTED"
        assert complaints == []


def test_the_stage_is_unmistakable_and_a_dead_kernel_or_host_leaves_a_way_to_kill(
    world: tuple[str, Path, Path],
) -> None:
    with (
        standin_host(world[1], "standin", "--stage", "live", "--rehearsal", "--journal") as host,
        opened(world, WATCH) as (page, complaints),
    ):
        panel = page.locator(".atl")
        notice = panel.locator(".atl-notice")
        wait_for(lambda: panel.locator(".atl-label").inner_text() == "LIVE, rehearsal", message="no label of the stage")
        assert panel.get_attribute("data-rehearsal") == "true"
        assert panel.locator("[data-rung=live]").get_attribute("aria-current") == "step"
        assert panel.get_by_text("<b>EVIL</b>/USDT").count() == 1

        page.evaluate(KILL_KERNEL)
        page.wait_for_timeout(500)
        worth = panel.locator(".atl-figure").inner_text()
        wait_for(lambda: panel.locator(".atl-figure").inner_text() != worth, message="the panel died with the kernel")
        kill(page)
        wait_for(lambda: "nothing left at the venue" in notice.inner_text(), message="the kill was not answered")

        host.kill()
        wait_for(lambda: "Host not answering since" in notice.inner_text(), message="the host's death is not shown")
        page.keyboard.press("Alt+Shift+KeyK")
        page.wait_for_timeout(400)
        page.keyboard.press("Alt+Shift+KeyK")
        wait_for(lambda: "KILL file is written" in notice.inner_text(), message="no word of the KILL file")
        assert complaints == []


def test_where_the_server_knows_no_such_session_the_kernel_carries(world: tuple[str, Path, Path]) -> None:
    with opened(world, THROUGH_THE_KERNEL) as (page, complaints):
        panel = page.locator(".atl")
        notice = panel.locator(".atl-notice")
        wait_for(lambda: "go through the kernel" in notice.inner_text(), message="the panel does not say how it works")
        worth = panel.locator(".atl-figure").inner_text()
        wait_for(lambda: panel.locator(".atl-figure").inner_text() != worth, message="the kernel pushes nothing")
        kill(page)
        wait_for(lambda: "2 orders cancelled" in notice.inner_text(), message="the kill was not answered")
        wait_for(lambda: panel.get_by_text("HALTED", exact=True).count(), message="the panel does not show the halt")
        assert complaints == []


def test_an_order_in_doubt_is_settled_while_a_cell_blocks_the_kernel(world: tuple[str, Path, Path]) -> None:
    with (
        standin_host(world[1], "doubtful", "--stage", "testnet", "--doubt"),
        opened(world, WATCH.replace("standin", "doubtful"), BLOCK) as (page, complaints),
    ):
        blocked = block(page)
        card = page.locator(".atl-attention")
        wait_for(lambda: "3 orders need a person" in card.inner_text().lower(), message="no order in doubt")

        lost = card.locator("[data-order=at-lost-answer]")
        line = lost.inner_text()
        assert all(word in line for word in ("UNKNOWN", "BTC/USDT", "buy", "66,950.50", "since", "no answer to"))
        lost.get_by_role("button", name="Discard").click()
        page.wait_for_timeout(400)
        assert "the venue has it" not in lost.inner_text()  # the first click sends nothing
        lost.get_by_role("button", name="Confirm discard").click()
        wait_for(lambda: "Refused: order at-lost-answer: the venue has it (submitted); cancel it instead"
                 in lost.inner_text(), message="the refusal is not shown")  # fmt: skip
        lost.get_by_role("button", name="Query").click()
        wait_for(lambda: "The venue has it: submitted, 0 of 0.01 filled, its id there is 88123" in lost.inner_text(),
                 message="the answer is not shown")  # fmt: skip
        wait_for(lambda: "2 orders need a person" in card.inner_text().lower(), message="it still asks for a person")

        away = card.locator("[data-order=at-out-of-reach]")
        away.get_by_role("button", name="Query").click()
        wait_for(lambda: "maintenance until 14:00" in away.inner_text(), message="the venue's words are not shown")
        away.get_by_role("button", name="Adopt…").click()
        away.get_by_role("textbox").fill("88123")
        page.wait_for_timeout(700)  # two looks: what is typed must outlive them
        away.get_by_role("button", name="Adopt it").click()
        wait_for(lambda: "The venue has it" in away.inner_text(), message="it was not adopted")

        never = card.locator("[data-order=at-never-arrived]")
        assert "DEAD LETTER" in never.inner_text()
        assert "<i>way</i>" in never.inner_text()
        never.get_by_role("button", name="Resubmit").click()
        page.wait_for_timeout(400)
        never.get_by_role("button", name="Confirm resubmit").click()
        wait_for(lambda: "Sent again: submitted" in never.inner_text(), message="it was not sent again")

        rates = page.locator(".atl-rates")
        assert "99.41 %" in rates.inner_text()
        assert rates.get_by_label("does not hold").count() == 1
        assert "If the engine host dies: NOT covered" in page.locator(".atl-coverage").inner_text()
        assert blocked.inner_text() == "[*]:"
        assert complaints == []
