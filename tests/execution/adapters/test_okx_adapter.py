"""OKX orders over sockets: stops, changes, what is thrown out, many at once, the dead man's switch."""

from __future__ import annotations

import asyncio
import json

import pytest
from binance_kit import until
from crypto_kit import BTC, crypto_desk, make_adapter

from autotrader_lab.execution.adapters.okx import OKXAdapter
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    ConfigError,
    OrderError,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
)
from autotrader_lab.model.orders import OrderStatus, OrderType
from autotrader_lab.sandbox.venues.hooks import Answer

# --- stops ---------------------------------------------------------------------------------------------------------


async def test_a_stop_waits_and_its_order_is_ours_under_the_same_client_id() -> None:
    async with crypto_desk("okx") as desk:
        stop = desk.order("sell", OrderType.STOP, stop_price=desk.near(0.99), client_order_id="lab-7")
        await desk.adapter.submit_order(stop)
        waiting_id = stop.order_id
        assert stop.status is OrderStatus.SUBMITTED
        (listed,) = await desk.adapter.get_open_orders(BTC)
        assert (listed.client_order_id, listed.order_type) == ("lab-7", OrderType.STOP)
        assert listed.stop_price == stop.stop_price
        desk.move(desk.near(0.985))
        await until(lambda: stop.status is OrderStatus.FILLED, "the stop's execution")
        assert stop.order_id != waiting_id
        assert desk.kinds(stop) == ["Accepted", "Accepted", "Filled"]
        found = await desk.adapter.find_order("lab-7", BTC)
        assert found is not None
        assert (found.status, found.order_id) == (OrderStatus.FILLED, stop.order_id)
        assert (await desk.adapter.get_order_status(waiting_id)).status is OrderStatus.FILLED


async def test_a_stop_limit_rests_when_its_stop_is_reached_and_is_cancelled_by_any_of_its_ids() -> None:
    async with crypto_desk("okx") as desk:
        stop = desk.order("buy", OrderType.STOP_LIMIT, price=desk.near(0.98), stop_price=desk.near(1.01))
        await desk.adapter.submit_order(stop)
        waiting_id = stop.order_id
        desk.move(desk.near(1.011))
        await until(lambda: stop.order_id != waiting_id, "the order it led to")
        assert stop.is_open
        assert await desk.adapter.cancel_order(waiting_id)
        assert stop.status is OrderStatus.CANCELLED


async def test_a_stop_that_nobody_told_of_is_found_by_its_client_id() -> None:
    async with crypto_desk("okx") as desk:
        stop = desk.order("sell", OrderType.STOP, stop_price=desk.near(0.99))
        await desk.adapter.submit_order(stop)
        later = desk.again()
        await later.connect()
        try:
            found = await later.find_order(stop.client_order_id, BTC)
            assert found is not None
            assert (found.order_id, found.status) == (stop.order_id, OrderStatus.SUBMITTED)
            later.adopt(found)
            desk.move(desk.near(0.98))
            await until(lambda: later.orders[stop.client_order_id].status is OrderStatus.FILLED, "the adopted stop")
        finally:
            await later.disconnect()


async def test_a_stop_reached_while_we_were_away_is_settled_when_we_are_back() -> None:
    async with crypto_desk("okx") as desk:
        stop = desk.order("sell", OrderType.STOP, stop_price=desk.near(0.99))
        await desk.adapter.submit_order(stop)
        await desk.adapter.disconnect()
        desk.move(desk.near(0.98))
        await desk.adapter.connect()
        assert stop.status is OrderStatus.FILLED
        assert float(desk.filled(stop)) == 0.01


async def test_a_stop_on_the_wrong_side_is_refused_instead_of_waiting_as_its_opposite() -> None:
    async with crypto_desk("okx") as desk:
        stop = desk.order("sell", OrderType.STOP, stop_price=desk.near(1.01))
        await desk.adapter.submit_order(stop)
        assert stop.status is OrderStatus.REJECTED
        assert "(512" in stop.reason


async def test_a_waiting_stop_is_cancelled_by_the_venue_and_by_us() -> None:
    async with crypto_desk("okx") as desk:
        first, second = (desk.order("sell", OrderType.STOP, stop_price=desk.near(0.99)) for _ in range(2))
        for stop in (first, second):
            await desk.adapter.submit_order(stop)
        assert await desk.adapter.cancel_order(first.client_order_id)
        assert first.status is OrderStatus.CANCELLED
        # Somebody cancels the other one on the venue's own screen.
        name = {"instId": "BTC-USDT", "algoId": second.order_id}
        await desk.adapter._exchange.request("trade/cancel-algos", ["private"], "POST", [name])
        await until(lambda: second.status is OrderStatus.CANCELLED, "the news of it")
        assert await desk.adapter.get_open_orders() == []


async def test_a_stop_without_the_money_for_its_order_is_a_refusal_with_the_venues_code() -> None:
    async with crypto_desk("okx") as desk:
        stop = desk.order("sell", OrderType.STOP, quantity=0.9, stop_price=desk.near(0.99))
        await desk.adapter.submit_order(stop)
        await desk.adapter.submit_order(desk.order("sell", price=desk.near(1.05), quantity=0.5))
        desk.move(desk.near(0.98))
        await until(lambda: stop.status is OrderStatus.REJECTED, "the refusal")
        assert "51008" in stop.reason


async def test_a_waiting_stop_cannot_be_changed_in_place() -> None:
    async with crypto_desk("okx") as desk:
        stop = desk.order("sell", OrderType.STOP_LIMIT, price=desk.near(0.98), stop_price=desk.near(0.99))
        await desk.adapter.submit_order(stop)
        assert not desk.adapter.can_amend(stop, price=desk.near(0.97))
        with pytest.raises(OrderError, match="waits for its stop"):
            await desk.adapter.modify_order(stop.client_order_id, price=desk.near(0.97))


# --- changes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over_websocket", [False, True], ids=["rest", "ws"])
async def test_price_and_quantity_change_in_place_both_ways(over_websocket: bool) -> None:
    async with crypto_desk("okx", websocket_orders=over_websocket) as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        first_id = order.order_id
        await desk.adapter.modify_order(order.client_order_id, 0.02)
        await desk.adapter.modify_order(order.client_order_id, 0.005, desk.near(0.96))
        assert (order.order_id, order.quantity, order.price) == (first_id, 0.005, desk.near(0.96))
        theirs = await desk.adapter.get_order_status(first_id)
        assert (theirs.quantity, theirs.price) == (order.quantity, order.price)
        desk.hit("sell", desk.near(0.96), 0.002)
        await until(lambda: order.filled_quantity == 0.002, "a part")
        with pytest.raises(OrderError, match=r"0\.002 are filled"):
            await desk.adapter.modify_order(order.client_order_id, 0.002)
        with pytest.raises(OrderError, match="change nothing"):
            await desk.adapter.modify_order(order.client_order_id, 0.005)
        await desk.adapter.modify_order(order.client_order_id, 0.003)
        desk.hit("sell", desk.near(0.96), 0.001)
        await until(lambda: order.status is OrderStatus.FILLED, "the rest")


async def test_a_refused_change_keeps_the_order_as_it_was() -> None:
    async with crypto_desk("okx") as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        with pytest.raises(OrderRefused) as refused:
            await desk.adapter.modify_order(order.client_order_id, 8_999.0)
        assert refused.value.code == "51008"
        assert (order.quantity, order.status) == (0.01, OrderStatus.SUBMITTED)


async def test_a_change_that_was_taken_and_does_not_come_about_is_doubt() -> None:
    async with crypto_desk("okx") as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        taken = {"code": "0", "msg": "", "data": [{"ordId": order.order_id, "sCode": "0", "sMsg": "", "ts": "1"}]}
        desk.hooks.answers["POST /api/v5/trade/amend-order"] = [Answer(200, taken)]
        with pytest.raises(OutcomeUnknown, match=r"has not come about yet; it stands at 0\.01"):
            await desk.adapter.modify_order(order.client_order_id, 0.02)


async def test_a_change_made_by_somebody_else_is_told() -> None:
    async with crypto_desk("okx") as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        params = {"instId": "BTC-USDT", "ordId": order.order_id, "newSz": "0.03", "newPx": str(desk.near(0.96))}
        await desk.adapter._exchange.privatePostTradeAmendOrder(params)
        await until(lambda: order.quantity == 0.03, "the news of it")
        assert order.price == desk.near(0.96)


# --- what ends at once ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over_websocket", [False, True], ids=["rest", "ws"])
async def test_a_post_only_order_that_would_take_is_refused_at_once(over_websocket: bool) -> None:
    async with crypto_desk("okx", websocket_orders=over_websocket) as desk:
        order = desk.order(price=desk.near(1.01), post_only=True)
        returned = await desk.adapter.submit_order(order)
        assert returned.status is OrderStatus.REJECTED
        assert "post-only" in returned.reason
        assert desk.fills == []


@pytest.mark.parametrize("kind", [OrderType.IOC, OrderType.FOK])
async def test_what_finds_no_match_expires(kind: OrderType) -> None:
    async with crypto_desk("okx") as desk:
        order = await desk.adapter.submit_order(desk.order(kind=kind, price=desk.near(0.97)))
        await until(lambda: order.status is OrderStatus.EXPIRED, "its end")
        assert desk.kinds(order) == ["Accepted", "Expired"]


# --- many ----------------------------------------------------------------------------------------------------------


async def test_more_orders_and_executions_than_a_page_holds_are_all_there() -> None:
    async with crypto_desk("okx") as desk:
        orders = [desk.order(quantity=0.0001, price=desk.near(0.97)) for _ in range(120)]
        await asyncio.gather(*(desk.adapter.submit_order(order) for order in orders))
        desk.hooks.asked.clear()
        assert len(await desk.adapter.get_open_orders(BTC)) == 120
        assert desk.hooks.asked.count("GET /api/v5/trade/orders-pending") == 2
        assert await desk.adapter.cancel_all() == 120
        assert desk.hooks.asked.count("POST /api/v5/trade/cancel-batch-orders") == 6
        assert {order.status for order in orders} == {OrderStatus.CANCELLED}
        bought = [desk.order(kind=OrderType.MARKET, quantity=0.0001) for _ in range(105)]
        await asyncio.gather(*(desk.adapter.submit_order(order) for order in bought))
        fills = await desk.adapter.get_fills(BTC, 0)
        assert len({fill.execution_id for fill in fills}) == 105
        assert [fill.timestamp for fill in fills] == sorted(fill.timestamp for fill in fills)
        assert {fill.client_order_id for fill in fills} == {order.client_order_id for order in bought}


async def test_cancelling_everything_takes_stops_along_and_minds_nothing_that_is_done() -> None:
    async with crypto_desk("okx") as desk:
        resting = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        stop = await desk.adapter.submit_order(desk.order("sell", OrderType.STOP, stop_price=desk.near(0.99)))
        gone = {"code": "1", "msg": "All operations failed", "data": [{"sCode": "51400", "sMsg": "done"}]}
        desk.hooks.answers["POST /api/v5/trade/cancel-batch-orders"] = [Answer(200, gone)]
        assert await desk.adapter.cancel_all(BTC) == 2
        assert (resting.is_open, stop.status) == (True, OrderStatus.CANCELLED), "the venue lied about the first"
        assert await desk.adapter.cancel_all("BTCUSDT") == 1
        assert not resting.is_open


# --- the dead man's switch -----------------------------------------------------------------------------------------


async def test_the_venue_cancels_when_we_fall_silent_and_not_before() -> None:
    async with crypto_desk("okx") as desk:
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        venue = desk.face.api.desk
        await desk.adapter.arm_dead_man_switch(30)
        await desk.adapter.arm_dead_man_switch(0)
        venue.deadlines.check(desk.world.now_ms() + 31_000)
        assert order.is_open
        await desk.adapter.arm_dead_man_switch(10)
        venue.deadlines.check(desk.world.now_ms() + 9_000)
        assert venue.orders(desk.account)[0].status.is_open
        venue.deadlines.check(desk.world.now_ms() + 11_000)
        desk.world.publish()
        await until(lambda: order.status is OrderStatus.CANCELLED, "the venue's cancel")


@pytest.mark.parametrize("seconds", [-1, 5, 121, 9.9])
async def test_the_switch_takes_what_the_venue_takes(seconds: float) -> None:
    async with crypto_desk("okx") as desk:
        desk.hooks.asked.clear()
        with pytest.raises(ConfigError, match="0 \\(off\\) or 10 to 120 seconds"):
            await desk.adapter.arm_dead_man_switch(seconds)
        assert desk.hooks.asked == []


# --- the account ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True], ids=["demo", "live"])
async def test_the_other_worlds_key_is_refused_by_the_venues_own_evidence(live: bool) -> None:
    async with crypto_desk("okx", live=live, connect=False) as desk:
        at = desk.box.addresses["okx"]
        other = at if live else at["live"]
        keys = {name: other[name] for name in ("api_key", "api_secret", "passphrase")}
        adapter = make_adapter("okx", at, live, **keys)
        with pytest.raises(AuthenticationFailed, match="does not match current environment") as refused:
            await adapter.connect()
        assert ("live" if live else "testnet") in str(refused.value)
        assert not any(secret in str(refused.value) for secret in keys.values())


async def test_demo_requests_carry_the_header_and_live_ones_do_not() -> None:
    for testnet in (True, False):
        adapter = make_adapter("okx", {"rest": "http://127.0.0.1:1", "ws": "ws://127.0.0.1:1", "api_key": "k",
                                       "api_secret": "s", "passphrase": "p", "live": {"rest": "http://127.0.0.1:1",
                                       "ws": "ws://127.0.0.1:1", "api_key": "k", "api_secret": "s",
                                       "passphrase": "p"}}, live=not testnet)  # fmt: skip
        exchange = adapter._make_exchange(adapter._local)
        assert exchange.headers.get("x-simulated-trading") == ("1" if testnet else None)
        assert "okx.com" not in str(exchange.urls["api"])


@pytest.mark.parametrize("wrong", ["api_secret", "passphrase"])
async def test_a_wrong_secret_is_refused_at_once(wrong: str) -> None:
    async with crypto_desk("okx", connect=False, **{wrong: "wrong"}) as desk:
        with pytest.raises(AuthenticationFailed, match="in its testnet world"):
            await desk.adapter.connect()


def account(**fields: object) -> Answer:
    row = {"acctLv": "1", "autoLoan": False, "perm": "read_only,trade", "uid": "1", **fields}
    return Answer(200, {"code": "0", "msg": "", "data": [row]})


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"perm": "read_only"}, AuthenticationFailed, "permission to trade"),
        ({"acctLv": "3", "autoLoan": True}, ConfigError, "auto-borrow off"),
    ],
)
async def test_an_account_that_could_do_harm_or_nothing_is_refused(fields: dict, error: type, words: str) -> None:
    async with crypto_desk("okx", connect=False) as desk:
        desk.hooks.answers["GET /api/v5/account/config"] = [account(**fields)]
        with pytest.raises(error, match=words):
            await desk.adapter.connect()


async def test_a_margin_account_trades_in_its_own_mode_and_a_key_that_may_withdraw_is_remarked(caplog) -> None:
    async with crypto_desk("okx", connect=False) as desk:
        given = account(acctLv="3", perm="read_only,withdraw,trade")
        desk.hooks.answers["GET /api/v5/account/config"] = [given]
        await desk.adapter.connect()
        assert "may withdraw; take that permission away" in caplog.text
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        assert order.status is OrderStatus.REJECTED, "this account of the sandbox is in cash mode"
        assert "51010" in order.reason


async def test_a_rate_limit_is_one_whatever_its_words() -> None:
    async with crypto_desk("okx") as desk:
        busy = {"code": "50011", "msg": "Too Many Requests", "data": []}
        for status, body in ((429, busy), (200, {**busy, "code": "50061"}), (429, {"message": "slow down"})):
            desk.hooks.answers["POST /api/v5/trade/order"] = [Answer(status, body)]
            with pytest.raises(RateLimited) as refused:
                await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
            assert refused.value.retry_after_s == 2.0, "the venue names no time: its window"
        assert desk.adapter.orders == {}


async def test_the_line_that_the_venue_is_about_to_end_is_made_anew() -> None:
    async with crypto_desk("okx") as desk:
        notice = {"event": "notice", "code": "64008", "msg": "The connection will soon be closed", "connId": "1"}
        desk.adapter._lines.tap(json.loads(json.dumps(notice)))
        await until(lambda: desk.states == ["connected", "lost", "restored"], "the new line")
        order = await desk.adapter.submit_order(desk.order(kind=OrderType.MARKET))
        await until(lambda: order.status is OrderStatus.FILLED, "news over the new line")


@pytest.mark.parametrize("over_websocket", [False, True], ids=["rest", "ws"])
async def test_an_order_tells_the_venue_until_when_it_may_arrive(over_websocket: bool) -> None:
    async with crypto_desk("okx", websocket_orders=over_websocket, order_window_s=1.5) as desk:
        exchange, seen = desk.adapter._exchange, []
        send, fetch = exchange.clients[exchange.get_url("orders", "private")].connection.send_str, exchange.fetch

        async def spy_fetch(url: str, method: str, headers: dict, body: str) -> object:
            seen.append((headers or {}).get("expTime"))
            return await fetch(url, method, headers, body)

        async def spy_send(text: str) -> None:
            seen.append(json.loads(text).get("expTime"))
            await send(text)

        exchange.fetch = spy_fetch
        exchange.clients[exchange.get_url("orders", "private")].connection.send_str = spy_send
        await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        ahead_ms = int(seen[0]) - desk.world.now_ms()
        assert 500 < ahead_ms <= 1_600
        assert desk.adapter.arrival_window_s == 2.5


@pytest.mark.parametrize("seconds", [0, -1, 31])
def test_a_window_that_cannot_be_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="order_window_s"):
        OKXAdapter("k", "s", "p", order_window_s=seconds)
    with pytest.raises(ConfigError, match="passphrase is empty"):
        OKXAdapter("k", "s", "")


async def test_an_order_that_meets_a_closing_socket_goes_by_the_other_road() -> None:
    async with crypto_desk("okx", websocket_orders=True) as desk:
        exchange = desk.adapter._exchange
        socket = exchange.clients[exchange.get_url("orders", "private")].connection

        async def closing(text: str) -> None:
            raise ConnectionResetError("Cannot write to closing transport")

        socket.send_str = closing
        desk.hooks.asked.clear()
        order = await desk.adapter.submit_order(desk.order(price=desk.near(0.97)))
        assert order.status is OrderStatus.SUBMITTED
        assert "POST /api/v5/trade/order" in desk.hooks.asked
        assert len(desk.face.api.desk.orders(desk.account)) == 1
