"""The figures of one run, from its equity, fills and orders: what ``result.stats`` shows."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from autotrader_lab.model.clock import NS
from autotrader_lab.research import metrics

__all__ = ["DESCRIPTIONS", "summarise"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_TICK_PERIODS_S = (1.0, 60.0)  # below and above one day of ticks

DESCRIPTIONS: dict[str, str] = {
    "start": "first row of the data, UTC",
    "end": "last row replayed, UTC",
    "events": "bars, quotes or trades replayed",
    "start_equity": "before the first fill, account currency",
    "end_equity": "at the last marks, account currency",
    "total_return": "end over start equity, less one",
    "buy_and_hold": "the same of the instrument itself; mean over several",
    "cagr": "compound growth a year of 365.25 days; NaN below one day of data",
    "sharpe": "mean over standard deviation of period returns, annualised; risk-free 0",
    "sortino": "mean over downside deviation of period returns, annualised; target 0",
    "periods_per_year": "what Sharpe and Sortino are annualised with, counted from the data",
    "return_period": "the period of those returns",
    "volatility": "standard deviation of period returns, annualised",
    "max_drawdown": "largest fall from a peak, fraction",
    "max_drawdown_duration": "longest time from a peak until back at it, or to the end",
    "round_trips": "from flat to flat, or to a flip",
    "win_rate": "share of round trips with a profit after fees",
    "profit_factor": "sum of winners over sum of losers, after fees",
    "best_trip": "largest profit of a round trip after fees, account currency",
    "worst_trip": "largest loss of a round trip after fees, account currency",
    "fees": "of all fills, account currency",
    "turnover": "notional of all fills over mean equity",
    "exposure": "share of the time with a position",
    "decisions": "what the strategy asked for, holds not counted",
    "orders": "sent to the simulated venue",
    "trades": "fills",
    "denied": "orders refused by the risk gate",
    "rejected": "orders refused by the simulated venue",
}
"""What each figure means."""


def summarise(
    *,
    times_ns: IntArray,
    equity: FloatArray,
    holding: npt.NDArray[np.bool_],
    start_equity: float,
    trips: pd.DataFrame,
    traded_notional: float,
    fees: float,
    counts: dict[str, int],
    buy_and_hold: float,
    bars: bool,
) -> pd.Series:
    """All figures, in the order of :data:`DESCRIPTIONS`.

    Parameters
    ----------
    times_ns, equity, holding : array
        A value for each event: time, equity after it, whether anything was held after it.
    trips : DataFrame
        From :func:`metrics.round_trips`.
    traded_notional, fees : float
        Of all fills, account currency.
    counts : dict of str to int
        ``decisions``, ``orders``, ``trades``, ``denied``, ``rejected``.
    bars : bool
        Whether returns are taken from event to event; of ticks they are taken each second (below a day) or minute.
    """
    span_s = (int(times_ns[-1]) - int(times_ns[0])) / NS if len(times_ns) else 0.0
    period_s = None if bars else _TICK_PERIODS_S[span_s >= 86_400]
    when, sampled = metrics.sampled(times_ns, equity, period_s)
    returns = sampled[1:] / sampled[:-1] - 1 if len(sampled) > 1 and (sampled > 0).all() else np.empty(0)
    sampled_s = (int(when[-1]) - int(when[0])) / NS if len(when) > 1 else 0.0
    per_year = len(returns) / sampled_s * metrics.YEAR_S if sampled_s else math.nan
    profits = trips["profit"].to_numpy(dtype=np.float64)
    end_equity = float(equity[-1]) if len(equity) else start_equity
    mean_equity = float(equity.mean()) if len(equity) else start_equity
    volatility = float(returns.std(ddof=1)) * math.sqrt(per_year) if len(returns) > 1 else math.nan
    figures = {
        "start": pd.Timestamp(int(times_ns[0]), tz="UTC") if len(times_ns) else pd.NaT,
        "end": pd.Timestamp(int(times_ns[-1]), tz="UTC") if len(times_ns) else pd.NaT,
        "events": len(times_ns),
        "start_equity": start_equity,
        "end_equity": end_equity,
        "total_return": end_equity / start_equity - 1,
        "buy_and_hold": buy_and_hold,
        "cagr": metrics.cagr(start_equity, end_equity, span_s / metrics.YEAR_S),
        "sharpe": metrics.sharpe(returns, per_year),
        "sortino": metrics.sortino(returns, per_year),
        "periods_per_year": per_year,
        "return_period": _period(when) if period_s is None else pd.Timedelta(seconds=period_s),
        "volatility": volatility,
        "max_drawdown": float(metrics.drawdown(equity, start_equity).max(initial=0.0)),
        "max_drawdown_duration": pd.Timedelta(metrics.longest_drawdown_ns(times_ns, equity), unit="ns"),
        "round_trips": len(trips),
        "win_rate": float((profits > 0).mean()) if len(profits) else math.nan,
        "profit_factor": metrics.profit_factor(profits),
        "best_trip": float(profits.max()) if len(profits) else math.nan,
        "worst_trip": float(profits.min()) if len(profits) else math.nan,
        "fees": fees,
        "turnover": traded_notional / mean_equity if mean_equity > 0 else math.nan,
        "exposure": _exposure(times_ns, holding),
        **counts,
    }
    return pd.Series({name: figures[name] for name in DESCRIPTIONS}, dtype="object", name="stats")


def _period(when: IntArray) -> pd.Timedelta | None:
    """The usual distance of two rows."""
    return pd.Timedelta(int(np.median(np.diff(when))), unit="ns") if len(when) > 1 else None


def _exposure(times_ns: IntArray, holding: npt.NDArray[np.bool_]) -> float:
    """Share of the time with a position: what is held after a row is held until the next."""
    if len(times_ns) < 2 or times_ns[-1] == times_ns[0]:
        return math.nan
    steps = np.diff(times_ns)
    return float(steps[holding[:-1]].sum() / steps.sum())
