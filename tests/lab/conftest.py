"""Real hosts and a real sandbox over loopback, in a home of their own; none of them outlives its test."""

from __future__ import annotations

import os
import signal

import numpy as np
import pandas as pd
import pytest

from autotrader_lab.host.runs import RunFolder, list_sessions
from autotrader_lab.sandbox import start_sandbox


@pytest.fixture(autouse=True)
def lab_home(tmp_path, monkeypatch):
    """A home of the test's own; whatever host still runs in it afterwards is ended."""
    monkeypatch.setenv("AUTOTRADER_LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUTOTRADER_LAB_IDLE_EXIT_S", "30")
    monkeypatch.delenv("AUTOTRADER_LAB_SANDBOX", raising=False)
    monkeypatch.chdir(tmp_path)  # away from the repository's config/execution.yaml
    yield tmp_path / "home"
    for row in list_sessions():
        info = RunFolder(row.path).host_if_alive()
        if info is not None:
            os.kill(info.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def sandbox():
    """One local venue for all tests; each stage counts from what its account holds then."""
    with start_sandbox(seed=7) as running:
        yield running


@pytest.fixture
def bars() -> pd.DataFrame:
    """A year of daily bars."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 300)))
    index = pd.date_range("2024-01-01", periods=len(close), freq="D", tz="UTC")
    columns = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 1.0}
    return pd.DataFrame(columns, index=index)
