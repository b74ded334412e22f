"""What a person, or the host by itself, does about a stage at work: settle doubt, change limits, ask, step in.

:class:`.machine.StageMachine` knows when a stage may begin and end. This is about the time between: nothing here
starts a stage or climbs, everything here may be needed at three in the morning.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from autotrader_lab.execution.engine import ExecutionEngine
from autotrader_lab.host.machine import StageMachine
from autotrader_lab.host.snapshot import order_row
from autotrader_lab.model.clock import NS, to_ns
from autotrader_lab.model.errors import HostError
from autotrader_lab.model.orders import Order, OrderStatus

__all__ = ["SETTLEMENTS", "Care"]

SettleAction = Literal["query", "adopt", "resubmit", "discard", "reprocess"]
SETTLEMENTS: tuple[str, ...] = get_args(SettleAction)


class Care(StageMachine):
    """A stage machine that can be looked after; see :class:`.machine.StageMachine` for its parameters."""

    # --- orders in doubt, and orders that were never delivered ------------------------------------------------

    async def _do_settle(
        self, action: SettleAction, order: str = "", venue_order_id: str = "", why: str = ""
    ) -> dict[str, Any]:
        """One of a person's four buttons on an order, or the second chance of all dead letters."""
        engine = self._engine_run("settle").engine
        settlement = engine.settlement
        if action == "reprocess":
            sent = await settlement.reprocess()
            return {"sent": [order_row(one) for one in sent]}
        if not order:
            raise HostError(f"{action} needs an order: its client_order_id, as lab.attention() lists them")
        settled: Order
        match action:
            case "query":
                settled = await settlement.query(order)
            case "adopt":
                if not venue_order_id:
                    raise HostError(f"adopt {order}: give venue_order_id, the order's id at the venue")
                settled = await settlement.adopt(order, venue_order_id)
            case "resubmit":
                await self._let_settle(engine, order)
                settled = await settlement.resubmit(order)
            case "discard":
                await self._let_settle(engine, order)
                settled = await settlement.discard(order, why or "discarded by a person")
        row = order_row(settled)
        self.alert("info", "SETTLED", f"{action} {order}: {row['status']} {row['reason']}".rstrip())
        return row

    async def _let_settle(self, engine: ExecutionEngine, order_id: str) -> None:
        """An order sent a moment ago may still arrive: that the venue has none yet is no evidence before then."""
        order = engine.oms.book.find(order_id)
        if order is None or order.status is not OrderStatus.UNKNOWN or order.updated_at is None:
            return
        age_s = (self.clock.now_ns() - to_ns(order.updated_at)) / NS
        await self.clock.sleep(max(engine.oms.settle_s - age_s, 0.0))
