"""The Oanda sandbox is not judged by our own adapter: Oanda's client, installed apart, must be able to trade on it."""

from typing import Any

import pytest
from v20_ibapi_environments import hear, interpreter

pytestmark = pytest.mark.witness


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    return hear(interpreter("v20", ["v20", "pyyaml", "setuptools<81"], "v20"), "oanda_v20.py", "oanda")


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_oandas_own_client_trades(seen: dict[str, Any], world: str) -> None:
    assert seen[world] == {
        "accounts": [True],
        "instruments": ["EUR_USD", "USD_JPY", "GBP_USD"],
        "balance": 100_000.0,
        "quote": True,
        "candles": [60, True],
        "pending": ["witness"],
        "replaced": "CLIENT_REQUEST_REPLACED",
        "found": [200.0, "PENDING", True],
        "canceled": "CLIENT_REQUEST",
        "types": ["STOP_ORDER", "MARKET_IF_TOUCHED_ORDER"],
        "filled": [1000.0, "MARKET_ORDER", 1000.0, "bought"],
        "stream": ["transaction.TransactionHeartbeat", "MARKET_ORDER", "ORDER_FILL"],
        "trade": [1000.0, "OPEN"],
        "position": [1000.0, 0.0],
        "balance_moved": True,
        "since": ["LIMIT_ORDER", "ORDER_CANCEL"],
        "refused": [400, "UNITS_PRECISION_EXCEEDED"],
        "wrong_token": 401,
        "prices": 3,
    }
