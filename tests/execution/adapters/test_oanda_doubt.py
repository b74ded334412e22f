"""Oanda orders whose answer was lost, and transactions that nobody told: found out, told once, never sent twice."""

from __future__ import annotations

from typing import Any

import pytest
from oanda_kit import (
    ORDERS,
    SYMBOL,
    Saying,
    connected,
    kinds,
    listen,
    make,
    move,
    nothing_else,
    oanda_sandbox,
    order,
    taken,
    until,
    venue_of,
)

from autotrader_lab.model.errors import OrderError, OrderNotFound, OutcomeUnknown, VenueError, VenueUnavailable
from autotrader_lab.model.orders import OrderStatus, Rejected
from autotrader_lab.sandbox.venues.hooks import Answer
from autotrader_lab.sandbox.venues.oanda.reading import read_order

ACCOUNT = "101-004-1234567-001"


# --- doubt -----------------------------------------------------------------------------------------------------


async def test_when_the_stream_has_told_a_lost_answer_is_no_doubt() -> None:
    hooks = Saying(ORDERS, lambda answer: None)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        reports = listen(adapter)
        try:
            sent = await adapter.submit_order(order("m"))
        except OutcomeUnknown:
            sent = adapter.orders["m"]
        await until(lambda: sent.status is OrderStatus.FILLED)
        assert kinds(reports, "m") in (["Accepted", "Filled"], ["Accepted", "Filled"])
        assert taken(box) == ["m"]


@pytest.mark.parametrize("is_done_known_by_name", [True, False])
async def test_a_finished_order_in_doubt_is_found_in_the_transactions(is_done_known_by_name: bool) -> None:
    hooks = Saying(ORDERS, lambda answer: None)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        hooks.mute = lambda event: True
        with pytest.raises(OutcomeUnknown, match="order m"):
            await adapter.submit_order(order("m"))
        desk = venue_of(box).desk
        if not is_done_known_by_name:
            by_number = desk.find_order
            desk.find_order = lambda named: None if named.startswith("@") else by_number(named)
        found = await adapter.find_order("m", SYMBOL)
        assert found is not None
        assert (found.status, found.filled_quantity) == (OrderStatus.FILLED, 1000.0)
        with pytest.raises(OrderError, match="is filled"):
            await adapter.submit_order(order("m"))
        assert taken(box) == ["m"]


async def test_a_refusal_whose_answer_was_lost_is_found_in_the_transactions() -> None:
    hooks = Saying(ORDERS, lambda answer: None)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        hooks.mute = lambda event: True
        venue_of(box).desk._check = _refuse_everything
        with pytest.raises(OutcomeUnknown):
            await adapter.submit_order(order("m"))
        found = await adapter.find_order("m", SYMBOL)
        assert found is not None
        assert (found.status, found.reason) == (OrderStatus.REJECTED, "INSTRUMENT_NOT_TRADEABLE")


def _refuse_everything(wish: Any, replacing: Any = None) -> Any:
    from autotrader_lab.sandbox.venues.oanda.errors import Rejected

    raise Rejected("INSTRUMENT_NOT_TRADEABLE")


async def test_an_order_of_an_earlier_process_is_found_though_only_its_transactions_name_it() -> None:
    async with oanda_sandbox() as box:
        async with connected(box) as adapter:
            await adapter.submit_order(order("m"))
        desk = venue_of(box).desk
        by_number = desk.find_order
        desk.find_order = lambda named: None if named.startswith("@") else by_number(named)
        async with connected(box) as later:
            found = await later.find_order("m", SYMBOL)
            assert found is not None
            assert (found.status, found.filled_quantity, found.client_order_id) == (OrderStatus.FILLED, 1000.0, "m")
            assert await later.find_order("nobody", SYMBOL) is None


async def test_an_older_order_of_the_same_id_is_not_taken_for_the_one_in_doubt() -> None:
    hooks = Saying(ORDERS, lambda _: Answer(502, b"<html>no gateway</html>"), acted=False, times=0)
    async with oanda_sandbox(hooks=hooks) as box:
        async with connected(box) as adapter:
            await adapter.submit_order(order("m"))
        async with connected(box) as later:
            hooks.times = 1
            with pytest.raises(OutcomeUnknown):
                await later.submit_order(order("m"))
            assert await later.find_order("m", SYMBOL) is None


async def test_an_order_that_was_given_up_and_arrives_after_all_can_be_cancelled() -> None:
    hooks = Saying(ORDERS, lambda _: Answer(502, b"<html>no gateway</html>"), acted=False)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        with pytest.raises(OutcomeUnknown):
            await adapter.submit_order(order("o", kind="limit", price=1.05))
        adapter.give_up(Rejected("o", 1, "never arrived", "NEVER_ARRIVED"))
        wish = {
            "type": "LIMIT",
            "instrument": "EUR_USD",
            "units": "1000",
            "price": "1.05",
            "clientExtensions": {"id": "o"},
        }
        made = venue_of(box).desk.create(read_order(wish))["orderCreateTransaction"]["id"]
        await until(lambda: adapter.orders["o"].order_id == made)
        assert adapter.orders["o"].status is OrderStatus.REJECTED
        assert (await adapter.get_order_status("o")).status is OrderStatus.SUBMITTED
        assert await adapter.cancel_all() == 1
        assert await adapter.get_open_orders() == []
        assert await adapter.cancel_order("o") is True


async def test_a_subscriber_that_fails_costs_no_more_than_a_new_stream(caplog: pytest.LogCaptureFixture) -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        await adapter.submit_order(order("o", kind="limit", price=1.09))
        await adapter.submit_order(order("p", kind="limit", price=1.08))
        broken: list[str] = []
        states: list[str] = []

        def fail(report: Any) -> None:
            if not broken:
                broken.append(report.client_order_id)
                raise ZeroDivisionError("somebody's own mistake")

        adapter.subscribe_reports(fail)
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        move(box, 1.085)
        await until(lambda: states == ["lost", "restored"])
        move(box, 1.075)
        await until(lambda: adapter.orders["p"].status is OrderStatus.FILLED)
        assert (broken, adapter.orders["o"].status) == (["o"], OrderStatus.FILLED)
    assert "a message could not be taken" in caplog.text


async def test_a_connection_that_is_refused_proves_that_nothing_left() -> None:
    async with oanda_sandbox() as box:
        adapter = make(box)
        await adapter.connect()
        for hand in adapter._crew._hands:
            hand.wire.cut()
        await box.stop()
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await adapter.submit_order(order("m"))
        assert "m" not in adapter.orders
        await adapter.disconnect()


# --- the transaction stream ------------------------------------------------------------------------------------


async def test_a_transaction_that_a_healthy_stream_swallowed_is_asked_for() -> None:
    async with oanda_sandbox(hooks=nothing_else()) as box:
        hooks = venue_of(box).api.hooks
        async with connected(box) as adapter:
            states: list[str] = []
            adapter.subscribe_connection(lambda state, reason: states.append(state))
            await adapter.submit_order(order("a", kind="limit", price=1.09))
            await adapter.submit_order(order("b", kind="limit", price=1.08))
            hooks.mute = lambda event: event["type"] == "ORDER_FILL" and event.get("clientOrderID") == "a"
            move(box, 1.07)
            await until(lambda: adapter.orders["b"].status is OrderStatus.FILLED)
            await until(lambda: adapter.orders["a"].status is OrderStatus.FILLED)
            assert states == []
            assert hooks.asked.count("GET /v3/accounts/{account}/transactions/sinceid") == 2


async def test_a_stream_that_falls_silent_is_opened_anew_and_the_gap_closed() -> None:
    async with oanda_sandbox() as box:
        adapter = make(box)
        adapter._silence_s = 0.3
        states: list[tuple[str, str]] = []
        adapter.subscribe_connection(lambda state, reason: states.append((state, reason)))
        await adapter.connect()
        await adapter.submit_order(order("o", kind="limit", price=1.09))
        venue_of(box).command("stall", {"on": True})
        move(box, 1.08)
        await until(lambda: [state for state, _ in states[:3]] == ["connected", "lost", "restored"])
        assert "silent for too long" in states[1][1]
        assert adapter.orders["o"].status is OrderStatus.FILLED
        await adapter.disconnect()


async def test_what_happens_while_nobody_is_connected_is_told_at_the_next_connect() -> None:
    async with oanda_sandbox() as box:
        adapter = make(box)
        await adapter.connect()
        await adapter.submit_order(order("o", kind="limit", price=1.09))
        await adapter.disconnect()
        reports = listen(adapter)
        move(box, 1.08)
        await adapter.connect()
        assert kinds(reports, "o") == ["Filled"]
        await adapter.disconnect()


async def test_a_long_absence_is_caught_up_with_in_helpings() -> None:
    async with oanda_sandbox(hooks=nothing_else()) as box, connected(box) as adapter:
        record = venue_of(box).desk.record
        await adapter.submit_order(order("o", kind="limit", price=1.09))
        between = record.between
        record.between = lambda first, last: between(first, last)[:3]
        venue_of(box).drop()
        for number in range(10):
            record.add("CLIENT_CONFIGURE", {"alias": str(number)})
        move(box, 1.08)
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)


async def test_executions_are_found_among_thousands_of_transactions() -> None:
    async with oanda_sandbox(hooks=nothing_else()) as box, connected(box) as adapter:
        record = venue_of(box).desk.record
        for name in ("a", "b"):
            await adapter.submit_order(order(name))
            for number in range(1_500):
                record.add("CLIENT_CONFIGURE", {"alias": str(number)})
        assert [fill.client_order_id for fill in await adapter.get_fills(SYMBOL, 0)] == ["a", "b"]


async def test_an_account_that_is_gone_proves_nothing_about_an_order() -> None:
    gone = Answer(404, {"errorMessage": "The account specified does not exist", "errorCode": "NO_SUCH_ACCOUNT"})
    hooks = Saying("GET /v3/accounts/{account}/orders/{order}", lambda _: gone, acted=False)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        with pytest.raises(VenueError, match="The account specified does not exist") as told:
            await adapter.find_order("m", SYMBOL)
        assert not isinstance(told.value, OrderNotFound)


async def test_a_stream_is_opened_again_though_the_gap_is_refused_to_be_told_at_first() -> None:
    no = Answer(400, {"errorMessage": "Invalid value specified for 'id'"})
    hooks = Saying("GET /v3/accounts/{account}/transactions/sinceid", lambda _: no, 0)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        await adapter.submit_order(order("o", kind="limit", price=1.09))
        hooks.times = 2
        venue_of(box).drop()
        move(box, 1.08)
        await until(lambda: states == ["lost", "restored"])
        assert (hooks.times, adapter.orders["o"].status) == (0, OrderStatus.FILLED)
