"""Neither side judges itself: QuickFIX, installed apart, trades on the sandbox's FXCM, and serves our adapter."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autotrader_lab.execution.adapters.fxcm import FXCMAdapter
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType
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


async def test_quickfix_keeps_a_session_with_our_adapter(python_with_quickfix: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    script = HERE.with_name("fxcm_quickfix_acceptor.py")
    venue = await asyncio.create_subprocess_exec(python_with_quickfix, script, str(port), "us", **pipes)
    assert venue.stdout is not None
    assert await asyncio.wait_for(venue.stdout.readline(), 30) == b"ready\n"
    adapter = FXCMAdapter("u", "p", "77", host="127.0.0.1", port=port, sender_comp_id="us", heartbeat_s=2)
    try:
        await adapter.connect()
        assert await adapter.get_account_balance() == {"USD": 5000.25}
        order = Order("", "EUR/USD", OrderSide.BUY, OrderType.MARKET, 3000, client_order_id="o-1")
        await adapter.submit_order(order)
        async with asyncio.timeout(10):
            while order.status is not OrderStatus.FILLED:
                await asyncio.sleep(0.01)
        assert (order.avg_fill_price, await adapter.get_positions()) == (1.1, {"EUR/USD": 0.0})
        assert await adapter.get_open_orders() == []
        await asyncio.sleep(2.5)
        assert adapter._link.connections == 1
    finally:
        await adapter.disconnect()
        told, _ = await asyncio.wait_for(venue.communicate(b""), 30)
    seen = json.loads(told.decode().splitlines()[-1])
    assert seen["logon"] == ["1", "0", "Y", "u", "U100D1"]
    assert {"BB", "g", "D", "AN", "AF"} <= set(seen["kinds"])
    assert seen["kinds"].count("D") == 1
    assert (len(seen["resends"]), seen["answers"], seen["rejects"]) == (1, ["are you there"], [])
    assert seen["goodbye"]
