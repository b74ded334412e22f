"""Adapters by their broker's name, from a configuration and from a sandbox's addresses."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from autotrader_lab.execution.adapters.catalog import (
    LISTED,
    listing_of,
    make_adapter,
    make_feed,
    sandbox_arguments,
)
from autotrader_lab.execution.config import ExecutionConfig
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import ConfigError
from autotrader_lab.sandbox import Sandbox


@pytest.mark.parametrize("broker", LISTED)
async def test_an_adapter_is_made_for_either_world_of_a_sandbox_and_connects(broker: str) -> None:
    async with Sandbox(seed=7, speed=0, venues=[broker]) as box:
        for testnet in (True, False):
            arguments = sandbox_arguments(broker, box.addresses, testnet=testnet)
            assert listing_of(broker).is_testnet(arguments) is testnet
            assert arguments[listing_of(broker).account]
            adapter = make_adapter(broker, arguments, clock=SystemClock())
            assert adapter.venue == broker
            assert await adapter.connect()
            await adapter.disconnect()


@pytest.mark.parametrize("broker", LISTED)
async def test_market_data_come_without_keys_or_over_the_adapters_own_login(broker: str) -> None:
    async with Sandbox(seed=7, speed=0, venues=[broker]) as box:
        feed = make_feed(broker, testnet=True, addresses=box.addresses)
        symbol = "BTCUSDT"
        if feed is None:
            adapter = make_adapter(broker, sandbox_arguments(broker, box.addresses, testnet=True))
            feed, symbol = adapter.feed(), "EUR/USD"
        assert feed is not None
        await feed.open([symbol], ["quotes"])
        await feed.close()


def test_a_configuration_makes_its_adapter() -> None:
    block = {"api_key": "k", "api_secret": "s", "passphrase": "p"}
    config = ExecutionConfig.model_validate({"broker": "okx", "okx": block})
    adapter = make_adapter(config.broker, config.adapter_arguments())
    assert isinstance(config.adapter_arguments()["passphrase"], SecretStr)
    assert "OKXAdapter(testnet" in repr(adapter)
    secret = {"api_key": "k", "api_secret": "s"}
    with pytest.raises(ConfigError, match="coinbase has no test world"):
        make_adapter(
            "coinbase", ExecutionConfig(broker="coinbase", coinbase=secret).adapter_arguments()  # type: ignore[arg-type]
        )  # fmt: skip


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=f"broker 'kraken'; there are {', '.join(LISTED)}"):
        listing_of("kraken")
    with pytest.raises(ConfigError, match="serves binance and not okx"):
        sandbox_arguments("okx", {"binance": {}}, testnet=True)
    with pytest.raises(ConfigError, match="entry for okx has no 'passphrase'"):
        sandbox_arguments("okx", {"okx": {"api_key": "k", "api_secret": "s"}}, testnet=True)
