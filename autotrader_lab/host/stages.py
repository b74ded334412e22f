"""What a stage is made of: which adapter, which market data, which account; decided from configuration alone.

Paper takes the venue's market data and simulated money; testnet and live take the venue itself, its test world or its
real one. A sandbox stands in for the venue where one is given. Secrets are held here, in the host's memory, and leave
it only towards the venue.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.adapters.catalog import LISTED, listing_of, make_adapter, make_feed, sandbox_arguments
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.config import ExecutionConfig, load_config
from autotrader_lab.execution.market_data.feeds import Feed
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.host.accounts import account_name
from autotrader_lab.host.history_feed import HistoryFeed
from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import ConfigError, GateClosed
from autotrader_lab.model.instruments import Instruments

__all__ = ["CONFIG_VARIABLE", "SANDBOX_VARIABLE", "Settings", "StageParts", "build_stage"]

SANDBOX_VARIABLE = "AUTOTRADER_LAB_SANDBOX"
CONFIG_VARIABLE = "AUTOTRADER_LAB_CONFIG"
"""A whole configuration with its secrets, for one that was built in code; only ever in a host's environment."""

HISTORY_INTERVAL_S = 0.1
_ORDERS_OVER_WEBSOCKET = frozenset({"binance"})
"""Where the connection that carries the reports takes orders as well, and faster than REST."""


class NoKeys(dict[str, str]):
    """An environment for reading a configuration where no key is needed: for replay and paper, or on the sandbox."""

    def get(self, name: str, default: Any = None) -> Any:
        """The variable's value, or a word that stands for it."""
        return super().get(name) or "unset"


class Settings:
    """Everything a stage is built from.

    Parameters
    ----------
    info : SessionInfo
    config : ExecutionConfig
    sandbox : mapping or None
        Addresses and keys of the local sandbox.
    """

    def __init__(
        self,
        info: SessionInfo,
        config: ExecutionConfig,
        sandbox: Mapping[str, Any] | None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.info = info
        self.config = config
        self.sandbox = sandbox
        self._environment = environment

    def __repr__(self) -> str:
        return f"Settings(broker={self.broker!r}, sandbox={self.sandbox is not None})"

    @classmethod
    def from_environment(cls, info: SessionInfo, environment: Mapping[str, str]) -> Settings:
        """Settings of a host: its session's, with addresses and keys from its environment.

        Raises
        ------
        ConfigError
            If the configuration is wrong, or the session needs a sandbox and none is named.
        """
        sandbox = environment.get(SANDBOX_VARIABLE) if info.sandbox else None
        if info.sandbox and not sandbox:
            raise ConfigError(
                f"session {info.session!r} trades on a sandbox, and {SANDBOX_VARIABLE} names none; "
                "give it: Lab.attach(..., sandbox=addresses)"
            )
        if environment.get(CONFIG_VARIABLE):
            config = ExecutionConfig.model_validate_json(environment[CONFIG_VARIABLE])
        elif info.config_path:
            config = load_config(info.config_path, NoKeys(environment))
        else:
            config = ExecutionConfig(broker="paper")
        return cls(info, config, json.loads(sandbox) if sandbox else None, environment)

    def with_info(self, info: SessionInfo) -> Settings:
        """The same for a session that changed."""
        return Settings(info, self.config, self.sandbox, self._environment)

    def venue_arguments(self) -> dict[str, Any]:
        """The chosen broker's constructor arguments, keys included.

        Raises
        ------
        ConfigError
            If a key's variable is not set; replay and paper get by without.
        """
        config = load_config(self.info.config_path, self._environment) if self.info.config_path else self.config
        return config.adapter_arguments(self.broker)

    @property
    def broker(self) -> str:
        """Who is traded with; ``paper`` where nobody is."""
        if self.sandbox is not None and self.config.broker not in self.sandbox:
            return next((name for name in LISTED if name in self.sandbox), "paper")
        return str(self.config.broker)

    @property
    def is_local(self) -> bool:
        """Whether every address of the venue is on this machine."""
        if self.broker == "paper":
            return True
        if self.sandbox is None:
            return False
        block = self.sandbox[self.broker]
        hosts = {host for world in (block, block.get("live", {})) for host in _hosts(world)}
        return bool(hosts) and hosts <= {"127.0.0.1", "localhost", "::1"}

    def limits(self, strategy: Any) -> RiskLimits:
        """The session's risk limits, or the strategy's own."""
        return RiskLimits(**self.info.limits) if self.info.limits else RiskLimits.from_strategy(strategy)


def _hosts(world: Mapping[str, Any]) -> list[str | None]:
    """The hosts that a world of a sandbox's entry names: in origins, or as ``host:port`` under ``address``."""
    origins = [text for text in world.values() if isinstance(text, str) and "://" in text]
    if "address" in world:
        origins.append(f"tcp://{world['address']}")
    return [urlsplit(origin).hostname for origin in origins]


class StageParts:
    """An adapter with its market data, ready for an engine."""

    def __init__(
        self,
        adapter: BaseBrokerAdapter,
        feed: Feed | None,
        *,
        sandbox: bool,
        starting_equity: float | None,
        engine_options: dict[str, Any],
        account: str = "",
        listed: Instruments | None = None,
        lists: BaseBrokerAdapter | None = None,
    ) -> None:
        self.adapter = adapter
        self.feed = feed
        self.sandbox = sandbox
        self.starting_equity = starting_equity
        self.engine_options = engine_options
        self.account = account
        self._listed = listed
        self._lists = lists

    async def open(self, symbols: Iterable[str]) -> None:
        """Learn the venue's grid, where paper is to keep to it."""
        if self._lists is None or self._listed is None:
            return
        await self._lists.connect()
        try:
            found = await self._lists.load_instruments(symbols)
            for symbol in symbols:
                self._listed.add(found.find(symbol))
        finally:
            await self._lists.disconnect()


def build_stage(
    settings: Settings, folder: RunFolder, stage: str, options: Mapping[str, Any], clock: Clock
) -> StageParts:
    """What `stage` trades with.

    Raises
    ------
    ConfigError
        If the configuration names no venue for it, or its keys are missing; before any I/O.
    GateClosed
        If testnet or live would go to the other's world.
    """
    engine_options: dict[str, Any] = {
        "resiliency": _resiliency(settings.config),
        "oms": {
            "order_timeout_seconds": settings.config.oms.order_timeout_seconds,
            "max_open_orders": settings.config.oms.max_open_orders,
        },
    }
    if settings.info.bar_interval_s is not None:
        engine_options["bar_interval_s"] = settings.info.bar_interval_s
    if stage == "paper":
        return _paper(settings, folder, options, clock, engine_options)
    if options:
        raise ConfigError(f"{stage} takes no option {min(options)!r}")
    adapter, account = _venue(settings, stage, clock)
    return StageParts(
        adapter,
        None,
        sandbox=settings.sandbox is not None,
        starting_equity=None,
        engine_options=engine_options,
        account=account,
    )


def _paper(
    settings: Settings, folder: RunFolder, options: Mapping[str, Any], clock: Clock, engine_options: dict[str, Any]
) -> StageParts:
    """Simulated money on a market: history where it was given, else the venue's."""
    unknown = sorted(set(options) - {"history", "symbol", "interval_s"})
    if unknown:
        raise ConfigError(f"paper option {unknown[0]!r} is none of history, symbol, interval_s")
    feed: Feed
    lists: BaseBrokerAdapter | None = None
    listed: Instruments | None = None
    if options.get("history"):
        interval_s = float(options.get("interval_s", HISTORY_INTERVAL_S))
        feed = HistoryFeed(folder.replay_file, options.get("symbol"), interval_s, clock)
    elif settings.broker == "paper":
        raise ConfigError(
            "paper needs a market: give data=frame, a sandbox, or a configuration whose broker has market data"
        )
    else:
        sandboxed = settings.sandbox is not None
        market = make_feed(settings.broker, testnet=sandboxed, addresses=settings.sandbox, clock=clock)
        if sandboxed or market is None:
            # Paper keeps to the grid and limits it will meet at the next stage.
            lists, listed = _for_paper(settings, clock), Instruments(venue="paper")
            # Where market data need a login, they come over the same one, which the venue may allow once only.
            market = market if market is not None else lists.feed()
        if market is None:
            raise ConfigError(f"{settings.broker} gives no market data to paper; start paper with data=frame")
        feed = market
    money = {**settings.config.paper.model_dump(), "initial_balance": settings.info.initial_balance}
    return StageParts(
        PaperTradingAdapter(**money, clock=clock, instruments=listed),
        feed,
        sandbox=settings.sandbox is not None,
        starting_equity=settings.info.initial_balance,
        engine_options=engine_options,
        listed=listed,
        lists=lists,
    )


def _resiliency(config: ExecutionConfig) -> dict[str, Any]:
    return config.resiliency.model_dump()


def _for_paper(settings: Settings, clock: Clock) -> BaseBrokerAdapter:
    """The venue's adapter, asked for instruments and market data only: the sandbox's test world, or what keys say."""
    if settings.sandbox is not None:
        return _venue(settings, "testnet", clock)[0]
    return make_adapter(settings.broker, settings.venue_arguments(), clock=clock)


def _venue(settings: Settings, stage: str, clock: Clock) -> tuple[BaseBrokerAdapter, str]:
    """The venue's adapter for the world of `stage`, and a name for the account behind it."""
    broker = settings.broker
    if broker == "paper":
        raise ConfigError(f"{stage} needs a venue: give a sandbox, or config= whose execution.broker is one")
    listing, testnet = listing_of(broker), stage == "testnet"
    if settings.sandbox is not None:
        arguments = sandbox_arguments(broker, settings.sandbox, testnet=testnet)
        block = settings.sandbox[broker]
        where = [str(block.get("rest") or block.get("address", ""))]
    else:
        arguments, where = settings.venue_arguments(), []
    if listing.is_testnet(arguments) is not testnet:
        key, value = listing.world_key, arguments[listing.world_key]
        world = "testnet" if listing.is_testnet(arguments) else "live"
        raise GateClosed(
            f"{stage}: execution.{broker}.{key} is {str(value).lower()}, so its keys are those of the {world} world; "
            f"give a configuration with the {stage} keys"
        )
    if broker in _ORDERS_OVER_WEBSOCKET:
        arguments = {"websocket_orders": True, **arguments}
    account = arguments[listing.account]
    name = account.get_secret_value() if isinstance(account, SecretStr) else str(account)
    return make_adapter(broker, arguments, clock=clock), account_name(broker, stage, *where, name)
