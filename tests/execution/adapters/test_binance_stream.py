"""The user-data stream: gaps closed, duplicates and disorder harmless, foreign orders left alone."""

from __future__ import annotations

import asyncio
import json

import pytest
from binance_kit import BTC, Desk, desk, our_tasks, until

from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.execution.adapters.ccxt_binance_send import encode_order
from autotrader_lab.model.orders import OrderStatus, OrderType
from autotrader_lab.sandbox.venues.binance.hooks import Hooks

ways = pytest.mark.parametrize("way", [{"websocket_orders": False}, {"websocket_orders": True}], ids=["rest", "ws"])


def drop_sockets(held: Desk) -> None:
    assert held.box.venues[held.world_name].websocket_api.drop() == 1


@ways
async def test_a_fill_in_the_gap_arrives_exactly_once_and_before_restored(way: dict) -> None:
    async with desk(**way) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=price))
        held.hit("sell", price, 0.01)
        await until(lambda: len(held.fills) == 1)
        seen_at_restored: list[int] = []
        held.adapter.subscribe_connection(
            lambda state, reason: seen_at_restored.append(len(held.fills)) if state == "restored" else None
        )
        drop_sockets(held)
        held.hit("sell", price, 0.01)  # nobody is listening
        await until(lambda: "restored" in held.states)
        assert held.states == ["connected", "lost", "restored"]
        assert seen_at_restored == [2]
        held.hit("sell", price, 0.01)  # and the new stream works
        await until(lambda: order.status is OrderStatus.FILLED)
        assert held.kinds(order) == ["Accepted", "Filled", "Filled", "Filled"]
        assert len({fill.execution_id for fill in held.fills}) == 3


async def test_orders_that_ended_in_the_gap_end_here_too() -> None:
    async with desk() as held:
        price = held.near(0.9)
        cancelled, filled, working = [
            await held.adapter.submit_order(held.order(price=price if i != 2 else held.near(0.8))) for i in range(3)
        ]
        exchange, name = held.world.exchange, held.account.name
        drop_sockets(held)
        exchange.cancel(name, held.account.open[int(cancelled.order_id)], held.world.now_ms())
        held.hit("sell", price, 0.01)
        await until(lambda: "restored" in held.states)
        assert [o.status for o in (cancelled, filled, working)] == [
            OrderStatus.CANCELLED,
            OrderStatus.FILLED,
            OrderStatus.SUBMITTED,
        ]


async def test_it_comes_back_again_and_again() -> None:
    async with desk() as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.05, price=price))
        for round_number in range(5):
            await until(lambda: held.adapter._stream.is_live)
            drop_sockets(held)
            held.hit("sell", price, 0.01)
            await until(lambda n=round_number: held.states.count("restored") == n + 1)
        assert order.status is OrderStatus.FILLED
        assert len(held.fills) == 5


async def test_while_the_venue_is_away_it_keeps_trying() -> None:
    async with desk() as held:
        order = await held.adapter.submit_order(held.order(price=held.near(0.9)))
        venue, hooks = held.box.venues["testnet"], _Refusing()
        venue.api.hooks = hooks
        drop_sockets(held)
        await until(lambda: hooks.refused >= 3)
        assert held.states == ["connected", "lost"]
        hooks.refusing = False
        await until(lambda: "restored" in held.states)
        assert order.status is OrderStatus.SUBMITTED


class _Refusing(Hooks):
    refusing = True
    refused = 0

    async def before(self, request):
        from autotrader_lab.sandbox.venues.binance.calls import Answer

        if self.refusing and request.operation == "GET /api/v3/openOrders":
            self.refused += 1
            return Answer(503, {"code": -1008, "msg": "Server is currently overloaded with other requests."})
        return None


class _Frames(Hooks):
    """Does something to each frame of the private stream."""

    def __init__(self, change) -> None:
        self._change = change

    def outgoing(self, world: str, channel: str, text: str) -> tuple[str, ...]:
        return self._change(text) if channel == "user" and "executionReport" in text else (text,)


async def test_duplicated_events_count_once() -> None:
    async with desk(sandbox={"hooks": _Frames(lambda text: (text, text, text))}) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.02, price=price))
        held.hit("sell", price, 0.01)
        held.hit("sell", price, 0.01)
        await until(lambda: order.status is OrderStatus.FILLED)
        await asyncio.sleep(0.1)
        assert held.kinds(order) == ["Accepted", "Filled", "Filled"]


async def test_events_in_any_order_give_the_same_order() -> None:
    held_back: list[str] = []

    def reverse(text: str) -> tuple[str, ...]:
        held_back.insert(0, text)
        if len(held_back) < 3:
            return ()
        frames, held_back[:] = tuple(held_back), []
        return frames

    async with desk(sandbox={"hooks": _Frames(reverse)}) as held:
        price = held.near(0.9)
        # Bypass the answer: what we know comes from the stream alone, last event first.
        order = held.order(quantity=0.02, price=price)
        held.adapter.orders[order.client_order_id] = order
        await held.adapter._exchange.privatePostOrder(encode_order(order, held.adapter.instruments.find(BTC)))
        held.hit("sell", price, 0.01)
        assert held.fills == []
        held.hit("sell", price, 0.01)
        await until(lambda: order.status is OrderStatus.FILLED)
        await until(lambda: "Accepted" in held.kinds(order))
        assert [f.quantity for f in held.fills] == [0.01, 0.01]
        assert order.status is OrderStatus.FILLED


async def test_a_cancel_that_overtakes_its_fill_still_books_it() -> None:
    late: list[str] = []

    def delay_trades(text: str) -> tuple[str, ...]:
        if json.loads(text)["event"]["x"] == "TRADE":
            late.append(text)
            return ()
        return (text, *late) if '"CANCELED"' in text else (text,)

    async with desk(sandbox={"hooks": _Frames(delay_trades)}) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=price))
        held.hit("sell", price, 0.01)
        exchange, name = held.world.exchange, held.account.name
        exchange.cancel(name, held.account.open[int(order.order_id)], held.world.now_ms())
        held.world.publish()
        await until(lambda: order.filled_quantity == 0.01)
        assert order.status is OrderStatus.CANCELLED


def only(*kinds: str):
    """A private stream that lets through nothing but these execution types."""
    return _Frames(lambda text: (text,) if json.loads(text)["event"]["x"] in kinds else ())


async def test_a_swallowed_fill_of_a_done_order_is_found_at_the_next_gap() -> None:
    async with desk(sandbox={"hooks": only("NEW", "CANCELED")}) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=price))
        held.hit("sell", price, 0.01)
        exchange, name = held.world.exchange, held.account.name
        exchange.cancel(name, held.account.open[int(order.order_id)], held.world.now_ms())
        held.world.publish()
        await until(lambda: order.status is OrderStatus.CANCELLED)
        assert held.fills == []
        drop_sockets(held)
        await until(lambda: "restored" in held.states)
        assert [fill.quantity for fill in held.fills] == [0.01]
        assert order.status is OrderStatus.CANCELLED


@ways
async def test_a_cancel_brings_the_fills_its_answer_counts_even_if_the_stream_is_silent(way: dict) -> None:
    async with desk(sandbox={"hooks": only()}, **way) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=price))
        held.hit("sell", price, 0.01)
        assert await held.adapter.cancel_order(order.order_id)
        assert held.kinds(order) == ["Accepted", "Filled", "Cancelled"]
        again = await held.adapter.submit_order(held.order(quantity=0.03, price=price))
        held.hit("sell", price, 0.01)
        assert await held.adapter.cancel_all() == 1
        assert held.kinds(again) == ["Accepted", "Filled", "Cancelled"]


async def test_an_event_that_cannot_be_read_is_made_good_over_rest() -> None:
    def spoil(text: str) -> tuple[str, ...]:
        message = json.loads(text)
        if message["event"]["x"] == "TRADE":
            message["event"]["L"] = "0.00000000"
        return (json.dumps(message),)

    async with desk(sandbox={"hooks": _Frames(spoil)}) as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(price=price))
        held.hit("sell", price, 0.01)
        await until(lambda: order.status is OrderStatus.FILLED)
        assert [(f.quantity, f.price) for f in held.fills] == [(0.01, price)]
        assert held.states == ["connected"], "the line itself was fine"


@pytest.mark.parametrize("event", ["eventStreamTerminated", "serverShutdown"])
async def test_a_stream_the_venue_ends_is_opened_anew(event: str) -> None:
    async with desk() as held:
        order = await held.adapter.submit_order(held.order(price=held.near(0.9)))
        (session,) = held.box.venues["testnet"].websocket_api._sessions
        session.channel.send({"subscriptionId": 0, "event": {"e": event, "E": 1}}, "user")
        await until(lambda: held.states == ["connected", "lost", "restored"])
        held.move(held.near(0.85))
        await until(lambda: order.status is OrderStatus.FILLED)
        assert sum(fill.quantity for fill in held.fills) == order.quantity
        assert held.states == ["connected", "lost", "restored"]


async def test_foreign_orders_are_visible_and_their_reports_are_not_ours() -> None:
    async with desk() as held:
        entry = held.box.addresses["binance"]
        other = BinanceAdapter(entry["api_key"], entry["api_secret"], testnet=True, addresses=entry)
        await other.connect()
        try:
            foreign = await other.submit_order(held.order(price=held.near(0.9), client_order_id="theirs"))
            (seen,) = await held.adapter.get_open_orders()
            assert (seen.client_order_id, seen.order_id) == ("theirs", foreign.order_id)
            held.hit("sell", held.near(0.9), 0.005)
            await until(lambda: foreign.filled_quantity == 0.005)
            await asyncio.sleep(0.05)
            assert held.reports == []
            # Adopted, it is ours: what is left of it is reported.
            held.adapter.adopt((await held.adapter.get_open_orders())[0])
            held.hit("sell", held.near(0.9), 0.005)
            await until(lambda: held.kinds(foreign) == ["Filled"])
        finally:
            await other.disconnect()


async def test_an_order_of_an_earlier_process_is_taken_up_with_what_it_missed() -> None:
    async with desk() as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(quantity=0.03, price=price, created_at=held.box.clock.now()))
        await held.adapter.disconnect()
        held.hit("sell", price, 0.01)
        entry = held.box.addresses["binance"]
        heir = BinanceAdapter(entry["api_key"], entry["api_secret"], testnet=True, addresses=entry)
        fills: list = []
        heir.subscribe_fills(fills.append)
        heir.adopt(order)
        await heir.connect()
        try:
            assert [f.quantity for f in fills] == [0.01], "before connect returns"
            assert heir.orders[order.client_order_id].status is OrderStatus.PARTIAL_FILL
        finally:
            await heir.disconnect()


async def test_connecting_again_takes_up_where_it_was() -> None:
    async with desk() as held:
        price = held.near(0.9)
        order = await held.adapter.submit_order(held.order(price=price))
        await held.adapter.disconnect()
        held.hit("sell", price, 0.01)
        await held.adapter.connect()
        assert order.status is OrderStatus.FILLED
        assert held.states == ["connected", "closed", "connected"]


@ways
async def test_a_subscriber_that_fails_loses_nothing(way: dict) -> None:
    async with desk(**way) as held:
        price = held.near(0.9)
        failures = iter([RuntimeError("a callback's own fault")])

        def fragile(report) -> None:
            if type(report).__name__ == "Filled":
                for failure in failures:
                    raise failure

        first = await held.adapter.submit_order(held.order(price=price))
        second = await held.adapter.submit_order(held.order(price=price))
        held.adapter.report_callbacks.insert(0, fragile)
        held.hit("sell", price, 0.02)
        await until(lambda: first.status is second.status is OrderStatus.FILLED)
        await until(lambda: "restored" in held.states)
        assert held.kinds(second) == ["Accepted", "Filled"]


@pytest.mark.parametrize("when", ["idle", "working", "reconnecting"])
async def test_after_disconnect_nothing_of_ours_is_alive(when: str) -> None:
    async with desk(connect=False) as held:
        before = asyncio.all_tasks()
        await held.adapter.connect()
        exchange = held.adapter._exchange
        if when == "working":
            await held.adapter.submit_order(held.order(price=held.near(0.9)))
        elif when == "reconnecting":
            drop_sockets(held)
            await until(lambda: "lost" in held.states)
        await held.adapter.disconnect()
        await held.adapter.disconnect()
        await until(lambda: not [n for n in our_tasks(before) if "RequestHandler" not in n and "binance" in n])
        assert [name for name in our_tasks(before) if name.startswith("binance")] == []
        assert exchange.session is None
        assert not exchange.clients
        assert held.states.count("closed") == 1
        # Only the sandbox's own request handlers may still be winding down.
        await until(lambda: not our_tasks(before))


async def test_market_order_races_nothing_in_a_crowd() -> None:
    async with desk(websocket_orders=True) as held:
        orders = [held.order(kind=OrderType.MARKET, quantity=0.001) for _ in range(50)]
        await asyncio.gather(*(held.adapter.submit_order(order) for order in orders))
        assert all(order.status is OrderStatus.FILLED for order in orders)
        assert len({fill.execution_id for fill in held.fills}) == len(held.fills) >= 50
        client = held.adapter._exchange.clients[held.adapter._ws_api]
        assert set(client.futures) == {"autotrader:user-data"}, "nothing is kept per order"
        assert len(client.subscriptions) <= 3
