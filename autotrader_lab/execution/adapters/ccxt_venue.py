"""What all crypto venues behind ccxt have in common, so that a venue's own file only says how it differs.

The adapter contract is kept here: the grid before any I/O, exactly one outcome for every submit, cancels that are
quiet about what is done. A venue's file says where it is, how an order is written for it and how its answers and
events are read. Private events are taken raw from the socket: ccxt's own caches merge NEW and CANCELED when they come
together.
"""

from __future__ import annotations

import asyncio
import uuid
from abc import abstractmethod
from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from autotrader_lab.execution.adapters.base import ENDED, NOT_SEEN
from autotrader_lab.execution.adapters.ccxt_books import WORKING, CcxtBooks, snapshot_ns
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import (
    InstrumentError,
    NotConnected,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instrument, Instruments, exact
from autotrader_lab.model.orders import Amended, Fill, InDoubt, Order, OrderStatus, Rejected

__all__ = ["CcxtAdapter"]


class CcxtAdapter(CcxtBooks):
    """One spot account at one venue, through ccxt; see :class:`~.ccxt_account.CcxtAccount` for the parameters."""

    amends_only_smaller: ClassVar[bool] = False

    # --- what a venue's file says -----------------------------------------------------------------------------

    @abstractmethod
    def _check(self, order: Order, instrument: Instrument) -> None:
        """Refuse what the venue would refuse for its form."""

    @abstractmethod
    async def _place(self, order: Order, instrument: Instrument) -> tuple[Order, list[Fill]]:
        """Send it; a snapshot and the fills the answer carried."""

    @abstractmethod
    async def _cancel(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        """Cancel one; how it stood then."""

    @abstractmethod
    async def _cancel_symbol(self, symbol: str) -> list[Order]:
        """Cancel everything in one symbol."""

    @abstractmethod
    async def _amend(self, view: Order, quantity: Decimal, price: Decimal | None) -> Order:
        """Change a working order in place; `price` is None where it stays. How it stood then."""

    # --- orders -----------------------------------------------------------------------------------------------

    async def submit_order(self, order: Order) -> Order:
        self._connected()
        instrument = self.instruments.find(order.symbol)
        order.symbol, order.venue = instrument.symbol, self.venue
        order.client_order_id = order.client_order_id or uuid.uuid4().hex
        self._check(order, instrument)
        earlier = self.orders.get(order.client_order_id)
        if earlier is not None and earlier.status not in (*NOT_SEEN, OrderStatus.REJECTED):
            # Not a refusal where it works: whoever sends again in doubt must not take the order for dead.
            kind = OutcomeUnknown if earlier.is_open else OrderError
            raise kind(
                f"{self.venue}: client_order_id {order.client_order_id!r} was sent before and is "
                f"{earlier.status.value}; nothing was sent now, every order needs an id of its own"
            )
        self.orders[order.client_order_id] = order
        self._symbols[order.client_order_id] = order.symbol
        try:
            snapshot, fills = await self._ask(
                "submit", f"order {order.client_order_id}", lambda: self._place_now(order, instrument)
            )
        except OrderRefused as refusal:
            self._tell(Rejected(order.client_order_id, self._venue_now_ns(), str(refusal), refusal.code))
            return order
        except (RateLimited, VenueUnavailable, NotConnected):
            # It never left: an earlier attempt under this id, if there was one, is still what it was.
            self.orders.pop(order.client_order_id)
            if earlier is not None:
                self.orders[order.client_order_id] = earlier
            raise
        except (OutcomeUnknown, asyncio.CancelledError) as doubt:
            order.apply(InDoubt(order.client_order_id, self._venue_now_ns(), str(doubt) or "interrupted"))
            raise
        self._absorb(order, snapshot, fills)
        return order

    async def _place_now(self, order: Order, instrument: Instrument) -> tuple[Order, list[Fill]]:
        order.submitted_at = self._clock.now()  # what it is stamped with: from then on it may arrive
        return await self._place(order, instrument)

    async def cancel_order(self, order_id: str) -> bool:
        self._connected()
        view = self._find_view(order_id)
        if view is not None and view.status in ENDED:
            return True
        symbol, venue_id, client_id = await self._locate(order_id)
        what = f"cancel of {order_id}"
        try:
            try:
                snapshot = await self._ask("cancel", what, lambda: self._cancel(symbol, venue_id, client_id))
            except OrderNotFound:
                # Unknown to a cancel also means done: the order itself tells which.
                snapshot = await self._ask("query", what, lambda: self._query(symbol, venue_id, client_id))
        except OrderNotFound:
            if view is not None and view.status is OrderStatus.REJECTED:
                return True  # the venue has none, as we knew
            raise
        if view is not None:
            await self._settle(view, snapshot)
        return not snapshot.is_open

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        """Change a working order in place.

        Raises
        ------
        OrderError
            Before any I/O, for whatever the venue cannot change in place: cancel, and send what is left anew.
        OrderRefused
            If the venue refuses.
        """
        self._connected()
        view = self._find_view(order_id)
        if view is None:
            raise OrderNotFound(f"{self.venue}: order {order_id} was not sent or adopted here; adopt it first")
        total, limit = self._check_amend(view, quantity, price)
        what = f"change of {order_id}"
        try:
            snapshot = await self._ask("amend", what, lambda: self._amend(view, total, limit))
        except OrderRefused:
            # The HTTP client asks again by itself when a kept line breaks: what is refused then may be the repetition.
            snapshot = await self._ask(
                "query", what, lambda: self._query(view.symbol, view.order_id, view.client_order_id)
            )
            if exact(snapshot.quantity) != total or (limit is not None and exact(snapshot.price or 0) != limit):
                raise
        self._tell(
            Amended(
                view.client_order_id,
                snapshot_ns(snapshot),
                quantity=float(total),
                price=None if limit is None else float(limit),
                order_id=snapshot.order_id,
            )
        )
        return view

    def can_amend(self, order: Order, quantity: float | None = None, price: float | None = None) -> bool:
        """Whether :meth:`modify_order` can make this change in place; no I/O."""
        view = self._find_view(order.client_order_id or order.order_id)
        if view is None:
            return False
        try:
            self._check_amend(view, quantity, price)
        except (OrderError, InstrumentError):
            return False
        return True

    def _check_amend(self, view: Order, quantity: float | None, price: float | None) -> tuple[Decimal, Decimal | None]:
        """The new total, and the new limit where it changes."""
        instrument = self.instruments.find(view.symbol)
        name = f"{self.venue}: order {view.client_order_id}"
        if view.status not in WORKING:
            raise OrderError(f"{name} is {view.status.value}, not working")
        changes_price = price is not None and exact(price) != exact(view.price or 0)
        if changes_price and (self.amends_only_smaller or view.limit_price is None):
            raise OrderError(f"{name}: the price cannot be changed in place; cancel it and send what is left anew")
        total = exact(view.quantity if quantity is None else quantity, f"{name} quantity")
        if not instrument.on_quantity_grid(total):
            raise OrderError(f"{name}: quantity {quantity} is off the grid of {instrument.lot_size}")
        if self.amends_only_smaller and not view._filled < total < exact(view.quantity):
            raise OrderError(
                f"{name}: the quantity can only be made smaller in place, between {view._filled} filled and "
                f"{view.quantity} asked, not {quantity}; cancel it and send what is left anew"
            )
        if total <= view._filled:
            raise OrderError(f"{name}: {view._filled} are filled, so the new total cannot be {quantity}; cancel it")
        if not changes_price and total == exact(view.quantity):
            raise OrderError(f"{name}: quantity {quantity} and price {price} change nothing")
        return total, instrument.check_price(price) if changes_price and price is not None else None

    async def cancel_all(self, symbol: str | None = None) -> int:
        self._connected()
        wanted = self.instruments.find(symbol).symbol if symbol is not None else None
        symbols = {wanted} if wanted else {order.symbol for order in await self.get_open_orders()}
        answers = await asyncio.gather(*(self._cancel_everything(name) for name in sorted(symbols)))
        for snapshot in (order for orders in answers for order in orders):
            view = self._view(snapshot.symbol, snapshot.order_id, (snapshot.client_order_id,))
            if view is not None:
                await self._settle(view, snapshot)
        return sum(len(orders) for orders in answers)

    async def _cancel_everything(self, symbol: str) -> list[Order]:
        try:
            return await self._ask("cancel", f"cancel of all {symbol}", lambda: self._cancel_symbol(symbol))
        except OrderNotFound:
            return []

    # --- queries ----------------------------------------------------------------------------------------------

    async def get_order_status(self, order_id: str) -> Order:
        self._connected()
        symbol, venue_id, client_id = await self._locate(order_id)
        snapshot = await self._ask("query", f"order {order_id}", lambda: self._query(symbol, venue_id, client_id))
        return self._with_ours(snapshot)

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        self._connected()
        name = self.instruments.find(symbol).symbol
        what = f"search for {client_order_id}"
        for order in await self._ask("query", what, lambda: self._open(name)):
            if order.client_order_id == client_order_id:
                return self._with_ours(order)
        view = self.orders.get(client_order_id)
        venue_id = view.order_id if view is not None else ""
        try:
            return self._with_ours(await self._ask("query", what, lambda: self._query(name, venue_id, client_order_id)))
        except OrderNotFound:
            return await self._find_in_fills(client_order_id, name)

    async def _find_in_fills(self, client_order_id: str, symbol: str) -> Order | None:
        """Ids are unique among open orders only, so an executed order may hide: look at whose the executions are."""
        view = self.orders.get(client_order_id)
        since_ns = self._connected_ns
        if view is not None and view.created_at is not None:
            since_ns = min(since_ns, to_ns(view.created_at))
        fills = await self.get_fills(symbol, since_ns - 60_000_000_000)
        unknown = dict.fromkeys(fill.order_id for fill in fills if fill.client_order_id in ("", client_order_id))
        for order_id in unknown:
            found = await self.get_order_by_venue_id(symbol, order_id)
            if found.client_order_id == client_order_id:
                return self._with_ours(found)
        return None

    async def get_order_by_venue_id(self, symbol: str, order_id: str) -> Order:
        """Any order of the account, foreign ones included.

        Raises
        ------
        OrderNotFound
            If the venue knows none.
        """
        name = self.instruments.find(symbol).symbol
        found = await self._ask("query", f"order {order_id}", lambda: self._query(name, order_id, ""))
        self._symbols[order_id] = name
        return found

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        self._connected()
        name = self.instruments.find(symbol).symbol if symbol is not None else None
        found = await self._ask("query", "open orders", lambda: self._open(name))
        for order in found:
            self._symbols[order.order_id] = self._symbols[order.client_order_id] = order.symbol
        return [self._with_ours(order) for order in found]

    async def get_fills(self, symbol: str, since_ns: int) -> list[Fill]:
        self._connected()
        name = self.instruments.find(symbol).symbol
        since_ms = max(since_ns, 0) // 1_000_000
        fills = await self._ask("query", f"fills of {name}", lambda: self._trades(name, since_ms=since_ms))
        for fill in fills:
            fill.client_order_id = self._client_ids.get((name, fill.order_id), fill.client_order_id)
        return [fill for fill in fills if to_ns(fill.timestamp) >= since_ns // 1_000_000 * 1_000_000]

    async def get_account_balance(self) -> dict[str, float]:
        self._connected()
        return {name: float(amount) for name, amount in (await self._ask("query", "balances", self._balances)).items()}

    async def get_positions(self) -> dict[str, float]:
        self._connected()
        held = await self._ask("query", "balances", self._balances)
        traded = {view.symbol for view in self.orders.values()}
        found: dict[str, float] = {}
        for instrument in self.instruments.values():
            if instrument.base in held or instrument.symbol in traded:
                found[instrument.symbol] = float(held.get(instrument.base, Decimal(0)))
        return found

    async def load_instruments(self, symbols: Iterable[str] = ()) -> Instruments:
        self._connected()
        return await super().load_instruments(symbols)
