"""Spot trading with what some venues do beyond the common core: revised orders, fees in the quote asset, expiry.

On OKX a post-only order that would take is accepted and canceled, not refused; on Coinbase the commission of a
purchase is paid in the quote asset, so it is held back together with the price.
"""

from __future__ import annotations

from collections.abc import Iterable

from autotrader_lab.sandbox.exchange import Exchange
from autotrader_lab.sandbox.orders import (
    ExecutionKind,
    Instrument,
    Order,
    OrderRequest,
    OrderType,
    Refused,
    Side,
    Status,
)
from autotrader_lab.sandbox.units import ONE, notional, share

__all__ = ["SpotExchange"]


class SpotExchange(Exchange):
    """A spot exchange with revisions.

    Parameters
    ----------
    instruments : iterable of Instrument
        What can be traded.
    first_id : int, default 1
        Where order, trade and execution numbers start.
    fees_in_quote : bool, default False
        Charge commissions in the quote asset, on top of what a purchase costs, instead of from what is received.
    """

    def __init__(self, instruments: Iterable[Instrument], first_id: int = 1, *, fees_in_quote: bool = False) -> None:
        super().__init__(instruments, first_id)
        self.fees_in_quote = fees_in_quote
        self._holder = ""

    # Orders

    def place(self, account_name: str, request: OrderRequest, now_ms: int) -> Order:
        self._holder = account_name
        return super().place(account_name, request, now_ms)

    def check(self, account_name: str, request: OrderRequest) -> None:
        self._holder = account_name
        super().check(account_name, request)

    def accept_dead(self, account_name: str, request: OrderRequest, now_ms: int) -> Order:
        """Accept an order and end it before it trades: it is on record and reported, new and expired."""
        account = self.accounts[account_name]
        order = self._make(account_name, request, now_ms)
        account.orders.setdefault(order.symbol, {})[order.order_id] = order
        account.latest_by_client_id[order.symbol, order.client_order_id] = order
        order.working_ms = now_ms
        self._report(order, ExecutionKind.NEW, now_ms)
        order.status = Status.EXPIRED
        self._report(order, ExecutionKind.EXPIRED, now_ms)
        return order

    def expire(self, account_name: str, order: Order, now_ms: int) -> Order:
        """End an open order whose time is over.

        Raises
        ------
        Refused
            UNKNOWN_ORDER if it is not open.
        """
        if order.order_id not in self.accounts[account_name].open:
            raise Refused("UNKNOWN_ORDER")
        self._finish(order, Status.EXPIRED, ExecutionKind.EXPIRED, now_ms)
        return order

    def complete(self, account_name: str, order: Order, now_ms: int) -> Order:
        """Cut an open order down to what it has traded, which fills it.

        Raises
        ------
        Refused
            UNKNOWN_ORDER if it is not open.
        """
        if order.order_id not in self.accounts[account_name].open:
            raise Refused("UNKNOWN_ORDER")
        self.books[order.symbol].remove(order)
        order.is_working = False
        order.quantity = order.executed
        self._finish(order, Status.FILLED, ExecutionKind.REPLACED, now_ms)
        return order

    def revise(
        self, account_name: str, order: Order, quantity: int, price: int, now_ms: int, request_id: str = ""
    ) -> None:
        """Change a working limit order under its own number; only a smaller quantity at its price keeps its place.

        Raises
        ------
        Refused
            UNKNOWN_ORDER if it is not open, NOT_AMENDABLE if it is no working limit order, ALREADY_FILLED if it has
            traded as much as it should be now, WOULD_TAKE, or INSUFFICIENT_BALANCE; nothing has changed then.
        """
        account = self.accounts[account_name]
        if order.order_id not in account.open:
            raise Refused("UNKNOWN_ORDER")
        if not order.is_working or not order.type.has_limit:
            raise Refused("NOT_AMENDABLE")
        remaining = quantity - order.executed - order.prevented
        if remaining <= 0:
            raise Refused("ALREADY_FILLED")
        best = self.books[order.symbol].best(order.side.opposite)
        takes = best is not None and (price >= best.price if order.side is Side.BUY else price <= best.price)
        if order.type is OrderType.LIMIT_MAKER and takes:
            raise Refused("WOULD_TAKE")
        needed = self._held_for(account_name, order.side, price, remaining)
        if needed - order.locked > account.free.get(order.lock_asset, 0):
            raise Refused("INSUFFICIENT_BALANCE")
        stays = price == order.price and quantity <= order.quantity
        if stays:
            self.books[order.symbol].shrink(order, remaining)
        else:
            self.books[order.symbol].remove(order)
        account.release(order.lock_asset, order.locked)
        account.lock(order.lock_asset, needed)
        order.locked, order.quantity, order.price, order.updated_ms = needed, quantity, price, now_ms
        self._report(order, ExecutionKind.REPLACED, now_ms, request_id=request_id)
        self._report_balances(account, order.symbol, now_ms)
        if not stays:
            self._work(order, now_ms)
            self._run_triggers(order.symbol, now_ms)

    # Funds

    def _highest_rate(self, account_name: str) -> int:
        fees = self.accounts[account_name].fees
        return max(fees.maker, fees.taker, 0) if self.fees_in_quote else 0

    def _held_for(self, account_name: str, side: Side, price: int, quantity: int) -> int:
        if side is Side.SELL:
            return quantity
        amount = notional(price, quantity)
        return amount + share(amount, self._highest_rate(account_name))

    def _hold(self, request: OrderRequest) -> tuple[str, int]:
        asset, amount = super()._hold(request)
        if request.side is Side.SELL or request.quote_quantity:
            return asset, amount
        return asset, amount + share(amount, self._highest_rate(self._holder))

    def _wanted(self, order: Order, price: int) -> int:
        if not self.fees_in_quote or order.type.has_limit or order.side is Side.SELL:
            return super()._wanted(order, price)
        step = self.instruments[order.symbol].step
        rate = self.accounts[order.account].fees.taker
        funds = order.locked + self.accounts[order.account].free.get(order.lock_asset, 0)
        wanted = order.remaining
        if order.quote_quantity:
            funds = min(funds, order.quote_quantity - order.amount - sum(fill.fee for fill in order.fills))
            wanted = funds * ONE // price
        affordable = funds * ONE * ONE // (price * (ONE + rate))
        return min(wanted, affordable) // step * step

    def _settle(self, order: Order, price: int, quantity: int, is_maker: bool) -> tuple[int, str, int]:
        if not self.fees_in_quote:
            return super()._settle(order, price, quantity, is_maker)
        account = self.accounts[order.account]
        instrument = self.instruments[order.symbol]
        amount = notional(price, quantity)
        fee = share(amount, account.fees.maker if is_maker else account.fees.taker)
        if order.side is Side.SELL:
            held, paid, received = quantity, quantity, (instrument.quote, amount - fee)
        else:
            paid, received = amount + fee, (instrument.base, quantity)
            held = paid
            if order.type.has_limit:
                held = order.locked - self._held_for(order.account, Side.BUY, order.price, order.remaining - quantity)
        held = min(held, order.locked)
        account.release(order.lock_asset, held)
        order.locked -= held
        account.free[order.lock_asset] -= paid
        account.credit(*received)
        return fee, instrument.quote, 0
