"""OKX spot: what it alone does its own way. Everything else is :mod:`.ccxt_venue`'s.

Answers to new, changed and cancelled orders say only that the request was taken; what became of it is told on the
private stream, or asked for. Stops stand in a list of their own (*algo orders*) with ids of their own; the order they
lead to is ours under the same client id and gets a new venue id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from autotrader_lab.execution.adapters import ccxt_okx as codec
from autotrader_lab.execution.adapters import ccxt_okx_send as send
from autotrader_lab.execution.adapters.base import Capabilities
from autotrader_lab.execution.adapters.ccxt_account import secret
from autotrader_lab.execution.adapters.ccxt_errors import Meaning, meaning_of
from autotrader_lab.execution.adapters.ccxt_names import PlainInstruments, encode_name
from autotrader_lab.execution.adapters.ccxt_okx_line import OkxLines
from autotrader_lab.execution.adapters.ccxt_pace import Pace
from autotrader_lab.execution.adapters.ccxt_updates import Update
from autotrader_lab.execution.adapters.ccxt_venue import CcxtAdapter
from autotrader_lab.execution.adapters.ccxt_wire import Addresses, make_exchange
from autotrader_lab.execution.market_data.ccxt_feed import CcxtFeed
from autotrader_lab.model.clock import Clock, from_ns, to_ns
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    ConfigError,
    DataError,
    OrderError,
    OutcomeUnknown,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instrument, Instruments, exact, plain_text
from autotrader_lab.model.orders import Fill, Order, OrderStatus, OrderType

__all__ = ["OKXAdapter"]

log = logging.getLogger(__name__)

_PAGE = 100
_BATCH = 20
_ALGO_BATCH = 10
_MARGIN_MODES = ("3", "4")
_RECENT_MS = 3 * 86_400_000 - 3_600_000
"""What the quick list of executions reaches back, with an hour to spare; the slow one has three months."""


class OKXAdapter(CcxtAdapter):
    """An OKX spot account.

    Parameters
    ----------
    api_key, api_secret, passphrase : str or SecretStr
        Key of the world that `testnet` names, and the passphrase chosen when it was made.
    testnet : bool, default False
        OKX demo trading; False is real money.
    addresses : mapping, optional
        Origins of the local sandbox, ``{"rest": …, "ws": …, "live": {"rest": …, "ws": …}}``; left out: the real venue.
    clock : Clock, optional
    websocket_orders : bool, default False
        Send, change and cancel over the private WebSocket instead of REST: less latency, same outcomes.
    timeout_s : float, default 10
        Longest wait for an answer, seconds. What was sent and not answered by then is in doubt.
    clock_sync_s : float, default 300
        How often the venue's clock is measured, seconds.
    order_window_s : float, default 2
        The venue refuses an order that arrives later than this after it was sent (its ``expTime``). The longer it is,
        the longer an order that got no answer may still turn up, and stays in doubt. Stops have no such end: theirs is
        the venue's 30 s for any request.
    paced : bool, default True
        Keep to the venue's published 60 requests of a kind in 2 s. False only for load tests.

    Raises
    ------
    ConfigError
        If a key is missing or an address is not on this machine.
    """

    venue = codec.VENUE
    exchange_id = "okx"
    codes = codec.CODES
    limit_window_s = 2.0
    clock_codes = frozenset({"50036"})
    capabilities = Capabilities(
        order_types=frozenset(OrderType),
        times_in_force=frozenset({"GTC", "IOC", "FOK"}),
        post_only=True,
        reports=True,
        client_order_ids=True,
        open_orders=True,
        fills_since=True,
        # Price and quantity, both ways; not of a stop that waits. can_amend tells.
        amend=True,
        cancel_all=True,
        instruments=True,
        shorting=False,
        native_dead_man_switch=True,
    )

    def __init__(
        self,
        api_key: str | SecretStr,
        api_secret: str | SecretStr,
        passphrase: str | SecretStr,
        testnet: bool = False,
        *,
        addresses: Addresses | None = None,
        clock: Clock | None = None,
        websocket_orders: bool = False,
        timeout_s: float = 10.0,
        clock_sync_s: float = 300.0,
        order_window_s: float = 2.0,
        paced: bool = True,
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
        self._passphrase = secret(passphrase)
        if not self._passphrase.get_secret_value():
            raise ConfigError(f"{self.venue}: passphrase is empty; it was chosen when the key was made")
        if not 0 < order_window_s <= 30:
            raise ConfigError(f"{self.venue}: order_window_s {order_window_s} must be over 0 and at most 30, seconds")
        self.order_window_s = order_window_s
        # Clocks are measured to some ms; a second is generous.
        self.arrival_window_s = order_window_s + 1.0
        if paced:
            self._pace = Pace(self._clock, 60, 2.0, shared=False)
        self.websocket_orders = websocket_orders
        self._rules: dict[str, codec.Rules] = {}
        self._trade_mode = "cash"
        self._lines: OkxLines | None = None
        self._algos: set[str] = set()

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

    async def arm_dead_man_switch(self, seconds: float) -> None:
        """Have OKX cancel every pending order (not waiting stops) unless called again within `seconds`; 0 disarms.

        Raises
        ------
        ConfigError
            If `seconds` is neither 0 nor 10 to 120.
        """
        if seconds != 0 and not 10 <= seconds <= 120:
            raise ConfigError(f"{self.venue}: the dead man's switch takes 0 (off) or 10 to 120 seconds, not {seconds}")
        params = {"timeOut": str(round(seconds))}
        await self._ask("cancel", "dead man's switch", lambda: self._post("trade/cancel-all-after", params))

    # --- the connection ---------------------------------------------------------------------------------------

    def _make_exchange(self, local: dict[str, str] | None) -> Any:
        exchange = make_exchange(
            self.exchange_id,
            testnet=self.testnet,
            timeout_s=self._timeout_s,
            local=local,
            api_key=self._key.get_secret_value(),
            api_secret=self._secret.get_secret_value(),
            passphrase=self._passphrase.get_secret_value(),
            budget=self._budget,
            tap=lambda message: self._lines is not None and self._lines.tap(message),
        )
        exchange.options["orderWindowMs"] = round(self.order_window_s * 1000)
        return exchange

    async def _load(self, exchange: Any) -> Instruments:
        raw = codec.rows(await exchange.publicGetPublicInstruments({"instType": "SPOT"}))
        listed = PlainInstruments(venue=self.venue)
        markets = []
        for row in raw:
            market = exchange.parse_market(row)
            try:
                instrument, rules = codec.decode_instrument(row, market["symbol"])
            except (DataError, KeyError, TypeError) as error:
                log.info("%s: %s is left out: %s", self.venue, row.get("instId"), error)
                continue
            markets.append(market)
            listed.add(instrument)
            self._rules[instrument.symbol] = rules
        exchange.set_markets(markets)
        return listed

    async def _check_keys(self) -> None:
        try:
            raw = await self._ask("query", "the account", self._exchange.privateGetAccountConfig)
        except AuthenticationFailed as error:
            raise self._wrong_keys(error) from error.__cause__
        account = codec.first_row(raw)
        rights = str(account.get("perm", "")).split(",")
        if "trade" not in rights:
            raise AuthenticationFailed(
                f"{self.venue} {self._world}: the key {self._masked_key} may only {account.get('perm')}; give it the "
                "permission to trade"
            )
        if "withdraw" in rights:
            log.warning("%s: the key %s may withdraw; take that permission away", self.venue, self._masked_key)
        if str(account.get("acctLv")) in _MARGIN_MODES:
            if account.get("autoLoan") in (True, "true"):
                raise ConfigError(
                    f"{self.venue} {self._world}: the account borrows by itself (autoLoan), so a spot order could "
                    "trade borrowed money; switch auto-borrow off or the account to spot mode"
                )
            self._trade_mode = "cross"

    async def _balances(self) -> dict[str, Decimal]:
        return codec.decode_balances(await self._exchange.privateGetAccountBalance())

    async def _subscribe(self) -> OkxLines:
        self._lines = OkxLines(self._exchange, self._timeout_s, self._stream.push)
        await self._lines.open()
        return self._lines

    def _decode(self, message: tuple[str, Any]) -> list[Update]:
        channel, row = message
        name = str(row.get("instId", ""))
        if name not in self.instruments:
            return []
        symbol = self.instruments[name].symbol
        if channel == "orders":
            return codec.decode_push(row, symbol)
        self._algos.add(str(row.get("algoId", "")))
        return codec.decode_algo_push(row, symbol)

    # --- orders -----------------------------------------------------------------------------------------------

    def _check(self, order: Order, instrument: Instrument) -> None:
        send.check(order, instrument, self._rules[instrument.symbol])

    def _check_amend(self, view: Order, quantity: float | None, price: float | None) -> tuple[Decimal, Decimal | None]:
        if view.order_id in self._algos:
            raise OrderError(
                f"{self.venue}: order {view.client_order_id} waits for its stop and cannot be changed in place; cancel "
                "it and send it anew"
            )
        return super()._check_amend(view, quantity, price)

    async def _place(self, order: Order, instrument: Instrument) -> tuple[Order, list[Fill]]:
        # The answer's own time is that of its end, when the order may have been executed already.
        at_ns = self._not_later_ns()
        if send.is_algo(order):
            params = send.encode_algo(order, instrument, self._trade_mode)
            row = await self._post("trade/order-algo", params)
            order_id = _given(row, "algoId")
            self._algos.add(order_id)
        else:
            params = send.encode_order(order, instrument, self._trade_mode)
            row = await self._trade("trade/order", "order", params, instrument.symbol)
            order_id = _given(row, "ordId")
        taken = replace(order, order_id=order_id, status=OrderStatus.SUBMITTED, updated_at=from_ns(at_ns))
        if order.post_only and order.status is OrderStatus.PENDING:
            # It may have been thrown out the moment it was taken, and that is a refusal.
            try:
                taken = await self._query(instrument.symbol, order_id, order.client_order_id)
            except Exception as error:  # noqa: BLE001 - the venue has it, that is certain; the stream tells the rest
                log.info("%s: order %s was taken, and not found at once: %r", self.venue, order_id, error)
        return taken, []

    async def _cancel(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        view = self.orders.get(client_order_id)
        waits = order_id in self._algos or (not order_id and view is not None and send.is_algo(view))
        if waits:
            try:
                await self._post("trade/cancel-algos", [self._which_algo(symbol, order_id, client_order_id)])
            except Exception as error:
                if meaning_of(error, self.codes) is not Meaning.NOT_FOUND:
                    raise
                led_to = await self._query_algo(symbol, order_id, client_order_id)
                if not led_to.is_open or led_to.order_id == order_id:
                    raise
                # Its stop was reached meanwhile: what it led to is what has to be cancelled.
                return await self._cancel(symbol, led_to.order_id, client_order_id)
        else:
            params = self._which(symbol, order_id, client_order_id)
            await self._trade("trade/cancel-order", "cancel-order", params, symbol)
        return await self._until(symbol, order_id, client_order_id, lambda order: not order.is_open)

    async def _cancel_symbol(self, symbol: str) -> list[Order]:
        working = await self._open(symbol)
        name = self.instruments[symbol].venue_symbol
        plain = [{"instId": name, "ordId": o.order_id} for o in working if o.order_id not in self._algos]
        waiting = [{"instId": name, "algoId": o.order_id} for o in working if o.order_id in self._algos]
        await asyncio.gather(
            *(self._cancel_some("trade/cancel-batch-orders", part) for part in _parts(plain, _BATCH)),
            *(self._cancel_some("trade/cancel-algos", part) for part in _parts(waiting, _ALGO_BATCH)),
        )
        ended = {order.order_id: order for order in await self._recently_done(symbol)} if plain else {}
        left = [order for order in working if order.order_id not in ended]
        found = await asyncio.gather(
            *(self._until(symbol, o.order_id, o.client_order_id, lambda order: not order.is_open) for o in left)
        )
        return [ended[order.order_id] for order in working if order.order_id in ended] + list(found)

    async def _cancel_some(self, path: str, which: list[dict[str, str]]) -> None:
        """Cancel these; those that were done by then are no error."""
        try:
            await self._exchange.request(path, ["private"], "POST", which)
        except Exception as error:
            if meaning_of(error, self.codes) is not Meaning.NOT_FOUND:
                raise

    async def _amend(self, view: Order, quantity: Decimal, price: Decimal | None) -> Order:
        params = {**self._which(view.symbol, view.order_id, view.client_order_id), "newSz": plain_text(quantity)}
        if price is not None:
            params["newPx"] = plain_text(price)
        await self._trade("trade/amend-order", "amend-order", params, view.symbol)

        def is_changed(order: Order) -> bool:
            same_price = price is None or exact(order.price or 0) == price
            return not order.is_open or (exact(order.quantity) == quantity and same_price)

        changed = await self._until(view.symbol, view.order_id, view.client_order_id, is_changed)
        if not is_changed(changed):
            raise OutcomeUnknown(
                f"{self.venue}: the change of order {view.client_order_id} was taken and has not come about yet; it "
                f"stands at {changed.quantity} at {changed.price}"
            )
        return changed

    # --- questions --------------------------------------------------------------------------------------------

    async def _query(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        view = self.orders.get(client_order_id)
        is_stop = view is not None and send.is_algo(view)
        if order_id in self._algos or (is_stop and not order_id):
            return await self._query_algo(symbol, order_id, client_order_id)
        try:
            raw = await self._exchange.privateGetTradeOrder(self._which(symbol, order_id, client_order_id))
            return codec.decode_order(codec.first_row(raw), symbol)
        except Exception as error:
            if meaning_of(error, self.codes) is not Meaning.NOT_FOUND or (view is not None and not is_stop):
                raise
        return await self._query_algo(symbol, order_id, client_order_id)

    async def _query_algo(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        """A stop, or the order it led to."""
        which = self._which_algo(symbol, order_id, client_order_id)
        raw = codec.first_row(await self._exchange.privateGetTradeOrderAlgo(which))
        led_to = str(raw.get("ordId") or "") or next(iter(raw.get("ordIdList") or ()), "")
        self._algos.add(str(raw.get("algoId", "")))
        if not led_to:
            return codec.decode_algo(raw, symbol)
        found = await self._exchange.privateGetTradeOrder(self._which(symbol, led_to, ""))
        return codec.decode_order(codec.first_row(found), symbol)

    async def _until(
        self, symbol: str, order_id: str, client_order_id: str, condition: Callable[[Order], bool]
    ) -> Order:
        """The order once it is so, or as it is when waiting gets long: what the venue takes it does a little later."""
        found = await self._query(symbol, order_id, client_order_id)
        for pause_s in (0.01, 0.05, 0.1, 0.2, 0.4):
            if condition(found):
                break
            await self._clock.sleep(pause_s)
            found = await self._query(symbol, order_id, client_order_id)
        return found

    async def _open(self, symbol: str | None) -> list[Order]:
        where = {"instType": "SPOT"} | ({} if symbol is None else {"instId": self.instruments[symbol].venue_symbol})
        exchange = self._exchange
        plain, *algos = await asyncio.gather(
            self._pages(exchange.privateGetTradeOrdersPending, where, "ordId"),
            *(
                self._pages(exchange.privateGetTradeOrdersAlgoPending, {**where, "ordType": kind}, "algoId")
                for kind in ("conditional,oco", "trigger")
            ),
        )
        found = [codec.decode_order(row, self._symbol_of(row)) for row in plain]
        for row in (row for rows in algos for row in rows):
            self._algos.add(str(row.get("algoId", "")))
            found.append(codec.decode_algo(row, self._symbol_of(row)))
        return found

    async def _recently_done(self, symbol: str) -> list[Order]:
        params = {"instType": "SPOT", "instId": self.instruments[symbol].venue_symbol, "limit": str(_PAGE)}
        raw = codec.rows(await self._exchange.privateGetTradeOrdersHistory(params))
        return [codec.decode_order(row, symbol) for row in raw]

    async def _trades(self, symbol: str, *, since_ms: int = 0, order_id: str = "") -> list[Fill]:
        params = {"instType": "SPOT", "instId": self.instruments[symbol].venue_symbol}
        recent, older = self._exchange.privateGetTradeFills, self._exchange.privateGetTradeFillsHistory
        if order_id:
            params["ordId"] = order_id
            found = await self._pages(recent, params, "billId") or await self._pages(older, params, "billId")
        else:
            params["begin"] = str(since_ms)
            is_recent = since_ms > self._venue_now_ns() // 1_000_000 - _RECENT_MS
            found = await self._pages(recent if is_recent else older, params, "billId")
        fills = [codec.decode_fill(row, symbol) for row in reversed(found)]
        return sorted(fills, key=lambda fill: to_ns(fill.timestamp))

    async def _pages(
        self, ask: Callable[[dict[str, str]], Awaitable[Any]], params: dict[str, str], cursor: str
    ) -> list[dict[str, Any]]:
        """All rows, newest first."""
        found: list[dict[str, Any]] = []
        params = {**params, "limit": str(_PAGE)}
        while True:
            page = codec.rows(await ask(params))
            found += page
            if len(page) < _PAGE:
                return found
            params = {**params, "after": str(page[-1][cursor])}

    def _symbol_of(self, row: dict[str, Any]) -> str:
        name = str(row.get("instId", ""))
        return self.instruments[name].symbol if name in self.instruments else name

    # --- requests ---------------------------------------------------------------------------------------------

    def _which(self, symbol: str, order_id: str, client_order_id: str) -> dict[str, str]:
        which = {"ordId": order_id} if order_id else {"clOrdId": encode_name(client_order_id)}
        return {"instId": self.instruments[symbol].venue_symbol, **which}

    def _which_algo(self, symbol: str, order_id: str, client_order_id: str) -> dict[str, str]:
        which = {"algoId": order_id} if order_id else {"algoClOrdId": encode_name(client_order_id)}
        return {"instId": self.instruments[symbol].venue_symbol, **which}

    async def _post(self, path: str, params: Any) -> dict[str, Any]:
        return codec.first_row(await self._exchange.request(path, ["private"], "POST", params))

    async def _trade(self, path: str, operation: str, params: dict[str, str], symbol: str) -> dict[str, Any]:
        """Send one state-changing call, the way this adapter was told to."""
        lines = self._lines
        if not self.websocket_orders or lines is None or not self._stream.is_live or not lines.is_alive():
            return await self._post(path, params)
        code = self._rules[symbol].code
        over_socket: dict[str, Any] = dict(params)
        if code is not None:
            # Over the WebSocket the venue replaces the name of a symbol by its number.
            over_socket["instIdCode"] = code
            del over_socket["instId"]
        try:
            return codec.first_row(await lines.call(operation, over_socket))
        except VenueUnavailable as error:
            log.warning("%s: taking the other road: %s", self.venue, error)
        return await self._post(path, params)


def _given(row: dict[str, Any], name: str) -> str:
    if not row.get(name):
        raise DataError(f"{codec.VENUE}: no {name} in the answer {str(row)[:120]!r}")
    return str(row[name])


def _parts(whole: list[dict[str, str]], size: int) -> Iterable[list[dict[str, str]]]:
    return (whole[start : start + size] for start in range(0, len(whole), size))
