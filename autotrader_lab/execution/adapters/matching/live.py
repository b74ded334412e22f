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
from typing import TYPE_CHECKING

from autotrader_lab.execution.adapters.matching.market import MarketState, Working, by_priority
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.market import Book, Quote, Trade
from autotrader_lab.model.orders import Report

if TYPE_CHECKING:
    from autotrader_lab.execution.adapters.matching.core import PaperMatching

__all__ = ["match_live", "take"]

_ZERO = Decimal(0)


def take(matching: PaperMatching, working: Working, now: int, out: list[Report]) -> None:
    """Let `working` act as a taker on the visible levels."""
    market, sign = working.market, working.sign
    working.fresh = False
    wanted = matching.wanted(working)
    plan: list[tuple[Decimal, Decimal]] = []
    taken: list[tuple[tuple[float, float], Decimal]] = []
    levels = market.levels(sign)
    for level in levels:
        if wanted <= 0 or not working.reaches(level[0]):
            break
        available = market.available(sign, level)
        quantity = wanted if available is None else min(wanted, available)
        if quantity > 0:
            plan.append((_taker_price(matching, working, level[0], 1), quantity))
            taken.append((level, quantity))
            wanted -= quantity
    if wanted > 0 and working.at_market and not working.immediate and levels:
        plan.append((_taker_price(matching, working, levels[-1][0], 2), wanted))
        wanted = _ZERO
    if working.tif == "FOK" and (wanted > 0 or not plan):
        matching.expire_remainder(working, now, out)
        return
    if working.at_market and plan and not matching.afford(working, plan, now, out):
        return
    for level, quantity in taken:
        market.use(sign, level, quantity)
    for price, quantity in plan:
        matching.fill(working, price, quantity, now, "taker", out)
    if not matching.is_open(working.client_order_id):
        return
    if working.reduce_only and not matching.reducible(working):
        matching.cancel_exit(working, now, out)
    elif working.at_market or working.immediate:
        matching.expire_remainder(working, now, out)


def _taker_price(matching: PaperMatching, working: Working, price: float, times: int) -> Decimal:
    if working.limit is None:
        return matching.slipped(working, exact(price), times)
    return working.market.instrument.round_price(price, "up" if working.sign > 0 else "down")


def match_live(
    matching: PaperMatching, market: MarketState, event: Quote | Trade | Book, now: int, out: list[Report]
) -> None:
    """Let the orders working in `market` meet a quote, book or trade: who was there first, then what it triggers."""
    limits = by_priority(working for working in market.orders if working.triggered)
    stops = [working for working in market.orders if not working.triggered]
    traded: dict[int, Decimal] = {}
    if isinstance(event, Trade) and event.size > 0:
        lots = market.instrument.round_quantity(event.size)
        traded = {1: lots, -1: lots}
    for working in limits:
        if working.fresh or working.immediate or working.limit is None:
            take(matching, working, now, out)  # it arrived when no market was known
        elif isinstance(event, Trade):
            if working.reaches(event.price):
                available = traded.get(working.sign)
                executed = _make(matching, working, working.limit, available, now, out)
                if available is not None:
                    traded[working.sign] = available - executed
        else:
            _meet_levels(matching, working, working.limit, now, out)
    for working in stops:
        if working.stopped_at(market.trigger_price(working.sign)):
            working.triggered = True
            take(matching, working, now, out)


def _meet_levels(matching: PaperMatching, working: Working, limit: Decimal, now: int, out: list[Report]) -> None:
    market, sign = working.market, working.sign
    for level in market.levels(sign):
        if not working.reaches(level[0]):
            return
        executed = _make(matching, working, limit, market.available(sign, level), now, out)
        if executed:
            market.use(sign, level, executed)
        if not matching.is_open(working.client_order_id):
            return


def _make(
    matching: PaperMatching, working: Working, limit: Decimal, available: Decimal | None, now: int, out: list[Report]
) -> Decimal:
    """Execute a working limit at its price for what is available (None: unlimited); returns how much that was."""
    wanted = matching.wanted(working)
    if not wanted:
        matching.cancel_exit(working, now, out)
        return _ZERO
    quantity = wanted if available is None else min(wanted, available)
    if quantity > 0:
        matching.fill(working, limit, quantity, now, "maker", out)
    return quantity
