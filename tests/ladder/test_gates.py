"""A gate opens on evidence, each piece of it, and on nothing less."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.journal import (
    Alert,
    DeadLetter,
    Drill,
    EquityMark,
    MemoryJournal,
    OrderLatency,
    Reconciliation,
    StageCounters,
    StageStarted,
    StageStopped,
    TradingStateRecord,
    records,
)
from autotrader_lab.ladder import REHEARSAL, STANDARD, Evidence, Requirements, Stage, climb, evaluate, evidence
from autotrader_lab.ladder.evidence import Latencies
from autotrader_lab.ladder.profiles import Profile
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import ConfigError, GateClosed
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.orders import (
    Accepted,
    Denied,
    Expired,
    Fill,
    Filled,
    InDoubt,
    Order,
    OrderSide,
    OrderType,
    Rejected,
)
from autotrader_lab.strategy.decision import ExecutionDecision

S = 1_000_000_000
FP = "f00d"


class Tale:
    """A journal written by hand, with a clock that is moved."""

    def __init__(self, stage: str = "paper", fingerprint: str = FP, session: str = "s1") -> None:
        self.journal = MemoryJournal(session)
        self.stage = stage
        self.fingerprint = fingerprint
        self.now_ns = 1_700_000_000 * S
        self.number = 0

    def write(self, kind: str, record: Any, stage: str | None = None) -> None:
        self.journal.append(kind, record, stage=self.stage if stage is None else stage, timestamp_ns=self.now_ns)

    def start(self, fingerprint: str | None = None, **more: Any) -> None:
        self.write(records.STAGE_STARTED, StageStarted(self.stage, fingerprint or self.fingerprint, **more))

    def stop(self) -> None:
        self.write(records.STAGE_STOPPED, StageStopped(self.stage))

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * S)

    def decide(self, action: str = "LONG", decision_id: str = "") -> None:
        self.write(
            records.DECISION,
            ExecutionDecision(action, "X", 1.0, 1.0, from_ns(self.now_ns), {}, decision_id or f"d{self.number}"),
        )

    def order(self, side: OrderSide = OrderSide.BUY, *reports: Callable[[str], Any]) -> str:
        self.number += 1
        name = f"{self.journal.session}-c{self.number}"
        self.decide()
        self.write(records.INTENT, Order("", "X", side, OrderType.MARKET, 1.0, client_order_id=name))
        for report in reports:
            self.write(records.REPORT, report(name))
        return name

    def executed(self, side: OrderSide = OrderSide.BUY, quantity: float = 1.0, late_s: float = 0.0) -> str:
        def fill(name: str) -> Filled:
            when = from_ns(self.now_ns) - timedelta(seconds=late_s)
            return Filled(name, 0, Fill("v", "X", side, quantity, 10.0, 0.0, when, f"e-{name}", {}, name))

        return self.order(side, lambda name: Accepted(name, 0, "v"), fill)

    def latency(self, name: str, ack_ms: float | None = 5.0) -> None:
        ack_ns = None if ack_ms is None else round(ack_ms * 1e6)
        self.write(records.LATENCY, OrderLatency(name, 0, wire_ns=0, ack_ns=ack_ns))

    def good(self, trips: int = 5) -> Tale:
        """All that the rehearsal asks of a stage."""
        self.start(sandbox=True)
        self.write(records.RECONCILIATION, Reconciliation(True, orders_checked=2))
        for _ in range(trips):
            self.latency(self.executed(OrderSide.BUY))
            self.latency(self.executed(OrderSide.SELL))
        self.write(records.DRILL, Drill(True, 1, 0.01))
        self.write(records.EQUITY, EquityMark(self.now_ns, 1000.0))
        self.wait(4)
        self.write(records.EQUITY, EquityMark(self.now_ns, 990.0))
        return self

    def evidence(self, **more: Any) -> Evidence:
        return evidence(self.journal.read(), self.stage, self.fingerprint, **more)


def test_a_good_run_opens_the_next_stage() -> None:
    found = Tale().good().evidence()
    assert (found.runs, found.decisions, found.orders, found.fills, found.round_trips) == (1, 10, 10, 10, 5)
    assert found.seconds == 4.0
    assert found.drawdown == pytest.approx(0.01)
    assert (found.unreconciled, found.drifts, found.failed_reconciliations, found.refused) == (0, 0, 0, 0)
    assert (found.success_rate, found.dead_letter_rate) == (1.0, 0.0)
    assert (found.drills, found.failed_drills) == (1, 0)
    assert found.sandbox
    verdict = evaluate(found, "rehearsal", "testnet")
    assert verdict
    assert verdict.passed
    assert not verdict.failed
    verdict.require()
    assert not evaluate(found, "standard", "testnet")


def test_nothing_shown_is_nothing_open() -> None:
    verdict = evaluate(evidence([], "paper", FP), REHEARSAL, Stage.TESTNET)
    assert not verdict
    missing = {check.name: check.why for check in verdict.failed}
    assert missing["evidence"].startswith("paper has not run with this strategy")
    assert missing["decisions"] == "5 to go: let paper run on"
    assert missing["time run"] == "3.0 s to go"
    assert missing["success rate"] == "no order was sent yet"
    assert missing["order latency p50"] == missing["fill latency p50"] == "nothing was measured yet"
    with pytest.raises(GateClosed, match=r"TESTNET, rehearsal is not open: evidence: .*; decisions: 5 to go"):
        verdict.require()


def test_evidence_is_bound_to_the_fingerprint() -> None:
    tale = Tale(fingerprint="0ld").good()
    tale.fingerprint = FP
    found = tale.evidence()
    assert (found.runs, found.decisions, found.others) == (0, 0, ("0ld",))
    why = evaluate(found, REHEARSAL, "testnet").failed[0].why
    assert "it ran as 0ld, which does not count" in why
    tale.start()
    tale.executed()
    assert (tale.evidence().runs, tale.evidence().decisions) == (1, 1)
    # and back: what the old one earned is still its own
    assert evidence(tale.journal.read(), "paper", "0ld").decisions == 10


def test_evidence_is_bound_to_the_stage_and_starts_with_it() -> None:
    tale = Tale()
    tale.executed()  # nobody said for whom
    tale.start()
    tale.write(records.DECISION, ExecutionDecision("LONG", "X", 1.0, 1.0, from_ns(0), {}, "elsewhere"), stage="live")
    assert tale.evidence().decisions == 0
    assert evidence(tale.journal.read(), "live", FP).runs == 0


def test_runs_add_up_and_the_time_between_them_does_not() -> None:
    tale = Tale().good(2)
    tale.stop()
    tale.wait(1000)
    tale.start()
    tale.wait(6)
    tale.executed()
    found = tale.evidence()
    assert (found.runs, found.decisions, found.seconds) == (2, 5, 10.0)


def test_sessions_side_by_side_do_not_mix() -> None:
    one, other = Tale(session="s1").good(1), Tale(session="s2", fingerprint="0ther").good(3)
    merged = [*one.journal.read(), *other.journal.read()]
    assert evidence(merged, "paper", FP).decisions == 2
    assert evidence(merged, "paper", "0ther").decisions == 6
    same = [*one.journal.read(), *Tale(session="s3").good(1).journal.read()]
    assert (evidence(same, "paper", FP).runs, evidence(same, "paper", FP).decisions) == (2, 2)


@pytest.mark.parametrize(
    "breach",
    [
        (records.ALERT, Alert("critical", records.DRIFT_CODE, "1 BTC too many")),
        (records.RECONCILIATION, Reconciliation(False, ["1 BTC too many"])),
    ],
    ids=["drift", "reconciliation"],
)
def test_a_breach_spoils_its_run_and_what_came_before(breach: tuple[str, Any]) -> None:
    tale = Tale().good()
    tale.start()
    tale.write(*breach)
    tale.executed()
    found = tale.evidence()
    assert found.runs == 2
    assert found.drifts + found.failed_reconciliations == 1
    failed = [check.name for check in evaluate(found, REHEARSAL, "testnet").failed]
    assert failed in (["position drift"], ["failed reconciliations"])
    tale.start()
    later = tale.evidence()
    assert (later.runs, later.spoiled_runs, later.decisions, later.drifts) == (1, 2, 0, 0)
    assert "2 more spoiled" in evaluate(later, REHEARSAL, "testnet").checks[0].got


def test_other_alerts_are_no_breach() -> None:
    tale = Tale().good()
    tale.write(records.ALERT, Alert("critical", "STRATEGY_FAILED"))
    assert tale.evidence().drifts == 0


def test_orders_nobody_knows_the_fate_of() -> None:
    tale = Tale().good()
    tale.order(OrderSide.BUY, lambda name: InDoubt(name, 0, "timeout"))
    assert (tale.evidence().unreconciled, tale.evidence().refused) == (1, 1)
    on_its_way = tale.order()
    assert tale.evidence().unreconciled == 1
    tale.start()  # after the host died
    assert tale.evidence().unreconciled == 2
    tale.write(records.REPORT, Rejected(on_its_way, 0, "NEVER_ARRIVED"))
    found = tale.evidence()
    assert (found.unreconciled, found.refused, found.orders) == (1, 2, 12)
    assert "unreconciled" in [check.name for check in evaluate(found, REHEARSAL, "testnet").failed]


def test_what_the_journal_cannot_explain_is_unreconciled() -> None:
    tale = Tale().good()
    tale.write(records.REPORT, Accepted("stranger", 0))
    fill = Fill("v", "X", OrderSide.BUY, 1.0, 10.0, 0.0, from_ns(tale.now_ns), "e-s", {}, "stranger")
    tale.write(records.REPORT, Filled("stranger", 0, fill))
    assert tale.evidence().unreconciled == 2
    assert tale.evidence().fills == 10


def test_the_success_rate_counts_the_venue_s_refusals_and_not_ours() -> None:
    tale = Tale()
    tale.start()
    for _ in range(98):
        tale.executed()
    tale.order(OrderSide.BUY, lambda name: Denied(name, 0, "NOTIONAL_OVER_LIMIT"))
    tale.order(OrderSide.BUY, lambda name: Expired(name, 0, "no match"))  # an IOC the venue took and ended
    tale.order(OrderSide.BUY, lambda name: Rejected(name, 0, "no"))
    found = tale.evidence()
    assert (found.orders, found.denied, found.refused, found.success_rate) == (100, 1, 1, 0.99)
    check = {c.name: c for c in evaluate(found, STANDARD, "testnet").checks}["success rate"]
    assert not check.passed  # more than 99 % is asked, not 99 %
    assert "1 orders" in check.why
    tale.executed()
    assert {c.name: c for c in evaluate(tale.evidence(), STANDARD, "testnet").checks}["success rate"].passed


def test_dead_letters_count_however_they_were_settled() -> None:
    tale = Tale().good()
    name = tale.order(OrderSide.BUY, lambda name: InDoubt(name, 0))
    tale.write(records.DEAD_LETTER, DeadLetter(name, "gave up"))
    tale.write(records.DEAD_LETTER, DeadLetter(name, "gave up", state="discarded"))
    tale.write(records.DEAD_LETTER, DeadLetter("of another run", "gave up"))
    found = tale.evidence()
    assert (found.dead_letters, found.refused) == (1, 1)
    assert found.dead_letter_rate == pytest.approx(1 / 11)
    assert "dead letters" in [check.name for check in evaluate(found, REHEARSAL, "testnet").failed]


def test_latencies_are_percentiles_of_what_was_measured() -> None:
    tale = Tale()
    tale.start()
    for number in range(100):
        tale.latency(tale.executed(late_s=0.3 if number == 99 else 0.001), ack_ms=float(number + 1))
    tale.latency(tale.executed(), ack_ms=None)
    found = tale.evidence()
    assert len(found.ack) == 100
    assert (found.ack.percentile(50), found.ack.percentile(99), found.ack.percentile(0)) == (50.0, 99.0, 1.0)
    assert found.notified.percentile(50) == pytest.approx(1.0)
    assert found.notified.percentile(100) == pytest.approx(300.0)
    slow = dataclasses.replace(found, ack=Latencies((99.9, 100.0)), notified=Latencies((200.0,)))
    checks = {check.name: check for check in evaluate(slow, STANDARD, "testnet").checks}
    assert checks["order latency p50"].passed
    assert checks["order latency p99"].passed
    assert not checks["fill latency p50"].passed
    assert checks["fill latency p50"].got == "200.0 ms of 1"


def test_drawdown_is_within_a_run_and_from_its_peak() -> None:
    tale = Tale()
    for equities in ((1000.0, 1200.0, 900.0, 1100.0), (500.0, 600.0), (-5.0, -10.0)):
        tale.start()
        for equity in equities:
            tale.write(records.EQUITY, EquityMark(tale.now_ns, equity))
    found = tale.evidence()
    assert found.drawdown == pytest.approx(0.25)
    assert "drawdown" in [check.name for check in evaluate(found, STANDARD, "testnet").failed]


def test_the_kill_switch_must_be_drilled_in_this_very_stage_and_work() -> None:
    paper = Tale("paper").good()
    testnet = Tale("testnet")
    testnet.start()
    testnet.write(records.DRILL, Drill(False, 3))
    found = evidence([*paper.journal.read(), *testnet.journal.read()], "testnet", FP)
    assert (found.drills, found.failed_drills) == (0, 1)
    check = {c.name: c for c in evaluate(found, REHEARSAL, "live").checks}["kill switch drilled"]
    assert (check.passed, check.got) == (False, "0 (1 failed)")
    testnet.write(records.DRILL, Drill(True, 3))
    assert {c.name: c for c in evaluate(testnet.evidence(), REHEARSAL, "live").checks}["kill switch drilled"].passed


def test_a_stage_that_is_stopped_opens_nothing_until_it_is_armed_again() -> None:
    tale = Tale().good()
    tale.write(records.TRADING_STATE, TradingStateRecord("HALTED", "kill"))
    verdict = evaluate(tale.evidence(), REHEARSAL, "testnet")
    assert [check.name for check in verdict.failed] == ["trading state"]
    tale.write(records.TRADING_STATE, TradingStateRecord("ACTIVE"))
    assert evaluate(tale.evidence(), REHEARSAL, "testnet")
    tale.write(records.TRADING_STATE, TradingStateRecord("HALTED", "kill"))
    tale.write(records.TRADING_STATE, TradingStateRecord("ACTIVE"), stage="")
    tale.start()
    assert evaluate(tale.evidence(), REHEARSAL, "testnet")


def test_outages() -> None:
    tale = Tale().good()
    assert tale.evidence().reconnect_s is None
    for outage_s in (1.5, 7.25, 0.5):
        tale.write(records.RECONCILIATION, Reconciliation(True, trigger="reconnect", outage_s=outage_s))
    found = tale.evidence()
    assert found.reconnect_s == 7.25
    checks = {check.name: check for check in evaluate(found, STANDARD, "testnet").checks}
    assert (checks["reconnection"].passed, checks["reconnection"].got) == (False, "7.25 s")
    quick = evaluate(dataclasses.replace(found, reconnect_s=4.9), STANDARD, "testnet")
    assert {check.name: check for check in quick.checks}["reconnection"].passed


def test_counters_stand_for_what_was_not_written_one_by_one() -> None:
    tale = Tale("replay")
    tale.start()
    tale.write(records.COUNTERS, StageCounters(decisions=7, orders=7, fills=7))
    tale.write(records.COUNTERS, StageCounters(25, 1000, 24, 23, 1, 2, 11))
    found = tale.evidence()
    assert (found.decisions, found.orders, found.fills, found.round_trips) == (25, 24, 23, 11)
    assert (found.denied, found.refused) == (1, 2)
    assert found.success_rate == pytest.approx(22 / 24)
    assert evaluate(found, REHEARSAL, "paper")


def test_holding_is_no_decision_and_one_decision_told_twice_is_one() -> None:
    tale = Tale()
    tale.start()
    tale.decide("HOLD")
    tale.decide("LONG", "d7")
    tale.decide("LONG", "d7")
    assert tale.evidence().decisions == 1


def test_replay_counts_market_time_and_only_the_newest_replay() -> None:
    tale = Tale("replay")
    for decisions in (9, 4):
        tale.start()
        for day in range(decisions):
            tale.write(
                records.DECISION,
                ExecutionDecision("LONG", "X", 1.0, 1.0, from_ns(day * 86_400 * S), {}, f"day{day}"),
            )
        tale.write(records.EQUITY, EquityMark(10 * 86_400 * S, 1000.0))
        tale.executed()
    found = tale.evidence()
    assert (found.runs, found.decisions, found.orders) == (1, 5, 1)
    assert found.seconds == pytest.approx((tale.now_ns / S), rel=1e-9)
    tale.start("an0ther")
    tale.executed()
    again = tale.evidence()
    assert (again.decisions, again.others) == (5, ("an0ther",))
    empty = Tale("replay")
    empty.start()
    assert empty.evidence().seconds == 0.0


def test_dust_left_by_a_fee_does_not_keep_a_position_open() -> None:
    tale = Tale()
    tale.start()
    tale.executed(OrderSide.BUY, 1.0)
    tale.executed(OrderSide.SELL, 0.9995)
    assert tale.evidence().round_trips == 0
    listed = Instrument("X", lot_size=Decimal("0.001"))
    assert tale.evidence(instruments=Instruments([listed])).round_trips == 1
    tale.start(instruments=(listed,))
    assert tale.evidence().round_trips == 1


def test_a_real_venue_is_not_opened_by_the_sandbox() -> None:
    found = Tale("testnet").good().evidence()
    assert evaluate(found, REHEARSAL, "live")
    verdict = evaluate(found, REHEARSAL, "live", real_venue=True)
    assert [check.name for check in verdict.failed] == ["venue"]
    assert evaluate(dataclasses.replace(found, sandbox=False), REHEARSAL, "live", real_venue=True)
    paper = dataclasses.replace(found, stage=Stage.PAPER)
    assert evaluate(paper, REHEARSAL, "testnet", real_venue=True)  # paper is always on this machine


def test_the_wrong_stage_s_evidence_is_refused() -> None:
    with pytest.raises(GateClosed, match="evidence of paper cannot open live; it takes that of testnet"):
        evaluate(Tale().good().evidence(), REHEARSAL, "live")
    with pytest.raises(ConfigError):
        evaluate(Tale().good().evidence(), REHEARSAL, "moon")


def test_replay_is_always_open_and_the_whole_ladder_is_seen_at_once() -> None:
    tale = Tale().good()
    verdicts = climb(tale.journal.read(), FP, "rehearsal")
    assert {stage.value: verdict.passed for stage, verdict in verdicts.items()} == {
        "replay": True,
        "paper": False,
        "testnet": True,
        "live": False,
    }
    assert verdicts[Stage.REPLAY].checks == ()
    assert verdicts[Stage.REPLAY].headline == "Gate to REPLAY, rehearsal: open"
    assert verdicts[Stage.REPLAY].to_frame().empty


def test_a_profile_of_one_s_own_asks_what_it_asks() -> None:
    bare = Profile("bare", {Stage.PAPER: Requirements(1, 0, 0.0, 1.0)})
    tale = Tale()
    tale.start()
    tale.executed()
    verdict = evaluate(tale.evidence(), bare, "testnet")
    assert verdict
    assert [check.name for check in verdict.checks] == [
        "evidence",
        "decisions",
        "round trips",
        "time run",
        "unreconciled",
        "failed reconciliations",
        "position drift",
        "drawdown",
        "trading state",
    ]


def test_a_verdict_shows_itself() -> None:
    verdict = evaluate(Tale().good().evidence(), "standard", "testnet")
    text = repr(verdict)
    assert text.splitlines()[0] == "Gate to TESTNET: closed, 3 of 17 checks missing"
    assert "✗  decisions" in text
    assert "✓  round trips" not in text
    assert "5.0 d" in text
    page = verdict._repr_html_()
    assert page.count("<tr>") == len(verdict.checks) + 1
    assert "&lt; 100 ms" in page
    assert "<100" not in page
    frame = verdict.to_frame()
    assert list(frame.columns) == ["asked", "got", "passed", "why"]
    assert frame["passed"].dtype == bool
    assert not frame.loc["decisions", "passed"]
    plain = verdict.to_dict()
    assert (plain["target"], plain["label"], plain["profile"], plain["fingerprint"]) == (
        "testnet",
        "TESTNET",
        "standard",
        FP,
    )
    assert plain["checks"][1] == {
        "name": "decisions",
        "asked": "≥ 50",
        "got": "10",
        "passed": False,
        "why": "40 to go: let paper run on",
    }


@given(
    st.integers(0, 10),
    st.integers(0, 5),
    st.floats(0, 10),
    st.integers(0, 2),
    st.floats(0, 1),
    st.sampled_from(["ACTIVE", "REDUCING"]),
)
def test_more_of_the_good_and_less_of_the_bad_never_closes_a_gate(
    decisions: int, trips: int, seconds: float, unreconciled: int, drawdown: float, state: str
) -> None:
    fine = Tale().good().evidence()
    worse = dataclasses.replace(
        fine,
        decisions=decisions,
        round_trips=trips,
        seconds=seconds,
        unreconciled=unreconciled,
        drawdown=drawdown,
        trading_state=state,
    )
    expected = (
        decisions >= 5 and trips >= 2 and seconds >= 3 and not unreconciled and drawdown <= 0.5 and state == "ACTIVE"
    )
    assert evaluate(worse, REHEARSAL, "testnet").passed is expected
