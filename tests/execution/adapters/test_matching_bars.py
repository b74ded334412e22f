"""Worked examples against bars: what arrives after bar N meets bar N+1."""

from __future__ import annotations

import pytest
from matching_helpers import DAY, SYMBOL, T0, S, bar, matching, order, quote, send, words

from autotrader_lab.model.errors import ConfigError

M = 60 * S


def bars(**settings):
    venue = matching(**settings)
    venue.on_market(bar(100, 101, 99, 100))
    return venue


def test_a_market_order_waits_for_the_next_bar_and_gets_its_open():
    venue = bars()
    assert send(venue, order("buy", "market", 1)) == ["accepted"]
    assert words(venue.on_market(bar(103, 104, 98, 99, at=T0 + M))) == [(1.0, 103.0, "taker")]


def test_the_bar_an_order_was_sent_on_is_not_met_again():
    venue = matching()
    seen = bar(100, 101, 99, 100)
    venue.on_market(seen)
    send(venue, order("buy", "limit", 1, price=99.5))
    assert venue.on_market(seen) == []


@pytest.mark.parametrize(("side", "price"), [("buy", 103.06), ("sell", 102.94)])
def test_slippage_moves_the_open_against_the_trader(side, price):
    venue = bars(slippage_bps=5)
    send(venue, order(side, "market", 1))
    assert words(venue.on_market(bar(103, 104, 98, 99, at=T0 + M))) == [(1.0, price, "taker")]


@pytest.mark.parametrize(
    ("side", "limit", "said"),
    [
        ("buy", 98, [(1.0, 98.0, "maker")]),  # reached, to the tick
        ("buy", 97.99, []),
        ("buy", 103, [(1.0, 102.0, "taker")]),  # the open is better
        ("buy", 102, [(1.0, 102.0, "taker")]),
        ("sell", 104, [(1.0, 104.0, "maker")]),
        ("sell", 104.01, []),
        ("sell", 101, [(1.0, 102.0, "taker")]),
    ],
)
def test_a_limit_executes_when_the_bar_reaches_it_at_its_price_or_a_better_open(side, limit, said):
    venue = bars(slippage_bps=50)
    send(venue, order(side, "limit", 1, price=limit))
    assert words(venue.on_market(bar(102, 104, 98, 99, at=T0 + M))) == said


def test_a_gap_through_a_working_limit_gives_the_open():
    venue = bars()
    send(venue, order("buy", "limit", 1, price=95))
    assert words(venue.on_market(bar(100, 101, 99, 100, at=T0 + M))) == []
    assert words(venue.on_market(bar(90, 91, 89, 90, at=T0 + 2 * M))) == [(1.0, 90.0, "maker")]


@pytest.mark.parametrize(
    ("side", "stop", "price"),
    [
        ("buy", 103, 103.0),  # inside the bar: at its trigger
        ("buy", 101, 102.0),  # the open jumped over it
        ("sell", 100, 100.0),
        ("sell", 102.5, 102.0),
    ],
)
def test_a_stop_executes_at_its_trigger_or_at_the_open_that_jumped_over_it(side, stop, price):
    venue = bars()
    send(venue, order(side, "stop", 1, stop_price=stop))
    assert words(venue.on_market(bar(102, 104, 98, 99, at=T0 + M))) == [(1.0, price, "taker")]


def test_a_stop_that_is_not_reached_waits_and_slips_when_it_is():
    venue = bars(slippage_bps=100)
    send(venue, order("sell", "stop", 1, stop_price=95))
    assert words(venue.on_market(bar(100, 101, 95.01, 96, at=T0 + M))) == []
    assert words(venue.on_market(bar(96, 96, 94, 94, at=T0 + 2 * M))) == [(1.0, 94.05, "taker")]


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (103.5, [(1.0, 103.0, "taker")]),  # its limit allows the trigger price
        (103, [(1.0, 103.0, "taker")]),
        (99.5, [(1.0, 99.5, "maker")]),  # beyond the trigger, but the close proves the price came back
        (98.5, []),  # the low was lower, but perhaps before the trigger
    ],
)
def test_a_buy_stop_limit_inside_a_bar(limit, said):
    venue = bars()
    send(venue, order("buy", "stop_limit", 1, price=limit, stop_price=103))
    assert words(venue.on_market(bar(100, 104, 98, 99, at=T0 + M))) == said


def test_a_stop_limit_that_a_gap_left_behind_works_on_as_a_limit():
    venue = bars()
    send(venue, order("sell", "stop_limit", 1, price=94, stop_price=95))
    assert words(venue.on_market(bar(90, 92, 88, 91, at=T0 + M))) == []
    assert words(venue.on_market(bar(91, 95, 91, 92, at=T0 + 2 * M))) == [(1.0, 94.0, "maker")]


def test_a_gapped_stop_limit_executes_if_the_bar_comes_back_to_its_limit():
    venue = bars()
    send(venue, order("sell", "stop_limit", 1, price=94, stop_price=95))
    assert words(venue.on_market(bar(90, 94, 88, 91, at=T0 + M))) == [(1.0, 94.0, "maker")]


def test_where_a_bar_holds_both_the_stop_comes_before_the_target():
    venue = bars(holdings={SYMBOL: 2})
    send(venue, order("sell", "limit", 1, price=104, client_order_id="target"))
    send(venue, order("sell", "stop", 1, stop_price=98, client_order_id="stop"))
    reports = venue.on_market(bar(100, 105, 97, 100, at=T0 + M))
    assert [report.client_order_id for report in reports] == ["stop", "target"]


@pytest.mark.parametrize("kind", ["ioc", "fok"])
def test_immediate_orders_meet_the_open_and_end(kind):
    venue = bars()
    send(venue, order("buy", kind, 1, price=101))
    send(venue, order("buy", kind, 1, price=103))
    assert words(venue.on_market(bar(102, 104, 90, 99, at=T0 + M))) == ["expired", (1.0, 102.0, "taker")]
    assert venue.working == 0


def test_a_post_only_order_that_the_open_would_execute_is_refused():
    venue = bars()
    send(venue, order("buy", "limit", 1, price=103, post_only=True))
    assert words(venue.on_market(bar(102, 104, 98, 99, at=T0 + M))) == ["POST_ONLY"]


def test_a_post_only_order_that_rested_a_bar_is_a_maker_ever_after():
    venue = bars()
    send(venue, order("buy", "limit", 1, price=95, post_only=True))
    assert words(venue.on_market(bar(100, 101, 99, 99, at=T0 + M))) == []
    assert words(venue.on_market(bar(94, 96, 93, 95, at=T0 + 2 * M))) == [(1.0, 94.0, "maker")]


def test_reduce_only_on_bars():
    venue = bars(holdings={SYMBOL: 1})
    send(venue, order("sell", "market", 3, reduce_only=True))
    send(venue, order("buy", "limit", 1, price=90))
    assert words(venue.on_market(bar(100, 101, 99, 100, at=T0 + M))) == [(1.0, 100.0, "taker"), "cancelled"]
    assert venue.working == 1


def test_a_participation_cap_is_shared_and_carries_over():
    venue = bars(max_participation=0.1)
    send(venue, order("buy", "market", 3))
    send(venue, order("buy", "limit", 3, price=99))
    assert words(venue.on_market(bar(100, 101, 98, 100, 40, at=T0 + M))) == [
        (3.0, 100.0, "taker"),
        (1.0, 99.0, "maker"),
    ]
    assert words(venue.on_market(bar(100, 101, 98, 100, 5, at=T0 + 2 * M))) == [(0.5, 99.0, "maker")]
    assert words(venue.on_market(bar(100, 101, 98, 100, 0, at=T0 + 3 * M))) == []


def test_a_fok_beyond_the_cap_is_nothing_and_a_stop_goes_on_at_the_next_open():
    venue = bars(max_participation=0.5)
    send(venue, order("buy", "fok", 3, price=200))
    send(venue, order("sell", "stop", 3, stop_price=99))
    assert words(venue.on_market(bar(100, 101, 98, 100, 4, at=T0 + M))) == ["expired", (2.0, 99.0, "taker")]
    assert words(venue.on_market(bar(105, 106, 104, 105, 4, at=T0 + 2 * M))) == [(1.0, 105.0, "taker")]


@pytest.mark.parametrize("part", [0, -0.1, 1.1])
def test_a_participation_that_is_none_is_refused(part):
    with pytest.raises(ConfigError, match="max_participation"):
        matching(max_participation=part)


def test_latency_longer_than_a_bar_skips_it():
    venue = bars()
    venue.submit(order("buy", "market", 1), T0 + 90 * S)
    assert words(venue.on_market(bar(103, 104, 98, 99, at=T0 + M))) == []
    assert words(venue.on_market(bar(107, 108, 98, 99, at=T0 + 2 * M))) == ["accepted", (1.0, 107.0, "taker")]


def test_an_order_that_arrives_with_a_bar_meets_the_next_one():
    venue = bars()
    venue.submit(order("buy", "market", 1), T0 + M)
    assert words(venue.on_market(bar(103, 104, 98, 99, at=T0 + M))) == ["accepted"]
    assert words(venue.on_market(bar(107, 108, 98, 99, at=T0 + 2 * M))) == [(1.0, 107.0, "taker")]


def test_a_day_order_still_meets_the_bar_its_day_ends_with():
    venue = bars()
    midnight = (T0 // DAY + 1) * DAY
    send(venue, order("buy", "limit", 1, price=95, time_in_force="DAY"))
    send(venue, order("buy", "limit", 1, price=90, time_in_force="DAY"))
    assert words(venue.on_market(bar(96, 97, 94, 96, at=midnight))) == [(1.0, 95.0, "maker"), "expired"]
    send(venue, order("buy", "limit", 1, price=80, time_in_force="DAY"))
    assert words(venue.on_market(bar(79, 79, 79, 79, at=midnight + 2 * DAY))) == ["expired"]


def test_a_symbol_with_quotes_is_live_and_its_bars_are_not_matched():
    venue = bars()
    venue.on_market(quote(99, 101))
    send(venue, order("buy", "limit", 1, price=95))
    assert words(venue.on_market(bar(94, 95, 93, 94, at=T0 + M))) == []


def test_a_bar_after_a_price_set_by_hand_takes_over():
    venue = matching()
    venue.set_price(SYMBOL, 100, T0)
    venue.on_market(bar(100, 101, 99, 100, at=T0 + M))
    assert send(venue, order("buy", "market", 1)) == ["accepted"]
    assert words(venue.on_market(bar(102, 103, 99, 100, at=T0 + 2 * M))) == [(1.0, 102.0, "taker")]


def test_an_order_waiting_for_a_bar_acts_when_the_market_becomes_live():
    venue = bars()
    send(venue, order("buy", "market", 1))
    send(venue, order("buy", "ioc", 1, price=90))
    assert words(venue.on_market(quote(99, 101, at=T0 + S))) == [(1.0, 101.0, "taker"), "expired"]


def test_while_nothing_works_events_may_be_skipped_if_the_newest_comes_before_the_order():
    def run(skip: bool):
        venue = matching(allow_short=True, slippage_bps=5, commission_bps=10)
        reports = []
        for number in range(1, 60):
            event = bar(100 + number % 7, 110, 90, 100 + number % 5, at=T0 + number * M)
            if venue.working or not skip:
                reports += venue.on_market(event)
            if number % 8 == 0:
                venue.on_market(event)
                side = "buy" if number % 16 else "sell"
                reports += venue.submit(order(side, "market", 1, client_order_id=f"n{number}"), event.timestamp_ns)
        return reports, venue.account.cash

    assert run(skip=True) == run(skip=False)


def test_a_working_reduce_only_order_that_a_bar_reaches_ends_when_nothing_is_held():
    venue = bars(holdings={SYMBOL: 1}, allow_short=True)
    send(venue, order("sell", "limit", 1, price=104, reduce_only=True))
    send(venue, order("sell", "market", 1))
    assert words(venue.on_market(bar(100, 105, 99, 100, at=T0 + M))) == [(1.0, 100.0, "taker"), "cancelled"]
