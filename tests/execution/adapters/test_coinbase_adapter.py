"""Coinbase orders over sockets: executions that are hinted at, changes, ids, the stream's numbers, tokens."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from binance_kit import until
from crypto_kit import BTC, crypto_desk, make_adapter

from autotrader_lab.execution.adapters.coinbase import CoinbaseAdapter
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    ConfigError,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
)
from autotrader_lab.model.market import Bar
from autotrader_lab.model.orders import OrderStatus, OrderType
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.venues.hooks import Answer

FILLS = "GET /api/v3/brokerage/orders/historical/fills"

# --- executions ----------------------------------------------------------------------------------------------------


async def test_what_the_stream_hints_at_is_asked_for_and_told_before_the_end_of_the_order() -> None:
    async with crypto_desk("coinbase") as desk:
        order = await desk.adapter.submit_order(desk.order(quantity=0.02, price=desk.near(0.97)))
        desk.hit("sell", desk.near(0.97), 0.005)
        await until(lambda: order.filled_quantity == 0.005, "the first part")
        # Both at once, so that one message tells of the cancel and of an execution before it.
        exchange, price = desk.world.exchange, round(desk.near(0.97) * 1e8)
        exchange.market_trade(desk.symbol, Side.SELL, price, 300_000, desk.world.now_ms())
        await desk.adapter.cancel_order(order.client_order_id)
        assert order.status is OrderStatus.CANCELLED
        assert desk.kinds(order) == ["Accepted", "Filled", "Filled", "Cancelled"]
        assert order.filled_quantity == 0.008
        assert {fill.fee_currency for fill in desk.fills} == {"USDT"}
        assert {fill.liquidity for fill in desk.fills} == {"maker"}


async def test_executions_listed_a_little_late_are_waited_for() -> None:
    async with crypto_desk("coinbase") as desk:
        empty = Answer(200, {"fills": [], "cursor": ""})
        desk.hooks.answers[FILLS] = [empty] * 6
        order = await desk.adapter.submit_order(desk.order(kind=OrderType.MARKET))
        await until(lambda: order.status is OrderStatus.FILLED, "the execution")
        assert desk.hooks.answers[FILLS] == []
        assert desk.states == ["connected"], "the line is not to blame"


async def test_a_reversal_is_remarked_and_not_booked(caplog: pytest.LogCaptureFixture) -> None:
    async with crypto_desk("coinbase") as desk:
        await desk.adapter.submit_order(desk.order(kind=OrderType.MARKET))
        await until(lambda: len(desk.fills) == 1, "the execution")

        def reverse(answer: Answer) -> Answer:
            rows = answer.body["fills"]
            return Answer(
                200, {**answer.body, "fills": [*rows, {**rows[0], "trade_type": "REVERSAL", "trade_id": "x"}]}
            )

        desk.hooks.replace[FILLS] = reverse
        assert len(await desk.adapter.get_fills(BTC, 0)) == 1
        assert "is a REVERSAL, which has to be looked at by a person" in caplog.text


async def test_more_orders_and_executions_than_a_page_holds_are_all_there() -> None:
    async with crypto_desk("coinbase") as desk:
        orders = [desk.order(quantity=0.0001, price=desk.near(0.97)) for _ in range(260)]
        await asyncio.gather(*(desk.adapter.submit_order(order) for order in orders))
        assert len(await desk.adapter.get_open_orders(BTC)) == 260
        desk.hooks.asked.clear()
        assert await desk.adapter.cancel_all() == 260
        assert desk.hooks.asked.count("POST /api/v3/brokerage/orders/batch_cancel") == 3
        assert {order.status for order in orders} == {OrderStatus.CANCELLED}


# --- ids -----------------------------------------------------------------------------------------------------------


async def test_an_order_sent_twice_under_one_id_is_one_order() -> None:
    async with crypto_desk("coinbase") as desk:
        first = await desk.adapter.submit_order(desk.order(price=desk.near(0.97), client_order_id="same"))
        later = desk.again()
        await later.connect()
        try:
            second = desk.order(price=desk.near(0.97), client_order_id="same")
            await later.submit_order(second)
            assert second.order_id == first.order_id
            assert len(await later.get_open_orders()) == 1
        finally:
            await later.disconnect()


async def test_an_order_is_found_by_our_id_though_the_venue_looks_nothing_up_by_it() -> None:
    async with crypto_desk("coinbase") as desk:
        order = await desk.adapter.submit_order(desk.order(kind=OrderType.MARKET))
        await until(lambda: order.status is OrderStatus.FILLED, "the execution")
        desk.adapter.orders.clear()
        found = await desk.adapter.find_order(order.client_order_id, BTC)
        assert found is not None
        assert (found.order_id, found.status) == (order.order_id, OrderStatus.FILLED)
        assert await desk.adapter.find_order("nobody", BTC) is None
        with pytest.raises(OrderNotFound):
            await desk.adapter.get_order_status("nobody")


# --- changes -------------------------------------------------------------------------------------------------------


async def test_price_and_quantity_change_in_place() -> None:
    async with crypto_desk("coinbase") as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        first_id = order.order_id
        await desk.adapter.modify_order(order.client_order_id, 0.02, desk.near(0.96))
        assert (order.order_id, order.quantity, order.price) == (first_id, 0.02, desk.near(0.96))
        await desk.adapter.modify_order(order.client_order_id, 0.005)
        theirs = await desk.adapter.get_order_status(first_id)
        assert (theirs.quantity, theirs.price) == (0.005, desk.near(0.96))
        desk.hit("sell", desk.near(0.96), 0.005)
        await until(lambda: order.status is OrderStatus.FILLED, "all of it")


async def test_a_change_made_by_somebody_else_is_told() -> None:
    async with crypto_desk("coinbase") as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        params = {"order_id": order.order_id, "size": "0.03", "price": str(desk.near(0.96))}
        await desk.adapter._exchange.v3PrivatePostBrokerageOrdersEdit(params)
        await until(lambda: order.quantity == 0.03, "the news of it")
        assert order.price == desk.near(0.96)


async def test_what_cannot_be_changed_is_refused_before_it_is_asked_or_with_the_venues_reason() -> None:
    async with crypto_desk("coinbase") as desk:
        stop = desk.order("sell", OrderType.STOP_LIMIT, price=desk.near(0.97), stop_price=desk.near(0.98))
        await desk.adapter.submit_order(stop)
        assert not desk.adapter.can_amend(stop, price=desk.near(0.96))
        with pytest.raises(OrderError, match="is no GTC limit order"):
            await desk.adapter.modify_order(stop.client_order_id, price=desk.near(0.96))
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        no = {"success": False, "errors": [{"edit_failure_reason": "ONLY_LIMIT_ORDER_EDITS_SUPPORTED"}]}
        yes = {"success": True, "errors": []}
        desk.hooks.answers["POST /api/v3/brokerage/orders/edit"] = [Answer(200, no), Answer(200, yes)]
        with pytest.raises(OrderRefused) as refused:
            await desk.adapter.modify_order(order.client_order_id, 0.02)
        assert refused.value.code == "ONLY_LIMIT_ORDER_EDITS_SUPPORTED"
        with pytest.raises(OutcomeUnknown, match="has not come about yet"):
            await desk.adapter.modify_order(order.client_order_id, 0.02)


@pytest.mark.parametrize(
    ("reason", "error"),
    [("UNKNOWN_CANCEL_ORDER", None), ("DUPLICATE_CANCEL_REQUEST", None), ("NOT_ALLOWED_TO_CANCEL", OrderRefused)],
)
async def test_why_a_cancel_was_not_taken_decides_what_becomes_of_it(reason: str, error: type | None) -> None:
    async with crypto_desk("coinbase") as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        row = {"success": False, "failure_reason": reason, "order_id": order.order_id}
        desk.hooks.answers["POST /api/v3/brokerage/orders/batch_cancel"] = [Answer(200, {"results": [row]})]
        if error is None:
            assert await desk.adapter.cancel_order(order.client_order_id) is False, "it still works"
        else:
            with pytest.raises(error, match=reason):
                await desk.adapter.cancel_order(order.client_order_id)
        assert order.is_open


async def test_stops_trigger_the_way_they_are_meant() -> None:
    async with crypto_desk("coinbase") as desk:
        stop = desk.order("sell", OrderType.STOP_LIMIT, price=desk.near(0.97), stop_price=desk.near(0.99))
        await desk.adapter.submit_order(stop)
        desk.move(desk.near(1.005))
        assert stop.filled_quantity == 0
        desk.move(desk.near(0.985))
        await until(lambda: stop.status is OrderStatus.FILLED, "the stop's execution")


# --- the stream ----------------------------------------------------------------------------------------------------


async def test_a_message_that_is_missing_ends_the_line_and_the_gap_is_closed() -> None:
    async with crypto_desk("coinbase") as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        exchange = desk.adapter._exchange
        client = exchange.clients[exchange.urls["api"]["ws_user"]]
        client.next_sequence_num -= 1
        desk.hit("sell", desk.near(0.97), 0.01)
        await until(lambda: desk.states == ["connected", "lost", "restored"], "the new line")
        assert order.status is OrderStatus.FILLED


async def test_a_message_that_comes_twice_counts_once() -> None:
    async with crypto_desk("coinbase") as desk:
        heard: list[Any] = []
        exchange = desk.adapter._exchange
        client = exchange.clients[exchange.urls["api"]["ws_user"]]
        exchange.tap = lambda message: heard.append(message) or True
        number = client.next_sequence_num
        for _ in range(2):
            exchange.handle_message(client, {"channel": "user", "sequence_num": number})
        assert [message["sequence_num"] for message in heard if message["sequence_num"] == number] == [number]


async def test_a_line_that_brings_no_heartbeat_is_dead() -> None:
    async with crypto_desk("coinbase") as desk:
        line = desk.adapter._line
        assert line.is_alive()
        line.heard_ns -= 16 * 10**9
        assert not line.is_alive()


# --- the account ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True], ids=["testnet", "live"])
async def test_the_other_worlds_key_is_refused(live: bool) -> None:
    async with crypto_desk("coinbase", live=live, connect=False) as desk:
        at = desk.box.addresses["coinbase"]
        other = at if live else at["live"]
        adapter = make_adapter("coinbase", at, live, api_key=other["api_key"], api_secret=other["pem"])
        with pytest.raises(AuthenticationFailed, match="in its live world" if live else "in its testnet world") as no:
            await adapter.connect()
        assert other["api_key"] not in str(no.value)


@pytest.mark.parametrize(
    ("rights", "words"),
    [({"can_view": True, "can_trade": False}, "may not trade"), ({}, "may not trade")],
)
async def test_a_key_that_may_not_trade_is_refused(rights: dict, words: str) -> None:
    async with crypto_desk("coinbase", connect=False) as desk:
        desk.hooks.answers["GET /api/v3/brokerage/key_permissions"] = [Answer(200, rights)]
        with pytest.raises(AuthenticationFailed, match=words):
            await desk.adapter.connect()


async def test_tokens_are_stamped_by_the_venues_clock() -> None:
    class Slow(SystemClock):
        def now_ns(self) -> int:
            return super().now_ns() - 3_600 * 10**9

    async with crypto_desk("coinbase", clock=Slow()) as desk:
        exchange = desk.adapter._exchange
        machine = exchange.milliseconds
        exchange.milliseconds = lambda: machine() - 3_600_000
        await desk.adapter.sync_clock()
        assert desk.adapter.clock_offset_ms == pytest.approx(3_600_000, abs=5_000)
        assert abs(exchange.seconds() - machine() / 1000) < 5
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        assert order.is_open


async def test_a_key_from_an_environment_variable_with_written_out_line_ends_works() -> None:
    async with crypto_desk("coinbase", connect=False) as desk:
        at = desk.box.addresses["coinbase"]
        adapter = make_adapter("coinbase", at, api_secret=at["pem"].replace("\n", "\\n"))
        assert await adapter.connect()
        await adapter.disconnect()


@pytest.mark.parametrize(
    "secret", ["no PEM at all", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----"]
)
def test_a_secret_that_is_no_key_says_so_and_shows_nowhere(secret: str) -> None:
    with pytest.raises(ConfigError, match="api_secret is no private key") as refused:
        CoinbaseAdapter("organizations/a/apiKeys/b", secret)
    assert "AAAA" not in str(refused.value)
    assert "no PEM at all" not in str(refused.value)


# --- market data ---------------------------------------------------------------------------------------------------


async def test_bars_are_asked_for_where_none_are_streamed() -> None:
    class Ahead(SystemClock):
        """Two minutes ahead of the venue: its current candle is over here."""

        def now_ns(self) -> int:
            return super().now_ns() + int(timedelta(minutes=2).total_seconds() * 1e9)

    async with crypto_desk("coinbase", clock=Ahead()) as desk:
        feed, bars = desk.adapter.feed(), []
        feed.subscribe(bars.append)
        feed._told_ms[BTC] = 0
        desk.move(desk.near(1.001))
        await feed.open(["BTCUSDT"], ["bars"])
        try:
            await until(lambda: bars, "the last candle")
        finally:
            await feed.close()
        last = bars[-1]
        assert isinstance(last, Bar)
        assert last.symbol == BTC
        assert last.timestamp_ns % 60_000_000_000 == 0
        assert last.low <= last.close <= last.high


# --- how long an order may be under way ------------------------------------------------------------------------------


async def test_a_token_for_an_order_ends_with_the_order_window_and_others_live_longer() -> None:
    async with crypto_desk("coinbase", order_window_s=3) as desk:
        exchange = desk.adapter._exchange
        for path, life_s in (
            ("orders", 3),
            ("orders/edit", 3),
            ("orders/batch_cancel", 120),
            ("accounts?limit=1", 120),
        ):
            url = f"http://127.0.0.1:1/api/v3/brokerage/{path}"
            body = exchange.create_auth_token(1_000, "POST", url).split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            assert claims["exp"] - claims["nbf"] == life_s, path
            assert claims["uri"] == f"POST 127.0.0.1:1/api/v3/brokerage/{path.partition('?')[0]}"
        assert desk.adapter.arrival_window_s == 5


@pytest.mark.parametrize("seconds", [0, 121])
async def test_a_window_that_cannot_be_is_refused(seconds: float) -> None:
    async with crypto_desk("coinbase", connect=False) as desk:
        with pytest.raises(ConfigError, match="order_window_s"):
            make_adapter("coinbase", desk.box.addresses["coinbase"], order_window_s=seconds)
