"""What the account can bear: reservations, refusals with figures, margin, several currencies, amends, restarts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from matching_helpers import SYMBOL, T0, S, bar, book, instruments, matching, order, quote, send, trade, words

from autotrader_lab.execution.adapters.matching import Latency, PaperMatching
from autotrader_lab.model import Instrument, Instruments, Positions, Quote, exact
from autotrader_lab.model.errors import ConfigError, InstrumentError, OrderError, OrderNotFound, OrderRefused
from autotrader_lab.model.orders import Amended, Filled, Rejected


def live(**settings):
    venue = matching(**settings)
    venue.on_market(quote(99, 101))
    return venue


def refusal(venue, placed) -> Rejected:
    (report,) = venue.submit(placed, venue.now_ns)
    assert isinstance(report, Rejected)
    return report


# --- cash account -------------------------------------------------------------------------------------------------


def test_cash_and_holdings_move_by_price_and_commission():
    venue = live(commission_bps=10)
    send(venue, order("buy", "market", 2))
    assert venue.account.cash == {"USDT": Decimal(100000) - 202 - Decimal("0.202")}
    send(venue, order("sell", "market", 1))
    assert venue.account.balance == Decimal(100000) - 202 - Decimal("0.202") + 99 - Decimal("0.099")
    assert venue.account.holdings == {SYMBOL: 11}
    assert venue.equity() == venue.account.balance + 11 * 100


def test_a_buy_that_costs_too_much_is_refused_with_the_figures():
    report = refusal(live(commission_bps=10, initial_balance=101), order("buy", "market", 1))
    assert report.code == "INSUFFICIENT_BALANCE"
    assert "needs 101.101 USDT, free 101" in report.reason


def test_a_sell_of_what_is_not_held_is_refused_with_the_figures():
    report = refusal(live(holdings={SYMBOL: 1}), order("sell", "market", 2))
    assert report.code == "INSUFFICIENT_BALANCE"
    assert "needs 2 BTC, free 1" in report.reason


def test_working_orders_reserve_cash_with_commission_and_give_it_back():
    venue = live(commission_bps=100, initial_balance=1000)
    send(venue, order("buy", "limit", 5, price=90, client_order_id="a"))
    assert venue.account.free_cash("USDT") == Decimal(1000) - Decimal("454.5")
    assert refusal(venue, order("buy", "limit", 7, price=90)).code == "INSUFFICIENT_BALANCE"
    venue.on_market(quote(89, 90, 1, 2))
    assert venue.account.held_cash["USDT"] == Decimal("272.7")
    venue.cancel("a", T0)
    assert venue.account.held_cash["USDT"] == 0
    assert venue.account.free_cash("USDT") == Decimal(1000) - Decimal("181.8")


def test_working_orders_reserve_holdings_and_give_them_back():
    venue = live(holdings={SYMBOL: 3})
    send(venue, order("sell", "limit", 2, price=110, client_order_id="a"))
    assert refusal(venue, order("sell", "stop", 2, stop_price=90)).code == "INSUFFICIENT_BALANCE"
    assert send(venue, order("sell", "market", 1)) == ["accepted", (1.0, 99.0, "taker")]
    venue.cancel("a", T0)
    assert venue.account.free_units(SYMBOL) == 2


def test_a_stop_reserves_its_trigger_price_slipped():
    venue = live(slippage_bps=100, commission_bps=100)
    send(venue, order("buy", "stop", 1, stop_price=110))
    assert venue.account.held_cash["USDT"] == Decimal("111.1") * Decimal("1.01")


def test_a_stop_that_the_account_cannot_pay_when_it_triggers_is_refused_then():
    venue = live(initial_balance=120)
    send(venue, order("buy", "stop", 1, stop_price=110))
    (report,) = venue.on_market(quote(149, 150))
    assert (report.code, venue.working) == ("INSUFFICIENT_BALANCE", 0)
    assert "needs 150 USDT, free 120" in report.reason
    assert venue.account.held_cash["USDT"] == 0


def test_a_market_order_on_bars_that_the_next_open_makes_too_dear_is_refused_then():
    venue = matching(initial_balance=100)
    venue.on_market(bar(100, 100, 100, 100))
    assert send(venue, order("buy", "market", 1)) == ["accepted"]
    assert words(venue.on_market(bar(100.01, 101, 100, 100, at=T0 + S))) == ["INSUFFICIENT_BALANCE"]


def test_what_was_executed_before_the_money_ran_out_stays_and_the_rest_is_cancelled():
    venue = matching(initial_balance=250, max_participation=1)
    venue.on_market(bar(100, 100, 100, 100, 1))
    send(venue, order("buy", "market", 2))
    assert words(venue.on_market(bar(100, 101, 100, 100, 1, at=T0 + S))) == [(1.0, 100.0, "taker")]
    reports = venue.on_market(bar(200, 201, 200, 200, 1, at=T0 + 2 * S))
    assert words(reports) == ["cancelled"]
    assert reports[0].reason.startswith("INSUFFICIENT_BALANCE")


def test_the_book_is_walked_before_a_market_order_is_let_in():
    venue = matching(initial_balance=400)
    venue.on_market(book([], [(100, 1), (200, 1), (300, 5)]))
    assert "needs 600 USDT" in refusal(venue, order("buy", "market", 3)).reason
    assert send(venue, order("buy", "market", 2)) == ["accepted", (1.0, 100.0, "taker"), (1.0, 200.0, "taker")]


def test_nothing_moves_when_an_order_is_refused():
    venue = live(initial_balance=10, holdings={})
    before = (dict(venue.account.cash), dict(venue.account.holdings))
    refusal(venue, order("buy", "limit", 1, price=50))
    refusal(venue, order("sell", "market", 1))
    assert (venue.account.cash, venue.account.holdings, venue.working) == (*before, 0)


# --- the instrument's rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "quantity", "code"),
    [
        ({"min_quantity": exact("0.5")}, 0.4, "MIN_QUANTITY"),
        ({"max_quantity": exact(2)}, 3, "MAX_QUANTITY"),
        ({"min_notional": exact(10)}, 0.09, "MIN_NOTIONAL"),
        ({"max_notional": exact(500)}, 6, "MAX_NOTIONAL"),
    ],
)
def test_the_venues_limits_are_refusals_with_figures(limits, quantity, code):
    report = refusal(live(instruments=instruments(**limits)), order("buy", "limit", quantity, price=100))
    assert report.code == code
    assert str(next(iter(limits.values()))) in report.reason


def test_the_rest_of_a_position_below_the_minimum_notional_may_be_closed():
    venue = live(instruments=instruments(min_notional=exact(1000)))
    assert send(venue, order("sell", "market", 1, reduce_only=True)) == ["accepted", (1.0, 99.0, "taker")]


@pytest.mark.parametrize(
    ("placed", "error", "said"),
    [
        (lambda: order("buy", "limit", 1, price=100.001), InstrumentError, "off the grid of 0.01"),
        (lambda: order("buy", "stop", 1, stop_price=100.001), InstrumentError, "stop price 100.001"),
        (
            lambda: order("buy", "market", 1.0005),
            InstrumentError,
            "1.0005 is off the grid of 0.001; nearest are 1.000 and 1.001",
        ),
        (lambda: order("buy", "market", -1), OrderError, "quantity -1"),
        (lambda: order("buy", "limit", 1), OrderError, "needs a price"),
        (lambda: order("buy", "market", 1, client_order_id=""), OrderError, "client_order_id is empty"),
        (lambda: order("buy", "market", 1, symbol="ETH/USDT"), InstrumentError, "ETH/USDT"),
        (lambda: order("buy", "market", 1, time_in_force="GTX"), OrderError, "GTX"),
    ],
)
def test_nonsense_is_an_error_before_anything_moves(placed, error, said):
    venue = live()
    with pytest.raises(error, match=said):
        venue.submit(placed(), T0)
    assert (venue.working, venue.order_counter) == (0, 0)


def test_one_client_order_id_never_makes_two_orders():
    venue = live()
    send(venue, order("buy", "market", 1, client_order_id="a"))
    with pytest.raises(OrderRefused, match="'a' was used before") as caught:
        venue.submit(order("buy", "market", 1, client_order_id="a"), T0)
    assert caught.value.code == "DUPLICATE_CLIENT_ORDER_ID"
    assert venue.account.holdings[SYMBOL] == 11


def test_an_order_may_name_the_venues_symbol():
    venue = live()
    (_, filled) = venue.submit(order("buy", "market", 1, symbol="BTCUSDT"), T0)
    assert filled.fill.symbol == "BTCUSDT"
    assert venue.account.holdings == {SYMBOL: 11}


def test_data_of_what_is_not_listed_is_ignored():
    venue = live()
    assert venue.on_market(Quote("DOGE/USDT", T0, 1, 2)) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"initial_balance": -1}, "initial_balance"),
        ({"commission_bps": -1}, "commission_bps"),
        ({"slippage_bps": 10_000}, "slippage_bps"),
        ({"leverage": 0}, "leverage"),
    ],
)
def test_settings_out_of_range_are_named(settings, said):
    with pytest.raises(ConfigError, match=said):
        PaperMatching(**settings)


# --- margin account -----------------------------------------------------------------------------------------------


def test_a_margin_account_sells_what_it_lacks_within_its_equity():
    venue = live(allow_short=True, holdings={}, initial_balance=1000)
    assert send(venue, order("sell", "market", 10)) == ["accepted", (10.0, 99.0, "taker")]
    assert venue.account.cash["USDT"] == 1990
    assert venue.equity() == 990
    assert refusal(venue, order("sell", "market", 0.001)).code == "INSUFFICIENT_BALANCE"
    assert send(venue, order("buy", "market", 10))[0] == "accepted"


def test_exposure_counts_working_orders_and_commission():
    venue = live(allow_short=True, holdings={}, initial_balance=1000, commission_bps=10)
    assert "of exposure" in refusal(venue, order("buy", "market", 10)).reason
    send(venue, order("buy", "limit", 6, price=90))
    assert refusal(venue, order("buy", "limit", 5, price=90)).code == "INSUFFICIENT_BALANCE"
    assert send(venue, order("sell", "limit", 6, price=110)) == ["accepted"]  # the worst case is no worse


def test_leverage_multiplies_what_may_be_held():
    venue = live(allow_short=True, holdings={}, initial_balance=1000, leverage=3)
    assert send(venue, order("buy", "market", 29))[0] == "accepted"
    assert venue.account.cash["USDT"] == 1000 - 29 * 101


def test_a_position_may_always_be_reduced_and_turned_round_within_its_size():
    venue = live(allow_short=True, holdings={}, initial_balance=1000)
    send(venue, order("buy", "market", 9))
    venue.on_market(quote(29, 31))  # equity is 91 + 270 now, and nine are held
    assert refusal(venue, order("buy", "market", 4)).code == "INSUFFICIENT_BALANCE"
    assert send(venue, order("sell", "market", 18))[0] == "accepted"


def test_exposure_of_other_symbols_counts():
    two = Instruments([Instrument("A"), Instrument("B")])
    venue = PaperMatching(1000, 0, 0, instruments=two, allow_short=True)
    venue.on_market(Quote("A", T0, 100, 100))
    venue.on_market(Quote("B", T0, 10, 10))
    send(venue, order("buy", "market", 6, symbol="A"))
    assert refusal(venue, order("sell", "market", 41, symbol="B")).code == "INSUFFICIENT_BALANCE"
    assert send(venue, order("sell", "market", 40, symbol="B"))[0] == "accepted"


def test_what_cannot_be_sold_short_is_not_even_on_margin():
    venue = live(allow_short=True, instruments=instruments(can_short=False), holdings={SYMBOL: 3})
    send(venue, order("sell", "limit", 2, price=110))
    assert "cannot be sold short" in refusal(venue, order("sell", "market", 2)).reason


def test_foreign_currencies_count_at_the_rate_the_market_tells():
    fx = Instruments([Instrument.guess(symbol) for symbol in ("USD/JPY", "EUR/USD", "EUR/GBP")])
    venue = PaperMatching(10_000, 0, 0, instruments=fx, allow_short=True, currency="USD")
    venue.on_market(Quote("USD/JPY", T0, 100, 100))
    assert send(venue, order("buy", "market", 5000, symbol="USD/JPY"))[0] == "accepted"
    assert venue.account.cash == {"USD": 10_000, "JPY": -500_000}
    venue.on_market(Quote("USD/JPY", T0, 125, 125))
    assert venue.equity() == 10_000 - 500_000 / 125 + 5000
    venue.on_market(Quote("EUR/GBP", T0, 0.8, 0.8))
    assert "GBP/USD" in refusal(venue, order("buy", "market", 1, symbol="EUR/GBP")).reason
    venue.set_price("GBP/USD", 1.25, T0)
    assert send(venue, order("buy", "market", 1, symbol="EUR/GBP"))[0] == "accepted"


def test_the_account_currency_is_what_is_traded_first_unless_given():
    assert PaperMatching(5).account.currency == "USD"
    venue = PaperMatching(1000, 0, 0, balances={"EUR": 7})
    assert venue.account.balance == 1000
    venue.set_price("ETH/EUR", 10, T0)
    assert venue.account.currency == "EUR"
    assert venue.account.cash == {"EUR": 1007}
    other = PaperMatching(1000, currency="CHF")
    other.set_price("ETH/EUR", 10, T0)
    assert "needs" in refusal(other, order("buy", "market", 1, symbol="ETH/EUR")).reason


def test_a_multiplier_scales_what_a_unit_costs():
    future = Instruments([Instrument("ES", multiplier=exact(50), tick_size=exact("0.25"), lot_size=exact(1))])
    venue = PaperMatching(1_000_000, 0, 10, instruments=future)
    venue.set_price("ES", 4000, T0)
    send(venue, order("buy", "market", 2, symbol="ES"))
    assert venue.account.balance == 1_000_000 - 400_000 - 400
    assert venue.equity() == 1_000_000 - 400


# --- cancel and amend ---------------------------------------------------------------------------------------------


def test_cancelling_what_is_done_under_way_or_unknown_reports_nothing():
    venue = live()
    send(venue, order("buy", "market", 1, client_order_id="done"))
    venue.submit(order("buy", "market", 1, client_order_id="under way"), T0 + S)
    for name in ("done", "under way", "unknown"):
        assert venue.cancel(name, T0) == []


def test_amending_moves_reservation_price_and_quantity():
    venue = live()
    send(venue, order("buy", "limit", 2, price=90, client_order_id="a"))
    assert venue.amend("a", T0, quantity=5, price=80) == [Amended("a", T0, 5, 80)]
    assert venue.account.held_cash["USDT"] == 400
    assert words(venue.on_market(quote(79, 80))) == [(5.0, 80.0, "maker")]


def test_an_amend_into_the_market_takes():
    venue = live()
    send(venue, order("buy", "limit", 2, price=90, client_order_id="a"))
    assert words(venue.amend("a", T0, price=101)) == ["amended", (2.0, 101.0, "taker")]


def test_the_new_total_counts_what_is_executed_already():
    venue = live()
    send(venue, order("buy", "limit", 5, price=90, client_order_id="a"))
    venue.on_market(trade(90, 2))
    venue.amend("a", T0, quantity=3)
    assert words(venue.on_market(trade(90, 9))) == [(1.0, 90.0, "maker")]


def test_less_keeps_its_place_and_more_goes_to_the_back():
    venue = live()
    for name in "ab":
        send(venue, order("buy", "limit", 2, price=90, client_order_id=name))
    venue.amend("a", T0, quantity=1)
    assert [report.client_order_id for report in venue.on_market(trade(90, 1))] == ["a"]
    send(venue, order("buy", "limit", 2, price=90, client_order_id="c"))
    venue.amend("b", T0, quantity=3)
    assert [report.client_order_id for report in venue.on_market(trade(90, 1))] == ["c"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": 2}, "AMEND_QUANTITY"),
        ({"quantity": 3.0005}, "AMEND_QUANTITY"),
        ({"quantity": 5000}, "INSUFFICIENT_BALANCE"),
        ({"price": 2000}, "INSUFFICIENT_BALANCE"),
    ],
)
def test_an_amend_that_cannot_be_leaves_the_order_as_it_was(changes, code):
    venue = live(initial_balance=1000)
    send(venue, order("buy", "limit", 5, price=90, client_order_id="a"))
    venue.on_market(trade(90, 2))
    held = venue.account.held_cash["USDT"]
    with pytest.raises(OrderRefused) as caught:
        venue.amend("a", T0, **changes)
    assert caught.value.code == code
    assert venue.account.held_cash["USDT"] == held
    assert words(venue.on_market(trade(90, 9))) == [(3.0, 90.0, "maker")]


def test_amends_of_what_cannot_be_amended():
    venue = live()
    with pytest.raises(OrderNotFound):
        venue.amend("nobody", T0, price=1)
    send(venue, order("buy", "stop", 1, stop_price=120, client_order_id="stop"))
    with pytest.raises(OrderRefused, match="no limit price"):
        venue.amend("stop", T0, price=100)
    send(venue, order("buy", "limit", 1, price=90, post_only=True, client_order_id="maker"))
    with pytest.raises(OrderRefused) as caught:
        venue.amend("maker", T0, price=101)
    assert caught.value.code == "POST_ONLY"
    with pytest.raises(InstrumentError, match="off the grid"):
        venue.amend("maker", T0, price=90.001)


# --- restart ------------------------------------------------------------------------------------------------------


def test_an_account_is_rebuilt_from_fills_and_open_orders():
    first = live(commission_bps=10)
    orders, reports = [], []
    for placed in (
        order("buy", "market", 2, client_order_id="a"),
        order("sell", "limit", 4, price=110, client_order_id="b", time_in_force="DAY"),
        order("buy", "stop_limit", 1, price=130, stop_price=120, client_order_id="c"),
        order("buy", "market", 1, client_order_id="never arrived"),
    ):
        orders.append(placed)
        late = placed.client_order_id == "never arrived"
        reports += first.submit(placed, T0 + 999 * S if late else T0)
    reports += first.on_market(trade(110, 1))
    for report in reports:
        next(placed for placed in orders if placed.client_order_id == report.client_order_id).apply(report)
    second = matching(commission_bps=10)
    second.restore([report.fill for report in reports if isinstance(report, Filled)], [o for o in orders if o.is_open])
    assert second.account.cash == first.account.cash
    assert second.account.holdings == first.account.holdings
    assert second.account.free_cash("USDT") == first.account.free_cash("USDT")
    assert second.account.free_units(SYMBOL) == first.account.free_units(SYMBOL)
    assert second.open_orders() == ["b", "c"]
    assert not second.knows("never arrived")
    (filled,) = second.on_market(trade(111, 1, at=T0 + S))
    assert filled.fill.execution_id == "FILL_b_2"
    assert second.submit(order("buy", "market", 1), T0)[0].order_id == "PAPER_4"
    assert words(second.advance(T0 + 20 * 3600 * S)) == ["expired"]


def test_an_open_order_that_does_not_fit_the_account_is_refused():
    venue = matching(holdings={})
    working = order("sell", "limit", 1, price=110)
    working.apply(live().submit(working, T0)[0])
    with pytest.raises(OrderRefused, match="cannot work on"):
        venue.restore([], [working])
    assert venue.working == 0


def test_positions_folded_from_the_fills_agree_with_the_account():
    venue = live(commission_bps=7, slippage_bps=3, holdings={})
    positions = Positions(venue.instruments)
    for quantity, side in ((2, "buy"), (0.5, "sell"), (1.25, "sell")):
        for report in venue.submit(order(side, "market", quantity), T0):
            if isinstance(report, Filled):
                positions.apply(report.fill)
    position = positions[SYMBOL]
    assert position.quantity == venue.account.holdings[SYMBOL]
    mark = exact(100)
    assert 100_000 + position.realised + position.unrealised(mark) - position.fees == venue.equity()


# --- latency ------------------------------------------------------------------------------------------------------


def test_latency_is_seeded_and_stays_within_its_bounds():
    draws = [Latency((10, 50), seed=3).draw_ns() for _ in range(2)]
    assert draws[0] == draws[1]
    latency = Latency((10, 50), seed=1)
    seen = [latency.draw_ns() for _ in range(200)]
    assert 10_000_000 <= min(seen) < max(seen) <= 50_000_000
    assert Latency(7).draw_ns() == 7_000_000


@pytest.mark.parametrize("bounds", [-1, (50, 10), (1, 2, 3), "5", None, (1, float("nan")), float("inf")])
def test_latency_that_is_none_is_refused(bounds):
    with pytest.raises(ConfigError, match="latency_ms"):
        Latency(bounds)


def test_commission_is_cut_to_eight_places_and_books_agree_to_the_last_digit():
    venue = live(commission_bps=7)
    venue.on_market(quote(3333.32, 3333.33))
    (_, filled) = venue.submit(order("buy", "market", 0.001), T0)
    assert exact(filled.fill.commission) == Decimal("0.00233333")  # 0.002333331
    assert venue.account.balance == 100_000 - exact("3.33333") - Decimal("0.00233333")


def test_equity_before_anything_was_traded_is_the_initial_balance():
    assert PaperMatching(5000).equity() == 5000
    venue = PaperMatching(5000, 0, 0, currency="USD", balances={"EUR": 0, "XYZ": 4})
    assert venue.equity() == 5000  # nobody tells what an XYZ is worth
