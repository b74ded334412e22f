"""Environments of their own for Oanda's and Interactive Brokers' clients, and what they saw on a running sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autotrader_lab.sandbox import start_sandbox

HERE = Path(__file__).resolve()


def interpreter(name: str, packages: list[str], module: str) -> Path:
    """The interpreter of an environment that has `packages`, or a skip that says why there is none."""
    environment = HERE.parents[2] / ".venvs" / name
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if python.exists() and subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
        return python
    install = [python, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "10", *packages]
    try:
        subprocess.run([sys.executable, "-m", "venv", environment], check=True, capture_output=True, timeout=120)
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=300)
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        pytest.skip(f"{packages[0]} cannot be installed into .venvs/{name} here: {str(said)[-300:]}")
    return python


def hear(python: Path, script: str, venue: str) -> dict[str, Any]:
    """What a witness saw on a sandbox of one venue."""
    with start_sandbox(seed=3, speed=5, venues=[venue]) as sandbox:
        done = subprocess.run(
            [python, HERE.with_name(script)],
            input=json.dumps(sandbox.addresses),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
