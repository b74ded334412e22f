"""Lost answers on a submit: never called a refusal, and found again as exactly one order."""

from __future__ import annotations

import asyncio

import pytest
from binance_kit import BTC, desk, desk_behind_proxy, until

from autotrader_lab.model.errors import OutcomeUnknown, RateLimited, VenueUnavailable
from autotrader_lab.model.orders import OrderStatus, OrderType
from autotrader_lab.sandbox.venues.binance.calls import Answer
from autotrader_lab.sandbox.venues.binance.hooks import Hooks, RequestInfo
from autotrader_lab.sandbox.venues.binance.limits import Limits

ORDER = "POST /api/v3/order "


@pytest.mark.parametrize("how", ["cut", "silence", "html", "half", "empty", "refuse", "timeout", "unknown"])
async def test_an_answer_that_is_lost_or_rubbish_is_doubt_and_the_order_is_found(how: str) -> None:
    async with desk_behind_proxy(timeout_s=1.5) as (held, proxy):
        order = held.order(price=held.near(0.9))
        proxy.arm(ORDER, how)
        with pytest.raises(OutcomeUnknown, match=order.client_order_id):
            await held.adapter.submit_order(order)
        assert proxy.spoiled == 1
        assert len(held.venue_orders()) == 1, "the venue did take it"
        found = await held.adapter.find_order(order.client_order_id, BTC)
        assert found is not None
        assert found.status is OrderStatus.SUBMITTED
        # The stream says it too: the doubt ends without anybody asking.
        await until(lambda: order.status is OrderStatus.SUBMITTED)
        assert held.kinds(order) == ["Accepted"]


async def test_a_lost_answer_to_a_market_order_is_one_fill() -> None:
    async with desk_behind_proxy(timeout_s=1.5) as (held, proxy):
        order = held.order(kind=OrderType.MARKET)
        proxy.arm(ORDER, "cut")
        with pytest.raises(OutcomeUnknown):
            await held.adapter.submit_order(order)
        await until(lambda: order.status is OrderStatus.FILLED)
        assert [fill.quantity for fill in held.fills] == [0.01]


async def test_sending_again_under_the_same_id_never_makes_a_second_order() -> None:
    async with desk_behind_proxy(timeout_s=1.5, sandbox={"hooks": _Mute()}) as (held, proxy):
        order = held.order(price=held.near(0.9))
        proxy.arm(ORDER, "cut")
        with pytest.raises(OutcomeUnknown):
            await held.adapter.submit_order(order)
        with pytest.raises(OutcomeUnknown, match="already has an open order with this client id"):
            await held.adapter.submit_order(order.copy())
        assert len(held.venue_orders()) == 1


class _Mute(Hooks):
    """A private stream that says nothing."""

    def outgoing(self, world: str, channel: str, text: str) -> tuple[str, ...]:
        return () if channel == "user" else (text,)


async def test_what_never_left_says_so_and_may_be_sent_again() -> None:
    async with desk_behind_proxy(timeout_s=1.5) as (held, proxy):
        order = held.order(price=held.near(0.9))
        await proxy.__aexit__()
        for connection in list(held.adapter._exchange.tcp_connector._conns.values()):
            for transport, *_ in list(connection):
                transport.close()
        await asyncio.sleep(0.05)
        with pytest.raises(VenueUnavailable):
            await held.adapter.submit_order(order)
        assert held.venue_orders() == []
        assert order.client_order_id not in held.adapter.orders


async def test_a_request_cut_before_the_venue_got_it_is_still_doubt_to_us() -> None:
    async with desk_behind_proxy(timeout_s=1.5) as (held, proxy):
        order = held.order(price=held.near(0.9))
        proxy.arm(ORDER, "before")
        with pytest.raises(OutcomeUnknown):
            await held.adapter.submit_order(order)
        assert held.venue_orders() == []
        assert await held.adapter.find_order(order.client_order_id, BTC) is None
        again = await held.adapter.submit_order(order.copy())
        assert again.status is OrderStatus.SUBMITTED
        assert len(held.venue_orders()) == 1


async def test_an_interrupted_submit_is_in_doubt_not_forgotten() -> None:
    async with desk_behind_proxy(timeout_s=5) as (held, proxy):
        order = held.order(price=held.near(0.9))
        proxy.arm(ORDER, "silence")
        sending = asyncio.create_task(held.adapter.submit_order(order))
        await proxy.reached_venue.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await until(lambda: held.adapter.orders[order.client_order_id].status is OrderStatus.SUBMITTED)


async def test_a_websocket_cut_between_order_and_answer_is_doubt_and_resolves_itself() -> None:
    async with desk_behind_proxy(part="ws", timeout_s=5, websocket_orders=True) as (held, _):
        order = held.order(kind=OrderType.MARKET)
        sending = asyncio.create_task(held.adapter.submit_order(order))
        swallow = _Swallow()
        held.box.venues["testnet"].api.hooks = swallow
        with pytest.raises(OutcomeUnknown):
            await sending
        await until(lambda: held.states[-1] == "restored")
        assert order.status is OrderStatus.FILLED
        assert [fill.quantity for fill in held.fills] == [0.01]
        assert len(held.venue_orders()) == 1


class _Swallow(Hooks):
    """The venue acts on the first order and then hangs up."""

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        return None if request.operation.endswith("order.place") else answer


async def test_a_websocket_order_without_answer_is_doubt_after_the_timeout() -> None:
    class Silent(Hooks):
        def outgoing(self, world: str, channel: str, text: str) -> tuple[str, ...]:
            return () if channel == "ws-api" and '"orderId"' in text else (text,)

    async with desk(websocket_orders=True, timeout_s=1.0, sandbox={"hooks": Silent()}) as held:
        order = held.order(price=held.near(0.9))
        with pytest.raises(OutcomeUnknown):
            await held.adapter.submit_order(order)
        await until(lambda: order.status is OrderStatus.SUBMITTED)


async def test_an_order_hidden_behind_a_used_id_is_found_in_the_fills() -> None:
    class Forgetful(Hooks):
        """A venue that does not look finished orders up by client id."""

        async def before(self, request: RequestInfo) -> Answer | None:
            if request.operation == "GET /api/v3/order" and "origClientOrderId" in request.params:
                return Answer(400, {"code": -2013, "msg": "Order does not exist."})
            return None

    async with desk(sandbox={"hooks": Forgetful()}) as held:
        order = await held.adapter.submit_order(held.order(kind=OrderType.MARKET))
        held.adapter.orders.clear()
        held.adapter._client_ids.clear()
        found = await held.adapter.find_order(order.client_order_id, BTC)
        assert found is not None
        assert (found.order_id, found.status) == (order.order_id, OrderStatus.FILLED)


async def test_too_many_orders_raise_the_wait_and_nothing_is_lost() -> None:
    async with desk(sandbox={"limits": Limits(orders_10s=2)}) as held:
        for _ in range(2):
            await held.adapter.submit_order(held.order(price=held.near(0.9)))
        late = held.order(price=held.near(0.9))
        with pytest.raises(RateLimited, match="Too many new orders") as refused:
            await held.adapter.submit_order(late)
        assert refused.value.retry_after_s is not None
        assert len(held.venue_orders()) == 2
        # And without asking again: the venue wanted silence.
        with pytest.raises(RateLimited, match="asked to wait"):
            await held.adapter.submit_order(late)


async def test_the_request_budget_is_kept_and_its_reserve_is_for_cancels() -> None:
    async with desk(sandbox={"limits": Limits(weight_1m=400)}) as held:
        order = await held.adapter.submit_order(held.order(price=held.near(0.9)))
        with pytest.raises(RateLimited, match="of 400 request weight are used"):
            await ask_for_ever(held)
        assert await held.adapter.cancel_order(order.order_id)
        assert order.status is OrderStatus.CANCELLED


async def test_a_clock_that_is_wrong_is_measured_and_the_order_goes_through() -> None:
    async with desk() as held:
        held.adapter._exchange.options["timeDifference"] = 30_000
        order = await held.adapter.submit_order(held.order(price=held.near(0.9)))
        assert order.status is OrderStatus.SUBMITTED
        assert len(held.venue_orders()) == 1
        assert abs(held.adapter.clock_offset_ms) < 5_000


@pytest.mark.parametrize("how", ["silence", "html", "refuse"])
async def test_a_cancel_without_answer_is_repeated(how: str) -> None:
    async with desk_behind_proxy(timeout_s=1.5) as (held, proxy):
        order = await held.adapter.submit_order(held.order(price=held.near(0.9)))
        proxy.arm("DELETE /api/v3/order", how)
        assert await held.adapter.cancel_order(order.order_id)
        assert proxy.spoiled == 1
        assert order.status is OrderStatus.CANCELLED
        assert held.kinds(order) == ["Accepted", "Cancelled"]


async def ask_for_ever(held) -> None:
    for _ in range(400):
        await held.adapter.get_account_balance()
