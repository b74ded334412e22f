"""What the suite is given: an adapter, and a hand on the venue it talks to.

The suite never knows which venue it is. It moves the market and spoils the line through a :class:`VenueControl`, and
what a control cannot do it declares, each with its reason, so that no test is left out in silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import ClassVar, Literal

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import OrderSide

__all__ = ["REQUEST_FAULTS", "Fault", "Harness", "Request", "VenueControl"]

Request = Literal["submit", "amend", "cancel", "query"]
"""Which kind of request a fault strikes."""


class Fault(Enum):
    """What a venue, or the line to it, can be made to do beyond trading at a price."""

    PARTIAL = "execute a part of an order"
    LOSE_REQUEST = "drop the line before the venue sees the request"
    LOSE_ANSWER = "act, and drop the line instead of answering"
    SILENCE = "act, and never answer"
    SERVER_ERROR = "act, and answer with the protocol's server error"
    RUBBISH = "act, and answer what nobody can understand"
    RATE_LIMIT = "refuse one request and ask to wait a little"
    DOWN = "serve no request at all until it is calm again"
    CUT = "drop every connection now; new ones are welcome"
    MUTE = "tell nothing of the account's orders until it is calm again"
    DUPLICATE = "tell every event of the account's orders twice until it is calm again"
    REORDER = "hold the events of the account's orders back, and tell them last first when it is calm again"
    BAD_EVENT = "tell something that makes no sense among the events of the account's orders"
    VENUE_CANCEL = "cancel an order of ours by itself"
    FOREIGN = "take an order on the same account from somebody else"
    RESTART = "let a second process open the same account"
    TIME = "let the venue's own time pass"


REQUEST_FAULTS = (Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.SILENCE, Fault.SERVER_ERROR, Fault.RUBBISH)
"""Faults that strike the next request of one kind, once."""


class VenueControl(ABC):
    """A hand on the venue, its market and the line to it.

    Attributes
    ----------
    faults : frozenset of Fault
        What this control can provoke.
    cannot : mapping of Fault to str
        Why it cannot provoke each of the others. A fault in neither fails the suite; one in both too.
    """

    faults: ClassVar[frozenset[Fault]] = frozenset()
    cannot: ClassVar[Mapping[Fault, str]] = {}

    @abstractmethod
    async def price(self) -> float:
        """About what the market trades at now, quote currency."""

    @abstractmethod
    async def set_price(self, price: float) -> None:
        """Move the whole market to `price`: orders in its way are executed, it trades there, and offers both sides."""

    @abstractmethod
    async def taken(self) -> list[str]:
        """Client order ids of all orders that the venue ever took into its books, one entry an order, oldest first.

        From the venue's own record, not the adapter's: this is what proves that one id never made two orders. A venue
        that keeps no client ids gives its own.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let the venue go; no task or connection of the control is left."""

    async def trade(self, side: OrderSide, price: float, quantity: float) -> None:
        """Somebody else's order takes `quantity` of what rests at `price`; `side` is theirs. :attr:`Fault.PARTIAL`."""
        raise self._undeclared(Fault.PARTIAL)

    async def provoke(self, fault: Fault, on: Request = "submit") -> None:
        """Make `fault` happen.

        The faults of :data:`REQUEST_FAULTS` and RATE_LIMIT strike the next request of the kind `on`, once; CUT and
        BAD_EVENT happen now; the others last until :meth:`calm`.
        """
        raise self._undeclared(fault)

    async def calm(self) -> None:  # noqa: B027 - a venue without faults has nothing to end
        """Nothing goes wrong from now on, and what was held back is told."""

    async def cancel(self, client_order_id: str) -> None:
        """The venue cancels this order by itself. :attr:`Fault.VENUE_CANCEL`."""
        raise self._undeclared(Fault.VENUE_CANCEL)

    async def foreign_order(self, side: OrderSide, quantity: float, price: float) -> str:
        """Somebody else rests a limit order on the same account; returns the venue's id. :attr:`Fault.FOREIGN`."""
        raise self._undeclared(Fault.FOREIGN)

    async def pass_time(self, seconds: float) -> None:
        """Let so much of the venue's time pass without a word from us. :attr:`Fault.TIME`."""
        raise self._undeclared(Fault.TIME)

    def successor(self) -> BaseBrokerAdapter:
        """A new adapter, not connected, of a later process on the same account. :attr:`Fault.RESTART`."""
        raise self._undeclared(Fault.RESTART)

    def _undeclared(self, fault: Fault) -> AssertionError:
        return AssertionError(f"{type(self).__name__} declares {fault.name} and does not carry it out")


@dataclass(frozen=True, slots=True)
class Harness:
    """One adapter, not connected yet, on one venue that stands still unless the control moves it.

    The account must hold some hundred times :attr:`unit` of the instrument, or be able to sell it short, and the
    money to buy as much.

    Attributes
    ----------
    adapter : BaseBrokerAdapter
        With a timeout of some tenths of a second: silence is waited for.
    venue : VenueControl
    instrument : Instrument
        What is traded, on the venue's grid.
    clock : Clock
        The adapter's. A SimulatedClock is moved on by the suite while it waits.
    unit : Decimal or None
        Units of the smallest order the suite sends; by default four lots, and twice the venue's minima.
    away : float
        How far from the market, as a fraction of its price, a resting order is put; twice that must be legal too.
    through : float
        How far through the market, as a fraction, a limit order is put that is to execute at once.
    settle_s : float
        How long what is under way may take to arrive, seconds on `clock`; for proving that *nothing* came.
    patience_s : float
        How long to wait for what must come before the test fails, seconds on `clock`.
    secrets : tuple of str
        Keys and passwords: must never be seen in a log record, a repr or an error.
    """

    adapter: BaseBrokerAdapter
    venue: VenueControl
    instrument: Instrument
    clock: Clock
    unit: Decimal | None = None
    away: float = 0.1
    through: float = 0.005
    settle_s: float = 0.1
    patience_s: float = 10.0
    secrets: tuple[str, ...] = ()
