"""FXCM's quotes as a feed. There are no others: FXCM shows no depth, no sizes and no trades."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from autotrader_lab.execution.adapters.fxcm.decode import VENUE
from autotrader_lab.execution.market_data.feeds import MarketCallback
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.market import Quote

if TYPE_CHECKING:
    from autotrader_lab.execution.adapters.fxcm.account import FXCMAccount

__all__ = ["FXCMFeed"]


class FXCMFeed:
    """Best bid and ask while they can be traded on; indicative prices are left out, so they grow stale.

    Parameters
    ----------
    account : FXCMAccount
        Whose session carries them.
    """

    kinds = ("quotes",)

    def __init__(self, account: FXCMAccount) -> None:
        self._account = account
        self._callbacks: list[MarketCallback] = []
        self._is_open = False

    def subscribe(self, callback: MarketCallback) -> None:
        self._callbacks.append(callback)

    async def open(self, symbols: Iterable[str], kinds: Iterable[str] = ("quotes", "trades")) -> None:
        """Stream quotes of `symbols`; of `kinds`, quotes are what FXCM has.

        Raises
        ------
        DataError
            If quotes are not asked for.
        InstrumentError
            If FXCM lacks a symbol; nothing is streamed then.
        VenueUnavailable
            If it cannot be reached.
        """
        asked = tuple(kinds)
        if "quotes" not in asked:
            raise DataError(f"{VENUE}: asked for {', '.join(asked) or 'nothing'}; FXCM streams quotes and nothing else")
        account = self._account
        await account._acquire("feed")
        try:
            names = tuple(dict.fromkeys(account.instruments.find(symbol).symbol for symbol in symbols))
            new = [name for name in names if name not in account._streamed]
            account._streamed = (*account._streamed, *new)
            if account._link.is_up:
                account._request_quotes(new)
        except BaseException:
            if not self._is_open:
                await account._release("feed")
            raise
        if not self._is_open:
            account._quote_callbacks.append(self._push)
        self._is_open = True

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        account = self._account
        account._quote_callbacks.remove(self._push)
        streamed, account._streamed = account._streamed, ()
        if account._link.is_up:
            account._request_quotes(streamed, on=False)
        await account._release("feed")

    def _push(self, quote: Quote) -> None:
        for callback in self._callbacks:
            callback(quote)
