"""Recorded market data as market events, read as a stream: a file of any length takes the memory of a few rows.

Two kinds of file: the raw messages of Binance's combined stream as a recorder wrote them (``<receive time in ns>
<JSON>`` a line, gzip), and parquet tables of trades or quotes. Raw messages keep the recorder's time, because not all
of them carry one of the venue's and the two clocks differ: so events come in the order in which they were received.
"""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from autotrader_lab.execution.market_data.depth import BookBuilder
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.market import MarketEvent, Quote, Trade

__all__ = ["BookBuilder", "binance_raw", "parquet_quotes", "parquet_trades"]

KINDS = ("book", "quotes", "trades")
_TIME_COLUMNS = ("timestamp", "ts_utc", "time", "ts", "datetime")


class _Payload(msgspec.Struct):
    """Whatever a combined-stream message or a REST snapshot carries; the stream's name says which fields count."""

    first_id: int = msgspec.field(name="U", default=0)
    update_id: int = msgspec.field(name="u", default=0)
    price: str = msgspec.field(name="p", default="")
    quantity: str = msgspec.field(name="q", default="")
    trade_id: int = msgspec.field(name="t", default=0)
    buyer_is_maker: bool = msgspec.field(name="m", default=False)
    b: str | list[tuple[str, str]] = ""
    bid_size: str = msgspec.field(name="B", default="")
    a: str | list[tuple[str, str]] = ""
    ask_size: str = msgspec.field(name="A", default="")


class _Line(msgspec.Struct):
    stream: str = ""
    data: _Payload = msgspec.field(default_factory=_Payload)
    last_update_id: int = msgspec.field(name="lastUpdateId", default=0)
    bids: list[tuple[str, str]] = msgspec.field(default_factory=list)
    asks: list[tuple[str, str]] = msgspec.field(default_factory=list)


_decode = msgspec.json.Decoder(_Line).decode


def binance_raw(
    *paths: str | Path,
    symbol: str = "BTC/USDT",
    kinds: Collection[str] = KINDS,
    levels: int | None = 20,
    builder: BookBuilder | None = None,
) -> Iterator[MarketEvent]:
    """Read recordings of Binance's combined stream for one symbol; several files are read as one.

    Parameters
    ----------
    *paths : path
        Gzipped files, in order of time.
    symbol : str
        Universal symbol the events carry.
    kinds : collection of str
        Of book, quotes, trades.
    levels : int or None
        Levels a side of each Book event; None is all of them.
    builder : BookBuilder, optional
        Where the full book is built, for who wants to look at it.

    Yields
    ------
    Book, Quote or Trade
        `timestamp_ns` is when the recorder received it. Books begin with the snapshot.

    Raises
    ------
    DataError
        If a kind is unknown, a line cannot be understood, or depth updates are missing; file and line are named.
    """
    unknown = set(kinds) - set(KINDS)
    if unknown or not paths:
        raise DataError(
            f"give at least one file, and kinds of {', '.join(KINDS)}" + f" (not {unknown})" * bool(unknown)
        )
    return _binance_lines(paths, frozenset(kinds), levels, builder or BookBuilder(symbol))


def _binance_lines(
    paths: tuple[str | Path, ...], kinds: frozenset[str], levels: int | None, builder: BookBuilder
) -> Iterator[MarketEvent]:
    for path in paths:
        with gzip.open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    event = _event(line, kinds, levels, builder)
                except (ValueError, msgspec.DecodeError) as error:
                    raise DataError(f"{Path(path).name}, line {number}: {error}") from error
                if event is not None:
                    yield event


def _event(line: bytes, kinds: frozenset[str], levels: int | None, builder: BookBuilder) -> MarketEvent | None:
    received, _, body = line.partition(b" ")
    timestamp_ns = int(received)
    message = _decode(body)
    data, symbol = message.data, builder.symbol
    if "@trade" in message.stream:
        if "trades" not in kinds:
            return None
        price, size = float(data.price), float(data.quantity)
        return Trade(symbol, timestamp_ns, price, size, "sell" if data.buyer_is_maker else "buy", str(data.trade_id))
    if "@bookTicker" in message.stream:
        if "quotes" not in kinds or isinstance(data.b, list) or isinstance(data.a, list):
            return None
        return Quote(symbol, timestamp_ns, float(data.b), float(data.a), float(data.bid_size), float(data.ask_size))
    if "book" not in kinds:
        return None
    if "@depth" in message.stream:
        changed = builder.update(data.first_id, data.update_id, data.b, data.a)
        return builder.book(timestamp_ns, levels) if changed else None
    if message.last_update_id:
        builder.snapshot(message.last_update_id, message.bids, message.asks)
        return builder.book(timestamp_ns, levels)
    raise DataError(f"neither a trade, a quote, a depth update nor a snapshot: {body[:60]!r}")


def parquet_trades(path: str | Path, symbol: str) -> Iterator[Trade]:
    """Read a parquet table of trades, row by row.

    Columns: a time (timestamp, ts_utc, …), ``price``, ``quantity`` or ``size``; optionally ``trade_id`` and
    ``buyer_maker``.

    Raises
    ------
    DataError
        If a column is missing or a time is naive (a column named ``ts_utc`` says that it is UTC).
    """
    for row, timestamp_ns in _rows(path, ("price",), ("quantity", "size")):
        maker = str(row.get("buyer_maker", "")).lower()
        yield Trade(
            symbol,
            timestamp_ns,
            row["price"],
            row["quantity"] if "quantity" in row else row["size"],
            "sell" if maker == "true" else "buy" if maker == "false" else "",
            str(row.get("trade_id", "")),
        )


def parquet_quotes(path: str | Path, symbol: str) -> Iterator[Quote]:
    """Read a parquet table of best bids and asks, row by row.

    Columns: a time, ``bid``, ``ask``; optionally ``bid_size`` and ``ask_size``.

    Raises
    ------
    DataError
        As :func:`parquet_trades`.
    """
    for row, timestamp_ns in _rows(path, ("bid",), ("ask",)):
        yield Quote(symbol, timestamp_ns, row["bid"], row["ask"], row.get("bid_size", 0.0), row.get("ask_size", 0.0))


def _rows(path: str | Path, *needed: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], int]]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path)
    names = table.schema_arrow.names
    missing = ["/".join(options) for options in (*needed, _TIME_COLUMNS) if not set(options) & set(names)]
    if missing:
        raise DataError(f"{Path(path).name} has no column {', '.join(missing)}; it has {', '.join(names)}")
    time_column = next(name for name in _TIME_COLUMNS if name in names)
    for batch in table.iter_batches(batch_size=4096):
        for row in batch.to_pylist():
            moment: datetime = row[time_column]
            if moment.tzinfo is None and time_column == "ts_utc":
                moment = moment.replace(tzinfo=UTC)
            try:
                yield row, to_ns(moment)
            except ValueError as error:
                raise DataError(f"{Path(path).name}, column {time_column}: {error}") from error
