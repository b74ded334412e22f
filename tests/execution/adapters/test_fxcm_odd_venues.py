"""FXCM as its pages leave it open, and counterparties that misbehave: the adapter lives on, and never guesses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fxcm_kit import SYMBOL, connected, fxcm_sandbox, kinds, listen, order, site_of, touch, trade_at, until
from odd_server import Behaviour, listening

from autotrader_lab.execution.adapters.fxcm import FXCMAdapter
from autotrader_lab.model.errors import NotConnected, OutcomeUnknown, VenueUnavailable
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo

SOH = "\x01"


class Dialect(Hooks):
    """Rewrites what the venue says; the function gets type, fields and connection, and gives fields or nothing."""

    def __init__(self, rewrite: Callable[[str, list[list[str]], Any], list[list[str]] | None]) -> None:
        self._rewrite = rewrite

    def frame(self, world: str, channel: str, text: str, line: Any) -> None:
        fields = [part.split("=", 1) for part in text.split(SOH)]
        said = self._rewrite(fields[0][1], fields, line)
        if said is not None:
            line.put(SOH.join("=".join(pair) for pair in said))


def first(fields: list[list[str]], tag: str) -> str:
    return next((value for name, value in fields if name == tag), "")


def without(fields: list[list[str]], *tags: str) -> list[list[str]]:
    return [pair for pair in fields if pair[0] not in tags]


async def test_answers_that_do_not_name_the_question_are_understood() -> None:
    """Whether FXCM echoes OrdStatusReqID and what it calls the report's kind is not public."""

    def plain(kind: str, fields: list[list[str]], line: Any) -> list[list[str]]:
        if kind == "8" and first(fields, "790"):
            return [
                ["150", "8" if first(fields, "39") == "8" else "0"] if p[0] == "150" else p
                for p in without(fields, "790")
            ]
        return fields

    async with fxcm_sandbox(hooks=Dialect(plain)) as box, connected(box, timeout_s=1) as adapter:
        bid, _ = touch(box)
        await adapter.submit_order(order("o", kind="limit", price=round(bid - 0.01, 5)))
        assert (await adapter.get_order_status("o")).status is OrderStatus.SUBMITTED
        assert await adapter.find_order("absent", SYMBOL) is None
        assert adapter.orders["o"].status is OrderStatus.SUBMITTED


async def test_a_cancel_answered_under_the_orders_own_id_is_understood() -> None:
    def own_id(kind: str, fields: list[list[str]], line: Any) -> list[list[str]]:
        original = first(fields, "41")
        if kind != "8" or not original:
            return fields
        return [["11", original] if pair[0] == "11" else pair for pair in without(fields, "41")]

    async with fxcm_sandbox(hooks=Dialect(own_id)) as box, connected(box, timeout_s=1) as adapter:
        bid, _ = touch(box)
        await adapter.submit_order(order("o", kind="limit", price=round(bid - 0.01, 5)))
        await adapter.modify_order("o", quantity=3000)
        assert await adapter.cancel_order("o") is True
        assert adapter.orders["o"].status is OrderStatus.CANCELLED


async def test_a_duplicate_refusal_is_doubt_for_the_first_one_lives() -> None:
    def twice(kind: str, fields: list[list[str]], line: Any) -> list[list[str]]:
        if kind == "8" and first(fields, "11") == "o" and first(fields, "39") == "0":
            refusal = {"39": "8", "37": "NONE", "150": "8", "58": "Duplicate ClOrdID", "103": "6"}
            return [[tag, refusal.get(tag, value)] for tag, value in fields] + [
                ["58", "Duplicate ClOrdID"],
                ["103", "6"],
            ]
        return fields

    async with fxcm_sandbox(hooks=Dialect(twice)) as box, connected(box, timeout_s=1) as adapter:
        bid, _ = touch(box)
        reports = listen(adapter)
        with pytest.raises(OutcomeUnknown, match="the venue has an order of this id"):
            await adapter.submit_order(order("o", kind="limit", price=round(bid - 0.01, 5)))
        assert "Rejected" not in kinds(reports, "o")


async def test_a_session_reject_of_an_order_is_a_refusal() -> None:
    def reject(kind: str, fields: list[list[str]], line: Any) -> list[list[str]]:
        if kind == "8" and first(fields, "11") == "o":
            number = str(line.session.next_in - 1)
            return [["35", "3"], ["45", number], ["58", "Incorrect data format for value"], ["372", "D"], ["373", "6"]]
        return fields

    async with fxcm_sandbox(hooks=Dialect(reject)) as box, connected(box, timeout_s=1) as adapter:
        bid, _ = touch(box)
        sent = await adapter.submit_order(order("o", kind="limit", price=round(bid - 0.01, 5)))
        assert (sent.status, sent.reason) == (OrderStatus.REJECTED, "Incorrect data format for value")


@pytest.mark.parametrize(
    "noise",
    [
        b"\x00" * 10_000_000,
        b"8=FIX.4.4\x019=10000000\x01" + b"58=x\x01" * 2_000_000,
        b"8=FIX.4.4\x019=5\x0135=0\x0110=000\x01",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html></html>",
    ],
    ids=["ten megabytes", "a message of ten megabytes", "a wrong checksum", "http"],
)
async def test_noise_between_messages_is_survived(noise: bytes) -> None:
    async with fxcm_sandbox() as box, connected(box, timeout_s=5) as adapter:
        (line,) = site_of(box).venues["testnet"]._connections
        for begin in range(0, len(noise), 1_000_000):
            line._writer.write(noise[begin : begin + 1_000_000])
            await line._writer.drain()
        await adapter.submit_order(order("o"))
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        assert adapter._link.connections == 1


async def test_a_message_that_got_lost_on_the_way_is_asked_for_again() -> None:
    lost: list[int] = []

    def lose(kind: str, fields: list[list[str]], line: Any) -> list[list[str]]:
        if kind == "8" and first(fields, "11") == "o" and first(fields, "39") == "0" and not lost:
            lost.append(line.session.next_out)
            # It has its number, and is kept for a resend, but never reaches the wire.
            write, line.session._write = line.session._write, lambda data: None
            line.session.send(kind, [(int(tag), value) for tag, value in fields[1:]])
            line.session._write = write
            return None  # type: ignore[return-value]
        return fields

    async with fxcm_sandbox(hooks=Dialect(lose)) as box, connected(box, timeout_s=2) as adapter:
        reports = listen(adapter)
        await adapter.submit_order(order("o"))
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        assert (len(lost), kinds(reports, "o")) == (1, ["Accepted", "Filled"])
        assert adapter._link.connections == 1


class NoMassStatus(Hooks):
    """A venue that does not know OrderMassStatusRequest."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def before(self, request: RequestInfo) -> Answer | None:
        self.asked.append(request.operation)
        return Answer(400, {"error": "Unsupported message type"}) if request.operation == "AF" else None


async def test_where_no_list_of_orders_is_given_each_is_asked_after() -> None:
    hooks = NoMassStatus()
    async with fxcm_sandbox(hooks=hooks) as box, connected(box, timeout_s=1) as adapter:
        bid, _ = touch(box)
        for name in ("a", "b", "c"):
            await adapter.submit_order(order(name, kind="limit", price=round(bid - 0.01, 5)))
        site_of(box).venues["testnet"].drop()
        await until(lambda: adapter._link.connections == 2)
        assert (hooks.asked.count("AF"), hooks.asked.count("H")) == (1, 3)
        with pytest.raises(VenueUnavailable, match="open orders: Unsupported message type"):
            await adapter.get_open_orders()
        asked = hooks.asked.count("AF")
        assert asked > 2, "an answer that proves nothing is asked for again"
        site_of(box).venues["testnet"].drop()
        await until(lambda: adapter._link.connections == 3)
        assert (hooks.asked.count("AF"), hooks.asked.count("H")) == (asked, 6)


async def test_many_orders_are_brought_up_to_date_with_one_question() -> None:
    async with fxcm_sandbox() as box, connected(box, timeout_s=1) as adapter:
        bid, _ = touch(box)
        price = round(bid - 0.01, 5)
        for number in range(20):
            await adapter.submit_order(order(f"o{number}", kind="limit", price=price))
        site_of(box).venues["testnet"].drop()
        trade_at(box, price, 12_000, Side.SELL)
        await until(lambda: adapter._link.connections == 2)
        statuses = [adapter.orders[f"o{number}"].status for number in range(20)]
        assert statuses == [OrderStatus.FILLED] * 2 + [OrderStatus.PARTIAL_FILL] + [OrderStatus.SUBMITTED] * 17


@asynccontextmanager
async def server(behaviour: Behaviour) -> AsyncIterator[FXCMAdapter]:
    """An adapter for a server that is no FXCM."""
    async with listening(behaviour) as port:
        who = {"host": "127.0.0.1", "port": port, "sender_comp_id": "me", "timeout_s": 0.3}
        adapter = FXCMAdapter("u", "secret-word", "1", **who)
        try:
            yield adapter
        finally:
            await adapter.disconnect()


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_silent, r"did not answer the Logon of SessionSettings\(me->FXCM/U100D1\) within 0.3 s; check sender"),
        (_closing, "closed"),
        (_http, "did not answer the Logon"),
    ],
    ids=["silent", "closing", "http"],
)
async def test_what_does_not_speak_fix_is_unavailable(answer: Any, said: str) -> None:
    async with server(answer) as adapter:
        with pytest.raises(VenueUnavailable, match=said) as refused:
            await adapter.connect()
        assert "secret-word" not in str(refused.value)


async def test_nobody_listening_is_unavailable() -> None:
    async with server(_silent) as adapter:
        adapter._link._port = 1
        with pytest.raises(VenueUnavailable, match="cannot be reached"):
            await adapter.connect()


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_connection_that_ends_while_it_is_closed_is_closed(turns: int) -> None:
    async with fxcm_sandbox() as box, connected(box, timeout_s=1) as adapter:
        assert adapter._link._wire is not None
        adapter._link._wire._end(VenueUnavailable("gone"))
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await adapter.disconnect()
        with pytest.raises(NotConnected):
            await adapter.get_account_balance()


async def test_a_venue_that_falls_silent_is_noticed_by_its_heartbeats() -> None:
    async with fxcm_sandbox() as box, connected(box, heartbeat_s=1, timeout_s=1) as adapter:
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(f"{state}: {reason}"))
        (line,) = site_of(box).venues["testnet"]._connections
        line.session._write = lambda data: None
        await until(lambda: states, within_s=8)
        assert "no answer to a test request" in states[0]
        await until(lambda: adapter._link.connections == 2, within_s=8)
