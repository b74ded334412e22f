"""Recorded market data and venue messages lie beside the repository, not in it; tests that need them say so."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(relative: str) -> Path:
    """The path of a recorded file; skips the test, saying why, where it is not."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"recorded data is not here: ../shared/data/{relative}")
    return path
