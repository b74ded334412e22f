"""Bars of the past."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from autotrader_lab.execution.adapters.ibkr.asking import NoAnswer, Refused
from autotrader_lab.execution.adapters.ibkr.decode import VENUE
from autotrader_lab.execution.adapters.ibkr.queries import IBKRQueries
from autotrader_lab.model.clock import from_ns, to_ns
from autotrader_lab.model.errors import DataError, RateLimited, VenueUnavailable
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.market import Bar

__all__ = ["IBKRBars", "decode_bar"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_BAR_SIZES = {
    1: "1 secs",
    5: "5 secs",
    10: "10 secs",
    15: "15 secs",
    30: "30 secs",
    60: "1 min",
    120: "2 mins",
    180: "3 mins",
    300: "5 mins",
    600: "10 mins",
    900: "15 mins",
    1_200: "20 mins",
    1_800: "30 mins",
    3_600: "1 hour",
    7_200: "2 hours",
    10_800: "3 hours",
    14_400: "4 hours",
    28_800: "8 hours",
    86_400: "1 day",
}


class IBKRBars(IBKRQueries):
    """The adapter's memory: IB's."""

    async def get_bars(
        self,
        symbol: str,
        interval_s: int = 60,
        count: int = 300,
        *,
        what: str = "",
        regular_hours: bool = True,
        timeout_s: float = 30.0,
    ) -> list[Bar]:
        """Bars of the past, oldest first; the running one is left out.

        Parameters
        ----------
        symbol : str
        interval_s : int
            Seconds of a bar; one of those that IB has.
        count : int
            About how many.
        what : str
            IB's ``whatToShow``; trades, and the middle of bid and ask for currencies, if left out.
        regular_hours : bool
            Without what trades before and after.
        timeout_s : float
            Longest wait. IB leaves some wrong requests for history without any answer.

        Raises
        ------
        DataError
            If IB has no such interval, or no data.
        RateLimited, VenueUnavailable
            If it has had enough questions (60 in ten minutes), or does not answer.
        """
        if interval_s not in _BAR_SIZES:
            raise DataError(f"{VENUE}: interval_s {interval_s} is none of IB's: {', '.join(map(str, _BAR_SIZES))}")
        if count < 1:
            raise DataError(f"{VENUE}: count {count} must be 1 or more")
        listing = await self._listing(symbol)
        span_s = interval_s * (count + 1)
        duration = f"{span_s} S" if span_s <= 86_400 else f"{min(365, -(-span_s // 86_400))} D"
        shown = what or ("MIDPOINT" if listing.facts.security.kind == "CASH" else "TRADES")
        client = await self._send("query", f"bars of {symbol}")
        contract = self._contract(listing, self._way(listing))

        def send(key: int) -> None:
            client.reqHistoricalData(
                key, contract, "", duration, _BAR_SIZES[interval_s], shown, regular_hours, 2, False, []
            )

        try:
            rows = await self._questions.by_id(send, timeout_s)
        except Refused as refused:
            raise history_error(symbol, refused) from refused
        except NoAnswer as silence:
            raise VenueUnavailable(f"{VENUE}: bars of {symbol}: {silence}") from silence
        now_ns = self._clock.now_ns()
        bars = [decode_bar(listing.instrument.symbol, row, interval_s) for row in rows]
        return [bar for bar in bars if bar.timestamp_ns <= now_ns][-count:]


def decode_bar(symbol: str, row: Any, interval_s: int) -> Bar:
    """One bar; it is known when its interval is over.

    Raises
    ------
    DataError
        If its time is none.
    """
    text = str(row.date)
    try:
        if isinstance(row.date, datetime):
            start = row.date if row.date.tzinfo else row.date.replace(tzinfo=UTC)
        elif isinstance(row.date, date):
            start = datetime(row.date.year, row.date.month, row.date.day, tzinfo=UTC)
        elif len(text) == 8:
            start = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
        else:
            start = from_ns(int(text) * 1_000_000_000)
    except ValueError as error:
        raise DataError(f"{VENUE}: a bar of {symbol} has time {text!r}, which is none") from error
    prices = [float(exact(value, "bar price")) for value in (row.open, row.high, row.low, row.close)]
    opened, high, low, close = prices
    end_ns = to_ns(start) + interval_s * 1_000_000_000
    return Bar(symbol, end_ns, opened, high, low, close, max(0.0, float(row.volume)))


def history_error(symbol: str, refused: Refused) -> Exception:
    """What a refusal to tell the past means."""
    text = f"{VENUE}: bars of {symbol}: {refused}"
    if refused.code == 162 and "pacing" in str(refused).lower():
        return RateLimited(text, 15.0)
    if refused.code in (162, 200, 321, 354, 366, 10090, 10197):
        return DataError(text)
    return VenueUnavailable(text)
