"""Whatever customers and market do, money is conserved, nothing is negative, and the book is never crossed."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from autotrader_lab.sandbox.exchange import Exchange
from autotrader_lab.sandbox.instruments import choose_instruments
from autotrader_lab.sandbox.orders import (
    ExecutionKind,
    OrderEvent,
    OrderRequest,
    OrderType,
    Prevention,
    Refused,
    Side,
    TimeInForce,
    TradeEvent,
)
from autotrader_lab.sandbox.units import ONE, notional, parse_e8

S = "BTCUSDT"
NAMES = ("ann", "bob")
sides = st.sampled_from(Side)
prices = st.integers(9_990, 10_010).map(lambda ticks: ticks * parse_e8("0.01"))
quantities = st.integers(1, 30_000).map(lambda steps: steps * parse_e8("0.00001"))


class ExchangeMachine(RuleBasedStateMachine):
    """Customers' orders and the outside market in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange(choose_instruments([S]))
        for name in NAMES:
            self.exchange.open_account(name, {"USDT": parse_e8("60"), "BTC": parse_e8("0.6")}, 0)
        self.exchange.drain()
        self.count = 0
        self.executed: dict[int, int] = {}
        self.last_trade_id = 0

    @rule(
        who=st.sampled_from(NAMES),
        side=sides,
        type_=st.sampled_from(OrderType),
        price=prices,
        stop=prices,
        quantity=quantities,
        tif=st.sampled_from(TimeInForce),
        prevention=st.sampled_from(Prevention),
        iceberg=st.booleans(),
        by_amount=st.booleans(),
    )
    def place(
        self,
        who: str,
        side: Side,
        type_: OrderType,
        price: int,
        stop: int,
        quantity: int,
        tif: TimeInForce,
        prevention: Prevention,
        iceberg: bool,
        by_amount: bool,
    ) -> None:
        self.count += 1
        market = type_ is OrderType.MARKET
        request = OrderRequest(
            symbol=S,
            side=side,
            type=type_,
            client_order_id=f"c{self.count}",
            time_in_force=tif if type_.has_limit and type_ is not OrderType.LIMIT_MAKER else TimeInForce.GTC,
            quantity=0 if market and by_amount else quantity,
            quote_quantity=notional(price, quantity) if market and by_amount else 0,
            price=price if type_.has_limit else 0,
            stop_price=stop if type_.has_stop else 0,
            iceberg=max(1000, quantity // 3 // 1000 * 1000) if iceberg and type_ is OrderType.LIMIT else 0,
            prevention=prevention,
        )
        money = {name: (dict(a.free), dict(a.locked)) for name, a in self.exchange.accounts.items()}
        try:
            self.exchange.place(who, request, self.count)
        except Refused:
            assert money == {name: (dict(a.free), dict(a.locked)) for name, a in self.exchange.accounts.items()}

    @precondition(lambda self: any(a.open for a in self.exchange.accounts.values()))
    @rule(data=st.data(), amend=st.booleans())
    def cancel_or_amend(self, data: st.DataObject, amend: bool) -> None:
        orders = [order for account in self.exchange.accounts.values() for order in account.open.values()]
        order = data.draw(st.sampled_from(orders))
        if amend and order.quantity:
            smaller = data.draw(st.integers(0, order.quantity // 1000)) * 1000
            if order.executed < smaller < order.quantity:
                self.exchange.amend(order.account, order, smaller, order.client_order_id, self.count)
            else:
                with pytest.raises(Refused, match="AMEND_NOT_SMALLER"):
                    self.exchange.amend(order.account, order, smaller, order.client_order_id, self.count)
        else:
            self.exchange.cancel(order.account, order, self.count)

    @rule(rows=st.lists(st.tuples(sides, prices, st.one_of(st.just(0), quantities)), max_size=5))
    def depth(self, rows: list[tuple[Side, int, int]]) -> None:
        bids = [(price, quantity) for side, price, quantity in rows if side is Side.BUY]
        asks = [(price, quantity) for side, price, quantity in rows if side is Side.SELL]
        self.exchange.market_depth(S, bids, asks, self.count)

    @rule(rows=st.lists(st.tuples(sides, prices, quantities), max_size=5))
    def picture(self, rows: list[tuple[Side, int, int]]) -> None:
        bids = {price: quantity for side, price, quantity in rows if side is Side.BUY}
        asks = {price: quantity for side, price, quantity in rows if side is Side.SELL}
        self.exchange.market_picture(S, bids.items(), asks.items(), self.count)

    @rule(taker=sides, price=prices, quantity=quantities)
    def trade(self, taker: Side, price: int, quantity: int) -> None:
        before = self.exchange.books[S].depth(taker.opposite, 100)
        mine = {
            order.price
            for account in self.exchange.accounts.values()
            for order in account.open.values()
            if order.is_working and order.side is taker.opposite
        }
        self.exchange.market_trade(S, taker, price, quantity, self.count)
        traded = [event for event in self.exchange.events if isinstance(event, TradeEvent)]
        assert sum(event.quantity for event in traded if event.aggressor == traded[0].aggressor) >= quantity
        better = {p for p, _ in before if (p > price if taker is Side.SELL else p < price)} & mine
        if better and sum(q for p, q in before if p in better) >= quantity:
            assert traded[0].price in better

    @invariant()
    def money_is_conserved(self) -> None:
        exchange = self.exchange
        for asset in ("USDT", "BTC"):
            held = sum(a.free.get(asset, 0) + a.locked.get(asset, 0) for a in exchange.accounts.values())
            assert held + exchange.fees.get(asset, 0) + exchange.market_flow.get(asset, 0) == exchange.deposits[asset]

    @invariant()
    def nothing_is_negative_and_holds_match_open_orders(self) -> None:
        for account in self.exchange.accounts.values():
            assert all(amount >= 0 for amount in (*account.free.values(), *account.locked.values()))
            for asset in ("USDT", "BTC"):
                orders = [order for order in account.open.values() if order.lock_asset == asset]
                assert sum(order.locked for order in orders) == account.locked.get(asset, 0)
            for order in account.open.values():
                assert order.status.is_open
                if order.side is Side.SELL:
                    assert order.locked == order.remaining
                elif order.type.has_limit:
                    assert order.locked == notional(order.price, order.remaining)

    @invariant()
    def the_book_is_sound(self) -> None:
        book = self.exchange.books[S]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert bid is None or ask is None or bid.price < ask.price
        resting = 0
        for side in Side:
            assert sorted(book.levels[side]) == book.prices[side]
            for level in book.levels[side].values():
                assert level.total == sum(slot.quantity for slot in level.queue) > 0
                assert level.market == sum(slot.quantity for slot in level.queue if slot.order is None)
                assert all(slot.quantity > 0 for slot in level.queue)
                resting += sum(1 for slot in level.queue if slot.order is not None)
        working = [o for a in self.exchange.accounts.values() for o in a.open.values() if o.is_working]
        assert resting == len(working)

    @invariant()
    def events_tell_the_same_story(self) -> None:
        for event in self.exchange.drain():
            if isinstance(event, TradeEvent):
                assert event.trade_id == self.last_trade_id + 1
                self.last_trade_id = event.trade_id
            elif isinstance(event, OrderEvent) and event.kind is ExecutionKind.TRADE:
                assert event.fill is not None
                total = self.executed.get(event.order.order_id, 0) + event.fill.quantity
                self.executed[event.order.order_id] = total
                assert event.order.executed == total
                assert event.fill.amount * ONE == event.fill.price * event.fill.quantity


ExchangeMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestExchangeMachine = ExchangeMachine.TestCase
