"""Interactive Brokers, as the specification's adapter: what is sent, and what each outcome means.

Covered: stocks, options, futures and currencies; market, limit, stop and stop-limit orders with GTC, DAY, IOC and FOK;
routing, cancel, change in place, executions with commissions, positions, cash, profit, quotes, trades, depth and bars.
Not covered: combinations, bonds, algos, conditions, attached and trailing orders, allocation among an advisor's
accounts.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Self

from autotrader_lab.execution.adapters.base import NOT_SEEN, Capabilities
from autotrader_lab.execution.adapters.direct import local_endpoint, refuse_repeated, sandbox_world
from autotrader_lab.execution.adapters.ibkr.bars import IBKRBars
from autotrader_lab.execution.adapters.ibkr.codes import Meaning
from autotrader_lab.execution.adapters.ibkr.contracts import Listing
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, Terms
from autotrader_lab.execution.adapters.ibkr.encode import TYPES, check, ib_order
from autotrader_lab.execution.adapters.ibkr.feed import IBKRFeed
from autotrader_lab.execution.adapters.ibkr.handles import WORKING, Handle
from autotrader_lab.model.errors import (
    DataError,
    InstrumentError,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import InDoubt, Order, OrderStatus, OrderType, check_order

__all__ = ["IBKRAdapter"]


class IBKRAdapter(IBKRBars):
    """One Interactive Brokers account through TWS or IB Gateway.

    Parameters
    ----------
    host : str, default "127.0.0.1"
        Where TWS or Gateway runs.
    port : int, default 7497
        TWS: 7497 paper, 7496 live. Gateway: 4002 paper, 4001 live.
    client_id : int, default 1
        A number of its own for each program that is connected; keep it, orders belong to it.
    account : str, optional
        Which account orders are for; needed where the login has several.
    environment : {"paper", "live"}, optional
        By the port if left out, and paper for any other port. Checked against the account that answers.
    exchange : str, default "SMART"
        Where orders go if they trade there; ``order.metadata["exchange"]`` says it for one order.
    currency : str, default "USD"
        Of stocks, options and futures that are written without one.
    contracts : mapping, optional
        Symbols that cannot be written plainly, with IB's fields: ``{"VOD": {"symbol": "VOD", "exchange": "LSE",
        "currency": "GBP"}}``.
    outside_hours : bool, default False
        Let orders execute outside regular trading hours too.
    delayed_data : bool, default False
        Take quotes that IB tells a quarter of an hour late, where the account has no subscription. Not to trade on.
    clock : Clock, optional
    timeout_s : float, default 10
        Longest wait for an answer, seconds. What was sent and not answered by then is in doubt, and until then no list
        without it proves that it never arrived.
    commission_wait_s : float, default 1
        So long an execution waits for its commission before it is told without, seconds.
    heartbeat_s : float, default 15
        Seconds between questions whether TWS lives.
    messages_1s : int, default 50
        TWS's limit of messages a second.
    time_zone : str, optional
        Of times that an old TWS tells without one; this machine's if left out.
    library : {"ib_async", "ib_insync"}, optional
        Which client library, where both are installed.

    Raises
    ------
    ConfigError
        If something is missing, or port and environment contradict each other.
    """

    venue = VENUE
    capabilities = Capabilities(
        order_types=frozenset(OrderType),
        times_in_force=frozenset({"GTC", "IOC", "FOK", "DAY"}),
        post_only=False,
        reports=True,
        client_order_ids=True,
        open_orders=True,
        fills_since=True,
        amend=True,
        cancel_all=True,
        instruments=True,
        shorting=True,
    )

    @staticmethod
    def sandbox_arguments(block: Mapping[str, Any], environment: str = "paper") -> dict[str, Any]:
        """Constructor arguments for the local sandbox.

        Parameters
        ----------
        block : mapping
            The sandbox's addresses under ``ibkr``.
        environment : {"paper", "live"}

        Raises
        ------
        ConfigError
            If the block lacks something, or its address is not on this machine.
        """
        world = sandbox_world(VENUE, block, environment, ("address", "account"))
        host, port = local_endpoint(VENUE, str(world["address"]))
        return {"host": host, "port": port, "account": world["account"], "environment": environment}

    @classmethod
    def on_sandbox(cls, block: Mapping[str, Any], environment: str = "paper", **more: Any) -> Self:
        """An adapter for the local sandbox: :meth:`sandbox_arguments`, and any further arguments."""
        return cls(**{**cls.sandbox_arguments(block, environment), **more})

    def feed(self) -> IBKRFeed:
        """Market data over this adapter's own connection: a client id is logged on once."""
        return IBKRFeed(self)

    # --- submit -----------------------------------------------------------------------------------------------

    async def submit_order(self, order: Order) -> Order:
        self._up()
        order.client_order_id = order.client_order_id or uuid.uuid4().hex
        check_order(order)
        listing = await self._listing(order.symbol)
        order.symbol, order.venue = listing.instrument.symbol, self.venue
        check(order, listing)
        contract = self._contract(listing, self._way(listing, order))
        name = order.client_order_id
        earlier = self.orders.get(name)
        await refuse_repeated(VENUE, earlier, self._look_up)
        client = await self._send("order", f"order {name}")
        self._up()
        self.orders[name] = order
        handle = self._handle(order)
        handle.begin("submit")
        number, self._next_id = self._next_id, self._next_id + 1
        self._note(name, handle, self.client_id, number, 0)
        order.submitted_at = self._clock.now()
        client.placeOrder(number, contract, self._written_out(order))
        try:
            await self._until(handle, lambda: order.status not in NOT_SEEN or handle.word is not None)
            if order.status in NOT_SEEN and handle.word is not None and handle.word.meaning is Meaning.UNCLEAR:
                # Its meaning is in no list: the status tells, if anything does.
                await self._until(handle, lambda: order.status not in NOT_SEEN)
            self._judge(handle, name, earlier)
        except asyncio.CancelledError:
            self._doubt(order, "interrupted")
            raise
        finally:
            handle.awaits = ""
        return order

    def _judge(self, handle: Handle, name: str, earlier: Order | None) -> None:
        """Return if the venue has the order or refused it.

        Raises
        ------
        OutcomeUnknown, RateLimited, VenueUnavailable
            As the contract of :mod:`~autotrader_lab.execution.adapters.base` says.
        """
        order, word = handle.view, handle.word
        if order.status not in NOT_SEEN:
            return
        said = f"{word.code} {word.text}" if word is not None else ""
        if word is not None and word.meaning in (Meaning.TOO_FAST, Meaning.CLASH):
            # Certain: nothing was placed. Whatever an earlier attempt under this id was, it still is.
            self._by_number.pop((self.client_id, handle.order_id), None)
            del self.orders[name]
            if earlier is not None:
                self.orders[name] = earlier
            if word.meaning is Meaning.TOO_FAST:
                raise RateLimited(f"{VENUE} {self.environment}: order {name}: {said}", 1.0)
            self._next_id += 1_000
            raise VenueUnavailable(
                f"{VENUE} {self.environment}: order {name} got a number in use, {said}; nothing was placed"
            )
        silence = said or order.reason or f"no answer within {self._timeout_s:g} s"
        self._doubt(order, silence)
        raise OutcomeUnknown(f"{VENUE} {self.environment}: order {name} was sent: {silence}")

    def _doubt(self, order: Order, reason: str) -> None:
        order.apply(InDoubt(order.client_order_id, self._clock.now_ns(), reason))

    def _written_out(self, order: Order, quantity: Decimal | None = None, limit: Decimal | None = None) -> Any:
        return ib_order(
            self._library.order,
            order,
            self.account,
            outside_hours=self.outside_hours,
            quantity=quantity,
            limit=limit,
        )

    async def _until(self, handle: Handle, is_so: Callable[[], bool]) -> bool:
        """Wait until something is so, or the time for an answer is over, or the line is gone."""
        connection = self._link.connections
        try:
            async with asyncio.timeout(self._timeout_s):
                while not is_so():
                    if self._is_cut or self._link.connections != connection or not self._link.is_up:
                        return False
                    news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    handle.waiting.append(news)
                    await news
        except TimeoutError:
            return False
        return True

    # --- cancel -----------------------------------------------------------------------------------------------

    async def cancel_order(self, order_id: str) -> bool:
        self._connected()
        if not self._is_cut:
            await self._line_ready()
        view = self._find_view(order_id)
        if view is None:
            await self._line_ready()
            view = await self._adoptable(order_id)
        handle = self._handle(view)
        name = view.client_order_id or view.order_id
        if view.status not in (*NOT_SEEN, *WORKING) and not await self._arrived_after_all(handle):
            return True
        if not handle.order_id or handle.client_id != self.client_id:
            found = await self._look_up(view)
            if found is None:
                raise OrderNotFound(f"{VENUE} {self.environment}: the venue shows nothing of order {order_id}")
            if not found.is_open:
                return True
            if not handle.order_id or handle.client_id != self.client_id:
                raise OrderRefused(
                    f"{VENUE}: order {order_id} belongs to client id {handle.client_id}; only that one, or TWS, "
                    "can cancel it",
                    "OTHER_CLIENT",
                )
        client = await self._send("cancel", f"cancel of {name}")
        handle.begin("cancel")
        try:
            client.cancelOrder(handle.order_id, "")
            if self._is_cut:
                raise VenueUnavailable(
                    f"{VENUE}: cancel of {order_id} is with TWS, which has no connection to IB (1100), and carries it "
                    "out when it has"
                )
            is_told = await self._until(handle, lambda: not view.is_open or handle.word is not None)
        finally:
            handle.awaits = ""
        if not view.is_open:
            return True
        word = handle.word
        if not is_told or word is None or word.meaning in (Meaning.OUTAGE, Meaning.TOO_FAST):
            said = f"{word.code} {word.text}" if word is not None else f"no answer within {self._timeout_s:g} s"
            raise VenueUnavailable(f"{VENUE} {self.environment}: cancel of {order_id}: {said}")
        # Too late, or unknown: the order itself tells which.
        handle.cancelling = False
        found = await self._look_up(view)
        if found is None:
            raise OrderNotFound(f"{VENUE} {self.environment}: order {order_id}: {word.code} {word.text}")
        return not found.is_open

    async def _arrived_after_all(self, handle: Handle) -> bool:
        """Whether an order that was given up, or refused, works at TWS nevertheless."""
        if handle.view.status is not OrderStatus.REJECTED:
            return False
        listed = await self._answer("open orders", self._ask_open())
        return any(self._ours(self._terms[key]) is handle for key in listed)

    async def _adoptable(self, order_id: str) -> Order:
        """A working order of an earlier process; taken over so that its end is understood."""
        for terms in await self._everything(f"order {order_id}"):
            if order_id in (str(terms.perm_id), terms.reference):
                return self._take_over(terms)
        raise OrderNotFound(f"{VENUE} {self.environment}: there is no order {order_id!r}, working or completed today")

    def _take_over(self, terms: Terms) -> Order:
        """An order as TWS shows it; if it works and this client id sent it, it is one of ours from now on."""
        found = self._seen(terms, [])
        if not found.is_open:
            return found
        if terms.client_id != self.client_id:
            raise OrderRefused(
                f"{VENUE}: order {found.order_id} belongs to client id {terms.client_id}; only that one, or TWS, can "
                "cancel it",
                "OTHER_CLIENT",
            )
        self.adopt(found)
        handle = self._ours(terms)
        assert handle is not None, "it was adopted"
        return handle.view

    async def cancel_all(self, symbol: str | None = None) -> int:
        """Cancel every order of this client id, one by one: TWS's global cancel would strike everybody's."""
        self._connected()
        if self._is_cut:
            # What TWS is told now it carries out later; what it would answer nobody can know.
            await self._cancel_each([name for name, view in self.orders.items() if view.is_open])
        await self._line_ready()
        wanted = (await self._listing(symbol)).instrument.symbol if symbol is not None else None
        mine = []
        for key in await self._answer("open orders", self._ask_open()):
            terms = self._terms[key]
            if terms.client_id == self.client_id and wanted in (None, self._name(terms.security)):
                handle = self._ours(terms)
                view = handle.view if handle is not None else self._take_over(terms)
                mine.append(view.client_order_id or view.order_id)
        await self._cancel_each(mine)
        return len(mine)

    async def _cancel_each(self, names: list[str]) -> None:
        outcomes = await asyncio.gather(*(self.cancel_order(name) for name in names), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, OrderNotFound):
                raise outcome

    # --- change -----------------------------------------------------------------------------------------------

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        """Change a working order in place; `quantity` is the new total, executed part included.

        Raises
        ------
        OrderError, InstrumentError
            Before any I/O, for what cannot be: the price of an order without a limit, less than is executed.
        OrderRefused
            If the venue refuses; the order is as it was.
        OutcomeUnknown
            If it does not answer.
        """
        await self._ready()
        view = self._find_view(order_id)
        if view is None:
            raise OrderNotFound(f"{VENUE}: order {order_id} was not sent or adopted here; adopt it first")
        listing = await self._listing(view.symbol)
        handle = self._handle(view)
        total, limit = self._check_change(handle, listing, quantity, price)
        contract = self._contract(listing, self._way(listing, view))
        name = f"{VENUE} {self.environment}: change of {order_id}"
        client = await self._send("order", f"change of {order_id}")
        pair = (total, float(limit) if limit is not None else view.price)
        handle.begin("amend", pair)
        client.placeOrder(handle.order_id, contract, self._written_out(view, total, limit))
        try:
            is_told = await self._until(
                handle, lambda: handle.wanted is None or not view.is_open or handle.word is not None
            )
        finally:
            handle.awaits = ""
        if not is_told and self._link.is_up and not self._is_cut:
            # Working orders show whether it was made.
            await self._look_up(view)
        # A refused change is no cause of what happens to the order later.
        word, handle.word = handle.word, None
        if handle.wanted is None:
            return view
        if word is not None and word.meaning not in (Meaning.OUTAGE, Meaning.UNCLEAR):
            handle.wanted = None
            if word.meaning is Meaning.TOO_FAST:
                raise RateLimited(f"{name}: {word.code} {word.text}", 1.0)
            raise OrderRefused(f"{name}: {word.text}", str(word.code))
        if not view.is_open and exact(view.quantity) != total:
            raise OrderRefused(f"{name}: the order is {view.status.value}", "TOO_LATE")
        if is_told and word is None:
            return view
        raise OutcomeUnknown(f"{name}: {word.text if word is not None else f'no answer within {self._timeout_s:g} s'}")

    def can_amend(self, order: Order, quantity: float | None = None, price: float | None = None) -> bool:
        """Whether :meth:`modify_order` can make this change in place; no I/O."""
        view = self._find_view(order.client_order_id or order.order_id)
        listing = self._catalogue.by_symbol.get(view.symbol) if view is not None else None
        if view is None or listing is None:
            return False
        try:
            self._check_change(self._handle(view), listing, quantity, price)
        except (OrderError, InstrumentError, DataError):
            return False
        return True

    def _check_change(
        self, handle: Handle, listing: Listing, quantity: float | None, price: float | None
    ) -> tuple[Decimal, Decimal | None]:
        view = handle.view
        name = f"{VENUE}: order {view.client_order_id or view.order_id}"
        if view.status not in WORKING:
            raise OrderError(f"{name} is {view.status.value}, not working")
        if not handle.order_id or handle.client_id != self.client_id:
            raise OrderError(f"{name} belongs to another client id of TWS; cancel it there, and send a new one")
        limit = exact(view.price) if view.limit_price is not None and view.price is not None else None
        if view.metadata.get("ibkr_type", TYPES[view.order_type]) != TYPES[view.order_type]:
            raise OrderError(
                f"{name} is of IB's type {view.metadata['ibkr_type']}, which is not covered; change it in TWS"
            )
        if price is not None:
            if view.limit_price is None:
                raise OrderError(f"{name}: a {view.order_type.value} order has no limit price to change; cancel it")
            limit = listing.check_price(price)
        total = listing.instrument.check_quantity(view.quantity if quantity is None else quantity)
        if total <= view._filled:
            raise OrderError(f"{name}: quantity {quantity} is not above the {view._filled} executed; cancel it")
        return total, limit
