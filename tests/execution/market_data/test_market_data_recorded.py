"""Recorded data read as events, against the reference numbers computed apart from this code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from autotrader_lab.execution.market_data.depth import BookBuilder, units
from autotrader_lab.execution.market_data.recorded import binance_raw, parquet_quotes, parquet_trades
from autotrader_lab.model import Book, Quote, Trade, exact
from autotrader_lab.model.errors import DataError

FIRST = "market/binance_spot_btcusdt_20240808_raw.gz"
SECOND = "market/binance_spot_btcusdt_20240809_raw.gz"


def recorded_tops(*paths) -> Iterator[tuple[int, int, tuple[Decimal, ...]]]:
    """Receive time, update id and (bid, size, ask, size) of every bookTicker message, read apart from our reader."""
    for path in paths:
        with gzip.open(path) as lines:
            for line in lines:
                received, _, body = line.partition(b" ")
                if b"@bookTicker" in body:
                    data = json.loads(body)["data"]
                    yield int(received), data["u"], tuple(Decimal(data[name]) for name in "bBaA")


def test_the_recorded_book_is_rebuilt_exactly():
    paths = shared(FIRST), shared(SECOND)
    tops = list(recorded_tops(*paths))
    by_update = {update_id: top for _, update_id, top in tops}
    builder = BookBuilder("BTC/USDT")
    times: list[int] = []
    compared = newest_compared = 0
    upcoming = iter(tops)
    newest, coming = 0, next(upcoming)
    for event in binance_raw(*paths, kinds=("book",), levels=1, builder=builder):
        assert isinstance(event, Book)
        assert not builder.crossed
        times.append(event.timestamp_ns)
        while coming is not None and coming[0] <= event.timestamp_ns:
            newest, coming = coming[1], next(upcoming, None)
        if builder.last_update_id in by_update:
            assert (*builder.best_bid, *builder.best_ask) == by_update[builder.last_update_id]
            compared += 1
            newest_compared += newest == builder.last_update_id
    assert builder.applied == len(times) == 6493
    assert builder.last_update_id == 50093696318
    assert builder.best_bid == (Decimal("61602.01"), Decimal("1.67177"))
    assert builder.best_ask == (Decimal("61602.02"), Decimal("2.66795"))
    assert builder.depth == (1971, 2962)
    assert newest_compared == 1059  # what the reference compares: the newest bookTicker has the book's update id
    assert compared == 1072
    assert times == sorted(times)


def test_the_recorded_trades_sum_to_the_reference():
    trades = list(binance_raw(shared(FIRST), shared(SECOND), kinds=("trades",)))
    assert len(trades) == 19904
    assert all(isinstance(trade, Trade) for trade in trades)
    volume = sum(exact(trade.size) for trade in trades)
    notional = sum(exact(trade.size) * exact(trade.price) for trade in trades)
    assert volume == Decimal("437.91552")
    assert notional == Decimal("27006929.5910348")
    assert float(notional / volume) == pytest.approx(61671.5516066542, abs=1e-9)
    assert sum(exact(trade.size) for trade in trades if trade.aggressor == "buy") == Decimal("204.49112")
    assert (max(trade.price for trade in trades), min(trade.price for trade in trades)) == (61860.80, 61556.04)
    first = list(binance_raw(shared(FIRST), kinds=("trades",)))
    assert len(first) == 9757
    assert sum(exact(trade.size) for trade in first) == Decimal("212.03315")


def test_all_kinds_come_in_the_order_they_were_received():
    events = [event for event, _ in zip(binance_raw(shared(FIRST)), range(5000), strict=False)]
    assert {type(event) for event in events} == {Book, Quote, Trade}
    assert [event.timestamp_ns for event in events] == sorted(event.timestamp_ns for event in events)


def test_parquet_trades_and_quotes():
    trades = list(parquet_trades(shared("market/binance_btcusdt-trades.parquet"), "BTC/USDT"))
    assert len(trades) == 2001
    volume = sum(trade.size for trade in trades)
    assert volume == pytest.approx(87.071596, abs=1e-9)
    vwap = sum(trade.size * trade.price for trade in trades) / volume
    assert vwap == pytest.approx(39492.76626827, abs=1e-6)
    assert sum(trade.aggressor == "sell" for trade in trades) == 914
    quotes = list(parquet_quotes(shared("market/oanda_eurusd_ticks_20140502.parquet"), "EUR/USD"))
    assert len(quotes) == 49341
    assert quotes[0] == Quote("EUR/USD", 1398988800277000000, 1.38694, 1.38705)
    spread = sum(quote.ask - quote.bid for quote in quotes) / len(quotes)
    assert spread * 1e4 == pytest.approx(1.9508, abs=1e-4)


def test_differences_before_the_snapshot_are_fitted_to_it():
    builder = BookBuilder("X/Y")
    assert not builder.update(8, 10, [["1.0", "9"]], [])  # older than the snapshot
    assert not builder.update(11, 13, [["1.0", "0"], ["1.1", "2"]], [])  # holds the update after it
    builder.snapshot(11, [["1.0", "1"], ["0.9", "5"]], [["1.2", "4"]])
    assert builder.applied == 1
    assert builder.best_bid == (Decimal("1.1"), Decimal(2))
    assert builder.update(14, 14, [], [["1.2", "3"], ["1.3", "1"]])
    assert not builder.update(13, 14, [["5", "5"]], [])  # told again
    assert builder.book(7, 1) == Book("X/Y", 7, ((1.1, 2.0),), ((1.2, 3.0),))
    assert builder.book(7, None) == Book("X/Y", 7, ((1.1, 2.0), (0.9, 5.0)), ((1.2, 3.0), (1.3, 1.0)))
    assert builder.book(7, 0) == Book("X/Y", 7, (), ())


def test_a_gap_asks_for_a_new_snapshot_and_is_healed_by_one():
    builder = BookBuilder("X/Y")
    builder.snapshot(5, [["1", "1"]], [["2", "1"]])
    assert builder.update(6, 6, [], [])
    with pytest.raises(DataError, match="depth update 7 is missing"):
        builder.update(8, 9, [["1.5", "1"]], [])
    assert builder.last_update_id is None
    assert not builder.update(10, 10, [], [["1.9", "2"]])
    builder.snapshot(8, [["1.4", "1"]], [["2", "1"]])
    assert builder.last_update_id == 10
    assert builder.best_bid == (Decimal("1.5"), Decimal(1))
    assert builder.best_ask == (Decimal("1.9"), Decimal(2))


def test_a_snapshot_older_than_the_stream_is_refused():
    builder = BookBuilder("X/Y")
    builder.update(20, 21, [], [])
    with pytest.raises(DataError, match="update 11 is missing"):
        builder.snapshot(10, [], [])


@pytest.mark.parametrize("text", ["", "abc", "1.123456789", "1e5", "nan"])
def test_prices_that_are_no_plain_decimals_are_refused(text):
    with pytest.raises(DataError):
        units(text)


@given(st.decimals(0, 10**9, places=8))
def test_units_are_exact(number):
    assert units(f"{number:f}") == number * 10**8


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 30), st.integers(0, 3)),
        max_size=60,
    )
)
def test_a_book_is_the_fold_of_its_changes(changes):
    builder = BookBuilder("X/Y")
    builder.snapshot(0, [], [])
    plain: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for number, (is_bid, price, size) in enumerate(changes, 1):
        change = [[str(price), str(size)]]
        builder.update(number, number, change if is_bid else [], [] if is_bid else change)
        plain[is_bid].pop(price, None)
        if size:
            plain[is_bid][price] = size
    book = builder.book(0, None)
    assert list(book.bids) == sorted(plain[True].items(), reverse=True)
    assert list(book.asks) == sorted(plain[False].items())
    assert builder.depth == (len(plain[True]), len(plain[False]))


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "broken.gz"
    with gzip.open(path, "wb") as file:
        file.write(b'1 {"stream":"x@trade","data":{"p":"1","q":"2","m":true,"t":5}}\n')
        file.write(b"2 {rubbish\n")
    events = binance_raw(path)
    assert next(events) == Trade("BTC/USDT", 1, 1.0, 2.0, "sell", "5")
    with pytest.raises(DataError, match=r"broken\.gz, line 2"):
        next(events)


def test_unknown_messages_kinds_and_missing_columns_are_named(tmp_path):
    path = tmp_path / "odd.gz"
    with gzip.open(path, "wb") as file:
        file.write(b'1 {"something": 1}\n')
    with pytest.raises(DataError, match="neither a trade"):
        list(binance_raw(path))
    with pytest.raises(DataError, match="kinds of book, quotes, trades"):
        binance_raw(path, kinds=("candles",))
    with pytest.raises(DataError, match="at least one file"):
        binance_raw()
    with pytest.raises(DataError, match="no column price"):
        list(parquet_trades(shared("market/binance_btcusdt-quotes.parquet"), "BTC/USDT"))


def test_a_naive_time_is_refused(tmp_path):
    import pandas as pd

    path = tmp_path / "naive.parquet"
    frame = pd.DataFrame({"timestamp": pd.to_datetime(["2024-01-01"]), "bid": [1.0], "ask": [2.0]})
    frame.to_parquet(path)
    with pytest.raises(DataError, match="naive"):
        list(parquet_quotes(path, "X/Y"))


def test_an_empty_book_has_no_best_price():
    builder = BookBuilder("X/Y")
    builder.snapshot(1, [], [["2", "1"]])
    assert (builder.best_bid, builder.best_ask, builder.crossed) == (None, (Decimal(2), Decimal(1)), False)
