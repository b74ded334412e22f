"""Pictures of a run: price with the fills on it, equity, drawdown. Matplotlib for paper, hvplot for zooming in.

Long runs are thinned before they are drawn, keeping each stretch's lowest and highest point, so that no spike is lost.
"""

from __future__ import annotations

import html
import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from autotrader_lab.model.errors import DataError

if TYPE_CHECKING:
    from autotrader_lab.research.result import ReplayResult

__all__ = ["figure", "interactive", "sparkline", "thin"]

_POINTS = 4_000
_INK, _GRID = "#2b2f36", "#e4e7ec"
_PRICE, _EQUITY, _LOSS = "#5b6472", "#1f6feb", "#c4432b"
_BUY, _SELL = "#1a7f4b", "#c4432b"
_SERIES = ("#5b6472", "#8250df", "#1f6feb", "#bf8700", "#1b7c83", "#bc4c00")


def thin(values: pd.Series, points: int = _POINTS) -> pd.Series:
    """At most about `points` of `values`: the lowest and highest of each stretch, first and last kept."""
    if len(values) <= points:
        return values
    stretch = -(-len(values) * 2 // points)
    numbers: npt.NDArray[np.float64] = values.to_numpy(dtype=np.float64)
    whole = numbers[: len(numbers) // stretch * stretch].reshape(-1, stretch)
    starts = np.arange(len(whole)) * stretch
    rows = np.concatenate([starts + whole.argmin(axis=1), starts + whole.argmax(axis=1), [0, len(numbers) - 1]])
    return values.iloc[np.unique(rows)]


def figure(result: ReplayResult, *, size: tuple[float, float] = (11.0, 7.0)) -> Any:
    """Price with fills, equity and drawdown, one above the other.

    Parameters
    ----------
    result : ReplayResult
    size : tuple of float
        Width and height, inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pyplot = _needed("matplotlib.pyplot")
    dates = _needed("matplotlib.dates")
    ticker = _needed("matplotlib.ticker")
    drawn, axes = pyplot.subplots(
        3, 1, sharex=True, figsize=size, height_ratios=(3, 2, 1), layout="constrained", facecolor="white"
    )
    price_axis, equity_axis, drawdown_axis = axes
    _draw_price(price_axis, result)
    equity = thin(result.equity["equity"])
    start = float(result.stats["start_equity"])
    equity_axis.plot(equity.index, equity, color=_EQUITY, linewidth=1.2)
    equity_axis.fill_between(equity.index, equity, start, color=_EQUITY, alpha=0.08, linewidth=0)
    equity_axis.axhline(start, color=_INK, linewidth=0.6, linestyle=(0, (4, 3)))
    equity_axis.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    equity_axis.set_ylabel("equity")
    fallen = -100 * thin(result.equity["drawdown"])
    drawdown_axis.fill_between(fallen.index, fallen, 0, color=_LOSS, alpha=0.25, linewidth=0)
    drawdown_axis.plot(fallen.index, fallen, color=_LOSS, linewidth=0.8)
    drawdown_axis.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:.3g} %"))
    drawdown_axis.set_ylabel("drawdown")
    for axis in axes:
        axis.grid(True, color=_GRID, linewidth=0.7)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color("#b6bcc6")
        axis.tick_params(colors=_INK, labelsize=9)
        axis.margins(x=0.01)
    locator = dates.AutoDateLocator()
    drawdown_axis.xaxis.set_major_locator(locator)
    drawdown_axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    drawn.suptitle(_title(result), x=0.01, ha="left", fontsize=11, color=_INK)
    drawn.align_ylabels(axes)
    pyplot.close(drawn)  # the notebook shows what a cell returns; open, it would show it twice
    return drawn


def _draw_price(axis: Any, result: ReplayResult) -> None:
    symbols = list(result.prices.columns)
    several = len(symbols) > 1
    for number, symbol in enumerate(symbols):
        known = result.prices[symbol].dropna()
        scale = 1 / float(known.iloc[0]) if several else 1.0
        line = thin(known * scale)
        axis.plot(line.index, line, color=_SERIES[number % len(_SERIES)], linewidth=1.0, label=symbol)
        fills = result.fills[result.fills["symbol"] == symbol]
        area = min(40.0, max(12.0, 8_000 / max(len(fills), 1)))
        for side, marker, colour in (("buy", "^", _BUY), ("sell", "v", _SELL)):
            done = fills[fills["side"].astype(str) == side]
            axis.scatter(
                done.index,
                done["price"] * scale,
                marker=marker,
                s=area,
                color=colour,
                alpha=0.85 if len(fills) <= 400 else 0.5,
                linewidths=0,
                zorder=3,
                label=None if several else side,
            )
    axis.set_ylabel("price, first = 1" if several else "price")
    if several or len(result.fills):
        axis.legend(loc="best", frameon=False, fontsize=8, ncols=3)


def _title(result: ReplayResult) -> str:
    stats = result.stats
    return (
        f"{result.name} on {', '.join(result.prices.columns)}   return {100 * stats['total_return']:+.2f} %   "
        f"Sharpe {stats['sharpe']:.2f}   max drawdown {100 * stats['max_drawdown']:.2f} %   {stats['trades']} fills"
    )


def interactive(result: ReplayResult, *, width: int = 900) -> Any:
    """The same three pictures with hvplot, to zoom and hover.

    Returns
    -------
    holoviews.Layout
    """
    _needed("hvplot.pandas")
    hvplot: Any = _needed("hvplot")
    holoviews: Any = _needed("holoviews")
    first = result.prices.columns[0]
    price = holoviews.Overlay(
        [
            hvplot.hvPlot(thin(result.prices[symbol].dropna()).rename(symbol).to_frame())(
                y=symbol, kind="line", label=symbol, width=width, height=280, ylabel="price", xlabel=""
            )
            for symbol in result.prices.columns
        ]
    )
    fills = result.fills.reset_index()
    for side, marker, colour in (("buy", "triangle", _BUY), ("sell", "inverted_triangle", _SELL)):
        done = fills[fills["side"].astype(str) == side]
        if len(done):
            price *= hvplot.hvPlot(done)(
                x="timestamp", y="price", kind="scatter", marker=marker, color=colour, label=side, size=40
            )
    equity = hvplot.hvPlot(thin(result.equity["equity"]).to_frame())(
        kind="line", y="equity", color=_EQUITY, width=width, height=200, xlabel=""
    )
    fallen = hvplot.hvPlot((-100 * thin(result.equity["drawdown"])).to_frame())(
        kind="area", y="drawdown", color=_LOSS, alpha=0.4, width=width, height=140, ylabel="drawdown %", xlabel=""
    )
    return (price.opts(title=f"{result.name} on {first}") + equity + fallen).cols(1)


def sparkline(values: pd.Series, *, width: int = 420, height: int = 56) -> str:
    """A small line as SVG text, for HTML tables."""
    line = thin(values.astype("float64"), 200).to_numpy()
    if len(line) < 2:
        return ""
    low, high = float(line.min()), float(line.max())
    scale = (height - 6) / (high - low) if high > low else 0.0
    step = width / (len(line) - 1)
    points = " ".join(
        f"{step * number:.1f},{height - 3 - (value - low) * scale:.1f}" for number, value in enumerate(line)
    )
    label = html.escape(f"{values.name}: {line[0]:,.2f} to {line[-1]:,.2f}")
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="{label}" style="display:block">'
        f'<polyline points="{points}" fill="none" stroke="{_EQUITY}" stroke-width="1.5"/></svg>'
    )


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise DataError(f"plots need {name}; install the extra: pip install 'autotrader-lab[lab]'") from error
