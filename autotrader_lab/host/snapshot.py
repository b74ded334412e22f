"""What people see of a session: one plain JSON value, read from the journal and a few live facts.

The journal is folded as it grows, so a snapshot costs what is new since the last one. The same fold, without a host,
shows a session whose host has died.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from autotrader_lab._version import __version__
from autotrader_lab.host import gates
from autotrader_lab.host.dead_man import coverage
from autotrader_lab.journal import Entry, Journal, records
from autotrader_lab.journal.fold import Books
from autotrader_lab.model.clock import SystemClock, to_ns
from autotrader_lab.model.orders import Order, OrderStatus

if TYPE_CHECKING:
    from autotrader_lab.host.runs import SessionInfo
    from autotrader_lab.host.session import Session

__all__ = ["StageBooks", "View", "attention", "offline_snapshot", "order_row"]

STAGES = ("replay", "paper", "testnet", "live")
ORDERS_SHOWN = 50
ALERTS_SHOWN = 20
EQUITY_POINTS = 200
_GATE_INTERVAL_NS = 500_000_000
_ENTRIES_AT_ONCE = 100
_LATENCIES_SHOWN = 2_000


class StageBooks:
    """The books of the stage the session is in, kept up to date from the journal.

    A stage that begins anew with simulated money begins with empty books; testnet and live go on with what the account
    holds.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._by_stage: dict[str, Books] = {}
        self._counters: dict[str, records.StageCounters] = {}
        self.starting_equity: dict[str, float] = {}
        self.alerts: list[tuple[int, records.Alert]] = []
        self.last_seq = 0

    def update(self) -> None:
        """Take in what was written since the last time."""
        self.take(self._journal.read(after_seq=self.last_seq))

    def take(self, entries: Iterable[Entry]) -> None:
        """Take entries in, oldest first; those seen before change nothing."""
        for entry in entries:
            if entry.seq > self.last_seq:
                self.last_seq = entry.seq
                self._take(entry)

    def of(self, stage: str) -> Books:
        """The books of `stage`."""
        return self._by_stage.setdefault(stage, Books())

    def counters(self, stage: str) -> records.StageCounters | None:
        """What the stage said of itself, where it did."""
        return self._counters.get(stage)

    def _take(self, entry: Entry) -> None:
        if entry.kind == records.ALERT:
            self.alerts.append((entry.timestamp_ns, entry.decode(records.Alert)))
            del self.alerts[:-ALERTS_SHOWN]
            return
        if not entry.stage:
            return
        if entry.kind == records.STAGE_STARTED:
            started: records.StageStarted = entry.decode(records.StageStarted)
            if entry.stage in ("replay", "paper"):
                self._by_stage[entry.stage] = Books()
                self._counters.pop(entry.stage, None)
                self.starting_equity.pop(entry.stage, None)
            if started.starting_equity is not None:
                self.starting_equity.setdefault(entry.stage, started.starting_equity)
        elif entry.kind == records.COUNTERS:
            self._counters[entry.stage] = entry.decode(records.StageCounters)
        else:
            self.of(entry.stage).apply(entry)


class GateCache:
    """The gates as they stood a moment ago: they are read from the whole journal, so in a thread and not too often.

    Parameters
    ----------
    journal : Journal
    real_venue : bool
        Whether the session's venue is not on this machine.
    """

    def __init__(self, journal: Journal, real_venue: bool) -> None:
        self._journal = journal
        self._real_venue = real_venue
        self._reader = gates.GateRows(journal)
        self._rows: list[dict[str, Any]] = []
        self._seq = -1
        self._fingerprint = ""
        self._due_ns = 0
        self._working: asyncio.Task[None] | None = None

    def rows(self, info: SessionInfo, now_ns: int, *, look: bool) -> list[dict[str, Any]]:
        """What is known; with `look`, asks for news in the background where there may be some."""
        if not self._rows or info.fingerprint != self._fingerprint:
            self._read(info)  # never show one strategy's evidence as another's
        elif look and now_ns >= self._due_ns and self._working is None and self._journal.last_seq() != self._seq:
            self._working = asyncio.get_running_loop().create_task(self._refresh(info), name="gates")
        return self._rows

    async def close(self) -> None:
        """Await what is under way."""
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)

    async def _refresh(self, info: SessionInfo) -> None:
        clock = SystemClock()
        began_ns = clock.monotonic_ns()
        try:
            await asyncio.to_thread(self._read, info)
        finally:
            now_ns = clock.monotonic_ns()
            self._due_ns = now_ns + max(_GATE_INTERVAL_NS, 5 * (now_ns - began_ns))
            self._working = None

    def _read(self, info: SessionInfo) -> None:
        seq = self._journal.last_seq()
        self._rows = self._reader.read(info, real_venue=self._real_venue)
        self._seq, self._fingerprint = seq, info.fingerprint


class View:
    """Makes the snapshots of one session.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._books = StageBooks(session.journal)
        self._gates = GateCache(session.journal, not session.settings.is_local)
        self._content_of: tuple[Any, ...] = ()
        self._known: dict[str, Any] = {}

    async def catch_up(self) -> None:
        """Read what a replay wrote, in a thread and in small helpings: the loop has other things to do."""
        entries = self._session.journal.read(after_seq=self._books.last_seq)
        while helping := await asyncio.to_thread(lambda: list(islice(entries, _ENTRIES_AT_ONCE))):
            self._books.take(helping)

    async def close(self) -> None:
        """Let go of the journal."""
        await self._gates.close()

    def _content(self, *, catching_up: bool) -> dict[str, Any]:
        """What the journal says; made again only when it has grown and was read to its end: a day's books are large."""
        session = self._session
        key = (session.stage, session.info, self._books.last_seq)
        same = key[:2] == self._content_of[:2] if catching_up else key == self._content_of
        if not same:
            self._content_of, self._known = key, _content(session.info, self._books, session.stage)
        return dict(self._known)

    def snapshot(self) -> dict[str, Any]:
        """The state now, in the form of the contract."""
        session = self._session
        run = session.run_of_stage
        progress = run.progress() if run is not None else None
        if progress is None:  # a replay writes faster than it can be shown; its end is awaited by catch_up
            self._books.update()
        content = self._content(catching_up=progress is not None)
        rows = self._gates.rows(session.info, session.clock.monotonic_ns(), look=progress is None)
        content |= {
            "state": session.shown_state,
            "trading_state": "HALTED" if session.halted else content["trading_state"],
            "armed_until_ns": session.arming.armed_until_ns,
            "lease": session.lease.state,
            "heartbeat_ns": session.clock.now_ns(),
            "pid": os.getpid(),
            "halted": session.halted,
            "breach": session.breach,
            "held_back": {},
            "coverage": run.coverage(session.lease.state) if run is not None else coverage("", "none", "", None),
            "failure": run.failure if run is not None else "",
            "progress": progress,
            "ladder": gates.ladder(rows, session.stage),
        }
        if run is not None:
            content |= {name: value for name, value in run.live_facts().items() if value is not None}
        return content


def offline_snapshot(info: SessionInfo, journal: Journal) -> dict[str, Any]:
    """The state of a session without a host, from its journal alone."""
    books = StageBooks(journal)
    books.update()
    past = gates.last_state(journal)
    content = _content(info, books, past.stage)
    died = "the engine host has died; await lab.recover() starts a new one that continues" if past.running else ""
    return content | {
        "attention": attention(books.of(past.stage), host_died=past.running),
        "state": "failed" if past.running else "halted" if past.halted else "stopped" if past.stage else "idle",
        "trading_state": "HALTED" if past.halted or past.running else content["trading_state"],
        "armed_until_ns": None,
        "lease": "none",
        "heartbeat_ns": 0,
        "pid": 0,
        "halted": past.halted,
        "breach": past.breach,
        "held_back": {},
        "coverage": coverage(past.stage if past.running else "", "none", "", None),
        "failure": died,
        "progress": None,
        "ladder": gates.ladder(gates.GateRows(journal).read(info, real_venue=not info.sandbox), past.stage),
    }


def _content(info: SessionInfo, stage_books: StageBooks, stage: str) -> dict[str, Any]:
    books = stage_books.of(stage)
    return {
        "session": info.session,
        "version": __version__,
        "profile": info.profile,
        "label": gates.label(stage, info.profile),
        "stage": stage,
        "trading_state": books.trading_state.state,
        "symbols": list(info.symbols),
        "strategy": info.strategy,
        "fingerprint": info.fingerprint,
        "sandbox": info.sandbox,
        "equity": _equity(books, stage_books.starting_equity.get(stage)),
        "positions": _positions(books),
        "orders": [order_row(order) for order in _newest(books.orders, ORDERS_SHOWN)],
        "attention": attention(books),
        "counters": _counters(books, stage_books.counters(stage)),
        "rates": _rates(books),
        "latency": _latency(books),
        "alerts": [
            {"t_ms": time_ns // 1_000_000, "level": alert.level, "code": alert.code, "message": alert.message}
            for time_ns, alert in reversed(stage_books.alerts)
        ],
    }


def _newest(orders: dict[str, Order], count: int) -> list[Order]:
    return list(islice(reversed(orders.values()), count))


def order_row(order: Order) -> dict[str, Any]:
    """One order as people see it."""
    moved = order.updated_at or order.created_at
    return {
        "client_order_id": order.client_order_id,
        "order_id": order.order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.order_type.value,
        "quantity": order.quantity,
        "filled": order.filled_quantity,
        "price": order.price if order.price is not None else order.stop_price,
        "average_price": order.avg_fill_price or None,
        "status": order.status.value,
        "reason": order.reason,
        "updated_ms": to_ns(moved) // 1_000_000 if moved is not None else 0,
    }


def attention(books: Books, *, host_died: bool = False) -> list[dict[str, Any]]:
    """Orders that a person may have to decide about: in doubt, or never delivered.

    Parameters
    ----------
    books : Books
    host_died : bool
        Whether nobody works on them any more: then what was written down and not answered is in doubt too.
    """
    rows = []
    for name, letter in books.dead_letters.items():
        if letter.state == "dead" and name in books.orders:
            rows.append(_attention_row(books.orders[name], "dead_letter", letter.reason, letter.attempts))
    for order in books.orders.values():
        if order.status is OrderStatus.UNKNOWN:
            rows.append(_attention_row(order, "unknown", order.reason, 1))
        elif host_died and order.status is OrderStatus.PENDING:
            rows.append(_attention_row(order, "unknown", "the host died while it was being sent", 1))
    return rows


def _attention_row(order: Order, status: str, reason: str, attempts: int) -> dict[str, Any]:
    since = order.updated_at or order.created_at
    return {
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "quantity": order.quantity,
        "price": order.price if order.price is not None else order.stop_price,
        "status": status,
        "reason": reason,
        "since_ms": to_ns(since) // 1_000_000 if since is not None else 0,
        "attempts": attempts,
    }


def _equity(books: Books, start: float | None) -> dict[str, Any] | None:
    if not books.equity:
        return None
    step = max(math.ceil(len(books.equity) / EQUITY_POINTS), 1)
    shown = [mark for _, mark in books.equity[::-step][::-1]]
    last = shown[-1]
    return {
        "value": last.equity,
        "start": start if start is not None else books.equity[0][1].equity,
        "realised": last.realised,
        "unrealised": last.unrealised,
        "fees": last.fees,
        "drawdown": last.drawdown,
        "series": [[mark.timestamp_ns // 1_000_000, mark.equity] for mark in shown],
    }


def _positions(books: Books) -> list[dict[str, Any]]:
    rows = []
    for symbol, position in books.positions.items():
        mark = books.marks.get(symbol)
        rows.append(
            {
                "symbol": symbol,
                "quantity": float(position.quantity),
                "average_price": float(position.average_price),
                "mark": mark,
                "unrealised": float(position.unrealised(mark)) if mark is not None else 0.0,
                "realised": float(position.realised),
            }
        )
    return rows


def _counters(books: Books, told: records.StageCounters | None) -> dict[str, Any]:
    status = [order.status for order in books.orders.values()]
    denied = status.count(OrderStatus.DENIED)
    failed = [item for _, item in books.reconciliations[-1:] if not item.ok]
    counted = {
        "decisions": len(books.decisions),
        "orders": len(status) - denied,
        "fills": len(books.fills),
        "denied": denied,
        "rejected": status.count(OrderStatus.REJECTED),
        "round_trips": sum(position.round_trips for position in books.positions.values()),
    }
    if told is not None:  # replay does not journal each order
        counted = {name: max(value, getattr(told, name)) for name, value in counted.items()}
    return counted | {
        "holds": told.holds if told is not None else 0,
        "open": len(books.open_orders),
        "unknown": status.count(OrderStatus.UNKNOWN),
        "unreconciled": sum(max(len(item.differences), 1) for item in failed)
        + len(books.problems)
        + len(books.orphans),
        "dead_letters": sum(1 for letter in books.dead_letters.values() if letter.state == "dead"),
    }


def _rates(books: Books) -> dict[str, float | None]:
    """The specification's rates, as the engine's monitor counts them; without a host too."""
    sent = [order.status for order in books.orders.values() if order.status is not OrderStatus.DENIED]
    known = len(sent) - sent.count(OrderStatus.PENDING) - sent.count(OrderStatus.UNKNOWN)
    dead = sum(1 for letter in books.dead_letters.values() if letter.state == "dead")
    return {
        "success": 1 - sent.count(OrderStatus.REJECTED) / known if known else None,
        "dead_letters": dead / len(sent) if sent else None,
    }


def _latency(books: Books) -> Mapping[str, Any]:
    legs: dict[str, list[float]] = {"submit_to_ack_ms": [], "decision_to_wire_us": [], "fill_to_notified_ms": []}
    for item in islice(reversed(books.latencies.values()), _LATENCIES_SHOWN):
        if item.wire_ns is not None:
            legs["decision_to_wire_us"].append((item.wire_ns - item.decision_ns) / 1e3)
            if item.ack_ns is not None:
                legs["submit_to_ack_ms"].append((item.ack_ns - item.wire_ns) / 1e6)
        if item.fill_ns is not None and item.notified_ns is not None:
            legs["fill_to_notified_ms"].append((item.notified_ns - item.fill_ns) / 1e6)
    return {name: _percentiles(values) for name, values in legs.items()}


def _percentiles(values: list[float]) -> dict[str, Any]:
    if not values:
        return {"p50": None, "p99": None, "n": 0}
    ordered = sorted(values)
    last = len(ordered) - 1
    return {"p50": ordered[round(0.5 * last)], "p99": ordered[round(0.99 * last)], "n": len(ordered)}
