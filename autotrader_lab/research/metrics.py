"""What a run was worth, in figures whose formulas are written down.

Nothing here assumes a calendar: the number of periods in a year is counted from the data's own time span, never a fixed
252. Formulas and where they come from:

- total return: ``E_end / E_start - 1``; CAGR: ``(E_end / E_start) ** (1 / years) - 1`` with a year of 365.25 days;
- Sharpe ratio (W. F. Sharpe, "The Sharpe Ratio", J. Portfolio Management 21, 1994): mean of the periods' returns over
  their sample standard deviation (``ddof=1``), times the root of the periods per year; risk-free rate 0;
- Sortino ratio (F. A. Sortino, R. van der Meer, "Downside Risk", J. Portfolio Management 17, 1991): mean return over
  the downside deviation ``sqrt(mean(min(r, 0)²))`` over *all* periods, annualised the same way;
- drawdown: fraction below the highest equity so far; its duration is the longest time from a peak until equity is back
  at that peak, or until the data ends;
- round trip: from flat to flat, or to the flip to the other side; its profit is net of its fees. Win rate is the share
  of round trips with a profit above zero; profit factor is the sum of winners over the sum of losers;
- turnover: notional of all fills, buys and sells, over mean equity; exposure: share of the time with a position.

What cannot be computed (no trips, no variance, less than a day for CAGR) is NaN and not zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from autotrader_lab.model.clock import NS
from autotrader_lab.model.instruments import Instruments, exact
from autotrader_lab.model.orders import Fill, OrderSide
from autotrader_lab.model.positions import Position

__all__ = [
    "TRIP_COLUMNS",
    "YEAR_S",
    "cagr",
    "drawdown",
    "longest_drawdown_ns",
    "profit_factor",
    "round_trips",
    "sampled",
    "sharpe",
    "sortino",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

YEAR_S = 365.25 * 86_400.0
_DAY_S = 86_400.0
_ZERO = Decimal(0)


def drawdown(equity: FloatArray, start: float | None = None) -> FloatArray:
    """Fraction below the highest equity so far (0.1 = ten per cent), `start` included where it is given."""
    if not len(equity):
        return np.empty(0)
    peaks = np.maximum.accumulate(equity)
    if start is not None:
        peaks = np.maximum(peaks, start)
    return np.divide(peaks - equity, peaks, out=np.zeros_like(equity), where=peaks > 0)


def longest_drawdown_ns(times_ns: IntArray, equity: FloatArray) -> int:
    """Longest time from a peak until equity is back at it, or until the end, nanoseconds."""
    if len(equity) < 2:
        return 0
    peaks = np.maximum.accumulate(equity)
    at_peak = equity >= peaks
    # The last row at the running peak, for every row; a drawdown lasts from there to its recovery.
    last_peak = np.maximum.accumulate(np.where(at_peak, np.arange(len(equity)), 0))
    under = np.flatnonzero(~at_peak)
    if not len(under):
        return 0
    recovered = np.minimum(under + 1, len(equity) - 1)
    return int((times_ns[recovered] - times_ns[last_peak[under]]).max())


def cagr(start: float, end: float, years: float) -> float:
    """Compound annual growth rate; NaN below one day, or when equity is gone."""
    if years * YEAR_S < _DAY_S or start <= 0 or end <= 0:
        return math.nan
    growth = math.log(end / start) / years
    return math.expm1(growth) if growth < 700 else math.inf


def sharpe(returns: FloatArray, periods_per_year: float) -> float:
    """Annualised Sharpe ratio of period returns; NaN without variance."""
    if len(returns) < 2:
        return math.nan
    deviation = float(returns.std(ddof=1))
    return float(returns.mean()) / deviation * math.sqrt(periods_per_year) if deviation > 0 else math.nan


def sortino(returns: FloatArray, periods_per_year: float) -> float:
    """Annualised Sortino ratio of period returns, target 0; NaN without a loss."""
    if len(returns) < 2:
        return math.nan
    downside = math.sqrt(float(np.square(np.minimum(returns, 0.0)).mean()))
    return float(returns.mean()) / downside * math.sqrt(periods_per_year) if downside > 0 else math.nan


def profit_factor(profits: FloatArray) -> float:
    """Sum of the winners over the sum of the losers; inf without a loser, NaN without a trip."""
    won, lost = float(profits[profits > 0].sum()), float(-profits[profits < 0].sum())
    if lost > 0:
        return won / lost
    return math.inf if won > 0 else math.nan


def sampled(times_ns: IntArray, equity: FloatArray, period_s: float | None = None) -> tuple[IntArray, FloatArray]:
    """Equity at the end of each period.

    Parameters
    ----------
    times_ns, equity : array
        One value a row, times never falling.
    period_s : float, optional
        Length of a period, seconds. Without it every distinct time is one period's end (bars).

    Returns
    -------
    tuple of array
        Times and equity; a period without rows repeats the last equity.
    """
    if not len(equity):
        return times_ns, equity
    if period_s is None:
        last = np.append(np.flatnonzero(np.diff(times_ns) > 0), len(times_ns) - 1)
        return times_ns[last], equity[last]
    step = round(period_s * NS)
    grid = np.arange(times_ns[0], times_ns[-1] + step, step, dtype=np.int64)
    return grid, equity[np.searchsorted(times_ns, grid, side="right") - 1]


@dataclass(slots=True)
class _Trip:
    """A round trip that is not over yet."""

    symbol: str
    side: OrderSide
    entry_time: datetime
    gross: Decimal = _ZERO
    fees: Decimal = _ZERO
    entered: Decimal = _ZERO
    entry_notional: Decimal = _ZERO
    exited: Decimal = _ZERO
    exit_notional: Decimal = _ZERO

    def row(self, exit_time: datetime) -> dict[str, Any]:
        profit = self.gross - self.fees
        return {
            "symbol": self.symbol,
            "side": "long" if self.side is OrderSide.BUY else "short",
            "entry_time": self.entry_time,
            "exit_time": exit_time,
            "quantity": float(self.entered),
            "entry_price": float(self.entry_notional / self.entered),
            "exit_price": float(self.exit_notional / self.exited) if self.exited else math.nan,
            "gross": float(self.gross),
            "fees": float(self.fees),
            "profit": float(profit),
            "return": float(profit / self.entry_notional),
        }


TRIP_COLUMNS = {
    "symbol": "object",
    "side": "object",
    "entry_time": "datetime64[ns, UTC]",
    "exit_time": "datetime64[ns, UTC]",
    **dict.fromkeys(("quantity", "entry_price", "exit_price", "gross", "fees", "profit", "return"), "float64"),
}


def round_trips(fills: Iterable[Fill], instruments: Instruments | None = None) -> pd.DataFrame:
    """The round trips that `fills` (in order of time) completed.

    Realised P&L comes from the same exact fold as the books', so that the trips' `gross` and what an open trip has
    realised add up to the positions' realised P&L.

    Returns
    -------
    DataFrame
        symbol, side, entry_time, exit_time, quantity (units entered), entry_price, exit_price (averages, quote
        currency), gross, fees, profit (net; quote currency), return (profit over entry notional).
    """
    known = instruments if instruments is not None else Instruments(complete=False)
    positions: dict[str, Position] = {}
    trips: dict[str, _Trip] = {}
    rows: list[dict[str, Any]] = []
    for fill in fills:
        position = positions.setdefault(fill.symbol, Position(known.find(fill.symbol)))
        was_flat = position.is_flat
        booked = position.apply(fill)
        size, price = exact(fill.quantity), exact(fill.price)
        against = not was_flat and (booked.quantity_before > 0) is (fill.side is OrderSide.SELL)
        closing = min(size, abs(booked.quantity_before)) if against else _ZERO
        trip = trips.get(fill.symbol)
        if trip is not None and closing:
            trip.gross += booked.realised
            trip.fees += booked.fee * closing / size
            trip.exited += closing
            trip.exit_notional += closing * price
            if position.is_flat or closing < size:
                rows.append(trips.pop(fill.symbol).row(fill.timestamp))
                trip = None
        opening = size - closing
        if opening and not position.is_flat:
            if trip is None:
                trip = trips[fill.symbol] = _Trip(fill.symbol, fill.side, fill.timestamp)
            trip.gross += _ZERO if closing else booked.realised
            trip.fees += booked.fee * opening / size
            trip.entered += opening
            trip.entry_notional += opening * price
    return pd.DataFrame(rows, columns=list(TRIP_COLUMNS)).astype(TRIP_COLUMNS)
