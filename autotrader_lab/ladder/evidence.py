"""What a stage has shown, counted from the journal.

Pure. Only runs of the very same fingerprint (strategy code, parameters, risk limits) count: change the strategy and it
must be earned again. A run in which our books and the venue's fell apart spoils itself and everything before it; the
next start of the stage begins anew. Of replays only the newest counts: the same history twice is no more evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from autotrader_lab.journal import records
from autotrader_lab.journal.fold import Books
from autotrader_lab.journal.records import Alert, Drill, EquityMark, Reconciliation, StageCounters, StageStarted
from autotrader_lab.journal.store import Entry
from autotrader_lab.ladder.stages import Stage
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.model.positions import Positions

__all__ = ["EVIDENCE_KINDS", "Evidence", "Latencies", "evidence"]

EVIDENCE_KINDS = (
    records.STAGE_STARTED,
    records.STAGE_STOPPED,
    records.DECISION,
    records.INTENT,
    records.REPORT,
    records.EQUITY,
    records.LATENCY,
    records.ALERT,
    records.TRADING_STATE,
    records.RECONCILIATION,
    records.DRILL,
    records.DEAD_LETTER,
    records.COUNTERS,
)
"""What :func:`evidence` looks at; reading only these saves time."""

HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Spans in ms, sorted."""

    values_ms: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.values_ms)

    def percentile(self, percent: float) -> float:
        """The smallest span that at least `percent` % do not exceed; NaN without any."""
        if not self.values_ms:
            return math.nan
        return self.values_ms[max(math.ceil(len(self.values_ms) * percent / 100) - 1, 0)]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one stage has shown for one fingerprint.

    Attributes
    ----------
    runs, spoiled_runs : int
        Runs that count; runs before and with a breach, which do not.
    others : tuple of str
        Other fingerprints this stage was run with.
    sandbox : bool
        Whether any counted run was at a venue on this machine.
    seconds : float
        Time the runs took; in replay the market time they covered.
    decisions, orders, denied, fills, round_trips : int
        Decisions to trade; orders sent (denied ones are not); orders we denied ourselves; executions; positions closed.
    refused : int
        Orders the venue refused, or that are dead letters.
    unreconciled : int
        Orders in doubt, orders of an ended run that nobody heard of again, and what the journal cannot explain.
    failed_reconciliations, drifts : int
        Times our books and the venue's differed, in the runs that count.
    dead_letters : int
        Orders a person had, or has, to settle.
    drawdown : float
        Largest fraction of the highest equity that was lost within a run.
    reconnect_s : float or None
        Longest outage; None if there was none.
    drills, failed_drills : int
        Kill-switch exercises that left nothing behind, and those that did not.
    trading_state : str
        The newest.
    """

    stage: Stage
    fingerprint: str
    runs: int = 0
    spoiled_runs: int = 0
    others: tuple[str, ...] = ()
    sandbox: bool = False
    seconds: float = 0.0
    decisions: int = 0
    orders: int = 0
    denied: int = 0
    fills: int = 0
    round_trips: int = 0
    refused: int = 0
    unreconciled: int = 0
    failed_reconciliations: int = 0
    drifts: int = 0
    dead_letters: int = 0
    drawdown: float = 0.0
    ack: Latencies = Latencies()
    notified: Latencies = Latencies()
    reconnect_s: float | None = None
    drills: int = 0
    failed_drills: int = 0
    trading_state: str = "ACTIVE"

    @property
    def success_rate(self) -> float:
        """Share of the orders sent that were accepted or filled; NaN if none was sent."""
        return 1.0 - self.refused / self.orders if self.orders else math.nan

    @property
    def dead_letter_rate(self) -> float:
        """Share of the orders sent that a person had to settle; 0 if none was sent."""
        return self.dead_letters / self.orders if self.orders else 0.0


@dataclass(slots=True)
class _Run:
    """One start of a stage, and what was written until the next."""

    started: StageStarted
    began_ns: int
    ended_ns: int
    market_ns: list[int] = field(default_factory=list)
    decisions: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    counters: StageCounters = field(default_factory=StageCounters)
    equity: list[float] = field(default_factory=list)
    drills: list[bool] = field(default_factory=list)
    outages_s: list[float] = field(default_factory=list)
    failed_reconciliations: int = 0
    drifts: int = 0

    @property
    def breached(self) -> bool:
        return bool(self.failed_reconciliations or self.drifts)

    @property
    def drawdown(self) -> float:
        worst, peak = 0.0, 0.0
        for equity in self.equity:
            peak = max(peak, equity)
            worst = max(worst, (peak - equity) / peak if peak > 0 else 0.0)
        return worst

    def seconds(self, stage: Stage) -> float:
        if stage is Stage.REPLAY:
            return (max(self.market_ns) - min(self.market_ns)) / 1e9 if self.market_ns else 0.0
        return (self.ended_ns - self.began_ns) / 1e9

    def take(self, entry: Entry) -> None:
        self.ended_ns = max(self.ended_ns, entry.timestamp_ns)
        match entry.kind:
            case records.DECISION:
                decision: records.DecisionRecord = entry.decode(records.DecisionRecord)
                self.market_ns.append(to_ns(decision.timestamp))
                if decision.action != HOLD:
                    self.decisions.add(decision.decision_id or entry.decision_id or str(entry.seq))
            case records.INTENT:
                self.orders.add(entry.payload["client_order_id"])
            case records.EQUITY:
                mark: EquityMark = entry.decode(EquityMark)
                self.market_ns.append(mark.timestamp_ns)
                self.equity.append(mark.equity)
            case records.COUNTERS:
                self.counters = entry.decode(StageCounters)
            case records.DRILL:
                drill: Drill = entry.decode(Drill)
                self.drills.append(drill.ok)
            case records.RECONCILIATION:
                found: Reconciliation = entry.decode(Reconciliation)
                self.failed_reconciliations += not found.ok
                if found.outage_s is not None:
                    self.outages_s.append(found.outage_s)
            case records.ALERT:
                alert: Alert = entry.decode(Alert)
                self.drifts += alert.code == records.DRIFT_CODE
            case _:
                pass


def evidence(
    entries: Iterable[Entry], stage: str | Stage, fingerprint: str, instruments: Instruments | None = None
) -> Evidence:
    """What `entries` show of `stage` for `fingerprint`.

    Parameters
    ----------
    entries : iterable of Entry
        A journal's, oldest first; other stages' may be among them. Of several journals, one after the other.
    stage : str or Stage
    fingerprint : str
        Of strategy code, parameters and risk limits.
    instruments : Instruments, optional
        For lot sizes the stage's start did not record; without any, a position is open while dust of it is left.

    Raises
    ------
    JournalError
        If an entry cannot be decoded.
    """
    stage = Stage.of(stage)
    own: list[_Run] = []
    others: dict[str, None] = {}
    current: dict[str, _Run] = {}
    books = Books(positions=Positions(instruments))
    notified: dict[str, list[float]] = {}
    for entry in entries:
        if entry.stage != stage.value:
            continue
        if entry.kind == records.STAGE_STARTED:
            run = _Run(entry.decode(StageStarted), entry.timestamp_ns, entry.timestamp_ns)
            current[entry.session] = run
            # Nothing starts while halted: whoever started it has re-armed, under whatever stage that was written.
            books.trading_state = records.TradingStateRecord("ACTIVE")
            if run.started.fingerprint != fingerprint:
                others[run.started.fingerprint] = None
            else:
                if stage is Stage.REPLAY:
                    own.clear()
                    books = Books(positions=Positions(instruments))
                    notified.clear()
                own.append(run)
        elif entry.session in current:
            current[entry.session].take(entry)
        if stage is Stage.REPLAY and entry.session in current and current[entry.session] not in own:
            continue
        # Equity and alerts are counted above, run by run; there may be very many of them.
        if entry.kind not in (records.EQUITY, records.ALERT):
            known = len(books.fills)
            books.apply(entry)
            for fill in books.fills[known:]:
                age_ms = max(entry.timestamp_ns - to_ns(fill.timestamp), 0) / 1e6
                notified.setdefault(fill.client_order_id, []).append(age_ms)
    # The newest run always counts, so that what it did wrong is seen.
    first = max((index + 1 for index, run in enumerate(own[:-1]) if run.breached), default=0)
    counted = own[first:]
    if not counted:
        return Evidence(stage, fingerprint, others=tuple(others))
    ids = set[str]().union(*(run.orders for run in counted))
    lost = ids - counted[-1].orders
    states = {key: books.orders[key].status for key in ids}
    sent = {key for key, status in states.items() if status is not OrderStatus.DENIED}
    # An intent of the newest run may be on its way this moment; one of an ended run should have been settled.
    unresolved = {
        key
        for key in sent
        if states[key] is OrderStatus.UNKNOWN or (states[key] is OrderStatus.PENDING and key in lost)
    }
    dead = ids & books.dead_letters.keys()
    refused = {key for key in sent if states[key] is OrderStatus.REJECTED} | unresolved | (dead & sent)
    trips = Positions(instruments)
    for instrument in (instrument for run in counted for instrument in run.started.instruments):
        trips.know(instrument)
    for fill in books.fills:
        if fill.client_order_id in ids:
            trips.apply(fill)
    latencies = [books.latencies[key] for key in ids & books.latencies.keys()]
    return Evidence(
        stage=stage,
        fingerprint=fingerprint,
        runs=len(counted),
        spoiled_runs=first,
        others=tuple(others),
        sandbox=any(run.started.sandbox for run in counted),
        seconds=sum(run.seconds(stage) for run in counted),
        decisions=max(
            len(set[str]().union(*(run.decisions for run in counted))), *(run.counters.decisions for run in counted)
        ),
        orders=max(len(sent), *(run.counters.orders for run in counted)),
        denied=max(len(ids) - len(sent), *(run.counters.denied for run in counted)),
        fills=max(sum(len(books.orders[key].execution_ids) for key in ids), *(run.counters.fills for run in counted)),
        round_trips=max(
            sum(position.round_trips for position in trips.values()), *(run.counters.round_trips for run in counted)
        ),
        refused=max(len(refused), *(run.counters.rejected for run in counted)),
        unreconciled=len(unresolved) + len(books.orphans) + len(books.problems),
        failed_reconciliations=sum(run.failed_reconciliations for run in counted),
        drifts=sum(run.drifts for run in counted),
        dead_letters=len(dead),
        drawdown=max(run.drawdown for run in counted),
        ack=_sorted(
            (item.ack_ns - item.wire_ns) / 1e6
            for item in latencies
            if item.ack_ns is not None and item.wire_ns is not None
        ),
        notified=_sorted(age_ms for key in ids for age_ms in notified.get(key, ())),
        reconnect_s=max((outage for run in counted for outage in run.outages_s), default=None),
        drills=sum(ok for run in counted for ok in run.drills),
        failed_drills=sum(not ok for run in counted for ok in run.drills),
        trading_state=books.trading_state.state,
    )


def _sorted(spans_ms: Iterable[float]) -> Latencies:
    return Latencies(tuple(sorted(spans_ms)))
