"""Executions and what they cost: each booked once, with its commission where that comes in time.

IB tells the two apart, the commission a moment later; one that does not come is asked for once. A correction of an
execution has the same number but for its last part; what was told of the first one stands, and the correction is
logged as the error it is.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod

from autotrader_lab.execution.adapters.ibkr.books import IBKRBooks
from autotrader_lab.execution.adapters.ibkr.contracts import Catalogue
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, Commission, Execution
from autotrader_lab.execution.adapters.ibkr.views import make_fill, with_commission
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.orders import Fill, Filled

__all__ = ["IBKRExecutions"]

log = logging.getLogger(__name__)

_COMMISSION_TRIES = 3


class IBKRExecutions(IBKRBooks):
    """The account's executions of the day, and their fills."""

    def __init__(self, clock: Clock, commission_wait_s: float) -> None:
        super().__init__(clock, commission_wait_s)
        self._catalogue = Catalogue()
        self._ledger: dict[str, tuple[int, Fill]] = {}
        self._held: dict[str, Execution] = {}
        self._commissions: dict[str, Commission] = {}
        self._commission_question = asyncio.Lock()

    def _absorb_execution(self, execution: Execution) -> None:
        """Book an execution once its commission is known, or it took too long."""
        known, _ = self._ledger.get(execution.family, (-1, None))
        if execution.correction < known:
            return
        if execution.execution_id in self._commissions or execution.correction == known:
            self._book(execution)
        elif execution.execution_id not in self._held:
            self._held[execution.execution_id] = execution
            self._tasks.own(self._await_commission(execution.execution_id), "ibkr commission")

    async def _await_commission(self, execution_id: str) -> None:
        """Book an execution in the end without its commission; one that was lost on the way is asked for before."""
        for _ in range(_COMMISSION_TRIES):
            await self._clock.sleep(self._commission_wait_s)
            async with self._commission_question:  # one answer tells them all
                if execution_id not in self._held or await self._ask_for_commissions():
                    break
        self._release(execution_id, "ibkr")

    @abstractmethod
    async def _ask_for_commissions(self) -> bool:
        """Have the day's executions told again, commissions with them; false, and logged, where no answer came."""

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
                fill = with_commission(fill, commission)
                self._ledger[family] = (correction, fill)
                return

    def _release(self, execution_id: str, waited: str = "") -> None:
        execution = self._held.pop(execution_id, None)
        if execution is not None:
            if waited:
                log.warning(
                    "%s: no commission for %s within %g s, nor when asked, told without",
                    VENUE,
                    execution_id,
                    self._commission_wait_s,
                )
            self._book(execution)

    def _book(self, execution: Execution) -> None:
        handle = self._ours(execution)
        view = handle.view if handle is not None else None
        symbol = view.symbol if view is not None else self._catalogue.name_of(execution.security)
        fill = make_fill(execution, self._commissions.get(execution.execution_id), symbol, view)
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
