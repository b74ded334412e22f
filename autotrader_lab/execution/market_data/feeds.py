"""Where market data comes from: one small interface for a venue's stream, a recorded file and a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from autotrader_lab.model.market import MarketEvent

__all__ = ["DEFAULT_KINDS", "Feed", "LocalFeed", "MarketCallback", "kinds_of"]

MarketCallback = Callable[[MarketEvent], None]


DEFAULT_KINDS = ("quotes", "trades")


def kinds_of(feed: Feed, symbol: str | None = None) -> tuple[str, ...]:
    """What a feed can stream (of `symbol`): what it says, or quotes and trades where it does not say."""
    kinds_for = getattr(feed, "kinds_for", None)
    if symbol is not None and kinds_for is not None:
        return tuple(kinds_for(symbol))
    return tuple(getattr(feed, "kinds", DEFAULT_KINDS))


class Feed(Protocol):
    """A source of market events. Callbacks run on the event loop and must not block.

    One that lacks trades (foreign exchange) says so in an attribute ``kinds``, e.g. ``("quotes",)``; one that lacks
    them for some symbols in a method ``kinds_for(symbol)`` besides.
    """

    def subscribe(self, callback: MarketCallback) -> None:
        """Call `callback` with every event from now on."""
        ...

    async def open(self, symbols: Iterable[str], kinds: Iterable[str] = ("quotes", "trades")) -> None:
        """Start streaming `kinds` (of quotes, trades, book, bars) for `symbols`.

        Raises
        ------
        InstrumentError
            If the source lacks a symbol, before anything is streamed.
        VenueUnavailable
            If it cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Stop. Twice is quiet; no task of ours is alive afterwards."""
        ...


class LocalFeed:
    """A feed that is pushed by hand: for tests, notebooks and whoever has data of their own."""

    def __init__(self) -> None:
        self._callbacks: list[MarketCallback] = []
        self.symbols: tuple[str, ...] = ()

    def subscribe(self, callback: MarketCallback) -> None:
        self._callbacks.append(callback)

    async def open(self, symbols: Iterable[str], kinds: Iterable[str] = ("quotes", "trades")) -> None:
        self.symbols = tuple(symbols)

    async def close(self) -> None:
        self.symbols = ()

    def push(self, event: MarketEvent) -> None:
        """Hand `event` to every subscriber."""
        for callback in self._callbacks:
            callback(event)
