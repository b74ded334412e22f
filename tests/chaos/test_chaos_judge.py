"""The judge of the chaos benchmark finds each kind of disagreement, and none where there is none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from chaos_judge import Judgement, judge
from chaos_plan import chaos_plan, outage_windows
from venue_kit import KITS, Kit, Pair

from autotrader_lab.journal import MemoryJournal, records
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.orders import (
    Accepted,
    Cancelled,
    Denied,
    Fill,
    Filled,
    InDoubt,
    Order,
    OrderSide,
    OrderType,
    Rejected,
    Report,
)
from autotrader_lab.sandbox import Sandbox

NUMBERED = Kit("binance", (Pair("BTC/USDT", "BTCUSDT", "BTC", "USDT"),), 0.001, trade_number=str)
NAMELESS = replace(NUMBERED, trade_number=None)
MERGING = replace(NUMBERED, trade_number=None, merges=True)
T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = to_ns(T0)
Books = dict[str, Any]


def fill(trade: str, quantity: float = 0.2, fee: float = 0.0002) -> Fill:
    return Fill(
        "11", "BTC/USDT", OrderSide.BUY, quantity, 100.0, fee, T0, trade, client_order_id="a", fee_currency="BTC"
    )


def journal(*reports: tuple[str, Report], orders: tuple[str, ...] = ("a", "b", "c")) -> MemoryJournal:
    """Intents of a buy of 0.5 BTC each, and what was reported of them."""
    written = MemoryJournal()
    for name in orders:
        order = Order("", "BTC/USDT", OrderSide.BUY, OrderType.LIMIT, 0.5, 100.0, client_order_id=name)
        written.append(records.INTENT, order, client_order_id=name, timestamp_ns=NOW)
    for name, report in reports:
        written.append(records.REPORT, report, client_order_id=name, timestamp_ns=NOW)
    return written


STORY: tuple[tuple[str, Report], ...] = (
    ("a", Accepted("a", NOW, "11")),
    ("a", Filled("a", NOW, fill("1"))),
    ("a", Filled("a", NOW, fill("2", 0.1, 0.0001))),
    ("a", Cancelled("a", NOW)),
    ("b", InDoubt("b", NOW)),
    ("b", Rejected("b", NOW, "gone", "NEVER_ARRIVED")),
    ("c", Denied("c", NOW, "REDUCING_ONLY")),
)
BEFORE: Books = {
    "accounts": [
        {
            "orders": [{"orderId": 1, "clientOrderId": "old", "symbol": "BTCUSDT", "status": "FILLED"}],
            "trades": [{"tradeId": 0, "orderId": 1, "symbol": "BTCUSDT"}],
            "balances": {"BTC": {"free": "1", "locked": "0"}, "USDT": {"free": "900", "locked": "100"}},
        }
    ]
}


def trade(number: int, quantity: str, fee: str) -> Books:
    return {
        "tradeId": number, "orderId": 11, "symbol": "BTCUSDT", "qty": quantity, "price": "100.00", "commission": fee,
    }  # fmt: skip


def after() -> Books:
    books = copy.deepcopy(BEFORE)
    account = books["accounts"][0]
    account["orders"].append(
        {"orderId": 11, "clientOrderId": "a", "symbol": "BTCUSDT", "status": "CANCELED", "executedQty": "0.3",
         "origQty": "0.5"}
    )  # fmt: skip
    account["trades"] += [trade(1, "0.2", "0.0002"), trade(2, "0.1", "0.0001")]
    account["balances"] = {"BTC": {"free": "1.2997", "locked": "0"}, "USDT": {"free": "970", "locked": "0"}}
    return books


def verdict(
    story: tuple[tuple[str, Report], ...] = STORY, books: Books | None = None, kit: Kit = NUMBERED, **options: Any
) -> Judgement:
    return judge(journal(*story).read(), BEFORE, books or after(), kit, **options)


KINDS_OF_NAMES = pytest.mark.parametrize("kit", [NUMBERED, NAMELESS, MERGING], ids=["numbers", "names", "totals"])
"""How venues name executions."""


@KINDS_OF_NAMES
def test_books_that_agree_have_no_finding_and_the_rates_count_what_was_let_through(kit: Kit) -> None:
    found = verdict(kit=kit)
    assert found.findings == []
    assert (found.orders, found.executions, found.counted, found.delivered) == (2, 2, 2, 1)
    assert (found.success_rate, found.dead_letter_rate) == (0.5, 0.0)


def test_what_was_sent_while_the_venue_was_down_does_not_count_and_dead_letters_do() -> None:
    assert verdict(outages=[(NOW - 1, NOW + 1)]).counted == 0
    written = journal(*STORY)
    letter = records.DeadLetter("b", "gone", "VenueUnavailable", 1, "dead")
    written.append(records.DEAD_LETTER, letter, client_order_id="b")
    assert judge(written.read(), BEFORE, after(), NUMBERED).dead_letter_rate == 0.5


def _account(change: Callable[[Books], None]) -> Books:
    books = after()
    change(books["accounts"][0])
    return books


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("lost", lambda a: a["orders"].append({**a["orders"][1], "orderId": 12, "clientOrderId": "nobody's"})),
        ("lost", lambda a: a["orders"].pop()),
        ("lost", lambda a: a["trades"].append(trade(3, "0.1", "0"))),
        ("duplicated", lambda a: a["orders"].append({**a["orders"][1], "orderId": 12})),
        ("unreconciled", lambda a: a["trades"].pop()),
        ("unreconciled", lambda a: a["trades"][1].update(price="101")),
        ("unreconciled", lambda a: a["trades"][1].update(commission="0.1")),
        ("unreconciled", lambda a: a["trades"][1].update(orderId=12)),
        ("unreconciled", lambda a: a["orders"][1].update(status="NEW")),
        ("unreconciled", lambda a: a["orders"][1].update(executedQty="0.4")),
        ("unreconciled", lambda a: a["orders"][1].update(origQty="0.4")),
        ("unreconciled", lambda a: a["balances"]["BTC"].update(free="1.3")),
        ("unreconciled", lambda a: a["balances"]["USDT"].update(free="970.01")),
    ],
)
@KINDS_OF_NAMES
def test_what_the_venue_has_otherwise_is_found(kind: str, change: Callable[[Books], None], kit: Kit) -> None:
    assert verdict(books=_account(change), kit=kit).count(kind) >= 1


@KINDS_OF_NAMES
def test_an_execution_that_was_written_down_twice_is_found(kit: Kit) -> None:
    twice = (*STORY[:3], ("a", Filled("a", NOW + 1, fill("2", 0.1, 0.0001))), *STORY[3:])
    assert verdict(twice, kit=kit).count("duplicated") == 1


def test_trades_told_as_one_are_one_execution_and_the_rounding_of_its_price_is_no_loss_of_cash() -> None:
    books = after()
    first, second = books["accounts"][0]["trades"][-2:]
    first["price"], second["price"] = "100.00", "100.02"
    books["accounts"][0]["balances"]["USDT"]["free"] = "969.998"
    whole = fill("1", 0.3, 0.0003)
    story = (STORY[0], ("a", Filled("a", NOW, replace(whole, price=100.01))), *STORY[3:])
    coarse = replace(MERGING, pairs=(replace(MERGING.pairs[0], tick="0.01"),))
    assert verdict(story, books, coarse).findings == []
    assert verdict(story, books, MERGING).count("unreconciled") >= 1, "the mean is told exactly there"
    doubled = ("a", Filled("a", NOW, replace(whole, price=100.01, execution_id="9")))
    assert verdict((*story[:2], doubled, *story[2:]), books, coarse).findings


def test_an_order_the_venue_calls_otherwise_is_known_by_its_own_name() -> None:
    books = after()
    books["accounts"][0]["orders"][1]["clientOrderId"] = "A"
    assert verdict(books=books, kit=replace(NUMBERED, client_id=str.upper)).findings == []
    assert verdict(books=books).count("lost") >= 1


def test_an_order_in_doubt_at_the_end_is_found() -> None:
    assert verdict(STORY[:5]).count("unreconciled") >= 1


def test_a_chain_that_executed_more_than_its_target_is_found() -> None:
    written = journal(*STORY)
    first = next(iter(written.read(kinds=records.INTENT))).decode(Order)
    for name, target in (("d", 0.5), ("e", 0.6)):
        order = first.copy()
        order.client_order_id, order.metadata = name, {"replaced_order_id": "a", "target": target}
        written.append(records.INTENT, order, client_order_id=name, timestamp_ns=NOW)
        more = Fill("12", "BTC/USDT", OrderSide.BUY, 0.3, 100.0, 0.0, T0, f"{name}-1", client_order_id=name)
        written.append(records.REPORT, Filled(name, NOW, more), client_order_id=name, timestamp_ns=NOW)
    found = judge(written.read(), BEFORE, after(), NUMBERED)
    assert [one.subject for one in found.findings if one.kind == "duplicated"] == ["d"]


@pytest.mark.parametrize("venue", KITS)
def test_the_plan_has_every_kind_of_fault_and_the_sandbox_takes_it(venue: str) -> None:
    from autotrader_lab.sandbox.fault_rules import RULES

    plan = chaos_plan(1, KITS[venue], 40.0, 2.0)
    assert {rule["do"] for rule in plan["rules"]} == set(RULES)
    assert len(Sandbox(venues=[venue], faults=plan).faults.report()["rules"]) == len(plan["rules"])


def test_outages_are_the_maintenance_windows_with_what_was_on_its_way() -> None:
    rule = {"do": "maintenance", "when": {"from_s": 10.0, "to_s": 12.0, "repeat_s": 40.0}}
    report = {"began_ms": 1_000, "rules": [{"do": "lose"}, rule]}
    s = 1_000_000_000
    assert outage_windows(report, 60 * s, 5.0) == [(6 * s, 13 * s), (46 * s, 53 * s)]
