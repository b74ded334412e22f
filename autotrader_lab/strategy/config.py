"""What a Phase 8 strategy can be told, so that a researcher's YAML is checked completely before the first decision.

Names and defaults are those of the specification. Every mistake is reported with the full path of the key, its value
and, for a misspelt key, the nearest name that exists.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from autotrader_lab.model.errors import ConfigError

__all__ = ["PortfolioConfig", "RiskConfig", "SignalConfig", "SizingConfig", "StrategyConfig"]

INF = float("inf")

Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Cap = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    """One part of the configuration; assignments are checked like constructor arguments."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.5)
                    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(cls.model_fields)}"
                    raise PydanticCustomError(
                        "unknown_key", "unknown key '{key}'; {hint}", {"key": str(key), "hint": hint}
                    )
        return data


class SignalConfig(_Section):
    """When to get in, and when to get out.

    Attributes
    ----------
    buy_threshold, sell_threshold : float
        Long at or above the first, short at or below the second; `buy_threshold` must exceed `sell_threshold`.
    min_ev, transaction_cost, avg_win, avg_loss : float
        Account currency. EV = p·win − (1−p)·loss − cost, where p is the probability that the *entered side* wins; an
        entry needs EV ≥ `min_ev`.
    max_hold_bars, max_hold_seconds : int, float or None
        Time stop, whichever comes first, counted from the entry; None switches one off. With daily bars the default of
        300 seconds ends every trade on the next bar.
    max_mae_pct : float
        Stop at this adverse excursion from the entry price (0.02 is 2 %).
    trailing_stop : bool
        Also stop when the price has come back by `max_mae_pct` from its best since the entry.
    profit_levels : tuple of (float, float)
        (favourable excursion, fraction of what is held then to close), once per position; excursions increase.
    exit_on_reversal : bool
        Also close when the signal, all its conditions met, points to the other side. Off in the specification.
    """

    buy_threshold: Probability = 0.55
    sell_threshold: Probability = 0.45
    min_ev: Annotated[float, Field(allow_inf_nan=False)] = 10.0
    transaction_cost: NonNegative = 5.0
    avg_win: Positive = 100.0
    avg_loss: Positive = 80.0
    max_hold_bars: Count | None = 100
    max_hold_seconds: Annotated[float, Field(gt=0)] | None = 300.0
    max_mae_pct: Positive = 0.02
    trailing_stop: bool = True
    profit_levels: tuple[tuple[float, float], ...] = ((0.005, 0.25), (0.010, 0.50), (0.020, 1.00))
    exit_on_reversal: bool = False

    @field_validator("profit_levels")
    @classmethod
    def _levels(cls, levels: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        previous = 0.0
        for excursion, fraction in levels:
            if not previous < excursion < INF:
                raise ValueError(
                    f"excursion {excursion} must be finite and above {previous}: list the levels in increasing order"
                )
            if not 0 < fraction <= 1:
                raise ValueError(f"fraction {fraction} at excursion {excursion} must lie in (0, 1]")
            previous = excursion
        return levels

    @model_validator(mode="after")
    def _order(self) -> Self:
        if not self.buy_threshold > self.sell_threshold:
            raise ValueError(
                f"buy_threshold {self.buy_threshold} must exceed sell_threshold {self.sell_threshold}: "
                "raise the one or lower the other"
            )
        return self


class SizingConfig(_Section):
    """How much of the capital an entry takes. All sizers work in account currency.

    Attributes
    ----------
    method : str
        ``volatility_scaled``, ``kelly``, ``fixed_fractional`` or ``risk_parity``.
    target_volatility : float
        Standard deviation of returns aimed at, **per bar of the data the strategy sees**: nothing is annualised, so
        that target and realised volatility are always of the same period.
    lookback : int
        Bars in the volatility estimate; span of the exponentially weighted one.
    vol_method : str
        ``std``, ``ewma``, or ``parkinson``, which needs high and low.
    kelly_fraction : float
        Share of the full Kelly bet to take.
    win_rate, avg_win, avg_loss : float or None
        For Kelly, where the caller of ``process_signal`` gives none; None falls back to the probability of the
        entered side and to the averages of :class:`SignalConfig`.
    fraction : float
        Share of capital for ``fixed_fractional``.
    total_risk_budget : float
        Share of capital that ``risk_parity`` spreads over what is held and the entry, weights ∝ 1/volatility.
    max_position, max_position_pct, min_position : float
        Limits on the notional: account currency, share of capital, account currency. Less than the minimum is no entry.
    """

    method: Literal["volatility_scaled", "kelly", "fixed_fractional", "risk_parity"] = "volatility_scaled"
    target_volatility: Positive = 0.01
    lookback: Annotated[int, Field(ge=2)] = 20
    vol_method: Literal["std", "ewma", "parkinson"] = "ewma"
    kelly_fraction: Share = 0.25
    win_rate: Probability | None = None
    avg_win: Positive | None = None
    avg_loss: Positive | None = None
    fraction: Share = 0.02
    total_risk_budget: Share = 0.10
    max_position: Annotated[float, Field(gt=0)] = INF
    max_position_pct: Share = 0.20
    min_position: NonNegative = 0.0

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.min_position > self.max_position:
            raise ValueError(
                f"min_position {self.min_position} exceeds max_position {self.max_position}: nothing could be traded"
            )
        return self


class RiskConfig(_Section):
    """What stops entries. Exits always pass.

    Attributes
    ----------
    max_daily_loss, daily_loss_warning : float
        Sum of the UTC day's losses, account currency, and the share of it that warns.
    max_trades_per_day, max_trades_per_hour, max_trades_per_minute : int
        Orders sent within sliding windows of 24 h, 60 min and 60 s.
    consecutive_loss_limit, cooldown_minutes : int, float
        Halt after that many losses in a row; over after the cooldown, or with a win.
    max_drawdown, scale_start_drawdown : float
        Shares of the peak equity; the size factor falls linearly from 1 at the second to 0 at the first.
    max_position_per_symbol, default_max_position : dict, float
        Cap on the units held after the trade.
    max_gross_exposure, max_net_exposure, max_sector_exposure : float, float, dict
        Caps on the positions after the trade, account currency.
    """

    max_daily_loss: Annotated[float, Field(gt=0)] = 10_000.0
    daily_loss_warning: Share = 0.80
    max_trades_per_day: Count = 1000
    max_trades_per_hour: Count = 100
    max_trades_per_minute: Count = 10
    consecutive_loss_limit: Count = 5
    cooldown_minutes: NonNegative = 30.0
    max_drawdown: Share = 0.20
    scale_start_drawdown: Probability = 0.10
    max_position_per_symbol: dict[str, Cap] = Field(default_factory=dict)
    default_max_position: Cap = INF
    max_gross_exposure: Cap = INF
    max_net_exposure: Cap = INF
    max_sector_exposure: dict[str, Cap] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.scale_start_drawdown > self.max_drawdown:
            raise ValueError(
                f"scale_start_drawdown {self.scale_start_drawdown} must not exceed max_drawdown {self.max_drawdown}"
            )
        return self


class PortfolioConfig(_Section):
    """What the rest of the book says about one more position.

    Attributes
    ----------
    max_concurrent_positions, max_per_sector, max_per_venue : int, int or None
        Open positions, entries in flight included.
    max_correlation, correlation_lookback, correlation_update_freq : float, int, int
        Size factor 1 − mean|corr|/max against what is held, 0 at or above max; returns looked at; bars between updates.
    cooldown_loss_count, cooldown_minutes, progressive_cooldown, max_cooldown_minutes : int, float, bool, float
        Pause after that many losses in a row; each trigger doubles the pause up to the maximum, a win resets it.
    min_sectors, min_venues : int
        Until that many are held, an entry must add a new one.
    max_sector_concentration, max_venue_concentration : float
        Largest share of the gross exposure after the trade; the first position of an empty book is exempt.
    """

    max_concurrent_positions: Count = 20
    max_per_sector: Count | None = None
    max_per_venue: Count | None = None
    max_correlation: Share = 0.70
    correlation_lookback: Annotated[int, Field(ge=3)] = 60
    correlation_update_freq: Count = 10
    cooldown_loss_count: Count = 3
    cooldown_minutes: NonNegative = 15.0
    progressive_cooldown: bool = True
    max_cooldown_minutes: NonNegative = 240.0
    min_sectors: Annotated[int, Field(ge=0)] = 0
    min_venues: Annotated[int, Field(ge=0)] = 0
    max_sector_concentration: Share = 1.0
    max_venue_concentration: Share = 1.0

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.cooldown_minutes > self.max_cooldown_minutes:
            raise ValueError(
                f"cooldown_minutes {self.cooldown_minutes} exceeds max_cooldown_minutes {self.max_cooldown_minutes}"
            )
        return self


class StrategyConfig(_Section):
    """The four parts, a name, and what is logged.

    Attributes
    ----------
    strategy_name, description : str
    signal, sizing, risk, portfolio : section
    allow_short : bool
        False: a short signal holds.
    log_level : str
        Least level written to the logger ``autotrader_lab.strategy``: entries and exits are INFO, holds DEBUG.
    log_decisions : bool
        False: decisions are not logged.
    """

    strategy_name: Annotated[str, Field(min_length=1)] = "phase8"
    description: str = ""
    signal: SignalConfig = Field(default_factory=SignalConfig)
    sizing: SizingConfig = Field(default_factory=SizingConfig)
    risk: RiskConfig = Field(default_factory=RiskConfig)
    portfolio: PortfolioConfig = Field(default_factory=PortfolioConfig)
    allow_short: bool = True
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_decisions: bool = False

    @classmethod
    def from_dict(cls, data: Any, source: str = "strategy configuration") -> Self:
        """A configuration from plain nested dicts.

        Raises
        ------
        ConfigError
            With every faulty key's full path, its value and the way out.
        """
        if not isinstance(data, dict):
            raise ConfigError(f"{source}: expected a mapping of keys, got {type(data).__name__}")
        # an empty section (`risk:` with nothing under it) means its defaults
        filled = {key: {} if value is None and key in _SECTIONS else value for key, value in data.items()}
        try:
            return cls.model_validate(filled)
        except ValidationError as error:
            raise ConfigError(f"{source}: " + "; ".join(_describe(item) for item in error.errors())) from error

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a YAML file; keys left out take their defaults.

        Raises
        ------
        ConfigError
            If the file cannot be read, is not YAML, or holds an unknown key or a value out of range.
        """
        file = Path(path)
        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"strategy configuration {file}: cannot be read ({error}); check the path") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"strategy configuration {file}: not valid YAML: {error}") from error
        return cls.from_dict({} if data is None else data, source=str(file))

    def to_yaml(self, path: str | Path) -> None:
        """Write every key, defaults too, so that the file alone tells what ran."""
        text = yaml.safe_dump(_plain(self.to_dict()), sort_keys=False, allow_unicode=True)
        Path(path).write_text(text, encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts of all keys."""
        return self.model_dump(mode="python")


_SECTIONS = ("signal", "sizing", "risk", "portfolio")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _describe(item: Any) -> str:
    path = [str(part) for part in item["loc"]]
    message: str = item["msg"].removeprefix("Value error, ")
    if item["type"] == "unknown_key":
        path.append(item["ctx"]["key"])
        return f"{'.'.join(path)}: unknown key; {item['ctx']['hint']}"
    where = ".".join(path) or "configuration"
    value = item["input"]
    return f"{where}: {message}" if isinstance(value, dict) else f"{where} = {value!r}: {message}"
