"""Whether the evidence of one stage opens the next: a list of checks that a person can read and a rule can follow."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from autotrader_lab.journal.store import Entry
from autotrader_lab.ladder.evidence import Evidence, Latencies, evidence
from autotrader_lab.ladder.profiles import Profile, Requirements
from autotrader_lab.ladder.profiles import profile as find_profile
from autotrader_lab.ladder.stages import STAGES, Stage, label
from autotrader_lab.model.errors import GateClosed
from autotrader_lab.model.instruments import Instruments

__all__ = ["Check", "Verdict", "climb", "evaluate"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing asked, what was found, and in words why it is not enough."""

    name: str
    asked: str
    got: str
    passed: bool
    why: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Verdict:
    """Whether `target` is open under a profile, and each check that says so. True if it is."""

    target: Stage
    profile: str
    fingerprint: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check is."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """What is missing."""
        return tuple(check for check in self.checks if not check.passed)

    def __bool__(self) -> bool:
        return self.passed

    def require(self) -> None:
        """Do nothing if the gate is open.

        Raises
        ------
        GateClosed
            Naming every check that failed.
        """
        if not self.passed:
            missing = "; ".join(f"{check.name}: {check.why}" for check in self.failed)
            raise GateClosed(f"{label(self.target, self.profile)} is not open: {missing}")

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the control interface and the journal."""
        return {
            "target": self.target.value,
            "label": label(self.target, self.profile),
            "profile": self.profile,
            "fingerprint": self.fingerprint,
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per check, indexed by its name."""
        columns = ["name", "asked", "got", "passed", "why"]
        frame = pd.DataFrame([asdict(check) for check in self.checks], columns=columns)
        return frame.astype({"passed": bool}).set_index("name")

    @property
    def headline(self) -> str:
        """One line: which gate, and whether it is open."""
        count = len(self.failed)
        state = "open" if self.passed else f"closed, {count} of {len(self.checks)} checks missing"
        return f"Gate to {label(self.target, self.profile)}: {state}"

    def __repr__(self) -> str:
        rows = [
            (("✓" if check.passed else "✗"), check.name, check.asked, check.got, check.why) for check in self.checks
        ]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        lines = [
            "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]).rstrip()
            for row in rows
        ]
        return "\n".join([self.headline, *lines])

    def _repr_html_(self) -> str:
        def cells(values: Iterable[str], tag: str) -> str:
            return "".join(f"<{tag} style='text-align:left'>{html.escape(value)}</{tag}>" for value in values)

        rows = "".join(
            "<tr>"
            + cells(("✓" if check.passed else "✗", check.name, check.asked, check.got, check.why), "td")
            + "</tr>"
            for check in self.checks
        )
        head = cells(("", "check", "asked", "got", "why"), "th")
        return f"<table><caption>{html.escape(self.headline)}</caption><tr>{head}</tr>{rows}</table>"


def evaluate(found: Evidence, profile: str | Profile, target: str | Stage, *, real_venue: bool = False) -> Verdict:
    """Whether `found`, the evidence of the stage before, opens `target`.

    Parameters
    ----------
    found : Evidence
    profile : str or Profile
    target : str or Stage
        Replay is always open.
    real_venue : bool
        Whether `target` would trade at a venue that is not on this machine: evidence from the sandbox does not open it.

    Raises
    ------
    GateClosed
        If the evidence is of another stage than the one that leads to `target`.
    """
    target = Stage.of(target)
    chosen = find_profile(profile)
    before = target.previous
    if before is None:
        return Verdict(target, chosen.name, found.fingerprint, ())
    if found.stage is not before:
        raise GateClosed(f"evidence of {found.stage} cannot open {target}; it takes that of {before}")
    asked = chosen.stages[before]
    checks = list(_checks(found, asked))
    if real_venue and before is Stage.TESTNET:
        checks.append(
            _check(
                "venue",
                "the venue's own testnet",
                "the sandbox" if found.sandbox else "the venue's own testnet",
                not found.sandbox,
                "evidence from the local sandbox does not open a real venue; run testnet at the venue",
            )
        )
    return Verdict(target, chosen.name, found.fingerprint, tuple(checks))


def climb(
    entries: Iterable[Entry], fingerprint: str, profile: str | Profile, instruments: Instruments | None = None
) -> dict[Stage, Verdict]:
    """The gate of every stage, as the journal stands."""
    known = list(entries)
    verdicts = {}
    for target in STAGES:
        before = target.previous or Stage.REPLAY
        verdicts[target] = evaluate(evidence(known, before, fingerprint, instruments), profile, target)
    return verdicts


def _checks(found: Evidence, asked: Requirements) -> Iterator[Check]:
    stage = found.stage.value
    others = f"; it ran as {', '.join(found.others)}, which does not count" if found.others else ""
    spoiled = f" ({found.spoiled_runs} more spoiled by a breach)" if found.spoiled_runs else ""
    yield _check(
        "evidence",
        f"runs as {found.fingerprint}",
        f"{found.runs}{spoiled}",
        found.runs > 0,
        f"{stage} has not run with this strategy, its parameters and risk limits{others}; start it",
    )
    yield _at_least("decisions", asked.min_decisions, found.decisions, f"let {stage} run on")
    yield _at_least("round trips", asked.min_round_trips, found.round_trips, f"let {stage} run on")
    yield _check(
        "time run",
        f"≥ {_span(asked.min_seconds)}",
        _span(found.seconds),
        found.seconds >= asked.min_seconds,
        f"{_span(asked.min_seconds - found.seconds)} to go",
    )
    yield _none("unreconciled", found.unreconciled, "orders whose fate nobody knows: reconcile, or settle them by hand")
    again = f"find out why; then start {stage} again, evidence begins anew"
    yield _none("failed reconciliations", found.failed_reconciliations, again)
    yield _none("position drift", found.drifts, again)
    yield from _rates(found, asked)
    yield from _latencies("order latency", found.ack, asked.ack_p50_under_ms, asked.ack_p99_under_ms)
    yield from _latencies("fill latency", found.notified, asked.notified_p50_under_ms, asked.notified_p99_under_ms)
    if asked.reconnect_under_s is not None:
        slowest = found.reconnect_s
        yield _check(
            "reconnection",
            f"< {asked.reconnect_under_s:g} s",
            "no outage" if slowest is None else f"{slowest:.2f} s",
            slowest is None or slowest < asked.reconnect_under_s,
            "the longest outage took too long; look at the network and the venue's status",
        )
    yield _check(
        "drawdown",
        f"≤ {asked.max_drawdown:.1%}",
        f"{found.drawdown:.2%}",
        found.drawdown <= asked.max_drawdown,
        "the strategy lost too much; change it or its limits and earn the evidence anew",
    )
    if asked.drill:
        failed = f" ({found.failed_drills} failed)" if found.failed_drills else ""
        yield _check(
            "kill switch drilled",
            "≥ 1",
            f"{found.drills}{failed}",
            found.drills > 0,
            f"pull the kill switch once as a drill while {stage} runs",
        )
    yield _check(
        "trading state",
        "ACTIVE",
        found.trading_state,
        found.trading_state == "ACTIVE",
        "trading is stopped or reduced; find out why and re-arm",
    )


def _rates(found: Evidence, asked: Requirements) -> Iterator[Check]:
    if asked.success_rate_over is not None:
        rate = found.success_rate
        yield _check(
            "success rate",
            f"> {asked.success_rate_over:.1%}",
            "no order sent" if math.isnan(rate) else f"{rate:.2%} of {found.orders}",
            rate > asked.success_rate_over,
            "no order was sent yet" if math.isnan(rate) else f"the venue did not take {found.refused} orders; see why",
        )
    if asked.dead_letter_rate_under is not None:
        yield _check(
            "dead letters",
            f"< {asked.dead_letter_rate_under:.2%}",
            f"{found.dead_letters} of {found.orders}",
            found.dead_letter_rate < asked.dead_letter_rate_under,
            "too many orders needed a person; see why they failed",
        )


def _latencies(name: str, found: Latencies, p50_ms: float | None, p99_ms: float | None) -> Iterator[Check]:
    for percent, under_ms in ((50, p50_ms), (99, p99_ms)):
        if under_ms is not None:
            got_ms = found.percentile(percent)
            yield _check(
                f"{name} p{percent}",
                f"< {under_ms:g} ms",
                f"{got_ms:.1f} ms of {len(found)}" if len(found) else "not measured",
                got_ms < under_ms,
                "too slow; look at the network and the venue" if len(found) else "nothing was measured yet",
            )


def _check(name: str, asked: str, got: str, passed: bool, otherwise: str) -> Check:
    return Check(name, asked, got, passed, "" if passed else otherwise)


def _at_least(name: str, asked: int, got: int, otherwise: str) -> Check:
    return _check(name, f"≥ {asked}", str(got), got >= asked, f"{asked - got} to go: {otherwise}")


def _none(name: str, got: int, otherwise: str) -> Check:
    return _check(name, "0", str(got), got == 0, otherwise)


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
