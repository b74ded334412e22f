"""How orders meet a live market: quotes, books, trades, or a price set by hand.

A *taker* (an order that arrives, or a stop that was triggered) takes what is visible. Market orders walk the levels,
each with slippage; what is left beyond the last visible level executes there with the slippage once more. Limit orders
take the levels within their limit at the market's prices, and the rest works on.

A *working* limit executes at its own price, for as much as a quote or book shows at or beyond it, or as much as a trade
at or beyond it was big: whoever came would have met it first. Best price first, then who came first.

A quote's size is one level; size 0 is unknown and taken for unlimited, as is a trade alone for a taker.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from autotrader_lab.execution.adapters.matching.desk import Desk
from autotrader_lab.execution.adapters.matching.market import Level, MarketState, Working, by_priority
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.market import Book, Quote, Trade

__all__ = ["Walk", "match_live", "take", "walk"]

_ZERO = Decimal(0)
NOTHING_TO_CLOSE = "reduce_only: nothing is left to close"


class Walk(NamedTuple):
    """What a taker would get: executions as (price, quantity), what they take of which level, what stays unfilled."""

    plan: list[tuple[Decimal, Decimal]]
    taken: list[tuple[Level, Decimal]]
    unfilled: Decimal


def walk(desk: Desk, working: Working) -> Walk:
    """What `working` would get as a taker now."""
    market, sign = working.market, working.sign
    wanted = desk.wanted(working)
    plan: list[tuple[Decimal, Decimal]] = []
    taken: list[tuple[Level, Decimal]] = []
    levels = market.levels(sign)
    for level in levels:
        if not wanted or not working.reaches(level[0]):
            break
        available = market.available(sign, level)
        quantity = wanted if available is None else min(wanted, available)
        if quantity:
            plan.append((_taker_price(desk, working, level[0], 1), quantity))
            taken.append((level, quantity))
            wanted -= quantity
    if wanted and levels and working.at_market and not working.immediate:
        plan.append((_taker_price(desk, working, levels[-1][0], 2), wanted))
        wanted = _ZERO
    return Walk(plan, taken, wanted)


def _taker_price(desk: Desk, working: Working, price: float, times: int) -> Decimal:
    if working.limit is None:
        return desk.slipped(working, exact(price), times)
    return working.market.instrument.round_price(price, "up" if working.sign > 0 else "down")


def take(desk: Desk, working: Working) -> None:
    """Let `working` act as a taker."""
    working.fresh = False
    plan, taken, unfilled = walk(desk, working)
    if working.tif == "FOK" and (unfilled or not plan):
        desk.expire_remainder(working)
        return
    if working.at_market and plan and not desk.afford(working, plan):
        return
    for level, quantity in taken:
        working.market.use(working.sign, level, quantity)
    for price, quantity in plan:
        desk.fill(working, price, quantity, "taker")
    if not working.left:
        return
    if working.reduce_only and not desk.reducible(working):
        desk.withdraw(working, NOTHING_TO_CLOSE)
    elif working.at_market or working.immediate:
        desk.expire_remainder(working)


def match_live(desk: Desk, market: MarketState, event: Quote | Trade | Book) -> None:
    """Let the orders working in `market` meet a quote, book or trade: who was there first, then what it triggers."""
    limits = by_priority(working for working in market.orders if working.triggered)
    stops = [working for working in market.orders if not working.triggered]
    traded: dict[int, Decimal] = {}
    if isinstance(event, Trade) and event.size > 0:
        lots = market.instrument.round_quantity(event.size)
        traded = {1: lots, -1: lots}
    for working in limits:
        if working.fresh or working.immediate or working.limit is None:
            take(desk, working)  # it arrived when no market was known
        elif isinstance(event, Trade):
            if working.reaches(event.price):
                available = traded.get(working.sign)
                executed = _make(desk, working, working.limit, available)
                if available is not None:
                    traded[working.sign] = available - executed
        else:
            _meet_levels(desk, working, working.limit)
    for working in stops:
        if working.stopped_at(market.trigger_price(working.sign)):
            working.triggered = True
            take(desk, working)


def _meet_levels(desk: Desk, working: Working, limit: Decimal) -> None:
    market, sign = working.market, working.sign
    for level in market.levels(sign):
        if not working.reaches(level[0]):
            return
        executed = _make(desk, working, limit, market.available(sign, level))
        if executed:
            market.use(sign, level, executed)
        if not desk.is_open(working.client_order_id):
            return


def _make(desk: Desk, working: Working, limit: Decimal, available: Decimal | None) -> Decimal:
    """Execute a working limit at its price for what is available (None: unlimited); returns how much that was."""
    wanted = desk.wanted(working)
    if not wanted:
        desk.withdraw(working, NOTHING_TO_CLOSE)
        return _ZERO
    quantity = wanted if available is None else min(wanted, available)
    if quantity:
        desk.fill(working, limit, quantity, "maker")
    return quantity
