"""The documentation's own code is importable here as it is when Sphinx runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))


@pytest.fixture(scope="session")
def tracked_files() -> list[Path]:
    """Every text file under version control."""
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.skip("not a git checkout: what is tracked cannot be told")
    paths = [ROOT / name for name in answer.stdout.split("\0") if name]
    return [path for path in paths if path.suffix not in (".png", ".gz", ".parquet") and path.is_file()]
