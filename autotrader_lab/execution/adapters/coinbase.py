"""Coinbase Advanced Trade: what it alone does its own way. Everything else is :mod:`.ccxt_venue`'s.

The venue has no test world to speak of: its "sandbox" gives canned answers. ``testnet=True`` therefore works only with
the addresses of the local sandbox. Its private stream tells that an order was executed but not by which trades; those
are asked for at once, and fills come from there alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from autotrader_lab.execution.adapters import ccxt_coinbase as codec
from autotrader_lab.execution.adapters import ccxt_coinbase_send as send
from autotrader_lab.execution.adapters.base import Capabilities
from autotrader_lab.execution.adapters.ccxt_coinbase_line import CoinbaseLine, private_key
from autotrader_lab.execution.adapters.ccxt_names import PlainInstruments
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
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instrument, Instruments, exact, plain_text
from autotrader_lab.model.orders import Fill, Order, OrderStatus, OrderType

__all__ = ["CoinbaseAdapter"]

log = logging.getLogger(__name__)

_PAGE = 250
_BATCH = 100
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GONE = frozenset({"UNKNOWN_CANCEL_ORDER", "ORDER_IS_FULLY_FILLED", "INVALID_CANCEL_REQUEST", "ORDER_NOT_FOUND"})
_UNDER_WAY = frozenset({"DUPLICATE_CANCEL_REQUEST", "ORDER_IS_BEING_REPLACED"})


class CoinbaseAdapter(CcxtAdapter):
    """A Coinbase Advanced Trade spot account.

    Parameters
    ----------
    api_key, api_secret : str or SecretStr
        Name (``organizations/…/apiKeys/…``) and private key (PEM, or Ed25519 in Base64) of a Coinbase developer
        platform key.
    testnet : bool, default False
        Only with `addresses`: the venue has no test world.
    addresses : mapping, optional
        Origins of the local sandbox, ``{"rest": …, "ws": …, "ws_user": …, "live": {…}}``; left out: the real venue.
    clock : Clock, optional
    timeout_s : float, default 10
        Longest wait for an answer, seconds. What was sent and not answered by then is in doubt.
    clock_sync_s : float, default 300
        How often the venue's clock is measured, seconds.
    order_window_s : float, default 5
        Lifetime of a request's token, whole seconds: the venue refuses what arrives later. The longer it is, the longer
        an order that got no answer may still turn up, and stays in doubt.
    paced : bool, default True
        Keep to the venue's published 30 requests a second. False only for load tests.

    Raises
    ------
    ConfigError
        If a key is missing, an address is not on this machine, or a test world is asked for that is not there.
    """

    venue = codec.VENUE
    exchange_id = "coinbase"
    codes = codec.CODES
    limit_window_s = 1.0
    # A token whose time has not come, or is over, is refused in the same words as a wrong key.
    clock_hints = frozenset({"AuthenticationError"})
    capabilities = Capabilities(
        order_types=frozenset(OrderType) - {OrderType.STOP},
        times_in_force=frozenset({"GTC", "IOC", "FOK"}),
        post_only=True,
        reports=True,
        client_order_ids=True,
        open_orders=True,
        fills_since=True,
        # Price and quantity of GTC limit orders; can_amend tells.
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
        timeout_s: float = 10.0,
        clock_sync_s: float = 300.0,
        order_window_s: float = 5.0,
        paced: bool = True,
    ) -> None:
        if testnet and addresses is None:
            raise ConfigError(
                f"{self.venue} has no test world: what it calls sandbox gives canned answers to orders. Give the "
                "addresses of the local sandbox, or testnet=False (execution.coinbase.testnet: false) for real money"
            )
        super().__init__(
            api_key,
            api_secret,
            testnet,
            addresses=addresses,
            clock=clock,
            timeout_s=timeout_s,
            clock_sync_s=clock_sync_s,
        )
        self._secret, self._is_pem = private_key(self._secret)
        if not 1 <= order_window_s <= 120:
            raise ConfigError(f"{self.venue}: order_window_s {order_window_s} must be 1 to 120, seconds")
        self.order_window_s = order_window_s
        # Tokens count whole seconds.
        self.arrival_window_s = order_window_s + 2.0
        if paced:
            self._pace = Pace(self._clock, 30, 1.0, shared=True)
        self._rules: dict[str, codec.Rules] = {}
        self._line: CoinbaseLine | None = None
        self._hints: dict[str, Order] = {}

    @property
    def _masked_key(self) -> str:
        # All keys begin alike.
        return f"…{self._key.get_secret_value()[-4:]}"

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
            tap=lambda message: self._line is not None and self._line.tap(message),
        )
        exchange.options["orderWindowMs"] = round(self.order_window_s * 1000)
        return exchange

    async def _load(self, exchange: Any) -> Instruments:
        raw = await exchange.v3PublicGetBrokerageMarketProducts({"product_type": "SPOT"})
        listed = PlainInstruments(venue=self.venue)
        markets = []
        for row in codec.rows(raw, "products"):
            market = exchange.parse_spot_market(row, {})
            try:
                instrument, rules = codec.decode_instrument(row, market["symbol"])
            except (DataError, KeyError, TypeError) as error:
                log.info("%s: %s is left out: %s", self.venue, row.get("product_id"), error)
                continue
            markets.append(market)
            listed.add(instrument)
            self._rules[instrument.symbol] = rules
        exchange.set_markets(markets)
        return listed

    async def _check_keys(self) -> None:
        try:
            rights = await self._ask("query", "the key", self._exchange.v3PrivateGetBrokerageKeyPermissions)
        except AuthenticationFailed as error:
            raise self._wrong_keys(error) from error.__cause__
        if not isinstance(rights, Mapping) or rights.get("can_trade") is not True:
            raise AuthenticationFailed(
                f"{self.venue} {self._world}: the key {self._masked_key} may not trade; give it the permission"
            )
        if rights.get("can_transfer"):
            log.warning("%s: the key %s may transfer money; take that permission away", self.venue, self._masked_key)

    async def _balances(self) -> dict[str, Decimal]:
        ask = self._exchange.v3PrivateGetBrokerageAccounts
        return codec.decode_balances(await self._pages(ask, {"limit": _PAGE}, "accounts"))

    async def _subscribe(self) -> CoinbaseLine:
        # Whatever was still to be asked for is part of the gap that is closed next.
        self._hints.clear()
        push = self._stream.push
        self._line = CoinbaseLine(self._exchange, self._clock, self._timeout_s, self._is_pem, push)
        await self._line.open()
        return self._line

    # --- what the stream tells --------------------------------------------------------------------------------

    def _decode(self, message: Any) -> list[Update]:
        """Nothing: the stream tells no events but how orders stand; see :meth:`_snapshots`."""
        return []

    def _on_message(self, message: Any) -> None:
        try:
            snapshots = self._snapshots(message)
        except (DataError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            log.warning("%s: a private message was not understood, asking the venue: %r", self.venue, error)
            self._stream.ask_resync()
            return
        for snapshot in snapshots:
            view = self._view(snapshot.symbol, snapshot.order_id, (snapshot.client_order_id,))
            if view is None:
                continue
            self._client_ids[view.symbol, snapshot.order_id] = view.client_order_id
            is_told = snapshot._filled <= view._filled and not _is_changed(view, snapshot)
            if is_told and view.client_order_id not in self._hints:
                self._absorb(view, snapshot, ())
            else:
                self._hints[view.client_order_id] = snapshot
                self._stream.ask_settle()

    def _snapshots(self, message: Mapping[str, Any]) -> list[Order]:
        at_ns = codec.time_ns(message["timestamp"])
        found = []
        for event in codec.rows(message, "events"):
            for row in event.get("orders") or ():
                name = str(row.get("product_id", ""))
                symbol = self.instruments[name].symbol if name in self.instruments else name
                found.append(codec.decode_stream_order(row, symbol, at_ns))
        return found

    async def _settle_told(self) -> None:
        while self._hints:
            hints, waiting = list(self._hints.items()), self._hints
            await asyncio.gather(*(self._settle_hint(name, snapshot) for name, snapshot in hints))
            for name, snapshot in hints:
                if waiting.get(name) is snapshot:
                    del waiting[name]

    async def _settle_hint(self, name: str, snapshot: Order) -> None:
        """Bring one order to what the stream said of it; the trades are listed a little later than they happen."""
        view = self.orders.get(name)
        if view is None:
            return
        symbol, order_id = view.symbol, view.order_id or snapshot.order_id
        for pause_s in (0.1, 0.3, 1.0, 3.0, 0.0):
            try:
                if _is_changed(view, snapshot):
                    # The stream does not say what it was changed to in a way that can be relied on.
                    snapshot = await self._ask("query", f"order {name}", lambda: self._query(symbol, order_id, name))
                await self._settle(view, snapshot)
                return
            except VenueUnavailable as error:
                if not pause_s:
                    raise
                log.info("%s: order %s is not settled yet: %s", self.venue, name, error)
            await self._clock.sleep(pause_s)

    # --- orders -----------------------------------------------------------------------------------------------

    def _check(self, order: Order, instrument: Instrument) -> None:
        send.check(order, instrument, self._rules[instrument.symbol])

    def _check_amend(self, view: Order, quantity: float | None, price: float | None) -> tuple[Decimal, Decimal | None]:
        if view.order_type is not OrderType.LIMIT or view.effective_time_in_force != "GTC":
            raise OrderError(
                f"{self.venue}: order {view.client_order_id} is no GTC limit order and cannot be changed in place; "
                "cancel it and send what is left anew"
            )
        return super()._check_amend(view, quantity, price)

    async def _place(self, order: Order, instrument: Instrument) -> tuple[Order, list[Fill]]:
        # The answer has no time; the order is at least as young as this.
        sent = from_ns(self._not_later_ns())
        raw = await self._exchange.v3PrivatePostBrokerageOrders(send.encode_order(order, instrument))
        return replace(order, order_id=codec.placed_id(raw), status=OrderStatus.SUBMITTED, updated_at=sent), []

    async def _cancel(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        if not order_id:
            found = await self._query(symbol, "", client_order_id)
            if not found.is_open:
                return found
            order_id = found.order_id
        raw = await self._exchange.v3PrivatePostBrokerageOrdersBatchCancel({"order_ids": [order_id]})
        for row in codec.rows(raw, "results"):
            reason = codec.failure_of(row)
            if reason in _GONE:
                raise OrderNotFound(f"{self.venue}: order {order_id} cannot be cancelled: {reason}")
            if reason and reason not in _UNDER_WAY:
                raise OrderRefused(f"order {order_id} cannot be cancelled: {reason}", reason)
        return await self._until(symbol, order_id, lambda order: not order.is_open)

    async def _cancel_symbol(self, symbol: str) -> list[Order]:
        working = await self._open(symbol)
        parts = list(_parts([order.order_id for order in working], _BATCH))
        ask = self._exchange.v3PrivatePostBrokerageOrdersBatchCancel
        await asyncio.gather(*(ask({"order_ids": part}) for part in parts))
        listed = await asyncio.gather(*(self._list({"order_ids": part}) for part in parts))
        ended = {order.order_id: order for orders in listed for order in orders if not order.is_open}
        left = [order.order_id for order in working if order.order_id not in ended]
        late = await asyncio.gather(*(self._until(symbol, name, lambda order: not order.is_open) for name in left))
        return [*ended.values(), *late]

    async def _amend(self, view: Order, quantity: Decimal, price: Decimal | None) -> Order:
        limit = exact(view.price or 0) if price is None else price
        params = {"order_id": view.order_id, "price": plain_text(limit), "size": plain_text(quantity)}
        reason = codec.failure_of(await self._exchange.v3PrivatePostBrokerageOrdersEdit(params))
        if reason:
            raise OrderRefused(f"order {view.client_order_id} cannot be changed: {reason}", reason)

        def is_changed(order: Order) -> bool:
            return not order.is_open or (exact(order.quantity) == quantity and exact(order.price or 0) == limit)

        changed = await self._until(view.symbol, view.order_id, is_changed)
        if not is_changed(changed):
            raise OutcomeUnknown(
                f"{self.venue}: the change of order {view.client_order_id} was taken and has not come about yet; it "
                f"stands at {changed.quantity} at {changed.price}"
            )
        return changed

    # --- questions --------------------------------------------------------------------------------------------

    async def _query(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        if order_id:
            raw = await self._exchange.v3PrivateGetBrokerageOrdersHistoricalOrderId({"order_id": order_id})
            row = raw.get("order") if isinstance(raw, Mapping) else raw
            return codec.decode_order(row, symbol, self._venue_now_ns())
        view = self.orders.get(client_order_id)
        since_ns = to_ns(view.created_at) if view is not None and view.created_at is not None else self._connected_ns
        # The venue looks nothing up by our id: what was made since then is listed and searched.
        params = {"product_ids": [self._product(symbol)], "start_date": codec.time_text(since_ns - 60_000_000_000)}
        for order in await self._list(params):
            if order.client_order_id == client_order_id:
                return order
        raise OrderNotFound(f"{self.venue}: no order {client_order_id} in {symbol}")

    async def _until(self, symbol: str, order_id: str, condition: Callable[[Order], bool]) -> Order:
        """The order once it is so, or as it is when waiting gets long: what the venue takes it does a little later."""
        found = await self._query(symbol, order_id, "")
        for pause_s in (0.01, 0.05, 0.1, 0.2, 0.4):
            if condition(found):
                break
            await self._clock.sleep(pause_s)
            found = await self._query(symbol, order_id, "")
        return found

    async def _open(self, symbol: str | None) -> list[Order]:
        where = {} if symbol is None else {"product_ids": [self._product(symbol)]}
        # OPEN does not go together with other states.
        states = (["OPEN"], ["PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"])
        listed = await asyncio.gather(*(self._list({**where, "order_status": state}) for state in states))
        return list({order.order_id: order for orders in listed for order in orders if order.is_open}.values())

    async def _list(self, params: dict[str, Any]) -> list[Order]:
        ask = self._exchange.v3PrivateGetBrokerageOrdersHistoricalBatch
        found = await self._pages(ask, {**params, "limit": _PAGE}, "orders")
        spot = (row for row in found if row.get("product_type") == "SPOT")
        return [codec.decode_order(row, self._symbol_of(row), self._venue_now_ns()) for row in spot]

    async def _trades(self, symbol: str, *, since_ms: int = 0, order_id: str = "") -> list[Fill]:
        params: dict[str, Any] = {"limit": _PAGE}
        if order_id:
            params["order_ids"] = [order_id]
        else:
            since = codec.time_text(since_ms * 1_000_000)
            params |= {"product_ids": [self._product(symbol)], "start_sequence_timestamp": since}
        found = await self._pages(self._exchange.v3PrivateGetBrokerageOrdersHistoricalFills, params, "fills")
        fills = []
        for row in found:
            try:
                fills.append(codec.decode_fill(row, symbol, self.instruments[symbol].quote))
            except DataError as error:
                log.warning("%s: left out: %s", self.venue, error)
        return sorted(fills, key=lambda fill: to_ns(fill.timestamp))

    async def _pages(
        self, ask: Callable[[dict[str, Any]], Awaitable[Any]], params: dict[str, Any], name: str
    ) -> list[dict[str, Any]]:
        """All rows. Some lists give a cursor with their last page too, so a page that is not full is the last."""
        found: list[dict[str, Any]] = []
        while True:
            raw = await ask(params)
            page = codec.rows(raw, name)
            found += page
            cursor = str(raw.get("cursor") or "")
            is_last = not cursor or raw.get("has_next") is False or ("has_next" not in raw and len(page) < _PAGE)
            if is_last or cursor == params.get("cursor"):
                return found
            params = {**params, "cursor": cursor}

    def _product(self, symbol: str) -> str:
        return str(self.instruments[symbol].venue_symbol)

    def _symbol_of(self, row: Mapping[str, Any]) -> str:
        name = str(row.get("product_id", ""))
        return self.instruments[name].symbol if name in self.instruments else name

    def _is_venue_id(self, text: str) -> bool:
        return _UUID.fullmatch(text) is not None


def _is_changed(view: Order, snapshot: Order) -> bool:
    """Whether a working limit order stands at another total or limit than we believe."""
    if snapshot.status not in (OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL) or view.order_type is OrderType.MARKET:
        return False
    new_price = snapshot.price is not None and view.limit_price is not None and snapshot.price != view.price
    return new_price or exact(snapshot.quantity) != exact(view.quantity)


def _parts(whole: list[str], size: int) -> Iterable[list[str]]:
    return (whole[start : start + size] for start in range(0, len(whole), size))
