"""The sandbox's FXCM is not judged by our own adapter: QuickFIX, installed apart, must be able to trade on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autotrader_lab.sandbox import start_sandbox

HERE = Path(__file__).resolve()
ENVIRONMENT = HERE.parents[2] / ".venvs" / "quickfix"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

pytestmark = pytest.mark.witness


def _has_quickfix() -> bool:
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", "import quickfix"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def python_with_quickfix() -> Path:
    """The interpreter of an environment that has QuickFIX, made if it can be."""
    if _has_quickfix():
        return PYTHON
    try:
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True, capture_output=True, timeout=120)
        # Prebuilt; the package named quickfix would be compiled for a quarter of an hour.
        install = ["install", "--quiet", "--retries", "1", "--timeout", "10", "--only-binary", ":all:", "--pre"]
        subprocess.run(
            [PYTHON, "-m", "pip", *install, "quickfix-tls>=1.16.0.1rc1"],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        pytest.skip(f"quickfix-tls cannot be installed into .venvs/quickfix here: {str(said)[-300:]}")
    return PYTHON


@pytest.fixture(scope="module")
def seen(python_with_quickfix: Path) -> dict[str, Any]:
    with start_sandbox(seed=3, speed=5, venues=("fxcm",)) as sandbox:
        done = subprocess.run(
            [python_with_quickfix, HERE.with_name("fxcm_quickfix.py")],
            input=json.dumps(sandbox.addresses),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_quickfix_sees_the_venue_and_the_account(seen: dict[str, Any], world: str) -> None:
    told = seen[world]
    assert told["symbols"][:3] == ["EUR/USD", "USD/JPY", "GBP/USD"]
    assert told["parameters"] == "USD"
    assert (told["account"], told["quote"]) == (True, True)


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_quickfix_trades(seen: dict[str, Any], world: str) -> None:
    told = seen[world]
    assert (told["status"], told["mass"], told["replaced"]) == ("0", "rest", "12000")
    assert told["cancelled"] == ["4", "gone", "rest2"]
    assert told["too_late"] == "1"
    assert told["life"] == [
        ["0", "0", "0"],
        ["7", "7", "0"],
        ["7", "F", "10000"],
        ["2", "F", "10000"],
    ]
    assert told["position"] == ["EUR/USD", "10000", "buy"]
    assert told["closed"] == ["buy", "sell"]
    assert (told["flat"], told["balance_moved_by_profit"]) == (True, True)


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_quickfix_is_refused_with_reasons(seen: dict[str, Any], world: str) -> None:
    told = seen[world]
    assert told["wrong_side_of_market"] == ["8", "NONE", "ORA-20112"]
    assert told["odd_lot"] == ["8", "NONE", "ORA-20008"]
    assert told["too_big"] == ["8", "NONE", "ORA-20113"]
    assert told["unknown_type"] == "zz"


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_quickfix_finds_nothing_wrong_with_the_session(seen: dict[str, Any], world: str) -> None:
    told = seen[world]
    assert (told["heartbeats"], told["still_on"], told["rejects"]) == (True, True, [])


def test_both_ways_of_logging_on_and_a_wrong_password(seen: dict[str, Any]) -> None:
    assert seen["live"]["user_status"] == "1"
    assert "user_status" not in seen["testnet"]
    assert seen["refused"] == ["Incorrect user name or password"]
