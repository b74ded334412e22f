"""Orders, fills, and the reports by which orders move.

``Order`` and ``Fill`` are the specification's. What happens to an order arrives as a frozen report and is applied by
:meth:`Order.apply`; a state and report without a row in :data:`~.transitions.TRANSITIONS` raise. Applying a report
twice changes nothing (fills are keyed by ``execution_id``). A fill is booked in whatever state the order is, because
venues do execute orders they have already called cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import IllegalTransition, OrderError
from autotrader_lab.model.instruments import exact, is_number
from autotrader_lab.model.transitions import DONE, OPEN, TRANSITIONS, Event, OrderStatus

__all__ = [
    "DONE",
    "OPEN",
    "TIMES_IN_FORCE",
    "Accepted",
    "Amended",
    "Cancelled",
    "Denied",
    "Expired",
    "Fill",
    "Filled",
    "InDoubt",
    "Order",
    "OrderSide",
    "OrderStatus",
    "OrderType",
    "Rejected",
    "Report",
    "check_order",
]


class OrderType(Enum):
    """The specification's order types; IOC and FOK are limit orders with that time in force."""

    MARKET = "market"
    LIMIT = "limit"
    IOC = "ioc"
    FOK = "fok"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class OrderSide(Enum):
    """Which way an order goes."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is OrderSide.BUY else -1

    @property
    def opposite(self) -> OrderSide:
        """The other side."""
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "DAY")


@dataclass(slots=True)
class Fill:
    """One execution.

    Attributes
    ----------
    order_id : str
        The venue's id of the order.
    quantity, price : float
        Units and quote currency, both positive.
    commission : float
        Fee charged, in `fee_currency` (the quote currency where that is empty); negative is a rebate.
    timestamp : datetime
        Venue time, UTC.
    execution_id : str
        The venue's id of this execution; the key that makes applying it twice harmless.
    client_order_id, fee_currency, liquidity, venue : str
        Our id of the order; currency of the fee; ``maker`` or ``taker`` where the venue tells; who reported it.
    """

    order_id: str
    symbol: str
    side: OrderSide
    quantity: float
    price: float
    commission: float
    timestamp: datetime
    execution_id: str
    metadata: dict[str, Any] = field(default_factory=dict)
    client_order_id: str = ""
    fee_currency: str = ""
    liquidity: str = ""
    venue: str = ""


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """The venue has the order."""

    client_order_id: str
    timestamp_ns: int
    order_id: str = ""


class Filled(msgspec.Struct, frozen=True, tag=True):
    """The venue executed some or all of it."""

    client_order_id: str
    timestamp_ns: int
    fill: Fill


class Cancelled(msgspec.Struct, frozen=True, tag=True):
    """What was left is cancelled."""

    client_order_id: str
    timestamp_ns: int
    reason: str = ""


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """The venue refused it, or provably never got it (code ``NEVER_ARRIVED``)."""

    client_order_id: str
    timestamp_ns: int
    reason: str = ""
    code: str = "REFUSED"


class Expired(msgspec.Struct, frozen=True, tag=True):
    """The venue ended it: time in force over, or no match for an IOC or FOK."""

    client_order_id: str
    timestamp_ns: int
    reason: str = ""


class Denied(msgspec.Struct, frozen=True, tag=True):
    """We refused it before any I/O: a code and the figures, e.g. ``NOTIONAL_OVER_LIMIT``, asked 12000, limit 10000."""

    client_order_id: str
    timestamp_ns: int
    code: str
    asked: float | str | None = None
    limit: float | str | None = None
    reason: str = ""

    def __str__(self) -> str:
        figures = f" (asked {self.asked}, limit {self.limit})" if self.asked is not None else ""
        return f"{self.code}{figures}{': ' if self.reason else ''}{self.reason}"


class InDoubt(msgspec.Struct, frozen=True, tag=True):
    """It was sent and nobody said what became of it."""

    client_order_id: str
    timestamp_ns: int
    reason: str = ""


class Amended(msgspec.Struct, frozen=True, tag=True):
    """The venue changed the working order in place. `quantity` is the new total, filled part included."""

    client_order_id: str
    timestamp_ns: int
    quantity: float | None = None
    price: float | None = None
    order_id: str = ""


Report = Accepted | Filled | Cancelled | Rejected | Expired | Denied | InDoubt | Amended


_EVENTS: dict[type, Event] = {
    Accepted: Event.ACCEPT,
    Cancelled: Event.CANCEL,
    Rejected: Event.REJECT,
    Expired: Event.EXPIRE,
    Denied: Event.DENY,
    InDoubt: Event.DOUBT,
    Amended: Event.AMEND,
}


@dataclass(slots=True)
class Order:
    """An order, ours from the decision to its end.

    The first thirteen fields are the specification's. `order_id` is the venue's id and empty until the venue gave one;
    `client_order_id` is ours, is written to the journal before anything is sent, and never changes.

    Attributes
    ----------
    quantity, filled_quantity : float
        Units of the instrument.
    price, stop_price, avg_fill_price : float
        Quote currency.
    commission : float
        Sum of the fills' commissions as reported; `commission_by_currency` keeps the currencies apart.
    time_in_force : str
        GTC, IOC, FOK or DAY.
    decision_id : str
        The decision that asked for it; every record about the order carries it.
    post_only : bool
        Refused by the venue rather than executed as a taker.
    reduce_only : bool
        An exit: may only shrink the position, and passes gates that stop entries.
    reason : str
        Why it was denied, rejected, cancelled or in doubt.
    """

    order_id: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: float
    price: float | None = None
    stop_price: float | None = None
    time_in_force: str = "GTC"

    status: OrderStatus = OrderStatus.PENDING
    filled_quantity: float = 0.0
    avg_fill_price: float = 0.0
    commission: float = 0.0

    submitted_at: datetime | None = None
    filled_at: datetime | None = None

    metadata: dict[str, Any] = field(default_factory=dict)

    client_order_id: str = ""
    decision_id: str = ""
    post_only: bool = False
    reduce_only: bool = False
    reason: str = ""
    venue: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    commission_by_currency: dict[str, Decimal] = field(default_factory=dict)
    execution_ids: set[str] = field(default_factory=set, repr=False)
    _filled: Decimal = field(default=Decimal(0), repr=False)
    _cost: Decimal = field(default=Decimal(0), repr=False)

    def copy(self) -> Order:
        """An order of its own: what happens to it does not touch this one."""
        return replace(
            self,
            metadata=dict(self.metadata),
            execution_ids=set(self.execution_ids),
            commission_by_currency=dict(self.commission_by_currency),
        )

    @property
    def is_open(self) -> bool:
        """Whether it can still execute as far as we know; UNKNOWN counts."""
        return self.status in OPEN

    @property
    def leaves(self) -> Decimal:
        """Units not executed yet, exact, never negative."""
        return max(exact(self.quantity) - self._filled, Decimal(0))

    @property
    def overfilled(self) -> bool:
        """Whether the venue executed more than was asked."""
        return self._filled > exact(self.quantity)

    @property
    def limit_price(self) -> float | None:
        """The price it may not be executed beyond; None for market and stop orders."""
        return None if self.order_type in (OrderType.MARKET, OrderType.STOP) else self.price

    @property
    def effective_time_in_force(self) -> str:
        """Time in force with the order types IOC and FOK folded in."""
        if self.order_type in (OrderType.IOC, OrderType.FOK):
            return str(self.order_type.value).upper()
        return self.time_in_force

    def apply(self, report: Report) -> bool:
        """Move by one report.

        Returns
        -------
        bool
            Whether anything changed; false for what was applied before.

        Raises
        ------
        IllegalTransition
            If the table has no row for this state and report.
        """
        if isinstance(report, Filled):
            return self._apply_fill(report)
        event = _EVENTS[type(report)]
        status = self._next(event)
        changed = status is not self.status
        if isinstance(report, (Accepted, Amended)) and report.order_id and report.order_id != self.order_id:
            self.order_id = report.order_id
            changed = True
        if isinstance(report, Accepted) and self.submitted_at is None:
            self.submitted_at = from_ns(report.timestamp_ns)
        elif isinstance(report, Amended):
            changed = self._amend(report) or changed
            if self.is_open and self._filled and not self.leaves:
                status = OrderStatus.FILLED  # made as small as what was executed already
            elif status is OrderStatus.FILLED and self.leaves:
                status = OrderStatus.PARTIAL_FILL
        elif changed and isinstance(report, Denied):
            self.reason = str(report)
        elif changed and isinstance(report, (Cancelled, Rejected, Expired, InDoubt)):
            self.reason = report.reason
        if changed:
            self.status = status
            self.updated_at = from_ns(report.timestamp_ns)
        return changed

    def _next(self, event: Event) -> OrderStatus:
        try:
            return TRANSITIONS[self.status, event]
        except KeyError:
            raise IllegalTransition(
                f"order {self.client_order_id or self.order_id}: {event.value} in state {self.status.value}"
            ) from None

    def _apply_fill(self, report: Filled) -> bool:
        fill = report.fill
        if fill.execution_id in self.execution_ids:
            return False
        quantity, price = exact(fill.quantity, "fill quantity"), exact(fill.price, "fill price")
        filled = self._filled + quantity
        self.status = self._next(Event.FILL if filled >= exact(self.quantity) else Event.PARTIAL)
        self.execution_ids.add(fill.execution_id)
        self._filled = filled
        self._cost += quantity * price
        self.filled_quantity = float(filled)
        self.avg_fill_price = float(self._cost / filled) if filled else 0.0
        fee = exact(fill.commission, "commission")
        if fee:
            held = self.commission_by_currency.get(fill.fee_currency, Decimal(0))
            self.commission_by_currency[fill.fee_currency] = held + fee
            self.commission = float(sum(self.commission_by_currency.values()))
        self.order_id = self.order_id or fill.order_id
        self.filled_at = self.updated_at = fill.timestamp
        if self.submitted_at is None:
            self.submitted_at = fill.timestamp
        return True

    def _amend(self, report: Amended) -> bool:
        before = (self.quantity, self.price)
        if report.quantity is not None:
            self.quantity = report.quantity
        if report.price is not None:
            self.price = report.price
        return before != (self.quantity, self.price)


_NEEDS_PRICE = frozenset({OrderType.LIMIT, OrderType.IOC, OrderType.FOK, OrderType.STOP_LIMIT})
_NEEDS_STOP = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


def check_order(order: Order) -> None:
    """Refuse an order that makes no sense on its face, whatever the venue.

    Raises
    ------
    OrderError
        Naming the field, its value and the way out.
    """
    name = f"order {order.client_order_id or order.symbol}"
    if not order.symbol:
        raise OrderError(f"{name}: symbol is empty; name what to trade, e.g. 'BTC/USDT'")
    if not is_number(order.quantity) or order.quantity <= 0:
        raise OrderError(
            f"{name}: quantity {order.quantity!r} must be a positive number of units; the side says which way"
        )
    if order.time_in_force not in TIMES_IN_FORCE:
        raise OrderError(f"{name}: time_in_force {order.time_in_force!r} is none of {', '.join(TIMES_IN_FORCE)}")
    for what, needed in (("price", _NEEDS_PRICE), ("stop_price", _NEEDS_STOP)):
        value = getattr(order, what)
        if order.order_type in needed and value is None:
            raise OrderError(f"{name}: a {order.order_type.value} order needs a {what}")
        if value is not None and (not is_number(value) or value <= 0):
            raise OrderError(f"{name}: {what} {value!r} must be a positive number")
