"""What comes back from TWS, brought home to our orders: each execution once, each end with its true cause.

An order is known by IB's ``permId``, by our client id with the order's number, or by its reference, which is our
client order id; what executed is told by executions alone, keyed without their correction's number. The status says
*Cancelled* or *Inactive* for refusals too, so an end nobody asked for waits a moment for the code that explains it.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.base import NOT_SEEN, BaseBrokerAdapter
from autotrader_lab.execution.adapters.ibkr.codes import Meaning, meaning
from autotrader_lab.execution.adapters.ibkr.decode import (
    VENUE,
    Execution,
    Phase,
    Standing,
    Terms,
)
from autotrader_lab.execution.adapters.ibkr.handles import WORKING, Handle, Word
from autotrader_lab.execution.tasks import Tasks
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import (
    Accepted,
    Amended,
    Cancelled,
    Expired,
    Filled,
    Order,
    OrderStatus,
    Rejected,
    Report,
)

__all__ = ["IBKRBooks"]

log = logging.getLogger(__name__)

_GRACE_S = 0.25


class IBKRBooks(BaseBrokerAdapter):
    """The venue's view of the orders sent or adopted here, and how it is kept true."""

    def __init__(self, clock: Clock, commission_wait_s: float) -> None:
        self._clock = clock
        self._commission_wait_s = commission_wait_s
        self._handles: dict[str, Handle] = {}
        self._by_perm: dict[int, str] = {}
        self._by_number: dict[tuple[int, int], str] = {}
        self._acknowledged: set[tuple[str, str]] = set()
        self._tasks = Tasks(clock, self._on_failure)

    @staticmethod
    def _on_failure(name: str, error: BaseException) -> None:
        log.error("%s: %s failed: %r", VENUE, name, error)

    def _later(self, seconds: float, work: Callable[[], None], name: str) -> None:
        async def wait() -> None:
            await self._clock.sleep(seconds)
            work()

        self._tasks.own(wait(), name)

    def _wake_all(self) -> None:
        """No answer will come over this line any more."""
        for handle in self._handles.values():
            handle.wake()

    # --- whose it is ------------------------------------------------------------------------------------------

    def adopt(self, order: Order) -> None:
        super().adopt(order)
        name = order.client_order_id or order.order_id
        handle = self._handle(self.orders[name])
        if order.order_id.isdigit():
            self._note(name, handle, 0, 0, int(order.order_id))

    def _handle(self, view: Order) -> Handle:
        """The handle of a view, new where there is none."""
        name = view.client_order_id or view.order_id
        handle = self._handles.get(name)
        if handle is None or handle.view is not view:
            handle = self._handles[name] = Handle(view)
            handle.seen.add((exact(view.quantity), view.price))
        return handle

    def _note(self, name: str, handle: Handle, client_id: int, order_id: int, perm_id: int) -> None:
        """Remember the numbers an order goes by."""
        if order_id > 0:
            handle.client_id, handle.order_id = client_id, order_id
            self._by_number[client_id, order_id] = name
        if perm_id:
            handle.perm_id = perm_id
            self._by_perm[perm_id] = name

    def _find_view(self, order_id: str) -> Order | None:
        found = self.orders.get(order_id)
        if found is None and order_id.isdigit():
            found = self.orders.get(self._by_perm.get(int(order_id), ""))
        client_id, dash, number = order_id.partition("-")
        if found is None and dash and client_id.isdigit() and number.isdigit():
            found = self.orders.get(self._by_number.get((int(client_id), int(number)), ""))
        return found

    def _ours(self, what: Terms | Standing | Execution) -> Handle | None:
        """Our order behind a message, or None for a foreign one."""
        reference = "" if isinstance(what, Standing) else what.reference
        name = self._by_perm.get(what.perm_id, "") if what.perm_id else ""
        if not name and what.order_id > 0:
            name = self._by_number.get((what.client_id, what.order_id), "")
            if reference and name and name != reference:
                name = ""  # the number was used before, in another of TWS's lives
        if not name and reference in self.orders:
            perm_id = self._handle(self.orders[reference]).perm_id
            name = "" if perm_id and what.perm_id and perm_id != what.perm_id else reference
        view = self.orders.get(name) if name else None
        if view is None:
            return None
        handle = self._handle(view)
        numbers = (what.client_id, what.order_id)
        if what.order_id > 0 and handle.order_id and numbers != (handle.client_id, handle.order_id):
            return None  # an earlier order under the same id of ours, refused or given up
        self._note(name, handle, *numbers, what.perm_id)
        return handle

    # --- orders and their status ------------------------------------------------------------------------------

    def _absorb_terms(self, terms: Terms, *, listed: bool) -> None:
        """An order as TWS shows it; `listed` in an answer to a question, else as an event, which may be an old one."""
        handle = self._ours(terms)
        if handle is None:
            return
        if terms.phase is Phase.WORKING or (terms.phase is Phase.ON_THE_WAY and listed):
            self._acknowledge(handle, even_without_id=listed)
        if terms.phase is not Phase.ON_THE_WAY:
            self._take_change(handle, terms, listed)
        if terms.phase in (Phase.CANCELLED, Phase.INACTIVE):
            self._ends(handle, terms.phase)
        handle.wake()

    def _absorb_standing(self, standing: Standing) -> None:
        handle = self._ours(standing)
        if handle is None:
            return
        if standing.phase in (Phase.WORKING, Phase.FILLED):
            self._acknowledge(handle)
        elif standing.phase is None:
            log.warning("%s: %s has a status nobody knows: %.40r", VENUE, handle.view.client_order_id, standing.status)
        if standing.filled > handle.shown:
            handle.shown = standing.filled
            if standing.filled > handle.view._filled:
                # Executions come by themselves; should one have got lost, it is asked for.
                self._later(2 * self._commission_wait_s + _GRACE_S, lambda: self._check_shown(handle), "ibkr gap")
        if standing.phase in (Phase.CANCELLED, Phase.INACTIVE):
            self._ends(handle, standing.phase)
        handle.wake()

    def _check_shown(self, handle: Handle) -> None:
        if handle.shown > handle.view._filled:
            log.warning("%s: %s executed more than was told, asking", VENUE, handle.view.client_order_id)
            self._ask_again(handle)

    def _ask_again(self, handle: Handle) -> None:
        """Have the venue asked about an order; where there is a line to ask over."""
        self._tasks.own(self._look_again(handle.view), "ibkr question")

    @abstractmethod
    def _look_again(self, view: Order) -> Coroutine[Any, Any, None]:
        """Ask the venue about an order, so that its answer is absorbed; what goes wrong is logged."""

    def _acknowledge(self, handle: Handle, *, even_without_id: bool = False) -> None:
        """Say once that the venue has it."""
        name, order_id = handle.view.client_order_id, str(handle.perm_id or "")
        if (order_id or even_without_id) and (name, order_id) not in self._acknowledged:
            self._acknowledged.add((name, order_id))
            self._tell(Accepted(name, self._clock.now_ns(), order_id))

    def _take_change(self, handle: Handle, terms: Terms, listed: bool) -> None:
        view = handle.view
        quantity = terms.quantity or terms.filled or Decimal(0)
        price = float(terms.limit) if view.limit_price is not None and terms.limit > 0 else view.price
        pair = (quantity, price)
        if not quantity or not (listed or pair == handle.wanted or pair not in handle.seen):
            return
        if pair == handle.wanted:
            handle.wanted = None
        handle.seen.add(pair)
        if pair != (exact(view.quantity), view.price):
            self._tell(Amended(view.client_order_id, self._clock.now_ns(), quantity=float(quantity), price=price))

    # --- how it ends ------------------------------------------------------------------------------------------

    def _ends(self, handle: Handle, phase: Phase) -> None:
        if not handle.view.is_open:
            return
        is_new = handle.ending is None
        handle.ending = phase
        known = handle.word is not None and handle.word.meaning in (Meaning.REFUSED, Meaning.CANCELLED)
        if known or (handle.cancelling and phase is Phase.CANCELLED):
            self._finish(handle)
        elif is_new:
            self._later(_GRACE_S, lambda: self._finish(handle), "ibkr cause")

    def _finish(self, handle: Handle) -> None:
        """Say how it ended, with what is known of the cause."""
        view, phase, word = handle.view, handle.ending, handle.word
        if phase is None or not view.is_open or self.orders.get(view.client_order_id or view.order_id) is not view:
            return
        handle.ending = None
        name, now_ns = view.client_order_id, self._clock.now_ns()
        reason = word.reason if word is not None else ""
        is_asked = handle.cancelling
        is_immediate = view.effective_time_in_force in ("IOC", "FOK")
        is_refusal = word is not None and (
            word.meaning is Meaning.REFUSED
            or (word.meaning is Meaning.CANCELLED and view.status in NOT_SEEN and bool(reason) and not is_immediate)
        )
        is_refusal = is_refusal and not is_asked
        if phase is Phase.INACTIVE and not is_refusal:
            # Refused or held: without a code nobody here can tell, and what is held may still execute.
            log.warning("%s: %s is inactive at TWS, and no reason was given: %s", VENUE, name, reason or "ask TWS")
            view.reason = f"inactive at TWS: {reason or 'no reason given'}"
        elif is_refusal and not view._filled:
            assert word is not None, "a refusal has a word"
            self._tell(Rejected(name, now_ns, reason or word.text, str(word.code)))
        elif (is_immediate and not is_asked) or "expire" in reason.lower():
            self._name_it(handle)
            self._tell(Expired(name, now_ns, reason))
        else:
            self._name_it(handle)
            self._tell(Cancelled(name, now_ns, reason))
        handle.wake()

    def _name_it(self, handle: Handle) -> None:
        """An order that ended before its permId was told goes by its number: TWS had it."""
        view = handle.view
        if not view.order_id and handle.order_id and not handle.perm_id:
            order_id = f"{handle.client_id}-{handle.order_id}"
            self._tell(Accepted(view.client_order_id, self._clock.now_ns(), order_id))

    def _absorb_error(self, order_id: int, client_id: int, code: int, text: str) -> bool:
        """An error about one of our orders; false if the number is none of ours."""
        view = self.orders.get(self._by_number.get((client_id, order_id), ""))
        if view is None:
            return False
        handle = self._handle(view)
        if handle.order_id != order_id:
            return True  # of an earlier order under the same id of ours
        word = Word(meaning(code), code, text)
        if word.meaning is Meaning.NOTICE:
            view.metadata.setdefault("warnings", []).append(f"{code} {text}")
            log.info("%s: %s: %d %s", VENUE, view.client_order_id, code, text)
            return True
        handle.word = word
        if word.meaning is Meaning.CANCELLED:
            handle.ending = handle.ending or Phase.CANCELLED
            if view.is_open:
                self._finish(handle)
        elif word.meaning is Meaning.REFUSED and handle.awaits != "amend":
            if view.status in NOT_SEEN:
                self._tell(Rejected(view.client_order_id, self._clock.now_ns(), word.reason or text, str(code)))
            elif handle.ending is not None:
                self._finish(handle)
            elif view.is_open and handle.awaits != "cancel":
                # It may be the answer to a change that was given up: the order itself tells.
                self._ask_again(handle)
        handle.wake()
        return True

    def _tell(self, report: Report) -> None:
        """Report it, unless it contradicts what the venue said before: that is logged and dropped."""
        view = self.orders.get(report.client_order_id)
        if view is None or (isinstance(report, Amended) and view.status not in WORKING):
            return
        if isinstance(report, Rejected):
            if view.status not in (*NOT_SEEN, OrderStatus.SUBMITTED, OrderStatus.REJECTED):
                log.warning("%s: %s was %s and is now said to be rejected", VENUE, view, view.status.value)
                return
        elif view.status is OrderStatus.REJECTED and not isinstance(report, Filled):
            log.warning("%s: %s was rejected and is now said to be %s", VENUE, view, type(report).__name__)
            return
        self._report(report)
