"""What the market says: quotes, trades, bars and books, as frozen values with plain floats.

They come by the million, so they are msgspec structs and carry integer nanoseconds, not datetimes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Bar", "Book", "MarketEvent", "Quote", "Trade"]


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask. Prices in quote currency, sizes in units, `timestamp_ns` UTC."""

    symbol: str
    timestamp_ns: int
    bid: float
    ask: float
    bid_size: float = 0.0
    ask_size: float = 0.0

    @property
    def mid(self) -> float:
        """Half way between bid and ask."""
        return (self.bid + self.ask) / 2


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade of the market. `aggressor` is the taker's side where the venue tells it."""

    symbol: str
    timestamp_ns: int
    price: float
    size: float
    aggressor: Literal["buy", "sell", ""] = ""
    trade_id: str = ""


class Bar(msgspec.Struct, frozen=True, gc=False):
    """Open, high, low, close and volume of an interval that is over; `timestamp_ns` is when it became known."""

    symbol: str
    timestamp_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0


class Book(msgspec.Struct, frozen=True):
    """Visible depth: (price, size) pairs, best first."""

    symbol: str
    timestamp_ns: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


MarketEvent = Quote | Trade | Bar | Book
