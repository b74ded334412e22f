"""Tables as an outside market: trades, quotes or bars from parquet and CSV files.

Such a table says less than a recording of the venue's streams, so a made-up ladder stands around what it says.
Trades are played exactly. Quotes are shown exactly at the best level; since they hold no trades, one step's quantity
trades whenever the quote moves, so that the last price and the stop orders follow. A bar is walked from open to
close over its low and high, the nearer one first, and its volume traded on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from autotrader_lab.sandbox.market import Depth, Print, Script, Step
from autotrader_lab.sandbox.orders import Instrument, Side
from autotrader_lab.sandbox.recordings import PAUSE_BEFORE_REPEAT_NS, RawRecording, is_raw_recording
from autotrader_lab.sandbox.synthetic import Ladder
from autotrader_lab.sandbox.units import ONE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FrameScript", "open_market"]

MINUTE_NS = 60_000_000_000
MOVES_PER_BAR = 60
TIME_COLUMNS = ("timestamp", "ts", "ts_utc", "datetime", "date", "time")
KINDS = {
    "trades": ("price", "quantity"),
    "quotes": ("bid", "ask"),
    "bars": ("open", "high", "low", "close"),
}

Rows = Iterator[tuple[int, Step]]


def open_market(paths: Sequence[Path], instruments: Sequence[Instrument], seed: int) -> Script:
    """The market that files describe.

    A recording of Binance's streams names its instrument; a table is played as the first of `instruments`.

    Raises
    ------
    ValueError
        If a file is missing, of an unknown kind, or not usable.
    """
    for path in paths:
        if not path.is_file():
            raise ValueError(f"market file {path} does not exist")
    if all(is_raw_recording(path) for path in paths):
        recording = RawRecording(paths)
        symbols = [instrument.symbol for instrument in instruments]
        if recording.symbol not in symbols:
            raise ValueError(f"the recording is of {recording.symbol}, which is not among {', '.join(symbols)}")
        return recording
    if len(paths) > 1:
        raise ValueError("only recordings of Binance's streams can follow each other; give one table")
    return FrameScript(_read(paths[0]), instruments[0], seed, name=paths[0].name)


class FrameScript:
    """A table as a market for one instrument.

    Parameters
    ----------
    frame : pandas.DataFrame
        A time column and the columns of trades, quotes or bars.
    instrument : Instrument
        What it is played as; prices and sizes are put on its grid.
    seed : int
        For the made-up ladder.
    name : str, default "frame"
        For error messages.

    Raises
    ------
    ValueError
        If columns are missing, values are missing or not positive, or the time does not run forwards.
    """

    def __init__(self, frame: pd.DataFrame, instrument: Instrument, seed: int, name: str = "frame") -> None:
        self.symbol = instrument.symbol
        self._instrument = instrument
        self._seed = seed
        columns = {str(column).lower(): column for column in frame.columns}
        found = [kind for kind, wanted in KINDS.items() if set(wanted) <= set(columns)]
        if not found:
            wanted = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in KINDS.items())
            raise ValueError(f"{name} has columns {list(columns)}; a market needs one of {wanted}")
        self._kind = found[0]
        self._times = _times(frame, columns, name)
        self._columns = {lower: frame[column] for lower, column in columns.items()}
        for column in KINDS[self._kind]:
            if not (self._columns[column] > 0).all():
                raise ValueError(f"{name}: column {column!r} has missing or non-positive values")

    def steps(self) -> Rows:
        """The table's steps, repeated for ever."""
        play: Callable[[Ladder, Random], Rows] = {
            "trades": self._trades,
            "quotes": self._quotes,
            "bars": self._bars,
        }[self._kind]
        offset_ns = 0
        while True:
            source = Random(f"{self._seed}/{self.symbol}")
            ladder = Ladder(self._instrument, source)
            last_ns = offset_ns
            first = True
            for at_ns, step in play(ladder, source):
                last_ns = offset_ns + at_ns
                if first:
                    yield last_ns, ladder.picture()
                    first = False
                yield last_ns, step
            offset_ns = last_ns + PAUSE_BEFORE_REPEAT_NS

    def _prices(self, column: str) -> list[int]:
        tick = self._instrument.tick
        return [max(tick, round(float(value) * ONE / tick) * tick) for value in self._columns[column]]

    def _sizes(self, column: str) -> list[int]:
        step = self._instrument.step
        return [max(step, round(float(value) * ONE / step) * step) for value in self._columns[column]]

    def _trades(self, ladder: Ladder, source: Random) -> Rows:
        tick = self._instrument.tick
        takers = self._takers()
        for at_ns, price, size, taker in zip(
            self._times, self._prices("price"), self._sizes("quantity"), takers, strict=True
        ):
            gap = tick * source.randint(1, 50)
            bid, ask = (price - gap, price) if taker is Side.BUY else (price, price + gap)
            yield at_ns, ladder.stand(max(tick, bid), ask)
            yield at_ns, Print(taker, price, size)

    def _takers(self) -> list[Side]:
        if "buyer_maker" in self._columns:
            is_maker = self._columns["buyer_maker"].astype(str).str.lower() == "true"
            return [Side.SELL if maker else Side.BUY for maker in is_maker]
        prices = self._prices("price")
        before = [prices[0], *prices[:-1]]
        return [Side.BUY if now >= then else Side.SELL for now, then in zip(prices, before, strict=True)]

    def _quotes(self, ladder: Ladder, source: Random) -> Rows:
        bids, asks = self._prices("bid"), self._prices("ask")
        sized = {"bid_size", "ask_size"} <= set(self._columns)
        bid_sizes = self._sizes("bid_size") if sized else [ladder.size() for _ in bids]
        ask_sizes = self._sizes("ask_size") if sized else [ladder.size() for _ in asks]
        before = bids[0]
        for at_ns, bid, ask, bid_size, ask_size in zip(self._times, bids, asks, bid_sizes, ask_sizes, strict=True):
            ask = max(ask, bid + self._instrument.tick)
            yield at_ns, ladder.stand(bid, ask)
            yield at_ns, Depth(((bid, bid_size),), ((ask, ask_size),))
            if bid != before:
                taker = Side.BUY if bid > before else Side.SELL
                yield at_ns, Print(taker, ask if taker is Side.BUY else bid, self._instrument.step)
            before = bid

    def _bars(self, ladder: Ladder, source: Random) -> Rows:
        columns = [self._prices(name) for name in KINDS["bars"]]
        lengths = [second - first for first, second in zip(self._times, self._times[1:], strict=False)]
        bar_ns = max(1, min(lengths, default=MINUTE_NS))
        for at_ns, open_, high, low, close in zip(self._times, *columns, strict=True):
            corners = [open_, high, low, close] if high - open_ < open_ - low else [open_, low, high, close]
            for move in range(MOVES_PER_BAR):
                leg, part = divmod(move * 3, MOVES_PER_BAR)
                reach = corners[leg + 1] - corners[leg]
                price = corners[leg] + reach * (part + 3) // MOVES_PER_BAR
                taker = Side.BUY if reach > 0 or (reach == 0 and source.random() < 0.5) else Side.SELL
                when_ns = at_ns + bar_ns * move // MOVES_PER_BAR
                for print_ in ladder.sweep(taker, price, 0.5):
                    yield when_ns, print_
                yield when_ns, ladder.follow(float(price))
                traded = ladder.trade(taker, ladder.size(0.15))
                if traded is not None:
                    yield when_ns, traded


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    name = path.name.removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            return pd.read_parquet(path)
        if name.endswith(".csv"):
            return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"market file {path} cannot be read: {error}") from error
    raise ValueError(f"market file {path}: give a Binance stream recording (.gz), a .parquet or a .csv file")


def _times(frame: pd.DataFrame, columns: dict[str, str], name: str) -> list[int]:
    import pandas as pd

    found = [column for column in TIME_COLUMNS if column in columns]
    if not found:
        raise ValueError(f"{name} has no time column; name it one of {', '.join(TIME_COLUMNS)}")
    stamps = pd.to_datetime(frame[columns[found[0]]], utc=True, errors="coerce")
    if stamps.isna().any():
        raise ValueError(f"{name}: column {found[0]!r} has values that are no time")
    if len(stamps) == 0:
        raise ValueError(f"{name} is empty")
    if not stamps.is_monotonic_increasing:
        raise ValueError(f"{name}: column {found[0]!r} does not run forwards; sort it")
    start = stamps.iloc[0]
    return [round(value) for value in (stamps - start).dt.total_seconds().mul(1e9)]
