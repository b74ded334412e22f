"""Types: times are aware and UTC, prices are on the grid, and what is told goes forward in time."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from autotrader_lab.execution.market_data.feeds import kinds_of
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.market import Bar, Book, MarketEvent, Quote, Trade
from autotrader_lab.model.orders import Filled, Order, OrderSide, OrderStatus
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.running import conforms

__all__ = ["Types"]

_DAY_NS = 86_400_000_000_000


class Types:
    """What the values are made of."""

    @conforms()
    async def test_an_orders_values_are_plain_and_its_times_utc(self, bench: Bench) -> None:
        bought, resting = await bench.buy(), await bench.rest()
        for order in (bought, resting):
            theirs = await bench.call(bench.adapter.get_order_status(order.order_id))
            for each in (theirs, bench.adapter.orders[_key(bench, order)]):
                self._check(bench, each)

    def _check(self, bench: Bench, order: Order) -> None:
        assert type(order.quantity) is float
        assert type(order.filled_quantity) is float
        assert isinstance(order.order_id, str)
        assert isinstance(order.status, OrderStatus)
        assert isinstance(order.side, OrderSide)
        assert bench.instrument.on_quantity_grid(order.quantity)
        assert order.price is None or bench.instrument.on_price_grid(order.price)
        for moment in (order.submitted_at, order.filled_at, order.updated_at):
            if moment is not None:
                assert moment.utcoffset() == timedelta(0), "an aware time in UTC"
                assert abs(to_ns(moment) - bench.clock.now_ns()) < _DAY_NS

    @conforms("reports")
    async def test_reports_go_forward_in_time(self, bench: Bench) -> None:
        orders = [await bench.buy(), await bench.rest(), await bench.buy(2)]
        await bench.call(bench.adapter.cancel_order(orders[1].order_id))
        await bench.reaches(orders[1], OrderStatus.CANCELLED)
        for order in orders:
            stamps = [report.timestamp_ns for report in bench.of(order)]
            assert stamps == sorted(stamps)
            assert all(isinstance(stamp, int) for stamp in stamps)
            assert all(abs(stamp - bench.clock.now_ns()) < _DAY_NS for stamp in stamps)
        executed = [to_ns(r.fill.timestamp) for r in bench.reports if isinstance(r, Filled)]
        assert executed == sorted(executed)

    @conforms()
    async def test_positions_and_balances_are_numbers_by_name(self, bench: Bench) -> None:
        await bench.buy()
        positions = await bench.call(bench.adapter.get_positions())
        balances = await bench.call(bench.adapter.get_account_balance())
        assert bench.instrument.symbol in positions, "by universal symbol"
        for table in (positions, balances):
            assert table
            assert all(isinstance(name, str) and type(value) is float for name, value in table.items())

    @conforms()
    async def test_market_data_is_sound(self, bench: Bench) -> None:
        feed = bench.adapter.feed()
        if feed is None:
            pytest.skip(f"{type(bench.adapter).__name__} has no market data of its own")
        symbol = bench.instrument.symbol
        heard: list[MarketEvent] = []
        feed.subscribe(heard.append)
        await bench.call(feed.open([symbol], ("quotes", "trades")))
        shown = {"quotes": Quote, "trades": Trade}
        expected = {shown[kind] for kind in kinds_of(feed, symbol) if kind in shown}
        assert Quote in expected, "every venue has quotes"
        try:

            async def moved() -> bool:
                await bench.venue.set_price(bench.at(1 + len(heard) % 2 / 1000))
                return len(heard) >= 4 and expected <= {type(event) for event in heard}

            await bench.until(moved, f"four events, {' and '.join(kind.__name__ for kind in expected)} among them")
        finally:
            await bench.call(feed.close())
            await bench.call(feed.close())
        assert {type(event) for event in heard} == expected, "what the feed says it has, and nothing else"
        for event in heard:
            self._check_event(bench, event)
        for kind in expected:
            stamps = [event.timestamp_ns for event in heard if isinstance(event, kind)]
            assert stamps == sorted(stamps), f"{kind.__name__}s go back in time"

    def _check_event(self, bench: Bench, event: MarketEvent) -> None:
        assert event.symbol == bench.instrument.symbol, "by universal symbol"
        assert abs(event.timestamp_ns - bench.clock.now_ns()) < _DAY_NS, "nanoseconds since the epoch"
        if isinstance(event, Quote):
            prices = [event.bid, event.ask]
            assert event.bid <= event.ask
        elif isinstance(event, Book):
            prices = [price for price, _ in (*event.bids, *event.asks)]
        else:
            prices = [event.close if isinstance(event, Bar) else event.price]
        assert all(price > 0 and bench.instrument.on_price_grid(price) for price in prices)
        assert bench.clock.now().tzinfo is UTC


def _key(bench: Bench, order: Order) -> str:
    return order.client_order_id if order.client_order_id in bench.adapter.orders else order.order_id
