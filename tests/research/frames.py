"""Frames for the tests of this folder, and where recorded data lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="recorded data (../shared/data) is not on this machine")


def bars_frame(count: int, seed: int = 1, start: str = "2024-01-01", freq: str = "1min") -> pd.DataFrame:
    """A seeded random walk of bars around 100."""
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.002, count)))
    opens = np.concatenate([[100.0], closes[:-1]])[:count]
    top = np.maximum(opens, closes) * (1 + random.uniform(0, 0.001, count))
    bottom = np.minimum(opens, closes) * (1 - random.uniform(0, 0.001, count))
    index = pd.date_range(start, periods=count, freq=freq, tz="UTC")
    volume = random.uniform(1, 10, count)
    columns = {"open": opens, "high": top, "low": bottom, "close": closes, "volume": volume}
    return pd.DataFrame(columns, index=index).round(4)
