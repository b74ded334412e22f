"""The dealer's desk for one account: takes orders, waits with them, fills them at the exchange, records all of it."""

from __future__ import annotations

from typing import Any

import msgspec

from autotrader_lab.sandbox.margin import MarginAccount, MarginExchange
from autotrader_lab.sandbox.orders import (
    Order,
    OrderRequest,
    OrderType,
    Prevention,
    Refused,
    Side,
    Status,
    TimeInForce,
)
from autotrader_lab.sandbox.venues.oanda.errors import MESSAGES, ApiError, Rejected
from autotrader_lab.sandbox.venues.oanda.instruments import HOME, money
from autotrader_lab.sandbox.venues.oanda.netting import Netting
from autotrader_lab.sandbox.venues.oanda.reading import ORDER_TYPES, Wish, check_extensions
from autotrader_lab.sandbox.venues.oanda.record import Record
from autotrader_lab.sandbox.venues.oanda.times import end_of_day_ns
from autotrader_lab.sandbox.venues.oanda.values import DealOrder, Trade
from autotrader_lab.sandbox.world import World

__all__ = ["Desk"]

Json = dict[str, Any]

MOST_PENDING = 1_000
FILL_REASONS = {
    "MARKET": "MARKET_ORDER",
    "LIMIT": "LIMIT_ORDER",
    "STOP": "STOP_ORDER",
    "MARKET_IF_TOUCHED": "MARKET_IF_TOUCHED_ORDER",
    "TRADE_CLOSE": "MARKET_ORDER_TRADE_CLOSE",
    "POSITION_CLOSEOUT": "MARKET_ORDER_POSITION_CLOSEOUT",
}
"""Why an order is filled, by its type or by why it was made."""
_STATES = {"PENDING": Status.NEW, "FILLED": Status.FILLED, "CANCELLED": Status.CANCELED}


class Desk:
    """One account at the dealer.

    Parameters
    ----------
    world : World
        Whose exchange is a margin exchange.
    user_id : int
        The customer's number.
    first_id : int
        Where transaction numbers start.

    Attributes
    ----------
    halted : set of str
        Instruments that cannot be traded now.
    """

    def __init__(self, world: World, user_id: int, first_id: int) -> None:
        assert isinstance(world.exchange, MarginExchange), "the site makes one"
        self.world = world
        self.exchange: MarginExchange = world.exchange
        account = next(iter(world.exchange.accounts.values()))
        assert isinstance(account, MarginAccount), "a margin exchange's accounts are"
        self.account: MarginAccount = account
        self.record = Record(account.name, user_id, first_id, world.clock.now_ns)
        self.netting = Netting(self.exchange, account, self.record)
        self.alias = "Primary"
        self.orders: dict[int, DealOrder] = {}
        self.halted: set[str] = set()
        self._pending: dict[int, DealOrder] = {}
        self._reached: set[int] = set()
        self.record.add(
            "CREATE",
            {
                "divisionID": 1,
                "siteID": int(account.name.partition("-")[0]),
                "accountUserID": user_id,
                "accountNumber": 1,
                "homeCurrency": HOME,
            },
        )
        self.record.add("CLIENT_CONFIGURE", {"alias": self.alias, "marginRate": "0.02"}, self.record.last_id)
        self.record_transfer(self.exchange.deposits.get(HOME, 0))
        world.aside.append(self.audit_orders)

    def record_transfer(self, amount: int) -> None:
        """Record money that came in (e8; negative went out)."""
        self.record.add(
            "TRANSFER_FUNDS",
            {
                "amount": money(amount),
                "fundingReason": "CLIENT_FUNDING" if amount >= 0 else "ADJUSTMENT",
                "accountBalance": money(self.netting.balance),
            },
        )

    # Look-ups

    def find_order(self, specifier: str) -> DealOrder | None:
        """By number, or by ``@`` and the client's id: the pending one, else the latest."""
        if not specifier.startswith("@"):
            return self.orders.get(int(specifier)) if specifier.isdigit() else None
        wanted = specifier[1:]
        found = [order for order in self._pending.values() if order.client_id == wanted]
        found = found or [order for order in self.orders.values() if order.client_id == wanted]
        return found[-1] if found else None

    def pending(self) -> list[DealOrder]:
        """Orders that wait, the newest first."""
        return list(reversed(self._pending.values()))

    def find_trade(self, specifier: str) -> Trade | None:
        """By number, or by ``@`` and the client's id."""
        trades = self.netting.trades
        if not specifier.startswith("@"):
            return trades.get(int(specifier)) if specifier.isdigit() else None
        found = [trade for trade in trades.values() if trade.client_id == specifier[1:]]
        return found[-1] if found else None

    def audit_orders(self) -> list[Order]:
        """Orders that never reached the exchange, in its words, for an audit."""
        return [
            Order(
                account=self.account.name,
                symbol=order.pair.name,
                order_id=order.order_id,
                client_order_id=order.client_id,
                side=Side.BUY if order.units > 0 else Side.SELL,
                type=OrderType.LIMIT if order.wish.type == "LIMIT" else OrderType.STOP_LOSS,
                time_in_force=TimeInForce.GTC,
                price=order.price,
                quantity=abs(order.units),
                quote_quantity=0,
                stop_price=0,
                iceberg=0,
                prevention=Prevention.NONE,
                created_ms=order.created // 1_000_000,
                updated_ms=order.created // 1_000_000,
                status=_STATES[order.state],
            )
            for order in self.orders.values()
            if order.order_id not in self._reached
        ]

    # Orders

    def create(
        self, wish: Wish, reason: str = "CLIENT_ORDER", extra: Json | None = None, only: Trade | None = None
    ) -> Json:
        """Take an order; fill it if that is possible at once.

        Raises
        ------
        ApiError
            400 with the reject transaction.
        """
        try:
            order = self._check(wish)
        except Rejected as rejected:
            raise self._reject(wish, reason, rejected, extra) from rejected
        return self._enter(order, reason, extra or {}, only=only)

    def replace(self, old: DealOrder | None, specifier: str, wish: Wish) -> Json:
        """Cancel a pending order and take another for it.

        Raises
        ------
        ApiError
            404 if there is no such pending order, 400 if the new one is refused: the old one stays then.
        """
        if old is None or old.order_id not in self._pending:
            raise self._cannot_cancel(specifier, old)
        if not wish.extensions and old.extensions:
            wish = msgspec.structs.replace(wish, extensions=old.extensions)
        extra = {"replacesOrderID": str(old.order_id)}
        try:
            if (wish.type, wish.instrument) != (old.wish.type, old.wish.instrument):
                raise Rejected("REPLACING_ORDER_INVALID")
            order = self._check(wish, replacing=old)
        except Rejected as rejected:
            raise self._reject(
                wish, "REPLACEMENT", rejected, {"intendedReplacesOrderID": str(old.order_id)}
            ) from rejected
        more = {"replacedByOrderID": str(self.record.next_id + 1)}
        canceled = self._cancel(old, "CLIENT_REQUEST_REPLACED", more=more)
        old.details |= more
        order.details["replacesOrderID"] = str(old.order_id)
        answer = self._enter(order, "REPLACEMENT", extra, batch=canceled["id"])
        answer["relatedTransactionIDs"].insert(0, canceled["id"])
        return {"orderCancelTransaction": canceled, **answer}

    def cancel(self, order: DealOrder | None, specifier: str) -> Json:
        """Cancel a pending order.

        Raises
        ------
        ApiError
            404 with the reject transaction if it is not pending.
        """
        if order is None or order.order_id not in self._pending:
            raise self._cannot_cancel(specifier, order)
        canceled = self._cancel(order, "CLIENT_REQUEST")
        return self._answer({"orderCancelTransaction": canceled}, [canceled])

    def extend(self, order: DealOrder | None, extensions: Json) -> Json:
        """Change a pending order's client extensions.

        Raises
        ------
        ApiError
            404 if it is not pending, 400 if they are refused.
        """
        if order is None or order.order_id not in self._pending:
            body = {"orderID": str(order.order_id) if order else "", "clientExtensionsModify": extensions}
            raise self._refuse("ORDER_CLIENT_EXTENSIONS_MODIFY", body, "ORDER_DOESNT_EXIST", 404)
        try:
            check_extensions(extensions)
            self._check_client_id(str(extensions.get("id", "")), order)
        except Rejected as rejected:
            body = {"orderID": str(order.order_id), "clientExtensionsModify": extensions}
            raise self._refuse("ORDER_CLIENT_EXTENSIONS_MODIFY", body, rejected.reason, 400) from rejected
        order.extensions = {**order.extensions, **extensions}
        body = {"orderID": str(order.order_id), "clientExtensionsModify": extensions}
        changed = self.record.add("ORDER_CLIENT_EXTENSIONS_MODIFY", body)
        return self._answer({"orderClientExtensionsModifyTransaction": changed}, [changed])

    def _answer(self, body: Json, transactions: list[Json]) -> Json:
        numbers = [transaction["id"] for transaction in transactions]
        return {**body, "relatedTransactionIDs": numbers, "lastTransactionID": self.record.last_id}

    def _reject(self, wish: Wish, reason: str, rejected: Rejected, extra: Json | None) -> ApiError:
        body = {**wish.json(), "reason": reason, "rejectReason": rejected.reason, **(extra or {})}
        refused = self.record.add(f"{wish.type}_ORDER_REJECT", body)
        more = self._answer({"orderRejectTransaction": refused}, [refused])
        return ApiError(400, MESSAGES[rejected.reason], rejected.reason, more)

    def _refuse(self, type_: str, body: Json, reason: str, status: int) -> ApiError:
        refused = self.record.add(f"{type_}_REJECT", {**body, "rejectReason": reason})
        words = type_.lower().split("_")
        name = words[0] + "".join(word.capitalize() for word in words[1:]) + "RejectTransaction"
        return ApiError(status, MESSAGES[reason], reason, self._answer({name: refused}, [refused]))

    def _cannot_cancel(self, specifier: str, order: DealOrder | None) -> ApiError:
        body: Json = {"orderID": str(order.order_id)} if order else {}
        if specifier.startswith("@"):
            body["clientOrderID"] = specifier[1:]
        elif order is None:
            body["orderID"] = specifier
        return self._refuse("ORDER_CANCEL", body, "ORDER_DOESNT_EXIST", 404)

    def _check(self, wish: Wish, replacing: DealOrder | None = None) -> DealOrder:
        pair = wish.pair()
        units, price, bound = wish.units, wish.price(), wish.bound()
        if wish.time_in_force not in ORDER_TYPES[wish.type]:
            raise Rejected("TIME_IN_FORCE_INVALID")
        now = self.record.now()
        ends_ns = 0
        if wish.time_in_force == "GTD":
            if wish.good_till is None:
                raise Rejected("TIME_IN_FORCE_GTD_TIMESTAMP_MISSING")
            if wish.good_till <= now:
                raise Rejected("TIME_IN_FORCE_GTD_TIMESTAMP_IN_PAST")
            ends_ns = int(wish.good_till)
        elif wish.time_in_force == "GFD":
            ends_ns = end_of_day_ns(now)
        check_extensions(wish.extensions)
        self._check_client_id(str(wish.extensions.get("id", "")), replacing)
        if wish.type != "MARKET" and len(self._pending) >= MOST_PENDING:
            raise Rejected("PENDING_ORDERS_ALLOWED_EXCEEDED")
        order = DealOrder(
            order_id=0,
            wish=wish,
            pair=pair,
            units=units,
            price=price,
            bound=bound,
            created=now,
            ends_ns=ends_ns,
            extensions=wish.extensions,
            details={},
        )
        order.rises = price > self._reference(order)
        return order

    def _check_client_id(self, client_id: str, but: DealOrder | None) -> None:
        if client_id and any(o.client_id == client_id and o is not but for o in self._pending.values()):
            raise Rejected("CLIENT_ORDER_ID_ALREADY_EXISTS")

    def _enter(self, order: DealOrder, reason: str, extra: Json, batch: str = "", only: Trade | None = None) -> Json:
        wish = order.wish
        order.fill_reason = FILL_REASONS.get(reason, FILL_REASONS[wish.type])
        created = self.record.add(f"{wish.type}_ORDER", {**wish.json(), "reason": reason, **extra}, batch)
        order.order_id, order.created = int(created["id"]), created["time"]
        self.orders[order.order_id] = order
        batch = created["batchID"]
        outcome: Json | None = None
        if wish.type == "MARKET" or self._is_due(order):
            outcome = self._execute(order, batch, only)
        if outcome is None and wish.time_in_force in ("FOK", "IOC"):
            outcome = self._cancel(order, "TIME_IN_FORCE_EXPIRED", batch)
        body: Json = {"orderCreateTransaction": created}
        if outcome is None:
            self._pending[order.order_id] = order
            return self._answer(body, [created])
        name = "orderFillTransaction" if outcome["type"] == "ORDER_FILL" else "orderCancelTransaction"
        return self._answer({**body, name: outcome}, [created, outcome])

    def _cancel(self, order: DealOrder, reason: str, batch: str = "", more: Json | None = None) -> Json:
        body: Json = {"orderID": str(order.order_id)}
        if order.client_id:
            body["clientOrderID"] = order.client_id
        canceled = self.record.add("ORDER_CANCEL", {**body, **(more or {}), "reason": reason}, batch)
        self._pending.pop(order.order_id, None)
        order.state = "CANCELLED"
        order.details |= {"cancellingTransactionID": canceled["id"], "cancelledTime": canceled["time"]}
        return canceled

    # The market

    def _reference(self, order: DealOrder) -> int:
        """The price that decides about a pending order, e8."""
        bid, ask = self.netting.quote(order.pair)
        is_buy = order.units > 0
        match order.wish.trigger:
            case "BID":
                return bid
            case "ASK":
                return ask
            case "MID":
                return (bid + ask) // 2
            case "INVERSE":
                return bid if is_buy else ask
            case _:
                return ask if is_buy else bid

    def _is_due(self, order: DealOrder) -> bool:
        now, is_buy = self._reference(order), order.units > 0
        if order.wish.type == "MARKET_IF_TOUCHED":
            return now >= order.price if order.rises else now <= order.price
        waits_for_rise = is_buy == (order.wish.type == "STOP")
        return now >= order.price if waits_for_rise else now <= order.price

    def on_market(self) -> bool:
        """Fill what has become possible; True if anything was tried."""
        due = [order for order in list(self._pending.values()) if self._is_due(order)]
        done = [self._execute(order, "", None) for order in due if order.order_id in self._pending]
        return any(outcome is not None for outcome in done)

    def expire(self) -> None:
        """Cancel the orders whose time is over."""
        now = self.record.now()
        for order in list(self._pending.values()):
            if order.ends_ns and order.ends_ns <= now:
                self._cancel(order, "TIME_IN_FORCE_EXPIRED")

    def _execute(self, order: DealOrder, batch: str, only: Trade | None) -> Json | None:
        """Fill or cancel an order whose price is there; None if it has to wait for more liquidity."""
        pair, units = order.pair, order.units
        if pair.name in self.halted:
            return self._cancel(order, "MARKET_HALTED", batch) if order.wish.type == "MARKET" else None
        held = self.account.holding(pair.name).quantity
        if order.wish.position_fill == "REDUCE_ONLY" and only is None:
            if held * units >= 0:
                return self._cancel(order, "POSITION_CLOSEOUT_FAILED", batch)
            units = max(units, -held) if units < 0 else min(units, -held)
        elif order.wish.position_fill == "OPEN_ONLY" and held * units < 0:
            return self._cancel(order, "FIFO_VIOLATION", batch)
        limit = order.price if order.wish.type == "LIMIT" else order.bound
        available = self.netting.available(pair, units, limit)
        if available < abs(units) and order.wish.time_in_force != "IOC":
            if order.wish.type == "LIMIT" and order.wish.time_in_force != "FOK":
                return None
            enough = limit and self.netting.available(pair, units, 0) >= abs(units)
            return self._cancel(order, "BOUNDS_VIOLATION" if enough else "INSUFFICIENT_LIQUIDITY", batch)
        request = OrderRequest(
            symbol=pair.name,
            side=Side.BUY if units > 0 else Side.SELL,
            type=OrderType.LIMIT if limit else OrderType.MARKET,
            client_order_id=order.client_id or str(order.order_id),
            time_in_force=TimeInForce.IOC if order.wish.time_in_force == "IOC" else TimeInForce.FOK,
            quantity=abs(units),
            price=limit,
            prevention=Prevention.NONE,
        )
        quote = self.netting.full_price(pair)
        try:
            traded = self.exchange.place(self.account.name, request, self.world.now_ms())
        except Refused:
            return self._cancel(order, "INSUFFICIENT_MARGIN", batch)
        self._reached.add(order.order_id)
        if not traded.executed:
            return self._cancel(order, "INSUFFICIENT_LIQUIDITY", batch)
        signed = traded.executed if units > 0 else -traded.executed
        filled = self.netting.fill(order, signed, traded.amount, quote, batch, only)
        self._pending.pop(order.order_id, None)
        return filled
