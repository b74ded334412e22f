"""What a venue checks when an order arrives: limits of the instrument, the market, and what the account can bear.

Each answer is a code and a sentence with the figures, or None for welcome.
"""

from __future__ import annotations

from decimal import Decimal

from autotrader_lab.execution.adapters.matching.desk import Desk, insufficient
from autotrader_lab.execution.adapters.matching.live import walk
from autotrader_lab.execution.adapters.matching.market import MarketState, Working
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import OrderType

__all__ = ["equity", "exchange_rate", "refusal"]

_ZERO = Decimal(0)
_ONE = Decimal(1)
Refusal = tuple[str, str] | None


def refusal(desk: Desk, working: Working) -> Refusal:
    """Why `working` cannot be let in, as (code, sentence)."""
    market = working.market
    if working.type is OrderType.MARKET:
        if not market.known:
            symbol = market.symbol
            return "NO_MARKET", (
                f"no market in {symbol} is known: call set_price({symbol!r}, price) or attach(feed) first"
            )
        if market.live and not market.levels(working.sign):
            return "NO_LIQUIDITY", f"nobody offers the other side of {market.symbol} now"
    if working.post_only:
        levels = market.levels(working.sign) if working.triggered else ()
        if working.limit is None:
            return "POST_ONLY", f"a {working.type.value} order executes at once: post_only needs a limit order"
        if levels and working.reaches(levels[0][0]):
            return "POST_ONLY", f"a post-only order would execute at once: limit {working.limit}, best {levels[0][0]}"
    mark = market.mark()
    worth = exact(mark) if mark is not None else None
    price = working.limit or working.stop or worth or _ZERO
    refused = _filters(working, price)
    if refused is not None:
        return refused
    if working.reduce_only:
        if desk.reducible(working):
            return None
        held = desk.account.holdings.get(market.symbol, _ZERO)
        return "REDUCE_ONLY", f"holds {held:f} {market.symbol}: nothing free to close"
    if desk.account.allow_short:
        return _margin(desk, working, price if worth is None else worth)
    return _cash(desk, working)


def _filters(working: Working, price: Decimal) -> Refusal:
    instrument, quantity = working.market.instrument, working.quantity
    if quantity < instrument.min_quantity:
        return "MIN_QUANTITY", f"quantity {quantity:f} is below the minimum {instrument.min_quantity:f}"
    if instrument.max_quantity is not None and quantity > instrument.max_quantity:
        return "MAX_QUANTITY", f"quantity {quantity:f} is above the maximum {instrument.max_quantity:f}"
    if instrument.min_notional or instrument.max_notional is not None:
        notional = quantity * price * instrument.multiplier
        said = f"notional {notional:f} {instrument.quote}"
        if notional < instrument.min_notional and not working.reduce_only:
            return "MIN_NOTIONAL", f"{said} is below the minimum {instrument.min_notional:f}"
        if instrument.max_notional is not None and notional > instrument.max_notional:
            return "MAX_NOTIONAL", f"{said} is above the maximum {instrument.max_notional:f}"
    return None


def _cash(desk: Desk, working: Working) -> Refusal:
    account, market = desk.account, working.market
    if working.sign < 0:
        free = account.free_units(market.symbol)
        if working.left <= free:
            return None
        return insufficient(working.left, market.instrument.base or market.symbol, free)
    if market.live and working.type is OrderType.MARKET:
        needed = desk.cost(working, walk(desk, working).plan)
    else:
        needed = working.left * desk.unit_cost(working)
    free = account.free_cash(market.instrument.quote)
    return None if needed <= free else insufficient(needed, market.instrument.quote, free)


def _margin(desk: Desk, working: Working, price: Decimal) -> Refusal:
    account, market = desk.account, working.market
    others = [order for order in market.orders if order is not working]
    if working.sign < 0 and not market.instrument.can_short:
        sold = sum((order.left for order in others if order.sign < 0), _ZERO)
        free = account.holdings.get(market.symbol, _ZERO) - sold
        if working.left > free:
            return insufficient(working.left, f"{market.symbol} (cannot be sold short)", free)
    after = _worst(desk, market, [*others, working])
    if after <= _worst(desk, market, others):
        return None
    rate = exchange_rate(desk, market.instrument.quote)
    if rate is None:
        pair = f"{market.instrument.quote}/{account.currency}"
        return "NO_CONVERSION", (
            f"what a {market.instrument.quote} is worth in {account.currency} is not known: set_price({pair!r}, price)"
        )
    unit = price * market.instrument.multiplier * rate
    exposure = after * unit + sum((_exposure(desk, state) for state in desk.markets if state is not market), _ZERO)
    power = (equity(desk) - working.left * unit * account.commission_rate) * account.leverage
    return None if exposure <= power else insufficient(exposure, f"{account.currency} of exposure", power)


def _worst(desk: Desk, market: MarketState, orders: list[Working]) -> Decimal:
    """The largest position, long or short, that `orders` could lead to, units."""
    held = desk.account.holdings.get(market.symbol, _ZERO)
    bought = sold = _ZERO
    for order in orders:
        if order.reduce_only:
            continue
        if order.sign > 0:
            bought += order.left
        else:
            sold += order.left
    return max(abs(held + bought), abs(held - sold))


def _exposure(desk: Desk, market: MarketState) -> Decimal:
    worst = _worst(desk, market, market.orders)
    mark = market.mark()
    if not worst or mark is None:
        return _ZERO
    rate = exchange_rate(desk, market.instrument.quote)
    return worst * exact(mark) * market.instrument.multiplier * rate if rate is not None else _ZERO


def exchange_rate(desk: Desk, currency: str) -> Decimal | None:
    """What a unit of `currency` is worth in the account currency, from the markets known; None if nobody tells."""
    home = desk.account.currency
    if currency == home:
        return _ONE
    direct = desk.price(f"{currency}/{home}")
    if direct:
        return exact(direct)
    inverse = desk.price(f"{home}/{currency}")
    return _ONE / exact(inverse) if inverse else None


def equity(desk: Desk) -> Decimal:
    """Cash and holdings at the marks, account currency; what has no known price or rate counts nothing."""
    account = desk.account
    if not account.cash:
        return account.balance
    total = _ZERO
    for currency, amount in account.cash.items():
        if amount:
            rate = exchange_rate(desk, currency)
            total += amount * rate if rate is not None else _ZERO
    for symbol, units in account.holdings.items():
        mark = desk.price(symbol) if units else None
        if mark is not None:
            instrument = desk.market(symbol).instrument
            rate = exchange_rate(desk, instrument.quote)
            total += units * exact(mark) * instrument.multiplier * rate if rate is not None else _ZERO
    return total
