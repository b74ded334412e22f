"""How working orders meet a bar.

What happened inside a bar is not known, only that the open came first, the close last, and how far it went. So:

1. *At the open*: market orders execute at the open (slipped), stops that the open jumped over at the open (slipped),
   limits that the open reached at the open, which is their price or better. IOC and FOK orders end here.
2. *Inside*: stops that the bar reached execute at their trigger price (slipped), before any limit does: the pessimist's
   order, where a bar holds both a stop-loss and a target. A stop-limit executes at its trigger price where its limit
   allows that, at its limit where the close proves that the price came back, else it works on.
3. Limits that the bar reached execute at their price.

With a participation cap all orders together take no more than that part of the bar's volume, in this order; what is
left of a market order goes on at the next bar's open.
"""

from __future__ import annotations

from decimal import Decimal

from autotrader_lab.execution.adapters.matching.desk import Desk
from autotrader_lab.execution.adapters.matching.live import NOTHING_TO_CLOSE
from autotrader_lab.execution.adapters.matching.market import MarketState, Working, by_priority
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.market import Bar

__all__ = ["match_bar"]


def match_bar(desk: Desk, market: MarketState, bar: Bar) -> None:
    """Let the orders working in `market` meet `bar`."""
    meeting = _Meeting(desk, market, bar)
    for working in list(market.orders):
        meeting.at_open(working)
        working.fresh = False
    if not market.orders:
        return
    for working in [order for order in market.orders if not order.triggered]:
        meeting.inside_stop(working)
    for working in by_priority(order for order in market.orders if order.triggered and order.limit is not None):
        meeting.inside_limit(working)


class _Meeting:
    def __init__(self, desk: Desk, market: MarketState, bar: Bar) -> None:
        self.desk = desk
        self.bar = bar
        self.budget: Decimal | None = None
        if desk.max_participation is not None:
            self.budget = market.instrument.round_quantity(exact(bar.volume) * desk.max_participation)
        # Stop-limits that were triggered inside this bar, where the price is not known to have come back.
        self.next_bar: set[str] = set()

    def at_open(self, working: Working) -> None:
        price = self.bar.open
        if not working.triggered:
            if not working.stopped_at(price):
                return
            working.triggered = True
        if working.limit is None:
            self._execute(working, self.desk.slipped(working, exact(price)), "taker")
        elif working.reaches(price):
            if working.post_only and working.fresh:
                reason = f"a post-only order would execute at once: limit {working.limit}, open {price}"
                self.desk.reject(working, "POST_ONLY", reason)
                return
            grid = working.market.instrument.round_price(price, "up" if working.sign > 0 else "down")
            self._execute(working, grid, "taker" if working.fresh else "maker")
        self._end_if_immediate(working)

    def inside_stop(self, working: Working) -> None:
        if working.stop is None or not working.stopped_at(self.bar.high if working.sign > 0 else self.bar.low):
            return
        working.triggered = True
        if working.limit is None:
            self._execute(working, self.desk.slipped(working, working.stop), "taker")
        elif working.reaches(working.stop_f):
            self._execute(working, working.stop, "taker")
        elif working.reaches(self.bar.close) and not working.immediate:
            self._execute(working, working.limit, "maker")
        else:
            self.next_bar.add(working.client_order_id)
        self._end_if_immediate(working)

    def inside_limit(self, working: Working) -> None:
        if working.limit is None or working.client_order_id in self.next_bar:
            return
        if working.reaches(self.bar.low if working.sign > 0 else self.bar.high):
            self._execute(working, working.limit, "maker")

    def _end_if_immediate(self, working: Working) -> None:
        if working.immediate and self.desk.is_open(working.client_order_id):
            self.desk.expire_remainder(working)

    def _execute(self, working: Working, price: Decimal, liquidity: str) -> None:
        desk = self.desk
        wanted = desk.wanted(working)
        if not wanted:
            desk.withdraw(working, NOTHING_TO_CLOSE)
            return
        quantity = wanted if self.budget is None else min(wanted, self.budget)
        if not quantity or (working.tif == "FOK" and quantity < working.left):
            return
        if working.limit is None and not desk.afford(working, [(price, quantity)]):
            return
        if self.budget is not None:
            self.budget -= quantity
        desk.fill(working, price, quantity, liquidity)
        if working.reduce_only and working.left and not desk.reducible(working):
            desk.withdraw(working, NOTHING_TO_CLOSE)
