"""The interface every venue meets: the specification's ``BaseBrokerAdapter``, and what the engine needs beyond it.

The nine methods of the specification are enough: an adapter that has only those works. The optional ones let the
engine do more (amend in place, look an order up by its client id, close a gap in the fills), and
:attr:`BaseBrokerAdapter.capabilities` declares which are real.

What an adapter does with a submit is a contract, because money hangs on it:

- the venue has it: report :class:`Accepted` (and fills, if any), return the order;
- the venue refused it: report :class:`Rejected`, return the order with status REJECTED; do not raise;
- it certainly never left: raise :class:`VenueUnavailable`, :class:`RateLimited` or :class:`NotConnected`;
- anything else: raise :class:`OutcomeUnknown`.

The order an adapter is given is *its* copy, the venue's view; the order manager keeps its own book, moved by
reports only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from autotrader_lab.execution.market_data.feeds import Feed
from autotrader_lab.model.errors import VenueError
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.orders import (
    Accepted,
    Fill,
    Filled,
    Order,
    OrderStatus,
    OrderType,
    Rejected,
    Report,
)

__all__ = [
    "ENDED",
    "NOT_SEEN",
    "BaseBrokerAdapter",
    "Capabilities",
    "ConnectionState",
    "FillCallback",
    "ReportCallback",
]

NOT_SEEN = frozenset({OrderStatus.PENDING, OrderStatus.UNKNOWN})
"""The venue has said nothing of it yet."""
ENDED = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED})
"""How a venue ends an order it had. Not REJECTED: that may be one that was given up and arrived after all."""

FillCallback = Callable[[Fill], None]
ReportCallback = Callable[[Report], None]
ConnectionState = Literal["connected", "lost", "restored", "closed"]
ConnectionCallback = Callable[[ConnectionState, str], None]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue's adapter really does; the conformance suite skips by this and by nothing else.

    Attributes
    ----------
    reports : bool
        It reports every step of an order's life through ``subscribe_reports``; false for an adapter that has only
        the specification's ``subscribe_fills``.
    client_order_ids : bool
        The venue keeps our id, and ``find_order`` looks orders up by it.
    open_orders, fills_since, amend, cancel_all, instruments : bool
        Whether the method of (about) that name asks the venue.
    post_only : bool
        It takes orders that must not execute at once.
    shorting : bool
        More may be sold than is held.
    native_dead_man_switch : bool
        The venue itself cancels when we fall silent.
    """

    order_types: frozenset[OrderType] = frozenset(OrderType)
    times_in_force: frozenset[str] = frozenset({"GTC", "IOC", "FOK", "DAY"})
    post_only: bool = False
    reports: bool = False
    client_order_ids: bool = False
    open_orders: bool = False
    fills_since: bool = False
    amend: bool = False
    cancel_all: bool = False
    instruments: bool = False
    shorting: bool = True
    native_dead_man_switch: bool = False


class BaseBrokerAdapter(ABC):
    """One venue, or a simulation of one.

    Attributes
    ----------
    venue : str
        Name used in records and messages.
    capabilities : Capabilities
    orders : dict of str to Order
        The venue's view of the orders sent or adopted here, by client order id where there is one, else by order id.
    instruments : Instruments
        What may be traded; until ``load_instruments`` was awaited any symbol is guessed.
    clock_offset_ms : float or None
        Venue clock minus ours, where it was measured.
    arrival_window_s : float
        So long after it was sent an order may still reach the venue's books, having been stuck on the way; before that
        no answer proves it absent. 0 where the venue sets no such limit. An adapter that sets it puts the time at which
        it sends into the ``submitted_at`` of the order it was given.
    """

    venue: str = ""
    capabilities: Capabilities = Capabilities()
    orders: dict[str, Order]
    fill_callbacks: list[FillCallback]
    report_callbacks: list[ReportCallback]
    connection_callbacks: list[ConnectionCallback]
    instruments: Instruments
    clock_offset_ms: float | None
    arrival_window_s: float = 0.0

    def __new__(cls, *args: Any, **kwargs: Any) -> BaseBrokerAdapter:
        # Here and not in __init__: adapters written to the specification never call super().__init__().
        adapter = super().__new__(cls)
        adapter.orders = {}
        adapter.fill_callbacks = []
        adapter.report_callbacks = []
        adapter.connection_callbacks = []
        adapter.instruments = Instruments(venue=cls.venue, complete=False)
        adapter.clock_offset_ms = None
        return adapter

    # --- the specification ------------------------------------------------------------------------------------

    @abstractmethod
    async def connect(self) -> bool:
        """Establish the connection; true when orders can be sent."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Close it. Twice is quiet. Open orders are left as they are."""

    @abstractmethod
    async def submit_order(self, order: Order) -> Order:
        """Send `order` and return it with the venue's id and state; see this module's contract."""

    @abstractmethod
    async def cancel_order(self, order_id: str) -> bool:
        """Cancel by venue id or client id. True if the venue cancelled it now or says it is no longer working."""

    @abstractmethod
    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        """Change a working order in place; `quantity` is the new total, filled part included."""

    @abstractmethod
    async def get_order_status(self, order_id: str) -> Order:
        """Ask the venue for an order by venue id or client id.

        Raises
        ------
        OrderNotFound
            If the venue answers that it knows no such order.
        """

    @abstractmethod
    async def get_positions(self) -> dict[str, float]:
        """Units held by universal symbol; on a spot venue the base currency's total balance."""

    @abstractmethod
    async def get_account_balance(self) -> dict[str, float]:
        """Total (free and reserved) balance by currency."""

    def subscribe_fills(self, callback: FillCallback) -> None:
        """Call `callback` with every fill."""
        self.fill_callbacks.append(callback)

    # --- what the engine uses where it is there ---------------------------------------------------------------

    def subscribe_reports(self, callback: ReportCallback) -> None:
        """Call `callback` with every report, in order; only where ``capabilities.reports``."""
        self.report_callbacks.append(callback)

    def subscribe_connection(self, callback: ConnectionCallback) -> None:
        """Call `callback` with (state, reason) when the connection is lost or restored."""
        self.connection_callbacks.append(callback)

    async def load_instruments(self, symbols: Iterable[str] = ()) -> Instruments:
        """Ask the venue what it lists; only `symbols` where given. Any symbol it lacks raises InstrumentError."""
        for symbol in symbols:
            self.instruments.find(symbol)
        return self.instruments

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """Orders working at the venue, ours and foreign."""
        return [order.copy() for order in self.orders.values() if order.is_open and symbol in (None, order.symbol)]

    async def get_fills(self, symbol: str, since_ns: int) -> list[Fill]:
        """Executions at or after `since_ns`, oldest first; the way a gap in the stream is closed."""
        return []

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        """The order with our id, open or done; None only if the venue answers that it has none.

        Raises
        ------
        VenueUnavailable
            If nobody can tell now.
        """
        order = self.orders.get(client_order_id)
        return order.copy() if order is not None else None

    async def cancel_all(self, symbol: str | None = None) -> int:
        """Cancel every working order of this session's account; returns how many were asked for."""
        working = await self.get_open_orders(symbol)
        for order in working:
            await self.cancel_order(order.order_id or order.client_order_id)
        return len(working)

    async def arm_dead_man_switch(self, seconds: float) -> None:
        """Have the venue itself cancel our orders unless this is called again within `seconds`; 0 disarms it.

        Raises
        ------
        VenueError
            Where the venue has none (``capabilities.native_dead_man_switch``), or it refuses.
        """
        raise VenueError(f"{self.venue} has no dead man's switch of its own; what it covers stays uncovered here")

    def can_amend(self, order: Order, quantity: float | None = None, price: float | None = None) -> bool:
        """Whether :meth:`modify_order` can make this very change in place; no I/O."""
        return self.capabilities.amend

    def adopt(self, order: Order) -> None:
        """Take over an order that an earlier process sent, so that its reports are understood here."""
        self.orders[order.client_order_id or order.order_id] = order.copy()

    def give_up(self, report: Rejected) -> None:
        """Take note that an order in doubt provably never arrived, so that nothing more is asked about it.

        Its view stays: should the venue speak of it after all, it is still known whose it is.
        """
        view = self.orders.get(report.client_order_id)
        if view is not None and view.status in (OrderStatus.PENDING, OrderStatus.UNKNOWN):
            view.apply(report)

    def attach(self, feed: Feed) -> None:  # noqa: B027 - a real venue has nothing to do here
        """Take market data from `feed`; only a simulated venue needs it, a real one has its own."""

    def feed(self) -> Feed | None:
        """This venue's market data as a feed of its own, or None where there is none."""
        return None

    # --- for adapters -----------------------------------------------------------------------------------------

    def _find_view(self, order_id: str) -> Order | None:
        """Our view of an order by client id or venue id."""
        found = self.orders.get(order_id)
        if found is not None:
            return found
        return next((order for order in self.orders.values() if order.order_id == order_id), None)

    def _notify_fills(self, fill: Fill) -> None:
        """Tell the subscribers of fills; for adapters that have nothing but fills."""
        for callback in self.fill_callbacks:
            callback(fill)

    def _report(self, report: Report) -> None:
        """Apply `report` to our view and tell everybody; what was applied before is not told again."""
        view = self.orders.get(report.client_order_id)
        if view is not None and not view.apply(report) and not isinstance(report, Accepted):
            return
        for callback in self.report_callbacks:
            callback(report)
        if isinstance(report, Filled):
            self._notify_fills(report.fill)

    def _connection(self, state: ConnectionState, reason: str = "") -> None:
        for callback in self.connection_callbacks:
            callback(state, reason)
