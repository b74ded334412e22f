"""What is known of orders in doubt: when they were sent, how often the venue said that it has none, who is deciding.

An order that got no answer is absent only when the venue says so twice, the second time after everything that was sent
must have arrived or been refused for being late. Until then it may be working, whatever the venue says.
"""

from __future__ import annotations

import asyncio

from autotrader_lab.model.clock import NS, Clock, from_ns, to_ns
from autotrader_lab.model.orders import Order

__all__ = ["PASSING", "Doubts"]

PASSING = frozenset({"REDUCING_ONLY", "STALE_MARKET_DATA", "CLOCK_SKEW"})
"""Denials that may be over in a moment: a line is lost, prices are late, a clock is measured anew."""


class Doubts:
    """The doubts of one order manager.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent_ns: dict[str, int] = {}
        self._absent: set[str] = set()
        self._deciding: dict[str, asyncio.Lock] = {}

    def deciding(self, order: Order) -> asyncio.Lock:
        """Held from asking about an order in doubt to acting on the answer: two at once could send it twice."""
        return self._deciding.setdefault(order.client_order_id, asyncio.Lock())

    def sent(self, order: Order, copy: Order) -> None:
        """`copy` of `order` was sent and nobody said what became of it: what the venue said before is out of date."""
        # Where the adapter does not say when, as late as can be: a retry may have sent it just now.
        self._sent_ns[order.client_order_id] = (
            to_ns(copy.submitted_at) if copy.submitted_at is not None else self._clock.now_ns()
        )
        self._absent.discard(order.client_order_id)

    def found(self, order: Order) -> None:
        """The venue has it."""
        self._absent.discard(order.client_order_id)

    def is_absent(self, order: Order, settle_s: float) -> bool:
        """The venue says it has none: whether that proves it, being the second time and `settle_s` after sending."""
        said_before = order.client_order_id in self._absent
        self._absent.add(order.client_order_id)
        return said_before and self.sent_s_ago(order) >= settle_s

    def sent_s_ago(self, order: Order) -> float:
        """Seconds since `order` was last sent, or, for one an earlier process sent, since it was last heard of."""
        now_ns = self._clock.now_ns()
        last_ns = to_ns(order.updated_at or order.created_at or from_ns(now_ns))
        return (now_ns - self._sent_ns.get(order.client_order_id, last_ns)) / NS
