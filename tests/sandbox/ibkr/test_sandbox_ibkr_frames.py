"""The gateway's messages have the fields of recorded TWS sessions, one for one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tws_wire import Tws, Wire

QUERY = (0, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
FIELDS_AFTER_ACCOUNT = ("", "0", "ref", "1", "0", "0", "0", "0", "0", "0", "0")


def place(order_id: int, kind: str, limit: str, version: int) -> list[object]:
    """A ``placeOrder`` as the published clients send it at these versions."""
    head = [3, order_id, *QUERY, "", "", "BUY", "100", kind, limit, "", "DAY", "", "", *FIELDS_AFTER_ACCOUNT]
    advisor = ["", "", ""] if version >= 177 else ["", "", "", ""]
    body = ["", "0", "", "", *advisor, "", "0", "", "-1", "0", "", "", "0", "", "", "0", "0", "", "0", *[""] * 5, "0"]
    body += ["", "", "", ""]  # volatility, its type, delta neutral type and price
    body += ["0", "", "", "", "", "", "", "", "", "", "", "0", "", "", "0", "0", "", "", "0", "", "0", "0", "0", "0"]
    tail = ["", *[""] * 6, "", "", "", "", "", "", "", "", "0", "0", "0", "0"]
    gates = [value for gate, value in ((158, ""), (160, "0"), (162, "0"), (166, ""), (169, "")) if version >= gate]
    return [*head, *body, *tail, *gates]


@pytest.fixture
def frames(recorded: Callable[[str], Path]) -> Callable[[str], Any]:
    return lambda name: json.loads(recorded(f"payloads/ib/{name}.json").read_text())


def recorded_of(frames: list[dict[str, Any]], kind: str) -> list[list[str]]:
    """The recorded frames of a kind, without the empty field that the recorder put at each end."""
    rows = [frame["fields"] for frame in frames if frame["msg"] == kind]
    return [row[:-1] if row[-1] == "" else row for row in rows]


def without_delta_neutral(fields: list[str]) -> list[str]:
    """A recorded open order has "None" as delta neutral type, and eight more fields follow that; ours has nothing."""
    place = fields.index("None")
    return [*fields[:place], "", *fields[place + 1 : place + 2], *fields[place + 10 :]]


def kinds(fields: list[str]) -> list[str]:
    """What kind of value stands in each field."""

    def kind(text: str) -> str:
        try:
            float(text)
        except ValueError:
            return "text" if text else ""
        return "number"

    return [kind(text) for text in fields]


@pytest.mark.parametrize("version", [157, 164, 173, 178])
async def test_an_order_at_every_version(tws: Tws, version: int) -> None:
    wire = await Wire.dial(tws.address(), f"v157..{version}")
    wire.send(*place(1, "LMT", "180.0", version))
    opened = await wire.read()
    assert (opened[0], opened[13:17]) == ("5", ["BUY", "100", "LMT", "180"])
    status = await wire.read()
    assert status == ["3", "1", "Submitted", "0", "100", "0", opened[25], "0", "0", "5", "", "0"]
    wire.send(4, 1, 1, *([""] if version >= 169 else []))
    assert (await wire.read())[2] == "Cancelled"
    assert len(await wire.read()) == (6 if version >= 166 else 5)
    await wire.close()


async def test_a_market_order_as_recorded(tws: Tws, frames: Callable[[str], Any]) -> None:
    theirs = frames("raw_place_market_order_filled")["frames"]
    tws.book("AAPL", [("190", "500")], [("196.52", "500")])
    wire = await Wire.dial(tws.address(), "v157..164")
    wire.send(*place(13, "MKT", "", 164))
    ours: list[list[str]] = []
    while not ours or ours[-1][0] != "59":
        ours.append(await wire.read())
    await wire.close()
    assert [row[0] for row in ours] == [frame["fields"][0] for frame in theirs]
    statuses = [row[2] for row in recorded_of(theirs, "ORDER_STATUS")]
    assert [row[2] for row in ours if row[0] == "3"] == statuses == ["PreSubmitted", "Filled"]
    pairs = zip((row for row in ours if row[0] == "5"), recorded_of(theirs, "OPEN_ORDER"), strict=True)
    for our_order, their_order in pairs:
        expected = without_delta_neutral(their_order)
        assert len(our_order) == len(expected)
        ours_kinds, their_kinds = kinds(our_order), kinds(expected)
        differing = [n for n, pair in enumerate(zip(ours_kinds, their_kinds, strict=True)) if pair[0] != pair[1]]
        assert differing == [23], "only the order reference, which theirs had none of"
    for kind, number in (("ORDER_STATUS", "3"), ("EXECUTION_DATA", "11")):
        (our_row, their_row) = (
            [row for row in ours if row[0] == number][-1],
            recorded_of(theirs, kind)[-1],
        )
        assert len(our_row) == len(their_row), kind
    report = next(row for row in ours if row[0] == "59")
    assert len(report) == len(recorded_of(theirs, "COMMISSION_REPORT")[0])
    assert report[5:7] == ["1.7976931348623157E308"] * 2


async def test_completed_orders_as_recorded(tws: Tws, frames: Callable[[str], Any]) -> None:
    theirs = frames("raw_completed_orders")["frames"]
    wire = await Wire.dial(tws.address(), "v157..164")
    wire.send(*place(1, "MKT", "", 164))
    await wire.read_until("59")
    wire.send(99, 0)
    (ours, end) = (await wire.read(), await wire.read())
    await wire.close()
    expected = theirs[0]["fields"]
    place_of_type = expected.index("None")
    expected = [
        *expected[:place_of_type],
        "",
        *expected[place_of_type + 1 : place_of_type + 2],
        *expected[place_of_type + 6 :],
    ]
    assert len(ours) == len(expected)
    assert ours[-1] == "Filled Size: 100" == expected[-1]
    assert end == ["102"]


async def test_contract_details_as_recorded(tws: Tws, frames: Callable[[str], Any]) -> None:
    theirs, end = (frame["fields"] for frame in frames("raw_contract_details_es")["frames"])
    wire = await Wire.dial(tws.address(), "v157..173")
    wire.send(9, 8, 9000, 0, "ES", "FUT", "", "0.0", "", "", "CME", "", "USD", "", "", "0", "", "")
    ours = await wire.read()
    assert len(ours) == len(theirs)
    differing = [n for n, pair in enumerate(zip(kinds(ours), kinds(theirs), strict=True)) if pair[0] != pair[1]]
    assert differing == []
    for same in (2, 3, 7, 8, 10, 11, 13, 14, 16, 17, 18, 19):
        assert ours[same] == theirs[same]
    assert await wire.read() == end
    await wire.close()


async def test_accounts_and_positions_as_recorded(tws: Tws, frames: Callable[[str], Any]) -> None:
    constants = {frame["msg"]: frame["fields"] for frame in frames("raw_account_and_position_constants")["frames"]}
    recorded_sessions = {row["name"]: row for row in frames("raw_recorded_interactions_2025")}
    wire = await Wire.dial(tws.address(), "v157..173")
    wire.send(*place(1, "MKT", "", 173))
    await wire.read_until("59")
    for name in ("server_time", "managed_accounts", "positions", "account_summary"):
        session = recorded_sessions[name]
        wire.send(*session["request"])
        for theirs in session["responses"]:
            if name == "positions" and theirs[5:6] == ["FUT"]:
                continue
            ours = await wire.read()
            assert (ours[0], len(ours)) == (theirs[0], len(theirs)), name
            if name == "positions" and theirs[0] == "61":
                assert ours[2:10] == [tws.account, "265598", "AAPL", "STK", "", "0.0", "", ""]
    wire.send(6, 2, 1, tws.account)
    assert len(await wire.read_until("6")) == len(constants["ACCT_VALUE"]) + 1, "recorded without the account's name"
    assert (await wire.read_until("54")) == ["54", "1", tws.account]
    wire.send(76, 1, 9000, tws.account, "", "1")
    assert len(await wire.read_until("73")) + 1 == len(constants["ACCOUNT_UPDATE_MULTI"])
    assert (await wire.read_until("74")) == ["74", "1", "9000"]
    wire.send(91, 26)
    assert await wire.read() == constants["MARKET_RULE"]
    wire.send(74, 1, 6, tws.account, "")
    assert len(await wire.read()) == len(constants["POSITION_MULTI"])
    await wire.close()


async def test_the_next_id_and_symbols_as_recorded(tws: Tws, frames: Callable[[str], Any]) -> None:
    (their_id,) = (frame["fields"] for frame in frames("raw_next_valid_id")["frames"])
    (their_symbols,) = (frame["fields"] for frame in frames("raw_symbol_samples_tsla")["frames"])
    wire = await Wire.dial(tws.address(), "v157..173")
    wire.send(8, 1, 1)
    ours = await wire.read()
    assert (ours[:2], len(ours)) == (their_id[:2], len(their_id) - 1)
    wire.send(81, 9000, "AAPL")
    symbols = await wire.read()
    assert symbols[:3] == ["79", "9000", "1"]
    assert kinds(symbols[3:8]) == kinds(their_symbols[3:8])
    assert symbols[8:] == ["1", "OPT"]
    await wire.close()
