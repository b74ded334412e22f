"""Every adapter there is has a conformance class; what is not finished yet fails here."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import pytest

from autotrader_lab.execution import adapters
from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.testing import AdapterConformance, adapter_classes

TESTS = Path(__file__).parents[1]


def conformance_classes() -> list[type[AdapterConformance]]:
    found = []
    for file in sorted(TESTS.rglob("test_*_conformance.py")):
        if str(file.parent) not in sys.path:
            sys.path.append(str(file.parent))  # its kit lies beside it, as when pytest runs it
        module = importlib.import_module(file.stem)
        found += [
            each
            for name, each in vars(module).items()
            if name.startswith("Test") and isinstance(each, type) and issubclass(each, AdapterConformance)
        ]
    return found


async def proven_by(suite: type[AdapterConformance]) -> set[type]:
    harness = await suite().make()
    try:
        return set(type(harness.adapter).__mro__)
    finally:
        await harness.venue.close()


def test_the_walk_finds_the_adapters() -> None:
    assert {PaperTradingAdapter, BinanceAdapter} <= adapter_classes(adapters)


def test_every_adapter_has_a_conformance_class() -> None:
    proven: set[type] = set()
    for suite in conformance_classes():
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            proven |= runner.run(proven_by(suite))
    missing = sorted(each.__name__ for each in adapter_classes(adapters) - proven)
    assert not missing, f"no class in a test_*_conformance.py proves {', '.join(missing)}"


@pytest.mark.parametrize("suite", conformance_classes(), ids=lambda suite: suite.__name__)
def test_no_conformance_class_switches_a_test_off(suite: type[AdapterConformance]) -> None:
    names = [name for name in dir(AdapterConformance) if name.startswith("test_")]
    assert len(names) > 60
    assert all(getattr(getattr(suite, name), "__conformance_needs__", None) is not None for name in names)
