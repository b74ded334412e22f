"""What a lab is told, checked before anything starts, and how it reaches the host: secrets by environment only."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, get_args

from autotrader_lab._version import __version__
from autotrader_lab.execution.config import BROKERS, ExecutionConfig, load_config
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.execution.webhook import AlertWebhook
from autotrader_lab.host.care import WEBHOOK_VARIABLE, BreachPolicy
from autotrader_lab.host.runs import SessionInfo
from autotrader_lab.host.stages import CONFIG_VARIABLE, SANDBOX_VARIABLE, NoKeys
from autotrader_lab.host.travel import strategy_name
from autotrader_lab.ladder import profile as find_profile
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import ConfigError
from autotrader_lab.strategy.contract import as_strategy

__all__ = [
    "DEFAULT_CONFIG",
    "config_source",
    "host_environment",
    "make_info",
    "sandbox_addresses",
    "webhook_address",
]

DEFAULT_CONFIG = Path("config/execution.yaml")


def sandbox_addresses(given: Any) -> dict[str, Any] | None:
    """A sandbox's addresses from a mapping, a running sandbox (its ``addresses``), or the environment.

    Raises
    ------
    ConfigError
        If what is given names no venue.
    """
    if given is None:
        text = os.environ.get(SANDBOX_VARIABLE)
        if not text:
            return None
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ConfigError(
                f"{SANDBOX_VARIABLE} is no JSON ({error}); set it to what `sandbox --json` prints"
            ) from error
    addresses = getattr(given, "addresses", given)
    if not isinstance(addresses, Mapping) or not set(BROKERS) & set(addresses):
        raise ConfigError(
            f"sandbox={type(given).__name__} names no venue; give what start_sandbox() returns, or its addresses"
        )
    return dict(addresses)


def config_source(config: str | Path | ExecutionConfig | None, sandbox: bool) -> tuple[str, ExecutionConfig | None]:
    """Where the configuration is read from: a path (checked now), or the object itself.

    Without one the default file counts where it exists, unless a sandbox takes its place; its keys may be missing for
    as long as nothing but replay and paper runs.

    Raises
    ------
    ConfigError
        Whatever is wrong with it, with the line.
    """
    if isinstance(config, ExecutionConfig):
        return "", config
    if config is None:
        if sandbox or not DEFAULT_CONFIG.exists():
            return "", None
        path, lenient = DEFAULT_CONFIG, True
    else:
        path, lenient = Path(config).expanduser(), sandbox
    load_config(path, NoKeys(os.environ) if lenient else None)
    return str(path.absolute()), None


def make_info(
    strategy: Any,
    *,
    symbols: str | Sequence[str],
    config_path: str,
    limits: RiskLimits | None,
    profile: str,
    sandbox: bool,
    bar_interval_s: float | None,
    initial_balance: float,
    name: str | None,
    on_breach: str | None,
    clock: Clock,
) -> SessionInfo:
    """The session's description, every field checked.

    Raises
    ------
    ConfigError, StrategyError
        Naming the field, its value and the way out.
    """
    as_strategy(strategy)
    wanted = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    if not wanted or not all(isinstance(symbol, str) and symbol for symbol in wanted):
        raise ConfigError(f"symbols={symbols!r}: name what to trade, e.g. symbols=('BTC/USDT',)")
    find_profile(profile)
    if bar_interval_s is not None and not 0 < bar_interval_s < float("inf"):
        raise ConfigError(f"bar_interval_s={bar_interval_s!r} must be a positive number of seconds")
    if not 0 < initial_balance < float("inf"):
        raise ConfigError(f"initial_balance={initial_balance!r} must be a positive amount of the account currency")
    if limits is not None and not isinstance(limits, RiskLimits):
        raise ConfigError(f"limits={limits!r}: give RiskLimits(...), or None for the strategy's own")
    if on_breach not in (None, *get_args(BreachPolicy)):
        raise ConfigError(f"on_breach={on_breach!r}: give one of {', '.join(get_args(BreachPolicy))}")
    label = strategy_name(strategy)
    moment = clock.now().astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    return SessionInfo(
        session=name or f"{_plain(label)}-{moment}-{secrets.token_hex(2)}",
        created_ns=clock.now_ns(),
        version=__version__,
        profile=profile,
        symbols=wanted,
        strategy=label,
        config_path=config_path,
        sandbox=sandbox,
        bar_interval_s=bar_interval_s,
        initial_balance=float(initial_balance),
        limits=limits.model_dump(mode="json") if limits is not None else {},
        on_breach=on_breach or "",
    )


def webhook_address(given: str | None, clock: Clock) -> str | None:
    """The alert webhook, checked.

    Raises
    ------
    ConfigError
        If it is no http address; the message does not repeat it.
    """
    address = given if given is not None else os.environ.get(WEBHOOK_VARIABLE)
    if address:
        AlertWebhook(address, clock)
    return given


def host_environment(
    sandbox: Mapping[str, Any] | None, config: ExecutionConfig | None, webhook: str | None
) -> dict[str, str]:
    """What a host's environment must hold besides ours: addresses and keys, which appear in no file and no argument."""
    environment: dict[str, str] = {}
    if sandbox is not None:
        environment[SANDBOX_VARIABLE] = json.dumps(sandbox)
    if config is not None:
        environment[CONFIG_VARIABLE] = json.dumps(_revealed(config.model_dump()))
    if webhook is not None:
        environment[WEBHOOK_VARIABLE] = webhook
    return environment


def _revealed(value: Any) -> Any:
    """Plain values, secrets included: for the environment of our own child process and nothing else."""
    if isinstance(value, Mapping):
        return {key: _revealed(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_revealed(part) for part in value]
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _plain(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text).strip("-")[:40] or "lab"
