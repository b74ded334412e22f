"""Public market data over real sockets, without keys."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from binance_kit import BTC, desk, our_tasks, until

from autotrader_lab.execution.market_data.ccxt_feed import CcxtFeed, book_of, closed_bars, quote_of, trade_of
from autotrader_lab.model.errors import ConfigError, InstrumentError, VenueUnavailable
from autotrader_lab.model.market import Bar, Book, Quote, Trade
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.units import parse_e8


@asynccontextmanager
async def feed(symbols=("BTC/USDT",), kinds=("quotes", "trades"), live=False, **options):
    async with Sandbox(seed=7, speed=0) as box:
        stream = CcxtFeed("binance", testnet=not live, addresses=box.addresses["binance"], **options)
        events: list = []
        states: list[str] = []
        stream.subscribe(events.append)
        stream.subscribe_connection(lambda state, reason: states.append(state))
        try:
            await stream.open(symbols, kinds)
            yield box, stream, events, states
        finally:
            await stream.close()


def move(box: Sandbox, price: float, symbol: str = "BTCUSDT") -> None:
    for world in box.worlds.values():
        push_price(world, symbol, parse_e8(f"{price:.2f}"))
        world.publish()


async def moving_until(box: Sandbox, condition, symbol: str = "BTCUSDT", start: float = 60_000.0) -> None:
    """Keep the market moving until `condition` holds."""
    for step in range(500):
        if condition():
            return
        move(box, start + step, symbol)
        await asyncio.sleep(0.01)
    raise AssertionError("never came")


@pytest.mark.parametrize("live", [False, True], ids=["testnet", "live"])
async def test_quotes_and_trades_come_without_keys(live: bool) -> None:
    async with feed(live=live) as (box, _, events, _):
        await moving_until(box, lambda: {type(event) for event in events} == {Quote, Trade})
        quote = next(event for event in events if isinstance(event, Quote))
        trade = next(event for event in events if isinstance(event, Trade))
        assert quote.symbol == trade.symbol == BTC
        assert quote.bid < quote.ask
        assert quote.bid_size > 0
        assert trade.aggressor in ("buy", "sell")
        assert trade.trade_id
        assert abs(trade.timestamp_ns - box.clock.now_ns()) < 60 * 10**9


async def test_a_venues_own_symbols_are_understood_and_each_symbol_is_complete() -> None:
    async with feed(symbols=("BTCUSDT", "ETH/USDT"), kinds=("trades",)) as (box, stream, events, _):
        assert stream.symbols == ("BTC/USDT", "ETH/USDT")
        await moving_until(box, lambda: any(event.symbol == BTC for event in events))
        await moving_until(box, lambda: any(e.symbol == "ETH/USDT" for e in events), "ETHUSDT", 3_000.0)
        events.clear()
        before = {symbol: box.worlds["testnet"].exchange._trade_id[symbol] for symbol in ("BTCUSDT", "ETHUSDT")}
        for step in range(50):
            move(box, 61_000.0 + step)
            move(box, 3_100.0 + step, "ETHUSDT")
        for symbol, name in (("BTCUSDT", BTC), ("ETHUSDT", "ETH/USDT")):
            last = box.worlds["testnet"].exchange._trade_id[symbol]
            await until(lambda n=name, i=last: any(e.symbol == n and e.trade_id == str(i) for e in events))
            ids = [int(event.trade_id) for event in events if event.symbol == name]
            assert ids == list(range(before[symbol] + 1, last + 1)), "every trade, once, in order"


async def test_a_slow_reader_gets_the_latest_quote_and_no_backlog() -> None:
    async with feed(kinds=("quotes",)) as (box, _, events, _):
        await moving_until(box, lambda: bool(events))
        events.clear()
        for step in range(300):
            move(box, 62_000.0 + step)
        last = box.worlds["testnet"].exchange.books["BTCUSDT"]
        from autotrader_lab.sandbox.orders import Side

        bid = last.best(Side.BUY).price / 1e8
        await until(lambda: bool(events) and events[-1].bid == bid)
        await asyncio.sleep(0.1)
        assert events[-1].bid == bid


async def test_the_book_has_its_best_levels_first() -> None:
    async with feed(kinds=("book",), book_depth=5) as (box, _, events, _):
        await moving_until(box, lambda: bool(events))
        book = events[-1]
        assert isinstance(book, Book)
        assert len(book.bids) == len(book.asks) == 5
        assert book.bids == tuple(sorted(book.bids, reverse=True))
        assert book.asks == tuple(sorted(book.asks))
        assert book.bids[0][0] < book.asks[0][0]


async def test_bars_are_told_when_they_are_over() -> None:
    async with feed(kinds=("bars",), bar_interval="1s") as (box, _, events, _):
        await moving_until(box, lambda: len(events) >= 2)
        first, second = events[:2]
        assert isinstance(first, Bar)
        assert first.low <= first.open <= first.high
        assert first.timestamp_ns % 10**9 == 0
        assert second.timestamp_ns > first.timestamp_ns
        assert second.timestamp_ns <= box.clock.now_ns()


async def test_a_lost_line_is_told_and_mended() -> None:
    async with feed() as (box, _, events, states):
        await moving_until(box, lambda: bool(events))
        assert box.venues["testnet"].streams.drop() > 0
        await moving_until(box, lambda: states == ["lost", "restored"], start=63_000.0)
        events.clear()
        await moving_until(box, lambda: {type(e) for e in events} == {Quote, Trade}, start=64_000.0)


async def test_an_unknown_symbol_is_named_before_anything_streams() -> None:
    with pytest.raises(InstrumentError, match="no symbol 'BTC/USDX'; did you mean BTC/USDT"):
        async with feed(symbols=("BTC/USDT", "BTC/USDX")):
            pass


async def test_a_wrong_kind_or_a_second_opening_say_the_way_out() -> None:
    with pytest.raises(ConfigError, match="kind 'quote' is none of quotes, trades, book, bars"):
        async with feed(kinds=("quote",)):
            pass
    async with feed() as (_, stream, _, _):
        with pytest.raises(ConfigError, match="close it first"):
            await stream.open(("BTC/USDT",))
    with pytest.raises(ConfigError, match="'kraken' is set up"):
        CcxtFeed("kraken")


async def test_a_venue_that_is_not_there_says_so() -> None:
    stream = CcxtFeed("binance", testnet=True, addresses={"rest": "http://127.0.0.1:9", "ws": "ws://127.0.0.1:9"})
    before = asyncio.all_tasks()
    with pytest.raises(VenueUnavailable):
        await stream.open(("BTC/USDT",))
    assert our_tasks(before) == []


async def test_closing_twice_leaves_nothing_behind_and_opening_again_works() -> None:
    async with Sandbox(seed=7, speed=0) as box:
        before = asyncio.all_tasks()
        stream = CcxtFeed("binance", testnet=True, addresses=box.addresses["binance"])
        events: list = []
        stream.subscribe(events.append)
        for _ in range(2):
            await stream.open(("BTC/USDT",), ("quotes", "trades", "book", "bars"))
            await moving_until(box, lambda: bool(events))
            events.clear()
            await stream.close()
            await stream.close()
            assert events == [], "a closed stream goes on telling"
        await until(lambda: not our_tasks(before))
        assert our_tasks(before) == []


async def test_the_adapters_feed_is_of_its_world_and_shares_its_markets() -> None:
    async with desk(live=True) as held:
        stream = held.adapter.feed()
        events: list = []
        stream.subscribe(events.append)
        await stream.open((BTC,))
        try:
            assert stream._exchange.markets is held.adapter._exchange.markets
            assert stream._exchange.apiKey == "", "public data needs no key"
            for step in range(500):
                if events:
                    break
                held.move(60_000.0 + step)
                await asyncio.sleep(0.01)
            assert events
        finally:
            await stream.close()


# --- plain functions -----------------------------------------------------------------------------------------------


def test_a_quote_needs_both_sides() -> None:
    ticker = {"bid": 10.0, "ask": 11.0, "bidVolume": 1.5, "askVolume": None, "timestamp": None}
    assert quote_of(ticker, "X/Y", 7) == Quote("X/Y", 7, 10.0, 11.0, 1.5, 0.0)
    assert quote_of({**ticker, "timestamp": 3}, "X/Y", 7).timestamp_ns == 3_000_000
    assert quote_of({**ticker, "bid": None}, "X/Y", 7) is None


def test_a_trade_keeps_the_takers_side_where_it_is_told() -> None:
    raw = {"timestamp": 5, "price": 1.5, "amount": 2, "side": "sell", "id": 9}
    assert trade_of(raw, "X/Y", 0) == Trade("X/Y", 5_000_000, 1.5, 2.0, "sell", "9")
    assert trade_of({**raw, "side": None, "id": None}, "X/Y", 0).aggressor == ""


def test_a_book_is_cut_to_the_depth_asked_for() -> None:
    raw = {"bids": [[3, 1], [2, 1], [1, 1]], "asks": [[4, 1]], "timestamp": None}
    assert book_of(raw, "X/Y", 2, 5) == Book("X/Y", 5, ((3.0, 1.0), (2.0, 1.0)), ((4.0, 1.0),))
    assert book_of({**raw, "asks": []}, "X/Y", 2, 5) is None


def test_a_candle_is_a_bar_once_the_next_one_is_there_and_only_once() -> None:
    candles = {0: [0, 1, 3, 0.5, 2, 10], 60_000: [60_000, 2, 2, 2, 2, 1]}
    bars, told = closed_bars(candles, "X/Y", 60_000, -1)
    assert bars == [Bar("X/Y", 60_000_000_000, 1.0, 3.0, 0.5, 2.0, 10.0)]
    assert (told, list(candles)) == (0, [60_000])
    assert closed_bars(candles, "X/Y", 60_000, told) == ([], 0)
    candles.update({0: [0, 1, 3, 0.5, 2, 10], 120_000: [120_000, 2, 2, 2, 2, 1]})
    assert [bar.timestamp_ns for bar in closed_bars(candles, "X/Y", 60_000, told)[0]] == [120_000_000_000]
