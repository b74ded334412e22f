"""Several venues side by side."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.execution.adapters.catalog import LISTED, make_adapter, sandbox_arguments
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.market_data.consolidated import ConsolidatedBook, Level
from autotrader_lab.execution.venues import Venues
from autotrader_lab.model.clock import NS
from autotrader_lab.model.errors import ConfigError, InstrumentError
from autotrader_lab.model.market import Book, Quote
from autotrader_lab.sandbox import Sandbox

SYMBOL = "BTC/USDT"


def test_levels_of_all_venues_best_first() -> None:
    book = ConsolidatedBook(SYMBOL)
    book.update("a", Book(SYMBOL, 1, ((100.0, 1.0), (99.0, 2.0)), ((101.0, 1.0),)))
    book.update("b", Quote(SYMBOL, 1, 100.0, 100.5, 3.0, 4.0))
    assert book.bids(1) == [Level(100.0, 3.0, "b"), Level(100.0, 1.0, "a"), Level(99.0, 2.0, "a")]
    assert book.asks(1) == [Level(100.5, 4.0, "b"), Level(101.0, 1.0, "a")]
    assert not book.is_crossed(1)
    book.update("a", Book(SYMBOL, 2, ((102.0, 1.0),), ()))
    assert book.is_crossed(2)
    book.update("a", Book(SYMBOL, 1, ((1.0, 1.0),), ()))  # older than what is known
    assert book.bids(2, 1)[0].price == 102.0
    book.remove("a")
    assert book.venues(2) == ["b"]


def test_an_old_price_is_no_price() -> None:
    book = ConsolidatedBook(SYMBOL, stale_s=10)
    book.update("a", Quote(SYMBOL, 0, 1.0, 2.0, 1.0, 1.0))
    assert book.venues(10 * NS) == ["a"]
    assert book.asks(10 * NS + 1) == []


def test_fees_decide_where_it_is_cheaper() -> None:
    book = ConsolidatedBook(SYMBOL, fee_bps={"dear": 60, "cheap": 10})
    book.update("dear", Quote(SYMBOL, 1, 99.9, 100.0, 1.0, 1.0))
    book.update("cheap", Quote(SYMBOL, 1, 99.8, 100.3, 1.0, 1.0))
    assert [level.venue for level in book.best_for("buy", 1.5, 1)] == ["cheap", "dear"]
    assert [level.venue for level in book.best_for("sell", 1.0, 1)] == ["cheap"]


_levels = st.lists(st.tuples(st.floats(1, 1000), st.floats(0.001, 10)), max_size=8).map(tuple)


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(_levels, _levels)), st.floats(0.001, 100))
def test_nothing_is_lost_or_invented(books: dict[str, tuple[tuple, tuple]], quantity: float) -> None:
    merged = ConsolidatedBook(SYMBOL)
    for venue, (bids, asks) in books.items():
        merged.update(venue, Book(SYMBOL, 1, bids, asks))
    shown = Counter((level.venue, level.price, level.size) for level in merged.asks(1))
    assert shown == Counter((venue, *level) for venue, (_, asks) in books.items() for level in asks)
    prices = [level.price for level in merged.bids(1)]
    assert prices == sorted(prices, reverse=True)
    taken = merged.best_for("buy", quantity, 1)
    assert sum(level.size for level in taken) <= quantity * (1 + 1e-12)


def test_another_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match="ETH/USDT does not belong into the book of BTC/USDT"):
        ConsolidatedBook(SYMBOL).update("a", Quote("ETH/USDT", 1, 1.0, 2.0))
    with pytest.raises(ConfigError, match="no venue was given"):
        Venues({})


async def test_two_accounts_and_a_venue_that_fails() -> None:
    async with Sandbox(seed=1, speed=5) as box:
        addresses = box.addresses["binance"]
        live = addresses["live"]
        venues = Venues(
            {
                "one": BinanceAdapter(addresses["api_key"], addresses["api_secret"], testnet=True, addresses=addresses),
                "two": BinanceAdapter(live["api_key"], live["api_secret"], testnet=False, addresses=addresses),
                "wrong": BinanceAdapter("no", "no", testnet=True, addresses=addresses),
                "paper": PaperTradingAdapter(latency_ms=0),
            }
        )
        assert await venues.connect() == ["one", "two", "paper"]
        assert "AuthenticationFailed" in venues.troubles["wrong"]
        balances = await venues.balances()
        assert balances.loc["USDT", "one"] == balances.loc["USDT", "two"] == 100_000
        positions = await venues.positions()
        assert positions.loc[SYMBOL, "one"] == 1.0
        grid = venues.instruments(SYMBOL)
        assert {"one", "two"} <= set(grid.index.get_level_values("venue"))
        with pytest.raises(InstrumentError, match="is not watched"):
            venues.book(SYMBOL)
        await venues.watch([SYMBOL])
        async with asyncio.timeout(10):
            while len(venues.books[SYMBOL].venues(venues.clock.now_ns())) < 2:
                await asyncio.sleep(0.02)
        book = venues.book(SYMBOL)
        assert {"one", "two"} <= set(book["bid_venue"])  # market data is public: the one without keys may show it too
        assert book["ask_price"].is_monotonic_increasing
        await venues.close()
        await venues.close()


async def test_all_venues_in_one_session() -> None:
    async with Sandbox(venues=tuple(LISTED), seed=3, speed=5) as box:
        at = box.addresses
        venues = Venues({name: make_adapter(name, sandbox_arguments(name, at, testnet=True)) for name in LISTED})
        assert await venues.connect() == list(LISTED), venues.troubles
        markets = {
            "BTC/USDT": {"binance", "okx", "coinbase"},
            "EUR/USD": {"oanda", "fxcm", "ibkr"},
            "AAPL": {"ibkr"},
        }
        await venues.watch(markets)
        async with asyncio.timeout(20):
            while any(
                set(venues.books[symbol].venues(venues.clock.now_ns())) != where for symbol, where in markets.items()
            ):
                await asyncio.sleep(0.02)
        for symbol, where in markets.items():
            assert set(venues.instruments(symbol).index.get_level_values("venue")) == where
            assert venues.book(symbol)["ask_price"].is_monotonic_increasing
        balances = await venues.balances()
        assert set(balances.columns) == set(LISTED)
        assert balances.loc["USDT", ["binance", "okx"]].tolist() == [100_000, 100_000]
        assert balances.loc["USD", "ibkr"] > 0
        assert "oanda" in (await venues.positions()).columns
        assert venues.troubles == {}
        await venues.close()
