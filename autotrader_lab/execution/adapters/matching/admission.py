"""What a venue checks when an order arrives: limits of the instrument, the market, and what the account can bear.

Each answer is a code and a sentence with the figures, or None for welcome.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from autotrader_lab.execution.adapters.matching.market import MarketState, Working
from autotrader_lab.model.instruments import exact

if TYPE_CHECKING:
    from autotrader_lab.execution.adapters.matching.core import PaperMatching

__all__ = ["equity", "refusal"]

_ZERO = Decimal(0)
Refusal = tuple[str, str] | None


def refusal(matching: PaperMatching, working: Working) -> Refusal:
    """Why `working` cannot be let in, as (code, sentence)."""
    market = working.market
    known = market.known
    if working.type.value == "market" and not known:
        return "NO_MARKET", (
            f"no market in {market.symbol} is known: call set_price({market.symbol!r}, price) or attach(feed) first"
        )
    if working.at_market and working.triggered and market.live and not market.levels(working.sign):
        return "NO_LIQUIDITY", f"nobody offers the other side of {market.symbol} now"
    if working.post_only:
        levels = market.levels(working.sign)
        if working.limit is None or (levels and working.triggered and working.reaches(levels[0][0])):
            best = f", best price {levels[0][0]}" if levels else ""
            return "POST_ONLY", f"a post-only order would execute at once: limit {working.limit}{best}"
    mark = market.mark()
    price = working.limit or working.stop or (exact(mark) if mark is not None else _ZERO)
    refused = _filters(working, price)
    if refused is not None:
        return refused
    if working.reduce_only:
        if matching.reducible(working):
            return None
        held = matching.account.holdings.get(market.symbol, _ZERO)
        return "REDUCE_ONLY", f"holds {held:f} {market.symbol}: nothing to close"
    if matching.account.allow_short:
        return _margin(matching, working, exact(mark) if mark is not None else price)
    return _cash(matching, working)


def _filters(working: Working, price: Decimal) -> Refusal:
    instrument, quantity = working.market.instrument, working.quantity
    if quantity < instrument.min_quantity:
        return "MIN_QUANTITY", f"quantity {quantity:f} is below the minimum {instrument.min_quantity:f}"
    if instrument.max_quantity is not None and quantity > instrument.max_quantity:
        return "MAX_QUANTITY", f"quantity {quantity:f} is above the maximum {instrument.max_quantity:f}"
    if instrument.min_notional or instrument.max_notional is not None:
        notional = quantity * price * instrument.multiplier
        if notional < instrument.min_notional and not working.reduce_only:
            return "MIN_NOTIONAL", (
                f"notional {notional:f} {instrument.quote} is below the minimum {instrument.min_notional:f}"
            )
        if instrument.max_notional is not None and notional > instrument.max_notional:
            return "MAX_NOTIONAL", (
                f"notional {notional:f} {instrument.quote} is above the maximum {instrument.max_notional:f}"
            )
    return None


def _cash(matching: PaperMatching, working: Working) -> Refusal:
    account, market = matching.account, working.market
    if working.sign < 0:
        free = account.free_units(market.symbol)
        if working.left <= free:
            return None
        return _insufficient(working.left, market.instrument.base or market.symbol, free)
    if working.at_market and working.triggered and market.live:
        return None  # the walk through the levels tells what it costs
    needed = working.left * matching.unit_cost(working)
    free = account.free_cash(market.instrument.quote)
    return None if needed <= free else _insufficient(needed, market.instrument.quote, free)


def _insufficient(needed: Decimal, what: str, free: Decimal) -> tuple[str, str]:
    return "INSUFFICIENT_BALANCE", f"not enough balance: needs {needed.normalize():f} {what}, free {free.normalize():f}"


def _margin(matching: PaperMatching, working: Working, price: Decimal) -> Refusal:
    account, market = matching.account, working.market
    if working.sign < 0 and not market.instrument.can_short:
        sold = sum((order.left for order in market.orders if order.sign < 0 and order is not working), _ZERO)
        free = account.holdings.get(market.symbol, _ZERO) - sold
        if working.left > free:
            return _insufficient(working.left, f"{market.symbol} (cannot be sold short)", free)
    others = [order for order in market.orders if order is not working]
    after = _worst(matching, market, [*others, working])
    if after <= _worst(matching, market, others):
        return None
    rate = exchange_rate(matching, market.instrument.quote)
    if rate is None:
        return "NO_CONVERSION", (
            f"no price of {market.instrument.quote} in {account.currency} is known: "
            f"set_price('{market.instrument.quote}/{account.currency}', price)"
        )
    value = price * market.instrument.multiplier * rate
    exposure = after * value + sum(
        (_exposure(matching, state) for state in matching.states if state is not market), _ZERO
    )
    power = (equity(matching) - working.left * value * account.commission_rate) * account.leverage
    return None if exposure <= power else _insufficient(exposure, f"{account.currency} of exposure", power)


def _worst(matching: PaperMatching, market: MarketState, orders: list[Working]) -> Decimal:
    """The largest position, long or short, that `orders` could lead to, units."""
    held = matching.account.holdings.get(market.symbol, _ZERO)
    bought = sold = _ZERO
    for order in orders:
        if order.reduce_only:
            continue
        if order.sign > 0:
            bought += order.left
        else:
            sold += order.left
    return max(abs(held + bought), abs(held - sold))


def _exposure(matching: PaperMatching, market: MarketState) -> Decimal:
    worst = _worst(matching, market, market.orders)
    mark = market.mark()
    rate = exchange_rate(matching, market.instrument.quote)
    if not worst or mark is None or rate is None:
        return _ZERO
    return worst * exact(mark) * market.instrument.multiplier * rate


def exchange_rate(matching: PaperMatching, currency: str) -> Decimal | None:
    """What a unit of `currency` is worth in the account currency, from the markets known; None if nobody tells."""
    home = matching.account.currency
    if currency == home:
        return Decimal(1)
    direct = matching.price(f"{currency}/{home}")
    if direct:
        return exact(direct)
    inverse = matching.price(f"{home}/{currency}")
    return 1 / exact(inverse) if inverse else None


def equity(matching: PaperMatching) -> Decimal:
    """Cash and holdings at the marks, account currency; what has no known price or rate counts nothing."""
    account = matching.account
    if not account.cash:
        return account.balance
    total = _ZERO
    for currency, amount in account.cash.items():
        if amount:
            rate = exchange_rate(matching, currency)
            total += amount * rate if rate is not None else _ZERO
    for symbol, units in account.holdings.items():
        mark = matching.price(symbol) if units else None
        if mark is not None:
            instrument = matching.instruments.find(symbol)
            rate = exchange_rate(matching, instrument.quote)
            total += units * exact(mark) * instrument.multiplier * rate if rate is not None else _ZERO
    return total
