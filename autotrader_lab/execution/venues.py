"""Several venues at once, side by side: instruments, balances, positions and one consolidated book a symbol.

Each venue keeps its own adapter, engine and order path; this is the view across them. One venue that fails does not
take the others with it: what it could not say is missing, and :attr:`Venues.troubles` says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.market_data.consolidated import ConsolidatedBook
from autotrader_lab.execution.market_data.feeds import Feed, kinds_of
from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.model.errors import AutoTraderError, ConfigError, InstrumentError
from autotrader_lab.model.market import Book, MarketEvent, Quote

__all__ = ["Venues"]


class Venues:
    """Adapters by name, connected together.

    Parameters
    ----------
    adapters : mapping of str to BaseBrokerAdapter
        Any names: ``{"binance": …, "okx": …}``.
    clock : Clock, optional
    stale_s : float
        How old a venue's book may be to count.

    Raises
    ------
    ConfigError
        If there is none.

    Attributes
    ----------
    troubles : dict of str to str
        What went wrong at which venue, newest.
    """

    def __init__(
        self, adapters: Mapping[str, BaseBrokerAdapter], clock: Clock | None = None, stale_s: float = 10.0
    ) -> None:
        if not adapters:
            raise ConfigError("no venue was given; name at least one: Venues({'binance': BinanceAdapter(...)})")
        self.adapters = dict(adapters)
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.troubles: dict[str, str] = {}
        self.books: dict[str, ConsolidatedBook] = {}
        self._stale_s = stale_s
        self._feeds: dict[str, Feed] = {}

    async def connect(self) -> list[str]:
        """Connect all of them at once; returns the names of those that are."""

        async def connect(name: str, adapter: BaseBrokerAdapter) -> bool:
            connected = await adapter.connect()
            await adapter.load_instruments()
            return connected

        answers = await self._ask(connect)
        return [name for name, connected in answers.items() if connected]

    async def watch(self, symbols: Iterable[str]) -> None:
        """Stream books (quotes where a venue has no books) of `symbols` from every venue that lists them."""
        wanted = list(symbols)
        for symbol in wanted:
            self.books.setdefault(symbol, ConsolidatedBook(symbol, self._stale_s))

        async def open_feed(name: str, adapter: BaseBrokerAdapter) -> None:
            feed = adapter.feed()
            listed = [symbol for symbol in wanted if await _lists(adapter, symbol)]
            if feed is None or not listed:
                return
            feed.subscribe(self._taker(name))
            self._feeds[name] = feed
            await feed.open(listed, ["book"] if "book" in kinds_of(feed) else ["quotes"])

        await self._ask(open_feed)

    async def close(self) -> None:
        """Stop the streams and disconnect all. Twice is quiet."""
        feeds, self._feeds = self._feeds, {}
        await asyncio.gather(*(feed.close() for feed in feeds.values()))
        await asyncio.gather(*(adapter.disconnect() for adapter in self.adapters.values()))

    async def balances(self) -> pd.DataFrame:
        """Total balance by currency (rows) and venue (columns); NaN where a venue has none or did not answer."""
        return _frame(await self._ask(lambda name, adapter: adapter.get_account_balance()), "currency")

    async def positions(self) -> pd.DataFrame:
        """Units held by symbol (rows) and venue (columns)."""
        return _frame(await self._ask(lambda name, adapter: adapter.get_positions()), "symbol")

    def instruments(self, symbol: str | None = None) -> pd.DataFrame:
        """Tick, lot and minima of each listed symbol at each venue: one row for each pair."""
        rows = [
            {
                "symbol": listed.symbol,
                "venue": name,
                "venue_symbol": listed.venue_symbol,
                "tick_size": listed.tick_size,
                "lot_size": listed.lot_size,
                "min_quantity": listed.min_quantity,
                "min_notional": listed.min_notional,
                "quote": listed.quote,
            }
            for name, adapter in self.adapters.items()
            for listed in adapter.instruments.values()
            if symbol in (None, listed.symbol)
        ]
        columns = ["symbol", "venue", "venue_symbol", "tick_size", "lot_size", "min_quantity", "min_notional", "quote"]
        return pd.DataFrame(rows, columns=columns).set_index(["symbol", "venue"]).sort_index()

    def book(self, symbol: str, depth: int = 10) -> pd.DataFrame:
        """The consolidated book now: bid and ask levels side by side, best first, with their venue."""
        found = self.books.get(symbol)
        if found is None:
            raise InstrumentError(f"{symbol!r} is not watched; await venues.watch([{symbol!r}]) first")
        now_ns = self.clock.now_ns()
        sides = {"bid": found.bids(now_ns, depth), "ask": found.asks(now_ns, depth)}
        columns = {
            f"{side}_{field}": pd.Series([getattr(level, field) for level in levels], dtype=kind)
            for side, levels in sides.items()
            for field, kind in (("venue", "object"), ("size", "float64"), ("price", "float64"))
        }
        return pd.DataFrame(columns)

    def _taker(self, venue: str) -> Callable[[MarketEvent], None]:
        def take(event: MarketEvent) -> None:
            book = self.books.get(event.symbol)
            if book is not None and isinstance(event, (Book, Quote)):
                book.update(venue, event)

        return take

    async def _ask(self, question: Callable[[str, BaseBrokerAdapter], Awaitable[Any]]) -> dict[str, Any]:
        """Ask every venue at once; one that fails is in :attr:`troubles` and not in the answer."""
        names = list(self.adapters)
        answers = await asyncio.gather(*(question(name, self.adapters[name]) for name in names), return_exceptions=True)
        found: dict[str, Any] = {}
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, AutoTraderError):
                self.troubles[name] = f"{type(answer).__name__}: {answer}"
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self.troubles.pop(name, None)
                found[name] = answer
        return found


async def _lists(adapter: BaseBrokerAdapter, symbol: str) -> bool:
    """Whether the venue trades `symbol`; one that has too many to list them all is asked for this one."""
    for is_asked in (False, True):
        try:
            if is_asked:
                await adapter.load_instruments([symbol])
            adapter.instruments.find(symbol)
        except InstrumentError:
            continue
        return True
    return False


def _frame(columns: Mapping[str, Mapping[str, float]], index: str) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(dict(values), dtype="float64") for name, values in columns.items()})
    frame.index.name = index
    return frame.sort_index()
