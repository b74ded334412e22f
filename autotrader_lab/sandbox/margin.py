"""The other kind of account: one that borrows, and so may sell what it does not have.

A margin account's ledger is the spot ledger without a floor: a short position is a negative balance of the base asset,
a bought one is paid for with a negative balance of the quote asset, so for every asset balances + fees + market flow
still equal deposits, exactly. What limits the customer is not the balance but margin: the part of every position's
value (``Instrument.margin_rate``), positions as they would stand if all open orders of one side were filled, must not
be more than what the account is worth. An order that only reduces is never refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from autotrader_lab.sandbox.exchange import Exchange
from autotrader_lab.sandbox.orders import (
    Account,
    ExecutionKind,
    Fees,
    Instrument,
    Order,
    OrderRequest,
    OrderType,
    Refused,
    Side,
    TimeInForce,
)
from autotrader_lab.sandbox.units import ONE, share

__all__ = ["Commission", "Holding", "MarginAccount", "MarginExchange"]

Commission = Callable[[Instrument, Order, int, int], int]


class Holding(msgspec.Struct):
    """A net position at average cost.

    `quantity` is signed, `cost` is the quote asset's amount the open quantity was bought for (negative: sold for),
    `realised` what closing has earned; commissions belong to the cost. All in e8.
    """

    quantity: int = 0
    cost: int = 0
    realised: int = 0

    def take(self, quantity: int, amount: int) -> int:
        """Take in a signed trade; returns what it realised."""
        if self.quantity * quantity >= 0:
            self.quantity += quantity
            self.cost += amount
            return 0
        closing = min(abs(quantity), abs(self.quantity))
        received = -amount * closing // abs(quantity)
        given_up = self.cost * closing // abs(self.quantity)
        opening = abs(quantity) > closing
        earned = received - given_up
        self.quantity += quantity
        self.cost = amount + received if opening else self.cost - given_up
        self.realised += earned
        return earned


class MarginAccount(Account):
    """An account that borrows: nothing is held back for orders, balances have no floor."""

    def __init__(self, name: str, fees: Fees | None = None) -> None:
        super().__init__(name, fees)
        self.holdings: dict[str, Holding] = {}

    def lock(self, asset: str, amount: int) -> None:
        """Hold nothing back: margin was checked."""

    def release(self, asset: str, amount: int) -> None:
        """Give nothing back."""

    def holding(self, symbol: str) -> Holding:
        """The position in `symbol`, flat if there never was one."""
        return self.holdings.get(symbol) or Holding()


class MarginExchange(Exchange):
    """An exchange whose customers trade on margin.

    Parameters
    ----------
    instruments : iterable of Instrument
        What can be traded.
    home : str
        The currency in which accounts are valued.
    commission : callable, optional
        (instrument, order before the fill, price, quantity) to the commission of a fill, e8 of `home`; none if omitted.
    first_id : int, default 1
        Where order, trade and execution numbers start.

    Raises
    ------
    ValueError
        If an instrument's quote asset cannot be valued in `home`.
    """

    def __init__(
        self, instruments: Iterable[Instrument], home: str, commission: Commission | None = None, first_id: int = 1
    ) -> None:
        super().__init__(instruments, first_id)
        self.home = home
        self._commission = commission
        for instrument in self.instruments.values():
            if instrument.quote != home and self._bridge(instrument.quote) is None:
                raise ValueError(f"{instrument.symbol}: {instrument.quote} cannot be valued in {home}; add a pair")

    # What things are worth

    def mid(self, symbol: str) -> int:
        """The middle of the book in e8, the last price where a side is missing."""
        bid, ask = self.books[symbol].best(Side.BUY), self.books[symbol].best(Side.SELL)
        return (bid.price + ask.price) // 2 if bid and ask else self.last_price[symbol]

    def closing_price(self, symbol: str, quantity: int) -> int:
        """What a position of `quantity` could be closed at: the bid for a long one, the ask for a short one."""
        level = self.books[symbol].best(Side.BUY if quantity >= 0 else Side.SELL)
        return level.price if level else self.last_price[symbol]

    def to_home(self, amount: int, currency: str) -> int:
        """An amount of a currency in the home currency, at the middle rate."""
        if currency == self.home or not amount:
            return amount
        bridge = self._bridge(currency)
        assert bridge is not None, f"the constructor refused {currency}"
        rate = self.mid(bridge.symbol)
        return amount * rate // ONE if bridge.base == currency else amount * ONE // rate

    def _bridge(self, currency: str) -> Instrument | None:
        wanted = {(currency, self.home), (self.home, currency)}
        return next((i for i in self.instruments.values() if (i.base, i.quote) in wanted), None)

    def equity(self, account: Account) -> int:
        """What the account is worth in the home currency: cash and what closing every position would bring."""
        assert isinstance(account, MarginAccount), "every account here is one"
        cash, positions = dict(account.free), 0
        for symbol, held in account.holdings.items():
            instrument = self.instruments[symbol]
            cash[instrument.base] = cash.get(instrument.base, 0) - held.quantity
            worth = instrument.amount(self.closing_price(symbol, held.quantity), held.quantity)
            positions += self.to_home(worth, instrument.quote)
        return positions + sum(self.to_home(amount, currency) for currency, amount in cash.items() if amount)

    def margin(self, account: Account, symbol: str = "", side: Side = Side.BUY, quantity: int = 0) -> int:
        """The margin that positions and open orders need in the home currency, with one more order if given."""
        assert isinstance(account, MarginAccount), "every account here is one"
        orders: dict[str, dict[Side, int]] = {}
        for order in account.open.values():
            sides = orders.setdefault(order.symbol, {Side.BUY: 0, Side.SELL: 0})
            sides[order.side] += order.remaining
        if quantity:
            orders.setdefault(symbol, {Side.BUY: 0, Side.SELL: 0})[side] += quantity
        needed = 0
        for name in {*account.holdings, *orders}:
            held = account.holding(name).quantity
            sides = orders.get(name, {Side.BUY: 0, Side.SELL: 0})
            worst = max(abs(held + sides[Side.BUY]), abs(held - sides[Side.SELL]), abs(held))
            if worst:
                instrument = self.instruments[name]
                value = self.to_home(instrument.amount(self.mid(name), worst), instrument.quote)
                needed += share(value, instrument.margin_rate)
        return needed

    # What the exchange asks of an account

    def _new_account(self, name: str, fees: Fees | None) -> Account:
        return MarginAccount(name, fees)

    def _hold(self, request: OrderRequest) -> tuple[str, int]:
        return self.instruments[request.symbol].quote, 0

    def _check_identity(self, account: Account, request: OrderRequest) -> None:
        """These venues know orders by their own numbers; a client's reference may repeat."""

    def _check_funds(self, account: Account, request: OrderRequest) -> None:
        needed = self.margin(account, request.symbol, request.side, request.quantity)
        if needed > self.margin(account) and needed > self.equity(account):
            raise Refused("INSUFFICIENT_MARGIN")

    def _wanted(self, order: Order, price: int) -> int:
        return order.remaining

    def _settle(self, order: Order, price: int, quantity: int, is_maker: bool) -> tuple[int, str, int]:
        account, instrument = self.accounts[order.account], self.instruments[order.symbol]
        assert isinstance(account, MarginAccount), "every account here is one"
        sign = 1 if order.side is Side.BUY else -1
        amount = instrument.amount(price, quantity)
        account.credit(instrument.base, sign * quantity)
        account.credit(instrument.quote, -sign * amount)
        fee = self._commission(instrument, order, price, quantity) if self._commission else 0
        account.credit(self.home, -fee)
        paid = sign * amount + (fee if instrument.quote == self.home else 0)
        realised = account.holdings.setdefault(order.symbol, Holding()).take(sign * quantity, paid)
        return fee, self.home, realised

    def _references(self, symbol: str) -> tuple[int, int]:
        if not self.instruments[symbol].stops_by_quote:
            return super()._references(symbol)
        bid, ask = self.books[symbol].best(Side.BUY), self.books[symbol].best(Side.SELL)
        return ask.price if ask else 0, bid.price if bid else 0

    # Changing an order

    def revise(
        self,
        account_name: str,
        order: Order,
        now_ms: int,
        *,
        type_: OrderType,
        time_in_force: TimeInForce,
        quantity: int,
        price: int = 0,
        stop_price: int = 0,
    ) -> None:
        """Change an open order under its own number; only a smaller quantity at the same price keeps its place.

        Raises
        ------
        Refused
            UNKNOWN_ORDER, ALREADY_FILLED if it has traded as much as it should be now, or INSUFFICIENT_MARGIN.
        """
        account = self.accounts[account_name]
        if order.order_id not in account.open:
            raise Refused("UNKNOWN_ORDER")
        if quantity <= order.executed:
            raise Refused("ALREADY_FILLED")
        if quantity > order.quantity:
            needed = self.margin(account, order.symbol, order.side, quantity - order.quantity)
            if needed > self.margin(account) and needed > self.equity(account):
                raise Refused("INSUFFICIENT_MARGIN")
        same_place = (order.type, order.price, order.stop_price) == (type_, price, stop_price)
        is_resting = order.is_working
        if same_place and quantity <= order.quantity:
            if is_resting:
                self.books[order.symbol].shrink(order, quantity - order.executed)
        elif is_resting:
            self.books[order.symbol].remove(order)
        else:
            self.triggers[order.symbol].remove(order)
        stays = same_place and quantity <= order.quantity
        order.type, order.time_in_force = type_, time_in_force
        order.quantity, order.price, order.stop_price, order.updated_ms = quantity, price, stop_price, now_ms
        if not stays and not is_resting and type_.has_stop:
            self.triggers[order.symbol].add(order)
        elif not stays:
            order.is_working, order.working_ms = True, now_ms
        self._report(order, ExecutionKind.REPLACED, now_ms)
        if not stays and order.is_working:
            self._work(order, now_ms)
        self._run_triggers(order.symbol, now_ms)

    # The dealer's side of an account in one currency

    def turn(self, account_name: str, taken: tuple[str, int], given: tuple[str, int]) -> None:
        """Exchange money with the outside market: `taken` (asset, e8) leaves the account, `given` comes in."""
        account = self.accounts[account_name]
        for asset, amount in ((taken[0], -taken[1]), given):
            account.credit(asset, amount)
            self.market_flow[asset] = self.market_flow.get(asset, 0) - amount
