"""Real prices to try things on: the daily US stocks that the ``bokeh_sampledata`` package carries (no network)."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

import pandas as pd

from autotrader_lab.model.errors import DataError
from autotrader_lab.research.columns import nearest

__all__ = ["stocks"]

_CLOSE_OF_DAY = pd.Timedelta(hours=16)  # New York; a daily bar is known when the session ends


def stocks(symbols: str | Iterable[str] = "AAPL", *, adjusted: bool = True) -> pd.DataFrame:
    """Daily bars of AAPL, FB, GOOG, IBM and MSFT, 2000-03-01 to 2013-03-01 (GOOG since 2004, FB since 2012).

    Parameters
    ----------
    symbols : str or iterable of str
        Which ones; several come in long format, sorted by time.
    adjusted : bool, default True
        Multiply open, high, low and close by the day's ratio of adjusted to raw close, and divide the volume by it, so
        that splits (AAPL's two for one of 2005-02-28, say) and dividends are no price moves. False: prices as they
        were quoted then.

    Returns
    -------
    DataFrame
        symbol, open, high, low, close (US dollars), volume (shares); index: when the session closed, 16:00 in New
        York, as UTC.

    Raises
    ------
    DataError
        If a symbol is not among them, or the package is not installed (it comes with the extra ``lab``).
    """
    wanted = [symbols] if isinstance(symbols, str) else list(symbols)
    try:
        source = importlib.import_module("bokeh_sampledata.stocks")
    except ImportError as error:
        raise DataError(
            "sample prices need the package bokeh_sampledata; install the extra: pip install 'autotrader-lab[lab]'"
        ) from error
    known = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    if not wanted:
        raise DataError(f"no symbol was asked for; there is {', '.join(known)}")
    for symbol in wanted:
        if symbol not in known:
            raise DataError(f"no sample prices for {symbol!r}{nearest(symbol, known)}")
    frames = [_bars(symbol, pd.DataFrame(getattr(source, symbol)), adjusted) for symbol in dict.fromkeys(wanted)]
    return pd.concat(frames).sort_index(kind="stable")


def _bars(symbol: str, raw: pd.DataFrame, adjusted: bool) -> pd.DataFrame:
    days = pd.DatetimeIndex(pd.to_datetime(raw["date"], format="ISO8601"))
    index = (days + _CLOSE_OF_DAY).tz_localize("America/New_York").tz_convert("UTC").rename("time")
    ratio = raw["adj_close"] / raw["close"] if adjusted else pd.Series(1.0, index=raw.index)
    columns = {name: raw[name] * ratio for name in ("open", "high", "low", "close")}
    frame = pd.DataFrame({"symbol": symbol, **columns, "volume": raw["volume"] / ratio})
    return frame.set_index(index)
