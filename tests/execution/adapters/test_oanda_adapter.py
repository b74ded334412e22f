"""The Oanda adapter against the sandbox, over real sockets and through oandapyV20."""

from __future__ import annotations

import asyncio

import pytest
from oanda_kit import (
    ORDERS,
    SYMBOL,
    Saying,
    connected,
    kinds,
    listen,
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
    InstrumentError,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
)
from autotrader_lab.model.orders import OrderStatus
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
        await until(lambda: other.orders["o"].status is OrderStatus.FILLED)


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


async def test_a_question_waits_where_others_use_up_the_tokens_share_and_an_order_does_not() -> None:
    summary = "GET /v3/accounts/{account}/summary"
    no = Answer(429, {"errorMessage": "Please slow down."}, {"Retry-After": "0.05"})
    hooks = Saying(summary, lambda _: no, times=0, acted=False)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        hooks.times = 3
        assert (await adapter.get_account_balance())["USD"] > 0
        assert hooks.times == 0
        hooks.times = 1_000
        with pytest.raises(RateLimited, match="slow down"):
            await adapter.get_account_balance()
        hooks.operation, hooks.times = ORDERS, 1
        with pytest.raises(RateLimited) as refused:
            await adapter.submit_order(order("o"))
        assert refused.value.retry_after_s == 0.05
        assert taken(box) == []
