"""The judge of the chaos benchmark: the venue's own books against the journal, and nobody's opinion of himself.

Pure: two records go in, what they disagree about comes out. The engine is not asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from chaos_executions import Booked, Deal, compare
from venue_kit import Kit

from autotrader_lab.journal import Entry, fold, records
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Accepted, Order, OrderStatus, Rejected, Report

__all__ = ["Finding", "Judgement", "judge"]

ENDS = {
    "NEW": {OrderStatus.SUBMITTED},
    "PARTIALLY_FILLED": {OrderStatus.PARTIAL_FILL},
    "FILLED": {OrderStatus.FILLED},
    "CANCELED": {OrderStatus.CANCELLED},
    "REJECTED": {OrderStatus.REJECTED},
    # Ended by the venue: what a cancel found so is the same to us.
    "EXPIRED": {OrderStatus.EXPIRED, OrderStatus.CANCELLED},
    "EXPIRED_IN_MATCH": {OrderStatus.EXPIRED, OrderStatus.CANCELLED},
}
Window = tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """One disagreement: ``lost``, ``duplicated`` or ``unreconciled``, about which order or symbol, and what."""

    kind: str
    subject: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.what}"


@dataclass
class Judgement:
    """What the two records say.

    Attributes
    ----------
    orders : int
        Orders that were intended and let through by the risk gate: all that was or may have been sent.
    counted, delivered, dead : int
        Of those, sent while the venue was reachable; and of these the ones in the venue's books, and the ones given
        up as undelivered.
    """

    findings: list[Finding] = field(default_factory=list)
    orders: int = 0
    executions: int = 0
    counted: int = 0
    delivered: int = 0
    dead: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def count(self, kind: str) -> int:
        """How many findings of a kind."""
        return sum(1 for finding in self.findings if finding.kind == kind)

    @property
    def success_rate(self) -> float:
        return self.delivered / self.counted if self.counted else 1.0

    @property
    def dead_letter_rate(self) -> float:
        return self.dead / self.counted if self.counted else 0.0


def judge(
    entries: Iterable[Entry],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    kit: Kit,
    outages: Sequence[Window] = (),
) -> Judgement:
    """Compare.

    Parameters
    ----------
    entries : iterable of Entry
        The journal of the run.
    before, after : mapping
        The venue's books (``GET /books``) before the first order and at the end.
    kit : Kit
        How to read them.
    outages : sequence of (int, int)
        When the venue was down on purpose, ns since the epoch; orders intended then do not count for the rates.
    """
    written = list(entries)
    books = fold(written)
    result = Judgement()
    ours = {cid: order for cid, order in books.orders.items() if order.status is not OrderStatus.DENIED}
    meant = {kit.client_id(cid): cid for cid in ours}
    known_before = {(row["orderId"], row["clientOrderId"]) for row in _rows(before, "orders")}
    theirs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in _rows(after, "orders"):
        if (row["orderId"], row["clientOrderId"]) not in known_before:
            theirs[meant.get(row["clientOrderId"], row["clientOrderId"])].append(row)
    find = _Finder(result, kit)
    find.problems(books.problems)
    if kit.replaces:
        changes = Counter(entry.client_order_id for entry in written if entry.payload.get("type") == "Amended")
        theirs = {name: _as_one(rows, changes[name]) for name, rows in theirs.items()}
    find.orders(ours, theirs, _first_answers(written))
    rounded = find.executions(written, theirs, before, after)
    find.chains(ours)
    find.money(books.positions, before, after, rounded)
    result.orders = len(ours)
    for client_id, order in ours.items():
        intended_ns = books.origins[client_id].timestamp_ns
        if any(begin_ns <= intended_ns <= end_ns for begin_ns, end_ns in outages):
            continue
        # What ran out without an entry in the books was looked at by the venue and not kept, as some do.
        was_taken = client_id in theirs or order.status is OrderStatus.EXPIRED
        result.counted += 1
        result.delivered += was_taken
        letter = books.dead_letters.get(client_id)
        result.dead += letter is not None and letter.state == "dead"
        if not was_taken:
            result.refusals[f"{order.status.value}: {order.reason[:90]}"] += 1
    return result


class _Finder:
    def __init__(self, result: Judgement, kit: Kit) -> None:
        self._result = result
        self._kit = kit

    def _add(self, kind: str, subject: str, what: str) -> None:
        self._result.findings.append(Finding(kind, subject, what))

    def problems(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self._add("unreconciled", "journal", problem)

    def orders(
        self, ours: Mapping[str, Order], theirs: Mapping[str, Sequence[Mapping[str, Any]]], accepted: set[str]
    ) -> None:
        """Every order of the venue is in the journal once, and stands there as it stands here."""
        for client_id, rows in theirs.items():
            if client_id not in ours:
                self._add("lost", client_id, f"the venue has it ({rows[0]['status']}), the journal does not")
            if len(rows) > 1:
                self._add("duplicated", client_id, f"one intent, {len(rows)} orders at the venue")
        for client_id, order in ours.items():
            if order.status in (OrderStatus.UNKNOWN, OrderStatus.PENDING):
                self._add("unreconciled", client_id, f"is {order.status.value} at the end: {order.reason}")
            rows = theirs.get(client_id)
            if rows is None:
                if client_id in accepted:
                    self._add("lost", client_id, "the journal says accepted, the venue never had it")
                continue
            row = rows[-1]
            ends = ENDS[row["status"]]
            if row["status"] == "CANCELED" and order.effective_time_in_force in ("IOC", "FOK"):
                ends = ends | {OrderStatus.EXPIRED}  # not every venue's books tell the two apart
            if order.status not in ends:
                self._add("unreconciled", client_id, f"journal {order.status.value}, venue {row['status']}")
            if exact(order.filled_quantity) != Decimal(row["executedQty"]):
                self._add(
                    "unreconciled", client_id, f"journal filled {order.filled_quantity}, venue {row['executedQty']}"
                )
            if exact(order.quantity) != Decimal(row["origQty"]):
                self._add("unreconciled", client_id, f"journal quantity {order.quantity}, venue {row['origQty']}")

    def executions(
        self,
        written: Sequence[Entry],
        theirs: Mapping[str, Sequence[Mapping[str, Any]]],
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> dict[str, Decimal]:
        """Every trade of the venue was booked once; returns by how much cash is off because means were rounded."""
        known_before = {(row["symbol"], str(row["tradeId"])) for row in _rows(before, "trades")}
        owners = {
            str(row["orderId"]): client_id
            for client_id, rows in theirs.items()
            for row in rows
            if Decimal(row["executedQty"])  # the others may be of a list with numbers of its own
        }
        deals = [
            Deal(
                row["symbol"],
                str(row["tradeId"]),
                owners.get(str(row["orderId"]), ""),
                Decimal(row["qty"]),
                Decimal(row["price"]),
                Decimal(row["commission"]),
            )
            for row in _rows(after, "trades")
            if (row["symbol"], str(row["tradeId"])) not in known_before
        ]
        booked = []
        for entry in written:
            if entry.kind == records.REPORT and entry.payload.get("type") == "Filled":
                fill = entry.payload["fill"]
                figures = [exact(fill[name]) for name in ("quantity", "price", "commission")]
                name, sign = self._kit.symbols[fill["symbol"]][0], 1 if fill["side"] == "buy" else -1
                booked.append(Booked(name, fill["execution_id"], entry.payload["client_order_id"], *figures, sign))
        self._result.executions = len(deals)
        rounded: dict[str, Decimal] = defaultdict(Decimal)
        quotes = {name: quote for name, _, quote in self._kit.symbols.values()}
        of_owner = {one.owner: one.symbol for one in booked}
        for trouble in compare(deals, booked, self._kit):
            if trouble.kind:
                self._add(trouble.kind, trouble.subject, trouble.what)
            else:
                rounded[quotes[of_owner[trouble.subject.split(" ")[0]]]] += trouble.cash
        return rounded

    def chains(self, ours: Mapping[str, Order]) -> None:
        """An order and what replaced it never executed more than the largest target of the chain."""
        by_venue_id = {order.order_id: order for order in ours.values() if order.order_id}
        for order in ours.values():
            if order.overfilled:
                self._add(
                    "duplicated", order.client_order_id, f"asked {order.quantity}, filled {order.filled_quantity}"
                )
            replaced = str(order.metadata.get("replaced_order_id", ""))
            target = order.metadata.get("target")
            first = ours.get(replaced) or by_venue_id.get(replaced)
            if first is not None and target is not None:
                together = exact(first.filled_quantity) + exact(order.filled_quantity)
                if together > exact(target):
                    self._add("duplicated", order.client_order_id, f"chain filled {together} of {target}")

    def money(
        self,
        positions: Any,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        rounded: Mapping[str, Decimal],
    ) -> None:
        """What the account holds changed by exactly what the journal books."""
        symbols = self._kit.symbols
        expected: dict[str, Decimal] = defaultdict(Decimal)
        for currency, amount in rounded.items():
            expected[currency] += amount
        for symbol, position in positions.items():
            _, base, quote = symbols[symbol]
            expected[base] += position.quantity
            # Cash flow: what was earned, less what stands in the open position, less fees; fees taken in the base are
            # in its quantity already and cost no cash.
            expected[quote] += position.realised - position.open_cost - position.fees
            for currency, amount in position.other_fees.items():
                expected[currency] -= amount
        currencies = {currency for _, base, quote in symbols.values() for currency in (base, quote)}
        for currency in sorted(currencies):
            change = _total(after, currency) - _total(before, currency)
            if abs(change - expected[currency]) > self._kit.max_cash_error(self._result.executions):
                self._add(
                    "unreconciled", currency, f"the account changed by {change}, the journal says {expected[currency]}"
                )


def _rows(books: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [row for account in books["accounts"] for row in account[name]]


def _as_one(rows: Sequence[Mapping[str, Any]], changes: int) -> Sequence[Mapping[str, Any]]:
    """An order and what a change put in its place under the same id are one: the last, with all that was executed.

    Only for as many as there were changes, and where what was replaced had not executed.
    """
    gone = [row for row in rows if row["status"] == "CANCELED" and not Decimal(row["executedQty"])]
    left = [row for row in rows if row not in gone] or [max(rows, key=lambda row: (row["time"], row["orderId"]))]
    return left if len(left) == 1 and len(rows) <= 1 + changes else rows


def _total(books: Mapping[str, Any], currency: str) -> Decimal:
    total = Decimal(0)
    for account in books["accounts"]:
        row = account["balances"].get(currency)
        if row is not None:
            total += Decimal(row["free"]) + Decimal(row["locked"])
    return total


def _first_answers(written: Iterable[Entry]) -> set[str]:
    """Orders that the journal says the venue accepted."""
    accepted: set[str] = set()
    for entry in written:
        if entry.kind == records.REPORT:
            report: Any = entry.decode(Report)
            if isinstance(report, Accepted):
                accepted.add(report.client_order_id)
            elif isinstance(report, Rejected) and report.code == "NEVER_ARRIVED":
                accepted.discard(report.client_order_id)
    return accepted
