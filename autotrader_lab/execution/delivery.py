"""Whether orders get to the venue: what did not is written down and told, and while nothing does, entries wait."""

from __future__ import annotations

from autotrader_lab.execution.book import Change
from autotrader_lab.execution.guard import Guard
from autotrader_lab.execution.monitor import Monitor
from autotrader_lab.execution.oms.manager import OrderManager
from autotrader_lab.execution.resiliency import CircuitBreaker, DeadLetter, DeadLetters
from autotrader_lab.execution.resiliency.dead_letters import Settled
from autotrader_lab.journal import records
from autotrader_lab.model.errors import VenueUnavailable
from autotrader_lab.model.orders import Accepted, Order

__all__ = ["Delivery"]


class Delivery:
    """Watches one order manager's dead letters and its circuit breaker.

    Parameters
    ----------
    oms : OrderManager
    monitor : Monitor
    guard : Guard
    dead_letters : DeadLetters
    breaker : CircuitBreaker or None
    """

    def __init__(
        self,
        oms: OrderManager,
        monitor: Monitor,
        guard: Guard,
        dead_letters: DeadLetters,
        breaker: CircuitBreaker | None,
    ) -> None:
        self._desk = oms.desk
        self._guard = guard
        self._dead_letters = dead_letters
        self._breaker = breaker
        oms.on_undelivered.append(self._on_undelivered)
        dead_letters.subscribe(self._on_dead_letter)
        if breaker is not None:
            breaker.subscribe(self._on_breaker)
            oms.desk.subscribe(self._on_change)
            monitor.on_answer.append(breaker.success)  # one that answers every question is there

    def _on_undelivered(self, order: Order, reason: str) -> None:
        self._dead_letters.bury(order, VenueUnavailable(reason), 1)

    def _on_dead_letter(self, letter: DeadLetter, what: Settled) -> None:
        order = letter.order
        record = records.DeadLetter(
            order.client_order_id,
            letter.reason,
            type(letter.error).__name__,
            letter.attempts,
            what,  # type: ignore[arg-type]
        )
        self._desk.journal.append(
            records.DEAD_LETTER,
            record,
            stage=self._desk.stage,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
        )
        if what == "dead":
            self._guard.alert("warning", "DEAD_LETTER", f"{order.client_order_id}: {letter.reason}")

    def _on_change(self, change: Change) -> None:
        """Whatever became of its answers: a venue that acknowledges orders takes them, and that closes the breaker."""
        if self._breaker is not None and isinstance(change.report, Accepted):
            self._breaker.success()

    def _on_breaker(self, is_open: bool) -> None:
        """Entries wait at the gate while the breaker is open, instead of dying one by one of it."""
        if is_open:
            self._guard.alert(
                "warning", "BREAKER_OPEN", "the way to the venue failed again and again; entries wait, exits pass"
            )
            self._guard.hold_back("breaker", "circuit breaker open")
        else:
            self._guard.alert("info", "BREAKER_CLOSED", "the venue answers again")
            self._guard.release("breaker")
