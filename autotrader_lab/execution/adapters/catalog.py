"""Which adapter belongs to which broker's name, and what its worlds, its sandbox and its market data are called.

Whoever builds adapters from a configuration asks here, so that a further venue is one more row. The adapters are
imported when they are asked for: their client libraries are extras.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.market_data.feeds import Feed
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import ConfigError

__all__ = ["LISTED", "Listing", "listing_of", "make_adapter", "make_feed", "sandbox_arguments"]


@dataclass(frozen=True, slots=True)
class Listing:
    """One broker.

    Attributes
    ----------
    module, name : str
        Where its adapter is, and the class's name.
    account : str
        The constructor argument that names the account: a key's name, an account number.
    world_key : str
        The constructor argument that says which world is meant.
    is_testnet : callable
        From constructor arguments: whether they mean the venue's test world.
    sandbox : callable
        From the sandbox's addresses of this venue and whether its test world is meant to constructor arguments.
    feed : callable or None
        From (addresses or None, testnet, clock) to market data that needs no keys; None where there is none, and
        the adapter's own :meth:`~.base.BaseBrokerAdapter.feed` is all there is.
    """

    module: str
    name: str
    account: str
    world_key: str
    is_testnet: Callable[[Mapping[str, Any]], bool]
    sandbox: Callable[[Mapping[str, Any], bool], dict[str, Any]]
    feed: Callable[[Mapping[str, Any] | None, bool, Clock | None], Feed] | None = None


def _crypto(name: str, class_name: str, keys: Mapping[str, str]) -> Listing:
    """A venue behind ccxt; `keys` are its constructor's names and the sandbox's for the same."""

    def sandbox(block: Mapping[str, Any], testnet: bool) -> dict[str, Any]:
        world = block if testnet else block["live"]
        return {**{ours: world[theirs] for ours, theirs in keys.items()}, "testnet": testnet, "addresses": block}

    def feed(addresses: Mapping[str, Any] | None, testnet: bool, clock: Clock | None) -> Feed:
        from autotrader_lab.execution.market_data.ccxt_feed import CcxtFeed

        return CcxtFeed(name, testnet=testnet, addresses=addresses, clock=clock)

    module = f"autotrader_lab.execution.adapters.{name}"
    return Listing(module, class_name, "api_key", "testnet", lambda given: bool(given.get("testnet")), sandbox, feed)


def _environment(
    name: str, class_name: str, account: str, world_key: str, testnet_word: str, live_word: str = "live"
) -> Listing:
    """A venue whose worlds have names, and whose adapter itself knows how the sandbox's entry is to be read.

    Its market data come over the account's own login, so there is no feed without keys.
    """
    module = f"autotrader_lab.execution.adapters.{name}"

    def sandbox(block: Mapping[str, Any], testnet: bool) -> dict[str, Any]:
        adapter = getattr(importlib.import_module(module), class_name)
        arguments: dict[str, Any] = adapter.sandbox_arguments(block, testnet_word if testnet else live_word)
        return arguments

    def is_testnet(given: Mapping[str, Any]) -> bool:
        return bool(given.get(world_key, testnet_word) == testnet_word)

    return Listing(module, class_name, account, world_key, is_testnet, sandbox)


def _is_ibkr_paper(given: Mapping[str, Any]) -> bool:
    """Interactive Brokers' worlds have a port each, and a name where the port is somebody's own."""
    package = importlib.import_module("autotrader_lab.execution.adapters.ibkr.worlds")
    return bool(package.environment_of(given.get("port", 7497), given.get("environment")) == "paper")


def _ibkr() -> Listing:
    named = _environment("ibkr", "IBKRAdapter", "account", "port", "paper")
    return replace(named, is_testnet=_is_ibkr_paper)


LISTED: dict[str, Listing] = {
    "binance": _crypto("binance", "BinanceAdapter", {"api_key": "api_key", "api_secret": "api_secret"}),
    "okx": _crypto("okx", "OKXAdapter", {"api_key": "api_key", "api_secret": "api_secret", "passphrase": "passphrase"}),
    "coinbase": _crypto("coinbase", "CoinbaseAdapter", {"api_key": "api_key", "api_secret": "pem"}),
    "fxcm": _environment("fxcm", "FXCMAdapter", "account", "environment", "demo"),
    "oanda": _environment("oanda", "OandaAdapter", "account_id", "environment", "practice"),
    "ibkr": _ibkr(),
}


def listing_of(broker: str) -> Listing:
    """The row of `broker`.

    Raises
    ------
    ConfigError
        If there is none.
    """
    try:
        return LISTED[broker]
    except KeyError:
        raise ConfigError(f"there is no adapter for broker {broker!r}; there are {', '.join(LISTED)}") from None


def sandbox_arguments(broker: str, addresses: Mapping[str, Any], *, testnet: bool) -> dict[str, Any]:
    """Constructor arguments for the local sandbox, from what ``sandbox --json`` prints.

    Raises
    ------
    ConfigError
        If the sandbox does not serve `broker`, or the venue's entry lacks something.
    """
    listing = listing_of(broker)
    block = addresses.get(broker)
    if not isinstance(block, Mapping):
        raise ConfigError(f"the sandbox serves {', '.join(addresses) or 'nothing'} and not {broker}; start it with it")
    try:
        return listing.sandbox(block, testnet)
    except KeyError as missing:
        raise ConfigError(f"the sandbox's entry for {broker} has no {missing}") from None


def make_adapter(broker: str, arguments: Mapping[str, Any], *, clock: Clock | None = None) -> BaseBrokerAdapter:
    """The adapter of `broker`, not connected.

    Parameters
    ----------
    broker : str
        As in a configuration: ``binance``, ``okx``, …
    arguments : mapping
        Its constructor's: ``config.adapter_arguments()``, or :func:`sandbox_arguments`.
    clock : Clock, optional

    Raises
    ------
    ConfigError
        If there is no such broker, or its arguments will not do.
    """
    listing = listing_of(broker)
    adapter: BaseBrokerAdapter = getattr(importlib.import_module(listing.module), listing.name)(
        **arguments, clock=clock
    )
    return adapter


def make_feed(
    broker: str, *, testnet: bool, addresses: Mapping[str, Any] | None = None, clock: Clock | None = None
) -> Feed | None:
    """Market data of `broker` that needs no keys; None where the venue has none.

    Parameters
    ----------
    broker : str
    testnet : bool
        The market of the venue's test world, which is not the real one.
    addresses : mapping, optional
        What ``sandbox --json`` prints; left out: the real venue.
    clock : Clock, optional
    """
    listing = listing_of(broker)
    if listing.feed is None:
        return None
    return listing.feed(None if addresses is None else addresses[broker], testnet, clock)
