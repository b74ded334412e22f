"""Binance spot: what it alone does its own way. Everything else is :mod:`.ccxt_venue`'s.

Orders go out as the venue's own parameters, written from Decimals, over REST or (``websocket_orders=True``) over the
WebSocket API that carries the user-data stream anyway; ccxt signs, sends and reads. Reports come from
``userDataStream.subscribe.signature``: the listenKey it replaced was retired in February 2026.
"""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from autotrader_lab.execution.adapters import ccxt_binance as codec
from autotrader_lab.execution.adapters import ccxt_binance_send as send
from autotrader_lab.execution.adapters.base import Capabilities
from autotrader_lab.execution.adapters.ccxt_updates import Update
from autotrader_lab.execution.adapters.ccxt_venue import CcxtAdapter
from autotrader_lab.execution.adapters.ccxt_wire import Addresses, make_exchange
from autotrader_lab.execution.market_data.ccxt_feed import CcxtFeed
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import ConfigError, DataError, OrderError, VenueUnavailable
from autotrader_lab.model.instruments import Instrument, Instruments, plain_text
from autotrader_lab.model.orders import Fill, Order, OrderType

__all__ = ["BinanceAdapter"]

_LOST = "autotrader:user-data"
_PAGE = 1000
_CLOSING = "Cannot write to closing transport"
"""What aiohttp says before it has written anything of a frame."""

log = logging.getLogger(__name__)


class BinanceAdapter(CcxtAdapter):
    """A Binance spot account.

    Parameters
    ----------
    api_key, api_secret : str or SecretStr
        HMAC, RSA or Ed25519 key of the world that `testnet` names.
    testnet : bool, default False
        testnet.binance.vision; False is real money.
    addresses : mapping, optional
        Origins of the local sandbox, ``{"rest": …, "ws": …, "live": {"rest": …, "ws": …}}``; left out: the real venue.
    clock : Clock, optional
    websocket_orders : bool, default False
        Send, change and cancel over the WebSocket API instead of REST: less latency, same outcomes.
    timeout_s : float, default 10
        Longest wait for an answer, seconds. What was sent and not answered by then is in doubt.
    clock_sync_s : float, default 300
        How often the venue's clock is measured, seconds.
    order_window_s : float, default 2
        The venue refuses a request that arrives later than this after it was stamped (its ``recvWindow``). The longer
        it is, the longer an order that got no answer may still turn up, and stays in doubt.

    Raises
    ------
    ConfigError
        If a key is missing or an address is not on this machine.
    """

    venue = codec.VENUE
    exchange_id = "binance"
    codes = codec.CODES
    amends_only_smaller = True
    capabilities = Capabilities(
        order_types=frozenset(OrderType),
        times_in_force=frozenset({"GTC", "IOC", "FOK"}),
        post_only=True,
        reports=True,
        client_order_ids=True,
        open_orders=True,
        fills_since=True,
        # In place and only to a smaller quantity; can_amend tells.
        amend=True,
        cancel_all=True,
        instruments=True,
        shorting=False,
    )

    def __init__(
        self,
        api_key: str | SecretStr,
        api_secret: str | SecretStr,
        testnet: bool = False,
        *,
        addresses: Addresses | None = None,
        clock: Clock | None = None,
        websocket_orders: bool = False,
        timeout_s: float = 10.0,
        clock_sync_s: float = 300.0,
        order_window_s: float = 2.0,
    ) -> None:
        super().__init__(
            api_key,
            api_secret,
            testnet,
            addresses=addresses,
            clock=clock,
            timeout_s=timeout_s,
            clock_sync_s=clock_sync_s,
        )
        if not 0 < order_window_s <= 60:
            raise ConfigError(f"{self.venue}: order_window_s {order_window_s} must be over 0 and at most 60, seconds")
        self.order_window_s = order_window_s
        # The venue takes stamps that are up to a second ahead of its clock.
        self.arrival_window_s = order_window_s + 1.0
        self.websocket_orders = websocket_orders
        self._rules: dict[str, codec.Rules] = {}
        self._answers: dict[str, Any] = {}

    def feed(self) -> CcxtFeed:
        """Market data of the same world, over connections of its own."""
        return CcxtFeed(
            self.exchange_id,
            testnet=self.testnet,
            addresses=self._addresses,
            clock=self._clock,
            timeout_s=self._timeout_s,
            markets_of=lambda: self._exchange,
        )

    # --- the connection ---------------------------------------------------------------------------------------

    def _make_exchange(self, local: dict[str, str] | None) -> Any:
        exchange = make_exchange(
            self.exchange_id,
            testnet=self.testnet,
            timeout_s=self._timeout_s,
            local=local,
            api_key=self._key.get_secret_value(),
            api_secret=self._secret.get_secret_value(),
            budget=self._budget,
            tap=self._tap,
        )
        exchange.options["recvWindow"] = round(self.order_window_s * 1000)
        return exchange

    async def _load(self, exchange: Any) -> Instruments:
        raw = _object(await exchange.publicGetExchangeInfo())
        exchange.options["crossMarginPairsData"] = exchange.options["isolatedMarginPairsData"] = []
        exchange.set_markets(exchange.parse_markets(raw["symbols"]))
        for limit in raw.get("rateLimits", ()):
            if limit["rateLimitType"] == "REQUEST_WEIGHT" and limit["interval"] == "MINUTE":
                self._budget.weight_per_minute = int(limit["limit"]) // int(limit["intervalNum"])
        listed = Instruments(venue=self.venue)
        for market in exchange.markets.values():
            instrument, rules = codec.decode_instrument(market["info"], market["symbol"])
            listed.add(instrument)
            self._rules[instrument.symbol] = rules
        return listed

    async def _balances(self) -> dict[str, Decimal]:
        return codec.decode_balances(_object(await self._exchange.privateGetAccount({"omitZeroBalances": "true"})))

    @property
    def _ws_api(self) -> str:
        return str(self._exchange.urls["api"]["ws"]["ws-api"]["spot"])

    async def _subscribe(self) -> _UserStream:
        exchange, url = self._exchange, self._ws_api
        stale = exchange.clients.pop(url, None)
        if stale is not None:
            # Before close, which cancels what still waits on it, and a cancelled wait looks like our own end.
            stale.reject(ConnectionError("the connection is made anew"))
            await stale.close()
        # ccxt would wait up to 30 s after failed dials; how long to wait is the stream keeper's to say.
        exchange.ws_dial_backoff = {}
        exchange.open()
        client = exchange.client(url)
        await self._call_ws(client, "userDataStream.subscribe.signature", {})
        if client.closed():
            raise ConnectionError("the user stream ended as it began")
        return _UserStream(client)

    def _tap(self, message: Any) -> bool:
        """Every WebSocket message, before ccxt; true for what ccxt need not see: private events and our answers."""
        if not isinstance(message, dict):
            return False
        answer = self._answers.get(message.get("id", ""))
        if answer is not None and message.get("status") == 200:
            answer.resolve(message.get("result"))
        for limit in message.get("rateLimits") or ():
            if limit.get("rateLimitType") == "REQUEST_WEIGHT" and "count" in limit:
                self._budget.note(int(limit["count"]))
        if answer is not None:
            return bool(answer.done())
        event = message.get("event", message)
        kind = event.get("e") if isinstance(event, dict) else None
        if kind == "executionReport":
            self._stream.push(event)
        elif kind in ("eventStreamTerminated", "serverShutdown"):
            client = self._exchange.clients.get(self._ws_api) if self._exchange is not None else None
            if client is not None:
                client.reject(ConnectionError(f"the venue ends the stream ({kind})"), _LOST)
        return kind is not None

    def _decode(self, message: Any) -> list[Update]:
        venue_symbol = str(message.get("s", ""))
        if venue_symbol not in self.instruments:
            return []
        update = codec.decode_report(message, self.instruments[venue_symbol].symbol)
        return [] if update is None else [update]

    # --- calls ------------------------------------------------------------------------------------------------

    def _check(self, order: Order, instrument: Instrument) -> None:
        send.check(order, instrument, self._rules[instrument.symbol])

    def _check_amend(self, view: Order, quantity: float | None, price: float | None) -> tuple[Decimal, Decimal | None]:
        change = super()._check_amend(view, quantity, price)
        if not self._rules[view.symbol].amendable:
            raise OrderError(
                f"{self.venue}: {view.symbol} orders cannot be changed in place; cancel it and send what is left anew"
            )
        return change

    async def _place(self, order: Order, instrument: Instrument) -> tuple[Order, list[Fill]]:
        params = send.encode_order(order, instrument)
        try:
            raw = await self._trade("POST", "order", "order.place", params)
        except Exception as error:
            if codec.DUPLICATE_MESSAGE in str(error):
                from ccxt.base.errors import DuplicateOrderId

                raise DuplicateOrderId(str(error)) from error
            raise
        snapshot = codec.decode_order(raw, instrument.symbol)
        return snapshot, codec.decode_order_fills(raw, instrument.symbol)

    async def _cancel(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        params = self._which(symbol, order_id, client_order_id)
        return codec.decode_order(await self._trade("DELETE", "order", "order.cancel", params), symbol)

    async def _cancel_symbol(self, symbol: str) -> list[Order]:
        params = {"symbol": self.instruments[symbol].venue_symbol}
        raw = await self._trade("DELETE", "openOrders", "openOrders.cancelAll", params)
        if not isinstance(raw, list):
            raise DataError(f"{self.venue}: no list in the answer {str(raw)[:120]!r}")
        # An order list (OCO) stands as one entry that carries its orders.
        orders = [order for entry in raw for order in entry.get("orderReports", (entry,))]
        return [codec.decode_order(order, symbol) for order in orders]

    async def _amend(self, view: Order, quantity: Decimal, price: Decimal | None) -> Order:
        params = {
            **self._which(view.symbol, view.order_id, view.client_order_id),
            "newQty": plain_text(quantity),
            # Left out, the venue makes up a new id and ours is gone.
            "newClientOrderId": view.client_order_id,
        }
        raw = _object(await self._trade("PUT", "order/amend/keepPriority", "order.amend.keepPriority", params))
        return codec.decode_order(
            {**raw.get("amendedOrder", {}), "transactTime": raw.get("transactTime", 0)}, view.symbol
        )

    async def _query(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        raw = await self._exchange.privateGetOrder(self._which(symbol, order_id, client_order_id))
        return codec.decode_order(raw, symbol)

    async def _open(self, symbol: str | None) -> list[Order]:
        params = {} if symbol is None else {"symbol": self.instruments[symbol].venue_symbol}
        raw = await self._exchange.privateGetOpenOrders(params)
        if not isinstance(raw, list):
            raise DataError(f"{self.venue}: no list in the answer {str(raw)[:120]!r}")
        return [codec.decode_order(order, self.instruments[order["symbol"]].symbol) for order in raw]

    async def _trades(self, symbol: str, *, since_ms: int = 0, order_id: str = "") -> list[Fill]:
        params: dict[str, Any] = {"symbol": self.instruments[symbol].venue_symbol, "limit": _PAGE}
        if order_id:
            params["orderId"] = order_id
        elif since_ms:
            params["startTime"] = since_ms
        else:
            # Without any of them the venue gives the latest page only.
            params["fromId"] = 0
        found: dict[int, Fill] = {}
        while True:
            raw = await self._exchange.privateGetMyTrades(params)
            if not isinstance(raw, list):
                raise DataError(f"{self.venue}: no list in the answer {str(raw)[:120]!r}")
            found.update((int(trade["id"]), codec.decode_trade(trade, symbol)) for trade in raw)
            if len(raw) < _PAGE:
                return [found[number] for number in sorted(found)]
            # The page is full: the next one starts after its last trade, which only an id can say exactly.
            params.pop("startTime", None)
            params["fromId"] = max(found) + 1

    def _which(self, symbol: str, order_id: str, client_order_id: str) -> dict[str, str]:
        which = {"orderId": order_id} if order_id else {"origClientOrderId": client_order_id}
        return {"symbol": self.instruments[symbol].venue_symbol, **which}

    async def _trade(self, verb: str, path: str, method: str, params: dict[str, str]) -> Any:
        """Send one state-changing call, the way this adapter was told to."""
        if self.websocket_orders and self._stream.is_live:
            client = self._exchange.clients.get(self._ws_api)
            if client is not None and not client.closed():
                try:
                    return await self._call_ws(client, method, params)
                except VenueUnavailable as error:
                    log.warning("%s: taking the other road: %s", self.venue, error)
        return await self._exchange.request(path, ["private"], verb, params)

    async def _call_ws(self, client: Any, method: str, params: dict[str, str]) -> Any:
        """Ask over the WebSocket API. What ccxt does around it costs more than the call, so only its parts are used."""
        exchange = self._exchange
        request_id = str(exchange.request_id(client.url))
        # In client.futures an error answer and the end of the line find it too.
        answer = self._answers[request_id] = client.future(request_id)
        try:
            async with asyncio.timeout(self._timeout_s):
                if client.connection is None:
                    # A dial that fails is told to the answer only.
                    await asyncio.wait({client.connect(exchange.session), answer}, return_when=asyncio.FIRST_COMPLETED)
                if answer.done():
                    return answer.result()
                signed = exchange.sign_params(params)
                await self._send_ws(client, {"id": request_id, "method": method, "params": signed})
                return await answer
        finally:
            del self._answers[request_id]
            client.futures.pop(request_id, None)

    async def _send_ws(self, client: Any, request: dict[str, Any]) -> None:
        try:
            await client.send(request)
        except ConnectionResetError as error:
            if _CLOSING not in str(error):
                raise
            raise VenueUnavailable(f"{self.venue}: {request['method']} never left, the socket is closing") from error


class _UserStream:
    """The subscription on its ccxt client."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.ended: asyncio.Future[Any] = client.future(_LOST)
        self.ended.add_done_callback(_look)

    def is_alive(self) -> bool:
        """Whether the socket is open and nothing has gone wrong on it."""
        return not self._client.closed() and self._client.error is None


def _look(ended: asyncio.Future[Any]) -> None:
    """Take note of how it ended, so that asyncio does not complain where nobody waited any more."""
    if not ended.cancelled():
        ended.exception()


def _object(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise DataError(f"{codec.VENUE}: no object in the answer {str(raw)[:120]!r}")
    return raw
