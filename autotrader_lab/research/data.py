"""Market data made ready for replay: checked once, whole, before anything runs, then plain columns of numbers.

A replay is only as honest as its data, so what cannot be traded on (unsorted, duplicate, NaN, naive-time or impossible
rows) is refused here with one error that names the column, the row and the way out. What passes is a
:class:`MarketData`: sorted numpy columns that replay turns into plain floats, a block at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from autotrader_lab.model.errors import DataError
from autotrader_lab.model.market import Bar, MarketEvent, Quote, Trade
from autotrader_lab.research import columns as col

__all__ = ["DEFAULT_SYMBOL", "DataSource", "Kind", "MarketData", "interval_ns", "load"]

Kind = Literal["bars", "quotes", "trades"]
DataSource = pd.DataFrame | str | Path | Mapping[str, pd.DataFrame]
DEFAULT_SYMBOL = "ASSET"
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_BLOCK = 65_536
_TOLERANCE = 1e-9  # adjusted prices are products: a close may pass the high by rounding alone


@dataclass(frozen=True, slots=True)
class MarketData:
    """Checked market data in the order it became known.

    Attributes
    ----------
    kind : str
        ``bars``, ``quotes`` or ``trades``.
    symbols : tuple of str
    timestamps_ns : array of int64
        When each row became known, nanoseconds since the epoch, never falling.
    symbol_rows : array of int64
        Position in `symbols` of each row.
    values : dict of str to array of float64
        ``open, high, low, close, volume`` or ``bid, ask, bid_size, ask_size`` or ``price, size``.
    aggressors : list of str
        Trades only: ``buy``, ``sell`` or empty, per row.
    """

    kind: Kind
    symbols: tuple[str, ...]
    timestamps_ns: IntArray
    symbol_rows: IntArray
    values: dict[str, FloatArray]
    aggressors: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.timestamps_ns)

    @property
    def index(self) -> pd.DatetimeIndex:
        """The times as pandas has them, UTC."""
        return pd.DatetimeIndex(self.timestamps_ns, tz="UTC", name="time")

    def marks(self) -> FloatArray:
        """What one unit is worth at each row, quote currency: close, mid or trade price."""
        if self.kind == "bars":
            return self.values["close"]
        if self.kind == "quotes":
            return (self.values["bid"] + self.values["ask"]) / 2
        return self.values["price"]

    def prices(self) -> pd.DataFrame:
        """Marks as a frame: one column a symbol, NaN where the row is of another symbol."""
        marks = self.marks()
        return pd.DataFrame(
            {
                symbol: np.where(self.symbol_rows == number, marks, np.nan) if len(self.symbols) > 1 else marks
                for number, symbol in enumerate(self.symbols)
            },
            index=self.index,
        )

    def events(self) -> Iterator[MarketEvent]:
        """Every row as an event, in order; a block of rows at a time, so that memory stays flat."""
        for start in range(0, len(self), _BLOCK):
            yield from self.block(start, start + _BLOCK)

    def block(self, start: int, stop: int) -> Iterator[MarketEvent]:
        """The rows from `start` to before `stop` as events."""
        rows = slice(start, stop)
        times = self.timestamps_ns[rows].tolist()
        names = self._names(rows)
        columns = [column[rows].tolist() for column in self.values.values()]
        if self.kind == "bars":
            return map(Bar, names, times, *columns)
        if self.kind == "quotes":
            return map(Quote, names, times, *columns)
        return map(Trade, names, times, *columns, self.aggressors[rows])

    def _names(self, rows: slice) -> list[str]:
        if len(self.symbols) == 1:
            return [self.symbols[0]] * len(self.timestamps_ns[rows])
        return [self.symbols[number] for number in self.symbol_rows[rows].tolist()]


def load(
    data: DataSource | MarketData,
    *,
    symbol: str | Sequence[str] | None = None,
    timezone: str | None = None,
    bar_interval: str | timedelta | None = None,
) -> MarketData:
    """Check market data and make it ready for replay.

    Parameters
    ----------
    data : DataFrame, path of a .parquet or .csv file, mapping of symbol to DataFrame, or MarketData
        Bars (open, high, low, close, optionally volume), quotes (bid, ask, optionally bid_size and ask_size) or trades
        (price, size; optionally side or buyer_maker). Column names in any capitalisation. Time is the index or a
        column timestamp, time, date or datetime. Several symbols come in long format with a symbol column.
    symbol : str or list of str, optional
        What the data is of; with a symbol column, the ones to take. Without either it is called ``ASSET``.
    timezone : str, optional
        Declares the zone of times that carry none, e.g. ``"UTC"``; times that carry one keep it.
    bar_interval : str or timedelta, optional
        Declares that bars are stamped with the time they *open*: a bar is known only this much later. Without it the
        stamp is taken as the time the bar is over. Quotes and trades are left as they are.

    Returns
    -------
    MarketData

    Raises
    ------
    DataError
        Naming the column, the row and the way out.
    """
    if isinstance(data, MarketData):
        return data
    if isinstance(data, Mapping):
        return _merge(data, timezone, bar_interval)
    frame = col.frame_of(data)
    found = col.find(frame)
    frame, names = _symbols(frame, found, symbol)
    symbols = tuple(dict.fromkeys(names)) if isinstance(names, list) else (names,)
    rows = _rows(names, symbols, len(frame))
    times = col.times(frame, found, timezone)
    values = {name: col.numbers(frame, label, name, times) for name, label in found.values.items()}
    where = _Rows(times, rows, symbols)
    where.refuse_unsorted(found.kind)
    values = _CHECKS[found.kind](values, where)
    if bar_interval is not None and found.kind == "bars":
        times = times + interval_ns(bar_interval)
    aggressors = col.aggressors(frame, found) if found.kind == "trades" else []
    if len(symbols) > 1:
        order = np.argsort(times, kind="stable")
        times, rows = times[order], rows[order]
        values = {name: column[order] for name, column in values.items()}
        aggressors = [aggressors[row] for row in order] if aggressors else []
    return MarketData(found.kind, symbols, times, rows, values, aggressors)


def _merge(
    frames: Mapping[str, pd.DataFrame], timezone: str | None, bar_interval: str | timedelta | None
) -> MarketData:
    """Several frames, one a symbol, as one stream."""
    if not frames:
        raise DataError("data is an empty mapping; give {symbol: DataFrame}")
    parts = [load(frame, symbol=name, timezone=timezone, bar_interval=bar_interval) for name, frame in frames.items()]
    kinds = {part.kind for part in parts}
    if len(kinds) > 1:
        told = ", ".join(f"{part.symbols[0]}: {part.kind}" for part in parts)
        raise DataError(f"data mixes kinds ({told}); give bars, quotes or trades for all symbols")
    symbols = tuple(name for part in parts for name in part.symbols)
    times = np.concatenate([part.timestamps_ns for part in parts])
    order = np.argsort(times, kind="stable")
    numbers = np.concatenate([np.full(len(part), number, dtype=np.int64) for number, part in enumerate(parts)])
    values = {name: np.concatenate([part.values[name] for part in parts])[order] for name in parts[0].values}
    told_sides = [side for part in parts for side in part.aggressors]
    aggressors = [told_sides[row] for row in order] if told_sides else []
    return MarketData(parts[0].kind, symbols, times[order], numbers[order], values, aggressors)


def _symbols(
    frame: pd.DataFrame, found: col.Found, symbol: str | Sequence[str] | None
) -> tuple[pd.DataFrame, str | list[str]]:
    """The rows asked for, and the symbol of each (one name when all are of one)."""
    wanted = [symbol] if isinstance(symbol, str) else list(symbol or ())
    if found.symbol is None:
        if len(wanted) > 1:
            raise DataError(
                f"{len(wanted)} symbols were asked for ({', '.join(wanted)}) but the data has no symbol column; "
                "add one, or give {symbol: DataFrame}"
            )
        return frame, wanted[0] if wanted else str(frame.attrs.get("symbol") or DEFAULT_SYMBOL)
    named = frame[found.symbol]
    if named.isna().any():
        row = int(np.flatnonzero(named.isna())[0])
        raise DataError(
            f"column {found.symbol!r}, row {row} is empty; name its symbol or drop it: df.drop(df.index[{row}])"
        )
    named = named.astype(str)
    if wanted:
        present = set(named)
        for name in wanted:
            if name not in present:
                raise DataError(f"column {found.symbol!r} has no {name!r}{col.nearest(name, present)}")
        keep = named.isin(wanted)
        frame, named = frame[keep], named[keep]
    names = named.tolist()
    return frame, names[0] if len(set(names)) == 1 else names


def _rows(names: str | list[str], symbols: tuple[str, ...], count: int) -> IntArray:
    if isinstance(names, str):
        return np.zeros(count, dtype=np.int64)
    numbers = {name: number for number, name in enumerate(symbols)}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def interval_ns(bar_interval: str | timedelta) -> int:
    """The length of a bar in nanoseconds.

    Raises
    ------
    DataError
        If it is no positive time span.
    """
    try:
        interval = pd.Timedelta(bar_interval)
    except ValueError as error:
        raise DataError(f"bar_interval {bar_interval!r} is no time span; write e.g. '1min' or '1D'") from error
    if not interval > pd.Timedelta(0):
        raise DataError(f"bar_interval {bar_interval!r} must be a positive time span, e.g. '1min'")
    return int(interval.as_unit("ns").value)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where a finding is, for the message."""

    times: IntArray
    numbers: IntArray
    symbols: tuple[str, ...]

    def refuse(self, bad: npt.NDArray[np.bool_], what: str, way_out: str, **told: FloatArray) -> None:
        """Raise for the first bad row, if there is one."""
        found = np.flatnonzero(bad)
        if len(found):
            row = int(found[0])
            figures = ", ".join(f"{name} {float(column[row])!r}" for name, column in told.items())
            more = f"; {len(found)} such rows" if len(found) > 1 else ""
            raise DataError(f"{self.name(row)}: {what} in row {row} ({self.moment(row)}): {figures}{more}. {way_out}")

    def name(self, row: int) -> str:
        return self.symbols[int(self.numbers[row])]

    def moment(self, row: int) -> str:
        return col.moment(self.times[row])

    def refuse_unsorted(self, kind: Kind) -> None:
        """Time must not fall within a symbol; bars must not share one."""
        for number, symbol in enumerate(self.symbols):
            positions = np.flatnonzero(self.numbers == number)
            steps = np.diff(self.times[positions])
            back = np.flatnonzero(steps < 0)
            if len(back):
                before, row = (int(position) for position in positions[back[0] : back[0] + 2])
                raise DataError(
                    f"{symbol}: time is not sorted: row {row} ({self.moment(row)}) comes after row {before} "
                    f"({self.moment(before)}); sort it: df.sort_index(), or df.sort_values of the time column"
                )
            same = np.flatnonzero(steps == 0)
            if len(same) and kind == "bars":
                before, row = (int(position) for position in positions[same[0] : same[0] + 2])
                raise DataError(
                    f"{symbol}: duplicate time {self.moment(row)} in rows {before} and {row} ({len(same)} in all); "
                    "keep one of each: df[~df.index.duplicated()], or df.drop_duplicates of the time column; several "
                    "symbols need a symbol column"
                )

    def refuse_not_positive(self, values: dict[str, FloatArray], *names: str) -> None:
        for name in names:
            way_out = f"Drop or repair it: df = df[df[{name!r}] > 0]"
            self.refuse(values[name] <= 0, f"column {name!r} is not positive", way_out, **{name: values[name]})

    def refuse_negative(self, values: dict[str, FloatArray], *names: str) -> None:
        for name in names:
            way_out = f"Repair it: df[{name!r}] = df[{name!r}].clip(lower=0)"
            self.refuse(values[name] < 0, f"column {name!r} is negative", way_out, **{name: values[name]})


def _check_bars(values: dict[str, FloatArray], where: _Rows) -> dict[str, FloatArray]:
    where.refuse_not_positive(values, "open", "high", "low", "close")
    values.setdefault("volume", np.zeros(len(where.times)))
    where.refuse_negative(values, "volume")
    first, high, low, last = values["open"], values["high"], values["low"], values["close"]
    repair = "Repair the source, or drop such rows: df = df[df['high'] >= df['low']]"
    where.refuse(high < low, "high is below low", repair, high=high, low=low)
    slack = _TOLERANCE * last
    for name, price in (("open", first), ("close", last)):
        outside = (price > high + slack) | (price < low - slack)
        repair = "Repair the source, or drop such rows"
        where.refuse(outside, f"{name} lies outside low to high", repair, **{name: price, "low": low, "high": high})
    return {
        "open": first,
        "high": np.maximum(high, np.maximum(first, last)),
        "low": np.minimum(low, np.minimum(first, last)),
        "close": last,
        "volume": values["volume"],
    }


def _check_quotes(values: dict[str, FloatArray], where: _Rows) -> dict[str, FloatArray]:
    where.refuse_not_positive(values, "bid", "ask")
    for name in ("bid_size", "ask_size"):
        values.setdefault(name, np.zeros(len(where.times)))
    where.refuse_negative(values, "bid_size", "ask_size")
    crossed = np.flatnonzero(values["bid"] > values["ask"])
    if len(crossed):
        row = int(crossed[0])
        warnings.warn(
            f"{where.name(row)}: {len(crossed)} of {len(where.times)} quotes are crossed (bid above ask), first in row "
            f"{row} ({where.moment(row)}); they are kept as recorded",
            stacklevel=4,
        )
    return {name: values[name] for name in ("bid", "ask", "bid_size", "ask_size")}


def _check_trades(values: dict[str, FloatArray], where: _Rows) -> dict[str, FloatArray]:
    where.refuse_not_positive(values, "price")
    where.refuse_negative(values, "size")
    return {name: values[name] for name in ("price", "size")}


_CHECKS: dict[Kind, Callable[[dict[str, FloatArray], _Rows], dict[str, FloatArray]]] = {
    "bars": _check_bars,
    "quotes": _check_quotes,
    "trades": _check_trades,
}
