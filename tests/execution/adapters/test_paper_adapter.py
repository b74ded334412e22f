"""The paper adapter: the specification's face, the adapter contract, latency on a stepped clock."""

from __future__ import annotations

import asyncio

import pytest
from matching_helpers import SYMBOL, T0, bar, instruments, order, quote, trade

from autotrader_lab.execution.adapters import Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.market_data import LocalFeed
from autotrader_lab.model import Quote, SimulatedClock, from_ns
from autotrader_lab.model.errors import (
    ConfigError,
    InstrumentError,
    NotConnected,
    OrderError,
    OrderNotFound,
    OrderRefused,
)
from autotrader_lab.model.orders import Accepted, Cancelled, Filled, Rejected


def adapter(**settings) -> PaperTradingAdapter:
    """On a stepped clock, at once unless told otherwise."""
    fields = {"latency_ms": 0, "clock": SimulatedClock(T0), "seed": 1, "instruments": instruments(), **settings}
    return PaperTradingAdapter(**fields)


def listen(venue: PaperTradingAdapter) -> tuple[list, list]:
    reports: list = []
    fills: list = []
    venue.subscribe_reports(reports.append)
    venue.subscribe_fills(fills.append)
    return reports, fills


# --- as the specification has it ----------------------------------------------------------------------------------


async def test_the_specifications_sketch_runs():
    venue = PaperTradingAdapter(initial_balance=100000, latency_ms=(1, 2), slippage_bps=5, commission_bps=10)
    fills = []
    venue.subscribe_fills(fills.append)
    assert await venue.connect()
    venue.set_price("BTCUSDT", 50000)
    bought = await venue.submit_order(
        Order(order_id="", symbol="BTCUSDT", side=OrderSide.BUY, order_type=OrderType.MARKET, quantity=0.1, price=None)
    )
    assert bought.status is OrderStatus.FILLED
    assert (bought.order_id, bought.filled_quantity, bought.avg_fill_price) == ("PAPER_1", 0.1, 50025.0)
    assert bought.commission == pytest.approx(5.0025)
    assert venue.balance == pytest.approx(100000 - 5002.5 - 5.0025)
    assert venue.positions == {"BTCUSDT": 0.1}
    assert (venue.order_counter, venue.initial_balance, venue.latency_ms) == (1, 100000, (1, 2))
    assert venue.orders["PAPER_1"] is bought
    assert dict(venue.current_prices) == {"BTCUSDT": 50000}
    (fill,) = fills
    assert fill.execution_id
    assert (fill.order_id, fill.quantity, fill.price) == ("PAPER_1", 0.1, 50025.0)
    assert bought.submitted_at.tzinfo is not None
    sold = await venue.submit_order(Order("", "BTCUSDT", OrderSide.SELL, OrderType.MARKET, 0.1))
    assert sold.avg_fill_price == 49975.0
    assert venue.positions == {"BTCUSDT": 0.0}
    assert await venue.get_positions() == {}
    assert await venue.get_account_balance() == {"USD": venue.balance}
    assert (await venue.get_order_status("PAPER_1")).status is OrderStatus.FILLED
    await venue.disconnect()


async def test_a_market_order_without_a_market_is_rejected_and_told_the_way_out():
    venue = adapter()
    reports, _ = listen(venue)
    refused = await venue.submit_order(order("buy", "market", 1))
    assert refused.status is OrderStatus.REJECTED
    assert "set_price" in refused.reason
    assert isinstance(reports[0], Rejected)
    assert reports[0].code == "NO_MARKET"


async def test_a_limit_order_without_a_market_waits_for_one():
    venue = adapter()
    waiting = await venue.submit_order(order("buy", "limit", 1, price=100))
    assert waiting.status is OrderStatus.SUBMITTED
    venue.set_price(SYMBOL, 99)
    assert (waiting.status, waiting.avg_fill_price) == (OrderStatus.FILLED, 99.0)


async def test_what_cannot_be_paid_is_rejected_with_the_figures():
    venue = adapter(initial_balance=50)
    venue.set_price(SYMBOL, 100)
    refused = await venue.submit_order(order("buy", "market", 1))
    assert refused.status is OrderStatus.REJECTED
    assert "free 50" in refused.reason
    assert (await venue.submit_order(order("sell", "market", 1))).status is OrderStatus.REJECTED
    assert venue.balance == 50
    assert venue.positions == {}


async def test_prices_cannot_be_changed_behind_its_back():
    venue = adapter()
    with pytest.raises(TypeError):
        venue.current_prices[SYMBOL] = 1.0


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("placed", "error", "said"),
    [
        (lambda: order("buy", "market", -1), OrderError, "quantity -1"),
        (lambda: order("buy", "limit", 1), OrderError, "needs a price"),
        (lambda: order("buy", "limit", 1, price=100.001), InstrumentError, "off the grid"),
        (lambda: order("buy", "market", 0.0001), InstrumentError, "off the grid of 0.001; nearest are 0.000 and 0.001"),
        (lambda: order("buy", "market", 1, symbol="BTC/USDC"), InstrumentError, "did you mean BTC/USDT"),
    ],
)
async def test_nonsense_is_an_error_before_anything_moves(placed, error, said):
    venue = adapter()
    reports, _ = listen(venue)
    with pytest.raises(error, match=said):
        await venue.submit_order(placed())
    assert (venue.orders, venue.order_counter, reports) == ({}, 0, [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"initial_balance": -5}, "initial_balance"),
        ({"latency_ms": (50, 10)}, "latency_ms"),
        ({"slippage_bps": -1}, "slippage_bps"),
        ({"commission_bps": 20_000}, "commission_bps"),
    ],
)
def test_settings_out_of_range_are_named(settings, said):
    with pytest.raises(ConfigError, match=said):
        PaperTradingAdapter(**settings)


async def test_a_price_that_is_none_is_refused():
    with pytest.raises(InstrumentError, match="nan"):
        adapter().set_price(SYMBOL, float("nan"))


async def test_without_instruments_the_grid_is_guessed_and_what_was_cut_is_recorded():
    venue = adapter(instruments=None)
    venue.set_price("ABC", 3)
    bought = await venue.submit_order(order("buy", "market", 1 / 3, symbol="ABC"))
    assert bought.status is OrderStatus.FILLED
    assert (bought.quantity, bought.metadata) == (0.33333333, {"asked_quantity": 1 / 3})
    waiting = await venue.submit_order(order("buy", "limit", 1, price=2 / 3, symbol="ABC"))
    assert (waiting.price, waiting.metadata["asked_price"]) == (0.66666666, 2 / 3)
    stop = await venue.submit_order(order("buy", "stop", 1, stop_price=10 / 3, symbol="ABC"))
    assert stop.stop_price == 3.33333334


async def test_a_client_order_id_is_used_once():
    venue = adapter()
    venue.set_price(SYMBOL, 100)
    first = await venue.submit_order(order("buy", "limit", 1, price=90, client_order_id="a"))
    with pytest.raises(OrderRefused, match="used before"):
        await venue.submit_order(order("buy", "limit", 1, price=90, client_order_id="a"))
    assert venue.orders["a"] is first
    assert first.status is OrderStatus.SUBMITTED


# --- the adapter contract -----------------------------------------------------------------------------------------


async def test_connecting_and_disconnecting_twice_is_quiet_and_reopening_works():
    venue = adapter()
    assert await venue.connect()
    assert await venue.connect()
    await venue.disconnect()
    await venue.disconnect()
    with pytest.raises(NotConnected, match="connect"):
        await venue.submit_order(order("buy", "market", 1))
    with pytest.raises(NotConnected):
        await venue.get_open_orders()
    assert await venue.connect()
    assert await venue.get_open_orders() == []


async def test_a_fill_missed_while_disconnected_is_not_told_but_found():
    venue = adapter()
    reports, fills = listen(venue)
    await venue.submit_order(order("buy", "limit", 1, price=90, client_order_id="a"))
    await venue.disconnect()
    venue.set_price(SYMBOL, 89)
    assert fills == []
    await venue.connect()
    (missed,) = await venue.get_fills(SYMBOL, T0)
    assert missed.client_order_id == "a"
    assert (await venue.find_order("a", SYMBOL)).status is OrderStatus.FILLED
    assert await venue.get_fills("BTCUSDT", T0 + 1) == []
    assert [type(report) for report in reports] == [Accepted]


async def test_reports_come_in_order_and_fills_are_told_too():
    venue = adapter()
    reports, fills = listen(venue)
    venue.on_market(quote(99, 101, 1, 1))
    await venue.submit_order(order("buy", "limit", 2, price=101, client_order_id="a"))
    assert [type(report) for report in reports] == [Accepted, Filled]
    assert await venue.cancel_order("a")
    assert [type(report) for report in reports] == [Accepted, Filled, Cancelled]
    assert [fill.execution_id for fill in fills] == ["FILL_a_1"]
    assert venue.orders["a"].status is OrderStatus.CANCELLED
    assert await venue.cancel_order("a")
    assert len(reports) == 3


async def test_orders_are_found_by_either_id_as_copies():
    venue = adapter()
    placed = await venue.submit_order(order("buy", "limit", 1, price=90, client_order_id="a"))
    for name in ("a", placed.order_id):
        found = await venue.get_order_status(name)
        assert found == placed
        assert found is not placed
    with pytest.raises(OrderNotFound, match="nobody"):
        await venue.get_order_status("nobody")
    with pytest.raises(OrderNotFound):
        await venue.cancel_order("nobody")
    assert await venue.find_order("nobody", SYMBOL) is None


async def test_modify_changes_price_and_total_in_place():
    venue = adapter()
    venue.set_price(SYMBOL, 100)
    placed = await venue.submit_order(order("buy", "limit", 2, price=90, client_order_id="a"))
    changed = await venue.modify_order("a", quantity=3, price=95)
    assert (changed.quantity, changed.price, changed.order_id) == (3, 95, placed.order_id)
    with pytest.raises(OrderRefused):
        await venue.modify_order("a", quantity=1e9)
    venue.set_price(SYMBOL, 94)
    assert (placed.status, placed.filled_quantity) == (OrderStatus.FILLED, 3)
    with pytest.raises(OrderNotFound):
        await venue.modify_order("a", quantity=4)


async def test_cancel_all_takes_one_latency_for_all():
    clock = SimulatedClock(T0)
    venue = adapter(clock=clock)
    for number in range(3):
        await venue.submit_order(order("buy", "limit", 1, price=90 - number))
    slow = adapter(clock=clock, latency_ms=10)
    assert await venue.cancel_all("ETH/USDT") == 0
    assert await venue.cancel_all(SYMBOL) == 3
    assert await venue.get_open_orders() == []
    sent = [asyncio.create_task(slow.submit_order(order("buy", "limit", 1, price=90))) for _ in range(2)]
    await clock.advance(0.02)
    asked = asyncio.create_task(slow.cancel_all())
    await clock.advance(0.0101)
    assert asked.done()
    assert await asked == 2
    assert {(await task).status for task in sent} == {OrderStatus.CANCELLED}


async def test_balances_of_a_cash_account_name_both_currencies():
    venue = adapter(initial_balance=1000, slippage_bps=0, commission_bps=0)
    venue.set_price(SYMBOL, 100)
    await venue.submit_order(order("buy", "market", 2))
    assert await venue.get_account_balance() == {"USDT": 800.0, "BTC": 2.0}
    assert await venue.get_positions() == {SYMBOL: 2.0}


async def test_what_it_can_do_is_declared():
    venue = adapter()
    can = venue.capabilities
    assert can.reports
    assert can.instruments
    assert not can.shorting
    assert adapter(allow_short=True, instruments=None).capabilities.shorting
    assert not adapter(instruments=None).capabilities.instruments
    with pytest.raises(InstrumentError, match="ETH"):
        await venue.load_instruments(["ETH/USDT"])
    assert SYMBOL in await venue.load_instruments([SYMBOL])


# --- latency ------------------------------------------------------------------------------------------------------


async def test_an_order_meets_the_market_of_its_arrival_and_is_answered_then():
    clock = SimulatedClock(T0)
    venue = adapter(clock=clock, latency_ms=40, slippage_bps=0)
    reports, _ = listen(venue)
    venue.set_price(SYMBOL, 100)
    sent = asyncio.create_task(venue.submit_order(order("buy", "market", 1, client_order_id="a")))
    await clock.advance(0.030)
    assert not sent.done()
    assert reports == []
    assert [waiting.client_order_id for waiting in await venue.get_open_orders()] == ["a"]
    venue.set_price(SYMBOL, 107)
    await clock.advance(0.011)
    bought = await sent
    assert (bought.status, bought.avg_fill_price) == (OrderStatus.FILLED, 107.0)
    assert bought.filled_at == from_ns(T0 + 40_000_000)


async def test_an_event_lets_arrived_orders_in_before_the_sender_wakes():
    clock = SimulatedClock(T0)
    venue = adapter(clock=clock, latency_ms=10)
    _, fills = listen(venue)
    venue.set_price(SYMBOL, 100)
    sent = asyncio.create_task(venue.submit_order(order("buy", "market", 1)))
    await asyncio.sleep(0)
    clock.set_ns(T0 + 20_000_000)
    venue.on_market(quote(150, 151))
    assert [fill.price for fill in fills] == [100.05]
    await clock.advance(0)
    assert (await sent).status is OrderStatus.FILLED


async def test_an_interrupted_sender_does_not_call_the_order_back():
    clock = SimulatedClock(T0)
    venue = adapter(clock=clock, latency_ms=10)
    venue.set_price(SYMBOL, 100)
    sent = asyncio.create_task(venue.submit_order(order("buy", "market", 1, client_order_id="a")))
    await asyncio.sleep(0)
    sent.cancel()
    await clock.advance(1)
    assert sent.cancelled()
    assert (await venue.find_order("a", SYMBOL)).status is OrderStatus.FILLED


async def test_a_cancel_takes_its_time_and_can_come_too_late():
    clock = SimulatedClock(T0)
    venue = adapter(clock=clock, latency_ms=10)
    sent = asyncio.create_task(venue.submit_order(order("buy", "limit", 1, price=90, client_order_id="a")))
    await clock.advance(0.011)
    await sent
    asked = asyncio.create_task(venue.cancel_order("a"))
    await clock.advance(0.005)
    venue.set_price(SYMBOL, 89)
    await clock.advance(0.006)
    assert await asked  # it is no longer working
    assert venue.orders["a"].status is OrderStatus.FILLED


async def test_a_cancel_that_overtakes_its_order_does_not_hold():
    clock = SimulatedClock(T0)
    venue = adapter(clock=clock, latency_ms=(0, 100), seed=6)
    sent = asyncio.create_task(venue.submit_order(order("buy", "limit", 1, price=90, client_order_id="a")))
    await asyncio.sleep(0)
    asked = asyncio.create_task(venue.cancel_order("a"))
    await asyncio.sleep(0)
    assert venue.matching.next_arrival_ns > T0 + 50_000_000  # the seed's first latency is long, its second short
    await clock.advance(0.2)
    assert not await asked
    assert (await sent).status is OrderStatus.SUBMITTED


async def test_the_same_seed_draws_the_same_times():
    async def run(seed: int) -> list[int]:
        clock = SimulatedClock(T0)
        venue = adapter(clock=clock, latency_ms=(10, 50), seed=seed)
        reports, _ = listen(venue)
        for number in range(5):
            sent = asyncio.create_task(
                venue.submit_order(order("buy", "limit", 1, price=90, client_order_id=f"s{number}"))
            )
            await clock.advance(0.06)
            await sent
        return [report.timestamp_ns for report in reports]

    assert await run(4) == await run(4) != await run(5)


# --- fed by a feed ------------------------------------------------------------------------------------------------


async def test_a_feed_moves_the_market():
    venue, feed = adapter(slippage_bps=0), LocalFeed()
    assert venue.feed() is None
    venue.attach(feed)
    venue.attach(feed)
    assert venue.feed() is feed
    placed = await venue.submit_order(order("buy", "limit", 3, price=95))
    feed.push(quote(99, 101))
    feed.push(trade(95, 2))
    assert (placed.status, placed.filled_quantity) == (OrderStatus.PARTIAL_FILL, 2)
    feed.push(quote(94, 95, 5, 5))
    assert placed.status is OrderStatus.FILLED
    feed.push(Quote("UNKNOWN/XYZ", T0, 1, 2))


async def test_a_feed_of_bars_executes_at_the_next_open():
    clock = SimulatedClock(T0)
    venue, feed = adapter(clock=clock, slippage_bps=0), LocalFeed()
    venue.attach(feed)
    feed.push(bar(100, 101, 99, 100))
    placed = await venue.submit_order(order("buy", "market", 1))
    assert placed.status is OrderStatus.SUBMITTED
    clock.set_ns(T0 + 60_000_000_000)
    feed.push(bar(103, 104, 102, 103, at=T0 + 60_000_000_000))
    assert (placed.status, placed.avg_fill_price) == (OrderStatus.FILLED, 103.0)


# --- restart ------------------------------------------------------------------------------------------------------


async def test_an_adapter_goes_on_where_an_earlier_one_stopped():
    first = adapter()
    first.set_price(SYMBOL, 100)
    done = await first.submit_order(order("buy", "market", 2, client_order_id="a"))
    working = await first.submit_order(order("sell", "limit", 2, price=110, client_order_id="b"))
    second = adapter()
    second.restore(await first.get_fills(SYMBOL, 0), [working])
    assert (second.balance, second.positions) == (first.balance, first.positions)
    assert [found.client_order_id for found in await second.get_open_orders()] == ["b"]
    assert len(await second.get_fills(SYMBOL, 0)) == 1
    second.adopt(done)
    assert second.positions == first.positions
    reports, _ = listen(second)
    second.set_price(SYMBOL, 111)
    assert [report.fill.execution_id for report in reports] == ["FILL_b_1"]
    third = await second.submit_order(order("buy", "market", 0.5))
    assert third.order_id == "PAPER_3"


async def test_an_adopted_open_order_works_on():
    first = adapter()
    working = await first.submit_order(order("buy", "limit", 2, price=90, client_order_id="b"))
    second = adapter()
    second.adopt(working)
    second.set_price(SYMBOL, 89)
    assert second.orders["b"].status is OrderStatus.FILLED
    assert working.status is OrderStatus.SUBMITTED


async def test_an_order_that_never_arrived_is_not_taken_over():
    venue = adapter()
    venue.adopt(order("buy", "limit", 2, price=90, client_order_id="lost"))
    assert await venue.find_order("lost", SYMBOL) is None
    assert await venue.get_open_orders() == []
    again = await venue.submit_order(order("buy", "limit", 2, price=90, client_order_id="lost"))
    assert again.status is OrderStatus.SUBMITTED


async def test_balances_of_other_accounts():
    assert await PaperTradingAdapter(initial_balance=7).get_account_balance() == {"USD": 7.0}
    margin = adapter(initial_balance=1000, slippage_bps=0, commission_bps=0, allow_short=True)
    margin.set_price(SYMBOL, 100)
    await margin.submit_order(order("sell", "market", 2))
    assert await margin.get_account_balance() == {"USDT": 1200.0}
    assert await margin.get_positions() == {SYMBOL: -2.0}
