"""Our books against the venue's: a list of differences, and what to do about each. Pure.

The engine asks the venue, this module compares. The same comparison runs at start, after every reconnect and on
a timer; while it finds what it cannot explain, nothing new is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from autotrader_lab.execution.book import OrderBook
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus

__all__ = ["Difference", "foreign_orders", "position_drift"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing the two books disagree about.

    Attributes
    ----------
    kind : str
        ``position_drift``, ``foreign_order``, or ``no_answer`` where the venue did not say.
    subject : str
        Symbol or order id.
    ours, theirs : str
        What each book says.
    blocking : bool
        Whether trading must wait until it is explained.
    """

    kind: str
    subject: str
    ours: str
    theirs: str
    blocking: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: ours {self.ours}, the venue's {self.theirs}"


def position_drift(
    book: OrderBook, venue_positions: Mapping[str, float], baseline: Mapping[str, Decimal]
) -> list[Difference]:
    """Positions that moved at the venue other than by our fills, and by more than our orders in doubt could explain.

    Parameters
    ----------
    venue_positions : mapping of str to float
        What the venue says is held now, units.
    baseline : mapping of str to Decimal
        What it held beyond our own book when the session began; that is not ours and left alone.
    """
    differences = []
    for symbol in sorted(set(baseline) | set(book.positions)):
        instrument = book.instruments.find(symbol)
        theirs = exact(venue_positions.get(symbol, 0.0)) - baseline.get(symbol, Decimal(0))
        ours = book.position(symbol)
        drift = theirs - ours
        least, most = _in_doubt(book, symbol)
        if not least - instrument.lot_size < drift < most + instrument.lot_size:
            differences.append(Difference("position_drift", symbol, str(ours), str(theirs), blocking=True))
    return differences


def _in_doubt(book: OrderBook, symbol: str) -> tuple[Decimal, Decimal]:
    """What orders in doubt may have done to a position that we do not know of: units, least and most."""
    doubts = [order for order in book.in_doubt() if order.symbol == symbol]
    sold = sum((order.leaves for order in doubts if order.side is OrderSide.SELL), Decimal(0))
    bought = sum((order.leaves for order in doubts if order.side is OrderSide.BUY), Decimal(0))
    return -sold, bought


def foreign_orders(book: OrderBook, venue_open: Iterable[Order]) -> list[Difference]:
    """Orders working at the venue that are not ours: shown, and left alone. One of ours that we gave up blocks."""
    found = []
    for order in venue_open:
        ours = book.find(order.client_order_id) or book.find(order.order_id)
        what = f"{order.side.value} {order.quantity} {order.symbol}"
        if ours is None:
            found.append(Difference("foreign_order", order.order_id, "none", what, blocking=False))
        elif ours.status in (OrderStatus.REJECTED, OrderStatus.DENIED):
            found.append(Difference("order_given_up", ours.client_order_id, ours.status.value, what, blocking=True))
    return found
