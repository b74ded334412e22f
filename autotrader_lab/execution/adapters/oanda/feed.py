"""Oanda's quotes as a feed. There are no others: a dealer shows no trades, and its depth is its own offers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from autotrader_lab.execution.adapters.oanda.figures import decode_quote
from autotrader_lab.execution.adapters.oanda.values import VENUE
from autotrader_lab.execution.market_data.feeds import MarketCallback
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.market import Quote

if TYPE_CHECKING:
    from autotrader_lab.execution.adapters.oanda.account import OandaAccount

__all__ = ["OandaFeed"]

log = logging.getLogger(__name__)


class OandaFeed:
    """Best bid and ask from the pricing stream while they can be traded on; others are left out, so they grow stale.

    Each opening begins with a snapshot. Oanda sends at most four prices a second for an instrument.

    Parameters
    ----------
    account : OandaAccount
        Whose prices they are.
    """

    kinds = ("quotes",)

    def __init__(self, account: OandaAccount) -> None:
        self._account = account
        self._callbacks: list[MarketCallback] = []
        self._connection_callbacks: list[Callable[[str, str], None]] = []
        self._stream: Any = None
        self._newest_ns: dict[str, int] = {}
        self.symbols: tuple[str, ...] = ()

    def subscribe(self, callback: MarketCallback) -> None:
        self._callbacks.append(callback)

    def subscribe_connection(self, callback: Callable[[str, str], None]) -> None:
        """Call `callback` with ("lost" or "restored", reason)."""
        self._connection_callbacks.append(callback)

    async def open(self, symbols: Iterable[str], kinds: Iterable[str] = ("quotes", "trades")) -> None:
        """Stream quotes of `symbols`; of `kinds`, quotes are what Oanda has. Opened again, `symbols` are added.

        Raises
        ------
        DataError
            If quotes are not asked for.
        InstrumentError
            If Oanda lacks a symbol; nothing is streamed then.
        AuthenticationFailed, VenueUnavailable
            If it cannot be reached, or the token is refused.
        """
        asked = tuple(kinds)
        if "quotes" not in asked:
            raise DataError(f"{VENUE}: asked for {', '.join(asked) or 'nothing'}; Oanda streams only quotes")
        account, user = self._account, f"feed {id(self)}"
        await account._acquire(user)
        try:
            found = [account.instruments.find(symbol) for symbol in dict.fromkeys((*self.symbols, *symbols))]
            names = tuple(dict.fromkeys(instrument.symbol for instrument in found))
            if not names:
                raise DataError(f"{VENUE}: no symbol was named to stream quotes of")
            if names == self.symbols:
                return
            await self._begin(names)
        except BaseException:
            if self._stream is None:
                await account._release(user)
            raise

    async def _begin(self, names: tuple[str, ...]) -> None:
        """Open one stream for all of them, in the place of the one there was."""
        from oandapyV20.endpoints.pricing import PricingStream

        from autotrader_lab.execution.adapters.oanda.stream import KeptStream

        account = self._account
        wanted = ",".join(account.instruments.find(name).venue_symbol for name in names)
        stream = KeptStream(
            f"{VENUE}-prices",
            account._make_wire,
            lambda: PricingStream(account.account_id, params={"instruments": wanted, "snapshot": "true"}),
            account._clock,
            account._silence_s,
            on_open=_nothing,
            on_message=self._on_message,
            on_change=self._on_change,
        )
        await stream.start()
        before, self._stream = self._stream, stream
        self.symbols = names
        if before is not None:
            await before.stop()

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        self.symbols = ()
        if stream is not None:
            await stream.stop()
            await self._account._release(f"feed {id(self)}")

    def _on_message(self, message: Mapping[str, Any]) -> None:
        if message.get("type") != "PRICE":
            if message.get("type") != "HEARTBEAT":
                log.info("%s: a message of type %r among the prices", VENUE, str(message.get("type"))[:40])
            return
        try:
            symbol, quote = decode_quote(message)
        except DataError as error:
            log.warning("%s: a price was not understood: %s", VENUE, error)
            return
        self._account.tradeable[symbol] = quote is not None
        if quote is None or quote.timestamp_ns < self._newest_ns.get(symbol, 0):
            return
        self._newest_ns[symbol] = quote.timestamp_ns
        self._push(quote)

    def _push(self, quote: Quote) -> None:
        for callback in self._callbacks:
            callback(quote)

    def _on_change(self, state: str, reason: str) -> None:
        for callback in self._connection_callbacks:
            callback(state, reason)


async def _nothing() -> None:
    """There is no gap to close: each opening begins with a snapshot."""
