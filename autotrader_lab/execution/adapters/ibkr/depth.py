"""IB's depth, row by row, as books: rows are inserted, changed and deleted by position, on one side."""

from __future__ import annotations

from autotrader_lab.model.market import Book

__all__ = ["Ladder"]

_INSERT, _CHANGE, _DELETE = range(3)
_ASKS, _BIDS = 0, 1
_MOST_ROWS = 100


class Ladder:
    """One contract's rows.

    Parameters
    ----------
    symbol : str
    """

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._rows: dict[int, list[tuple[float, float]]] = {_ASKS: [], _BIDS: []}

    def clear(self) -> None:
        """Forget everything; IB sends all of it anew."""
        for rows in self._rows.values():
            rows.clear()

    def take(self, position: int, operation: int, side: int, price: float, size: float, now_ns: int) -> Book | None:
        """Apply one row; the book as it is then, or None while it makes no sense."""
        rows = self._rows.get(side)
        if rows is None or not 0 <= position < _MOST_ROWS:
            return None
        if operation == _DELETE:
            del rows[position : position + 1]
        elif operation == _INSERT or position >= len(rows):
            rows.insert(position, (price, size))
        elif operation == _CHANGE:
            rows[position] = (price, size)
        bids, asks = self._side(_BIDS), self._side(_ASKS)
        if not bids or not asks or bids[0][0] > asks[0][0]:
            return None
        return Book(self._symbol, now_ns, bids, asks)

    def _side(self, side: int) -> tuple[tuple[float, float], ...]:
        """Rows of one price together, best first: several exchanges quote the same one."""
        sizes: dict[float, float] = {}
        for price, size in self._rows[side]:
            if price > 0 and size > 0:
                sizes[price] = sizes.get(price, 0.0) + size
        return tuple(sorted(sizes.items(), reverse=side == _BIDS))
