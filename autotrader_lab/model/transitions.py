"""An order's states, and the one table by which it moves from one to another."""

from __future__ import annotations

from enum import Enum

__all__ = ["DONE", "OPEN", "TRANSITIONS", "Event", "OrderStatus"]


class OrderStatus(Enum):
    """The specification's seven, and two that cost money when missing.

    DENIED: refused by us, before any I/O. UNKNOWN: sent, and nobody said what became of it.
    """

    __hash__ = object.__hash__  # states are looked up at every report; Enum hashes their names anew each time

    PENDING = "pending"
    SUBMITTED = "submitted"
    PARTIAL_FILL = "partial_fill"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    DENIED = "denied"
    UNKNOWN = "unknown"


OPEN = frozenset({OrderStatus.PENDING, OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL, OrderStatus.UNKNOWN})
DONE = frozenset(OrderStatus) - OPEN


class Event(Enum):
    """The columns of the table."""

    __hash__ = object.__hash__

    ACCEPT = "accept"
    PARTIAL = "partial fill"
    FILL = "last fill"
    CANCEL = "cancel"
    REJECT = "reject"
    EXPIRE = "expire"
    DENY = "deny"
    DOUBT = "doubt"
    AMEND = "amend"


_S, _E = OrderStatus, Event
TRANSITIONS: dict[tuple[OrderStatus, Event], OrderStatus] = {
    (_S.PENDING, _E.ACCEPT): _S.SUBMITTED,
    (_S.PENDING, _E.PARTIAL): _S.PARTIAL_FILL,
    (_S.PENDING, _E.FILL): _S.FILLED,
    (_S.PENDING, _E.CANCEL): _S.CANCELLED,
    (_S.PENDING, _E.REJECT): _S.REJECTED,
    (_S.PENDING, _E.EXPIRE): _S.EXPIRED,
    (_S.PENDING, _E.DENY): _S.DENIED,
    (_S.PENDING, _E.DOUBT): _S.UNKNOWN,
    (_S.SUBMITTED, _E.ACCEPT): _S.SUBMITTED,
    (_S.SUBMITTED, _E.PARTIAL): _S.PARTIAL_FILL,
    (_S.SUBMITTED, _E.FILL): _S.FILLED,
    (_S.SUBMITTED, _E.CANCEL): _S.CANCELLED,
    (_S.SUBMITTED, _E.REJECT): _S.REJECTED,
    (_S.SUBMITTED, _E.EXPIRE): _S.EXPIRED,
    (_S.SUBMITTED, _E.DOUBT): _S.SUBMITTED,  # evidence that it works beats a lost answer
    (_S.SUBMITTED, _E.AMEND): _S.SUBMITTED,
    (_S.PARTIAL_FILL, _E.ACCEPT): _S.PARTIAL_FILL,
    (_S.PARTIAL_FILL, _E.PARTIAL): _S.PARTIAL_FILL,
    (_S.PARTIAL_FILL, _E.FILL): _S.FILLED,
    (_S.PARTIAL_FILL, _E.CANCEL): _S.CANCELLED,
    (_S.PARTIAL_FILL, _E.EXPIRE): _S.EXPIRED,
    (_S.PARTIAL_FILL, _E.DOUBT): _S.PARTIAL_FILL,
    (_S.PARTIAL_FILL, _E.AMEND): _S.PARTIAL_FILL,
    (_S.FILLED, _E.ACCEPT): _S.FILLED,
    (_S.FILLED, _E.CANCEL): _S.FILLED,
    (_S.FILLED, _E.EXPIRE): _S.FILLED,
    (_S.FILLED, _E.DOUBT): _S.FILLED,
    (_S.FILLED, _E.FILL): _S.FILLED,  # more than asked: booked, and `overfilled` tells
    (_S.FILLED, _E.AMEND): _S.FILLED,  # heard late; made bigger than what was executed, it works on
    (_S.CANCELLED, _E.ACCEPT): _S.CANCELLED,
    (_S.CANCELLED, _E.CANCEL): _S.CANCELLED,
    (_S.CANCELLED, _E.EXPIRE): _S.CANCELLED,
    (_S.CANCELLED, _E.DOUBT): _S.CANCELLED,
    (_S.CANCELLED, _E.PARTIAL): _S.CANCELLED,
    (_S.CANCELLED, _E.FILL): _S.FILLED,
    (_S.CANCELLED, _E.AMEND): _S.CANCELLED,
    (_S.EXPIRED, _E.ACCEPT): _S.EXPIRED,
    (_S.EXPIRED, _E.CANCEL): _S.EXPIRED,
    (_S.EXPIRED, _E.EXPIRE): _S.EXPIRED,
    (_S.EXPIRED, _E.DOUBT): _S.EXPIRED,
    (_S.EXPIRED, _E.PARTIAL): _S.EXPIRED,
    (_S.EXPIRED, _E.FILL): _S.FILLED,
    (_S.EXPIRED, _E.AMEND): _S.EXPIRED,
    (_S.REJECTED, _E.REJECT): _S.REJECTED,
    (_S.REJECTED, _E.DOUBT): _S.REJECTED,
    (_S.REJECTED, _E.PARTIAL): _S.PARTIAL_FILL,  # money moved: the venue's word against its own
    (_S.REJECTED, _E.FILL): _S.FILLED,
    (_S.UNKNOWN, _E.ACCEPT): _S.SUBMITTED,
    (_S.UNKNOWN, _E.PARTIAL): _S.PARTIAL_FILL,
    (_S.UNKNOWN, _E.FILL): _S.FILLED,
    (_S.UNKNOWN, _E.CANCEL): _S.CANCELLED,
    (_S.UNKNOWN, _E.REJECT): _S.REJECTED,
    (_S.UNKNOWN, _E.EXPIRE): _S.EXPIRED,
    (_S.UNKNOWN, _E.DOUBT): _S.UNKNOWN,
}
