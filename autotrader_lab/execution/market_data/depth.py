"""An exact order book from a snapshot and the differences that follow it, however the two arrive.

Prices and sizes are integers of 1e-8 inside: no float ever decides which level a change belongs to. The snapshot and
the stream come over different lines, so differences that arrive before the snapshot are kept and fitted to it, as
Binance documents it: those that end at or before the snapshot are dropped, and the first one applied must contain the
update after it. Forgetting the kept ones leaves stale levels and a crossed book.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal

from autotrader_lab.model.errors import DataError
from autotrader_lab.model.market import Book

__all__ = ["BookBuilder", "units"]

SCALE = 100_000_000
_PLACES = 8
Changes = Iterable[Sequence[str]]


def units(text: str) -> int:
    """A plain decimal number of up to eight places as an integer of 1e-8.

    Raises
    ------
    DataError
        If it is no such number.
    """
    whole, _, fraction = text.partition(".")
    try:
        if not text or (len(fraction) > _PLACES and fraction[_PLACES:].strip("0")):
            raise ValueError("empty, or too many places")
        return int(whole + fraction[:_PLACES].ljust(_PLACES, "0"))
    except ValueError as error:
        raise DataError(f"{text!r} is not a decimal number of at most {_PLACES} places") from error


class _Side:
    """Levels of one side, prices sorted upwards."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.prices: list[int] = []

    def set(self, changes: Changes) -> None:
        for price_text, size_text, *_ in changes:
            price, size = units(price_text), units(size_text)
            if size:
                if price not in self.sizes:
                    self.prices.insert(bisect_left(self.prices, price), price)
                self.sizes[price] = size
            elif self.sizes.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]

    def levels(self, best_first: Iterable[int]) -> tuple[tuple[float, float], ...]:
        return tuple((price / SCALE, self.sizes[price] / SCALE) for price in best_first)


class BookBuilder:
    """The full book of one symbol.

    Parameters
    ----------
    symbol : str
        Universal symbol that :meth:`book` carries.

    Attributes
    ----------
    last_update_id : int or None
        Of the snapshot or the last difference applied; None before the snapshot.
    applied : int
        How many differences were applied.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last_update_id: int | None = None
        self.applied = 0
        self._bids = _Side()
        self._asks = _Side()
        self._kept: list[tuple[int, int, Changes, Changes]] = []
        self._joined = False

    def snapshot(self, last_update_id: int, bids: Changes, asks: Changes) -> None:
        """Start from a snapshot, and apply what was kept since the stream began.

        Raises
        ------
        DataError
            If the snapshot is older than the first difference kept: ask for a newer one.
        """
        self._bids, self._asks = _Side(), _Side()
        self._bids.set(bids)
        self._asks.set(asks)
        self.last_update_id = last_update_id
        self._joined = False
        kept, self._kept = self._kept, []
        for first_id, last_id, bid_changes, ask_changes in kept:
            self.update(first_id, last_id, bid_changes, ask_changes)

    def update(self, first_id: int, last_id: int, bids: Changes, asks: Changes) -> bool:
        """Apply a difference that covers the updates `first_id` to `last_id`.

        Returns
        -------
        bool
            Whether it changed the book: false if it was kept for a snapshot to come, or is older than the book.

        Raises
        ------
        DataError
            If updates are missing between the book and this difference: a new snapshot is needed.
        """
        if self.last_update_id is None:
            self._kept.append((first_id, last_id, bids, asks))
            return False
        if last_id <= self.last_update_id:
            return False
        expected = self.last_update_id + 1
        # The first difference after a snapshot may begin before it; later ones follow each other exactly.
        if first_id > expected or (self._joined and first_id != expected):
            self.last_update_id = None
            self._kept = [(first_id, last_id, bids, asks)]
            raise DataError(
                f"{self.symbol}: depth update {expected} is missing (got {first_id} to {last_id}): take a new snapshot"
            )
        self._bids.set(bids)
        self._asks.set(asks)
        self.last_update_id = last_id
        self._joined = True
        self.applied += 1
        return True

    @property
    def depth(self) -> tuple[int, int]:
        """How many bid and ask levels there are."""
        return len(self._bids.prices), len(self._asks.prices)

    @property
    def best_bid(self) -> tuple[Decimal, Decimal] | None:
        """Price and size of the best bid, exact."""
        return _exact(self._bids, -1)

    @property
    def best_ask(self) -> tuple[Decimal, Decimal] | None:
        """Price and size of the best ask, exact."""
        return _exact(self._asks, 0)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is not below the best ask: the sign of a book built wrong."""
        bids, asks = self._bids.prices, self._asks.prices
        return bool(bids and asks and bids[-1] >= asks[0])

    def book(self, timestamp_ns: int, levels: int | None = 20) -> Book:
        """The best `levels` of each side as a market event; all of them where None."""
        bids, asks = self._bids.prices, self._asks.prices
        count = levels if levels is not None else max(len(bids), len(asks))
        best_bids = bids[: -count - 1 : -1] if count else []
        return Book(self.symbol, timestamp_ns, self._bids.levels(best_bids), self._asks.levels(asks[:count]))


def _exact(side: _Side, index: int) -> tuple[Decimal, Decimal] | None:
    if not side.prices:
        return None
    price = side.prices[index]
    return Decimal(price) / SCALE, Decimal(side.sizes[price]) / SCALE
