"""Risk limits over a session's life: what a person tightened stays tight from stage to stage and over restarts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.model.errors import ConfigError

__all__ = ["LIMITS_CHECKPOINT", "read_limits", "tightest"]

LIMITS_CHECKPOINT = "limits"
"""Name of the checkpoint the engine writes when limits change."""


def read_limits(plain: Mapping[str, Any]) -> RiskLimits:
    """Limits from plain values.

    Raises
    ------
    ConfigError
        Naming the field and what is wrong with it.
    """
    try:
        return RiskLimits(**plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(RiskLimits.model_fields)
        raise ConfigError(f"limits: {where}={first['input']!r}: {first['msg']}; the limits are {known}") from None


def tightest(one: RiskLimits, other: RiskLimits) -> RiskLimits:
    """Limits that allow only what both allow."""
    fields: dict[str, Any] = {}
    for name in RiskLimits.model_fields:
        if name == "max_position":
            continue
        values = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        fields[name] = (max if name == "duplicate_window_s" else min)(values, default=None)
    fields["max_position"] = {
        symbol: min(cap for cap in (_cap(one, symbol), _cap(other, symbol)) if cap is not None)
        for symbol in sorted({*one.max_position, *other.max_position})
    }
    return RiskLimits(**fields)


def _cap(limits: RiskLimits, symbol: str) -> float | None:
    return limits.max_position.get(symbol, limits.default_max_position)
