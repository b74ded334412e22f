"""A crypto venue's public market data as a feed, through ccxt's streams; needs no keys, so paper trading has it too.

One loop for each symbol and kind, always waiting: ccxt hands over what came while a loop was busy as one batch, so a
slow reader gets the latest quote and no backlog. A loop whose stream breaks opens it anew by itself; subscribers of
the connection hear the first loss and the last recovery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from autotrader_lab.execution.adapters.ccxt_errors import translate, venue_message
from autotrader_lab.execution.adapters.ccxt_names import PlainInstruments
from autotrader_lab.execution.adapters.ccxt_setups import setup_of
from autotrader_lab.execution.adapters.ccxt_stream import backoff_s, unexpected
from autotrader_lab.execution.adapters.ccxt_wire import Addresses, close_exchange, local_addresses, make_exchange
from autotrader_lab.execution.market_data.feeds import MarketCallback
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.model.errors import ConfigError
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.market import Bar, Book, MarketEvent, Quote, Trade

__all__ = ["CcxtFeed", "book_of", "closed_bars", "quote_of", "trade_of"]

log = logging.getLogger(__name__)

KINDS = ("quotes", "trades", "book", "bars")

_CANDLE_PAUSE_S = 0.5
_LATEST_CANDLE_MS = 5_000
"""How long after its end a candle may still come; after that there was no trade in it."""

FeedConnectionCallback = Callable[[str, str], None]


class CcxtFeed:
    """Quotes, trades, books and bars of one venue.

    Parameters
    ----------
    exchange_id : str
        ccxt's name of the venue, e.g. ``binance``.
    testnet : bool, default False
        The venue's test world, whose market is not the real one.
    addresses : mapping, optional
        Origins of the local sandbox, as for the venue's adapter; left out: the real venue.
    clock : Clock, optional
        Stamps what the venue does not.
    timeout_s : float, default 10
        Longest wait for a connection, seconds.
    bar_interval : str, default "1m"
        Interval of the bars, in ccxt's words.
    book_depth : int, default 20
        Levels a side of the books handed out.
    markets_of : callable, optional
        Returns a connected ccxt instance of the same venue whose markets are shared, or None.

    Raises
    ------
    ConfigError
        For an unknown venue or an address that is not on this machine.
    """

    kinds = ("quotes", "trades", "book", "bars")

    def __init__(
        self,
        exchange_id: str,
        *,
        testnet: bool = False,
        addresses: Addresses | None = None,
        clock: Clock | None = None,
        timeout_s: float = 10.0,
        bar_interval: str = "1m",
        book_depth: int = 20,
        markets_of: Callable[[], Any] | None = None,
    ) -> None:
        self._setup = setup_of(exchange_id)
        self.venue = exchange_id
        self._testnet = testnet
        self._local = local_addresses(addresses, testnet, exchange_id, self._setup.also)
        self._clock = clock if clock is not None else SystemClock()
        self._timeout_s = timeout_s
        self._bar_interval = bar_interval
        self._book_depth = book_depth
        self._markets_of = markets_of
        self._callbacks: list[MarketCallback] = []
        self._connection_callbacks: list[FeedConnectionCallback] = []
        self._exchange: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._down: set[str] = set()
        self._told_ms: dict[str, int] = {}
        self.instruments: Instruments = PlainInstruments(venue=exchange_id)
        self.symbols: tuple[str, ...] = ()

    def subscribe(self, callback: MarketCallback) -> None:
        self._callbacks.append(callback)

    def subscribe_connection(self, callback: FeedConnectionCallback) -> None:
        """Call `callback` with ("lost" or "restored", reason)."""
        self._connection_callbacks.append(callback)

    async def open(self, symbols: Iterable[str], kinds: Iterable[str] = ("quotes", "trades")) -> None:
        """Start streaming; returns when every symbol is known to the venue.

        Raises
        ------
        ConfigError
            For a kind that is none of quotes, trades, book, bars, or a feed that is open.
        InstrumentError
            If the venue lacks a symbol, before anything is streamed.
        VenueUnavailable
            If it cannot be reached.
        """
        wanted = tuple(dict.fromkeys(kinds))
        for kind in wanted:
            if kind not in KINDS:
                raise ConfigError(f"{self.venue} feed: kind {kind!r} is none of {', '.join(KINDS)}")
        if self._exchange is not None:
            raise ConfigError(f"{self.venue} feed is open for {', '.join(self.symbols)}; close it first")
        names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        self._exchange = self._make_exchange()
        try:
            await self._load()
            self.symbols = tuple(dict.fromkeys(self.instruments.find(name).symbol for name in names))
        except BaseException:
            await self.close()
            raise
        loops = {"quotes": self._quotes, "trades": self._trades, "book": self._book, "bars": self._bars}
        for kind in wanted:
            for symbol in self.symbols:
                name = f"{self.venue}-{kind}-{symbol}"
                self._tasks.append(asyncio.create_task(self._keep(name, loops[kind], symbol), name=name))

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        await end_tasks(*tasks)
        self._down.clear()
        self.symbols = ()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await close_exchange(exchange)

    def _make_exchange(self) -> Any:
        return make_exchange(self.venue, testnet=self._testnet, timeout_s=self._timeout_s, local=self._local)

    async def _load(self) -> None:
        source = self._markets_of() if self._markets_of is not None else None
        try:
            if source is not None and source.markets:
                self._exchange.set_markets_from_exchange(source)
            else:
                await self._exchange.load_markets()
        except Exception as error:
            raise translate(error, "query", f"{self.venue}: what is listed") from error
        self.instruments = PlainInstruments(
            (
                Instrument(
                    symbol=market["symbol"],
                    venue=self.venue,
                    venue_symbol=market["id"],
                    can_short=False,
                    base=market["base"],
                    quote=market["quote"],
                )
                for market in self._exchange.markets.values()
                if market.get("spot")
            ),
            venue=self.venue,
        )

    # --- the loops --------------------------------------------------------------------------------------------

    async def _keep(self, name: str, stream: Callable[[str], Any], symbol: str) -> None:
        """Run one stream for ever, opening it anew when it breaks."""
        attempt = 0
        while True:
            try:
                async for events in stream(symbol):
                    attempt = 0
                    self._is_up(name)
                    for event in events:
                        self._publish(event)
            except Exception as error:
                log.warning("%s: stream lost: %s", name, venue_message(error), exc_info=unexpected(error))
                self._is_down(name, venue_message(error))
            # ccxt would wait up to 30 s by itself after failed dials.
            self._exchange.ws_dial_backoff = {}
            await self._clock.sleep(backoff_s(attempt))
            attempt += 1

    def _publish(self, event: MarketEvent) -> None:
        for callback in self._callbacks:
            callback(event)

    def _is_down(self, name: str, reason: str) -> None:
        first = not self._down
        self._down.add(name)
        if first:
            self._tell("lost", f"{name}: {reason}")

    def _is_up(self, name: str) -> None:
        if name in self._down:
            self._down.discard(name)
            if not self._down:
                self._tell("restored", name)

    def _tell(self, state: str, reason: str) -> None:
        for callback in self._connection_callbacks:
            callback(state, reason)

    async def _quotes(self, symbol: str) -> Any:
        exchange = self._exchange
        if not exchange.has.get("watchBidsAsks"):
            async for book in self._books(symbol, 5):
                (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
                yield [Quote(symbol, book.timestamp_ns, bid, ask, bid_size, ask_size)]
            return
        while True:
            await exchange.watch_bids_asks([symbol])
            # Not what the call returned: the last of several that came together is in the cache only.
            quote = quote_of(exchange.bidsasks[symbol], symbol, self._clock.now_ns())
            if quote is not None:
                yield [quote]

    async def _trades(self, symbol: str) -> Any:
        while True:
            batch = await self._exchange.watch_trades(symbol)
            yield [trade_of(trade, symbol, self._clock.now_ns()) for trade in batch]

    async def _book(self, symbol: str) -> Any:
        async for book in self._books(symbol, self._book_depth):
            yield [book]

    async def _books(self, symbol: str, depth: int) -> Any:
        while True:
            book = book_of(await self._exchange.watch_order_book(symbol), symbol, depth, self._clock.now_ns())
            if book is not None:
                yield book

    async def _bars(self, symbol: str) -> Any:
        exchange = self._exchange
        if not self._setup.has_candle_stream:
            async for bars in self._asked_bars(symbol):
                yield bars
            return
        interval_ms = round(exchange.parse_timeframe(self._bar_interval) * 1000)
        # What was open when the stream began or broke may have closed meanwhile: ask once, then follow.
        candles = {int(row[0]): row for row in await exchange.fetch_ohlcv(symbol, self._bar_interval, limit=5)}
        told_ms = self._told_ms.get(symbol, max(candles, default=0) - 1)
        while True:
            bars, told_ms = closed_bars(candles, symbol, interval_ms, told_ms)
            self._told_ms[symbol] = told_ms
            yield bars
            for row in await exchange.watch_ohlcv(symbol, self._bar_interval):
                candles[int(row[0])] = row

    async def _asked_bars(self, symbol: str) -> Any:
        """Bars of a venue that streams no candles this short: asked for as each interval ends."""
        interval_ms = round(self._exchange.parse_timeframe(self._bar_interval) * 1000)
        while True:
            now_ms = self._clock.now_ns() // 1_000_000
            newest_ms = now_ms // interval_ms * interval_ms
            rows = await self._exchange.fetch_ohlcv(symbol, self._bar_interval, limit=5)
            # An interval without a trade has no candle, so its end is told by the clock and not by the next candle.
            candles = {int(row[0]): row for row in rows if int(row[0]) < newest_ms} | {newest_ms: None}
            told_ms = self._told_ms.setdefault(symbol, newest_ms - interval_ms)
            bars, self._told_ms[symbol] = closed_bars(candles, symbol, interval_ms, told_ms)
            yield bars
            if self._told_ms[symbol] == newest_ms - interval_ms or now_ms - newest_ms > _LATEST_CANDLE_MS:
                await self._clock.sleep((newest_ms + interval_ms - now_ms) / 1000 + _CANDLE_PAUSE_S)
            else:
                await self._clock.sleep(_CANDLE_PAUSE_S)


# --- from ccxt's structures to our values ---------------------------------------------------------------------------


def quote_of(ticker: Mapping[str, Any], symbol: str, now_ns: int) -> Quote | None:
    """Best bid and ask of ccxt as a quote, stamped `now_ns` where the venue does not; None if a side is empty."""
    bid, ask = ticker.get("bid"), ticker.get("ask")
    if not bid or not ask:
        return None
    return Quote(
        symbol=symbol,
        timestamp_ns=_ns(ticker.get("timestamp"), now_ns),
        bid=float(bid),
        ask=float(ask),
        bid_size=float(ticker.get("bidVolume") or 0.0),
        ask_size=float(ticker.get("askVolume") or 0.0),
    )


def trade_of(trade: Mapping[str, Any], symbol: str, now_ns: int) -> Trade:
    """A public trade of ccxt."""
    side = trade.get("side")
    return Trade(
        symbol=symbol,
        timestamp_ns=_ns(trade.get("timestamp"), now_ns),
        price=float(trade["price"]),
        size=float(trade["amount"]),
        aggressor=side if side in ("buy", "sell") else "",
        trade_id=str(trade.get("id") or ""),
    )


def book_of(book: Mapping[str, Any], symbol: str, depth: int, now_ns: int) -> Book | None:
    """The best `depth` levels of ccxt's order book; None while a side is empty."""
    bids = tuple((float(row[0]), float(row[1])) for row in book["bids"][:depth])
    asks = tuple((float(row[0]), float(row[1])) for row in book["asks"][:depth])
    if not bids or not asks:
        return None
    return Book(symbol, _ns(book.get("timestamp"), now_ns), bids, asks)


def closed_bars(candles: dict[int, Any], symbol: str, interval_ms: int, told_ms: int) -> tuple[list[Bar], int]:
    """Bars of `candles` that are over and not told yet: a candle is over once a later one is there.

    Parameters
    ----------
    candles : dict of int to row
        ccxt's rows by opening time, ms; those that are told are dropped from it.
    symbol : str
    interval_ms : int
    told_ms : int
        Opening time of the newest candle told.

    Returns
    -------
    tuple of list of Bar and int
        The bars, oldest first, and the new `told_ms`.
    """
    newest = max(candles, default=0)
    bars = []
    for opened_ms in sorted(candles):
        if opened_ms == newest:
            break
        row = candles.pop(opened_ms)
        if opened_ms > told_ms:
            closes_ns = (opened_ms + interval_ms) * 1_000_000
            bars.append(Bar(symbol, closes_ns, *(float(value) for value in row[1:6])))
            told_ms = opened_ms
    return bars, told_ms


def _ns(milliseconds: Any, now_ns: int) -> int:
    return now_ns if milliseconds is None else int(milliseconds) * 1_000_000
