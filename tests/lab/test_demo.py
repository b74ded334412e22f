"""``make demo``: the whole climb, its host killed half way, resumed with nothing lost and nothing doubled."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from autotrader_lab.host.runs import RunFolder
from autotrader_lab.journal import Journal


def test_the_demo_resumes_after_its_host_was_killed(lab_home, tmp_path):
    log = tmp_path / "first.log"
    with log.open("w") as output:
        first = subprocess.Popen([sys.executable, "-m", "autotrader_lab.demo"], stdout=output, stderr=subprocess.STDOUT)
        _kill_host_after_fills(first, lab_home, "testnet", 2)
        assert first.wait(timeout=60) == 1, log.read_text()
    assert "run again to resume" in log.read_text()
    second = subprocess.run(
        [sys.executable, "-m", "autotrader_lab.demo"], capture_output=True, text=True, timeout=120, check=False
    )
    told = second.stdout
    assert second.returncode == 0, told + second.stderr
    assert "its host died, starting another" in " ".join(told.split())
    assert re.search(r"LIVE, rehearsal · demo-momentum", told)
    rows = re.findall(r"^ *(testnet|live) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)", told, re.MULTILINE)
    assert [row[0] for row in rows] == ["testnet", "live"], told
    for _, orders, ours, fills, booked, lost, doubled in rows:
        assert orders == ours
        assert fills == booked
        assert int(fills) > 0
        assert (lost, doubled) == ("0", "0")
    assert not (lab_home / "demo.json").exists()


def _kill_host_after_fills(demo: subprocess.Popen, home: Path, stage: str, fills: int) -> None:
    """Kill -9 the demo's host once `stage` has executed something."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and demo.poll() is None:
        time.sleep(0.05)
        for folder in map(RunFolder, (home / "runs").glob("*")):
            if not folder.journal_file.exists():
                continue
            with Journal.open(folder.journal_file, read_only=True) as journal:
                done = sum("Filled" in entry.raw for entry in journal.read(kinds="report", stage=stage))
            if done >= fills:
                os.kill(folder.read_host().pid, signal.SIGKILL)
                return
    raise AssertionError(f"the demo never traded on {stage}")
