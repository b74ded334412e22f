"""The kill switch and a cut connection at every venue: the benchmarks themselves, small, on one sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import kill
import pytest
import reconnect
from venue_kit import KITS

from autotrader_lab.sandbox import SandboxProcess, start_sandbox

ORDERS = 12


@pytest.fixture(scope="module")
def box() -> Iterator[SandboxProcess]:
    with start_sandbox(seed=5, venues=list(KITS)) as running:
        yield running


@pytest.mark.parametrize("venue", KITS)
async def test_the_kill_switch_leaves_nothing_open_and_the_venue_says_so(box: SandboxProcess, venue: str) -> None:
    report = await kill.once(KITS[venue], ORDERS, box=box)
    assert report.verified
    assert report.cancelled == ORDERS
    assert report.remaining == []
    assert 0 < report.seconds_to_cancel <= report.seconds


@pytest.mark.parametrize("venue", KITS)
async def test_what_executed_while_the_line_was_cut_is_booked_once(box: SandboxProcess, venue: str) -> None:
    (run,) = await reconnect.measure(KITS[venue], 1, box=box)
    assert not run.is_lost
    assert run.doubled == 0
    assert run.seconds > 0
