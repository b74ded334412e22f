"""The margin account kind: short positions, netting, equity, margin, stops by quote, and exact conservation."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.sandbox.margin import Holding, MarginAccount, MarginExchange
from autotrader_lab.sandbox.orders import Instrument, Order, OrderRequest, OrderType, Refused, Side, Status, TimeInForce
from autotrader_lab.sandbox.units import parse_e8, trim_e8

e = parse_e8

FX = Instrument(
    symbol="EUR_USD",
    base="EUR",
    quote="USD",
    tick=e("0.00001"),
    step=e("1"),
    margin_rate=e("0.02"),
    stops_by_quote=True,
)
YEN = Instrument(symbol="USD_JPY", base="USD", quote="JPY", tick=e("0.001"), step=e("1"), margin_rate=e("0.02"))
FUT = Instrument(symbol="ES", base="ES", quote="USD", tick=e("0.25"), step=e("1"), multiplier=50, margin_rate=e("0.1"))


class Desk:
    """A margin exchange with a customer, and short words for what tests do."""

    def __init__(self, cash: str = "100000", commission: Any = None) -> None:
        self.exchange = MarginExchange([FX, YEN, FUT], "USD", commission)
        self.account = self.exchange.open_account("ann", {"USD": e(cash)}, 0)
        assert isinstance(self.account, MarginAccount)
        self.quote("EUR_USD", "1.10000", "1.10010")
        self.quote("USD_JPY", "150.000", "150.010")
        self.quote("ES", "5000", "5000.25")
        self._ids = itertools.count()

    def quote(self, symbol: str, bid: str, ask: str, size: str = "1000000") -> None:
        self.exchange.market_picture(symbol, [(e(bid), e(size))], [(e(ask), e(size))], 0)

    def order(self, symbol: str, side: str, type_: str, quantity: str, price: str = "0", stop: str = "0") -> Order:
        request = OrderRequest(
            symbol=symbol,
            side=Side(side),
            type=OrderType(type_),
            client_order_id=f"id{next(self._ids)}",
            quantity=e(quantity),
            price=e(price),
            stop_price=e(stop),
            triggers_at_once=True,
        )
        return self.exchange.place("ann", request, 1)

    def held(self, symbol: str) -> tuple[str, str, str]:
        holding = self.account.holding(symbol)
        return trim_e8(holding.quantity), trim_e8(holding.cost), trim_e8(holding.realised)

    def conserved(self) -> bool:
        exchange = self.exchange
        assets = {*exchange.deposits, *exchange.market_flow, *self.account.free}
        return all(
            self.account.free.get(a, 0) + exchange.fees.get(a, 0) + exchange.market_flow.get(a, 0)
            == exchange.deposits.get(a, 0)
            for a in assets
        )


def test_short_net_and_turn() -> None:
    desk = Desk()
    desk.order("EUR_USD", "SELL", "MARKET", "20000")
    assert desk.held("EUR_USD") == ("-20000", "-22000", "0")
    desk.quote("EUR_USD", "1.09000", "1.09010")
    fill = desk.order("EUR_USD", "BUY", "MARKET", "5000").fills[-1]
    assert trim_e8(fill.realised) == "49.5"
    desk.order("EUR_USD", "BUY", "MARKET", "25000")
    assert desk.held("EUR_USD") == ("10000", "10901", "198")
    assert trim_e8(desk.exchange.equity(desk.account)) == "100197"
    assert desk.conserved()


def test_a_future_counts_its_multiplier() -> None:
    desk = Desk()
    desk.order("ES", "BUY", "MARKET", "2")
    assert desk.held("ES") == ("2", "500025", "0")
    assert trim_e8(desk.exchange.equity(desk.account)) == "99975"
    assert trim_e8(desk.exchange.margin(desk.account)) == "50001.25"
    desk.quote("ES", "5010", "5010.25")
    assert trim_e8(desk.exchange.equity(desk.account)) == "100975"


def test_commissions_belong_to_the_cost() -> None:
    desk = Desk(commission=lambda instrument, order, price, quantity: e("2"))
    opened = desk.order("EUR_USD", "BUY", "MARKET", "1000")
    assert (desk.held("EUR_USD"), opened.fills[0].realised) == (("1000", "1102.1", "0"), 0)
    closed = desk.order("EUR_USD", "SELL", "MARKET", "1000")
    assert trim_e8(closed.fills[0].realised) == "-4.1"
    assert trim_e8(desk.exchange.equity(desk.account)) == "99995.9"
    assert desk.conserved()


def test_yen_are_valued_at_home() -> None:
    desk = Desk()
    desk.order("USD_JPY", "BUY", "MARKET", "1000")
    desk.quote("USD_JPY", "153.000", "153.010")
    desk.order("USD_JPY", "SELL", "MARKET", "1000")
    assert desk.held("USD_JPY") == ("0", "0", "2990")
    assert trim_e8(desk.exchange.equity(desk.account)).startswith("100019.54")
    assert desk.conserved()


def test_margin_refuses_what_would_be_too_much_and_never_a_reduction() -> None:
    desk = Desk("1000")
    with pytest.raises(Refused, match="INSUFFICIENT_MARGIN"):
        desk.order("EUR_USD", "BUY", "MARKET", "50000")
    desk.order("EUR_USD", "BUY", "MARKET", "45000")
    with pytest.raises(Refused, match="INSUFFICIENT_MARGIN"):
        desk.order("EUR_USD", "BUY", "LIMIT", "5000", "1.05")
    desk.quote("EUR_USD", "1.08000", "1.08010")
    assert desk.exchange.equity(desk.account) < desk.exchange.margin(desk.account)
    assert desk.order("EUR_USD", "SELL", "MARKET", "45000").status is Status.FILLED


def test_stops_by_quote_and_stops_already_due() -> None:
    desk = Desk()
    stop = desk.order("EUR_USD", "SELL", "STOP_LOSS", "1000", stop="1.09950")
    desk.quote("EUR_USD", "1.09960", "1.09970")
    assert stop.status is Status.NEW
    desk.quote("EUR_USD", "1.09950", "1.09960")
    assert stop.status is Status.FILLED
    assert stop.fills[0].price == e("1.0995")
    assert desk.order("EUR_USD", "BUY", "STOP_LOSS", "1000", stop="1.09").status is Status.FILLED


def test_revise() -> None:
    desk = Desk()
    order = desk.order("EUR_USD", "BUY", "LIMIT", "1000", "1.09")
    other = desk.order("EUR_USD", "BUY", "LIMIT", "1000", "1.09")

    def revise(order: Order, quantity: str, price: str) -> None:
        desk.exchange.revise(
            "ann",
            order,
            2,
            type_=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=e(quantity),
            price=e(price),
        )

    revise(order, "600", "1.09")
    queue = desk.exchange.books["EUR_USD"].levels[Side.BUY][e("1.09")].queue
    assert [slot.order for slot in queue] == [order, other]
    revise(order, "800", "1.09")
    assert [slot.order for slot in queue] == [other, order]
    revise(order, "800", "1.2")
    assert (order.status, order.fills[0].price) == (Status.FILLED, e("1.1001"))
    with pytest.raises(Refused, match="UNKNOWN_ORDER"):
        revise(order, "900", "1.2")
    desk.exchange.market_trade("EUR_USD", Side.SELL, e("1.09"), e("300"), 3)
    with pytest.raises(Refused, match="ALREADY_FILLED"):
        revise(other, "300", "1.08")
    assert desk.conserved()


def test_a_stop_is_revised_before_and_after_it_triggers() -> None:
    desk = Desk()
    order = desk.order("EUR_USD", "SELL", "STOP_LOSS_LIMIT", "1000", "1.2", "1.09")
    values = {"type_": OrderType.STOP_LOSS_LIMIT, "time_in_force": TimeInForce.GTC, "quantity": e("1000")}
    desk.exchange.revise("ann", order, 2, price=e("1.2"), stop_price=e("1.105"), **values)
    assert (order.is_working, order.status) == (True, Status.NEW)
    desk.exchange.revise("ann", order, 2, price=e("1.05"), stop_price=e("1.105"), **values)
    assert order.status is Status.FILLED


def test_a_quote_that_cannot_be_valued_is_refused() -> None:
    with pytest.raises(ValueError, match="JPY cannot be valued in EUR"):
        MarginExchange([YEN], "EUR")


@given(st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 500)), max_size=30))
def test_a_holding_neither_makes_nor_loses_money(trades: list[tuple[int, int]]) -> None:
    holding, net, paid = Holding(), 0, 0
    for quantity, price in trades:
        holding.take(quantity, quantity * price)
        net += quantity
        paid += quantity * price
        assert holding.quantity == net
        assert holding.cost - holding.realised == paid
        assert (holding.quantity == 0) <= (holding.cost == 0)


@given(st.integers(0, 2**32))
def test_money_is_conserved_whatever_happens(seed: int) -> None:
    source = random.Random(seed)
    desk = Desk(commission=lambda instrument, order, price, quantity: 12345)
    for _ in range(25):
        symbol, mid, tick = source.choice([("EUR_USD", 110_000, "0.00001"), ("ES", 20_000, "0.25")])
        price = trim_e8((mid + source.randint(-20, 20)) * e(tick))
        side, type_ = source.choice(["BUY", "SELL"]), source.choice(["MARKET", "LIMIT", "STOP_LOSS"])
        try:
            desk.order(
                symbol,
                side,
                type_,
                str(source.randint(1, 3)),
                price if type_ == "LIMIT" else "0",
                price if type_ == "STOP_LOSS" else "0",
            )
        except Refused as refusal:
            assert refusal.reason == "INSUFFICIENT_MARGIN"  # noqa: PT017 - refusals are allowed, of this kind only
        middle = (mid + source.randint(-20, 20)) * e(tick)
        desk.quote(symbol, trim_e8(middle), trim_e8(middle + e(tick)), "5")
        assert desk.conserved()
