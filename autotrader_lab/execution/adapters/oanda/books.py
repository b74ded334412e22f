"""What Oanda's transactions mean for our orders: each told once, whichever way and however often it came.

A transaction comes up to three times: in the answer to a request, on the stream, and when a gap is closed. Its number
is its name, so that each is looked at once. An order that is replaced gets a new number and keeps our id; it stays the
same order here.
"""

from __future__ import annotations

import logging
from decimal import Decimal

from autotrader_lab.execution.adapters.base import NOT_SEEN, BaseBrokerAdapter
from autotrader_lab.execution.adapters.oanda.decode import (
    VENUE,
    Created,
    Ended,
    Executed,
    Refusal,
    Ticket,
    Transaction,
)
from autotrader_lab.execution.adapters.oanda.figures import universal
from autotrader_lab.execution.adapters.oanda.values import number_of, text_of
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.orders import (
    Accepted,
    Amended,
    Cancelled,
    Expired,
    Fill,
    Filled,
    Order,
    OrderStatus,
    OrderType,
    Rejected,
    Report,
)

__all__ = ["ALREADY_EXISTS", "WORKING", "OandaBooks", "fill_of", "is_later"]

log = logging.getLogger(__name__)

WORKING = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL})
ALREADY_EXISTS = "CLIENT_ORDER_ID_ALREADY_EXISTS"
_REPLACED = "CLIENT_REQUEST_REPLACED"
_RAN_OUT = frozenset({"TIME_IN_FORCE_EXPIRED"})
_NO_MATCH = frozenset({"INSUFFICIENT_LIQUIDITY", "BOUNDS_VIOLATION"})
_STATES = {
    "PENDING": OrderStatus.SUBMITTED,
    "TRIGGERED": OrderStatus.SUBMITTED,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELLED,
}


def is_later(order_id: str, than: str) -> bool:
    """Whether an order came after another: their ids are the numbers of the transactions that made them."""
    ours, theirs = number_of(order_id), number_of(than)
    return ours > theirs if ours and theirs else order_id != than


def fill_of(done: Executed, home: str, symbol: str, client_order_id: str) -> Fill:
    """A fill as ours; `home` is the account's currency, in which fees are taken."""
    told = {
        "realised": done.profit,
        "financing": done.financing,
        "half_spread": done.half_spread,
    }
    metadata = {name: float(value) for name, value in told.items() if value}
    if done.vwap != done.price:
        metadata["vwap"] = float(done.vwap)
    return Fill(
        order_id=done.order_id,
        symbol=symbol,
        side=done.side,
        quantity=float(abs(done.units)),
        price=float(done.price),
        commission=float(done.fee),
        timestamp=from_ns(done.timestamp_ns),
        execution_id=done.id,
        metadata=metadata,
        client_order_id=client_order_id,
        fee_currency=home if done.fee else "",
        venue=VENUE,
    )


class OandaBooks(BaseBrokerAdapter):
    """The venue's view of the orders sent or adopted here, and how it is kept true."""

    def __init__(self) -> None:
        self.home = ""
        self._by_venue_id: dict[str, str] = {}

    def adopt(self, order: Order) -> None:
        super().adopt(order)
        if order.order_id:
            self._by_venue_id[order.order_id] = order.client_order_id or order.order_id

    def _find_view(self, order_id: str) -> Order | None:
        return self.orders.get(order_id) or self.orders.get(self._by_venue_id.get(order_id, ""))

    def _view_of(self, client_id: str, *order_ids: str) -> Order | None:
        """Our order behind the ids the venue tells, or None for a foreign one."""
        for order_id in order_ids:
            name = self._by_venue_id.get(order_id)
            if name is not None:
                return self.orders.get(name)
        return self.orders.get(client_id) if client_id else None

    def _universal(self, name: str) -> str:
        found = self.instruments.get(name)
        return found.symbol if found is not None else universal(name)

    # --- reports ----------------------------------------------------------------------------------------------

    def _take(self, told: Transaction) -> None:
        """Report what a transaction says about an order of ours; what was told before is not told again."""
        if isinstance(told, Created):
            self._take_created(told)
        elif isinstance(told, Executed):
            self._take_executed(told)
        elif isinstance(told, Ended):
            self._take_ended(told)
        elif isinstance(told, Refusal):
            self._take_refusal(told)

    def _take_created(self, made: Created) -> None:
        view = self._view_of(made.client_id, made.id, made.replaces)
        if view is None:
            return
        if made.replaces:
            price = None if view.limit_price is None else float(made.price)
            self._replace(view, made.id, abs(made.units), price, made.timestamp_ns)
        else:
            self._acknowledge(view, made.id, made.timestamp_ns)

    def _replace(self, view: Order, order_id: str, left: Decimal, price: float | None, at_ns: int) -> None:
        """It goes on under another number, with so much to do, unless we know of a later one."""
        if not is_later(order_id, view.order_id):
            return
        if view.status in NOT_SEEN:
            self._acknowledge(view, view.order_id or order_id, at_ns)
        self._by_venue_id[order_id] = view.client_order_id
        quantity = float(view._filled + left)
        if view.status in WORKING:
            self._tell(Amended(view.client_order_id, at_ns, quantity=quantity, price=price, order_id=order_id))

    def _take_executed(self, done: Executed) -> None:
        view = self._view_of(done.client_id, done.order_id)
        if view is None:
            return
        name, at_ns = view.client_order_id, done.timestamp_ns
        if done.id in view.execution_ids:
            return
        if view.order_id and is_later(done.order_id, view.order_id):
            # The replacement was filled before we heard of it.
            self._replace(view, done.order_id, abs(done.requested), None, at_ns)
        self._acknowledge(view, done.order_id, at_ns)
        self._tell(Filled(name, at_ns, fill_of(done, self.home, view.symbol, name)))
        if view.is_open:
            missing = f"Oanda filled {text_of(abs(done.units))} of {text_of(abs(done.requested))} and ended the order"
            self._end(view, missing, at_ns, ran_out=_is_immediate(view))

    def _take_ended(self, ended: Ended) -> None:
        view = self._view_of(ended.client_id, ended.order_id)
        if view is None:
            return
        if ended.replaced_by or ended.reason == _REPLACED:
            if ended.replaced_by:
                self._by_venue_id[ended.replaced_by] = view.client_order_id
            return
        if view.order_id and is_later(view.order_id, ended.order_id):
            return
        self._acknowledge(view, ended.order_id, ended.timestamp_ns)
        ran_out = ended.reason in _RAN_OUT or (_is_immediate(view) and ended.reason in _NO_MATCH)
        self._end(view, ended.reason, ended.timestamp_ns, ran_out=ran_out)

    def _take_refusal(self, refusal: Refusal) -> None:
        view = self._view_of(refusal.client_id)
        if view is None or refusal.replaces or refusal.reason == ALREADY_EXISTS or view.status not in NOT_SEEN:
            # The order that was to be replaced, or has the id already, lives.
            return
        self._tell(Rejected(view.client_order_id, refusal.timestamp_ns, refusal.reason, refusal.reason))

    def _acknowledge(self, view: Order, order_id: str, at_ns: int) -> None:
        """Say once that the venue has it."""
        is_new = order_id not in self._by_venue_id or view.status in NOT_SEEN
        self._by_venue_id[order_id] = view.client_order_id
        if is_new and (not view.order_id or view.order_id == order_id or view.status in NOT_SEEN):
            self._tell(Accepted(view.client_order_id, at_ns, order_id))
        elif is_new:
            log.warning("%s: %s has order %s and now also %s", VENUE, view.client_order_id, view.order_id, order_id)

    def _end(self, view: Order, reason: str, at_ns: int, *, ran_out: bool) -> None:
        kind = Expired if ran_out else Cancelled
        self._tell(kind(view.client_order_id, at_ns, reason))

    def _tell(self, report: Report) -> None:
        """Report it, unless it contradicts what the venue said before: that is logged and dropped."""
        view = self.orders.get(report.client_order_id)
        if view is None:
            return
        if isinstance(report, Rejected) and view.status not in (*NOT_SEEN, OrderStatus.SUBMITTED, OrderStatus.REJECTED):
            log.warning("%s: %s was %s and is now said to be rejected", VENUE, view, view.status.value)
            return
        if view.status is OrderStatus.REJECTED and not isinstance(report, (Filled, Rejected)):
            if isinstance(report, Accepted):
                # Given up as never arrived, or refused, and there it is: it is known whose it is.
                view.order_id = view.order_id or report.order_id
            log.warning("%s: %s was rejected and is now said to be %s", VENUE, view, type(report).__name__)
            return
        self._report(report)

    # --- snapshots --------------------------------------------------------------------------------------------

    def _synchronise(self, view: Order, ticket: Ticket, at_ns: int) -> None:
        """Bring our order's id, size and limit to the venue's; what ended it is another transaction's matter."""
        if view.order_id and is_later(ticket.order_id, view.order_id):
            price = None if view.limit_price is None else float(ticket.price)
            self._replace(view, ticket.order_id, abs(ticket.units), price, at_ns)
        self._acknowledge(view, ticket.order_id, ticket.created_ns)

    def _order_of(self, ticket: Ticket, done: Executed | None = None, reason: str = "") -> Order:
        """An order that is not ours, as the venue has it."""
        limit = ticket.order_type is OrderType.LIMIT
        stop = ticket.order_type is OrderType.STOP
        price = float(ticket.price) if ticket.price else None
        order = Order(
            ticket.order_id,
            self._universal(ticket.instrument),
            ticket.side,
            ticket.order_type,
            float(abs(ticket.units)),
            price=price if limit else None,
            stop_price=price if stop else None,
            time_in_force=ticket.time_in_force,
            status=_STATES[ticket.state],
            submitted_at=from_ns(ticket.created_ns),
            client_order_id=ticket.client_id,
            reduce_only=ticket.reduce_only,
            reason=reason,
            venue=VENUE,
            created_at=from_ns(ticket.created_ns),
            updated_at=from_ns(ticket.created_ns),
        )
        if done is not None:
            order.status = OrderStatus.SUBMITTED
            name = ticket.client_id or ticket.order_id
            order.apply(Filled(name, done.timestamp_ns, fill_of(done, self.home, order.symbol, ticket.client_id)))
            if order.is_open:
                order.apply(Cancelled(name, done.timestamp_ns, "ended by Oanda when a part of it was filled"))
        return order


def _is_immediate(order: Order) -> bool:
    return order.order_type is OrderType.MARKET or order.effective_time_in_force in ("IOC", "FOK")
