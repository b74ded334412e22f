"""The latest of everything: a strategy that is slow for a moment finds the newest price, never a backlog."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from autotrader_lab.execution.market_data.bars import BarBuilder
from autotrader_lab.model.market import Book, MarketEvent, Quote, Trade

__all__ = ["Conflator"]


class Conflator:
    """Keeps, per symbol, the newest quote and the newest trade, and every bar.

    Parameters
    ----------
    symbols : iterable of str
        Symbols to build bars of, if `bar_interval_s` is given.
    bar_interval_s : float, optional
        Length of the bars to build; without it only bars the feed brings are kept.
    without_trades : collection of str
        Symbols whose bars are built from quote mids, because the venue shows no trades of them (foreign exchange).
    """

    def __init__(
        self,
        symbols: Iterable[str] = (),
        bar_interval_s: float | None = None,
        without_trades: Collection[str] = (),
    ) -> None:
        self._without_trades = frozenset(without_trades)
        self._quotes: dict[str, Quote | Book] = {}
        self._trades: dict[str, Trade] = {}
        self._bars: list[MarketEvent] = []
        self._builders = (
            {symbol: BarBuilder(symbol, bar_interval_s) for symbol in symbols} if bar_interval_s is not None else {}
        )

    def add(self, event: MarketEvent) -> None:
        """Take one event in."""
        if isinstance(event, (Quote, Book)):
            self._quotes[event.symbol] = event
            if event.symbol in self._without_trades and isinstance(event, Quote) and event.symbol in self._builders:
                self._bars.extend(self._builders[event.symbol].on_quote(event))
        elif isinstance(event, Trade):
            self._trades[event.symbol] = event
            if event.symbol not in self._without_trades and event.symbol in self._builders:
                self._bars.extend(self._builders[event.symbol].on_trade(event))
        else:
            self._bars.append(event)

    def flush(self, now_ns: int) -> bool:
        """End the bars whose interval is over; true if there is a bar to take."""
        for builder in self._builders.values():
            self._bars.extend(builder.flush(now_ns))
        return bool(self._bars)

    def take(self) -> list[MarketEvent]:
        """Hand out what is kept, quotes first, and start anew."""
        events: list[MarketEvent] = [*self._quotes.values(), *self._trades.values(), *self._bars]
        self._quotes.clear()
        self._trades.clear()
        self._bars.clear()
        return events
