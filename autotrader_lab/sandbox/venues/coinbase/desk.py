"""A world's order desk: what Coinbase keeps of an order beyond the exchange's record, and how orders come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec

from autotrader_lab.sandbox.orders import (
    Account,
    Execution,
    Instrument,
    Order,
    OrderEvent,
    Refused,
    Side,
    Status,
)
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.spot import SpotExchange
from autotrader_lab.sandbox.tape import Candle
from autotrader_lab.sandbox.venues.coinbase.errors import ApiError, OrderError, invalid
from autotrader_lab.sandbox.venues.coinbase.rules import Shape, check_price, check_size, read_configuration
from autotrader_lab.sandbox.world import World

__all__ = ["Desk", "FillRow", "Ticket", "product_id", "require"]

Json = dict[str, Any]

SPACE = UUID("b87a2d3f-8a1e-49b3-a4ea-402d8c389aca")
MOST_CANCELS = 100
NO_EDIT_FAILURE = "UNKNOWN_EDIT_ORDER_FAILURE_REASON"
NO_PREVIEW_FAILURE = "UNKNOWN_PREVIEW_FAILURE_REASON"

_REFUSALS = {
    "INSUFFICIENT_BALANCE": (
        "INSUFFICIENT_FUND",
        "PREVIEW_INSUFFICIENT_FUND",
        "Insufficient balance in source account",
    ),
    "WOULD_TAKE": (
        "INVALID_LIMIT_PRICE_POST_ONLY",
        "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY",
        "Invalid limit price for a post only order",
    ),
    "NO_LIQUIDITY": ("INVALID_NO_LIQUIDITY", "PREVIEW_INVALID_NO_LIQUIDITY", ""),
    "WOULD_TRIGGER": ("UNKNOWN_FAILURE_REASON", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE", ""),
}
_EDIT_REFUSALS = {
    "INSUFFICIENT_BALANCE": (NO_EDIT_FAILURE, "PREVIEW_INSUFFICIENT_FUND"),
    "ALREADY_FILLED": ("CANNOT_EDIT_TO_BELOW_FILLED_SIZE", NO_PREVIEW_FAILURE),
    "WOULD_TAKE": ("INVALID_EDITED_PRICE", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY"),
}


class Ticket(msgspec.Struct, kw_only=True):
    """What Coinbase keeps of an order: its id, configuration as sent, shape, end (ms), and changes made to it."""

    order_id: str
    kind: str
    fields: Json
    shape: Shape
    ends_ms: int | None = None
    edits: list[Json] = []
    cancel_message: str = ""
    triggered: bool = False


class FillRow(msgspec.Struct, frozen=True):
    """A fill with its place in the account's list."""

    number: int
    fill: Execution
    order: Order


def product_id(instrument: Instrument) -> str:
    """``BTC-USD``."""
    return f"{instrument.base}-{instrument.quote}"


class Desk:
    """The orders of one world.

    Parameters
    ----------
    world : World
        Where they trade; its exchange is a SpotExchange.
    """

    def __init__(self, world: World) -> None:
        exchange = world.exchange
        assert isinstance(exchange, SpotExchange), "Coinbase edits orders and charges fees in the quote currency"
        self.world = world
        self.exchange: SpotExchange = exchange
        self.by_id = {product_id(instrument): instrument for instrument in exchange.instruments.values()}
        self.tickets: dict[int, Ticket] = {}
        self.fills: list[FillRow] = []
        self.days: dict[str, tuple[int, Candle, Candle]] = {}
        self._by_id: dict[str, Order] = {}
        self._by_client_id: dict[tuple[str, str], Order] = {}
        self._ending: dict[int, Order] = {}
        world.listeners.append(self._on_events)

    def uuid(self, *what: object) -> str:
        """An id that is this world's own and the same whenever it is asked for."""
        return str(uuid5(SPACE, "/".join(map(str, (self.world.name, *what)))))

    def ticket(self, order: Order) -> Ticket:
        """What Coinbase keeps of an order."""
        return self.tickets[order.order_id]

    def orders(self, account: Account) -> list[Order]:
        """Every order of an account, newest first."""
        rows = (order for orders in account.orders.values() for order in orders.values())
        return sorted(rows, key=lambda order: -order.order_id)

    def find(self, account: Account, order_id: str) -> Order | None:
        """The order of an id."""
        order = self._by_id.get(order_id)
        return order if order is not None and order.account == account.name else None

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if not isinstance(event, OrderEvent):
                continue
            if event.fill is not None:
                self.fills.append(FillRow(event.execution_id, event.fill, event.order))
            if not event.order.status.is_open:
                self._ending.pop(event.order.order_id, None)

    # Orders

    def create(self, account: Account, body: Mapping[str, Any]) -> Json:
        """Answer of ``POST orders``.

        Raises
        ------
        ApiError
            400 if it is no order at all.
        """
        client_id = str(body.get("client_order_id") or "")
        if not client_id:
            raise invalid("client_order_id is required")
        configuration = body.get("order_configuration")
        known = self._by_client_id.get((account.name, client_id))
        if known is not None:
            # Documented: the order that has the id is returned, whatever the request says.
            return self._created(known)
        try:
            return self._created(self._place(account, body, client_id))
        except OrderError as error:
            return {
                "success": False,
                "error_response": {
                    "error": error.error,
                    "message": error.message,
                    "error_details": "",
                    "preview_failure_reason": error.preview,
                    "new_order_failure_reason": error.error,
                },
                "order_configuration": configuration if isinstance(configuration, dict) else {},
            }

    def _place(self, account: Account, body: Mapping[str, Any], client_id: str) -> Order:
        instrument, side = self.instrument(body.get("product_id")), self.side(body)
        now_ms, last = self.world.now_ms(), self.exchange.last_price[instrument.symbol]
        configuration = body.get("order_configuration")
        request, kind, shape, ends_ms = read_configuration(configuration, instrument, side, client_id, last, now_ms)
        try:
            order = self.exchange.place(account.name, request, now_ms)
        except Refused as refusal:
            raise OrderError(*_REFUSALS[refusal.reason]) from refusal
        assert isinstance(configuration, dict), "it was read"
        ticket = Ticket(
            order_id=self.uuid("order", order.order_id),
            kind=kind,
            fields=_completed(kind, configuration[kind]),
            shape=shape,
            ends_ms=ends_ms,
            edits=[],
        )
        self.tickets[order.order_id] = ticket
        self._by_id[ticket.order_id] = order
        self._by_client_id[account.name, client_id] = order
        if ends_ms is not None and order.status.is_open:
            self._ending[order.order_id] = order
        return order

    def instrument(self, name: Any) -> Instrument:
        """The instrument of a product id.

        Raises
        ------
        OrderError
            INVALID_PRODUCT_ID.
        """
        found = self.by_id.get(str(name))
        if found is None:
            raise OrderError("INVALID_PRODUCT_ID", "PREVIEW_INVALID_PRODUCT_ID", f"unknown product {name!r}")
        return found

    def side(self, body: Mapping[str, Any]) -> Side:
        """Which way.

        Raises
        ------
        OrderError
            INVALID_SIDE.
        """
        if body.get("side") not in ("BUY", "SELL"):
            raise OrderError("INVALID_SIDE", "PREVIEW_INVALID_SIDE")
        return Side(str(body["side"]))

    def _created(self, order: Order) -> Json:
        ticket = self.ticket(order)
        return {
            "success": True,
            "success_response": {
                "order_id": ticket.order_id,
                "product_id": product_id(self.exchange.instruments[order.symbol]),
                "side": str(order.side),
                "client_order_id": order.client_order_id,
                "attached_order_id": "",
            },
            "order_configuration": {ticket.kind: ticket.fields},
        }

    def cancel(self, account: Account, order_ids: Sequence[Any]) -> Json:
        """Answer of ``POST orders/batch_cancel``.

        Raises
        ------
        ApiError
            400 for none or too many.
        """
        if not order_ids:
            raise invalid("order_ids is required")
        if len(order_ids) > MOST_CANCELS:
            raise invalid(f"at most {MOST_CANCELS} order_ids")
        results = []
        for order_id in order_ids:
            order = self.find(account, str(order_id))
            reason = "UNKNOWN_CANCEL_FAILURE_REASON"
            if order is None:
                reason = "UNKNOWN_CANCEL_ORDER"
            elif not order.status.is_open:
                reason = "INVALID_CANCEL_REQUEST"
            else:
                self.ticket(order).cancel_message = "User requested cancel"
                self.exchange.cancel(account.name, order, self.world.now_ms())
            success = reason == "UNKNOWN_CANCEL_FAILURE_REASON"
            results.append({"success": success, "failure_reason": reason, "order_id": str(order_id)})
        return {"results": results}

    def edit(self, account: Account, body: Mapping[str, Any]) -> Json:
        """Answer of ``POST orders/edit``: price and size of a limit order that is good until canceled."""
        try:
            order, quantity, price = self.check_edit(account, body)
        except OrderError as error:
            return _edit_failed(error)
        ticket, now_ms = self.ticket(order), self.world.now_ms()
        try:
            self.exchange.revise(account.name, order, quantity, price, now_ms)
        except Refused as refusal:
            reasons = _EDIT_REFUSALS.get(refusal.reason, ("ONLY_OPEN_ORDERS_CAN_BE_EDITED", NO_PREVIEW_FAILURE))
            return _edit_failed(OrderError(*reasons))
        size_text = str(body.get("size") or ticket.fields["base_size"])
        price_text = str(body.get("price") or ticket.fields["limit_price"])
        ticket.fields = ticket.fields | {"base_size": size_text, "limit_price": price_text}
        ticket.edits.append({"price": price_text, "size": size_text, "replace_accept_ms": now_ms})
        return {"success": True, "success_response": {"order_id": ticket.order_id}, "errors": []}

    def check_edit(self, account: Account, body: Mapping[str, Any]) -> tuple[Order, int, int]:
        """The order that an edit means, its new quantity and its new price.

        Raises
        ------
        OrderError
            With the documented reasons.
        """
        order = self.find(account, str(body.get("order_id") or ""))
        if order is None:
            raise OrderError("ORDER_NOT_FOUND", NO_PREVIEW_FAILURE)
        ticket, instrument = self.ticket(order), self.exchange.instruments[order.symbol]
        if ticket.kind != "limit_limit_gtc":
            raise OrderError("ONLY_LIMIT_ORDER_EDITS_SUPPORTED", NO_PREVIEW_FAILURE)
        if not order.status.is_open:
            raise OrderError("ONLY_OPEN_ORDERS_CAN_BE_EDITED", NO_PREVIEW_FAILURE)
        if not body.get("price") and not body.get("size"):
            raise OrderError("INVALID_EDITED_PRICE", NO_PREVIEW_FAILURE)
        quantity, price = order.quantity, order.price
        try:
            if body.get("size"):
                quantity = check_size(body, "size", instrument)
            if body.get("price"):
                price = check_price(body, "price", instrument)
        except OrderError as error:
            which = "INVALID_EDITED_SIZE" if "SIZE" in error.preview else "INVALID_EDITED_PRICE"
            raise OrderError(which, error.preview) from error
        return order, quantity, price

    def expire(self, now_ms: int) -> None:
        """End the orders whose time is over."""
        due = [order for order in self._ending.values() if (self.ticket(order).ends_ms or now_ms) <= now_ms]
        for order in due:
            del self._ending[order.order_id]
            if order.status.is_open:
                self.exchange.expire(order.account, order, now_ms)
        if due:
            self.world.publish()

    def status(self, order: Order) -> str:
        """Coinbase's word for where an order stands."""
        if order.status.is_open:
            return "OPEN"
        if order.status is Status.FILLED:
            return "FILLED"
        ticket = self.ticket(order)
        is_over = ticket.ends_ms is not None and order.updated_ms >= ticket.ends_ms
        return "EXPIRED" if order.status is Status.EXPIRED and is_over else "CANCELLED"


def _completed(kind: str, fields: Json) -> Json:
    """A configuration as the venue shows it: what was sent, and whether it is for makers only."""
    return {"post_only": False, **fields} if kind in ("limit_limit_gtc", "limit_limit_gtd") else dict(fields)


def _edit_failed(error: OrderError) -> Json:
    details = {"edit_failure_reason": error.error, "preview_failure_reason": error.preview}
    return {
        "success": False,
        "error_response": {"error_details": error.message, "edit_order_failure_reason": error.error},
        "errors": [details],
    }


def require(found: Order | None) -> Order:
    """An order that must be there.

    Raises
    ------
    ApiError
        404.
    """
    if found is None:
        raise ApiError(404, "NOT_FOUND", "order with this orderID was not found")
    return found
