"""The TWS sandbox is not judged by our own adapter: ibapi and ib_insync, installed apart, must be able to use it."""

from typing import Any

import pytest
from v20_ibapi_environments import hear, interpreter

pytestmark = pytest.mark.witness


@pytest.fixture(scope="module")
def ibapi_saw() -> dict[str, Any]:
    return hear(interpreter("ibapi", ["ibapi==9.81.1.post1"], "ibapi.client"), "ibkr_ibapi.py", "ibkr")


@pytest.fixture(scope="module")
def ib_insync_saw() -> dict[str, Any]:
    return hear(interpreter("ib_insync", ["ib_insync>=0.9.86"], "ib_insync"), "ibkr_ib_insync.py", "ibkr")


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_ibapi_trades(ibapi_saw: dict[str, Any], world: str) -> None:
    assert ibapi_saw[world] == {
        "version": 157,
        "account": True,
        "time": True,
        "contract": [265598, "NASDAQ", 0.01, "COMMON"],
        "rule": [26, 0.01],
        "quote": [True, True],
        "tick_by_tick": 2,
        "depth": [0, 0, 0],
        "bars": True,
        "cash": "1000000.00",
        "open": [["AAPL", "LMT", "resting", "Submitted"]],
        "changed": [0.0, 20.0],
        "filled": [100.0, 0.0],
        "commission": [1.0, "USD"],
        "position": 100.0,
        "pnl": True,
        "executions": ["AAPL", "BOT", 100.0],
        "completed": [["bought", "Filled"], ["resting", "Cancelled"]],
        "cash_moved": True,
        "errors": [110, 200, 202, 10147],
    }


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_ib_insync_trades(ib_insync_saw: dict[str, Any], world: str) -> None:
    assert ib_insync_saw[world] == {
        "version": 176,
        "account": True,
        "contracts": [265598, "50"],
        "quote": True,
        "bars": True,
        "open": ["resting"],
        "canceled": "Cancelled",
        "filled": [100.0, 100.0],
        "commission": 1.0,
        "positions": [["AAPL", 100.0]],
        "what_if": [True, 1.0],
        "refused": ["Cancelled", 201],
        "again": [True, 0],
    }
