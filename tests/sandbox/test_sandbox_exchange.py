"""The matching engine on its own: order types, priority, holds, fees."""

import itertools

import pytest

from autotrader_lab.sandbox.exchange import Exchange
from autotrader_lab.sandbox.instruments import choose_instruments
from autotrader_lab.sandbox.orders import (
    ExecutionKind,
    Instrument,
    Order,
    OrderEvent,
    OrderRequest,
    OrderType,
    Prevention,
    Refused,
    Side,
    Status,
    TimeInForce,
    TradeEvent,
)
from autotrader_lab.sandbox.units import TooPrecise, parse_e8, text_e8, trim_e8

S = "BTCUSDT"
e = parse_e8


class Desk:
    """An exchange with two customers and short words for what tests do."""

    def __init__(self) -> None:
        self.exchange = Exchange(choose_instruments([S]))
        for name in ("ann", "bob"):
            self.exchange.open_account(name, {"USDT": e("100000"), "BTC": e("10")}, 0)
        self.exchange.market_depth(
            S,
            [(e("100"), e("1")), (e("99"), e("2"))],
            [(e("101"), e("1")), (e("102"), e("2"))],
            0,
        )
        self.exchange.drain()
        self._ids = itertools.count()

    def order(
        self, side: str, type_: str, quantity: str = "0", price: str = "0", *, who: str = "ann", **more: object
    ) -> Order:
        values = {"client_order_id": f"id{next(self._ids)}", **more}
        request = OrderRequest(
            symbol=S, side=Side(side), type=OrderType(type_), quantity=e(quantity), price=e(price), **values
        )
        return self.exchange.place(who, request, 1)

    def trade(self, taker: str, price: str, quantity: str) -> None:
        self.exchange.market_trade(S, Side(taker), e(price), e(quantity), 2)

    def depth(self, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
        self.exchange.market_depth(S, [(e(p), e(q)) for p, q in bids], [(e(p), e(q)) for p, q in asks], 3)

    def shown(self, side: str) -> list[tuple[str, str]]:
        return [(trim_e8(p), trim_e8(q)) for p, q in self.exchange.books[S].depth(Side(side), 10)]

    def money(self, who: str = "ann") -> dict[str, tuple[str, str]]:
        account = self.exchange.accounts[who]
        return {a: (trim_e8(account.balance(a)[1]), trim_e8(account.balance(a)[2])) for a in ("USDT", "BTC")}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_decimal_texts_are_exact() -> None:
    assert text_e8(e("61837.63")) == "61837.63000000"
    assert trim_e8(e("0.10000000")) == "0.1"
    assert text_e8(-e("0.5")) == "-0.50000000"
    assert e("0.1000000000") == 10_000_000
    with pytest.raises(TooPrecise):
        e("0.123456789")
    for wrong in ("", "-1", "1e3", ".5", "1.", "nan", "1,0"):
        with pytest.raises(ValueError, match="not a decimal"):
            e(wrong)


def test_market_order_walks_the_depth_and_pays_a_fee_of_what_it_receives(desk: Desk) -> None:
    order = desk.order("BUY", "MARKET", "2.5")
    assert [(trim_e8(f.price), trim_e8(f.quantity), f.is_maker) for f in order.fills] == [
        ("101", "1", False),
        ("102", "1.5", False),
    ]
    assert order.status is Status.FILLED
    assert desk.money() == {"USDT": ("99746", "0"), "BTC": ("12.4975", "0")}
    assert desk.shown("SELL") == [("102", "0.5")]


def test_market_order_larger_than_the_book_expires_with_its_part(desk: Desk) -> None:
    order = desk.order("BUY", "MARKET", "5")
    assert order.status is Status.EXPIRED
    assert trim_e8(order.executed) == "3"
    assert desk.money()["USDT"] == ("99695", "0")


def test_market_order_by_amount_spends_no_more_and_counts_as_filled(desk: Desk) -> None:
    order = desk.order("BUY", "MARKET", quote_quantity=e("150"))
    assert order.status is Status.FILLED
    assert order.amount <= e("150") < order.amount + 102 * 1000
    assert order.quantity == order.executed == e("1.48039")
    sale = desk.order("SELL", "MARKET", quote_quantity=e("150"))
    assert sale.status is Status.FILLED
    assert e("149.99") < sale.amount <= e("150")


def test_limit_rests_locks_and_is_filled_at_its_price_by_a_maker_fill(desk: Desk) -> None:
    order = desk.order("BUY", "LIMIT", "1", "100.5")
    assert desk.money() == {"USDT": ("99899.5", "100.5"), "BTC": ("10", "0")}
    desk.trade("SELL", "100", "0.4")
    assert order.status is Status.PARTIALLY_FILLED
    assert order.fills[0].price == e("100.5")
    assert order.fills[0].is_maker
    desk.trade("SELL", "100", "5")
    assert order.status is Status.FILLED
    assert desk.money() == {"USDT": ("99899.5", "0"), "BTC": ("10.999", "0")}


def test_limit_takes_at_better_prices_and_gets_the_difference_back(desk: Desk) -> None:
    order = desk.order("BUY", "LIMIT", "2", "101.5")
    assert trim_e8(order.executed) == "1"
    assert desk.shown("BUY")[0] == ("101.5", "1")
    assert desk.money()["USDT"] == ("99797.5", "101.5")


def test_queue_place_is_behind_what_stood_there_and_before_what_comes_later(desk: Desk) -> None:
    order = desk.order("BUY", "LIMIT", "1", "100")
    desk.depth([("100", "3")], [])
    assert desk.shown("BUY")[0] == ("100", "4")
    desk.trade("SELL", "100", "0.9")
    assert order.executed == 0
    desk.trade("SELL", "100", "0.3")
    assert trim_e8(order.executed) == "0.2"
    desk.trade("SELL", "100", "0.8")
    assert order.status is Status.FILLED


def test_cancelled_market_liquidity_leaves_from_behind(desk: Desk) -> None:
    order = desk.order("BUY", "LIMIT", "1", "100")
    desk.depth([("100", "3")], [])
    desk.depth([("100", "1")], [])
    desk.trade("SELL", "100", "1")
    assert order.executed == 0
    desk.depth([("100", "0")], [])
    desk.trade("SELL", "100", "0.5")
    assert trim_e8(order.executed) == "0.5"


def test_price_time_priority_among_customers(desk: Desk) -> None:
    late_better = [
        desk.order("SELL", "LIMIT", "1", "100.9", who="ann"),
        desk.order("SELL", "LIMIT", "1", "100.8", who="bob"),
    ]
    same = desk.order("SELL", "LIMIT", "1", "100.8", who="ann")
    desk.trade("BUY", "100.8", "1.5")
    assert [trim_e8(o.executed) for o in (*late_better, same)] == ["0", "1", "0.5"]


def test_market_that_crosses_a_resting_order_fills_it_and_the_book_stays_uncrossed(desk: Desk) -> None:
    order = desk.order("BUY", "LIMIT", "1.5", "100.5")
    desk.depth([], [("100.4", "1")])
    assert trim_e8(order.executed) == "1"
    assert desk.shown("BUY")[0] == ("100.5", "0.5")
    assert desk.shown("SELL")[0] == ("101", "1")


def test_outside_trades_are_published_whole_and_unconfirmed_ones_refill(desk: Desk) -> None:
    desk.trade("SELL", "100", "0.6")
    trades = [event for event in desk.exchange.drain() if isinstance(event, TradeEvent)]
    assert [(trim_e8(t.price), trim_e8(t.quantity), t.buyer_is_maker) for t in trades] == [("100", "0.6", True)]
    assert desk.shown("BUY")[0] == ("100", "0.4")
    desk.depth([("98", "1")], [])
    assert desk.shown("BUY")[0] == ("100", "1")
    desk.trade("SELL", "100", "0.6")
    desk.depth([("100", "0.4")], [])
    assert desk.shown("BUY")[0] == ("100", "0.4")


@pytest.mark.parametrize(
    ("tif", "quantity", "status", "executed"),
    [("IOC", "2", Status.EXPIRED, "1"), ("FOK", "2", Status.EXPIRED, "0"), ("FOK", "1", Status.FILLED, "1")],
)
def test_times_in_force(desk: Desk, tif: str, quantity: str, status: Status, executed: str) -> None:
    order = desk.order("BUY", "LIMIT", quantity, "101", time_in_force=TimeInForce(tif))
    assert order.status is status
    assert trim_e8(order.executed) == executed
    assert desk.money()["USDT"][1] == "0"


def test_post_only_order_that_would_take_is_refused_and_changes_nothing(desk: Desk) -> None:
    before = desk.money()
    with pytest.raises(Refused, match="WOULD_TAKE"):
        desk.order("SELL", "LIMIT_MAKER", "1", "100")
    assert desk.money() == before
    assert desk.exchange.drain() == []
    desk.order("SELL", "LIMIT_MAKER", "1", "100.01")
    assert desk.shown("SELL")[0] == ("100.01", "1")


@pytest.mark.parametrize(
    ("side", "type_", "stop", "quiet", "trigger"),
    [
        ("SELL", "STOP_LOSS", "95", "96", "95"),
        ("BUY", "STOP_LOSS", "105", "104", "106"),
        ("BUY", "TAKE_PROFIT", "95", "96", "94.5"),
        ("SELL", "TAKE_PROFIT", "105", "104", "105"),
    ],
)
def test_stops_wait_for_the_last_price(desk: Desk, side: str, type_: str, stop: str, quiet: str, trigger: str) -> None:
    desk.trade("BUY", "100", "0.001")
    order = desk.order(side, type_, "0.5", stop_price=e(stop))
    assert not order.is_working
    desk.trade("BUY", quiet, "0.001")
    assert order.executed == 0
    desk.trade("BUY", trigger, "0.001")
    assert order.status is Status.FILLED
    assert order.working_ms == 2


def test_stop_limit_rests_once_triggered_and_a_stop_behind_the_market_is_refused(desk: Desk) -> None:
    desk.trade("BUY", "100", "0.001")
    order = desk.order("SELL", "STOP_LOSS_LIMIT", "1", "103", stop_price=e("99.5"))
    desk.trade("SELL", "99", "0.001")
    assert order.is_working
    assert ("103", "1") in desk.shown("SELL")
    with pytest.raises(Refused, match="WOULD_TRIGGER"):
        desk.order("SELL", "STOP_LOSS", "1", stop_price=e("99.5"))


def test_iceberg_shows_slices_that_queue_again(desk: Desk) -> None:
    iceberg = desk.order("SELL", "LIMIT", "1", "100.5", iceberg=e("0.4"))
    other = desk.order("SELL", "LIMIT", "1", "100.5", who="bob")
    assert desk.shown("SELL")[0] == ("100.5", "1.4")
    desk.trade("BUY", "100.5", "0.5")
    assert (trim_e8(iceberg.executed), trim_e8(other.executed)) == ("0.4", "0.1")
    assert desk.shown("SELL")[0] == ("100.5", "1.3")
    fok = desk.order(
        "BUY", "LIMIT", "1.5", "100.5", who="bob", time_in_force=TimeInForce.FOK, prevention=Prevention.NONE
    )
    assert fok.status is Status.FILLED


@pytest.mark.parametrize(
    ("mode", "maker", "taker"),
    [
        ("NONE", Status.FILLED, Status.FILLED),
        ("EXPIRE_MAKER", Status.EXPIRED_IN_MATCH, Status.NEW),
        ("EXPIRE_TAKER", Status.NEW, Status.EXPIRED_IN_MATCH),
        ("EXPIRE_BOTH", Status.EXPIRED_IN_MATCH, Status.EXPIRED_IN_MATCH),
    ],
)
def test_self_trade_prevention(desk: Desk, mode: str, maker: Status, taker: Status) -> None:
    first = desk.order("SELL", "LIMIT", "1", "100.5")
    second = desk.order("BUY", "LIMIT", "1", "100.5", prevention=Prevention(mode))
    assert (first.status, second.status) == (maker, taker)
    kinds = [event.kind for event in desk.exchange.drain() if isinstance(event, OrderEvent)]
    assert (ExecutionKind.TRADE_PREVENTION in kinds) == (mode != "NONE")


def test_cancel_gives_the_hold_back_and_works_once(desk: Desk) -> None:
    order = desk.order("SELL", "LIMIT", "3", "105")
    desk.exchange.cancel("ann", order, 5, "mine")
    assert desk.money() == {"USDT": ("100000", "0"), "BTC": ("10", "0")}
    with pytest.raises(Refused, match="UNKNOWN_ORDER"):
        desk.exchange.cancel("ann", order, 6)


def test_client_ids_are_unique_among_open_orders_only(desk: Desk) -> None:
    first = desk.order("SELL", "LIMIT", "1", "105", client_order_id="same")
    with pytest.raises(Refused, match="DUPLICATE_ORDER"):
        desk.order("SELL", "LIMIT", "1", "106", client_order_id="same")
    desk.exchange.cancel("ann", first, 5)
    assert desk.order("SELL", "LIMIT", "1", "106", client_order_id="same").order_id != first.order_id


def test_amend_keeps_the_place_in_the_queue(desk: Desk) -> None:
    first = desk.order("SELL", "LIMIT", "2", "100.5")
    desk.order("SELL", "LIMIT", "1", "100.5", who="bob")
    assert desk.exchange.amend("ann", first, e("0.5"), "smaller", 4) == "id0"
    assert desk.money()["BTC"] == ("9.5", "0.5")
    desk.trade("BUY", "100.5", "0.5")
    assert first.status is Status.FILLED
    second = desk.order("SELL", "LIMIT", "2", "100.6")
    for wrong in ("2", "3", "0"):
        with pytest.raises(Refused, match="AMEND_NOT_SMALLER"):
            desk.exchange.amend("ann", second, e(wrong), "x", 4)


def test_too_little_money_is_refused_before_anything_happens(desk: Desk) -> None:
    for side, type_, quantity, price in (
        ("BUY", "LIMIT", "1001", "100"),
        ("SELL", "LIMIT", "11", "200"),
        ("SELL", "MARKET", "11", "0"),
    ):
        with pytest.raises(Refused, match="INSUFFICIENT_BALANCE"):
            desk.order(side, type_, quantity, price)
    assert not desk.exchange.accounts["ann"].orders


def test_withdrawing_more_than_is_free_is_refused(desk: Desk) -> None:
    with pytest.raises(Refused, match="INSUFFICIENT_BALANCE"):
        desk.exchange.deposit("ann", "BTC", -e("11"), 1)


def test_refusals_that_name_what_is_wrong_with_an_amendment_or_an_iceberg(desk: Desk) -> None:
    with pytest.raises(Refused, match="ICEBERG_TOO_LARGE"):
        desk.order("SELL", "LIMIT", "1", "105", iceberg=e("2"))
    first, second = desk.order("SELL", "LIMIT", "1", "105"), desk.order("SELL", "LIMIT", "1", "105")
    with pytest.raises(Refused, match="DUPLICATE_ORDER"):
        desk.exchange.amend("ann", first, e("0.5"), second.client_order_id, 4)
    desk.exchange.cancel("ann", first, 5)
    with pytest.raises(Refused, match="UNKNOWN_ORDER"):
        desk.exchange.amend("ann", first, e("0.5"), "new", 4)


def test_one_trade_of_the_market_fills_better_orders_first_and_no_more_than_its_size(desk: Desk) -> None:
    high, low = desk.order("BUY", "LIMIT", "1", "100.5"), desk.order("BUY", "LIMIT", "1", "100.2", who="bob")
    desk.trade("SELL", "100", "1")
    assert (high.status, low.executed) == (Status.FILLED, 0)


def test_an_amount_larger_than_the_book_takes_what_there_is(desk: Desk) -> None:
    sale = desk.order("SELL", "MARKET", quote_quantity=e("500"))
    assert sale.status is Status.EXPIRED
    assert trim_e8(sale.executed) == "3"
    with pytest.raises(Refused, match="NO_LIQUIDITY"):
        desk.order("SELL", "MARKET", quote_quantity=e("500"))


def test_a_market_order_stops_where_the_money_ends(desk: Desk) -> None:
    desk.exchange.deposit("ann", "USDT", -e("99890"), 1)
    desk.order("SELL", "LIMIT", "1", "100.5")
    order = desk.order("BUY", "MARKET", "1")
    assert order.status is Status.FILLED
    assert trim_e8(order.fills[0].price) == "101"
    stop = desk.order("BUY", "STOP_LOSS", "1", stop_price=e("103"), who="bob")
    desk.exchange.deposit("bob", "USDT", -e("99897"), 1)
    desk.depth([], [("102", "0"), ("120", "5")])
    desk.trade("BUY", "120", "0.001")
    assert stop.status is Status.EXPIRED
    assert stop.executed == e("0.85833")
    assert desk.exchange.accounts["bob"].free["USDT"] >= 0


def test_a_market_that_contradicts_itself_keeps_its_last_word(desk: Desk) -> None:
    desk.depth([], [("99.5", "1")])
    assert desk.shown("BUY")[0] == ("99", "2")
    assert desk.shown("SELL")[0] == ("99.5", "1")


def test_an_instrument_with_too_fine_a_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="finer than 1e-8"):
        Instrument(symbol="X", base="X", quote="Y", tick=e("0.00001"), step=e("0.00001"))
