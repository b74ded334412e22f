"""How long each leg of an order took: decision → journal → wire → ack → fill → notified.

Times are monotonic nanoseconds of this process; one record per order goes to the journal when it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from autotrader_lab.execution.book import Change
from autotrader_lab.execution.oms.desk import Desk
from autotrader_lab.journal.records import OrderLatency
from autotrader_lab.model.clock import Clock, to_ns
from autotrader_lab.model.orders import Accepted, Filled, Report

__all__ = ["LatencyLog", "percentiles"]


def percentiles(values: Iterable[float]) -> dict[str, float | int | None]:
    """Median and 99th percentile (nearest rank) with the count; None where there is nothing."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p99": None, "n": 0}
    last = len(ordered) - 1
    return {"p50": ordered[round(0.5 * last)], "p99": ordered[round(0.99 * last)], "n": len(ordered)}


class LatencyLog:
    """Collects the legs.

    Parameters
    ----------
    desk : Desk
        Whose journal and stage are used.
    clock : Clock
    keep : int
        How many of the newest values the live percentiles are over.
    """

    def __init__(self, desk: Desk, clock: Clock, keep: int = 2_000) -> None:
        self._desk = desk
        self._clock = clock
        self._legs: dict[str, dict[str, int]] = {}
        self.decision_to_wire_us: deque[float] = deque(maxlen=keep)
        self.submit_to_ack_ms: deque[float] = deque(maxlen=keep)
        self.fill_to_notified_ms: deque[float] = deque(maxlen=keep)

    def begin(self, client_order_id: str, decision_ns: int) -> None:
        """An order was approved; its market event was taken up at `decision_ns` (monotonic)."""
        self._legs[client_order_id] = {"decision_ns": decision_ns}

    def mark(self, client_order_id: str, leg: str) -> None:
        """The order reached `leg` now."""
        now_ns = self._clock.monotonic_ns()
        legs = self._legs.setdefault(client_order_id, {"decision_ns": now_ns})
        legs.setdefault(leg, now_ns)
        if leg == "wire_ns":
            self.decision_to_wire_us.append((now_ns - legs["decision_ns"]) / 1e3)

    def on_report(self, report: Report) -> None:
        """A report arrived, before it is booked."""
        legs = self._legs.get(report.client_order_id)
        if legs is None:
            return
        now_ns = self._clock.monotonic_ns()
        if isinstance(report, (Accepted, Filled)) and "ack_ns" not in legs and "wire_ns" in legs:
            legs["ack_ns"] = now_ns
            self.submit_to_ack_ms.append((now_ns - legs["wire_ns"]) / 1e6)
        if isinstance(report, Filled):
            legs.setdefault("fill_ns", now_ns)

    def on_change(self, change: Change) -> None:
        """A report was booked and the strategy told."""
        client_id = change.order.client_order_id
        legs = self._legs.get(client_id)
        if legs is None:
            return
        if isinstance(change.report, Filled):
            legs.setdefault("notified_ns", self._clock.monotonic_ns())
            age_ns = self._clock.now_ns() - to_ns(change.report.fill.timestamp)
            self.fill_to_notified_ms.append(max(age_ns, 0) / 1e6)
        if change.finished:
            del self._legs[client_id]
            record = OrderLatency(
                client_order_id=client_id,
                decision_ns=legs["decision_ns"],
                journal_ns=legs.get("journal_ns"),
                wire_ns=legs.get("wire_ns"),
                ack_ns=legs.get("ack_ns"),
                fill_ns=legs.get("fill_ns"),
                notified_ns=legs.get("notified_ns"),
            )
            self._desk.journal.append(
                "latency", record, stage=self._desk.stage, client_order_id=client_id, timestamp_ns=self._clock.now_ns()
            )

    def summary(self) -> dict[str, Any]:
        """Percentiles of each leg."""
        return {
            "decision_to_wire_us": percentiles(self.decision_to_wire_us),
            "submit_to_ack_ms": percentiles(self.submit_to_ack_ms),
            "fill_to_notified_ms": percentiles(self.fill_to_notified_ms),
        }
