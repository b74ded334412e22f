"""The Oanda adapter against the sandbox, over real sockets and through oandapyV20."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from pathlib import Path
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
from pydantic import SecretStr

from autotrader_lab.execution.adapters.oanda import OandaAdapter
from autotrader_lab.execution.config import ExecutionConfig
from autotrader_lab.model.errors import (
    ConfigError,
    DataError,
    InstrumentError,
    NotConnected,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.market import MarketEvent, Quote
from autotrader_lab.model.orders import OrderStatus, Rejected
from autotrader_lab.sandbox.venues.hooks import Answer
from autotrader_lab.sandbox.venues.oanda.reading import read_order

ACCOUNT = "101-004-1234567-001"


# --- what it is given ------------------------------------------------------------------------------------------


def test_the_specifications_constructor_works_and_hides_the_token() -> None:
    adapter = OandaAdapter(ACCOUNT, "very-secret-token", "practice")
    assert (adapter.account_id, adapter.environment) == (ACCOUNT, "practice")
    assert "very-secret-token" not in f"{adapter!r} {vars(adapter)}"
    config = ExecutionConfig.model_validate(
        {"broker": "oanda", "oanda": {"account_id": ACCOUNT, "access_token": "very-secret-token"}}
    )
    assert isinstance(config.adapter_arguments()["access_token"], SecretStr)
    assert repr(OandaAdapter(**config.adapter_arguments())) == f"OandaAdapter(practice, account {ACCOUNT})"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((ACCOUNT, "t", "demo"), "environment 'demo' is none of practice, live"),
        ((ACCOUNT, "t", "live"), "environment is 'live' and account 101-004-1234567-001 is a practice one"),
        (("001-004-1234567-001", "t"), "environment is 'practice' and account 001-004-1234567-001 is a live one"),
        (("", "t"), "account_id '' is no account number"),
        (("me@home", "t"), "account_id 'me@home' is no account number"),
        ((ACCOUNT, ""), "access_token is empty"),
        ((ACCOUNT, "two words"), "access_token is empty or holds spaces"),
    ],
)
def test_what_cannot_work_is_said_before_any_io(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        OandaAdapter(*arguments)
    assert "two words" not in str(refused.value)


def test_times_and_addresses_that_cannot_work_are_named() -> None:
    with pytest.raises(ConfigError, match=r"silence_s 4.0 above 5"):
        OandaAdapter(ACCOUNT, "t", silence_s=4.0)
    with pytest.raises(ConfigError, match="no http address of this machine"):
        OandaAdapter(ACCOUNT, "t", addresses={"rest": "https://api.example", "stream": "http://127.0.0.1:1"})
    with pytest.raises(ConfigError, match="have no rest, stream for live"):
        OandaAdapter("001-1-1-1", "t", "live", addresses={"rest": "http://127.0.0.1:1"})
    with pytest.raises(ConfigError, match="no account, token, rest, stream for live"):
        OandaAdapter.sandbox_arguments({"account": ACCOUNT}, "live")


# --- orders ----------------------------------------------------------------------------------------------------


async def test_a_market_order_is_filled_in_the_answer_to_its_request() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        reports = listen(adapter)
        sent = await adapter.submit_order(order("m", quantity=1500))
        assert (sent.status, sent.filled_quantity) == (OrderStatus.FILLED, 1500.0)
        assert kinds(reports, "m") == ["Accepted", "Filled"]
        assert (await adapter.get_positions())[SYMBOL] == 1500.0


async def test_a_halted_market_cancels_a_market_order_at_once_and_a_limit_waits() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        venue_of(box).command("market", {"symbol": "EUR_USD", "open": False})
        reports = listen(adapter)
        sent = await adapter.submit_order(order("m"))
        assert (sent.status, sent.reason) == (OrderStatus.CANCELLED, "MARKET_HALTED")
        assert kinds(reports, "m") == ["Accepted", "Cancelled"]
        assert (await adapter.submit_order(order("l", kind="limit", price=2.0))).status is OrderStatus.SUBMITTED


async def test_what_finds_no_match_ran_out() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        ioc = await adapter.submit_order(order("i", kind="ioc", price=1.0))
        fok = await adapter.submit_order(order("f", kind="fok", price=1.10003, quantity=4_000_000))
        assert (ioc.status, ioc.reason) == (OrderStatus.EXPIRED, "TIME_IN_FORCE_EXPIRED")
        assert fok.status is OrderStatus.EXPIRED


async def test_more_than_there_is_is_filled_with_what_there_is_and_the_rest_ran_out() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        wish = order("i", kind="ioc", price=1.10003, quantity=4_000_000)
        sent = await adapter.submit_order(wish)
        assert 0 < sent.filled_quantity < 4_000_000
        assert (sent.status, sent.leaves > 0) == (OrderStatus.EXPIRED, True)
        assert "and ended the order" in sent.reason
        assert (await adapter.get_positions())[SYMBOL] == sent.filled_quantity


async def test_an_exit_never_opens_the_other_side() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        await adapter.submit_order(order("in", quantity=1000))
        out = await adapter.submit_order(order("out", "sell", quantity=3000, reduce_only=True))
        assert (out.filled_quantity, out.status) == (1000.0, OrderStatus.EXPIRED)
        assert (await adapter.get_positions())[SYMBOL] == 0.0
        nothing = await adapter.submit_order(order("again", "sell", quantity=3000, reduce_only=True))
        assert (nothing.status, nothing.reason) == (OrderStatus.CANCELLED, "POSITION_CLOSEOUT_FAILED")


async def test_a_change_gives_a_new_id_at_the_venue_and_the_order_answers_to_both() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        reports = listen(adapter)
        sent = await adapter.submit_order(order("o", kind="limit", price=1.05))
        first = sent.order_id
        await adapter.modify_order("o", price=1.06)
        second = adapter.orders["o"].order_id
        await adapter.modify_order(first, quantity=3000)
        third = adapter.orders["o"].order_id
        assert len({first, second, third}) == 3
        assert kinds(reports, "o") == ["Accepted", "Amended", "Amended"]
        for name in (first, second, third, "o"):
            found = await adapter.get_order_status(name)
            assert (found.order_id, found.quantity, found.price) == (third, 3000.0, 1.06)
        assert [each.client_order_id for each in await adapter.get_open_orders()] == ["o"]
        assert await adapter.cancel_order(first) is True
        assert adapter.orders["o"].status is OrderStatus.CANCELLED
        with pytest.raises(OrderError, match="is cancelled, not working"):
            await adapter.modify_order("o", price=1.07)


async def test_a_change_by_another_process_is_followed_and_its_order_cancelled() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter, connected(box) as other:
        sent = await adapter.submit_order(order("o", kind="limit", price=1.05))
        other.adopt(sent)
        await other.modify_order("o", price=1.06)
        await until(lambda: adapter.orders["o"].price == 1.06)
        assert adapter.orders["o"].order_id == other.orders["o"].order_id != sent.order_id or sent.price == 1.06
        move(box, 1.055)
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        assert other.orders["o"].status is OrderStatus.FILLED


async def test_a_cancel_finds_an_order_that_was_replaced_without_a_word() -> None:
    async with oanda_sandbox(hooks=nothing_else()) as box:
        hooks = venue_of(box).api.hooks
        async with connected(box) as adapter:
            await adapter.submit_order(order("o", kind="limit", price=1.05))
            hooks.mute = lambda event: True
            desk = venue_of(box).desk
            wish = {"type": "LIMIT", "instrument": "EUR_USD", "units": "700", "price": "1.04"}
            desk.replace(desk.find_order("@o"), "@o", read_order(wish))
            assert await adapter.cancel_order("o") is True
            assert (adapter.orders["o"].status, adapter.orders["o"].quantity) == (OrderStatus.CANCELLED, 700.0)


async def test_a_refused_change_leaves_the_order_as_it_was() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        reports = listen(adapter)
        await adapter.submit_order(order("o", kind="limit", price=1.05))
        for change, error in (({"quantity": 0.5}, InstrumentError), ({"price": 1.0500001}, InstrumentError)):
            with pytest.raises(error):
                await adapter.modify_order("o", **change)
        stop = await adapter.submit_order(order("s", kind="stop", stop_price=1.3))
        assert not adapter.can_amend(stop, price=1.2)
        assert adapter.can_amend(stop, quantity=2000)
        with pytest.raises(OrderError, match="no limit price to change"):
            await adapter.modify_order("s", price=1.2)
        with pytest.raises(OrderNotFound, match="adopt it first"):
            await adapter.modify_order("nobody", price=1.2)
        assert kinds(reports, "o") == ["Accepted"]
        assert (await adapter.get_order_status("o")).status is OrderStatus.SUBMITTED


async def test_a_change_that_comes_too_late_says_what_became_of_the_order() -> None:
    async with oanda_sandbox(hooks=nothing_else()) as box, connected(box) as adapter:
        await adapter.submit_order(order("o", kind="limit", price=1.05))
        venue_of(box).api.hooks.mute = lambda event: True
        move(box, 1.04)
        with pytest.raises(OrderRefused, match="the order is filled") as refused:
            await adapter.modify_order("o", price=1.06)
        assert refused.value.code == "TOO_LATE"


async def test_a_repeated_id_is_refused_here_because_the_venue_would_execute_it_again() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        await adapter.submit_order(order("m"))
        with pytest.raises(OrderError, match="was sent before and is filled; nothing was sent now"):
            await adapter.submit_order(order("m"))
        assert taken(box) == ["m"]


async def test_an_id_that_the_venue_has_pending_is_doubt_and_nobody_is_rejected() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter, connected(box) as other:
        reports = listen(adapter)
        await adapter.submit_order(order("o", kind="limit", price=1.05))
        await until(lambda: other._cursor == adapter._cursor)
        with pytest.raises(OutcomeUnknown, match="o: the venue has a pending order of this id"):
            await other.submit_order(order("o", kind="limit", price=1.05))
        await asyncio.sleep(0.05)
        assert kinds(reports, "o") == ["Accepted"]
        found = await other.find_order("o", SYMBOL)
        assert found is not None
        assert found.status is OrderStatus.SUBMITTED


async def test_a_refused_order_keeps_the_venues_words() -> None:
    no = Answer(400, {"errorMessage": "Not today", "errorCode": "ACCOUNT_LOCKED"})
    hooks = Saying(ORDERS, lambda _: no, acted=False)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        reports = listen(adapter)
        sent = await adapter.submit_order(order("o"))
        assert sent.status is OrderStatus.REJECTED
        assert "Not today" in sent.reason
        assert [report.code for report in reports] == ["ACCOUNT_LOCKED"]
        assert (await adapter.submit_order(order("o"))).status is OrderStatus.FILLED, "a refused id may be used again"


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


# --- account and market ----------------------------------------------------------------------------------------


async def test_the_account_as_it_stands() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        await adapter.submit_order(order("in", quantity=100_000))
        await adapter.submit_order(order("out", "sell", quantity=40_000))
        state = await adapter.get_account()
        fills = await adapter.get_fills(SYMBOL, 0)
        assert [fill.client_order_id for fill in fills] == ["in", "out"]
        assert float(state.realised) == pytest.approx(sum(fill.metadata.get("realised", 0.0) for fill in fills))
        assert state.nav == state.balance + state.unrealised
        assert state.margin_used > 0
        assert await adapter.get_account_balance() == {"USD": float(state.balance)}
        assert adapter.margin_rates[SYMBOL] == 0.02
        assert abs(adapter.clock_offset_ms or 0.0) < 1_000


async def test_the_clock_is_called_wrong_only_where_the_venues_date_proves_it() -> None:
    late = {"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}
    adapter = OandaAdapter(ACCOUNT, "t")
    noon_ns = 1_795_348_800_000_000_000
    for ours_s, offset_ms in ((0.0, 0.0), (0.9, 0.0), (1.5, -500.0), (-2.0, 1_900.0), (30.0, -29_000.0)):
        sent_ns = noon_ns + round(ours_s * 1e9)
        adapter._note_clock(late, sent_ns, sent_ns + 100_000_000)
        assert adapter.clock_offset_ms == offset_ms
    adapter._note_clock({"date": "yesterday"}, 0, 0)
    assert adapter.clock_offset_ms == -29_000.0


async def test_bars_of_the_past() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        bars = await adapter.get_bars("EUR_USD", "M1", 20)
        assert bars
        assert {bar.symbol for bar in bars} == {SYMBOL}
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        with pytest.raises(DataError, match="count 0"):
            await adapter.get_bars(SYMBOL, "M1", 0)
        with pytest.raises(DataError, match="granularity 'M99999'"):
            await adapter.get_bars(SYMBOL, "M99999")


async def test_quotes_begin_with_a_snapshot_and_leave_out_what_cannot_be_traded_on() -> None:
    async with oanda_sandbox() as box:
        adapter = make(box)
        feed = adapter.feed()
        heard: list[MarketEvent] = []
        feed.subscribe(heard.append)
        await feed.open([SYMBOL], ["quotes"])
        await until(lambda: heard)
        assert isinstance(heard[0], Quote)
        assert adapter.tradeable == {SYMBOL: True}
        await feed.open(["USD_JPY"], ["quotes"])
        await until(lambda: {event.symbol for event in heard} == {SYMBOL, "USD/JPY"})
        venue_of(box).command("market", {"symbol": "EUR_USD", "open": False})
        before = [event for event in heard if event.symbol == SYMBOL]
        move(box, 1.2)
        await until(lambda: not adapter.tradeable[SYMBOL])
        assert [event for event in heard if event.symbol == SYMBOL] == before
        await feed.close()
        await feed.close()
        with pytest.raises(NotConnected):
            await adapter.submit_order(order("m"))


async def test_quotes_come_again_after_a_cut_and_old_ones_are_dropped() -> None:
    async with oanda_sandbox() as box:
        feed = make(box).feed()
        heard: list[MarketEvent] = []
        states: list[str] = []
        feed.subscribe(heard.append)
        feed.subscribe_connection(lambda state, reason: states.append(state))
        await feed.open([SYMBOL])
        await until(lambda: heard)
        venue_of(box).drop()
        await until(lambda: states == ["lost", "restored"])
        count = len(heard)
        move(box, 1.2)
        await until(lambda: len(heard) > count)
        newest = heard[-1].timestamp_ns
        price = {"type": "PRICE", "instrument": "EUR_USD", "tradeable": True, "time": "2020-01-01T00:00:00Z"}
        feed._on_message({**price, "bids": [{"price": "1.1"}], "asks": [{"price": "1.2"}]})
        feed._on_message({**price, "time": "never"})
        feed._on_message({"type": "WEATHER"})
        assert heard[-1].timestamp_ns == newest
        await feed.close()


async def test_a_symbol_or_kind_that_is_not_there_streams_nothing() -> None:
    async with oanda_sandbox() as box:
        feed = make(box).feed()
        with pytest.raises(DataError, match="asked for book"):
            await feed.open([SYMBOL], ["book"])
        with pytest.raises(InstrumentError, match="'BTC/USDT'"):
            await feed.open(["BTC/USDT"], ["quotes"])
        with pytest.raises(DataError, match="no symbol"):
            await feed.open([], ["quotes"])
        await feed.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("oanda")]


# --- threads ---------------------------------------------------------------------------------------------------


async def test_hung_questions_leave_room_for_an_order() -> None:
    async with oanda_sandbox(hooks=_Slow()) as box, connected(box, timeout_s=3.0) as adapter:
        questions = [asyncio.create_task(adapter.get_account()) for _ in range(12)]
        await asyncio.sleep(0.05)
        sent = await adapter.submit_order(order("m"))
        assert sent.status is OrderStatus.FILLED
        assert not any(question.done() for question in questions)
        venue_of(box).api.hooks.released.set()
        await asyncio.gather(*questions)
        assert asyncio.get_running_loop()._default_executor is None  # type: ignore[attr-defined]


class _Slow(Saying):
    """Keeps answers about the account back until it is told to go on, once connecting is over."""

    def __init__(self) -> None:
        super().__init__("", lambda answer: answer, 0)
        self.released = asyncio.Event()

    async def after(self, request: Any, answer: Answer) -> Answer | None:
        if request.operation.endswith("/summary") and self.asked.count(request.operation) > 1:
            await self.released.wait()
        return answer


async def test_what_still_waited_for_a_thread_was_provably_not_sent() -> None:
    async with oanda_sandbox(hooks=_Slow()) as box:
        adapter = make(box, timeout_s=0.3)
        adapter._crew._size = 3
        await adapter.connect()
        outcomes = await asyncio.gather(*(adapter.get_account() for _ in range(4)), return_exceptions=True)
        told = sorted("nothing was sent" in str(outcome) for outcome in outcomes)
        assert all(isinstance(outcome, VenueUnavailable) for outcome in outcomes)
        assert told == [False, True, True, True]
        assert (await adapter.submit_order(order("m"))).status is OrderStatus.FILLED
        venue_of(box).api.hooks.released.set()
        await adapter.disconnect()


async def test_nothing_of_ours_is_alive_after_disconnect_though_the_venue_is_silent() -> None:
    async with oanda_sandbox(hooks=_Slow()) as box:
        adapter = make(box, timeout_s=30.0)
        await adapter.connect()
        asking = asyncio.create_task(adapter.get_account())
        await asyncio.sleep(0.05)
        await adapter.disconnect()
        with pytest.raises(VenueUnavailable):
            await asking
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("oanda")]
        venue_of(box).api.hooks.released.set()


SILENT = """
import asyncio, socket
from autotrader_lab.execution.adapters.oanda import OandaAdapter
listening = socket.create_server(("127.0.0.1", 0))
origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
adapter = OandaAdapter("101-1-1-1", "t", addresses={"rest": origin, "stream": origin}, timeout_s=600)
async def main():
    asyncio.create_task(adapter.connect())
    await asyncio.sleep(0.2)
    raise SystemExit(7)
asyncio.run(main())
"""


def test_a_hung_request_does_not_hold_up_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", SILENT], timeout=30, check=False, capture_output=True)
    assert done.returncode == 7, done.stderr.decode()


async def test_the_connection_is_kept_open_and_few_are_made() -> None:
    async with oanda_sandbox(hooks=nothing_else()) as box, connected(box) as adapter:
        for number in range(10):
            await adapter.submit_order(order(f"m{number}"))
        assert len(adapter._crew._hands) == 1


async def test_the_wire_speaks_tls_with_the_sandboxs_certificate(tmp_path: Path) -> None:
    async with oanda_sandbox(tls=True) as box:
        addresses = box.addresses
        file = tmp_path / "certificate.pem"
        certificate = addresses["tls"]["certificate"]
        file.write_text(certificate)
        async with connected(box, ca_file=str(file)) as adapter:
            assert (await adapter.submit_order(order("m"))).status is OrderStatus.FILLED
        with pytest.raises(VenueUnavailable, match="SSLError"):
            await make(box).connect()


async def test_no_secret_is_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with oanda_sandbox() as box, connected(box) as adapter:
        token = box.addresses["oanda"]["token"]
        await adapter.submit_order(order("m"))
        venue_of(box).api.token = "another"
        with pytest.raises(Exception, match="status 401") as refused:
            await adapter.get_account()
        seen: BaseException | None = refused.value
        while seen is not None:
            assert token not in f"{seen!r} {seen}"
            seen = seen.__cause__ or seen.__context__
    assert caplog.records
    assert token not in caplog.text


async def test_positions_are_exactly_what_was_executed() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        total = exact(0)
        for number, (side, quantity) in enumerate((("buy", 777), ("sell", 1234), ("buy", 3), ("sell", 999))):
            sent = await adapter.submit_order(order(str(number + 1000) + "x", side, quantity=quantity))
            total += exact(sent.filled_quantity) * sent.side.sign
        assert exact((await adapter.get_positions())[SYMBOL]) == total == -1453
