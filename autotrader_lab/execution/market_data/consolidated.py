"""One book of one symbol out of several venues' books: who shows what, best price first. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autotrader_lab.model.clock import NS
from autotrader_lab.model.market import Book, Quote

__all__ = ["ConsolidatedBook", "Level"]


class Level(msgspec.Struct, frozen=True):
    """Size at a price at one venue; price in quote currency, size in units."""

    price: float
    size: float
    venue: str


class ConsolidatedBook:
    """The newest book of each venue, read as one.

    Parameters
    ----------
    symbol : str
        Universal symbol.
    stale_s : float
        A venue that said nothing for longer is left out: an old price is no price.
    fee_bps : mapping of str to float, optional
        Taker fee by venue, basis points; only :meth:`best_for` counts it.
    """

    def __init__(self, symbol: str, stale_s: float = 10.0, fee_bps: Mapping[str, float] | None = None) -> None:
        self.symbol = symbol
        self._stale_ns = round(stale_s * NS)
        self._fee_bps = dict(fee_bps or {})
        self._books: dict[str, Book] = {}

    def update(self, venue: str, event: Book | Quote) -> None:
        """Take a venue's newest book, or its best bid and ask where it shows no more."""
        if event.symbol != self.symbol:
            raise ValueError(f"{event.symbol} does not belong into the book of {self.symbol}")
        if isinstance(event, Quote):
            bids, asks = ((event.bid, event.bid_size),), ((event.ask, event.ask_size),)
            event = Book(event.symbol, event.timestamp_ns, bids, asks)
        known = self._books.get(venue)
        if known is None or event.timestamp_ns >= known.timestamp_ns:
            self._books[venue] = event

    def remove(self, venue: str) -> None:
        """Forget a venue: its connection is lost."""
        self._books.pop(venue, None)

    def venues(self, now_ns: int) -> list[str]:
        """Venues whose book is fresh."""
        return sorted(venue for venue, book in self._books.items() if now_ns - book.timestamp_ns <= self._stale_ns)

    def bids(self, now_ns: int, depth: int | None = None) -> list[Level]:
        """Bids of all fresh venues, highest first; equal prices by size, then by venue."""
        levels = [Level(p, s, v) for v in self.venues(now_ns) for p, s in self._books[v].bids]
        return sorted(levels, key=lambda level: (-level.price, -level.size, level.venue))[:depth]

    def asks(self, now_ns: int, depth: int | None = None) -> list[Level]:
        """Asks of all fresh venues, lowest first."""
        levels = [Level(p, s, v) for v in self.venues(now_ns) for p, s in self._books[v].asks]
        return sorted(levels, key=lambda level: (level.price, -level.size, level.venue))[:depth]

    def is_crossed(self, now_ns: int) -> bool:
        """Whether one venue bids more than another asks."""
        bids, asks = self.bids(now_ns, 1), self.asks(now_ns, 1)
        return bool(bids and asks and bids[0].price > asks[0].price)

    def best_for(self, side: str, quantity: float, now_ns: int) -> list[Level]:
        """Where `quantity` units would trade best at the market now, fees counted; fewer if the books show fewer.

        Parameters
        ----------
        side : {"buy", "sell"}
        quantity : float
            Units.

        Returns
        -------
        list of Level
            What to take, in order; sizes add up to `quantity` at most.
        """
        sign = 1 if side == "buy" else -1
        levels = self.asks(now_ns) if side == "buy" else self.bids(now_ns)
        levels.sort(key=lambda level: sign * level.price * (1 + sign * self._fee_bps.get(level.venue, 0.0) / 1e4))
        taken, left = [], quantity
        for level in levels:
            if left <= 0:
                break
            size = min(level.size, left)
            taken.append(Level(level.price, size, level.venue))
            left -= size
        return taken
