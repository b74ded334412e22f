"""The order desk: the one way from wish to book, the same in replay, paper, testnet and live.

No I/O but the journal.

``approve`` judges an order and takes it into the book, ``intend`` writes it down before the wire, ``on_report``
applies what came back. The async order manager and the synchronous replay loop put a venue between the last two.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from autotrader_lab.execution.book import Change, OrderBook
from autotrader_lab.execution.risk import RiskGate
from autotrader_lab.journal import MemoryJournal
from autotrader_lab.model.clock import Clock, from_ns
from autotrader_lab.model.orders import Denied, Filled, Order, Rejected, Report

if TYPE_CHECKING:
    from autotrader_lab.journal import Item, Journal

__all__ = ["ChangeListener", "Desk"]

ChangeListener = Callable[[Change], None]


class Desk:
    """Approves, writes down and books orders.

    Parameters
    ----------
    book : OrderBook
    gate : RiskGate
    clock : Clock
    journal : Journal, optional
        In memory where none is given.
    stage : str
        Written into every record.
    id_prefix : str
        Of client order ids; must be new for every process that trades on the same account.
    """

    def __init__(
        self,
        book: OrderBook,
        gate: RiskGate,
        clock: Clock,
        journal: Journal | MemoryJournal | None = None,
        stage: str = "",
        id_prefix: str = "lab",
    ) -> None:
        self.book = book
        self.gate = gate
        self.clock = clock
        self.journal = journal if journal is not None else MemoryJournal()
        self.stage = stage
        self.denied = 0
        self.rejected = 0
        self.sent = 0
        self._ids = (f"{id_prefix}-{number}" for number in itertools.count(1))
        self._listeners: list[ChangeListener] = []
        self._intent_listeners: list[Callable[[Order], None]] = []
        self._unwritten: dict[str, Item] = {}

    def subscribe(self, listener: ChangeListener) -> None:
        """Call `listener` with every change of the book, after it is journaled."""
        self._listeners.append(listener)

    def subscribe_intents(self, listener: Callable[[Order], None]) -> None:
        """Call `listener` with every order that is about to leave, once it is journaled; it must be quick."""
        self._intent_listeners.append(listener)

    def approve(self, order: Order, now_ns: int | None = None, decision: Item | None = None) -> Denied | None:
        """Give `order` its client id and judge it; approved or denied, it is in the book afterwards.

        Parameters
        ----------
        order : Order
        now_ns : int, optional
        decision : Item, optional
            The record of what asked for it; it is written in one commit with the order's intent.

        Returns
        -------
        Denied or None
            Why not, journaled; None when it may be sent.
        """
        now_ns = self.clock.now_ns() if now_ns is None else now_ns
        order.client_order_id = order.client_order_id or next(self._ids)
        order.created_at = from_ns(now_ns)
        denied = self.gate.check(order, now_ns)
        self.book.add(order)
        if decision is not None:
            self._unwritten[order.client_order_id] = decision
        if denied is None:
            self.gate.passed(order, now_ns)
            return None
        self.denied += 1
        self._append_intent(order)
        self._append("report", denied, order)
        for change in self.book.apply(denied):
            self._tell(change)
        return denied

    def judge_again(self, order: Order, quantity: float | None = None, price: float | None = None) -> Denied | None:
        """What the gate says now of an open order, or of it with another quantity (what is left, units) or price."""
        again = order.copy()
        again.decision_id = ""  # it is the same decision, once
        again.quantity = quantity if quantity is not None else order.quantity
        again.price = price if price is not None else order.price
        self.book.open.pop(order.client_order_id)  # it reserves already: do not count it against itself
        try:
            return self.gate.check(again, self.clock.now_ns())
        finally:
            self.book.open[order.client_order_id] = order

    def intend(self, order: Order) -> None:
        """Write the intent to the journal; only then may the order leave."""
        self._append_intent(order)
        self.sent += 1
        for listener in self._intent_listeners:
            listener(order)

    def on_report(self, report: Report) -> list[Change]:
        """Apply a report from the venue, journal it and tell the listeners; empty if it changed nothing."""
        changes = self.book.apply(report)
        for change in changes:
            self._append("report", change.report, change.order)
            if isinstance(change.report, Rejected):
                self.rejected += 1
            self._tell(change)
        return changes

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)

    def _append_intent(self, order: Order) -> None:
        decision = self._unwritten.pop(order.client_order_id, None)
        self._append("intent", order, order, () if decision is None else (decision,))

    def _append(self, kind: str, record: Order | Report, order: Order, after: Sequence[Item] = ()) -> None:
        timestamp_ns = record.timestamp_ns if not isinstance(record, Order) else self.clock.now_ns()
        if isinstance(record, Filled):
            timestamp_ns = self.clock.now_ns()
        self.journal.append(
            kind,
            record,
            stage=self.stage,
            decision_id=order.decision_id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            timestamp_ns=timestamp_ns,
            after=after,
        )
