"""Our adapter over the archived ib_insync, in an environment of its own: it shares a module with ib_async."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import pytest
from v20_ibapi_environments import interpreter

from autotrader_lab.sandbox import start_sandbox

pytestmark = pytest.mark.witness

HERE = Path(__file__).resolve()


def test_the_adapter_trades_over_ib_insync() -> None:
    python = interpreter("ib_insync", ["ib_insync>=0.9.86"], "ib_insync")
    with start_sandbox(seed=3, speed=5, venues=["ibkr"]) as sandbox:
        done = subprocess.run(
            [
                python,
                HERE.with_name("ibkr_adapter_on_ib_insync.py"),
                HERE.parents[2],
                sysconfig.get_path("purelib"),
                sysconfig.get_path("platlib"),
            ],
            input=json.dumps(sandbox.addresses),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    assert json.loads(done.stdout) == {
        "library": "ib_insync",
        "modules": ["ib_insync"],
        "changed": [20.0, 151.0],
        "cancelled": True,
        "bought": [100.0, 1.0],
        "refused": ["rejected", "201"],
        "positions": {"AAPL": 100.0},
        "bars": 10,
        "found": "filled",
        "fills": 100.0,
        "told": ["Accepted", "Amended", "Cancelled"],
    }
