"""What holds for the package as a whole."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import autotrader_lab


def test_no_module_nests_event_loops_or_writes_to_the_terminal_when_imported() -> None:
    names = [
        module.name
        for module in pkgutil.walk_packages(autotrader_lab.__path__, "autotrader_lab.")
        if not module.name.endswith("__main__")
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "assert 'nest_asyncio' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_every_name_of_every_all_is_there() -> None:
    for module in pkgutil.walk_packages(autotrader_lab.__path__, "autotrader_lab."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        for name in getattr(loaded, "__all__", ()):
            assert hasattr(loaded, name), f"{module.name}.__all__ names {name}, which is not there"


def test_the_face_is_complete_and_light() -> None:
    for name in autotrader_lab.__all__:
        assert getattr(autotrader_lab, name) is not None
    assert set(autotrader_lab.__all__) == set(dir(autotrader_lab))
    with pytest.raises(AttributeError, match="no attribute 'Labb'"):
        _ = autotrader_lab.Labb
    code = "import sys, autotrader_lab; print(any(name in sys.modules for name in ('pandas', 'ccxt', 'numpy')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
