"""What a venue's private stream says about an order, in our words but before we know whose order it is.

A venue's decoder makes an :class:`Update` of a payload; :class:`~.ccxt_venue.CcxtAdapter` finds the order it belongs
to and turns it into a report.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec

from autotrader_lab.model.orders import (
    Accepted,
    Amended,
    Cancelled,
    Expired,
    Fill,
    Filled,
    Rejected,
    Report,
)

__all__ = ["Update", "UpdateKind", "to_report"]


class UpdateKind(Enum):
    """What happened to the order."""

    ACCEPTED = "accepted"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    AMENDED = "amended"


class Update(msgspec.Struct, frozen=True):
    """One event of an order's life.

    Attributes
    ----------
    symbol : str
        Universal symbol.
    client_order_ids : tuple of str
        Names the order may go by, likeliest first.
    quantity, price : Decimal or None
        The order's total, units, and its limit, quote currency; for AMENDED.
    fill : Fill or None
        The execution, where there was one.
    reason, code : str
        Why it ended, in the venue's words, and the venue's code where it has one.
    """

    kind: UpdateKind
    symbol: str
    order_id: str
    client_order_ids: tuple[str, ...]
    timestamp_ns: int
    quantity: Decimal | None = None
    price: Decimal | None = None
    fill: Fill | None = None
    reason: str = ""
    code: str = ""


def to_report(update: Update, client_order_id: str) -> Report:
    """The report of `update` for our order `client_order_id`."""
    at_ns = update.timestamp_ns
    if update.kind is UpdateKind.FILLED:
        assert update.fill is not None, "a decoder gives a fill with FILLED"
        update.fill.client_order_id = client_order_id
        return Filled(client_order_id, at_ns, update.fill)
    if update.kind is UpdateKind.ACCEPTED:
        return Accepted(client_order_id, at_ns, update.order_id)
    if update.kind is UpdateKind.CANCELLED:
        return Cancelled(client_order_id, at_ns, update.reason)
    if update.kind is UpdateKind.EXPIRED:
        return Expired(client_order_id, at_ns, update.reason)
    if update.kind is UpdateKind.AMENDED:
        quantity = None if update.quantity is None else float(update.quantity)
        price = None if update.price is None else float(update.price)
        return Amended(client_order_id, at_ns, quantity=quantity, price=price, order_id=update.order_id)
    return Rejected(client_order_id, at_ns, update.reason, update.code or update.reason or "REFUSED")
