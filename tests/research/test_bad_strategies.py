"""A strategy that fails gives one error that names the row, and nothing it did before is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from autotrader_lab.journal import MemoryJournal
from autotrader_lab.model.errors import StrategyError
from autotrader_lab.research import ReplayStopped, replay
from autotrader_lab.strategy import ExecutionDecision, Strategy

from .frames import bars_frame
from .strategies import Watcher


class FailsAt(Watcher):
    """Buys at row 2 and does something stupid at row 7."""

    def __init__(self, answer: Any) -> None:
        super().__init__({2: ("LONG", 1.0)})
        self.answer = answer

    def on_bar(self, bar: Any, context: Any) -> Any:
        if len(self.events) == 7:
            return self.answer(bar, context) if callable(self.answer) else self.answer
        return super().on_bar(bar, context)


def _raise(bar: Any, context: Any) -> None:
    raise ZeroDivisionError("spread was 0")


def _decide(action: str = "LONG", size: Any = 1.0, symbol: str = "") -> Any:
    def answer(bar: Any, context: Any) -> ExecutionDecision:
        return ExecutionDecision(action, symbol or bar.symbol, size, 1.0, context.now)

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (_raise, r"FailsAt\.on_bar raised ZeroDivisionError: spread was 0"),
        ("buy", r"returned 'buy' \(str\); return an ExecutionDecision, or None"),
        (42, r"returned 42 \(int\)"),
        ([None, 3], r"returned None"),
        (_decide(size=float("nan")), r"LONG ASSET: size nan must be a finite number"),
        (_decide(size=-1.0), r"size -1\.0"),
        (_decide(size=0.0), r"size 0 opens nothing"),
        (_decide(action="BUY"), r"action 'BUY' is none of LONG"),
        (_decide(symbol="ASSETT"), r"no symbol 'ASSETT'; did you mean ASSET\?"),
    ],
)
def test_the_error_names_the_bar_and_carries_what_ran(answer: Any, message: str) -> None:
    journal, frame = MemoryJournal(), bars_frame(20)
    with pytest.raises(ReplayStopped, match=message) as caught:
        replay(FailsAt(answer), frame, journal=journal, progress=False)
    error = caught.value
    assert isinstance(error, StrategyError)
    assert error.row == 7
    assert "row 7 (bar of ASSET, 2024-01-01T00:07:00+00:00" in str(error)
    result = error.result
    assert len(result.fills) == 1
    assert len(result.equity) == 8
    assert result.equity["equity"].iloc[:7].tolist() == pytest.approx(result.strategy.equities)
    assert result.stopped_by.startswith("row 7")
    assert "stopped early" in repr(result)
    assert [entry.kind for entry in journal.read()][-2:] == ["alert", "stage_stopped"]


def test_a_failing_execution_hook_is_the_strategys_fault_too() -> None:
    class Forgetful(Watcher):
        def record_execution(self, *arguments: Any, **named: Any) -> None:
            raise KeyError("position")

    with pytest.raises(ReplayStopped, match=r"Forgetful\.record_execution raised KeyError") as caught:
        replay(Forgetful({2: ("LONG", 1.0)}), bars_frame(10), progress=False)
    assert caught.value.row == 3


def test_a_failing_start_is_told_before_any_row() -> None:
    class NeverReady(Watcher):
        def on_start(self, context: Any) -> None:
            raise RuntimeError("no model file")

    with pytest.raises(ReplayStopped, match="no model file") as caught:
        replay(NeverReady(), bars_frame(10), progress=False)
    assert caught.value.result.strategy.events == []


def test_what_is_no_strategy() -> None:
    with pytest.raises(StrategyError, match="Watcher is a class; give an instance"):
        replay(Watcher, bars_frame(3), progress=False)
    with pytest.raises(StrategyError, match="is no strategy"):
        replay(object(), bars_frame(3), progress=False)


def test_a_strategy_that_cannot_be_copied_can_run_itself() -> None:
    class Locked(Strategy):
        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.bars = 0

        def on_bar(self, bar: Any, context: Any) -> None:
            self.bars += 1

        def parameters(self) -> dict[str, Any]:
            return {}

    strategy = Locked()
    with pytest.raises(StrategyError, match=r"Locked cannot be copied .*copy=False"):
        replay(strategy, bars_frame(3), progress=False)
    replay(strategy, bars_frame(3), progress=False, copy=False)
    assert strategy.bars == 3


def test_a_strategy_that_only_cloudpickle_can_copy() -> None:
    class HoldsModule(Watcher):
        def __init__(self) -> None:
            super().__init__()
            self.tools = threading

        def parameters(self) -> dict[str, Any]:
            return {}

    assert len(replay(HoldsModule(), bars_frame(3), progress=False).strategy.events) == 3
