"""The chaos benchmark itself, small: the real command for every venue, judged by the venue's own books."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from venue_kit import KITS

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "chaos.py"
ORDERS = 150


@pytest.mark.parametrize("venue", KITS)
def test_orders_under_every_fault_are_neither_lost_nor_doubled_nor_left_open(venue: str) -> None:
    command = [sys.executable, str(BENCHMARK), "--venue", venue, "--orders", str(ORDERS), "--seed", "1", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert ended.stdout, ended.stderr
    found = json.loads(ended.stdout)
    assert found["orders"] >= ORDERS
    assert (found["lost"], found["duplicated"], found["unreconciled"]) == (0, 0, 0), ended.stderr
    assert found["executions"] > 40
    assert sum(found["faults"][kind] for kind in ("delay", "error", "drop_before", "drop_after", "lose")) > 0
    assert found["faults"]["partial_fill"] > 0
    # So few orders say little about a rate of a thousandth; that is the big run's.
    assert found["success_rate"] > 0.9
    assert ended.returncode == 0
