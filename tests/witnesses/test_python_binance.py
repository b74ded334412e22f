"""The sandbox is not judged by our own adapter: python-binance, installed apart, must be able to trade on it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autotrader_lab.sandbox import start_sandbox

HERE = Path(__file__).resolve()
ENVIRONMENT = HERE.parents[2] / ".venvs" / "python-binance"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

pytestmark = pytest.mark.witness


def _has_binance() -> bool:
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", "import binance"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def python_with_binance() -> Path:
    """The interpreter of an environment that has python-binance, made if it can be."""
    if _has_binance():
        return PYTHON
    try:
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True, capture_output=True, timeout=120)
        subprocess.run(
            [PYTHON, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "10", "python-binance>=1.0.30"],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        pytest.skip(f"python-binance cannot be installed into .venvs/python-binance here: {str(said)[-300:]}")
    return PYTHON


@pytest.fixture(scope="module")
def seen(python_with_binance: Path) -> dict[str, Any]:
    with start_sandbox(seed=3, speed=5) as sandbox:
        done = subprocess.run(
            [python_with_binance, HERE.with_name("binance_python_binance.py")],
            input=json.dumps(sandbox.addresses),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_python_binance_trades_over_rest(seen: dict[str, Any], world: str) -> None:
    rest = seen[world]["rest"]
    assert rest["status"]["status"] == 0
    assert rest["balance"] == "100000.00000000"
    assert (rest["klines"], rest["tickers"], rest["average"], rest["day"]) == (60, 2, True, True)
    assert (rest["trades"], rest["aggregates"]) == (5, 5)
    assert rest["open"] == ["witness"]
    assert rest["replaced"] == ["SUCCESS", "SUCCESS"]
    assert rest["canceled"] == "CANCELED"
    assert rest["filled"] == ["FILLED"] * 3
    assert rest["fills_agree"]
    assert rest["all_orders"] == 5
    assert rest["commission"] == "0.00100000"
    assert rest["errors"] == [-2010, -1013]


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_python_binance_trades_over_websockets(seen: dict[str, Any], world: str) -> None:
    assert seen[world]["ws"] == {
        "stream": "btcusdt",
        "kline": "kline",
        "depth_cache": True,
        "ws_order": "FILLED",
        "user_events": [["NEW", "over-ws"], ["TRADE", "over-ws"]],
        "ws_status": "FILLED",
    }
