"""Worked examples: every order type and time in force against quotes, books, trades and prices set by hand."""

from __future__ import annotations

import pytest
from matching_helpers import SYMBOL, T0, S, book, matching, order, quote, send, trade, words

from autotrader_lab.model.errors import InstrumentError
from autotrader_lab.model.orders import Accepted, Filled

DEPTH = book([(99, 1), (98, 2)], [(101, 1), (102, 2), (105, 3)])


def live(event=None, **settings):
    venue = matching(**settings)
    venue.on_market(event if event is not None else quote(99, 101))
    return venue


# --- market -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [("buy", 101.0), ("sell", 99.0)])
def test_a_market_order_executes_at_the_other_side_of_the_quote(side, price):
    assert send(live(), order(side, "market", 2)) == ["accepted", (2.0, price, "taker")]


@pytest.mark.parametrize(("side", "price"), [("buy", 101.06), ("sell", 98.95)])
def test_slippage_moves_a_market_order_against_the_trader_onto_the_grid(side, price):
    # 101 + 5 bps = 101.0505, 99 - 5 bps = 98.9505: up to the next tick for a buyer, down for a seller
    assert send(live(slippage_bps=5), order(side, "market", 1)) == ["accepted", (1.0, price, "taker")]


def test_a_market_order_walks_the_book_and_the_rest_slips_once_more_at_the_last_level():
    venue = live(DEPTH, slippage_bps=100)
    assert send(venue, order("buy", "market", 7)) == [
        "accepted",
        (1.0, 102.01, "taker"),
        (2.0, 103.02, "taker"),
        (3.0, 106.05, "taker"),
        (1.0, 107.1, "taker"),
    ]


def test_a_quote_with_sizes_is_one_level():
    venue = live(quote(99, 101, 5, 2), slippage_bps=100)
    assert send(venue, order("buy", "market", 3)) == ["accepted", (2.0, 102.01, "taker"), (1.0, 103.02, "taker")]


@pytest.mark.parametrize(
    ("tif", "said"), [("IOC", ["accepted", (1.0, 101.0, "taker"), "expired"]), ("FOK", ["accepted", "expired"])]
)
def test_an_immediate_market_order_takes_the_visible_depth_only(tif, said):
    venue = live(quote(99, 101, 1, 1))
    assert send(venue, order("buy", "market", 3, time_in_force=tif)) == said
    assert venue.working == 0


def test_a_market_order_without_any_market_is_refused_and_told_the_way_out():
    venue = matching()
    (report,) = venue.submit(order("buy", "market", 1), 0)
    assert report.code == "NO_MARKET"
    assert "set_price" in report.reason
    assert "attach" in report.reason


@pytest.mark.parametrize("event", [book([(99, 1)], []), quote(99, 0), quote(99, float("nan"))])
def test_a_market_order_that_nobody_answers_is_refused(event):
    assert send(live(event), order("buy", "market", 1)) == ["NO_LIQUIDITY"]


def test_empty_levels_of_a_book_are_no_liquidity():
    assert send(live(book([], [(100, 0), (101, 1)])), order("buy", "market", 1)) == ["accepted", (1.0, 101.0, "taker")]


# --- limits -------------------------------------------------------------------------------------------------------


def test_a_marketable_limit_takes_better_prices_and_the_rest_works():
    venue = live(DEPTH)
    assert send(venue, order("buy", "limit", 5, price=102)) == [
        "accepted",
        (1.0, 101.0, "taker"),
        (2.0, 102.0, "taker"),
    ]
    assert venue.working == 1


def test_a_limit_away_from_the_market_works_until_the_market_reaches_it():
    venue = live()
    assert send(venue, order("buy", "limit", 1, price=95)) == ["accepted"]
    assert words(venue.on_market(quote(95, 95.01))) == []
    assert words(venue.on_market(quote(94, 95))) == [(1.0, 95.0, "maker")]


def test_a_gap_through_a_working_limit_executes_it_at_its_own_price():
    venue = live()
    send(venue, order("sell", "limit", 1, price=105))
    assert words(venue.on_market(quote(110, 111))) == [(1.0, 105.0, "maker")]


def test_a_working_limit_takes_no_more_than_the_quote_shows_and_nothing_twice():
    venue = live()
    send(venue, order("buy", "limit", 5, price=95))
    assert words(venue.on_market(quote(94, 95, 1, 2))) == [(2.0, 95.0, "maker")]
    assert words(venue.on_market(quote(93, 95, 9, 2))) == []  # the same level, which is ours already
    assert words(venue.on_market(quote(93, 95, 9, 2.5))) == [(2.5, 95.0, "maker")]  # it changed: somebody is there
    assert words(venue.on_market(quote(93, 96, 9, 2))) == []
    assert words(venue.on_market(quote(93, 95, 9, 2.5))) == [(0.5, 95.0, "maker")]  # it went and came back


def test_a_trade_executes_working_limits_for_its_size_best_price_first_then_first_come():
    venue = live()
    for price, quantity in ((94, 1), (95, 2), (95, 3)):
        send(venue, order("buy", "limit", quantity, price=price))
    assert words(venue.on_market(trade(95, 4))) == [(2.0, 95.0, "maker"), (2.0, 95.0, "maker")]
    assert words(venue.on_market(trade(95.01, 9))) == []
    assert words(venue.on_market(trade(90, 9))) == [(1.0, 95.0, "maker"), (1.0, 94.0, "maker")]


def test_a_trade_of_unknown_size_executes_all_it_reaches():
    venue = live()
    send(venue, order("sell", "limit", 5, price=103))
    assert words(venue.on_market(trade(103))) == [(5.0, 103.0, "maker")]


def test_both_sides_of_a_trade_are_met_apart():
    venue = live()
    send(venue, order("buy", "limit", 2, price=98))
    send(venue, order("sell", "limit", 2, price=102))
    assert words(venue.on_market(trade(97, 1))) == [(1.0, 98.0, "maker")]
    assert words(venue.on_market(trade(103, 1))) == [(1.0, 102.0, "maker")]


def test_what_one_order_took_of_a_level_is_not_there_for_the_next():
    venue = live(book([(99, 1)], [(101, 3), (102, 9)]))
    assert send(venue, order("buy", "limit", 2, price=101))[1:] == [(2.0, 101.0, "taker")]
    assert send(venue, order("buy", "market", 2))[1:] == [(1.0, 101.0, "taker"), (1.0, 102.0, "taker")]


def test_a_limit_that_came_before_any_market_waits_and_then_takes():
    venue = matching()
    assert send(venue, order("buy", "limit", 1, price=100)) == ["accepted"]
    assert words(venue.on_market(quote(95, 96))) == [(1.0, 96.0, "taker")]


def test_with_trades_alone_the_last_one_is_the_market():
    venue = live(trade(100, 0.5))
    assert send(venue, order("buy", "market", 3)) == ["accepted", (3.0, 100.0, "taker")]


# --- IOC, FOK, DAY, post-only, reduce-only ------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "tif"), [("ioc", "GTC"), ("limit", "IOC")])
def test_an_ioc_takes_what_there_is_and_never_rests(kind, tif):
    venue = live(DEPTH)
    assert send(venue, order("buy", kind, 5, price=102, time_in_force=tif)) == [
        "accepted",
        (1.0, 101.0, "taker"),
        (2.0, 102.0, "taker"),
        "expired",
    ]
    assert send(venue, order("buy", kind, 5, price=100, time_in_force=tif)) == ["accepted", "expired"]
    assert venue.working == 0
    assert venue.account.held_cash["USDT"] == 0


@pytest.mark.parametrize(("kind", "tif"), [("fok", "GTC"), ("limit", "FOK")])
def test_a_fok_is_whole_or_nothing(kind, tif):
    venue = live(DEPTH)
    assert send(venue, order("buy", kind, 3.001, price=102, time_in_force=tif)) == ["accepted", "expired"]
    assert send(venue, order("buy", kind, 3, price=102, time_in_force=tif)) == [
        "accepted",
        (1.0, 101.0, "taker"),
        (2.0, 102.0, "taker"),
    ]


def test_a_day_order_ends_with_the_utc_day():
    venue = live()
    send(venue, order("buy", "limit", 1, price=90, time_in_force="DAY"))
    send(venue, order("buy", "limit", 1, price=89))
    midnight = T0 + 15 * 3600 * S
    assert words(venue.on_market(quote(99, 101, at=midnight - 1))) == []
    assert words(venue.on_market(quote(80, 81, at=midnight))) == ["expired", (1.0, 89.0, "maker")]


def test_time_alone_ends_a_day_order():
    venue = live()
    send(venue, order("buy", "limit", 1, price=90, time_in_force="DAY"))
    assert words(venue.advance(T0 + 20 * 3600 * S)) == ["expired"]
    assert venue.working == 0


def test_a_post_only_order_is_refused_rather_than_executed_at_once():
    venue = live()
    assert send(venue, order("buy", "limit", 1, price=101, post_only=True)) == ["POST_ONLY"]
    assert send(venue, order("buy", "market", 1, post_only=True)) == ["POST_ONLY"]
    assert send(venue, order("buy", "limit", 1, price=100.99, post_only=True)) == ["accepted"]
    assert words(venue.on_market(quote(100, 100.99))) == [(1.0, 100.99, "maker")]


def test_a_reduce_only_order_closes_no_more_than_is_held():
    venue = live(holdings={SYMBOL: 2})
    assert send(venue, order("sell", "market", 3, reduce_only=True)) == ["accepted", (2.0, 99.0, "taker"), "cancelled"]
    assert send(venue, order("sell", "market", 1, reduce_only=True)) == ["REDUCE_ONLY"]
    assert send(venue, order("buy", "market", 1, reduce_only=True)) == ["REDUCE_ONLY"]


def test_a_reduce_only_order_leaves_what_another_order_has_reserved():
    venue = live(holdings={SYMBOL: 3})
    send(venue, order("sell", "limit", 2, price=110))
    assert send(venue, order("sell", "market", 3, reduce_only=True)) == ["accepted", (1.0, 99.0, "taker"), "cancelled"]
    assert venue.account.free_units(SYMBOL) == 0


def test_a_working_reduce_only_order_ends_when_nothing_is_left_to_close():
    venue = live(allow_short=True, holdings={SYMBOL: 2})
    send(venue, order("sell", "limit", 2, price=110, reduce_only=True))
    send(venue, order("sell", "market", 2))
    assert words(venue.on_market(quote(111, 112))) == ["cancelled"]


# --- stops --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "stop", "quiet", "loud", "price"),
    [
        ("buy", 105, quote(103, 104.99), quote(104, 106), 106.0),
        ("sell", 95, quote(95.01, 96), quote(94, 96), 94.0),
    ],
)
def test_a_stop_triggers_on_the_side_it_would_execute_on_and_acts_at_market(side, stop, quiet, loud, price):
    venue = live()
    assert send(venue, order(side, "stop", 1, stop_price=stop)) == ["accepted"]
    assert words(venue.on_market(quiet)) == []
    assert words(venue.on_market(loud)) == [(1.0, price, "taker")]


def test_where_trades_are_known_stops_look_at_them_alone():
    venue = live()
    venue.on_market(trade(100, 1))
    send(venue, order("buy", "stop", 1, stop_price=105))
    assert words(venue.on_market(quote(105, 107))) == []
    assert words(venue.on_market(trade(105, 1))) == [(1.0, 107.0, "taker")]


def test_a_stop_the_market_has_passed_triggers_when_it_arrives():
    assert send(live(), order("buy", "stop", 1, stop_price=100)) == ["accepted", (1.0, 101.0, "taker")]


def test_a_gap_through_a_stop_executes_where_the_market_is_and_slips():
    venue = live(slippage_bps=100)
    send(venue, order("sell", "stop", 1, stop_price=95))
    assert words(venue.on_market(quote(80, 81))) == [(1.0, 79.2, "taker")]


def test_a_stop_limit_becomes_a_limit_order():
    venue = live()
    send(venue, order("buy", "stop_limit", 5, price=106, stop_price=105))
    assert words(venue.on_market(book([(104, 1)], [(105, 1), (106, 1), (107, 9)]))) == [
        (1.0, 105.0, "taker"),
        (1.0, 106.0, "taker"),
    ]
    assert words(venue.on_market(quote(107, 108))) == []
    assert words(venue.on_market(quote(105, 105.5))) == [(3.0, 106.0, "maker")]


def test_a_gap_through_a_stop_limit_leaves_it_working():
    venue = live()
    send(venue, order("sell", "stop_limit", 1, price=94, stop_price=95))
    assert words(venue.on_market(quote(80, 81))) == []
    assert words(venue.on_market(quote(94, 95))) == [(1.0, 94.0, "maker")]


def test_a_stop_limit_with_ioc_ends_when_it_acts():
    venue = live()
    send(venue, order("buy", "stop_limit", 2, price=106, stop_price=105, time_in_force="IOC"))
    assert words(venue.on_market(book([(104, 1)], [(105, 1), (107, 9)]))) == [(1.0, 105.0, "taker"), "expired"]


def test_a_working_limit_is_served_before_what_its_event_triggers():
    venue = live()
    send(venue, order("sell", "stop", 1, stop_price=95))
    send(venue, order("buy", "limit", 1, price=95))
    assert words(venue.on_market(quote(94, 95))) == [(1.0, 95.0, "maker"), (1.0, 94.0, "taker")]


# --- latency and order of events ----------------------------------------------------------------------------------


def test_an_order_meets_the_market_that_prevails_when_it_arrives():
    venue = live()
    placed = order("buy", "market", 1)
    assert venue.submit(placed, T0 + 5 * S) == []
    assert (venue.working, venue.next_arrival_ns) == (1, T0 + 5 * S)
    assert words(venue.on_market(quote(109, 111, at=T0 + 3 * S))) == []
    accepted, filled = venue.on_market(quote(119, 121, at=T0 + 8 * S))
    assert isinstance(accepted, Accepted)
    assert isinstance(filled, Filled)
    assert filled.fill.price == 111.0
    assert accepted.timestamp_ns == filled.timestamp_ns == T0 + 5 * S
    assert venue.next_arrival_ns is None


def test_an_event_at_the_moment_of_arrival_came_first():
    venue = live()
    venue.submit(order("buy", "market", 1), T0 + 5 * S)
    assert words(venue.on_market(quote(109, 111, at=T0 + 5 * S))) == ["accepted", (1.0, 111.0, "taker")]


def test_orders_arrive_in_the_order_of_their_arrival_not_of_their_sending():
    venue = live(quote(99, 101, 0, 1))
    venue.submit(order("buy", "market", 1, client_order_id="slow"), T0 + 2 * S)
    venue.submit(order("buy", "limit", 1, price=101, client_order_id="quick"), T0 + 1 * S)
    reports = venue.advance(T0 + 3 * S)
    assert [report.client_order_id for report in reports] == ["quick", "quick", "slow", "slow"]


def test_an_event_of_the_past_does_not_turn_time_back():
    venue = live(quote(99, 101, at=T0))
    send(venue, order("buy", "limit", 1, price=95))
    (report,) = venue.on_market(quote(94, 95, at=T0 - 2 * S))
    assert report.timestamp_ns == T0


def test_times_can_be_those_of_another_clock_than_the_events():
    venue = live()
    send(venue, order("buy", "limit", 1, price=95))
    (report,) = venue.on_market(quote(94, 95, at=T0 - 2 * S), T0 + 7 * S)
    assert report.timestamp_ns == T0 + 7 * S


# --- prices set by hand -------------------------------------------------------------------------------------------


def test_a_price_set_by_hand_is_a_market_of_any_size_known_at_once():
    venue = matching()
    assert venue.set_price(SYMBOL, 100, T0) == []
    assert send(venue, order("buy", "market", 50)) == ["accepted", (50.0, 100.0, "taker")]
    send(venue, order("buy", "limit", 2, price=90))
    send(venue, order("sell", "stop", 3, stop_price=92))
    assert words(venue.set_price("BTCUSDT", 91, T0 + S)) == [(3.0, 91.0, "taker")]
    assert words(venue.set_price(SYMBOL, 89.5, T0 + S)) == [(2.0, 90.0, "maker")]


def test_a_price_set_by_hand_holds_until_the_market_speaks():
    venue = matching()
    venue.set_price(SYMBOL, 100, T0)
    venue.on_market(trade(120, 1))
    assert send(venue, order("buy", "market", 1)) == ["accepted", (1.0, 120.0, "taker")]
    venue.on_market(quote(129, 131))
    assert venue.price(SYMBOL) == 130
    venue.set_price(SYMBOL, 140, T0)
    assert venue.prices() == {SYMBOL: 140}


@pytest.mark.parametrize("price", [0, -1, float("nan"), float("inf"), "100", None, True])
def test_a_price_that_is_none_is_refused(price):
    with pytest.raises(InstrumentError, match="price"):
        matching().set_price(SYMBOL, price, T0)
