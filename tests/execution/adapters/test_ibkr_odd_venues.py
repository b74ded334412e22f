"""TWS at its oddest, and servers that are none: clear errors, doubt where the rules say so, and it lives on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from ibkr_kit import (
    FAST,
    Dialect,
    connected,
    hello,
    ibkr_sandbox,
    kinds,
    listen,
    order,
    read_frame,
    resting,
    say,
    server,
    session,
    until,
)

from autotrader_lab.execution.adapters.ibkr import IBKRAdapter
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    ConfigError,
    NotConnected,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
)
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo
from autotrader_lab.sandbox.venues.ibkr.wire import frame, text

# --- who answers ------------------------------------------------------------------------------------------------------


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n<html></html>")
    await reader.read()
    writer.close()


async def _rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(frame(b"\xff\xfe rubbish") + frame(b"more\x00of\x00it\x00"))
    await reader.read()
    writer.close()


async def _old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(frame(text(["100", "20150101 12:00:00"])))
    await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_silent, "did not answer within 0.3 s; is it TWS or IB Gateway"),
        (_closing, "closed the connection before it said anything; are this machine's address and API clients allowed"),
        (_http, "what answers is no TWS: a message of 1213486160 bytes"),
        (_rubbish, "what answers is no TWS"),
        (_old, "must be >= 972"),
    ],
    ids=["silent", "closing", "http", "rubbish", "old"],
)
async def test_what_is_no_tws_is_unavailable(answer: Any, said: str) -> None:
    async with server(answer) as adapter:
        with pytest.raises(VenueUnavailable, match=said):
            await adapter.connect()
        with pytest.raises(NotConnected):
            await adapter.get_account_balance()


async def test_nobody_listening_is_unavailable() -> None:
    adapter = IBKRAdapter("127.0.0.1", 1, timeout_s=0.3)
    with pytest.raises(
        VenueUnavailable, match=r"127\.0\.0\.1:1 cannot be reached .*enable socket clients on this port"
    ):
        await adapter.connect()


async def test_a_server_that_logs_on_and_falls_silent_is_unavailable() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hello(reader, writer)
        await reader.read()
        writer.close()

    async with server(mute) as adapter:
        with pytest.raises(VenueUnavailable, match=r"after the logon: no answer within 0\.3 s"):
            await adapter.connect()


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_connection_that_ends_while_it_is_closed_is_closed(turns: int) -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        adapter._link.drop("gone")
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await adapter.disconnect()
        with pytest.raises(NotConnected):
            await adapter.get_account_balance()


async def test_a_tws_that_falls_silent_is_noticed_and_left() -> None:
    async with ibkr_sandbox() as box, connected(box, timeout_s=0.3, heartbeat_s=0.2) as adapter:
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(f"{state}: {reason}"))
        session(box)._write = lambda data: None  # type: ignore[method-assign]
        await until(lambda: len(states) == 2)
        assert "lost: currentTime: no answer within 0.3 s" in states[0]
        assert states[1].startswith("restored")


async def test_the_other_environments_account_is_refused_before_anything_is_done() -> None:
    async with ibkr_sandbox() as box:
        paper, live = box.addresses["ibkr"], box.addresses["ibkr"]["live"]
        for at, environment, said in (
            (live, "paper", f"account '{live['account']}' that answers is a live one, with real money"),
            (paper, "live", f"account '{paper['account']}' that answers is a paper one"),
        ):
            port = int(at["address"].rpartition(":")[2])
            adapter = IBKRAdapter("127.0.0.1", port, environment=environment, **FAST)
            with pytest.raises(AuthenticationFailed, match=said):
                await adapter.connect()
        wrong = IBKRAdapter.on_sandbox({**paper, "account": "DU0000001"}, **FAST)
        with pytest.raises(AuthenticationFailed, match=f"has no account 'DU0000001'; it has {paper['account']}"):
            await wrong.connect()


async def test_several_accounts_under_one_login_must_be_chosen_from() -> None:
    async def advisor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hello(reader, writer, "DF1,DU2,DU3,")
        while True:
            try:
                asked = await read_frame(reader)
            except asyncio.IncompleteReadError:
                writer.close()
                return
            answers = {"16": ["53", "1"], "49": ["49", "1", "1795000000"]}
            writer.write(frame(text(answers.get(asked[0], ["53", "1"]))))

    async with server(advisor) as adapter:
        with pytest.raises(AuthenticationFailed, match=r"has 3 accounts \(DF1, DU2, DU3\); say which with account="):
            await adapter.connect()
    async with server(advisor, account="DU3") as adapter:
        await adapter.connect()
        assert (adapter.account, adapter.accounts) == ("DU3", ("DF1", "DU2", "DU3"))


async def test_a_client_id_in_use_is_waited_for_a_little_and_named() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        other = IBKRAdapter.on_sandbox(box.addresses["ibkr"], **FAST)
        with pytest.raises(VenueUnavailable, match=r"client_id 1 is in use by another program \(326 .*give another"):
            await other.connect()
        assert adapter._link.is_up
        leaving = asyncio.ensure_future(_later(0.3, adapter.disconnect))
        assert await other.connect(), "the former session is gone by then"
        await leaving
        await other.disconnect()


async def _later(seconds: float, work: Callable[[], Any]) -> None:
    await asyncio.sleep(seconds)
    await work()


async def test_a_question_that_came_too_fast_may_be_asked_again_later() -> None:
    hooks = Errors("reqAccountSummary", 100, "Max rate of messages per second has been exceeded:max=50 rec=51 (1)")
    async with ibkr_sandbox(hooks=hooks) as box, connected(box) as adapter:
        with pytest.raises(RateLimited, match="account summary: 100 Max rate") as refused:
            await adapter.get_account_balance()
        assert refused.value.retry_after_s == 1.0
        assert await adapter.get_account_balance() == {"USD": 1_000_000.0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"host": " "}, "host is empty"),
        ({"port": 0}, "port 0 must be 1 to 65535"),
        ({"client_id": -1}, "client_id -1 must be 0 or more"),
        ({"timeout_s": 0}, "timeout_s 0 must be positive"),
        ({"port": 7496, "environment": "paper"}, "port 7496 is the live one"),
        ({"library": "ibapi"}, "none of ib_async, ib_insync"),
    ],
)
def test_arguments_that_cannot_be_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        IBKRAdapter(**arguments)


def test_a_sandbox_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="have no account for paper"):
        IBKRAdapter.sandbox_arguments({"address": "127.0.0.1:4002"})
    with pytest.raises(ConfigError, match=r"'10\.0\.0\.1:4002' is no host:port of this machine"):
        IBKRAdapter.sandbox_arguments({"address": "10.0.0.1:4002", "account": "DU1"})


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        ["9999", "what", "is", "this"],
        ["5"],
        ["5", "13", "265598", "AAPL"],
        ["3", "1", "Submitted"],
        ["3", "one", "Submitted", "0", "0", "0", "1", "0", "0", "1", "", "0"],
        ["11", "-1", "1", "265598"],
        ["59", "1", "x", "much", "USD", "", "", ""],
        ["59", "1", "", "", "", "", "", ""],
        ["4", "2", "-1", "four", "text", ""],
        ["4", "2", "-1"],
        ["61", "3", "", "", "", "", "", "", "", "", "", "", "", "", "null", "null"],
        ["93", "26", "many"],
        ["49", "1", "noon"],
        ["1", "6", "77", "1", "NaN", "null", "1"],
        [""],
        ["null"],
    ],
    ids=lambda said: "-".join(said)[:24] or "empty",
)
async def test_messages_that_make_no_sense_are_survived(said: list[str], caplog: pytest.LogCaptureFixture) -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        say(box, *said)
        asked = order("o")
        await adapter.submit_order(asked)
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        assert adapter.orders["o"].filled_quantity == asked.quantity
        assert adapter._link.connections == 1
        assert all(len(record.getMessage()) < 3_000 for record in caplog.records)


async def test_an_order_status_nobody_knows_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def dance(fields: list[str], line: Any) -> list[list[str]]:
        return [fields, [*fields[:2], "Dancing", *fields[3:]]] if fields[0] == "3" else [fields]

    async with ibkr_sandbox(hooks=Dialect(dance)) as box, connected(box) as adapter:
        reports = listen(adapter)
        await adapter.submit_order(resting("o"))
        await until(lambda: "o has a status nobody knows: 'Dancing'" in caplog.text)
        assert kinds(reports, "o") == ["Accepted"]


async def test_fields_without_values_are_survived() -> None:
    """Nulls: numbers left empty in every message about orders."""

    def empty(fields: list[str], line: Any) -> list[list[str]]:
        if fields[0] == "3":
            return [[*fields[:3], "", "", "", *fields[6:7], "", "", *fields[9:10], "", ""]]
        return [fields]

    async with ibkr_sandbox(hooks=Dialect(empty)) as box, connected(box) as adapter:
        await adapter.submit_order(order("o"))
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)


@pytest.mark.parametrize(
    "noise",
    [
        lambda: frame(b"x" * 10_000_000),
        lambda: frame(text(["9999", "y" * 10_000_000])),
        lambda: frame(text(["5", *["z"] * 2_000_000])),
        lambda: frame(b""),
        lambda: frame(b"\xff\x00\xfe\x00"),
    ],
    ids=["no fields", "unknown", "fields", "empty", "no text"],
)
async def test_ten_megabytes_and_nothing_at_all_are_survived(
    noise: Callable[[], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with ibkr_sandbox() as box, connected(box, timeout_s=5) as adapter:
        session(box)._writer.write(noise())
        await adapter.submit_order(order("o"))
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        assert adapter._link.connections == 1
        assert all(len(record.getMessage()) < 3_000 for record in caplog.records)


@pytest.mark.parametrize(
    "last",
    [b"\x00\x00\x00\x64half a mess", b"\x00", b"\x7f\xff\xff\xffendless", b"\x48\x54\x54\x50/1.1 502"],
    ids=["truncated", "one byte", "endless", "http"],
)
async def test_a_broken_frame_is_followed_by_a_new_connection(last: bytes) -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        await adapter.submit_order(resting("o"))
        session(box)._writer.write(last)
        await session(box)._writer.drain()
        session(box)._writer.close()
        await until(lambda: adapter._link.connections == 2)
        assert (await adapter.get_order_status("o")).status is OrderStatus.SUBMITTED


class Errors(Hooks):
    """Answers one request with an error, having carried it out."""

    def __init__(self, operation: str, code: int, words: str) -> None:
        self._operation, self._code, self._words = operation, code, words

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        if request.operation != self._operation:
            return answer
        self._operation = ""
        return Answer(500, {"code": self._code, "msg": self._words})


@pytest.mark.parametrize("code", [502, 504, 2110, 322, 1100])
async def test_an_outage_in_answer_to_an_order_is_doubt_and_the_order_is_found(code: int) -> None:
    hooks = Errors("placeOrder", code, "Couldn't connect")
    async with ibkr_sandbox(hooks=hooks) as box, connected(box) as adapter:
        reports = listen(adapter)
        with pytest.raises(OutcomeUnknown, match=f"order o was sent: {code} Couldn't connect"):
            await adapter.submit_order(resting("o"))
        found = await adapter.find_order("o", "AAPL")
        assert found is not None
        assert (found.status, kinds(reports, "o")) == (OrderStatus.SUBMITTED, ["Accepted"])


async def test_maintenance_is_waited_out() -> None:
    async with ibkr_sandbox() as box, connected(box, timeout_s=0.4) as adapter:
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        say(box, "4", "2", "-1", "2110", "Connectivity between TWS and server is broken.", "")
        await until(lambda: states == ["lost"])
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await adapter.submit_order(resting("o"))
        say(box, "4", "2", "-1", "2106", "HMDS data farm connection is OK:ushmds", "")
        await until(lambda: states == ["lost", "restored"])
        await adapter.submit_order(resting("o"))
        say(box, "4", "2", "-1", "1300", "TWS socket port has been reset", "")
        await until(lambda: states == ["lost", "restored"] * 2)


async def test_a_question_that_is_refused_says_why_and_the_line_stays() -> None:
    hooks = Errors("reqAllOpenOrders", 321, "Error validating request")
    async with ibkr_sandbox(hooks=hooks) as box:
        adapter = IBKRAdapter.on_sandbox(box.addresses["ibkr"], **FAST)
        with pytest.raises(VenueUnavailable, match="321 Error validating request"):
            await adapter.connect()
        await adapter.connect()
        hooks._operation = "reqAllOpenOrders"
        with pytest.raises(VenueUnavailable, match="open orders: 321 Error validating request"):
            await adapter.get_open_orders()
        assert await adapter.get_open_orders() == []
        assert adapter._link.connections == 1
        await adapter.disconnect()


async def test_a_late_list_is_never_taken_for_a_later_one() -> None:
    async with ibkr_sandbox() as box, connected(box, timeout_s=0.3) as adapter:
        await adapter.load_instruments(["AAPL"])
        kept: list[bytes] = []
        here = session(box)
        write = here._write
        here._write = kept.append  # type: ignore[method-assign]
        with pytest.raises(VenueUnavailable, match=r"open orders: (no answer|the connection was lost)"):
            await adapter.get_open_orders()
        for data in kept:
            write(data)
        await until(lambda: adapter._link.connections == 2 and adapter._link.is_up)
        assert await adapter.get_open_orders() == []
