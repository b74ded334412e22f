"""The books as a fold over the journal: what recovery starts from and every frame is read from.

Pure. Orders move by the same transition table as live, positions by the same fills, so that reading the journal again
gives the live books exactly. A report that was written twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from autotrader_lab.journal import records
from autotrader_lab.journal.records import (
    Alert,
    DeadLetter,
    DecisionRecord,
    EquityMark,
    Mark,
    OrderLatency,
    Reconciliation,
    StageStarted,
    TradingStateRecord,
)
from autotrader_lab.journal.store import Entry
from autotrader_lab.model.errors import IllegalTransition
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.orders import Fill, Filled, Order, Report
from autotrader_lab.model.positions import Booked, Positions

__all__ = ["Books", "Origin", "fold"]


class Origin(NamedTuple):
    """Where something was first written: entry, time (ns, UTC), session and stage."""

    seq: int
    timestamp_ns: int
    session: str
    stage: str


@dataclass(slots=True)
class Books:
    """Everything the journal says, as values.

    Attributes
    ----------
    orders : dict of str to Order
        By client order id, in the order they were intended.
    positions : Positions
        The sum of all fills given to :meth:`apply`; filter the entries by stage where stages must not be added up.
    decisions : dict of str to DecisionRecord
        By decision id; one without an id is kept under its entry's `seq`.
    fills, booked : list
        Every execution once, as booked, and what it did to its position.
    orphans : list of Fill
        Executions of orders without an intent here; they are in the positions, for money moved.
    origins : dict of str to Origin
        Of orders, by client order id; of decisions, by the key in `decisions`.
    fill_origins : list of Origin
        In step with `fills`.
    equity, alerts, reconciliations : list
        As written, each with its origin.
    latencies, dead_letters : dict
        The newest of each order, by client order id.
    marks : dict of str to float
        The last price each symbol was valued or executed at.
    trading_state : TradingStateRecord
        The newest.
    problems : list of str
        What was written and cannot be: reports the transition table has no row for.
    last_seq : int
        The newest entry seen.
    """

    positions: Positions = field(default_factory=Positions)
    orders: dict[str, Order] = field(default_factory=dict)
    decisions: dict[str, DecisionRecord] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    booked: list[Booked] = field(default_factory=list)
    orphans: list[Fill] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    fill_origins: list[Origin] = field(default_factory=list)
    equity: list[tuple[Origin, EquityMark]] = field(default_factory=list)
    alerts: list[tuple[Origin, Alert]] = field(default_factory=list)
    reconciliations: list[tuple[Origin, Reconciliation]] = field(default_factory=list)
    latencies: dict[str, OrderLatency] = field(default_factory=dict)
    dead_letters: dict[str, DeadLetter] = field(default_factory=dict)
    marks: dict[str, float] = field(default_factory=dict)
    trading_state: TradingStateRecord = field(default_factory=lambda: TradingStateRecord("ACTIVE"))
    problems: list[str] = field(default_factory=list)
    last_seq: int = 0
    _entries_seen: set[tuple[str, int]] = field(default_factory=set, repr=False)
    _reports_seen: set[str] = field(default_factory=set, repr=False)

    @property
    def open_orders(self) -> list[Order]:
        """Orders that can still execute as far as the journal knows."""
        return [order for order in self.orders.values() if order.is_open]

    def apply(self, entry: Entry) -> None:
        """Take one entry in; kinds the books do not hold, and entries seen before, change nothing.

        Raises
        ------
        JournalError
            If the entry cannot be decoded.
        InstrumentError
            If a fill's symbol is not listed in the instruments given.
        """
        key = (entry.session, entry.seq)
        if key in self._entries_seen:
            return
        self._entries_seen.add(key)
        self.last_seq = max(self.last_seq, entry.seq)
        origin = Origin(entry.seq, entry.timestamp_ns, entry.session, entry.stage)
        match entry.kind:
            case records.REPORT:
                if entry.raw not in self._reports_seen:
                    self._reports_seen.add(entry.raw)
                    self._report(entry.decode(Report), origin)
            case records.INTENT:
                order: Order = entry.decode(Order)
                if order.client_order_id not in self.orders:
                    self.orders[order.client_order_id] = order
                    self.origins[order.client_order_id] = origin
            case records.DECISION:
                decision: DecisionRecord = entry.decode(DecisionRecord)
                name = decision.decision_id or entry.decision_id or str(entry.seq)
                if name not in self.decisions:
                    self.decisions[name] = decision
                    self.origins[name] = origin
            case records.EQUITY:
                self.equity.append((origin, entry.decode(EquityMark)))
            case records.LATENCY:
                latency: OrderLatency = entry.decode(OrderLatency)
                self.latencies[latency.client_order_id] = latency
            case records.ALERT:
                self.alerts.append((origin, entry.decode(Alert)))
            case records.STAGE_STARTED:
                for instrument in entry.decode(StageStarted).instruments:
                    self.positions.know(instrument)
            case records.RECONCILIATION:
                self.reconciliations.append((origin, entry.decode(Reconciliation)))
            case records.DEAD_LETTER:
                letter: DeadLetter = entry.decode(DeadLetter)
                self.dead_letters[letter.client_order_id] = letter
            case records.TRADING_STATE:
                self.trading_state = entry.decode(TradingStateRecord)
            case records.MARK:
                mark: Mark = entry.decode(Mark)
                self.marks[mark.symbol] = mark.price
            case _:
                pass

    def _report(self, report: Report, origin: Origin) -> None:
        order = self.orders.get(report.client_order_id)
        if order is not None:
            try:
                order.apply(report)
            except IllegalTransition as error:
                self.problems.append(f"journal entry {origin.seq}: {error}")
        elif not isinstance(report, Filled):
            self.problems.append(
                f"journal entry {origin.seq}: a report of order {report.client_order_id!r}, which was never intended"
            )
        if isinstance(report, Filled):
            fill = report.fill
            booked = self.positions.apply(fill)
            if booked is None:
                return
            self.fills.append(fill)
            self.booked.append(booked)
            self.fill_origins.append(origin)
            self.marks[fill.symbol] = fill.price
            if order is None:
                self.orphans.append(fill)


def fold(entries: Iterable[Entry], instruments: Instruments | None = None) -> Books:
    """The books that `entries`, oldest first, amount to.

    Parameters
    ----------
    entries : iterable of Entry
        ``journal.read(stage=…)``: entries of several stages would add their positions up.
    instruments : Instruments, optional
        Grids, multipliers and currencies for the positions; without it symbols are guessed.
    """
    books = Books(positions=Positions(instruments))
    for entry in entries:
        books.apply(entry)
    return books
