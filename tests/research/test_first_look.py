"""The benchmark runs and says what it measured, on which data and machine; no figure is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "first_look.py"


def test_first_look_prints_one_honest_json_object() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", "--quick"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["machine"]["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert report["replay"]["data"].startswith(("recorded", "synthetic"))
    assert report["replay"]["same_fills_as_bare_loop"] is True
    measured = [report["replay"]["replay_bars_per_s"], report["replay"]["times_the_bare_loop"]]
    measured += [report["decision"][what][figure] for what in ("hold", "enter") for figure in ("median_us", "p99_us")]
    measured += [report["decision_to_wire"][what]["median_us"] for what in ("core", "engine")]
    for spread in measured:
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
