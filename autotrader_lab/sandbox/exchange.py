"""The matching engine behind every venue of the sandbox: price-time priority, balances, holds and fees.

It is pure: no I/O and no clock; every call carries the time. What happened collects in ``events`` until the caller
drains it. The outside market (a recording or a simulation) meets the customers' orders here and nowhere else. It has
no account; what it gained and lost is kept in ``market_flow``, so that for every asset balances + fees + market flow
always equal deposits.
"""

from __future__ import annotations

from collections.abc import Iterable

from autotrader_lab.sandbox.book import Level, Slot
from autotrader_lab.sandbox.orders import (
    Account,
    ExecutionKind,
    Order,
    OrderRequest,
    OrderType,
    Prevention,
    Refused,
    Side,
    Status,
    TimeInForce,
    TradeEvent,
)
from autotrader_lab.sandbox.settlement import Settlement
from autotrader_lab.sandbox.triggers import Triggers
from autotrader_lab.sandbox.units import ONE, notional

__all__ = ["Exchange"]


class Exchange(Settlement):
    """One venue's matching engine in one world.

    Parameters
    ----------
    instruments : iterable of Instrument
        What can be traded.
    first_id : int, default 1
        Where order, trade and execution numbers start.
    """

    # Customers

    def place(self, account_name: str, request: OrderRequest, now_ms: int) -> Order:
        """Accept an order and match it.

        Raises
        ------
        Refused
            If the exchange declines it; nothing has changed then.
        """
        account = self.accounts[account_name]
        self.check(account_name, request)
        order = self._make(account_name, request, now_ms)
        order.lock_asset, order.locked = self._hold(request)
        account.lock(order.lock_asset, order.locked)
        account.open[order.order_id] = order
        account.open_by_client_id[order.symbol, order.client_order_id] = order
        account.orders.setdefault(order.symbol, {})[order.order_id] = order
        account.latest_by_client_id[order.symbol, order.client_order_id] = order
        if order.type.has_stop:
            self.triggers[order.symbol].add(order)
        else:
            order.is_working, order.working_ms = True, now_ms
        self._report(order, ExecutionKind.NEW, now_ms)
        self._report_balances(account, order.symbol, now_ms)
        if order.is_working:
            self._work(order, now_ms)
            self._run_triggers(order.symbol, now_ms)
        elif request.triggers_at_once:
            self._run_triggers(order.symbol, now_ms)
        return order

    def check(self, account_name: str, request: OrderRequest) -> None:
        """Refuse what :meth:`place` would refuse.

        Raises
        ------
        Refused
            With the reason.
        """
        account = self.accounts[account_name]
        self._check_identity(account, request)
        if request.iceberg and request.iceberg > request.quantity:
            raise Refused("ICEBERG_TOO_LARGE")
        if request.type.has_stop:
            last = self.last_price[request.symbol]
            due = last and Triggers.is_due(request.side, request.type, request.stop_price, last)
            if due and not request.triggers_at_once:
                raise Refused("WOULD_TRIGGER")
        opposite = self.books[request.symbol].best(request.side.opposite)
        if request.type is OrderType.LIMIT_MAKER and _crosses(request.side, request.price, opposite):
            raise Refused("WOULD_TAKE")
        if request.type is OrderType.MARKET and request.quote_quantity and opposite is None:
            raise Refused("NO_LIQUIDITY")
        self._check_funds(account, request)

    def _check_identity(self, account: Account, request: OrderRequest) -> None:
        if (request.symbol, request.client_order_id) in account.open_by_client_id:
            raise Refused("DUPLICATE_ORDER")

    def _check_funds(self, account: Account, request: OrderRequest) -> None:
        asset, amount = self._hold(request)
        if amount > account.free.get(asset, 0):
            raise Refused("INSUFFICIENT_BALANCE")

    def cancel(self, account_name: str, order: Order, now_ms: int, request_id: str = "") -> Order:
        """Cancel an open order.

        Raises
        ------
        Refused
            UNKNOWN_ORDER if it is not open.
        """
        if order.order_id not in self.accounts[account_name].open:
            raise Refused("UNKNOWN_ORDER")
        self._finish(order, Status.CANCELED, ExecutionKind.CANCELED, now_ms, request_id)
        return order

    def report_rejected(self, account_name: str, request: OrderRequest, reason: str, now_ms: int) -> None:
        """Report an order that never came to be: its predecessor was canceled, it was refused."""
        order = self._make(account_name, request, now_ms)
        order.status = Status.REJECTED
        self._report(order, ExecutionKind.REJECTED, now_ms, reject_reason=reason)

    def amend(self, account_name: str, order: Order, quantity: int, client_order_id: str, now_ms: int) -> str:
        """Make an order smaller without losing its place.

        Returns
        -------
        str
            The client order id it had before.

        Raises
        ------
        Refused
            UNKNOWN_ORDER, AMEND_NOT_SMALLER, or DUPLICATE_ORDER if the new client id is in use.
        """
        account = self.accounts[account_name]
        if order.order_id not in account.open:
            raise Refused("UNKNOWN_ORDER")
        if not order.executed + order.prevented < quantity < order.quantity:
            raise Refused("AMEND_NOT_SMALLER")
        before = order.client_order_id
        if client_order_id != before and (order.symbol, client_order_id) in account.open_by_client_id:
            raise Refused("DUPLICATE_ORDER")
        cut = order.quantity - quantity
        freed = cut if order.side is Side.SELL else notional(order.price or order.stop_price, cut)
        if order.is_working:
            self.books[order.symbol].shrink(order, order.remaining - cut)
        order.quantity = quantity
        order.updated_ms = now_ms
        order.locked -= freed
        account.release(order.lock_asset, freed)
        del account.open_by_client_id[order.symbol, before]
        order.client_order_id = client_order_id
        account.open_by_client_id[order.symbol, client_order_id] = order
        account.latest_by_client_id[order.symbol, client_order_id] = order
        self._report(order, ExecutionKind.REPLACED, now_ms, request_id=before)
        self._report_balances(account, order.symbol, now_ms)
        return before

    # The outside market

    def market_depth(
        self, symbol: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], now_ms: int
    ) -> None:
        """The outside market states new absolute sizes (0 removes) for some prices, both in e8."""
        book = self.books[symbol]
        grown: list[tuple[Side, int, int]] = []
        for side, rows in ((Side.BUY, bids), (Side.SELL, asks)):
            for price, quantity in rows:
                increase = book.state(side, price, quantity)
                if increase:
                    grown.append((side, price, increase))
        for side, price, increase in [*grown, *book.unconfirmed()]:
            self._market_incoming(symbol, side, price, increase, now_ms)
        self._run_triggers(symbol, now_ms)

    def market_picture(
        self, symbol: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], now_ms: int
    ) -> None:
        """The outside market states its whole book: what it does not name is gone."""
        stated: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        for side, price in self.books[symbol].stated_prices():
            stated[side][price] = 0
        stated[Side.BUY].update(bids)
        stated[Side.SELL].update(asks)
        self.market_depth(symbol, stated[Side.BUY].items(), stated[Side.SELL].items(), now_ms)

    def market_trade(self, symbol: str, taker: Side, price: int, quantity: int, now_ms: int) -> None:
        """The outside market trades: `taker` hits `price` for `quantity`.

        Customers' orders at better prices come first, then those at the price, in the order of the queue. What
        finds no displayed quantity trades all the same: it was there, only not shown.
        """
        book = self.books[symbol]
        side = taker.opposite
        self._aggressor -= 1
        left = quantity
        for level in list(book.walk(side)):
            if not left or not _is_better(side, level.price, price):
                break
            for slot in [slot for slot in level.queue if slot.order is not None]:
                if left:
                    left -= self._market_fill(level, slot, left, now_ms)
        outside = 0
        found = book.levels[side].get(price)
        while left and found is not None and found.queue:
            slot = found.queue[0]
            if slot.order is None:
                part = min(left, slot.quantity)
                found.take(slot, part)
                book.note_traded(side, price, part)
                book.changed(side, found)
                outside += part
                left -= part
            else:
                outside = self._print(symbol, taker, price, outside, now_ms)
                left -= self._market_fill(found, slot, left, now_ms)
        self._print(symbol, taker, price, outside + left, now_ms)
        self._run_triggers(symbol, now_ms)

    def _market_incoming(self, symbol: str, side: Side, price: int, quantity: int, now_ms: int) -> None:
        book = self.books[symbol]
        self._aggressor -= 1
        while quantity:
            level = book.best(side.opposite)
            if level is None or not _crosses(side, price, level):
                break
            slot = level.queue[0]
            if slot.order is None:
                # The market never crosses itself: what it said before is out of date.
                self._withdraw(symbol, side.opposite, level, slot)
                continue
            quantity -= self._market_fill(level, slot, quantity, now_ms)
        if quantity:
            book.add_market(side, price, quantity)

    def _market_fill(self, level: Level, slot: Slot, quantity: int, now_ms: int) -> int:
        """Let the outside market take `quantity` of a customer's order; returns how much of it is used up."""
        part = min(quantity, slot.quantity)
        assert slot.order is not None, "the outside market does not trade with itself"
        taken = self._portion(slot.order, part)
        self._trade(None, level, slot, taken, now_ms)
        return part if taken == part else quantity  # it took what it wanted, and wants no more

    def _portion(self, order: Order, quantity: int) -> int:
        if self.portion is None or order.time_in_force is TimeInForce.FOK:
            return quantity
        return self.portion(order, quantity)

    def _print(self, symbol: str, taker: Side, price: int, quantity: int, now_ms: int) -> int:
        if quantity:
            self._trade_id[symbol] += 1
            self.last_price[symbol] = price
            self.events.append(
                TradeEvent(symbol, self._trade_id[symbol], price, quantity, taker is Side.SELL, now_ms, self._aggressor)
            )
        return 0

    # Matching

    def _make(self, account_name: str, request: OrderRequest, now_ms: int) -> Order:
        self._order_id += 1
        return Order(
            account=account_name,
            symbol=request.symbol,
            order_id=self._order_id,
            client_order_id=request.client_order_id,
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force,
            price=request.price,
            quantity=request.quantity,
            quote_quantity=request.quote_quantity,
            stop_price=request.stop_price,
            iceberg=request.iceberg,
            prevention=request.prevention,
            created_ms=now_ms,
            updated_ms=now_ms,
            strategy_id=request.strategy_id,
            strategy_type=request.strategy_type,
            fills=[],
        )

    def _hold(self, request: OrderRequest) -> tuple[str, int]:
        instrument = self.instruments[request.symbol]
        if request.side is Side.SELL:
            return instrument.base, request.quantity or self._needed(request)
        if request.type is OrderType.MARKET:
            return instrument.quote, request.quote_quantity or self._cost(request)
        return instrument.quote, notional(request.price or request.stop_price, request.quantity)

    def _cost(self, request: OrderRequest) -> int:
        left, cost = request.quantity, 0
        for level in self.books[request.symbol].walk(Side.SELL):
            part = min(left, self._available(level))
            cost += notional(level.price, part)
            left -= part
            if not left:
                break
        return cost

    def _needed(self, request: OrderRequest) -> int:
        step = self.instruments[request.symbol].step
        left, needed = request.quote_quantity, 0
        for level in self.books[request.symbol].walk(Side.BUY):
            part = min(left * ONE // level.price // step * step, self._available(level))
            needed += part
            left -= notional(level.price, part)
            if part < self._available(level):
                break
        return needed

    @staticmethod
    def _available(level: Level) -> int:
        return level.market + sum(slot.order.remaining for slot in level.queue if slot.order is not None)

    def _work(self, order: Order, now_ms: int) -> None:
        limit = order.price if order.type.has_limit else None
        if order.time_in_force is TimeInForce.FOK and not self._fillable(order, limit):
            self._finish(order, Status.EXPIRED, ExecutionKind.EXPIRED, now_ms)
            return
        self._match(order, limit, now_ms)
        if not order.status.is_open:
            return
        if limit is None or order.time_in_force is not TimeInForce.GTC:
            self._finish(order, Status.EXPIRED, ExecutionKind.EXPIRED, now_ms)
        else:
            self.books[order.symbol].rest(order)

    def _fillable(self, order: Order, limit: int | None) -> bool:
        left = order.remaining
        for level in self.books[order.symbol].walk(order.side.opposite):
            if limit is not None and not _crosses(order.side, limit, level):
                break
            left -= self._available(level)
            if left <= 0:
                return True
        return False

    def _match(self, order: Order, limit: int | None, now_ms: int) -> None:
        book = self.books[order.symbol]
        while order.status.is_open:
            level = book.best(order.side.opposite)
            if level is None or (limit is not None and not _crosses(order.side, limit, level)):
                return
            slot = level.queue[0]
            wanted = self._wanted(order, level.price)
            if not wanted:
                return
            maker = slot.order
            if maker is not None and maker.account == order.account and order.prevention is not Prevention.NONE:
                self._prevent(order, maker, min(wanted, slot.quantity), now_ms)
                continue
            part = min(wanted, slot.quantity)
            if maker is not None:
                self._trade(order, level, slot, part, now_ms)
                continue
            taken = self._portion(order, part)
            self._trade(order, level, slot, taken, now_ms)
            if taken < part and slot.quantity:
                self._withdraw(order.symbol, order.side.opposite, level, slot)

    def _withdraw(self, symbol: str, side: Side, level: Level, slot: Slot) -> None:
        """The outside market takes back what it had stated there."""
        book = self.books[symbol]
        level.take(slot, slot.quantity)
        book.stated[side].pop(level.price, None)
        book.changed(side, level)

    def _prevent(self, taker: Order, maker: Order, quantity: int, now_ms: int) -> None:
        self._prevented_match_id += 1
        expired = []
        if taker.prevention in (Prevention.EXPIRE_MAKER, Prevention.EXPIRE_BOTH):
            expired.append((maker, taker))
        if taker.prevention in (Prevention.EXPIRE_TAKER, Prevention.EXPIRE_BOTH):
            expired.append((taker, maker))
        for order, other in expired:
            order.prevented_match_id = self._prevented_match_id
            order.counter_order_id = other.order_id
            self._finish(
                order,
                Status.EXPIRED_IN_MATCH,
                ExecutionKind.TRADE_PREVENTION,
                now_ms,
                counter_order_id=other.order_id,
                prevented=quantity,
            )

    def _trade(self, taker: Order | None, level: Level, slot: Slot, quantity: int, now_ms: int) -> None:
        maker = slot.order
        known = maker or taker
        assert known is not None, "one side of a trade is a customer's order"
        symbol = known.symbol
        side = known.side if known is maker else known.side.opposite
        book = self.books[symbol]
        level.take(slot, quantity)
        next_slice = maker is not None and not slot.quantity and maker.remaining > quantity
        book.changed(side, level)
        self._trade_id[symbol] += 1
        trade_id = self._trade_id[symbol]
        self.last_price[symbol] = level.price
        aggressor = taker.order_id if taker is not None else self._aggressor
        self.events.append(TradeEvent(symbol, trade_id, level.price, quantity, side is Side.BUY, now_ms, aggressor))
        for order, is_maker in ((maker, True), (taker, False)):
            if order is None:
                self._book_market(symbol, side if is_maker else side.opposite, level.price, quantity)
            else:
                self._fill(order, trade_id, level.price, quantity, is_maker, now_ms)
        if maker is not None and next_slice:
            book.rest(maker)

    def _references(self, symbol: str) -> tuple[int, int]:
        """The prices that stops waiting for a rise and for a fall are compared with; 0 is none yet."""
        return self.last_price[symbol], self.last_price[symbol]

    def _run_triggers(self, symbol: str, now_ms: int) -> None:
        triggers = self.triggers[symbol]
        while order := triggers.pop_due(*self._references(symbol)):
            order.is_working, order.working_ms, order.updated_ms = True, now_ms, now_ms
            self._report(order, ExecutionKind.NEW, now_ms)
            self._work(order, now_ms)

    def _finish(
        self,
        order: Order,
        status: Status,
        kind: ExecutionKind,
        now_ms: int,
        request_id: str = "",
        counter_order_id: int = -1,
        prevented: int = 0,
    ) -> None:
        if order.type.has_stop and not order.is_working:
            self.triggers[order.symbol].remove(order)
        elif order.is_working:
            self.books[order.symbol].remove(order)
        order.status = status
        order.prevented += prevented
        if order.quote_quantity and not order.quantity:
            order.quantity = order.executed
        self._close(order, now_ms)
        self._report(order, kind, now_ms, request_id=request_id, counter_order_id=counter_order_id, prevented=prevented)
        self._report_balances(self.accounts[order.account], order.symbol, now_ms)


def _crosses(side: Side, price: int, opposite: Level | None) -> bool:
    if opposite is None:
        return False
    return price >= opposite.price if side is Side.BUY else price <= opposite.price


def _is_better(side: Side, price: int, than: int) -> bool:
    return price > than if side is Side.BUY else price < than
