"""Reading the journal again gives the live books; writing something twice gives no others."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrader_lab.journal import (
    Alert,
    Books,
    DeadLetter,
    Entry,
    EquityMark,
    Mark,
    MemoryJournal,
    OrderLatency,
    Reconciliation,
    StageStarted,
    TradingStateRecord,
    fold,
    frames,
    records,
)
from autotrader_lab.model.errors import IllegalTransition, InstrumentError
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.orders import (
    Accepted,
    Amended,
    Cancelled,
    Denied,
    Expired,
    Fill,
    Filled,
    InDoubt,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Rejected,
    Report,
)
from autotrader_lab.model.positions import Positions
from autotrader_lab.strategy.decision import ExecutionDecision

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
SYMBOLS = ("BTC/USDT", "AAPL")


def order(number: int, symbol: str = "BTC/USDT", side: OrderSide = OrderSide.BUY, quantity: float = 1.0) -> Order:
    return Order(
        "", symbol, side, OrderType.LIMIT, quantity, 100.0, client_order_id=f"c{number}", decision_id=f"d{number}"
    )


def fill(of: Order, execution: str, quantity: float, price: float = 100.0, commission: float = 0.1) -> Fill:
    return Fill(
        "77", of.symbol, of.side, quantity, price, commission, WHEN, execution, {}, of.client_order_id, "", "taker", "v"
    )


def filled(of: Order, execution: str, quantity: float, **more: Any) -> Filled:
    return Filled(of.client_order_id, 5, fill(of, execution, quantity, **more))


def books_of(*pairs: tuple[str, Any], stage: str = "paper") -> Books:
    return fold(journal_of(*pairs, stage=stage).read())


def journal_of(*pairs: tuple[str, Any], stage: str = "paper") -> MemoryJournal:
    journal = MemoryJournal("s1")
    for kind, record in pairs:
        journal.append(kind, record, stage=stage, timestamp_ns=1_000)
    return journal


class LiveBook:
    """What the engine keeps while it trades, written to a journal as the order manager does."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.positions = Positions()
        self.journal = MemoryJournal("s1")

    def intend(self, made: Order) -> None:
        self.journal.append(records.INTENT, made)
        self.orders[made.client_order_id] = made

    def report(self, report: Report) -> None:
        try:
            changed = self.orders[report.client_order_id].apply(report)
        except IllegalTransition:
            return
        if changed:
            self.journal.append(records.REPORT, report)
            if isinstance(report, Filled):
                self.positions.apply(report.fill)


@st.composite
def lives(draw: st.DrawFn) -> LiveBook:
    book = LiveBook()
    for number in range(draw(st.integers(1, 4))):
        side = draw(st.sampled_from(OrderSide))
        book.intend(order(number, draw(st.sampled_from(SYMBOLS)), side, draw(st.sampled_from([0.3, 1.0, 7.0]))))
    for step in range(draw(st.integers(0, 25))):
        clock_ns = step + 1
        name = draw(st.sampled_from(sorted(book.orders)))
        of = book.orders[name]
        what = draw(st.integers(0, 8))
        price = draw(st.sampled_from([99.5, 100.0, 101.25]))
        quantity = draw(st.sampled_from([0.1, 0.2, 1.0]))
        execution = f"e{draw(st.integers(0, step))}"
        book.report(
            (
                Accepted(name, clock_ns, f"v{name}"),
                Filled(name, clock_ns, fill(of, f"{name}-{execution}", quantity, price)),
                Filled(name, clock_ns, fill(of, f"{name}-{execution}", quantity, price)),
                Cancelled(name, clock_ns, "why"),
                Rejected(name, clock_ns, "why"),
                Expired(name, clock_ns),
                Denied(name, clock_ns, "CODE", 2.0, 1.0),
                InDoubt(name, clock_ns, "timeout"),
                Amended(name, clock_ns, draw(st.sampled_from([0.5, 2.0, None])), price),
            )[what]
        )
    return book


def same_positions(one: Positions, other: Positions) -> None:
    traded = {key: value for key, value in one.items() if value.bought or value.sold}
    assert traded == dict(other.items())


@settings(max_examples=150, deadline=None)
@given(lives())
def test_folding_the_journal_gives_the_live_book_exactly(live: LiveBook) -> None:
    books = fold(live.journal.read())
    assert books.orders == live.orders
    assert list(books.orders) == list(live.orders)
    same_positions(live.positions, books.positions)
    assert not books.problems
    assert not books.orphans
    assert {item.client_order_id for item in books.open_orders} == {
        name for name, item in live.orders.items() if item.is_open
    }


@settings(max_examples=150, deadline=None)
@given(lives(), st.data())
def test_an_entry_written_twice_changes_nothing(live: LiveBook, data: st.DataObject) -> None:
    entries = list(live.journal.read())
    once = fold(entries)
    doubled = list(entries)
    for _ in range(data.draw(st.integers(1, 5))):
        source = data.draw(st.integers(0, len(entries) - 1))
        copied = entries[source]
        again = data.draw(st.booleans())
        # the very entry read twice, or the same record appended again later under a number of its own
        number = copied.seq if again else len(entries) + 1000 + len(doubled)
        first = next(index for index, entry in enumerate(doubled) if entry is copied)
        place = data.draw(st.integers(first + 1, len(doubled)))
        twin = Entry(number, 2_000, copied.session, copied.stage, copied.kind, "", "", "", copied.raw)
        doubled.insert(place, twin)
    twice = fold(doubled)
    assert twice.orders == once.orders
    assert dict(twice.positions) == dict(once.positions)
    assert twice.fills == once.fills
    assert twice.booked == once.booked
    assert twice.problems == once.problems


@settings(max_examples=50, deadline=None)
@given(lives(), st.data())
def test_books_can_be_kept_up_to_date_entry_by_entry(live: LiveBook, data: st.DataObject) -> None:
    entries = list(live.journal.read())
    cut = data.draw(st.integers(0, len(entries)))
    books = fold(entries[:cut])
    for entry in entries[cut:]:
        books.apply(entry)
    whole = fold(entries)
    assert books.orders == whole.orders
    assert books.last_seq == whole.last_seq == live.journal.last_seq()
    assert dict(books.positions) == dict(whole.positions)


def test_everything_else_has_its_place() -> None:
    decision = ExecutionDecision("LONG", "AAPL", 1.0, 0.5, WHEN, {}, "d1")
    nameless = ExecutionDecision("HOLD", "AAPL", 0.0, 0.5, WHEN)
    books = books_of(
        (records.DECISION, decision),
        (records.DECISION, decision),
        (records.DECISION, nameless),
        (records.EQUITY, EquityMark(1, 100.0)),
        (records.LATENCY, OrderLatency("c1", 1)),
        (records.LATENCY, OrderLatency("c1", 1, wire_ns=2)),
        (records.ALERT, Alert("warning", "X")),
        (records.RECONCILIATION, Reconciliation(True)),
        (records.DEAD_LETTER, DeadLetter("c1", "late")),
        (records.DEAD_LETTER, DeadLetter("c1", "late", state="discarded")),
        (records.TRADING_STATE, TradingStateRecord("HALTED", "kill")),
        (records.MARK, Mark("AAPL", 1, 12.5)),
        (records.CHECKPOINT, {"name": "x"}),
        ("a kind of a later version", {"what": 1}),
    )
    assert list(books.decisions) == ["d1", "3"]
    assert books.decisions["d1"].size == 1.0
    assert [mark.equity for _, mark in books.equity] == [100.0]
    assert books.latencies["c1"].wire_ns == 2
    assert [(origin.stage, alert.code) for origin, alert in books.alerts] == [("paper", "X")]
    assert [found.ok for _, found in books.reconciliations] == [True]
    assert books.dead_letters["c1"].state == "discarded"
    assert books.trading_state.state == "HALTED"
    assert books.marks == {"AAPL": 12.5}
    assert books.origins["d1"] == (1, 1_000, "s1", "paper")
    assert Books().trading_state.state == "ACTIVE"


def test_what_cannot_be_is_told_and_money_that_moved_is_booked_all_the_same() -> None:
    known, stranger = order(1), order(2)
    books = books_of(
        (records.INTENT, known),
        (records.REPORT, Denied("c1", 1, "CODE")),
        (records.REPORT, Accepted("c1", 2)),
        (records.REPORT, Accepted("c2", 2)),
        (records.REPORT, filled(stranger, "e1", 0.5)),
    )
    assert [text.split(":")[0] for text in books.problems] == ["journal entry 3", "journal entry 4"]
    assert "accept in state denied" in books.problems[0]
    assert "'c2', which was never intended" in books.problems[1]
    assert books.orders["c1"].status is OrderStatus.DENIED
    assert books.orphans == books.fills == [fill(stranger, "e1", 0.5)]
    assert books.positions["BTC/USDT"].quantity == Decimal("0.5")


def test_an_execution_told_again_in_other_words_is_booked_once() -> None:
    of = order(1)
    again = Filled("c1", 9, fill(of, "e1", 0.5, commission=0.2))
    books = books_of((records.INTENT, of), (records.REPORT, filled(of, "e1", 0.5)), (records.REPORT, again))
    assert books.fills == [fill(of, "e1", 0.5)]
    assert books.orders["c1"].filled_quantity == 0.5
    assert not books.problems


def test_instruments_decide_what_a_fill_is_worth() -> None:
    future = Instrument("ES", multiplier=Decimal(50), lot_size=Decimal(1))
    of = order(1, "ES")
    journal = journal_of((records.INTENT, of), (records.REPORT, filled(of, "e1", 1.0, price=10.0)))
    assert fold(journal.read(), Instruments([future])).positions["ES"].open_cost == 500
    told = journal_of(
        (records.STAGE_STARTED, StageStarted("paper", "f", instruments=(future,))),
        (records.INTENT, of),
        (records.REPORT, filled(of, "e1", 1.0, price=10.0)),
    )
    assert fold(told.read()).positions["ES"].open_cost == 500
    with pytest.raises(InstrumentError, match="no symbol 'ES'"):
        fold(journal.read(), Instruments([Instrument("NQ")]))


# --- frames -----------------------------------------------------------------------------------------------------

FRAMES = {
    frames.orders_frame: frames.ORDER_COLUMNS,
    frames.fills_frame: frames.FILL_COLUMNS,
    frames.decisions_frame: frames.DECISION_COLUMNS,
    frames.equity_frame: frames.EQUITY_COLUMNS,
    frames.alerts_frame: frames.ALERT_COLUMNS,
    frames.positions_frame: frames.POSITION_COLUMNS,
}


def a_day() -> MemoryJournal:
    buy, sell = order(1), order(2, side=OrderSide.SELL)
    sell.created_at = WHEN + timedelta(hours=1)
    return journal_of(
        (records.DECISION, ExecutionDecision("LONG", "BTC/USDT", 1.0, 0.5, WHEN, {"limit_price": 100.0}, "d1")),
        (records.DECISION, ExecutionDecision("SHORT", "BTC/USDT", 1.0, 0.5, WHEN, {}, "d2")),
        (records.INTENT, buy),
        (records.REPORT, Accepted("c1", 2, "77")),
        (records.REPORT, filled(buy, "e1", 1.0, price=100.0)),
        (records.INTENT, sell),
        (records.REPORT, filled(sell, "e2", 0.4, price=110.0)),
        (records.REPORT, filled(order(9), "e3", 0.1, price=120.0)),
        (records.EQUITY, EquityMark(1_000_000_000, 1000.0, 900.0, 4.0, 6.0, 0.3, 0.01)),
        (records.ALERT, Alert("critical", "STALE", "old data", "BTC/USDT")),
    )


def entries_of(*journals: MemoryJournal) -> Iterable[Entry]:
    return [entry for journal in journals for entry in journal.read()]


@pytest.mark.parametrize(("make", "columns"), FRAMES.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_a_frame_has_its_columns_and_types_full_or_empty(make: Any, columns: dict[str, str]) -> None:
    for frame in (make([]), make(entries_of(a_day()))):
        types = {frame.index.name: str(frame.index.dtype)} | {name: str(kind) for name, kind in frame.dtypes.items()}
        assert types == columns
    assert make([]).empty
    assert not make(entries_of(a_day())).empty


def test_frames_tell_what_happened() -> None:
    entries = list(a_day().read())
    orders = frames.orders_frame(entries)
    assert list(orders.index) == ["c1", "c2"]
    assert list(orders["status"]) == ["filled", "partial_fill"]
    assert list(orders["filled"]) == [1.0, 0.4]
    assert orders.loc["c2", "created_at"] == WHEN + timedelta(hours=1)
    assert orders.loc["c1", "created_at"].value == 1_000
    assert frames.orders_frame(fold(entries)).equals(orders)

    fills = frames.fills_frame(entries)
    assert list(fills["realised"]) == pytest.approx([0.0, 4.0, 0.0])
    assert list(fills["decision_id"]) == ["d1", "d2", ""]
    assert list(fills["side"]) == ["buy", "sell", "buy"]
    assert (fills.index == WHEN).all()

    decisions = frames.decisions_frame(entries)
    assert list(decisions["action"]) == ["LONG", "SHORT"]
    assert decisions["limit_price"].isna().tolist() == [False, True]
    assert frames.equity_frame(entries).index[0].timestamp() == 1.0
    assert frames.equity_frame(entries)["drawdown"].tolist() == [0.01]
    assert frames.alerts_frame(entries)["code"].tolist() == ["STALE"]


def test_positions_are_kept_apart_by_stage_and_valued() -> None:
    live = order(1)
    other = journal_of(
        (records.REPORT, filled(live, "e1", 2.0)), (records.MARK, Mark("BTC/USDT", 1, 130.0)), stage="live"
    )
    frame = frames.positions_frame(entries_of(a_day(), other)).reset_index().set_index("stage")
    assert frame["quantity"].to_dict() == pytest.approx({"paper": 0.7, "live": 2.0})
    assert frame["mark"].to_dict() == {"paper": 120.0, "live": 130.0}
    assert frame.loc["live", "unrealised"] == pytest.approx(60.0)
    assert frame.loc["paper", "realised"] == pytest.approx(4.0)
    assert frame.loc["live", "average_price"] == 100.0
    marked = frames.positions_frame(other.read(), Instruments(complete=False), {"BTC/USDT": 90.0})
    assert marked.loc["BTC/USDT", "unrealised"] == pytest.approx(-20.0)


def test_books_are_plain_values_that_can_be_copied() -> None:
    books = fold(a_day().read())
    assert copy.deepcopy(books).orders == books.orders
