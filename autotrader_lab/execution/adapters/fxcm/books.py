"""What comes back from FXCM, brought home to our orders: each execution once, however often it is reported.

One execution comes up to three times (stopped or partial from the liquidity provider, then filled from the database),
with a different execution id each time, and again in every answer about the order. So a fill is what the cumulative
quantity grew by, and its key is the order's id with that quantity: the same whoever counts, before and after a restart.
"""

from __future__ import annotations

import logging
from decimal import Decimal

from autotrader_lab.execution.adapters.base import NOT_SEEN, BaseBrokerAdapter
from autotrader_lab.execution.adapters.fxcm.decode import VENUE, Execution, Phase, Ticket
from autotrader_lab.execution.adapters.fxcm.encode import text
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.instruments import exact
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

__all__ = ["WORKING", "FXCMBooks"]

log = logging.getLogger(__name__)

WORKING = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL})

_NOT_REACHED = "ORA-20112"
_STATUS = {
    Phase.FILLED: OrderStatus.FILLED,
    Phase.CANCELLED: OrderStatus.CANCELLED,
    Phase.EXPIRED: OrderStatus.EXPIRED,
    Phase.REJECTED: OrderStatus.REJECTED,
}


class FXCMBooks(BaseBrokerAdapter):
    """The venue's view of the orders sent or adopted here, and how it is kept true."""

    def __init__(self) -> None:
        self._by_venue_id: dict[str, str] = {}
        self._aliases: dict[str, str] = {}
        self._acknowledged: set[tuple[str, str]] = set()
        self._ledger: dict[str, list[Fill]] = {}

    def adopt(self, order: Order) -> None:
        super().adopt(order)
        name = order.client_order_id or order.order_id
        if order.order_id:
            self._by_venue_id[order.order_id] = name

    def _find_view(self, order_id: str) -> Order | None:
        name = order_id if order_id in self.orders else self._aliases.get(order_id, "")
        return self.orders.get(name) or self.orders.get(self._by_venue_id.get(order_id, ""))

    def _view_of(self, execution: Execution) -> Order | None:
        """Our order behind what the venue tells, or None for a foreign one."""
        for name in execution.client_ids:
            if name in self.orders:
                return self.orders[name]
            if name in self._aliases:
                return self.orders.get(self._aliases[name])
        return self.orders.get(self._by_venue_id.get(execution.order_id, "")) if execution.order_id else None

    # --- reports ----------------------------------------------------------------------------------------------

    def _absorb(self, view: Order, execution: Execution) -> None:
        """Report what an execution report says about our order; what was told before is not told again."""
        name, at_ns = view.client_order_id, execution.timestamp_ns
        if execution.phase is Phase.REJECTED and execution.code == _NOT_REACHED and _is_immediate(view):
            # FXCM refuses an order for now or never that does not reach the market: it ran out, as elsewhere.
            self._tell(Expired(name, at_ns, execution.reason))
            return
        if execution.phase is Phase.REJECTED:
            self._tell(Rejected(name, at_ns, execution.reason or "no reason given", execution.code))
            return
        if execution.order_id:
            self._acknowledge(view, execution.order_id, at_ns)
        self._take_change(view, execution)
        self._grow(view, execution)
        if execution.phase is Phase.CANCELLED:
            self._tell(Cancelled(name, at_ns, execution.reason))
        elif execution.phase is Phase.EXPIRED:
            self._tell(Expired(name, at_ns, execution.reason))

    def _take_change(self, view: Order, execution: Execution) -> None:
        """Report a changed order; reports that neither tell of the change nor were asked for may be older than it."""
        if not ("5" in (execution.status, execution.exec_type) or execution.status_id or execution.mass_id):
            return
        quantity = float(execution.quantity) if execution.quantity > 0 else view.quantity
        price = view.price
        # A finished order's price may be the one it was executed at.
        if view.limit_price is not None and execution.price > 0 and execution.phase is Phase.WORKING:
            price = float(execution.price)
        if (quantity, price) != (view.quantity, view.price):
            self._tell(Amended(view.client_order_id, execution.timestamp_ns, quantity=quantity, price=price))

    def _acknowledge(self, view: Order, order_id: str, at_ns: int) -> None:
        """Say once that the venue has it."""
        self._by_venue_id[order_id] = view.client_order_id
        if (view.client_order_id, order_id) not in self._acknowledged:
            self._acknowledged.add((view.client_order_id, order_id))
            self._tell(Accepted(view.client_order_id, at_ns, order_id))

    def _grow(self, view: Order, execution: Execution) -> None:
        """Report what was executed since we last knew."""
        new = execution.filled - view._filled
        if new <= 0:
            return
        price = execution.last_price
        if execution.last_quantity != new or price <= 0:
            # FXCM rounds its averages, so what they tell of one part is no finer than a tick.
            told = (execution.average * execution.filled - view._cost) / new
            price = self.instruments.find(view.symbol).round_price(told)
        self._book(view, execution.order_id, new, execution.filled, price, execution.timestamp_ns, execution)

    def _book(
        self,
        view: Order,
        order_id: str,
        new: Decimal,
        total: Decimal,
        price: Decimal,
        at_ns: int,
        execution: Execution | None = None,
    ) -> None:
        fill = Fill(
            order_id=order_id or view.order_id,
            symbol=view.symbol,
            side=view.side,
            quantity=float(new),
            price=float(price),
            commission=float(execution.commission) if execution is not None else 0.0,
            timestamp=from_ns(at_ns),
            execution_id=f"{order_id or view.order_id}-{text(total)}",
            metadata={"position_id": execution.position_id} if execution is not None and execution.position_id else {},
            client_order_id=view.client_order_id,
            fee_currency=execution.commission_currency if execution is not None else "",
            venue=VENUE,
        )
        self._ledger.setdefault(view.symbol, []).append(fill)
        self._tell(Filled(view.client_order_id, at_ns, fill))

    def _tell(self, report: Report) -> None:
        """Report it, unless it contradicts what the venue said before: that is logged and dropped."""
        view = self.orders.get(report.client_order_id)
        if view is None:
            return
        if isinstance(report, Amended) and view.status not in WORKING:
            return
        if isinstance(report, Rejected):
            if view.status not in (*NOT_SEEN, OrderStatus.SUBMITTED, OrderStatus.REJECTED):
                log.warning("%s: %s was %s and is now said to be rejected", VENUE, view, view.status.value)
                return
        elif view.status is OrderStatus.REJECTED and not isinstance(report, Filled):
            log.warning("%s: %s was rejected and is now said to be %s", VENUE, view, type(report).__name__)
            return
        self._report(report)

    # --- snapshots --------------------------------------------------------------------------------------------

    def _snapshot(self, execution: Execution) -> Order:
        """The venue's view of an order, ours or foreign, with what only we know about ours."""
        view = self._view_of(execution)
        status = _STATUS.get(execution.phase)
        if status is None:
            status = OrderStatus.PARTIAL_FILL if execution.filled else OrderStatus.SUBMITTED
        is_stop = execution.order_type is OrderType.STOP
        waits_at = execution.stop_price or execution.price
        moment = from_ns(execution.timestamp_ns)
        return Order(
            execution.order_id,
            self._universal(execution.symbol),
            execution.side,
            view.order_type if view is not None else execution.order_type,
            float(execution.quantity),
            price=float(execution.price) if execution.order_type is OrderType.LIMIT and execution.price else None,
            stop_price=float(waits_at) if is_stop and waits_at else None,
            time_in_force=view.time_in_force if view is not None else execution.time_in_force,
            status=status,
            filled_quantity=float(execution.filled),
            avg_fill_price=float(execution.average) if execution.filled else 0.0,
            submitted_at=moment,
            client_order_id=view.client_order_id if view is not None else (*execution.client_ids, "")[0],
            decision_id=view.decision_id if view is not None else "",
            reduce_only=view.reduce_only if view is not None else False,
            reason=execution.reason,
            venue=VENUE,
            created_at=view.created_at if view is not None else moment,
            updated_at=moment,
            _filled=execution.filled,
            _cost=execution.average * execution.filled,
        )

    def _universal(self, venue_symbol: str) -> str:
        found = self.instruments.get(venue_symbol)
        return found.symbol if found is not None else venue_symbol

    def _from_tickets(self, view: Order, tickets: list[Ticket], at_ns: int) -> Order | None:
        """An order that the venue no longer answers for, as its positions show it; None where they show nothing.

        FXCM forgets finished orders; every position names the orders that opened and closed it.
        """
        total, cost, order_id = Decimal(0), Decimal(0), ""
        for ticket in tickets:
            for (client_id, venue_id), price in (
                (ticket.open_ids, ticket.open_price),
                (ticket.close_ids, ticket.close_price),
            ):
                if (client_id and client_id == view.client_order_id) or (venue_id and venue_id == view.order_id):
                    total += abs(ticket.quantity)
                    cost += abs(ticket.quantity) * price
                    order_id = venue_id or order_id
        if not total:
            return None
        self._acknowledge(view, order_id or view.client_order_id, at_ns)
        new = total - view._filled
        if new > 0:
            price = self.instruments.find(view.symbol).round_price((cost - view._cost) / new)
            self._book(view, order_id, new, total, price, at_ns)
        if total < exact(view.quantity):
            self._tell(Cancelled(view.client_order_id, at_ns, "finished at the venue; its positions show the rest"))
        return view.copy()


def _is_immediate(order: Order) -> bool:
    return order.effective_time_in_force in ("IOC", "FOK")
