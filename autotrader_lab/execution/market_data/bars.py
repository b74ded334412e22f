"""Bars from trades or quotes, aligned to the epoch. Pure: time is the events'."""

from __future__ import annotations

from autotrader_lab.model.clock import NS
from autotrader_lab.model.market import Bar, Quote, Trade

__all__ = ["BarBuilder"]


class BarBuilder:
    """Collects one symbol's trades, or quote mids, into bars.

    A bar covers [start, start + interval) and is handed out by the first event, or flush, at or after its end; its
    timestamp is that end. An interval without an event gives no bar.

    Parameters
    ----------
    symbol : str
    interval_s : float
        Seconds; starts are multiples of it since the epoch.

    Raises
    ------
    ValueError
        If `interval_s` is not positive.
    """

    def __init__(self, symbol: str, interval_s: float) -> None:
        if not interval_s > 0:
            raise ValueError(f"bar interval {interval_s!r} s must be positive")
        self.symbol = symbol
        self._interval_ns = round(interval_s * NS)
        self._end_ns = 0
        self._open = self._high = self._low = self._close = self._volume = 0.0

    def on_trade(self, trade: Trade) -> list[Bar]:
        """Take a trade; returns the bar it ended, if any. One that comes late joins the bar that is open."""
        return self._take(trade.timestamp_ns, trade.price, trade.size)

    def on_quote(self, quote: Quote) -> list[Bar]:
        """Take a quote's mid, without volume."""
        return self._take(quote.timestamp_ns, quote.mid, 0.0)

    def flush(self, now_ns: int) -> list[Bar]:
        """Return the open bar if its interval is over at `now_ns`."""
        if not self._end_ns or now_ns < self._end_ns:
            return []
        bar = Bar(self.symbol, self._end_ns, self._open, self._high, self._low, self._close, self._volume)
        self._end_ns = 0
        return [bar]

    def _take(self, timestamp_ns: int, price: float, size: float) -> list[Bar]:
        ended = self.flush(timestamp_ns)
        if not self._end_ns:
            self._end_ns = (timestamp_ns // self._interval_ns + 1) * self._interval_ns
            self._open = self._high = self._low = price
            self._volume = 0.0
        self._high = max(self._high, price)
        self._low = min(self._low, price)
        self._close = price
        self._volume += size
        return ended
