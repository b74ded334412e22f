"""Which column of a stranger's frame is what, and its values as plain numbers.

Apart from :mod:`.data`, which knows what makes market data tradable, this knows only frames: names in any
capitalisation, times as an index or a column, numbers that arrive as text.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from autotrader_lab.model.errors import DataError

__all__ = ["Found", "aggressors", "find", "frame_of", "moment", "nearest", "numbers", "times"]

_TIME_NAMES = ("timestamp", "time", "datetime", "date", "ts", "ts_utc")
_SYMBOL_NAMES = ("symbol", "ticker")
_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "bars": {
        "open": ("open",),
        "high": ("high",),
        "low": ("low",),
        "close": ("close",),
        "volume": ("volume",),
    },
    "quotes": {
        "bid": ("bid", "bid_price"),
        "ask": ("ask", "ask_price"),
        "bid_size": ("bid_size", "bid_quantity", "bid_qty"),
        "ask_size": ("ask_size", "ask_quantity", "ask_qty"),
    },
    "trades": {
        "price": ("price",),
        "size": ("size", "quantity", "amount", "qty"),
    },
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close"),
    "quotes": ("bid", "ask"),
    "trades": ("price", "size"),
}
_SIDE_NAMES = ("side", "aggressor")
_MAKER_NAMES = ("buyer_maker", "is_buyer_maker")


@dataclass(frozen=True, slots=True)
class Found:
    """Which label of the frame is what. `time` is None when the index is the time."""

    kind: Literal["bars", "quotes", "trades"]
    values: dict[str, Hashable]
    time: Hashable | None
    symbol: Hashable | None
    side: Hashable | None = None
    buyer_maker: Hashable | None = None


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` or what there is."""
    listed = [str(one) for one in known]
    near = difflib.get_close_matches(name, listed, 3, 0.5)
    if near:
        return f"; did you mean {', '.join(repr(one) for one in near)}?"
    return f"; there is {', '.join(repr(one) for one in sorted(listed)[:8])}"


def moment(timestamp_ns: Any) -> str:
    """A time for a message."""
    return str(pd.Timestamp(int(timestamp_ns), tz="UTC"))


def frame_of(data: object) -> pd.DataFrame:
    """The frame itself, or the one in a file.

    Raises
    ------
    DataError
        If it is neither, cannot be read, or is empty.
    """
    if isinstance(data, (str, Path)):
        frame = _read(Path(data).expanduser())
    elif isinstance(data, pd.DataFrame):
        frame = data
    elif hasattr(data, "to_pandas"):
        frame = data.to_pandas()
    else:
        raise DataError(
            f"data is a {type(data).__name__}; give a pandas DataFrame, {{symbol: DataFrame}}, "
            "or the path of a .parquet or .csv file"
        )
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            f"columns have {frame.columns.nlevels} levels ({frame.columns[0]!r}, …); take one symbol with "
            "df.xs(symbol, axis=1, level=…), or make it long with df.stack(level=…)"
        )
    if isinstance(frame.index, pd.MultiIndex):
        frame = frame.reset_index()
    if frame.empty:
        raise DataError("data is empty: it has no rows (or no columns); was a filter or a date range too narrow?")
    return frame


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        near = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"no file {str(path)!r}{nearest(path.name, near) if near else '; its folder is missing too'}")
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            return pd.read_parquet(path)
        if name.endswith((".csv", ".csv.gz", ".csv.zst", ".csv.xz", ".csv.bz2")):
            return pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error
    raise DataError(f"{str(path)!r} is neither .parquet nor .csv; read it yourself and give the DataFrame")


def find(frame: pd.DataFrame) -> Found:
    """Which column is what.

    Raises
    ------
    DataError
        If the frame is neither bars, quotes nor trades; the message names the missing columns and the nearest names.
    """
    labels: dict[str, Hashable] = {}
    for label in frame.columns:
        name = str(label).strip().lower().replace(" ", "_")
        if name in labels:
            raise DataError(
                f"columns {labels[name]!r} and {label!r} are the same name; keep one: df.drop(columns=[{label!r}])"
            )
        labels[name] = label
    kind = _kind(labels)
    values = {
        ours: labels[next(one for one in names if one in labels)]
        for ours, names in _NAMES[kind].items()
        if any(one in labels for one in names)
    }

    def one_of(names: tuple[str, ...]) -> Hashable | None:
        return next((labels[name] for name in names if name in labels), None)

    time = None if isinstance(frame.index, pd.DatetimeIndex) else one_of(_TIME_NAMES)
    if time is None and pd.api.types.is_numeric_dtype(frame.index.dtype):
        raise DataError(
            f"no time: the index is {type(frame.index).__name__} and no column is called "
            f"{', '.join(_TIME_NAMES[:4])}{nearest('timestamp', labels)}; "
            "rename it (df.rename(columns={…: 'timestamp'})) or set it as index (df.set_index(…))"
        )
    return Found(kind, values, time, one_of(_SYMBOL_NAMES), one_of(_SIDE_NAMES), one_of(_MAKER_NAMES))


def _kind(labels: dict[str, Hashable]) -> Literal["bars", "quotes", "trades"]:
    missing: dict[str, list[str]] = {
        kind: [ours for ours in needed if not any(name in labels for name in _NAMES[kind][ours])]
        for kind, needed in _NEEDED.items()
    }
    for kind in ("bars", "quotes", "trades"):
        if not missing[kind]:
            return kind

    # What it most probably was meant to be: most columns there, or nearly so by their names.
    def likeness(kind: str) -> float:
        there = len(_NEEDED[kind]) - len(missing[kind])
        near = sum(bool(difflib.get_close_matches(name, labels, 1, 0.6)) for name in missing[kind])
        return (there + 0.5 * near) / len(_NEEDED[kind])

    meant = max(("bars", "quotes", "trades"), key=likeness)
    if likeness(meant) == 0:
        raise DataError(
            f"columns {', '.join(repr(label) for label in labels.values())} are no market data; give bars (open, high, "
            "low, close), quotes (bid, ask) or trades (price, size)"
        )
    hints = []
    for name in missing[meant]:
        near = difflib.get_close_matches(name, labels, 1, 0.5)
        hints.append(f"{name!r}" + (f" (nearest is {labels[near[0]]!r})" if near else ""))
    needed, there = ", ".join(_NEEDED[meant]), ", ".join(repr(label) for label in labels.values())
    raise DataError(
        f"{meant} need the columns {needed}; missing: {', '.join(hints)}. There is {there}; "
        f"rename with df.rename(columns={{…: {missing[meant][0]!r}}})"
    )


def times(frame: pd.DataFrame, found: Found, timezone: str | None) -> npt.NDArray[np.int64]:
    """Times in nanoseconds since the epoch.

    Raises
    ------
    DataError
        If a time is missing, cannot be understood or has no time zone and none was declared.
    """
    raw = frame.index if found.time is None else frame[found.time]
    what = "the index" if found.time is None else f"column {found.time!r}"
    stamps = pd.Index(raw)
    if not isinstance(stamps, pd.DatetimeIndex):
        stamps = _parse(stamps, what, timezone)
    if stamps.hasnans:
        row = int(np.flatnonzero(stamps.isna())[0])
        raise DataError(f"{what}, row {row} has no time (NaT); drop it: df.drop(df.index[{row}])")
    if stamps.tz is None:
        stamps = _localize(stamps, what, found.time, timezone)
    nanoseconds: npt.NDArray[np.int64] = stamps.tz_convert("UTC").as_unit("ns").asi8
    return nanoseconds


def _parse(stamps: pd.Index[Any], what: str, timezone: str | None) -> pd.DatetimeIndex:
    if pd.api.types.is_numeric_dtype(stamps.dtype):
        raise DataError(
            f"{what} holds numbers ({stamps[0]!r}), and their unit is anybody's guess; convert it: "
            "pd.to_datetime(…, unit='ms', utc=True)"
        )
    try:
        return pd.DatetimeIndex(pd.to_datetime(stamps, format="ISO8601"))
    except ValueError as error:
        utc = pd.to_datetime(stamps, format="ISO8601", errors="coerce", utc=True)
        bad = np.flatnonzero(np.asarray(utc.isna()) & ~np.asarray(stamps.isna()))
        if len(bad):
            row = int(bad[0])
            raise DataError(
                f"{what}, row {row} is {stamps[row]!r}, no ISO time (2024-01-31 14:30:00+00:00); "
                "convert it: pd.to_datetime(…, format='%d/%m/%Y %H:%M', utc=True)"
            ) from error
        # Readable one by one but not together: offsets that change with summer time, or only some of them there.
        naive = [row for row, stamp in enumerate(stamps) if pd.Timestamp(stamp).tzinfo is None]
        if naive:
            raise DataError(
                f"{what} mixes times with and without a time zone; row {naive[0]} ({stamps[naive[0]]!r}) has none; "
                "convert it: pd.to_datetime(…, utc=True)"
            ) from error
        return pd.DatetimeIndex(utc)


def _localize(stamps: pd.DatetimeIndex, what: str, label: Hashable | None, timezone: str | None) -> pd.DatetimeIndex:
    if timezone is None:
        convert = 'df.tz_localize("UTC")' if label is None else f'df[{label!r}].dt.tz_localize("UTC")'
        raise DataError(
            f"{what} has no time zone (row 0 is {stamps[0]}), and a naive time has no place on the line; "
            f'declare it with timezone="UTC" here, or convert it: {convert}'
        )
    try:
        return stamps.tz_localize(timezone)
    except (KeyError, ValueError) as error:
        known = "is it an IANA name such as 'UTC' or 'America/New_York'?"
        raise DataError(f"timezone={timezone!r} does not fit {what}: {error}; {known}") from error


def numbers(frame: pd.DataFrame, label: Hashable, name: str, when: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A column as floats, every one finite.

    Raises
    ------
    DataError
        Naming column, row, time and value of the first that is not.
    """
    column = frame[label]
    values: npt.NDArray[np.float64] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = int(bad[0])
        raise DataError(
            f"column {label!r} ({name}), row {row} ({moment(when[row])}) is {column.iloc[row]!r}, not a finite "
            f"number; {len(bad)} of {len(values)} rows are so. Drop them "
            f"(df.dropna(subset=[{label!r}])) or fill them on purpose"
        )
    return np.ascontiguousarray(values)


def aggressors(frame: pd.DataFrame, found: Found) -> list[str]:
    """The taker's side of each trade, empty where the data does not tell.

    Raises
    ------
    DataError
        If a side is neither buy nor sell, or a buyer_maker neither true nor false.
    """
    label = found.side if found.side is not None else found.buyer_maker
    if label is None:
        return [""] * len(frame)
    if found.side is not None:
        known = {"buy": "buy", "b": "buy", "bid": "buy", "sell": "sell", "s": "sell", "ask": "sell", "": ""}
        way_out = "use 'buy' or 'sell' (the taker's side)"
    else:
        # The buyer made the price, so the seller took it.
        known = {"true": "sell", "1": "sell", "1.0": "sell", "false": "buy", "0": "buy", "0.0": "buy"}
        way_out = "use True or False"
    told = frame[label].astype(str).str.strip().str.lower()
    sides = told.map(known)
    if sides.isna().any():
        row = int(np.flatnonzero(sides.isna())[0])
        raise DataError(f"column {label!r}, row {row} is {frame[label].iloc[row]!r}; {way_out}")
    listed: list[str] = sides.tolist()
    return listed
