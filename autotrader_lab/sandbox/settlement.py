"""What a trade does to accounts: funds move, fees are taken, and everything is reported.

This half of the exchange knows balances and events; the other half, ``exchange``, knows queues and prices. For every
asset, balances + fees + what the outside market took always equal what was deposited.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from autotrader_lab.sandbox.book import Book
from autotrader_lab.sandbox.orders import (
    Account,
    AccountEvent,
    Execution,
    ExecutionKind,
    Fees,
    Instrument,
    Order,
    OrderEvent,
    Refused,
    Side,
    Status,
    TradeEvent,
)
from autotrader_lab.sandbox.triggers import Triggers
from autotrader_lab.sandbox.units import ONE, notional, share

__all__ = ["Event", "Settlement"]

Event = OrderEvent | AccountEvent | TradeEvent


class Settlement:
    """Accounts, books and the record of what happened.

    Parameters
    ----------
    instruments : iterable of Instrument
        What can be traded.
    first_id : int, default 1
        Where order, trade and execution numbers start.

    Attributes
    ----------
    portion : callable or None
        Given an order and a quantity (e8) it is about to trade with the outside market: how much of it really trades.
    skew_ms : callable
        How far this venue's clock is off now.
    """

    def __init__(self, instruments: Iterable[Instrument], first_id: int = 1) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.books = {symbol: Book() for symbol in self.instruments}
        self.triggers = {symbol: Triggers() for symbol in self.instruments}
        self.last_price = dict.fromkeys(self.instruments, 0)
        self.accounts: dict[str, Account] = {}
        self.events: list[Event] = []
        self.fees: dict[str, int] = {}
        self.market_flow: dict[str, int] = {}
        self.deposits: dict[str, int] = {}
        self._order_id = first_id - 1
        self._trade_id = dict.fromkeys(self.instruments, first_id - 1)
        self._execution_id = first_id - 1
        self._prevented_match_id = -1
        self._aggressor = 0
        self.portion: Callable[[Order, int], int] | None = None
        self.skew_ms: Callable[[], int] = lambda: 0

    def drain(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self.events = self.events, []
        return events

    def open_account(self, name: str, balances: dict[str, int], now_ms: int, fees: Fees | None = None) -> Account:
        """Make a customer with `balances` in e8 by asset."""
        account = self.accounts[name] = self._new_account(name, fees)
        for asset, amount in balances.items():
            self.deposit(name, asset, amount, now_ms)
        return account

    def _new_account(self, name: str, fees: Fees | None) -> Account:
        return Account(name, fees)

    def deposit(self, account_name: str, asset: str, amount: int, now_ms: int) -> None:
        """Add `amount` (e8; negative withdraws) to what is free.

        Raises
        ------
        Refused
            INSUFFICIENT_BALANCE if a withdrawal is larger than what is free.
        """
        account = self.accounts[account_name]
        if account.free.get(asset, 0) + amount < 0:
            raise Refused("INSUFFICIENT_BALANCE")
        account.credit(asset, amount)
        account.updated_ms = now_ms
        self.deposits[asset] = self.deposits.get(asset, 0) + amount
        self.events.append(AccountEvent(account_name, now_ms, (account.balance(asset),), delta=amount))

    # Trades

    def _wanted(self, order: Order, price: int) -> int:
        """How much of an order could trade at `price`, on the step: what is left, and what can be paid for."""
        if order.type.has_limit:
            return order.remaining
        step = self.instruments[order.symbol].step
        funds = order.locked + self.accounts[order.account].free.get(order.lock_asset, 0)
        affordable = funds * ONE // price if order.side is Side.BUY else funds
        wanted = order.remaining
        if order.quote_quantity:
            wanted = (order.quote_quantity - order.amount) * ONE // price
        return min(wanted, affordable) // step * step

    def _book_market(self, symbol: str, side: Side, price: int, quantity: int) -> None:
        instrument = self.instruments[symbol]
        sign = 1 if side is Side.BUY else -1
        for asset, amount in (
            (instrument.base, sign * quantity),
            (instrument.quote, -sign * instrument.amount(price, quantity)),
        ):
            self.market_flow[asset] = self.market_flow.get(asset, 0) + amount

    def _settle(self, order: Order, price: int, quantity: int, is_maker: bool) -> tuple[int, str, int]:
        """Move the funds of one side of a trade; returns the fee, its asset and the profit taken."""
        account = self.accounts[order.account]
        instrument = self.instruments[order.symbol]
        amount = instrument.amount(price, quantity)
        rate = account.fees.maker if is_maker else account.fees.taker
        if order.side is Side.BUY:
            paid, received, asset = amount, quantity, instrument.base
            held = notional(order.price, quantity) if order.type.has_limit else amount
        else:
            paid, received, asset = quantity, amount, instrument.quote
            held = quantity
        held = min(held, order.locked)
        account.release(order.lock_asset, held)
        order.locked -= held
        account.free[order.lock_asset] -= paid
        fee = share(received, rate)
        account.credit(asset, received - fee)
        return fee, asset, 0

    def _fill(self, order: Order, trade_id: int, price: int, quantity: int, is_maker: bool, now_ms: int) -> None:
        account = self.accounts[order.account]
        amount = self.instruments[order.symbol].amount(price, quantity)
        fee, asset, realised = self._settle(order, price, quantity, is_maker)
        self.fees[asset] = self.fees.get(asset, 0) + fee
        fill = Execution(
            trade_id,
            order.order_id,
            order.symbol,
            order.side is Side.BUY,
            is_maker,
            price,
            quantity,
            amount,
            fee,
            asset,
            now_ms,
            realised,
        )
        account.executions.setdefault(order.symbol, []).append(fill)
        order.fills.append(fill)
        order.executed += quantity
        order.amount += amount
        order.updated_ms = now_ms
        order.status = Status.PARTIALLY_FILLED
        if not order.quote_quantity and not order.remaining:
            order.status = Status.FILLED
        elif order.quote_quantity:
            following = self.books[order.symbol].best(order.side.opposite)
            if not self._wanted(order, following.price if following else price):
                order.quantity, order.status = order.executed, Status.FILLED
        if order.status is Status.FILLED:
            self._close(order, now_ms)
        self._report(order, ExecutionKind.TRADE, now_ms, fill=fill)
        self._report_balances(account, order.symbol, now_ms)

    # Ends and reports

    def _close(self, order: Order, now_ms: int) -> None:
        account = self.accounts[order.account]
        account.release(order.lock_asset, order.locked)
        order.locked = 0
        order.is_working = False
        order.updated_ms = now_ms
        account.open.pop(order.order_id, None)
        account.open_by_client_id.pop((order.symbol, order.client_order_id), None)

    def _report(
        self,
        order: Order,
        kind: ExecutionKind,
        now_ms: int,
        fill: Execution | None = None,
        request_id: str = "",
        counter_order_id: int = -1,
        prevented: int = 0,
        reject_reason: str = "NONE",
    ) -> None:
        self._execution_id += 1
        stood = copy.copy(order)
        stood.fills = order.fills.copy()
        self.events.append(
            OrderEvent(
                kind,
                stood,
                self._execution_id,
                now_ms,
                fill,
                request_id,
                reject_reason,
                counter_order_id=counter_order_id,
                prevented=prevented,
            )
        )

    def _report_balances(self, account: Account, symbol: str, now_ms: int) -> None:
        instrument = self.instruments[symbol]
        account.updated_ms = now_ms
        rows = (account.balance(instrument.base), account.balance(instrument.quote))
        self.events.append(AccountEvent(account.name, now_ms, rows))
