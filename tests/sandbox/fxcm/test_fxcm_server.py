"""The sandbox's FXCM by hand-written bytes: what its public pages promise, message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from shared_data import shared

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.units import ONE

Told = dict[int, str]
NOW = "20260101-10:00:00"


class Wire:
    """A client of bytes: writes what it is told, reads what comes, checks every checksum."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, who: dict[str, Any]) -> None:
        self._reader, self._writer, self.who = reader, writer, who
        self._rest = b""
        self.number = 0
        self.next_in = 1

    def say(self, text: str, number: int | None = None, sub: str | None = None) -> None:
        """Send a message: its type, then its fields with bars between."""
        kind, _, fields = text.partition("|")
        if number is None:
            number = self.number = self.number + 1
        who = self.who
        head = f"35={kind}|34={number}|49={who['sender']}|52={NOW}|56={who['target']}|"
        named = who["target_sub"] if sub is None else sub
        body = (
            (head + (f"57={named}|" if named else "") + fields + "|").replace("||", "|").replace("|", "\x01").encode()
        )
        raw = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
        self._writer.write(raw + b"10=%03d\x01" % (sum(raw) % 256))

    async def hear(self, within_s: float = 3.0) -> list[tuple[int, str]]:
        """The next message's fields; its length, checksum and number must be right."""
        async with asyncio.timeout(within_s):
            while b"\x0110=" not in self._rest or not self._rest.endswith(b"\x01"):
                data = await self._reader.read(65_536)
                if not data:
                    raise ConnectionError("closed")
                self._rest += data
        head, _, rest = self._rest.partition(b"\x0110=")
        checksum, _, self._rest = rest.partition(b"\x01")
        raw = head + b"\x01"
        assert int(checksum) == sum(raw) % 256
        length_end = raw.index(b"\x01", raw.index(b"9="))
        assert int(raw[raw.index(b"9=") + 2 : length_end]) == len(raw) - length_end - 1
        fields = [part.split("=", 1) for part in raw.decode().split("\x01")[:-1]]
        assert all(len(pair) == 2 and pair[1] for pair in fields), fields
        return [(int(tag), value) for tag, value in fields]

    async def next(self, *kinds: str) -> Told:
        """The first values of the next message of one of these types (any, if none are named)."""
        while True:
            told = dict(reversed(await self.hear()))
            if 43 not in told:
                assert int(told[34]) == self.next_in, "numbers are without gaps"
                self.next_in += 1
            if not kinds or told[35] in kinds:
                return told

    async def log_on(self, more: str | None = None) -> Told:
        who = self.who
        named = f"553={who['user']}|554={who['password']}" if more is None else more
        self.say(f"A|98=0|108=30|141=Y|{named}")
        return await self.next("A", "5")

    def order(self, name: str, side: int = 1, kind: int = 1, size: int = 5000, more: str = "59=1") -> None:
        account = self.who["account"]
        self.say(f"D|1={account}|11={name}|38={size}|40={kind}|54={side}|55=EUR/USD|60={NOW}|{more}")

    async def until(self, name: str, status: str) -> list[Told]:
        """The reports about one order up to a status."""
        seen = []
        while True:
            told = await self.next("8")
            if told.get(11) == name or told.get(41) == name:
                seen.append(told)
                if told[39] == status:
                    return seen

    async def is_closed(self) -> bool:
        async with asyncio.timeout(3):
            return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def wire(box: Sandbox, world: str = "testnet", **who: str) -> AsyncIterator[Wire]:
    at = box.addresses["fxcm"]
    entry = {**(at if world == "testnet" else at["live"]), **who}
    host, port = entry["address"].split(":")
    client = Wire(*await asyncio.open_connection(host, int(port)), entry)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=7, speed=0, venues=("fxcm",)) as running:
        push_price(running.sites["fxcm"].worlds["testnet"], "EURUSD", 110_000_000)
        running.sites["fxcm"].worlds["testnet"].publish()
        yield running


@pytest.fixture
async def client(box: Sandbox) -> AsyncIterator[Wire]:
    async with wire(box) as one:
        await one.log_on()
        yield one


# --- the session ----------------------------------------------------------------------------------------------------


async def test_the_logon_is_answered_as_the_pages_print_it(box: Sandbox) -> None:
    async with wire(box) as client:
        answer = await client.log_on()
        assert {tag: answer[tag] for tag in (35, 34, 49, 50, 56, 98, 108, 141)} == {
            35: "A", 34: "1", 49: "FXCM", 50: "U100D1", 56: client.who["sender"], 98: "0", 108: "30", 141: "Y",
        }  # fmt: skip


async def test_without_a_target_sub_id_nobody_answers(box: Sandbox) -> None:
    async with wire(box) as client:
        client.say("A|98=0|108=30|141=Y", sub="")
        client.say("g|335=1|263=1")
        with pytest.raises(TimeoutError):
            await client.hear(0.2)


@pytest.mark.parametrize(
    ("who", "more", "why"),
    [
        ({}, "553=somebody|554=x", "Incorrect user name or password"),
        ({"target": "OANDA"}, None, "Unknown session"),
        ({"target_sub": "MINIREAL"}, None, "Unknown session"),
    ],
)
async def test_a_wrong_logon_is_told_why_and_closed(
    box: Sandbox, who: dict[str, str], more: str | None, why: str
) -> None:
    async with wire(box, **who) as client:
        answer = await client.log_on(more)
        assert (answer[35], answer[58][: len(why)]) == ("5", why)
        assert await client.is_closed()


async def test_worlds_do_not_know_each_others_customers(box: Sandbox) -> None:
    at = box.addresses["fxcm"]
    async with wire(box, "live", user=at["user"], password=at["password"]) as client:
        assert (await client.log_on())[35] == "5"


async def test_nothing_is_done_before_the_user_is_known(box: Sandbox) -> None:
    async with wire(box) as client:
        assert (await client.log_on(""))[35] == "A"
        client.order("early")
        assert (await client.next("j"))[58].startswith("Not logged in")
        client.say("BE|553=x|554=y|923=1|924=1")
        assert (await client.next("BF"))[926] == "4"
        client.say(f"BE|553={client.who['user']}|554={client.who['password']}|923=2|924=1")
        assert (await client.next("BF"))[926] == "1"
        client.order("late")
        assert (await client.next("8"))[39] == "0"


async def test_test_requests_resends_and_gaps(client: Wire) -> None:
    client.say("1|112=hello")
    assert (await client.next("0"))[112] == "hello"
    client.order("o")
    reports = await client.until("o", "2")
    client.say("2|7=1|16=0")
    again = [dict(reversed(await client.hear())) for _ in range(len(reports) + 1)]
    assert [told[35] for told in again] == ["4", *["8"] * len(reports)]
    assert again[0][123] == "Y"
    assert again[0][36] == reports[0][34]
    assert [(told[43], told[34], told[39]) for told in again[1:]] == [("Y", told[34], told[39]) for told in reports]
    client.say("BB|909=1", number=client.number + 3)
    asked = await client.next("2")
    assert (asked[7], asked[16]) == (str(client.number + 1), "0")


async def test_a_number_that_was_used_ends_the_session(client: Wire) -> None:
    client.say("BB|909=1", number=1)
    assert "MsgSeqNum too low" in (await client.next("5"))[58]
    assert await client.is_closed()


async def test_garbled_messages_are_ignored(client: Wire) -> None:
    client._writer.write(b"8=FIX.4.4\x019=5\x0135=0\x0110=000\x01 and noise")
    client.say("BB|909=1")
    assert (await client.next("BA"))[909] == "1"


async def test_a_message_without_target_sub_id_is_rejected(client: Wire) -> None:
    client.say("BB|909=1", sub="")
    told = await client.next("3")
    assert (told[371], told[372], told[45]) == ("57", "BB", str(client.number))


async def test_a_goodbye_is_answered(client: Wire) -> None:
    client.say("5")
    assert (await client.next("5"))[35] == "5"
    assert await client.is_closed()


# --- account and market ---------------------------------------------------------------------------------------------


def tags_of(name: str) -> list[int]:
    recorded = json.loads(Path(shared(f"payloads/fxcm/{name}.json")).read_text(encoding="utf-8"))
    return [int(tag) for tag, _ in recorded["fields"]]


async def test_reports_have_the_fields_of_the_recorded_ones_in_their_order(client: Wire) -> None:
    client.say("BB|263=1|909=3")
    account = [tag for tag, _ in await client.hear()]
    client.order("o")
    fills = [await client.hear() for _ in range(4)]
    client.say("V|262=4|263=0|264=1|146=1|55=EUR/USD|267=2|269=0|269=1")
    quote = [tag for tag, _ in await client.hear()]
    client.order("c", side=2)
    closes = [await client.hear() for _ in range(4)]
    assert closes[-1]
    client.say(f"AN|1={client.who['account']}|60={NOW}|263=0|581=6|710=5|715=20200101|724=1")
    closed = [tag for tag, _ in await client.hear()]
    envelope = {8, 9, 10}
    for ours, name in (
        (account, "fix_collateralreport"),
        ([tag for tag, _ in fills[-1]], "fix_exec_filled"),
        (quote, "fix_marketdatasnapshot"),
        (closed, "fix_position_closed"),
    ):
        theirs = [tag for tag in tags_of(name) if tag not in envelope]
        missing = set(theirs) - set(ours) - {526, 9005, 9011, 9020}
        assert not missing, f"{name}: {sorted(missing)}"
        common = [tag for tag in dict.fromkeys(ours) if tag in theirs]
        assert common == [tag for tag in dict.fromkeys(theirs) if tag in common], name


async def test_quotes_come_when_the_price_moves_and_stop_when_asked(box: Sandbox, client: Wire) -> None:
    world = box.sites["fxcm"].worlds["testnet"]
    client.say("V|262=4|263=1|264=1|146=1|55=EUR/USD|267=2|269=0|269=1")
    first = await client.next("W")
    push_price(world, "EURUSD", 111_000_000)
    world.publish()
    second = await client.next("W")
    assert (first[270], second[270]) == ("1.09999", "1.10999")
    client.say("V|262=4|263=2|264=1|146=1|55=EUR/USD|267=2|269=0|269=1")
    client.say("1|112=x")
    await client.next("0")
    push_price(world, "EURUSD", 110_000_000)
    world.publish()
    with pytest.raises(TimeoutError):
        await client.hear(0.1)
    client.say("V|262=5|263=1|264=1|146=1|55=NO/SUCH|267=1|269=0")
    assert "NO/SUCH" in (await client.next("Y"))[58]


# --- orders ---------------------------------------------------------------------------------------------------------


async def test_an_execution_is_told_as_fxcm_tells_it(client: Wire) -> None:
    client.order("o", size=10000)
    reports = await client.until("o", "2")
    assert [(told[39], told[150], told[14], told[32], told[151], told[9051]) for told in reports] == [
        ("0", "0", "0", "0", "10000", "P"),
        ("7", "7", "0", "0", "10000", "U"),
        ("7", "F", "10000", "10000", "0", "U"),
        ("2", "F", "10000", "10000", "0", "F"),
    ]
    assert len({told[17] for told in reports}) == 4
    assert {told[37] for told in reports} == {reports[0][37]}
    assert reports[-1][6] == reports[-1][31] == "1.10001"


async def test_parts_are_told_as_they_come(box: Sandbox, client: Wire) -> None:
    world = box.sites["fxcm"].worlds["testnet"]
    client.order("o", kind=2, size=10000, more="44=1.09|59=1")
    assert (await client.next("8"))[9051] == "W"
    world.exchange.market_trade("EURUSD", Side.SELL, 109_000_000, 4000 * ONE, world.now_ms())
    world.publish()
    told = (await client.until("o", "1"))[-1]
    assert (told[14], told[32], told[151], told[150]) == ("4000", "4000", "6000", "F")
    client.say(f"F|1={client.who['account']}|11=f|37={told[37]}|41=o|38=10000|54=1|55=EUR/USD|60={NOW}")
    told = (await client.until("o", "4"))[-1]
    assert (told[14], told[11], told[41], told[150]) == ("4000", "f", "o", "4")


async def test_what_cannot_execute_now_ends_with_what_it_got(box: Sandbox, client: Wire) -> None:
    depth = box.sites["fxcm"].worlds["testnet"].exchange.books["EURUSD"].depth(Side.SELL, 1)[0][1] // ONE
    client.order("ioc", kind=2, size=depth + 5000, more="44=1.10001|59=3")
    told = (await client.until("ioc", "4"))[-1]
    assert (told[14], told[151]) == (str(depth), "5000")
    client.order("fok", kind=2, size=20_000_000, more="44=1.10002|59=4")
    assert (await client.next("8"))[39] in "08"


async def test_a_market_range_order_has_a_worst_price(client: Wire) -> None:
    client.order("far", kind=4, more="99=1.09|59=3")
    assert "ORA-20008" in (await client.next("8"))[58]
    client.order("near", kind=4, more="99=1.102|59=3")
    assert (await client.until("near", "2"))[-1][14] == "5000"


async def test_a_stop_waits_then_goes_to_the_market(box: Sandbox, client: Wire) -> None:
    world = box.sites["fxcm"].worlds["testnet"]
    client.order("s", side=2, kind=3, more="99=1.09|59=1")
    assert (await client.next("8"))[9051] == "W"
    push_price(world, "EURUSD", 108_900_000)
    world.publish()
    assert [(told[39], told[150]) for told in await client.until("s", "2")] == [("7", "7"), ("7", "F"), ("2", "F")]


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"more": "59=1|44=1.2", "kind": 2}, "ORA-20112"),
        ({"more": "59=3|44=1.0", "kind": 2}, "ORA-20112"),
        ({"more": "59=1", "kind": 2}, "ORA-20112"),
        ({"more": "59=1|44=1.000001", "kind": 2}, "ORA-20112"),
        ({"more": "59=1|99=1.0", "kind": 3}, "ORA-20105"),
        ({"more": "59=3|99=1.2", "kind": 3}, "ORA-20105"),
        ({"size": 1500}, "ORA-20008"),
        ({"size": 0}, "ORA-20008"),
        ({"size": 60_000_000}, "ORA-20008"),
        ({"size": 40_000_000}, "ORA-20113"),
        ({"kind": 7}, "Unsupported order characteristic"),
        ({"more": "59=6"}, "Unsupported order characteristic"),
        ({"more": "59=1|9041=77"}, "no position 77"),
    ],
)
async def test_refusals_name_their_reason_and_make_no_order(client: Wire, order: dict[str, Any], why: str) -> None:
    client.order("r", **order)
    told = await client.next("8")
    assert (told[39], told[150], told[37], told[14]) == ("8", "8", "NONE", "0")
    assert why in told[58]
    client.say("AF|584=m|585=7")
    assert (await client.next("8"))[911] == "0"


async def test_an_account_is_required_and_must_be_ones_own(client: Wire) -> None:
    client.say(f"D|11=a|38=5000|40=1|54=1|55=EUR/USD|59=1|60={NOW}")
    assert (await client.next("8"))[58] == "No Account specified"
    client.say(f"D|1=999|11=b|38=5000|40=1|54=1|55=EUR/USD|59=1|60={NOW}")
    assert "ORA-20102" in (await client.next("8"))[58]
    client.order("o")
    await client.until("o", "2")
    client.order("o")
    assert (await client.next("8"))[103] == "6"


async def test_positions_net_first_in_first_out(box: Sandbox, client: Wire) -> None:
    world = box.sites["fxcm"].worlds["testnet"]
    for name, price in (("a", 110_000_000), ("b", 111_000_000)):
        push_price(world, "EURUSD", price)
        client.order(name, size=5000)
        await client.until(name, "2")
    push_price(world, "EURUSD", 112_000_000)
    client.order("c", side=2, size=7000)
    await client.until("c", "2")
    client.say(f"AN|1={client.who['account']}|60={NOW}|263=0|581=6|710=5|715=20200101|724=1")
    closed = [await client.next("AP") for _ in range(2)]
    assert [(told[11], told[704], told[9048], told[9052]) for told in closed] == [
        ("a", "5000", "c", "99.90"),
        ("b", "2000", "c", "19.96"),
    ]
    client.say(f"AN|1={client.who['account']}|60={NOW}|263=0|581=6|710=6|715=20200101|724=0")
    rest = await client.next("AP")
    assert (rest[11], rest[704], rest[912], rest[727]) == ("b", "3000", "Y", "1")
    client.say("BB|909=1")
    assert (await client.next("BA"))[901] == "100119.86"


async def test_every_books_sum_is_what_was_deposited(box: Sandbox, client: Wire) -> None:
    for name, side in (("a", 1), ("b", 2), ("c", 2), ("d", 1)):
        client.order(name, side=side, size=9000)
        await client.until(name, "2")
    exchange = box.sites["fxcm"].worlds["testnet"].exchange
    for asset in ("USD", "EUR"):
        held = sum(account.free.get(asset, 0) for account in exchange.accounts.values())
        total = held + exchange.fees.get(asset, 0) + exchange.market_flow.get(asset, 0)
        assert total == exchange.deposits.get(asset, 0)
