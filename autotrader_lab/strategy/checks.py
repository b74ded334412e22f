"""Checks of what comes in from outside, each naming the symbol, the value and the way out."""

from __future__ import annotations

import math
import operator
from datetime import datetime
from typing import Any

from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import StrategyError

__all__ = ["event_ns", "finite", "is_scalar", "positive"]


def finite(value: Any, what: str, symbol: str) -> float:
    """`value` as a finite float.

    Raises
    ------
    StrategyError
        If it is no number, NaN or infinite.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise StrategyError(f"{symbol}: {what} is {value!r}; it must be a number") from error
    if not math.isfinite(number):
        raise StrategyError(f"{symbol}: {what} is {value!r}; it must be finite: drop or fill such rows first")
    return number


def positive(value: Any, what: str, symbol: str) -> float:
    """`value` as a finite float above zero.

    Raises
    ------
    StrategyError
        If it is not.
    """
    number = finite(value, what, symbol)
    if number <= 0.0:
        raise StrategyError(f"{symbol}: {what} is {value!r}; it must be above zero")
    return number


def is_scalar(value: Any) -> bool:
    """Whether `value` is one number, not a series of them."""
    return isinstance(value, (int, float)) or getattr(value, "ndim", None) == 0


def event_ns(timestamp: datetime | int, symbol: str) -> int:
    """An event's time in nanoseconds since the epoch.

    Raises
    ------
    StrategyError
        If it is a naive datetime, or neither a datetime nor an integer.
    """
    if isinstance(timestamp, datetime):
        try:
            return to_ns(timestamp)
        except ValueError as error:
            raise StrategyError(f"{symbol}: timestamp: {error}") from error
    try:
        return operator.index(timestamp)
    except TypeError as error:
        raise StrategyError(
            f"{symbol}: timestamp {timestamp!r} must be an aware datetime or integer nanoseconds"
        ) from error
