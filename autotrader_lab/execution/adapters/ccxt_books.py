"""What comes back from a crypto venue, brought home to our orders: each thing once, whichever way it came.

Answers, the private stream and what is asked for after a lost line all end in :meth:`CcxtBooks._tell`. Executions are
keyed by the venue's trade id, so one that comes three ways is one fill.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.base import NOT_SEEN
from autotrader_lab.execution.adapters.ccxt_account import CcxtAccount
from autotrader_lab.execution.adapters.ccxt_updates import Update, UpdateKind, to_report
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import DataError, OrderNotFound, VenueUnavailable
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

__all__ = ["WORKING", "CcxtBooks", "snapshot_ns"]

log = logging.getLogger(__name__)

WORKING = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL})

_OVERLAP_NS = 10_000_000_000
"""How far behind the last execution the next question starts: venues list them a little later than they happen."""


class CcxtBooks(CcxtAccount):
    """The venue's view of the orders sent or adopted here, and how it is kept true."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client_ids: dict[tuple[str, str], str] = {}
        self._symbols: dict[str, str] = {}
        self._fills_from_ns: dict[str, int] = {}
        self._acknowledged: set[tuple[str, str]] = set()

    @abstractmethod
    async def _query(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        """Ask for one, by venue id where it is known."""

    @abstractmethod
    async def _open(self, symbol: str | None) -> list[Order]:
        """What is working."""

    @abstractmethod
    async def _trades(self, symbol: str, *, since_ms: int = 0, order_id: str = "") -> list[Fill]:
        """Executions since then, or of one order; all of them, oldest first."""

    @abstractmethod
    def _decode(self, message: Any) -> Sequence[Update]:
        """What a private message says, in order."""

    def adopt(self, order: Order) -> None:
        view = replace(order, client_order_id=order.client_order_id or order.order_id)
        view.symbol = self.instruments.find(view.symbol).symbol
        super().adopt(view)
        self._symbols[view.client_order_id] = view.symbol
        if view.order_id:
            self._client_ids[view.symbol, view.order_id] = view.client_order_id
        if view.created_at is not None and view.is_open:
            since_ns = to_ns(view.created_at)
            self._fills_from_ns[view.symbol] = min(since_ns, self._fills_from_ns.get(view.symbol, since_ns))

    # --- what comes back --------------------------------------------------------------------------------------

    def _on_message(self, message: Any) -> None:
        """One private message, in its order of arrival."""
        try:
            updates = self._decode(message)
        except (DataError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            log.warning("%s: a private message was not understood, asking the venue: %r", self.venue, error)
            self._stream.ask_resync()
            return
        for update in updates:
            view = self._view(update.symbol, update.order_id, update.client_order_ids)
            if view is None:
                continue
            if update.kind is UpdateKind.AMENDED and view.status in NOT_SEEN:
                self._tell(Accepted(view.client_order_id, update.timestamp_ns, update.order_id))
            self._tell(to_report(update, view.client_order_id))

    async def _settle_told(self) -> None:
        """Nothing: most venues tell everything."""

    def _view(self, symbol: str, order_id: str, client_order_ids: Iterable[str]) -> Order | None:
        """Our order behind what the venue tells, or None for a foreign one."""
        for name in client_order_ids:
            if name in self.orders:
                return self.orders[name]
        return self.orders.get(self._client_ids.get((symbol, order_id), ""))

    def _find_view(self, order_id: str) -> Order | None:
        found = self.orders.get(order_id)
        symbol = self._symbols.get(order_id, "")
        return found or self.orders.get(self._client_ids.get((symbol, order_id), ""))

    async def _locate(self, order_id: str) -> tuple[str, str, str]:
        """Symbol, venue id and client id of an order by either id.

        Raises
        ------
        OrderNotFound
            If it was never seen here and is not open at the venue.
        """
        view = self._find_view(order_id)
        if view is not None:
            return view.symbol, view.order_id, view.client_order_id
        if order_id not in self._symbols:
            await self.get_open_orders()
        symbol = self._symbols.get(order_id)
        if symbol is None:
            raise OrderNotFound(
                f"{self.venue}: order {order_id!r} was not sent or adopted here and is not among the open orders"
            )
        return (symbol, order_id, "") if self._is_venue_id(order_id) else (symbol, "", order_id)

    def _is_venue_id(self, text: str) -> bool:
        """Whether `text` looks like an id the venue gives."""
        return text.isdigit()

    def _with_ours(self, snapshot: Order) -> Order:
        """The venue's snapshot with what only we know about the order."""
        view = self._view(snapshot.symbol, snapshot.order_id, (snapshot.client_order_id,))
        if view is None:
            return snapshot
        self._client_ids[view.symbol, snapshot.order_id] = view.client_order_id
        return replace(
            snapshot,
            client_order_id=view.client_order_id,
            order_type=view.order_type,
            time_in_force=view.time_in_force,
            decision_id=view.decision_id,
            reduce_only=view.reduce_only,
            created_at=view.created_at,
        )

    def _absorb(self, view: Order, snapshot: Order, fills: Iterable[Fill]) -> None:
        """Report what an answer says about our order; what was told before is not told again."""
        name, at_ns = view.client_order_id, snapshot_ns(snapshot)
        if snapshot.status is OrderStatus.REJECTED:
            self._tell(Rejected(name, at_ns, snapshot.reason))
            return
        self._tell(Accepted(name, at_ns, snapshot.order_id))
        # Before the executions: which of them is the last depends on how much is asked for.
        self._tell_change(view, snapshot)
        for fill in fills:
            fill.client_order_id = name
            self._tell(Filled(name, to_ns(fill.timestamp), fill))
        if snapshot.status is OrderStatus.CANCELLED:
            self._tell(Cancelled(name, at_ns))
        elif snapshot.status is OrderStatus.EXPIRED:
            self._tell(Expired(name, at_ns))

    def _tell_change(self, view: Order, snapshot: Order) -> None:
        """Report a change in place whose answer was lost, or that somebody else made."""
        is_newer = view.updated_at is None or to_ns(view.updated_at) <= snapshot_ns(snapshot)
        if snapshot.status is not OrderStatus.FILLED and not (snapshot.status in WORKING and is_newer):
            return
        quantity = snapshot.quantity if exact(snapshot.quantity) != exact(view.quantity) else None
        price = snapshot.price if view.limit_price is not None and snapshot.price != view.price else None
        if (quantity is not None and view.order_type is not OrderType.MARKET) or price is not None:
            self._tell(Amended(view.client_order_id, snapshot_ns(snapshot), quantity, price, snapshot.order_id))

    async def _settle(self, view: Order, snapshot: Order) -> None:
        """Bring our view to the venue's snapshot, with every execution in between.

        Raises
        ------
        VenueUnavailable
            If the venue does not list the executions it counts.
        """
        fills: list[Fill] = []
        for attempt in range(4):
            if snapshot._filled <= view._filled + _new_quantity(view, fills):
                self._absorb(view, snapshot, fills)
                return
            await self._clock.sleep(0.05 * attempt)
            fills = await self._ask(
                "query",
                f"fills of order {snapshot.order_id}",
                lambda: self._trades(view.symbol, order_id=snapshot.order_id),
            )
        if snapshot._filled <= view._filled + _new_quantity(view, fills):
            self._absorb(view, snapshot, fills)
            return
        raise VenueUnavailable(
            f"{self.venue}: order {snapshot.order_id} counts {snapshot._filled} executed, its trades "
            f"{view._filled + _new_quantity(view, fills)}"
        )

    def _tell(self, report: Report) -> None:
        """Report it, unless it contradicts what the venue said before: that is logged and dropped."""
        view = self.orders.get(report.client_order_id)
        if view is None:
            return
        if isinstance(report, (Accepted, Filled)):
            order_id = report.order_id if isinstance(report, Accepted) else report.fill.order_id
            self._client_ids[view.symbol, order_id] = view.client_order_id
            self._symbols[order_id] = view.symbol
        if isinstance(report, Accepted):
            # The answer and the stream both bring it, and every later answer implies it.
            if (report.client_order_id, report.order_id) in self._acknowledged:
                return
            self._acknowledged.add((report.client_order_id, report.order_id))
        if isinstance(report, Filled):
            since_ns = self._fills_from_ns.get(view.symbol, 0)
            self._fills_from_ns[view.symbol] = max(since_ns, report.timestamp_ns)
        elif isinstance(report, Amended) and view.status not in WORKING:
            return
        elif isinstance(report, Rejected):
            if view.status not in (*NOT_SEEN, OrderStatus.SUBMITTED, OrderStatus.REJECTED):
                log.warning("%s: %s was %s and is now said to be rejected", self.venue, view, view.status.value)
                return
        elif view.status is OrderStatus.REJECTED:
            if isinstance(report, Accepted):
                # The answer to an order that was taken and thrown out at once may come after the news of its end.
                return
            log.warning("%s: %s was rejected and is now said to be %s", self.venue, view, type(report).__name__)
            return
        self._report(report)

    async def _close_gap(self) -> None:
        """Bring every order we believe to be working, and every execution since the last seen, up to the venue."""
        working = [view for view in self.orders.values() if view.is_open]
        open_now = await self._ask("query", "open orders", lambda: self._open(None)) if working else []
        found = {order.order_id: order for order in open_now} | {order.client_order_id: order for order in open_now}
        snapshots: list[tuple[Order, Order]] = []
        for view in working:
            snapshot = found.get(view.order_id) or found.get(view.client_order_id)
            if snapshot is None:
                snapshot = await self._query_view(view)
            if snapshot is not None:
                snapshots.append((view, snapshot))
        for view, snapshot in snapshots:
            self._client_ids[view.symbol, snapshot.order_id] = view.client_order_id
            self._tell_change(view, snapshot)
        for symbol in {view.symbol for view in self.orders.values()}:
            await self._fetch_fills(symbol)
        for view, snapshot in snapshots:
            await self._settle(view, snapshot)

    async def _query_view(self, view: Order) -> Order | None:
        """The venue's snapshot of our order; None for one that it has not, or not yet, got."""
        name = f"order {view.client_order_id}"
        try:
            return await self._ask("query", name, lambda: self._query(view.symbol, view.order_id, view.client_order_id))
        except OrderNotFound:
            if view.status not in NOT_SEEN:
                log.warning("%s: %s is %s here and unknown to the venue", self.venue, name, view.status.value)
            return None

    async def _fetch_fills(self, symbol: str) -> None:
        """Report the executions of our orders since the last one seen."""
        asked_ns = self._venue_now_ns()
        since_ns = self._fills_from_ns.get(symbol, self._connected_ns) - _OVERLAP_NS
        name = f"fills of {symbol}"
        for fill in await self._ask("query", name, lambda: self._trades(symbol, since_ms=since_ns // 1_000_000)):
            owner = self._client_ids.get((symbol, fill.order_id), fill.client_order_id)
            if owner in self.orders:
                fill.client_order_id = owner
                self._tell(Filled(owner, to_ns(fill.timestamp), fill))
        self._fills_from_ns[symbol] = max(asked_ns, self._fills_from_ns.get(symbol, 0))


def _new_quantity(view: Order, fills: Iterable[Fill]) -> Decimal:
    """What of `fills` our view does not have yet, units."""
    return sum((exact(fill.quantity) for fill in fills if fill.execution_id not in view.execution_ids), Decimal(0))


def snapshot_ns(snapshot: Order) -> int:
    """When the venue last changed it."""
    assert snapshot.updated_at is not None, "a decoder stamps it"
    return to_ns(snapshot.updated_at)
