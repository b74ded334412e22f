"""How working orders meet a bar.

What happened inside a bar is not known, only that the open came first, the close last, and how far it went. So:

1. *At the open*: market orders execute at the open (slipped), stops that the open jumped over at the open (slipped),
   limits that the open reached at the open, which is their price or better. IOC and FOK orders end here.
2. *Inside*: stops that the bar reached execute at their trigger price (slipped), before any limit does: the pessimist's
   order, where a bar holds both a stop-loss and a target. A stop-limit executes at its trigger price where its limit
   allows that, at its limit where the close proves the price came back, else it works on.
3. Limits that the bar reached execute at their price.

With a participation cap all orders together take no more than that part of the bar's volume, in this order.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from autotrader_lab.execution.adapters.matching.market import MarketState, Working, by_priority
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.market import Bar
from autotrader_lab.model.orders import Report

if TYPE_CHECKING:
    from autotrader_lab.execution.adapters.matching.core import PaperMatching

__all__ = ["match_bar"]

_ZERO = Decimal(0)


def match_bar(matching: PaperMatching, market: MarketState, bar: Bar, now: int, out: list[Report]) -> None:
    """Let the orders working in `market` meet `bar`."""
    meeting = _Meeting(matching, market, bar, now, out)
    for working in list(market.orders):
        if working.reduce_only and not matching.reducible(working):
            if working.triggered:
                matching.cancel_exit(working, now, out)
            continue
        meeting.at_open(working)
        working.fresh = False
    if not market.orders:
        return
    for working in [order for order in market.orders if not order.triggered]:
        meeting.inside_stop(working)
    for working in by_priority(order for order in market.orders if order.triggered and order.limit is not None):
        meeting.inside_limit(working)


class _Meeting:
    def __init__(self, matching: PaperMatching, market: MarketState, bar: Bar, now: int, out: list[Report]) -> None:
        self.matching = matching
        self.bar = bar
        self.now = now
        self.out = out
        self.budget: Decimal | None = None
        if matching.max_participation is not None:
            self.budget = market.instrument.round_quantity(exact(bar.volume) * matching.max_participation)
        #: Stop-limits that were triggered inside this bar wait for the next one.
        self.waiting: set[str] = set()

    def at_open(self, working: Working) -> None:
        price = self.bar.open
        if not working.triggered:
            if not working.stopped_at(price):
                return
            working.triggered = True
        if working.limit is None:
            self._execute(working, self.matching.slipped(working, exact(price), 1), "taker")
        elif working.reaches(price):
            if working.post_only and working.fresh:
                reason = f"a post-only order would execute at once: limit {working.limit}, open {price}"
                self.matching.reject(working, "POST_ONLY", reason, self.now, self.out)
                return
            grid = working.market.instrument.round_price(price, "up" if working.sign > 0 else "down")
            self._execute(working, grid, "taker" if working.fresh else "maker")
        if working.immediate and self.matching.is_open(working.client_order_id):
            self.matching.expire_remainder(working, self.now, self.out)

    def inside_stop(self, working: Working) -> None:
        if not working.stopped_at(self.bar.high if working.sign > 0 else self.bar.low) or working.stop is None:
            return
        working.triggered = True
        if working.limit is None:
            self._execute(working, self.matching.slipped(working, working.stop, 1), "taker")
        elif working.reaches(working.stop_f):
            self._execute(working, working.stop, "taker")
        elif working.reaches(self.bar.close) and not working.immediate:
            self._execute(working, working.limit, "maker")
        else:
            self.waiting.add(working.client_order_id)
        if working.immediate and self.matching.is_open(working.client_order_id):
            self.matching.expire_remainder(working, self.now, self.out)

    def inside_limit(self, working: Working) -> None:
        if working.client_order_id in self.waiting or working.limit is None:
            return
        if working.reaches(self.bar.low if working.sign > 0 else self.bar.high):
            self._execute(working, working.limit, "maker")

    def _execute(self, working: Working, price: Decimal, liquidity: str) -> None:
        matching = self.matching
        wanted = matching.wanted(working)
        if not wanted:
            matching.cancel_exit(working, self.now, self.out)
            return
        quantity = wanted if self.budget is None else min(wanted, self.budget)
        if quantity <= 0 or (working.tif == "FOK" and quantity < working.left):
            return
        if working.limit is None and not matching.afford(working, [(price, quantity)], self.now, self.out):
            return
        if self.budget is not None:
            self.budget -= quantity
        matching.fill(working, price, quantity, self.now, liquidity, self.out)
        if working.reduce_only and matching.is_open(working.client_order_id) and not matching.reducible(working):
            matching.cancel_exit(working, self.now, self.out)
