"""The journal judged by a venue's own books, not by the engine's opinion of itself.

For a sandbox, or any venue whose complete record of orders and executions can be read. Plain comparison: what was
intended, what the venue has, what both say was executed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from autotrader_lab.journal import Books
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import OrderStatus

__all__ = ["Audit", "VenueOrder", "VenueTrade", "audit", "binance_books"]


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """One order as the venue has it; `working` while it can still execute."""

    client_order_id: str
    order_id: str
    executed: Decimal
    working: bool


@dataclass(frozen=True, slots=True)
class VenueTrade:
    """One execution as the venue has it."""

    execution_id: str
    order_id: str
    quantity: Decimal
    price: Decimal


@dataclass(slots=True)
class Audit:
    """What the two records disagree about; all lists are empty when nothing was lost, doubled or left open.

    Attributes
    ----------
    orders : int
        Intents that were not denied.
    lost : list of str
        Executions, or orders of ours, that the venue has and the journal has not, and the other way round.
    duplicated : list of str
        Intents that became more than one venue order, or executions booked twice.
    unreconciled : list of str
        Orders still in doubt, or whose end or executed quantity differs.
    """

    orders: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unreconciled: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing doubled, nothing open."""
        return not (self.lost or self.duplicated or self.unreconciled)


def audit(books: Books, orders: Iterable[VenueOrder], trades: Iterable[VenueTrade]) -> Audit:
    """Compare a folded journal with a venue's orders and executions.

    Only venue orders whose client id the journal intended, and their executions, are looked at; one that looks like
    ours (the prefix before the last ``-``) and was never intended is lost.
    """
    result = Audit()
    sent = {key: order for key, order in books.orders.items() if order.status is not OrderStatus.DENIED}
    result.orders = len(sent)
    prefixes = {key.rsplit("-", 1)[0] for key in sent}
    found: dict[str, list[VenueOrder]] = {}
    owner: dict[str, str] = {}
    for order in orders:
        if order.client_order_id in sent:
            found.setdefault(order.client_order_id, []).append(order)
            owner[order.order_id] = order.client_order_id
        elif order.client_order_id.rsplit("-", 1)[0] in prefixes:
            result.lost.append(f"order {order.client_order_id} works at the venue and was never intended")
    result.duplicated += [f"{key} became {len(many)} venue orders" for key, many in found.items() if len(many) > 1]
    theirs = {trade.execution_id: trade for trade in trades if trade.order_id in owner}
    ours = Counter(fill.execution_id for fill in books.fills)
    result.duplicated += [f"execution {key} was booked {count} times" for key, count in ours.items() if count > 1]
    result.lost += [f"execution {key} of {owner[theirs[key].order_id]}" for key in theirs if key not in ours]
    result.lost += [f"execution {key} is booked and the venue has it not" for key in ours if key not in theirs]
    for fill in books.fills:
        trade = theirs.get(fill.execution_id)
        if trade is not None and (exact(fill.quantity), exact(fill.price)) != (trade.quantity, trade.price):
            result.unreconciled.append(f"execution {fill.execution_id}: quantity or price differ")
    for key, ordered in sent.items():
        there = found.get(key, [])
        if ordered.status is OrderStatus.UNKNOWN or ordered.status is OrderStatus.PENDING:
            result.unreconciled.append(f"{key} is {ordered.status.value}")
        elif not there and ordered.order_id:
            result.lost.append(f"order {key} was acknowledged and the venue has it not")
        elif there and there[0].working != ordered.is_open:
            result.unreconciled.append(f"{key} is {ordered.status.value} here, working there: {there[0].working}")
        elif there and there[0].executed != exact(ordered.filled_quantity):
            result.unreconciled.append(f"{key}: executed {ordered.filled_quantity} here, {there[0].executed} there")
    return result


def binance_books(dump: Mapping[str, Any]) -> tuple[list[VenueOrder], list[VenueTrade]]:
    """Orders and executions from the dump of a sandbox's Binance world."""
    orders, trades = [], []
    for account in dump["accounts"]:
        orders += [
            VenueOrder(
                row["clientOrderId"],
                str(row["orderId"]),
                Decimal(row["executedQty"]),
                row["status"] in ("NEW", "PARTIALLY_FILLED", "PENDING_NEW"),
            )
            for row in account["orders"]
        ]
        trades += [
            VenueTrade(str(row["tradeId"]), str(row["orderId"]), Decimal(row["qty"]), Decimal(row["price"]))
            for row in account["trades"]
        ]
    return orders, trades
