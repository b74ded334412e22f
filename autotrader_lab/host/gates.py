"""What the journal says about where a session stands and which stage is open to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from autotrader_lab.host.limits import LIMITS_CHECKPOINT
from autotrader_lab.host.runs import SessionInfo
from autotrader_lab.journal import Entry, Journal, records
from autotrader_lab.ladder import EVIDENCE_KINDS, STAGES, Verdict, evaluate, evidence
from autotrader_lab.ladder import label as stage_label
from autotrader_lab.ladder.stages import Stage

__all__ = [
    "BREACH_CHECKPOINT",
    "STAGE_CHECKPOINT",
    "Past",
    "gate_record",
    "label",
    "ladder",
    "last_state",
    "stage_entries",
    "verdict",
]

STAGE_CHECKPOINT = "stage"
BREACH_CHECKPOINT = "breach"
"""Name of the checkpoint that says which breached limit holds entries back; an empty reason: none any more."""


class Past(NamedTuple):
    """What an earlier host left.

    Attributes
    ----------
    stage : str
        The last stage that was entered; empty if none was.
    running : bool
        Whether it was never left: its host died.
    halted : str
        Why trading is halted; empty if it is not.
    options : dict or None
        What that stage was started with.
    limits : dict or None
        The risk limits a person set last, for the strategy the session has now.
    breach : str
        The breached limit that holds entries back until a person re-arms; empty if none does.
    detached : bool
        Whether the notebook let go of it on purpose.
    """

    stage: str = ""
    running: bool = False
    halted: str = ""
    options: dict[str, Any] | None = None
    limits: dict[str, Any] | None = None
    breach: str = ""
    detached: bool = False


def last_state(journal: Journal) -> Past:
    """Where the session stood when the last entry was written."""
    past = Past()
    fingerprint = ""
    kinds = (
        records.SESSION,
        records.STAGE_STARTED,
        records.STAGE_STOPPED,
        records.TRADING_STATE,
        records.CHECKPOINT,
        records.HOST,
    )
    for entry in journal.read(kinds=kinds):
        match entry.kind:
            case records.SESSION:
                told = entry.decode(records.SessionRecord).fingerprint
                if told != fingerprint:
                    fingerprint, past = told, past._replace(limits=None)
            case records.HOST:
                event = entry.decode(records.HostRecord).event
                if event in ("attach", "detach", "lease_lost"):
                    past = past._replace(detached=event == "detach")
            case records.STAGE_STARTED:
                past = past._replace(stage=entry.stage, running=True, options=None, breach="")
            case records.STAGE_STOPPED:
                if entry.stage == past.stage:
                    past = past._replace(running=False)
            case records.CHECKPOINT:
                checkpoint = entry.decode(records.Checkpoint)
                if checkpoint.name == LIMITS_CHECKPOINT:
                    past = past._replace(limits=checkpoint.state)
                elif entry.stage != past.stage:
                    continue
                elif checkpoint.name == STAGE_CHECKPOINT:
                    past = past._replace(options=checkpoint.state["options"])
                elif checkpoint.name == BREACH_CHECKPOINT:
                    past = past._replace(breach=checkpoint.state["reason"])
            case _:
                state = entry.decode(records.TradingStateRecord)
                past = past._replace(halted=(state.reason or "halted") if state.state == "HALTED" else "")
    return past


def stage_entries(journal: Journal, stage: str) -> Iterable[Entry]:
    """The entries of `stage` that belong to what it holds now: simulated stages begin anew at each start."""
    entries = list(journal.read(stage=stage))
    if stage in ("replay", "paper"):
        starts = [index for index, entry in enumerate(entries) if entry.kind == records.STAGE_STARTED]
        return entries[starts[-1] :] if starts else entries
    return entries


def verdict(journal: Journal, info: SessionInfo, target: str, *, real_venue: bool = False) -> Verdict:
    """Whether `target` is open to the session's strategy as it is now.

    Raises
    ------
    ConfigError
        If there is no such stage.
    """
    before = Stage.of(target).previous
    if before is None:  # always open: nothing needs to be read
        return evaluate(evidence((), target, info.fingerprint), info.profile, target)
    found = evidence(journal.read(stage=before.value, kinds=EVIDENCE_KINDS), before, info.fingerprint)
    return evaluate(found, info.profile, target, real_venue=real_venue)


def gate_record(found: Verdict) -> records.GateRecord:
    """A verdict as the journal keeps it."""
    plain = found.to_dict()
    return records.GateRecord(found.target.value, found.passed, found.profile, found.fingerprint, plain["checks"])


class GateRows:
    """The gate of every stage: what it takes to enter it, and whether that is there.

    A gate is read again only when the stage before it has written something.

    Parameters
    ----------
    journal : Journal
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._fingerprint = ""
        self._seen: dict[Stage, int] = {}
        self._rows: dict[Stage, dict[str, Any]] = {}

    def read(self, info: SessionInfo, *, real_venue: bool = False) -> list[dict[str, Any]]:
        """The gates as the journal stands."""
        if info.fingerprint != self._fingerprint:
            self._fingerprint, self._rows, self._seen = info.fingerprint, {}, {}
        for stage in STAGES:
            before = stage.previous or Stage.REPLAY
            newer = self._journal.read(stage=before.value, kinds=EVIDENCE_KINDS, after_seq=self._seen.get(stage, 0))
            if stage in self._rows and next(iter(newer), None) is None:
                continue
            self._seen[stage] = self._journal.last_seq()
            found = verdict(self._journal, info, stage.value, real_venue=real_venue)
            self._rows[stage] = {"stage": stage.value, "passed": found.passed, "checks": found.to_dict()["checks"]}
        return [self._rows[stage] for stage in STAGES]


def ladder(rows: list[dict[str, Any]], current: str) -> list[dict[str, Any]]:
    """Gates as the ladder people see: what lies behind, where the session is, what is open and what is locked."""
    rank = Stage.of(current).rank if current else -1
    shown = []
    for row in rows:
        own = Stage.of(row["stage"]).rank
        if own == rank:
            status = "current"
        elif own < rank:
            status = "done"
        else:
            status = "open" if row["passed"] else "locked"
        shown.append({"stage": row["stage"], "status": status, "passed": row["passed"], "checks": row["checks"]})
    return shown


def label(stage: str, profile: str) -> str:
    """How the stage is shown; idle sessions have none."""
    return stage_label(stage, profile) if stage else "IDLE"
