"""The notebook's magics, in a real IPython shell, over journaled sessions."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import standin_host

sys.path.insert(0, str(Path(__file__).parents[1] / "dashboard"))

from journaled import JournaledSession


@pytest.fixture
def shell(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # IPython's own
        made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    made.run_line_magic("load_ext", "autotrader_lab")
    yield made
    InteractiveShell.clear_instance()


def test_they_read_the_newest_session_or_the_one_named(shell: Any) -> None:
    JournaledSession("first").start()
    session = JournaledSession("second")
    session.start()
    session.trade(3)
    orders = shell.run_line_magic("orders", "second")
    assert list(orders.index) == ["at-000003", "at-000002", "at-000001"]
    assert float(shell.run_line_magic("positions", "second").loc["BTC/USDT", "quantity"]) == pytest.approx(0.01)
    stages = shell.run_line_magic("stage", "second")
    assert list(stages.index) == ["replay", "paper", "testnet", "live"]
    assert "PAPER, rehearsal" in stages.columns.name
    assert "decisions" in stages.loc["testnet", "missing"]


def test_kill_reaches_the_host(shell: Any, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with standin_host(home, "alpha"):
        shell.run_line_magic("kill", "alpha --flatten")
    assert "nothing left at the venue" in capsys.readouterr().out


def test_a_mistake_is_one_line(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_line_magic("stage", "") is None
    assert "no session in this home yet" in capsys.readouterr().out
    shell.run_line_magic("orders", "nobody")
    assert "no session 'nobody'" in capsys.readouterr().out


def test_they_can_be_taken_away(shell: Any) -> None:
    shell.run_line_magic("load_ext", "autotrader_lab.ipython")
    assert "stage" in shell.magics_manager.magics["line"]
    shell.run_line_magic("unload_ext", "autotrader_lab.ipython")
    assert "stage" not in shell.magics_manager.magics["line"]
