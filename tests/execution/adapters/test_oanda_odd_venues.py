"""Keys that are wrong and venues that misbehave: typed errors or doubt, as the rules say, and the adapter lives on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import oandapyV20.exceptions
import pytest
import requests
import requests.exceptions
import urllib3.exceptions
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
from odd_server import Behaviour, listening

from autotrader_lab.execution.adapters.oanda import OandaAdapter
from autotrader_lab.execution.adapters.oanda.crew import Failed
from autotrader_lab.execution.adapters.oanda.errors import LIBRARY_ERRORS, translate, translate_stream
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    InstrumentError,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueUnavailable,
)
from autotrader_lab.model.orders import OrderStatus, Rejected
from autotrader_lab.sandbox.venues.hooks import Answer

SUMMARY = "GET /v3/accounts/{account}/summary"
ACCOUNTS = "GET /v3/accounts"
PENDING = "GET /v3/accounts/{account}/pendingOrders"
INSTRUMENTS = "GET /v3/accounts/{account}/instruments"


# --- keys, accounts, environments ------------------------------------------------------------------------------


async def test_a_wrong_token_is_called_that() -> None:
    async with oanda_sandbox() as box:
        with pytest.raises(AuthenticationFailed, match=r"status 401.*The token is wrong, withdrawn, or the other"):
            await make(box, access_token="wrong").connect()


async def test_the_other_environments_token_is_refused_there() -> None:
    async with oanda_sandbox() as box:
        with pytest.raises(AuthenticationFailed, match="practice and live have their own"):
            await make(box, access_token=box.addresses["oanda"]["live"]["token"]).connect()


async def test_an_account_that_is_not_the_tokens_is_named_with_those_that_are() -> None:
    async with oanda_sandbox() as box:
        theirs = box.addresses["oanda"]["account"]
        with pytest.raises(AuthenticationFailed, match=f"no account '101-001-1-001'; it has {theirs}"):
            await make(box, account_id="101-001-1-001").connect()


async def test_a_venue_that_says_the_account_is_a_live_one_is_believed() -> None:
    live = Answer(200, {"accounts": [{"id": "001-001-1-001", "tags": []}]})
    async with oanda_sandbox(hooks=Saying(ACCOUNTS, lambda _: live)) as box:
        with pytest.raises(AuthenticationFailed, match="account 001-001-1-001 is a live one; set environment"):
            await make(box).connect()


async def test_a_summary_of_another_account_is_refused() -> None:
    def other(answer: Answer | None) -> Answer | None:
        assert answer is not None
        return Answer(200, {"account": {**answer.body["account"], "id": "101-001-9-009"}})

    async with oanda_sandbox(hooks=Saying(SUMMARY, other)) as box:
        with pytest.raises(AuthenticationFailed, match="it showed 101-001-9-009"):
            await make(box).connect()


async def test_a_token_that_is_withdrawn_refuses_orders_and_fails_questions() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        reports = listen(adapter)
        right, venue_of(box).api.token = venue_of(box).api.token, "another"
        sent = await adapter.submit_order(order("m"))
        assert sent.status is OrderStatus.REJECTED
        assert [report.code for report in reports if isinstance(report, Rejected)] == ["AUTHENTICATION_FAILED"]
        for question in (adapter.get_account_balance(), adapter.get_positions(), adapter.cancel_order("9")):
            with pytest.raises(AuthenticationFailed, match="status 401"):
                await question
        venue_of(box).api.token = right
        assert (await adapter.submit_order(order("n"))).status is OrderStatus.FILLED


async def test_a_token_without_permission_is_called_that() -> None:
    forbidden = Answer(403, {"errorMessage": "Insufficient authorization to perform request."})
    async with oanda_sandbox(hooks=Saying(ORDERS, lambda _: forbidden, acted=False)) as box, connected(box) as adapter:
        sent = await adapter.submit_order(order("m"))
        assert sent.status is OrderStatus.REJECTED
        assert "no permission" in sent.reason


async def test_a_symbol_that_is_not_there_is_named_before_any_io() -> None:
    async with oanda_sandbox(hooks=nothing_else()) as box, connected(box) as adapter:
        asked = len(venue_of(box).api.hooks.asked)
        wish = order("m")
        wish.symbol = "EUR/USDT"
        with pytest.raises(InstrumentError, match=r"no symbol 'EUR/USDT'; did you mean EUR/USD"):
            await adapter.submit_order(wish)
        assert len(venue_of(box).api.hooks.asked) == asked


async def test_maintenance_is_unavailable_for_questions_and_doubt_for_an_order() -> None:
    down = Answer(503, {"errorMessage": "The service is temporarily unavailable for maintenance."})
    async with oanda_sandbox(hooks=Saying(ACCOUNTS, lambda _: down, 2, acted=False)) as box:
        with pytest.raises(VenueUnavailable, match="temporarily unavailable for maintenance"):
            await make(box).connect()
        venue_of(box).api.hooks = Saying(ORDERS, lambda _: down, acted=False)
        async with connected(box) as adapter:
            with pytest.raises(OutcomeUnknown, match="maintenance"):
                await adapter.submit_order(order("m"))
            assert await adapter.find_order("m", SYMBOL) is None


@pytest.mark.parametrize(
    ("header", "expected"), [({"Retry-After": "7"}, 7.0), ({"Retry-After": "soon"}, None), ({}, None)]
)
async def test_a_venue_that_asks_to_wait_says_for_how_long(header: dict[str, str], expected: float | None) -> None:
    slow = Answer(429, {"errorMessage": "Please slow down."}, header)
    async with oanda_sandbox(hooks=Saying(ORDERS, lambda _: slow, acted=False)) as box, connected(box) as adapter:
        with pytest.raises(RateLimited, match="slow down") as told:
            await adapter.submit_order(order("m"))
        assert told.value.retry_after_s == expected
        assert (await adapter.submit_order(order("m"))).status is OrderStatus.FILLED


async def test_too_many_orders_wait_here_and_not_there() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        wishes = [order(f"l{n}", kind="limit", price=1.0) for n in range(130)]
        outcomes = await asyncio.gather(*(adapter.submit_order(wish) for wish in wishes), return_exceptions=True)
        refused = [each for each in outcomes if isinstance(each, BaseException)]
        assert all(isinstance(each, RateLimited) and "requests were sent within 1 s" in str(each) for each in refused)
        assert len(taken(box)) + len(refused) == 130
        assert await adapter.cancel_all() == len(taken(box))


# --- answers that cannot be understood -------------------------------------------------------------------------

RUBBISH = {
    "no JSON": Answer(201, b"<html><body>Bad gateway</body></html>"),
    "truncated": Answer(201, b'{"orderCreateTransaction": {"type": "MARKET_ORD'),
    "empty": Answer(201, b""),
    "null": Answer(201, b"null"),
    "a list": Answer(201, b"[]"),
    "a text": Answer(201, b'"done"'),
    "an empty object": Answer(201, b"{}"),
    "deeply nested": Answer(201, b"[" * 100_000),
    "no UTF-8": Answer(201, b'{"a": "\xff\xfe"}'),
    "ten megabytes": Answer(201, b" " * 10_000_000),
    "ten megabytes of JSON": Answer(201, b'{"x": "' + b"y" * 10_000_000 + b'"}'),
    "another status": Answer(202, b"{}"),
    "a redirect": Answer(302, b"{}", {"Location": "http://127.0.0.1:1/"}),
    "a proxy's 404": Answer(404, b"<html>not found</html>"),
    "a proxy's 403": Answer(403, b"<html>denied</html>"),
    "a proxy's 502": Answer(502, b"<html>no gateway</html>"),
    "an error that is a list": Answer(400, b"[1]"),
    "an error without words": Answer(400, b"{}"),
    "an error that is no UTF-8": Answer(400, b"\xff\xfe"),
    "transactions that are none": Answer(201, {"orderCreateTransaction": {"type": None}, "orderFillTransaction": 7}),
}


@pytest.mark.parametrize("what", RUBBISH)
async def test_an_answer_that_cannot_be_understood_is_doubt_for_an_order(what: str) -> None:
    hooks = Saying(ORDERS, lambda _: RUBBISH[what])
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        hooks.mute = lambda event: True
        with pytest.raises(OutcomeUnknown, match="order m") as doubt:
            await adapter.submit_order(order("m"))
        assert len(str(doubt.value)) < 500
        found = await adapter.find_order("m", SYMBOL)
        assert found is not None
        assert found.status is OrderStatus.FILLED
        assert taken(box) == ["m"]


@pytest.mark.parametrize("what", RUBBISH)
async def test_an_answer_that_cannot_be_understood_is_no_answer_to_a_question(what: str) -> None:
    answer = Answer(200 if RUBBISH[what].status == 201 else RUBBISH[what].status, RUBBISH[what].body)
    hooks = Saying("", lambda _: answer, 0)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        hooks.operation, hooks.times = SUMMARY, 2
        with pytest.raises(VenueUnavailable) as told:
            await adapter.get_account_balance()
        assert len(str(told.value)) < 500
        assert (await adapter.submit_order(order("m"))).status is OrderStatus.FILLED


@pytest.mark.parametrize("body", [b"{}", b'{"orders": 7, "positions": [3], "pages": [4], "order": []}'])
async def test_no_question_takes_an_answer_of_another_form(body: bytes) -> None:
    hooks = Saying("", lambda _: Answer(200, body), 0)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        questions: tuple[tuple[str, Callable[[], Any]], ...] = (
            (PENDING, adapter.get_open_orders),
            ("GET /v3/accounts/{account}/openPositions", adapter.get_positions),
            ("GET /v3/accounts/{account}/transactions", lambda: adapter.get_fills(SYMBOL, 0)),
            ("GET /v3/accounts/{account}/orders/{order}", lambda: adapter.get_order_status("77")),
            ("GET /v3/instruments/{instrument}/candles", lambda: adapter.get_bars(SYMBOL)),
        )
        for operation, ask in questions:
            hooks.operation, hooks.times = operation, 2
            with pytest.raises(VenueUnavailable, match="not understood"):
                await ask()


async def test_numbers_may_be_numbers_and_what_is_not_needed_null() -> None:
    def as_numbers(answer: Answer | None) -> Answer | None:
        assert answer is not None
        body = {name: dict(row) if isinstance(row, dict) else row for name, row in answer.body.items()}
        for row in (body["orderCreateTransaction"], body["orderFillTransaction"]):
            row["id"], row["units"] = int(row["id"]), float(row["units"])
        body["orderFillTransaction"].update(
            orderID=int(body["orderFillTransaction"]["orderID"]),
            price=float(body["orderFillTransaction"]["price"]),
            pl=None,
            commission=None,
            requestedUnits=None,
            fullVWAP=None,
            reason=None,
        )
        return Answer(201, body)

    hooks = Saying(ORDERS, as_numbers)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        hooks.mute = lambda event: True
        sent = await adapter.submit_order(order("m"))
        assert (sent.status, sent.filled_quantity) == (OrderStatus.FILLED, 1000.0)
        assert sent.avg_fill_price == pytest.approx(1.1, abs=0.001)


async def test_an_instrument_that_makes_no_sense_is_left_out() -> None:
    def spoilt(answer: Answer | None) -> Answer | None:
        assert answer is not None
        rows = [{**answer.body["instruments"][1], "displayPrecision": "many"}, *answer.body["instruments"]]
        return Answer(
            200, {"instruments": [rows[0], {"name": None}, *(row for row in rows if row["name"] == "EUR_USD")]}
        )

    async with oanda_sandbox(hooks=Saying(INSTRUMENTS, spoilt)) as box, connected(box) as adapter:
        assert list(adapter.instruments) == [SYMBOL]


async def test_an_open_order_of_an_unknown_kind_is_not_passed_over() -> None:
    row = {"id": "9", "type": "HOLOGRAM", "state": "PENDING", "instrument": "EUR_USD", "units": "1", "createTime": "1"}
    odd = Answer(200, {"orders": [row], "lastTransactionID": "9"})
    async with oanda_sandbox(hooks=Saying(PENDING, lambda _: odd, 1)) as box, connected(box) as adapter:
        with pytest.raises(VenueUnavailable, match="unknown type 'HOLOGRAM'"):
            await adapter.get_open_orders()
        assert await adapter.get_open_orders() == []


async def test_orders_attached_to_trades_are_passed_over() -> None:
    row = {"id": "9", "type": "STOP_LOSS", "state": "PENDING", "tradeID": "7", "price": "1.05", "createTime": "1"}
    attached = Answer(200, {"orders": [row], "lastTransactionID": "9"})
    async with oanda_sandbox(hooks=Saying(PENDING, lambda _: attached)) as box, connected(box) as adapter:
        assert await adapter.get_open_orders() == []


async def test_a_question_or_cancel_that_got_no_answer_is_asked_once_more() -> None:
    hooks = Saying("", lambda answer: None, 0)
    async with oanda_sandbox(hooks=hooks) as box, connected(box) as adapter:
        await adapter.submit_order(order("o", kind="limit", price=1.05))
        for operation, ask in (
            (SUMMARY, adapter.get_account_balance),
            (PENDING, adapter.get_open_orders),
            ("PUT /v3/accounts/{account}/orders/{order}/cancel", lambda: adapter.cancel_order("o")),
        ):
            hooks.operation, hooks.times = operation, 1
            assert await ask()
            assert hooks.times == 0
        assert adapter.orders["o"].status is OrderStatus.CANCELLED


# --- streams ---------------------------------------------------------------------------------------------------


def put(box: Any, kind: str, *lines: str) -> None:
    """Say something on every stream of a kind."""
    for reader in venue_of(box).streams._readers:
        if reader.kind == kind:
            for line in lines:
                reader.put(line)


async def test_what_makes_no_sense_on_the_transaction_stream_is_passed_over() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        reports = listen(adapter)
        await adapter.submit_order(order("o", kind="limit", price=1.09))
        last = int(venue_of(box).desk.record.last_id)
        put(
            box,
            "transaction",
            json.dumps({"type": "SOMETHING_NEW", "id": str(last + 900), "time": "2026-01-01T00:00:00Z"}),
            json.dumps({"type": "ORDER_CANCEL", "id": str(last + 901), "orderID": "x", "time": "2026-01-01T00:00:00Z"}),
            json.dumps({"type": "ORDER_FILL", "id": str(last + 902), "accountID": "101-1-1-1", "orderID": "4"}),
            "[" * 100_000,
            '"' + "x" * 10_000_000 + '"',
            json.dumps({"type": "ORDER_FILL", "filler": "x" * 10_000_000}),
            "\x00\x01",
            "null",
        )
        move(box, 1.08)
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED, within_s=15)
        assert kinds(reports, "o") == ["Accepted", "Filled"]
        assert states == []


async def test_a_cancel_for_a_reason_nobody_described_is_a_cancel() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        await adapter.submit_order(order("o", kind="limit", price=1.09))
        desk = venue_of(box).desk
        desk._cancel(desk.find_order("@o"), "MOON_IN_THE_WRONG_PHASE")
        await until(lambda: not adapter.orders["o"].is_open)
        view = adapter.orders["o"]
        assert (view.status, view.reason) == (OrderStatus.CANCELLED, "MOON_IN_THE_WRONG_PHASE")


async def test_what_makes_no_sense_among_the_prices_is_passed_over() -> None:
    async with oanda_sandbox() as box:
        feed = make(box).feed()
        heard: list[Any] = []
        feed.subscribe(heard.append)
        await feed.open([SYMBOL])
        await until(lambda: heard)
        count = len(heard)
        put(
            box,
            "price",
            "{}",
            "no JSON",
            '{"type": "PRICE"}',
            '{"type": "PRICE", "instrument": "EUR_USD", "time": "1", "tradeable": "perhaps", "bids": 7, "asks": []}',
            '{"type": "PRICE", "instrument": "EUR_USD", "time": "1", "bids": [{}], "asks": [{}]}',
            json.dumps({"type": "PRICE", "filler": "x" * 10_000_000}),
        )
        move(box, 1.2)
        await until(lambda: len(heard) > count, within_s=15)
        assert heard[-1].bid == pytest.approx(1.2, abs=0.001)
        await feed.close()


# --- servers that are no Oanda ---------------------------------------------------------------------------------


@asynccontextmanager
async def server(behaviour: Behaviour) -> AsyncIterator[OandaAdapter]:
    """An adapter for a server that is no Oanda."""
    async with listening(behaviour) as port:
        origin = f"http://127.0.0.1:{port}"
        yield OandaAdapter(
            "101-1-1-1", "secret-word", addresses={"rest": origin, "stream": origin}, timeout_s=0.3, paced=False
        )


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer that never ends, though its next byte always comes in time."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def _fix(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"8=FIX.4.4\x019=5\x0135=0\x0110=000\x01\r\n\r\n")


async def _short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"accounts": [')
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("behaviour", [_silence, _hang_up, _drip, _fix, _short])
async def test_a_server_that_is_no_oanda_is_unavailable(behaviour: Callable[..., Any]) -> None:
    async with server(behaviour) as adapter:
        with pytest.raises(VenueUnavailable, match="oanda practice"):
            await adapter.connect()
        await adapter.disconnect()


async def test_nobody_there_is_unavailable_and_nothing_was_sent() -> None:
    addresses = {"rest": "http://127.0.0.1:9", "stream": "http://127.0.0.1:9"}
    with pytest.raises(VenueUnavailable, match="nothing was sent"):
        await OandaAdapter("101-1-1-1", "t", addresses=addresses, timeout_s=0.5).connect()


# --- every error of the libraries ------------------------------------------------------------------------------


def _every(base: type[BaseException]) -> set[type[BaseException]]:
    return {base}.union(*(_every(each) for each in base.__subclasses__()))


def _made(kind: type[BaseException]) -> BaseException:
    error = kind.__new__(kind)
    if isinstance(error, oandapyV20.exceptions.V20Error):
        error.code, error.msg = 500, "{}"  # type: ignore[attr-defined]
    return error


LIBRARIES = sorted(
    {
        kind
        for base in (oandapyV20.exceptions.V20Error, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
        for kind in _every(base)
        if kind.__module__.split(".")[0] in ("oandapyV20", "requests", "urllib3", "builtins", "socket", "ssl")
    }
    | {oandapyV20.exceptions.StreamTerminated, ValueError, UnicodeDecodeError, RecursionError},
    key=lambda kind: f"{kind.__module__}.{kind.__name__}",
)


@pytest.mark.parametrize("kind", LIBRARIES, ids=lambda kind: kind.__name__)
def test_every_error_of_the_libraries_is_one_of_ours(kind: type[BaseException]) -> None:
    assert issubclass(kind, LIBRARY_ERRORS)
    for left, changes in ((True, True), (True, False), (False, True)):
        failed = Failed("x", left=left)
        failed.__cause__ = _made(kind)
        told = translate(failed, "oanda: order m", changes=changes)
        is_doubt = changes and (left or kind is oandapyV20.exceptions.V20Error)
        assert type(told) is (OutcomeUnknown if is_doubt else VenueUnavailable)
        assert str(told).startswith("oanda: order m: ")
    assert isinstance(translate_stream(_made(kind), "oanda-prices"), VenueError)
