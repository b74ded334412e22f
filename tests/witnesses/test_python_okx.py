"""The OKX sandbox is not judged by our own adapter: python-okx, installed apart, must be able to trade on it."""

from typing import Any

import pytest
from okx_coinbase_environments import hear, interpreter

pytestmark = pytest.mark.witness


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    return hear(interpreter("python-okx", "python-okx>=0.4", "okx.Trade"), "okx_python_okx.py", "okx")


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_python_okx_trades_over_rest(seen: dict[str, Any], world: str) -> None:
    rest = seen[world]["rest"]
    assert (rest["balance"], rest["config"], rest["fee"]) == ("100000", "1", "-0.001")
    assert (rest["ticker"], rest["tickers"], rest["candles"], rest["trades"]) == ("BTC-USDT", 2, 60, 5)
    assert (rest["open"], rest["amended"], rest["canceled"]) == (["witness1"], ["0", "0.02"], ["0", "canceled"])
    assert (rest["batch"], rest["batch_canceled"]) == (["0", "0"], ["0", "0"])
    assert rest["filled"] == [["filled", "BTC", True], ["filled", "USDT", True]]
    assert rest["frozen"]
    assert rest["fills_agree"]
    assert rest["history"] == 5
    assert (rest["algos"], rest["algo_canceled"]) == (1, "0")
    assert rest["errors"] == ["51008", "51020", "51000"]
    assert (rest["unknown"], rest["wrong_secret"], rest["wrong_world"]) == ("51400", "50113", "50101")


@pytest.mark.parametrize("world", ["testnet", "live"])
def test_python_okx_trades_over_websockets(seen: dict[str, Any], world: str) -> None:
    assert seen[world]["ws"] == {
        "channels": ["books", "tickers", "trades"],
        "book": ["snapshot", True, True],
        "login": ["0"],
        "answer": ["0", "0"],
        "states": ["live", "filled", "overws"],
        "balances_moved": True,
    }
