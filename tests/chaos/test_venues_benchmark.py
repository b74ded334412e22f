"""The table over all venues, tiny: every figure is there and can be one. How large they are is the big run's to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from venue_kit import KITS

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "venues.py"


def test_every_venue_has_its_figures() -> None:
    command = [sys.executable, str(BENCHMARK), "--orders", "6", "--repeats", "2", "--outages", "1", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert set(found["venues"]) == set(KITS)
    assert found["machine"]["cores"] >= 1
    for venue, row in found["venues"].items():
        assert row["orders"] == 6, venue
        for name in ("submit_to_ack_ms", "bare_ms", "before_wire_us", "fill_to_notified_ms"):
            assert 0 < row[name]["p50"] <= row[name]["p99"], (venue, name)
        assert row["share"]["ratio"] > 0
        assert row["before_wire_us"]["p50"] < 1e3 * row["submit_to_ack_ms"]["p99"]
        assert row["reconnect_s"]["median"] > 0
        assert (row["fills_lost"], row["fills_doubled"]) == (0, 0), venue
        assert row["noise"]["bare"]["min"] <= row["noise"]["bare"]["max"]
        assert ("websocket_ratio" in row) is (venue in ("binance", "okx"))
