"""What may stand in ``config/execution.yaml``: the specification's keys, their types, limits and defaults."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from autotrader_lab.model.errors import ConfigError

__all__ = [
    "BLOCKS",
    "BROKERS",
    "BinanceConfig",
    "CoinbaseConfig",
    "ExecutionConfig",
    "FXCMConfig",
    "IBKRConfig",
    "OKXConfig",
    "OMSConfig",
    "OandaConfig",
    "PaperConfig",
    "ResiliencyConfig",
    "Section",
    "nearest",
    "required",
]

BROKERS = ("ibkr", "binance", "coinbase", "okx", "oanda", "fxcm", "paper")
Broker = Literal["ibkr", "binance", "coinbase", "okx", "oanda", "fxcm", "paper"]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Number: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Integer: TypeAlias = Annotated[int, BeforeValidator(_no_bool)]


class Section(BaseModel):
    """One block of keys; frozen, and no key but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BinanceConfig(Section):
    """Binance spot. `testnet` is true unless said otherwise: a forgotten key must not trade real money."""

    api_key: SecretStr
    api_secret: SecretStr
    testnet: bool = True


class CoinbaseConfig(Section):
    """Coinbase Advanced Trade."""

    api_key: SecretStr
    api_secret: SecretStr
    testnet: bool = True


class OKXConfig(Section):
    """OKX; its keys come with a passphrase."""

    api_key: SecretStr
    api_secret: SecretStr
    passphrase: SecretStr
    testnet: bool = True


class IBKRConfig(Section):
    """Trader Workstation or Gateway. TWS listens on 7497 for paper and 7496 for live, Gateway on 4002 and 4001.

    `environment` is the port's, and paper for any other port; the account that answers is checked against it.
    """

    host: str = "127.0.0.1"
    port: Annotated[Integer, Field(ge=1, le=65535)] = 7497
    client_id: Annotated[Integer, Field(ge=0)] = 1
    account: str = ""
    environment: Literal["paper", "live"] | None = None
    exchange: str = "SMART"
    currency: str = "USD"
    contracts: dict[str, dict[str, str | int | float]] = Field(default_factory=dict)
    outside_hours: bool = False
    delayed_data: bool = False


class OandaConfig(Section):
    """Oanda v20."""

    account_id: str
    access_token: SecretStr
    environment: Literal["practice", "live"] = "practice"


class FXCMConfig(Section):
    """FXCM over FIX."""

    user: str
    password: SecretStr
    account: str
    environment: Literal["demo", "live"] = "demo"
    host: str = ""
    port: Annotated[Integer, Field(ge=0, le=65535)] = 0
    sender_comp_id: str = ""
    target_comp_id: str = "FXCM"


class PaperConfig(Section):
    """Paper trading: balance in account currency, latency a range in ms (or one number), costs in basis points."""

    initial_balance: Annotated[Number, Field(gt=0)] = 100_000.0
    latency_ms: tuple[Annotated[Number, Field(ge=0)], Annotated[Number, Field(ge=0)]] = (10.0, 50.0)
    slippage_bps: Annotated[Number, Field(ge=0, lt=10_000)] = 5.0
    commission_bps: Annotated[Number, Field(lt=10_000)] = 10.0

    @field_validator("latency_ms", mode="before")
    @classmethod
    def _one_number(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    @field_validator("latency_ms")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("must be [shortest, longest]; swap the two")
        return value


class OMSConfig(Section):
    """Order management: how many orders may work at once, and after how many seconds one is cancelled."""

    max_open_orders: Annotated[Integer, Field(ge=1)] = 100
    order_timeout_seconds: Annotated[Number, Field(gt=0)] = 300.0


class ResiliencyConfig(Section):
    """Retries (seconds, doubling), the circuit breaker, and whether unsettled orders are kept as dead letters."""

    max_retries: Annotated[Integer, Field(ge=0)] = 3
    initial_backoff: Annotated[Number, Field(ge=0)] = 1.0
    backoff_multiplier: Annotated[Number, Field(ge=1)] = 2.0
    circuit_breaker_threshold: Annotated[Integer, Field(ge=1)] = 5
    enable_dlq: bool = True


BrokerConfig = BinanceConfig | CoinbaseConfig | OKXConfig | IBKRConfig | OandaConfig | FXCMConfig | PaperConfig


class ExecutionConfig(Section):
    """What stands under ``execution:``.

    A broker's block is None where the file has none, or where it is not the chosen one and incomplete (a variable
    that is not set): :meth:`for_broker` says what is missing.
    """

    broker: Broker
    binance: BinanceConfig | None = None
    coinbase: CoinbaseConfig | None = None
    okx: OKXConfig | None = None
    ibkr: IBKRConfig = IBKRConfig()
    oanda: OandaConfig | None = None
    fxcm: FXCMConfig | None = None
    paper: PaperConfig = PaperConfig()
    oms: OMSConfig = OMSConfig()
    resiliency: ResiliencyConfig = ResiliencyConfig()
    _missing: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _chosen_is_there(self) -> Self:
        if getattr(self, self.broker) is None:
            raise ValueError(
                f"broker is {self.broker!r} and there is no block for it; add {self.broker}: with "
                f"{', '.join(required(self.broker))}"
            )
        return self

    @property
    def chosen(self) -> BrokerConfig:
        """The block of the chosen broker."""
        return self.for_broker(self.broker)

    def for_broker(self, name: str) -> BrokerConfig:
        """The block of broker `name`.

        Raises
        ------
        ConfigError
            If there is no such broker, or its block is missing or incomplete.
        """
        if name not in BROKERS:
            raise ConfigError(f"unknown broker {name!r}; {nearest(name, BROKERS)}")
        block: BrokerConfig | None = getattr(self, name)
        if block is None:
            way_out = self._missing.get(name) or f"add {name}: with {', '.join(required(name))}"
            raise ConfigError(f"execution.{name} is not usable: {way_out}")
        return block

    def adapter_arguments(self, name: str | None = None) -> dict[str, Any]:
        """The constructor arguments of the adapter of `name`, by default the chosen broker; secrets stay wrapped.

        Raises
        ------
        ConfigError
            As :meth:`for_broker`.
        """
        block = self.for_broker(self.broker if name is None else name)
        return {key: getattr(block, key) for key in type(block).model_fields}


BLOCKS: dict[str, type[Section]] = {
    "binance": BinanceConfig,
    "coinbase": CoinbaseConfig,
    "okx": OKXConfig,
    "ibkr": IBKRConfig,
    "oanda": OandaConfig,
    "fxcm": FXCMConfig,
    "paper": PaperConfig,
    "oms": OMSConfig,
    "resiliency": ResiliencyConfig,
}


def required(block: str) -> list[str]:
    """The keys a block must have."""
    return [name for name, field in BLOCKS[block].model_fields.items() if field.is_required()]


def nearest(name: str, known: tuple[str, ...]) -> str:
    """The way out for a name nobody knows."""
    near = difflib.get_close_matches(str(name).lower(), known, 1, 0.5)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
