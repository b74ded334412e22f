"""Long tests first; one Hypothesis profile for all: no deadlines on a shared machine, the same examples in CI."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "lab", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("lab")

LONG = ("chaos", "crash", "widgets", "lab", "dashboard", "conformance", "witnesses")
"""Where a file takes long: they begin first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within a file and among the others the order stays."""
    here = Path(__file__).parent
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.relative_to(here).parts[0], len(order)))
