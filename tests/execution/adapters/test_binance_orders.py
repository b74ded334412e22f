"""Orders on Binance spot over real sockets, by either way in and in both worlds."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from binance_kit import BTC, desk, until
from msgspec import structs

from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import (
    InstrumentError,
    NotConnected,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
)
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType, Rejected

WAYS = [{"websocket_orders": False}, {"websocket_orders": True}]
ways = pytest.mark.parametrize("way", WAYS, ids=["rest", "websocket"])


@ways
@pytest.mark.parametrize("live", [False, True], ids=["testnet", "live"])
async def test_a_market_order_fills_once_with_its_fee_from_answer_and_stream(way: dict, live: bool) -> None:
    async with desk(live=live, **way) as held:
        order = await held.adapter.submit_order(held.order(kind=OrderType.MARKET))
        assert order.status is OrderStatus.FILLED
        assert order.filled_quantity == 0.01
        assert order.order_id
        await asyncio.sleep(0.1)  # let the stream say the same again
        assert held.kinds(order) == ["Accepted", "Filled"]
        (fill,) = held.fills
        assert (fill.fee_currency, fill.commission, fill.liquidity) == ("BTC", 1e-05, "taker")
        assert (fill.client_order_id, fill.venue, fill.symbol) == (order.client_order_id, "binance", BTC)
        assert fill.timestamp.tzinfo is not None
        other = held.box.worlds["testnet" if live else "live"].exchange
        assert not any(account.orders for account in other.accounts.values()), "the other world was not touched"


@ways
async def test_a_resting_order_fills_in_parts_and_each_part_comes_once(way: dict) -> None:
    async with desk(**way) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=price))
        assert order.status is OrderStatus.SUBMITTED
        held.hit("sell", price, 0.01)
        await until(lambda: order.status is OrderStatus.PARTIAL_FILL)
        held.hit("sell", price, 0.02)
        await until(lambda: order.status is OrderStatus.FILLED)
        assert held.kinds(order) == ["Accepted", "Filled", "Filled"]
        assert [(f.quantity, f.price, f.liquidity) for f in held.fills] == [
            (0.01, price, "maker"),
            (0.02, price, "maker"),
        ]
        assert len({f.execution_id for f in held.fills}) == 2
        assert order.avg_fill_price == price


@ways
async def test_ioc_keeps_what_it_got_and_fok_is_whole_or_nothing(way: dict) -> None:
    async with desk(**way) as held:
        far = held.near(1.0005)
        ioc = await held.adapter.submit_order(held.order(kind=OrderType.IOC, quantity=0.01, price=held.near(0.9)))
        assert (ioc.status, ioc.filled_quantity) == (OrderStatus.EXPIRED, 0.0)
        ask, size = held.best("sell")
        asked = round(size + 0.01, 5)
        some = await held.adapter.submit_order(held.order(kind=OrderType.IOC, quantity=asked, price=ask))
        assert (some.status, some.filled_quantity) == (OrderStatus.EXPIRED, size)
        fok = await held.adapter.submit_order(held.order(kind=OrderType.FOK, quantity=0.1, price=held.near(0.99)))
        assert (fok.status, fok.filled_quantity) == (OrderStatus.EXPIRED, 0.0)
        full = await held.adapter.submit_order(held.order(kind=OrderType.FOK, quantity=0.1, price=far))
        assert full.status is OrderStatus.FILLED
        limit = await held.adapter.submit_order(held.order(quantity=0.01, price=far, time_in_force="FOK"))
        assert limit.status is OrderStatus.FILLED


@ways
async def test_stops_rest_until_the_market_reaches_them(way: dict) -> None:
    async with desk(**way) as held:
        trigger = held.near(0.95)
        stop = await held.adapter.submit_order(held.order("sell", OrderType.STOP, stop_price=trigger))
        limit = await held.adapter.submit_order(
            held.order("sell", OrderType.STOP_LIMIT, stop_price=trigger, price=held.near(0.90))
        )
        assert stop.status is limit.status is OrderStatus.SUBMITTED
        held.move(held.near(0.94))
        await until(lambda: stop.status is limit.status is OrderStatus.FILLED)
        assert held.filled(stop) == held.filled(limit) == exact_of(0.01)


@ways
async def test_post_only_rests_or_is_refused_in_the_venues_words(way: dict) -> None:
    async with desk(**way) as held:
        maker = await held.adapter.submit_order(held.order(price=held.near(0.9), post_only=True))
        assert maker.status is OrderStatus.SUBMITTED
        taker = await held.adapter.submit_order(held.order(price=held.near(1.1), post_only=True))
        assert taker.status is OrderStatus.REJECTED
        (report,) = [r for r in held.reports if isinstance(r, Rejected)]
        assert report.code == "-2010"
        assert "immediately match and take" in report.reason


@ways
async def test_what_the_account_cannot_pay_is_rejected_and_not_raised(way: dict) -> None:
    async with desk(**way) as held:
        order = await held.adapter.submit_order(held.order(quantity=5, price=held.near(0.9)))
        assert order.status is OrderStatus.REJECTED
        assert "insufficient balance" in order.reason


@ways
async def test_cancel_tells_once_and_is_quiet_about_what_is_done(way: dict) -> None:
    async with desk(**way) as held:
        order = await held.adapter.submit_order(held.order(price=held.near(0.9)))
        assert await held.adapter.cancel_order(order.order_id)
        assert await held.adapter.cancel_order(order.client_order_id)
        await asyncio.sleep(0.1)
        assert held.kinds(order) == ["Accepted", "Cancelled"]
        filled = await held.adapter.submit_order(held.order(kind=OrderType.MARKET))
        assert await held.adapter.cancel_order(filled.order_id)
        assert filled.status is OrderStatus.FILLED
        with pytest.raises(OrderNotFound, match="never-sent"):
            await held.adapter.cancel_order("never-sent")


@ways
async def test_a_cancel_that_loses_the_race_books_the_fill(way: dict) -> None:
    async with desk(**way) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(price=price))
        # The venue fills it, and the cancel is on its way before the stream is read.
        cancel = asyncio.create_task(held.adapter.cancel_order(order.order_id))
        held.hit("sell", price, 0.01)
        assert await cancel
        await until(lambda: not order.is_open)
        assert order.status is OrderStatus.FILLED
        assert held.filled(order) == exact_of(0.01)


@ways
async def test_cancel_after_a_partial_fill_keeps_the_fill(way: dict) -> None:
    async with desk(**way) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=price))
        held.hit("sell", price, 0.01)
        assert await held.adapter.cancel_order(order.order_id)
        await asyncio.sleep(0.1)
        assert order.status is OrderStatus.CANCELLED
        assert Counter(held.kinds(order)) == {"Accepted": 1, "Filled": 1, "Cancelled": 1}
        assert held.filled(order) == exact_of(0.01)


@ways
async def test_cancel_all_takes_every_symbol_and_foreign_orders_too(way: dict) -> None:
    async with desk(**way) as held, desk_of_another_client(held) as other:
        ours = [await held.adapter.submit_order(held.order(price=held.near(0.9))) for _ in range(3)]
        eth = Order("", "ETHUSDT", OrderSide.BUY, OrderType.LIMIT, 0.1, 2000.0, client_order_id="eth-1")
        await held.adapter.submit_order(eth)
        foreign = await other.submit_order(held.order(price=held.near(0.9)))
        assert await held.adapter.cancel_all("ETH/USDT") == 1
        assert eth.status is OrderStatus.CANCELLED
        assert await held.adapter.cancel_all() == 4
        assert await held.adapter.cancel_all() == 0
        await until(lambda: all(order.status is OrderStatus.CANCELLED for order in (*ours, foreign)))
        assert await held.adapter.get_open_orders() == []


@ways
async def test_a_quantity_is_made_smaller_in_place(way: dict) -> None:
    async with desk(**way) as held:
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=held.near(0.9)))
        assert held.adapter.can_amend(order, quantity=0.02)
        changed = await held.adapter.modify_order(order.client_order_id, quantity=0.02)
        assert (changed.quantity, changed.order_id) == (0.02, order.order_id)
        await asyncio.sleep(0.1)
        assert held.kinds(order) == ["Accepted", "Amended"]
        (open_order,) = await held.adapter.get_open_orders(BTC)
        assert (open_order.quantity, open_order.client_order_id) == (0.02, order.client_order_id)


async def test_a_symbol_that_allows_no_change_says_so_before_any_io() -> None:
    async with desk() as held:
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=held.near(0.9)))
        held.adapter._rules[BTC] = structs.replace(held.adapter._rules[BTC], amendable=False)
        assert not held.adapter.can_amend(order, quantity=0.02)
        with pytest.raises(OrderError, match="cannot be changed in place; cancel it"):
            await held.adapter.modify_order(order.order_id, quantity=0.02)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"price": 50_000.0}, "price cannot be changed in place"),
        ({"quantity": 0.05}, "only be made smaller"),
        ({"quantity": 0.005}, "filled"),
        ({"quantity": 0.0200001}, "off the grid"),
    ],
)
async def test_what_cannot_be_changed_in_place_says_the_way_out(change: dict, words: str) -> None:
    async with desk() as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=price))
        held.hit("sell", price, 0.01)
        await until(lambda: order.status is OrderStatus.PARTIAL_FILL)
        assert not held.adapter.can_amend(order, **change)
        with pytest.raises(OrderError, match=words):
            await held.adapter.modify_order(order.order_id, **change)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"price": 50_000.001}, InstrumentError, r"off the grid of 0\.01; nearest are 50000\.00 and 50000\.01"),
        ({"price": 50_000.0, "quantity": 0.000015}, InstrumentError, "off the grid"),
        ({"price": 50_000.0, "quantity": 0.00005}, InstrumentError, "below the least of 5"),
        ({"price": 50_000.0, "quantity": 10_000}, InstrumentError, "over the most of 9000"),
        ({"price": 2e6, "quantity": 0.01}, InstrumentError, "outside"),
        ({"price": 50_000.0, "time_in_force": "DAY"}, OrderError, "use GTC"),
        ({"price": 50_000.0, "client_order_id": "with blank"}, OrderError, "with blank"),
        ({"price": 50_000.0, "post_only": True, "time_in_force": "IOC"}, OrderError, "post_only"),
        ({"kind": OrderType.MARKET, "quantity": -1}, OrderError, "must be a positive"),
        ({"kind": OrderType.STOP}, OrderError, "needs a stop_price"),
    ],
)
async def test_what_the_venue_would_refuse_for_its_form_never_leaves(fields: dict, error: type, words: str) -> None:
    async with desk() as held:
        with pytest.raises(error, match=words):
            await held.adapter.submit_order(held.order(**fields))
        assert held.venue_orders() == []
        assert held.reports == []


async def test_an_unknown_symbol_names_the_nearest() -> None:
    async with desk() as held:
        order = held.order(price=50_000.0)
        order.symbol = "BTC/USD"
        with pytest.raises(InstrumentError, match=r"no symbol 'BTC/USD'; did you mean BTC/USDT"):
            await held.adapter.submit_order(order)


async def test_a_client_id_makes_one_order_only() -> None:
    async with desk() as held:
        first = await held.adapter.submit_order(held.order(price=held.near(0.9), client_order_id="once"))
        with pytest.raises(OutcomeUnknown, match="'once' was sent before and is submitted"):
            await held.adapter.submit_order(held.order(price=held.near(0.9), client_order_id="once"))
        await held.adapter.cancel_order("once")
        with pytest.raises(OrderError, match="'once' was sent before and is cancelled"):
            await held.adapter.submit_order(held.order(price=held.near(0.9), client_order_id="once"))
        assert first.status is OrderStatus.CANCELLED
        assert len(held.venue_orders()) == 1


async def test_queries_tell_status_fills_positions_and_balances() -> None:
    async with desk() as held:
        before_ns = held.box.clock.now_ns()
        bought = await held.adapter.submit_order(held.order(kind=OrderType.MARKET, decision_id="d-1"))
        resting = await held.adapter.submit_order(held.order(price=held.near(0.9)))
        asked = await held.adapter.get_order_status(bought.client_order_id)
        assert (asked.status, asked.filled_quantity, asked.order_id) == (OrderStatus.FILLED, 0.01, bought.order_id)
        assert asked.avg_fill_price == pytest.approx(bought.avg_fill_price)
        assert asked.decision_id == "d-1"
        assert (await held.adapter.find_order(resting.client_order_id, "BTCUSDT")).order_id == resting.order_id
        assert await held.adapter.find_order("never-sent", BTC) is None
        (fill,) = await held.adapter.get_fills(BTC, before_ns)
        assert (fill.execution_id, fill.client_order_id) == (held.fills[0].execution_id, bought.client_order_id)
        assert await held.adapter.get_fills(BTC, to_ns(fill.timestamp) + 1_000_000) == []
        assert (await held.adapter.get_positions())[BTC] == 1.00999
        balance = await held.adapter.get_account_balance()
        assert balance["USDT"] == pytest.approx(100_000 - bought.avg_fill_price * 0.01), "reserved money is still ours"
        with pytest.raises(OrderNotFound):
            await held.adapter.get_order_status("999999")


async def test_many_fills_come_complete_over_several_pages() -> None:
    async with desk() as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.0251, price=price))
        for _ in range(2510):
            held.world.exchange.market_trade("BTCUSDT", *side_price_quantity(price, 0.00001), held.world.now_ms())
        held.world.publish()
        await until(lambda: order.status is OrderStatus.FILLED)
        fills = await held.adapter.get_fills(BTC, 0)
        assert len(fills) == 2510
        assert len({fill.execution_id for fill in fills}) == 2510
        assert sorted(int(fill.execution_id) for fill in fills) == [int(fill.execution_id) for fill in fills]


async def test_before_connect_and_after_disconnect_it_says_so() -> None:
    async with desk(connect=False) as held:
        with pytest.raises(NotConnected, match="connect"):
            await held.adapter.submit_order(held.order(price=50_000.0))
        await held.adapter.connect()
        await held.adapter.disconnect()
        with pytest.raises(NotConnected):
            await held.adapter.get_account_balance()


async def test_a_refused_change_raises_the_venues_reason() -> None:
    async with desk() as held:
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=held.near(0.9)))
        view = held.adapter.orders[order.client_order_id]
        view.quantity = 0.05  # our view is wrong; the venue knows better
        with pytest.raises(OrderRefused, match="quantity increase"):
            await held.adapter.modify_order(order.order_id, quantity=0.04)


# --- helpers -------------------------------------------------------------------------------------------------------


def exact_of(value: float):
    from autotrader_lab.model.instruments import exact

    return exact(value)


def side_price_quantity(price: float, quantity: float):
    from autotrader_lab.sandbox.orders import Side
    from autotrader_lab.sandbox.units import parse_e8

    return Side.SELL, parse_e8(f"{price:.2f}"), parse_e8(f"{quantity:.5f}")


def desk_of_another_client(held):
    """A second adapter on the same account: to the first one its orders are foreign."""
    from contextlib import asynccontextmanager

    from autotrader_lab.execution.adapters.binance import BinanceAdapter

    @asynccontextmanager
    async def opened():
        entry = held.box.addresses["binance"]
        other = BinanceAdapter(entry["api_key"], entry["api_secret"], testnet=True, addresses=entry)
        await other.connect()
        try:
            yield other
        finally:
            await other.disconnect()

    return opened()
