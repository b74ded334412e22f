"""Going on where another process ended: what the journal says becomes the books, before anything is sent.

The order of things: the books are folded from the journal, our orders are given to the adapter, the venue is asked
about each (and for every fill missed meanwhile), and only when both agree does the strategy run again. An order that
was written down and perhaps never sent is in doubt: the venue's evidence, not our guess, ends that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import structs

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.monitor import BASELINE
from autotrader_lab.execution.resiliency import DeadLetter, DeadLetters
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.execution.trader import Trader
from autotrader_lab.journal import Books, Entry, fold, records
from autotrader_lab.model.clock import Clock, to_ns
from autotrader_lab.model.errors import VenueUnavailable
from autotrader_lab.model.orders import InDoubt, OrderStatus
from autotrader_lab.strategy.decision import ExecutionDecision

if TYPE_CHECKING:
    from autotrader_lab.execution.guard import Guard

__all__ = ["LIMITS", "Past", "doubt_what_may_have_left", "read_past", "restore_books", "restore_day", "tell_strategy"]


LIMITS = "limits"
"""Name of the checkpoint that says what the risk limits were changed to."""


@dataclass(frozen=True, slots=True)
class Past:
    """What an earlier process left.

    Attributes
    ----------
    books : Books
        The journal's entries of this stage, folded.
    starting_equity : float or None
        What the stage began with, account currency.
    baseline : dict of str to Decimal, or None
        What the account held beyond our own book when the stage began, units.
    halted : str
        Why trading was halted; empty if it was not.
    limits : dict or None
        The risk limits as they were last changed while it traded, as plain values.
    """

    books: Books
    starting_equity: float | None = None
    baseline: dict[str, Decimal] | None = None
    halted: str = ""
    limits: dict[str, Any] | None = None


def read_past(entries: Iterable[Entry]) -> Past:
    """What the entries of one stage, oldest first, say of it."""
    kept = list(entries)
    books = fold(kept)
    baseline: dict[str, Decimal] | None = None
    starting_equity: float | None = None
    limits: dict[str, Any] | None = None
    for entry in kept:
        if entry.kind != records.CHECKPOINT:
            continue
        checkpoint = entry.decode(records.Checkpoint)
        if checkpoint.name == BASELINE and baseline is None:
            baseline = {symbol: Decimal(units) for symbol, units in checkpoint.state["baseline"].items()}
            starting_equity = checkpoint.state["starting_equity"]
        elif checkpoint.name == LIMITS:
            limits = checkpoint.state
    state = books.trading_state
    halted = (state.reason or "halted") if state.state == "HALTED" else ""
    return Past(books, starting_equity, baseline, halted, limits)


def restore_books(past: Past, trader: Trader, adapter: BaseBrokerAdapter, guard: Guard, letters: DeadLetters) -> None:
    """Orders, positions, dead letters and a halt, as they were; the adapter learns of our orders."""
    book = trader.book
    book.restore(past.books.orders.values(), past.books.fills)
    for order in book.orders.values():
        adapter.adopt(order)
        record = past.books.dead_letters.get(order.client_order_id)
        if record is not None and record.state == "dead":
            error = VenueUnavailable(record.reason)
            at = order.updated_at or trader.clock.now()
            letters.restore(DeadLetter(order, error, record.reason, record.attempts, at))
    if past.limits is not None:
        trader.gate.limits = RiskLimits(**past.limits)
    trader.gate.remember(decision for decision in past.books.decisions)
    if past.halted:
        guard.halt(past.halted)


def restore_day(past: Past, trader: Trader, clock: Clock) -> None:
    """The day's loss and the highest equity go on from where they were: a restart is no new day."""
    gate = trader.gate
    now = clock.now()
    midnight_ns = to_ns(now.replace(hour=0, minute=0, second=0, microsecond=0))
    marks = [mark for _, mark in past.books.equity]
    before = [mark.equity for mark in marks if mark.timestamp_ns < midnight_ns]
    gate.restore_day(now.date().isoformat(), before[-1] if before else trader.book.starting_equity)
    gate.peak_equity = max((mark.equity for mark in marks), default=gate.peak_equity)


def tell_strategy(past: Past, trader: Trader) -> None:
    """Feed the strategy every execution so far, those found missing at the restart included.

    Raises
    ------
    StrategyError
        If it raises.
    """
    book = trader.book
    decisions = {key: ExecutionDecision(**structs.asdict(told)) for key, told in past.books.decisions.items()}
    for fill, booked in zip(book.fills, book.booked, strict=True):
        order = book.find(fill.client_order_id) or book.find(fill.order_id)
        decision = decisions.get(order.decision_id) if order is not None else None
        if decision is not None:
            trader.tell_execution(decision, fill, booked)
    for order in book.orders.values():
        decision = decisions.get(order.decision_id)
        if decision is not None:
            trader.remember(decision)  # a fill that comes late still finds the decision that caused it
            if not order.is_open:
                trader.tell_closed(decision)


def doubt_what_may_have_left(trader: Trader, clock: Clock) -> None:
    """Orders that were written down and never answered are in doubt: they may have left or not."""
    for order in list(trader.book.open.values()):
        if order.status is OrderStatus.PENDING:
            trader.on_report(
                InDoubt(order.client_order_id, clock.now_ns(), "the process ended while it was being sent")
            )
