"""The Coinbase sandbox is not judged by our own adapter: coinbase-advanced-py must be able to trade on it."""

from typing import Any

import pytest
from okx_coinbase_environments import hear, interpreter

pytestmark = pytest.mark.witness


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    python = interpreter("coinbase-advanced-py", "coinbase-advanced-py>=1.8", "coinbase.rest")
    return hear(python, "coinbase_advanced_py.py", "coinbase")


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_coinbase_advanced_py_trades_over_rest(seen: dict[str, Any], world: str) -> None:
    rest = seen[world]["rest"]
    assert (rest["permissions"], rest["balance"], rest["portfolio"], rest["fees"]) == (True, "100000", True, "0.012")
    assert rest["products"] == ["BTC-USD", "BTC-USDT", "ETH-USD", "ETH-USDT"]
    assert (rest["public"], rest["best"], rest["trades"]) == ("BTC-USD", 1, 5)
    assert rest["candles"]
    assert rest["time"]
    assert rest["same"], "a repeated client_order_id answers with the order that has it"
    assert (rest["open"], rest["edited"], rest["canceled"]) == (["witness"], [True, "0.02"], [True, "CANCELLED"])
    assert rest["held"]
    assert rest["filled"] == ["FILLED", "FILLED"]
    assert rest["fills_agree"]
    assert rest["spent"]
    assert rest["stop"] == "STOP_PENDING"
    assert rest["errors"] == [
        "PREVIEW_INSUFFICIENT_FUND",
        "PREVIEW_INVALID_SIZE_PRECISION",
        "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY",
    ]
    assert (rest["unknown"], rest["preview"], rest["stranger"]) == ("UNKNOWN_CANCEL_ORDER", [], 401)


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_coinbase_advanced_py_trades_over_websockets(seen: dict[str, Any], world: str) -> None:
    assert seen[world]["ws"] == {
        "channels": ["candles", "heartbeats", "l2_data", "market_trades", "ticker"],
        "sequence": True,
        "book": ["snapshot", True],
        "states": ["PENDING", "FILLED"],
    }
