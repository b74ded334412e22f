"""IB's market data as a feed: quotes and trades, depth, five-second bars, over the adapter's own connection.

Quotes come from market data lines (conflated by IB some times a second), trades tick by tick; IB allows few
subscriptions of the latter, and where it refuses one, the line's last price stands in. Delayed and frozen data are left
out, so that they grow stale here too, unless the adapter was told to take them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from autotrader_lab.execution.adapters.ibkr.contracts import Listing
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, number
from autotrader_lab.execution.adapters.ibkr.depth import Ladder
from autotrader_lab.execution.market_data.feeds import MarketCallback
from autotrader_lab.model.errors import DataError, VenueError, VenueUnavailable
from autotrader_lab.model.market import Bar, MarketEvent, Quote, Trade

if TYPE_CHECKING:
    from autotrader_lab.execution.adapters.ibkr.adapter import IBKRAdapter

__all__ = ["IBKRFeed"]

log = logging.getLogger(__name__)

_BID, _ASK, _LAST = (1, 66), (2, 67), (4, 68)
_BID_SIZE, _ASK_SIZE = (0, 69), (3, 70)
_LIVE = 1
_BAR_S = 5


class _Stream:
    """One subscription: its request id, what it is of, and what it knows."""

    def __init__(self, kind: str, listing: Listing) -> None:
        self.kind = kind
        self.listing = listing
        self.symbol = listing.instrument.symbol
        self.request_id = 0
        self.data_type = _LIVE
        self.bid = self.ask = self.bid_size = self.ask_size = 0.0
        self.ladder = Ladder(self.symbol)
        self.sign: asyncio.Future[None] | None = None

    def heard(self) -> None:
        if self.sign is not None and not self.sign.done():
            self.sign.set_result(None)


class IBKRFeed:
    """Market data of one connection.

    Parameters
    ----------
    adapter : IBKRAdapter
        Whose connection carries them.
    """

    kinds = ("quotes", "trades", "book", "bars")

    def __init__(self, adapter: IBKRAdapter) -> None:
        self._adapter = adapter
        self._callbacks: list[MarketCallback] = []
        self._streams: dict[int, _Stream] = {}
        self._last_prices_for: set[str] = set()
        self._is_open = False

    def kinds_for(self, symbol: str) -> tuple[str, ...]:
        """What there is of a symbol that was looked up: of currencies no trades."""
        listing = self._adapter._known(symbol)
        is_pair = listing is not None and listing.facts.security.kind == "CASH"
        return tuple(kind for kind in self.kinds if not (is_pair and kind == "trades"))

    def subscribe(self, callback: MarketCallback) -> None:
        self._callbacks.append(callback)

    async def open(self, symbols: Iterable[str], kinds: Iterable[str] = ("quotes", "trades")) -> None:
        """Stream `kinds` of `symbols`; currencies have no trades, and are passed over there.

        Raises
        ------
        DataError
            For a kind there is not, or data the account has no subscription for.
        InstrumentError
            If IB lacks a symbol; nothing is streamed then.
        VenueUnavailable
            If it cannot be reached, or does not answer.
        """
        names, wanted = list(dict.fromkeys(symbols)), list(dict.fromkeys(kinds))
        unknown = [kind for kind in wanted if kind not in self.kinds]
        if unknown:
            raise DataError(f"{VENUE}: no feed of {unknown[0]!r}; there are {', '.join(self.kinds)}")
        adapter = self._adapter
        was_open = self._is_open
        if not was_open:
            await adapter._acquire("feed")
            adapter._market_callbacks.append(self._on_market)
            adapter._resubscribe.append(self._again)
            self._is_open = True
        try:
            listings = [await adapter._listing(name) for name in names]
            for listing in listings:
                for kind in wanted:
                    await self._start(_Stream(kind, listing))
        except BaseException:
            if not was_open:
                await self.close()
            raise

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        adapter = self._adapter
        adapter._market_callbacks.remove(self._on_market)
        adapter._resubscribe.remove(self._again)
        streams, self._streams = self._streams, {}
        try:
            for stream in streams.values() if adapter._link.is_up else ():
                await self._cancel(stream)
        except VenueError as error:
            log.info("%s: subscriptions were not cancelled: %s", VENUE, error)
        finally:
            await adapter._release_user("feed")

    # --- subscriptions ----------------------------------------------------------------------------------------

    async def _start(self, stream: _Stream) -> None:
        """Subscribe, and wait for a first sign where there always is one.

        Raises
        ------
        DataError
            If IB refuses.
        """
        if stream.kind not in self.kinds_for(stream.symbol):
            log.info("%s: there are no %s of %s", VENUE, stream.kind, stream.symbol)
            return
        await self._request(stream)
        if stream.kind != "quotes":
            return
        stream.sign = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._adapter._timeout_s):
                await stream.sign
        except TimeoutError:
            raise VenueUnavailable(f"{VENUE}: no sign of market data of {stream.symbol}") from None

    async def _request(self, stream: _Stream) -> None:
        adapter = self._adapter
        listing = stream.listing
        contract = adapter._contract(listing, adapter._way(listing))
        client = await adapter._send("query", f"{stream.kind} of {stream.symbol}")
        key = stream.request_id = adapter._questions.new_id()
        self._streams[key] = stream
        if stream.kind == "quotes":
            if adapter.delayed_data:
                client.reqMarketDataType(3)
                await adapter._send("query", f"{stream.kind} of {stream.symbol}")
            client.reqMktData(key, contract, "", False, False, [])
        elif stream.kind == "trades":
            client.reqTickByTickData(key, contract, "AllLast", 0, False)
        elif stream.kind == "book":
            stream.ladder.clear()
            client.reqMktDepth(key, contract, 10, contract.exchange == "SMART", [])
        else:
            shown = "MIDPOINT" if contract.secType == "CASH" else "TRADES"
            client.reqRealTimeBars(key, contract, _BAR_S, shown, not adapter.outside_hours, [])

    async def _cancel(self, stream: _Stream) -> None:
        adapter, key = self._adapter, stream.request_id
        client = await adapter._send("query", f"end of {stream.kind} of {stream.symbol}")
        if stream.kind == "quotes":
            client.cancelMktData(key)
        elif stream.kind == "trades":
            client.cancelTickByTickData(key)
        elif stream.kind == "book":
            client.cancelMktDepth(key, adapter._way(stream.listing) == "SMART")
        else:
            client.cancelRealTimeBars(key)

    async def _again(self) -> None:
        """Subscribe anew, over a new connection or after IB lost our subscriptions."""
        self._last_prices_for.clear()
        for former_id, stream in list(self._streams.items()):
            # One that is not reached now keeps its former id, and its place for the next time.
            await self._request(stream)
            self._streams.pop(former_id, None)
            if not self._is_open:
                return

    # --- what comes in ----------------------------------------------------------------------------------------

    def _on_market(self, name: str, values: tuple[Any, ...]) -> None:
        stream = self._streams.get(values[0])
        if stream is None:
            return
        if name == "error":
            self._refused(stream, *values[1:])
            return
        if name == "priceSizeTick":
            self._take_price(stream, *values[1:])
        elif name == "tickSize":
            self._take_size(stream, *values[1:])
        elif name == "tickByTickAllLast":
            _, _, price, size, *_ = values[1:]
            self._push(Trade(stream.symbol, self._now_ns(), price, size))
        elif name == "marketDataType":
            self._take_type(stream, values[1])
        elif name in ("updateMktDepth", "updateMktDepthL2"):
            position, operation, side, price, size = (
                values[1:] if name == "updateMktDepth" else (values[1], *values[3:7])
            )
            book = stream.ladder.take(position, operation, side, price, size, self._now_ns())
            if book is not None:
                self._push(book)
        elif name == "realtimeBar":
            start_s, opened, high, low, close, volume, *_ = values[1:]
            end_ns = (int(start_s) + _BAR_S) * 1_000_000_000
            self._push(Bar(stream.symbol, end_ns, opened, high, low, close, max(0.0, volume)))
        stream.heard()

    def _take_type(self, stream: _Stream, data_type: int) -> None:
        stream.data_type = data_type
        if data_type != _LIVE and not self._adapter.delayed_data:
            log.warning(
                "%s: data of %s are %s, and left out; subscribe to them at IB, or set delayed_data",
                VENUE,
                stream.symbol,
                {2: "frozen", 3: "delayed", 4: "delayed and frozen"}.get(data_type, f"of type {data_type}"),
            )

    def _take_price(self, stream: _Stream, tick: int, price: float, size: float) -> None:
        known = number(price, "price")
        value = float(known) if known is not None and known > 0 else 0.0
        if tick in _BID:
            stream.bid, stream.bid_size = value, max(0.0, size)
        elif tick in _ASK:
            stream.ask, stream.ask_size = value, max(0.0, size)
        elif tick in _LAST and stream.symbol in self._last_prices_for and value and self._is_good(stream):
            self._push(Trade(stream.symbol, self._now_ns(), value, max(0.0, size)))
            return
        else:
            return
        self._push_quote(stream)

    def _take_size(self, stream: _Stream, tick: int, size: float) -> None:
        if tick in _BID_SIZE:
            stream.bid_size = max(0.0, size)
        elif tick in _ASK_SIZE:
            stream.ask_size = max(0.0, size)
        else:
            return
        self._push_quote(stream)

    def _is_good(self, stream: _Stream) -> bool:
        return stream.data_type == _LIVE or self._adapter.delayed_data

    def _push_quote(self, stream: _Stream) -> None:
        # The two sides come one after the other: between them they may seem to cross.
        if 0 < stream.bid <= stream.ask and self._is_good(stream):
            self._push(Quote(stream.symbol, self._now_ns(), stream.bid, stream.ask, stream.bid_size, stream.ask_size))

    def _refused(self, stream: _Stream, code: int, text: str) -> None:
        if 2100 <= code < 2200 or code in (10167, 10090):
            return  # delayed, or in part: the data type tells
        if code == 317:
            stream.ladder.clear()
            return
        del self._streams[stream.request_id]
        if stream.kind == "trades":
            log.warning(
                "%s: no trades of %s tick by tick (%d %s), its last price stands in", VENUE, stream.symbol, code, text
            )
            self._last_prices_for.add(stream.symbol)
            return
        if stream.sign is not None and not stream.sign.done():
            stream.sign.set_exception(DataError(f"{VENUE}: {stream.kind} of {stream.symbol}: {code} {text}"))
            return
        log.error("%s: %s of %s ended: %d %s", VENUE, stream.kind, stream.symbol, code, text)

    def _now_ns(self) -> int:
        # Ticks carry whole seconds or no time at all.
        return self._adapter._clock.now_ns()

    def _push(self, event: MarketEvent) -> None:
        for callback in self._callbacks:
            callback(event)
