"""What comes back from TWS, brought home to our orders: each execution once, each end with its true cause.

An order is known by IB's ``permId``, by our client id with the order's number, or by its reference, which is our
client order id; what executed is told by executions alone, keyed without their correction's number. The status says
*Cancelled* or *Inactive* for refusals too, so an end nobody asked for waits a moment for the code that explains it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.adapters.ibkr.codes import Meaning, meaning
from autotrader_lab.execution.adapters.ibkr.contracts import Catalogue
from autotrader_lab.execution.adapters.ibkr.decode import (
    VENUE,
    Commission,
    Execution,
    Phase,
    Standing,
    Terms,
)
from autotrader_lab.execution.tasks import Tasks
from autotrader_lab.model.clock import Clock, from_ns
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

__all__ = ["NOT_SEEN", "WORKING", "Handle", "IBKRBooks", "Word"]

log = logging.getLogger(__name__)

WORKING = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL})
NOT_SEEN = frozenset({OrderStatus.PENDING, OrderStatus.UNKNOWN})

_GRACE_S = 0.25
_REASON = re.compile(r"reason:\s*(.*)", re.IGNORECASE | re.DOTALL)

Pair = tuple[Decimal, float | None]


@dataclass(slots=True)
class Word:
    """An error that TWS told about an order."""

    meaning: Meaning
    code: int
    text: str

    @property
    def reason(self) -> str:
        """What stands after ``reason:``, where that is all there is to say."""
        match = _REASON.search(self.text)
        return match.group(1).strip() if match else self.text.strip()


@dataclass(slots=True)
class Handle:
    """What is known of one of our orders beyond its view.

    Attributes
    ----------
    order_id, client_id, perm_id : int
        TWS's numbers; 0 where not known yet.
    awaits : str
        What was sent and not answered: ``submit``, ``amend``, ``cancel`` or nothing.
    wanted : pair or None
        Quantity and price that a change asked for and that nobody confirmed.
    seen : set of pairs
        Quantities and prices it had, so that an old message is not taken for a change.
    word : Word or None
        The last error about it since something was sent.
    ending : Phase or None
        That its status says it is over, while the cause is not known.
    shown : Decimal
        The executed quantity that its status told.
    """

    view: Order
    order_id: int = 0
    client_id: int = 0
    perm_id: int = 0
    awaits: str = ""
    wanted: Pair | None = None
    cancelling: bool = False
    word: Word | None = None
    ending: Phase | None = None
    shown: Decimal = Decimal(0)
    seen: set[Pair] = field(default_factory=set)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def begin(self, awaits: str, wanted: Pair | None = None) -> None:
        """Take note that something is sent now: what was told before is no answer to it."""
        self.word, self.awaits = None, awaits
        self.wanted = wanted or self.wanted
        self.cancelling = self.cancelling or awaits == "cancel"

    def wake(self) -> None:
        """Let whoever waits for this order look again."""
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class IBKRBooks(BaseBrokerAdapter):
    """The venue's view of the orders sent or adopted here, and how it is kept true."""

    def __init__(self, clock: Clock, commission_wait_s: float) -> None:
        self._clock = clock
        self._commission_wait_s = commission_wait_s
        self._catalogue = Catalogue()
        self._handles: dict[str, Handle] = {}
        self._by_perm: dict[int, str] = {}
        self._by_number: dict[tuple[int, int], str] = {}
        self._acknowledged: set[tuple[str, str]] = set()
        self._ledger: dict[str, tuple[int, Fill]] = {}
        self._held: dict[str, Execution] = {}
        self._commissions: dict[str, Commission] = {}
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
        self._note(name, handle, what.client_id, what.order_id, what.perm_id)
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
        if phase is None or not view.is_open:
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
            self._tell(Expired(name, now_ns, reason))
        else:
            self._tell(Cancelled(name, now_ns, reason))
        handle.wake()

    def _absorb_error(self, order_id: int, client_id: int, code: int, text: str) -> bool:
        """An error about one of our orders; false if the number is none of ours."""
        view = self.orders.get(self._by_number.get((client_id, order_id), ""))
        if view is None:
            return False
        handle = self._handle(view)
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

    # --- executions -------------------------------------------------------------------------------------------

    def _absorb_execution(self, execution: Execution) -> None:
        """Book an execution once its commission is known, or it took too long."""
        known, _ = self._ledger.get(execution.family, (-1, None))
        if execution.correction < known:
            return
        if execution.execution_id in self._commissions or execution.correction == known:
            self._book(execution)
        elif execution.execution_id not in self._held:
            self._held[execution.execution_id] = execution
            self._later(
                self._commission_wait_s, lambda: self._release(execution.execution_id, "ibkr"), "ibkr commission"
            )

    def _absorb_commission(self, commission: Commission) -> None:
        is_new = commission.execution_id not in self._commissions
        self._commissions[commission.execution_id] = commission
        if commission.execution_id in self._held:
            self._release(commission.execution_id)
        elif is_new:
            self._complete(commission)

    def _complete(self, commission: Commission) -> None:
        """A commission that came after its fill was told: the list of fills has it from now on."""
        for family, (correction, fill) in self._ledger.items():
            if fill.metadata.get("exec_id") == commission.execution_id and "commission" in fill.metadata:
                log.warning(
                    "%s: commission %s %s of %s came after its fill was told without it",
                    VENUE,
                    commission.amount,
                    commission.currency,
                    commission.execution_id,
                )
                fill = _with_commission(fill, commission)
                self._ledger[family] = (correction, fill)
                return

    def _release(self, execution_id: str, waited: str = "") -> None:
        execution = self._held.pop(execution_id, None)
        if execution is not None:
            if waited:
                log.warning(
                    "%s: no commission for %s within %g s, told without", VENUE, execution_id, self._commission_wait_s
                )
            self._book(execution)

    def _book(self, execution: Execution) -> None:
        handle = self._ours(execution)
        fill = self._fill(execution, handle)
        before, earlier = self._ledger.get(execution.family, (execution.correction, fill))
        self._ledger[execution.family] = (execution.correction, fill)
        if execution.correction > before and (earlier.quantity, earlier.price) != (fill.quantity, fill.price):
            # What was told stands in journals; a fill cannot be untold. The position check will show the difference.
            log.error(
                "%s: IB corrected execution %s of %s from %g at %g to %g at %g; our books keep the former, compare "
                "them with the account",
                VENUE,
                execution.execution_id,
                fill.client_order_id or fill.order_id,
                earlier.quantity,
                earlier.price,
                fill.quantity,
                fill.price,
            )
        if handle is None:
            return
        self._acknowledge(handle)
        self._tell(Filled(handle.view.client_order_id, self._clock.now_ns(), fill))
        handle.wake()

    def _fill(self, execution: Execution, handle: Handle | None) -> Fill:
        commission = self._commissions.get(execution.execution_id)
        metadata: dict[str, Any] = {"exec_id": execution.execution_id, "exchange": execution.exchange}
        if commission is None:
            metadata["commission"] = "not told yet"
        elif commission.realised is not None:
            metadata["realised"] = float(commission.realised)
        return Fill(
            order_id=str(execution.perm_id or (handle.view.order_id if handle is not None else "")),
            symbol=handle.view.symbol if handle is not None else self._catalogue.name_of(execution.security),
            side=execution.side,
            quantity=float(execution.quantity),
            price=float(execution.price),
            commission=float(commission.amount) if commission is not None else 0.0,
            timestamp=from_ns(execution.timestamp_ns),
            execution_id=execution.family,
            metadata=metadata,
            client_order_id=handle.view.client_order_id if handle is not None else execution.reference,
            fee_currency=commission.currency if commission is not None else "",
            liquidity=execution.liquidity,
            venue=VENUE,
        )

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

    # --- snapshots --------------------------------------------------------------------------------------------

    def _snapshot(self, terms: Terms, executed: Decimal, average: float) -> Order:
        """A foreign order as the venue shows it."""
        kind = terms.order_type or (OrderType.LIMIT if terms.limit else OrderType.MARKET)
        phase = terms.phase
        if phase is Phase.FILLED:
            status = OrderStatus.FILLED
        elif phase is Phase.CANCELLED:
            status = OrderStatus.CANCELLED
        elif phase is Phase.INACTIVE and terms.filled is not None:
            status = OrderStatus.REJECTED
        else:
            status = OrderStatus.PARTIAL_FILL if executed else OrderStatus.SUBMITTED
        now = self._clock.now()
        return Order(
            str(terms.perm_id or terms.order_id),
            self._catalogue.name_of(terms.security),
            terms.side,
            kind,
            float(terms.quantity or terms.filled or 0),
            price=float(terms.limit) if terms.limit and "LMT" in terms.type_name else None,
            stop_price=float(terms.stop) if terms.stop and "STP" in terms.type_name else None,
            time_in_force=terms.time_in_force if terms.time_in_force in ("GTC", "IOC", "FOK", "DAY") else "GTC",
            status=status,
            filled_quantity=float(executed),
            avg_fill_price=average,
            metadata={"ibkr_type": terms.type_name, "ibkr_client_id": terms.client_id, "ibkr_status": terms.status},
            client_order_id=terms.reference,
            reason=terms.reason,
            venue=VENUE,
            updated_at=now,
            _filled=executed,
            _cost=executed * exact(average),
        )


def _with_commission(fill: Fill, commission: Commission) -> Fill:
    metadata = {key: value for key, value in fill.metadata.items() if key != "commission"}
    return Fill(
        fill.order_id,
        fill.symbol,
        fill.side,
        fill.quantity,
        fill.price,
        float(commission.amount),
        fill.timestamp,
        fill.execution_id,
        metadata,
        fill.client_order_id,
        commission.currency,
        fill.liquidity,
        fill.venue,
    )
