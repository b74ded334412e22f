"""FXCM, as the specification's adapter: what is sent, and what each outcome means.

Covered: market, limit (GTC, DAY, IOC, FOK) and stop orders, cancel, change of quantity and price in place, status by
our id, open orders, positions and balance, quotes, instruments, hedging and netting accounts, demo and live. Not
covered: FXCM's linked order lists (OCO, OTO, ELS), trailing stops, its market-range type, price history. FXCM tells no
fees with executions (a commission stands in the position's report), no depth and no trades of others.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Self

from autotrader_lab.execution.adapters.base import ENDED, Capabilities
from autotrader_lab.execution.adapters.direct import local_endpoint, refuse_repeated, sandbox_world
from autotrader_lab.execution.adapters.fix.messages import Field
from autotrader_lab.execution.adapters.fxcm import encode
from autotrader_lab.execution.adapters.fxcm.account import FXCMAccount
from autotrader_lab.execution.adapters.fxcm.books import WORKING
from autotrader_lab.execution.adapters.fxcm.decode import VENUE, Execution, Phase, Ticket
from autotrader_lab.execution.adapters.fxcm.feed import FXCMFeed
from autotrader_lab.execution.adapters.fxcm.line import NoAnswer, Refused
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import (
    DataError,
    InstrumentError,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instrument, Instruments, exact
from autotrader_lab.model.orders import Fill, InDoubt, Order, OrderSide, OrderStatus, OrderType, Rejected

__all__ = ["FXCMAdapter"]


class FXCMAdapter(FXCMAccount):
    """One FXCM account over FIX 4.4.

    Parameters
    ----------
    user, password : str, str or SecretStr
        FIX user name and password.
    account : str
        The trading account orders are for; the login may have several.
    environment : {"demo", "live"}, default "demo"
        Live is real money. Checked against the trade server's name where that tells.
    host, port : str, int
        From the credentials FXCM sends.
    sender_comp_id, target_comp_id, target_sub_id : str
        From the credentials; ``FXCM/MINIREAL`` names target and sub id in one. Demo's sub id is U100D1 if left out.
    clock : Clock, optional
    tls : bool or ssl.SSLContext, default False
        Encrypt the connection; True trusts the machine's certificate authorities.
    user_request : bool, default False
        Send user and password in a UserRequest after the Logon, instead of in it.
    heartbeat_s : int, default 30
        Seconds between signs of life; twice that without one ends the connection.
    timeout_s : float, default 10
        Longest wait for an answer, seconds. What was sent and not answered by then is in doubt.
    arrival_window_s : float, default 5
        So long after it was sent an order may still arrive, over a connection that was lost meanwhile, so that it is
        not called absent before. FXCM sets no end to it.

    Raises
    ------
    ConfigError
        If something is missing, or the trade server is the other environment's.
    """

    venue = VENUE
    capabilities = Capabilities(
        order_types=frozenset(OrderType) - {OrderType.STOP_LIMIT},
        times_in_force=frozenset({"GTC", "IOC", "FOK", "DAY"}),
        post_only=False,
        reports=True,
        client_order_ids=True,
        open_orders=True,
        fills_since=True,
        amend=True,
        cancel_all=False,
        instruments=True,
        shorting=True,
    )

    @staticmethod
    def sandbox_arguments(block: Mapping[str, Any], environment: str = "demo") -> dict[str, Any]:
        """Constructor arguments for the local sandbox.

        Parameters
        ----------
        block : mapping
            The sandbox's addresses under ``fxcm``.
        environment : {"demo", "live"}

        Raises
        ------
        ConfigError
            If the block lacks something, or its address is not on this machine.
        """
        names = {
            "user": "user",
            "password": "password",
            "account": "account",
            "sender_comp_id": "sender",
            "target_comp_id": "target",
            "target_sub_id": "target_sub",
        }
        world = sandbox_world(VENUE, block, environment, (*names.values(), "address"))
        host, port = local_endpoint(VENUE, str(world["address"]))
        arguments = {ours: world[theirs] for ours, theirs in names.items()}
        return {**arguments, "environment": environment, "host": host, "port": port}

    @classmethod
    def on_sandbox(cls, block: Mapping[str, Any], environment: str = "demo", **more: Any) -> Self:
        """An adapter for the local sandbox: :meth:`sandbox_arguments`, and any further arguments."""
        return cls(**{**cls.sandbox_arguments(block, environment), **more})

    def feed(self) -> FXCMFeed:
        """Quotes over this adapter's own session: FXCM lets a sender log on once."""
        return FXCMFeed(self)

    # --- orders -----------------------------------------------------------------------------------------------

    async def submit_order(self, order: Order) -> Order:
        self._up()
        instrument = self.instruments.find(order.symbol)
        order.symbol, order.venue = instrument.symbol, self.venue
        order.client_order_id = order.client_order_id or uuid.uuid4().hex
        encode.check(order, instrument)
        earlier = self.orders.get(order.client_order_id)
        await refuse_repeated(VENUE, earlier, self._look_up)
        closes = await self._closes(order)
        name = order.client_order_id
        self.orders[name] = order
        order.submitted_at = self._clock.now()  # from then on it may arrive
        try:
            body = encode.new_order(order, instrument, self.account, self._clock.now_ns(), closes)
            await self._inquiries.ask("D", name, body, name)
        except Refused as refused:
            refusal = refused.refusal
            self._tell(Rejected(name, self._clock.now_ns(), refusal.reason, refusal.code))
        except NoAnswer as silence:
            order.apply(InDoubt(name, self._clock.now_ns(), str(silence)))
            raise OutcomeUnknown(f"{VENUE} {self.environment}: order {name} was sent: {silence}") from silence
        except (VenueUnavailable, DataError):
            # It never left: an earlier attempt under this id, if there was one, is still what it was.
            self.orders.pop(name)
            if earlier is not None:
                self.orders[name] = earlier
            raise
        except asyncio.CancelledError:
            order.apply(InDoubt(name, self._clock.now_ns(), "interrupted"))
            raise
        return order

    async def _closes(self, order: Order) -> str:
        """The position that a reducing market order closes: on a hedging account it would open an opposite one."""
        is_hedging = self.state is not None and self.state.hedging
        if not (is_hedging and order.reduce_only and order.order_type is OrderType.MARKET):
            return ""
        return encode.closing_ticket(order, await self.get_open_tickets())

    async def cancel_order(self, order_id: str) -> bool:
        await self._ready()
        view = self._find_view(order_id)
        if view is not None and view.status in ENDED:
            return True
        order = view if view is not None else await self._foreign(order_id)
        name = order.client_order_id or order.order_id
        symbol = self.instruments.find(order.symbol).venue_symbol

        def body(key: str) -> Iterable[Field]:
            self._aliases[key] = name
            return encode.cancel_request(order, symbol, self.account, key, self._clock.now_ns())

        try:
            (execution,) = await self._inquiries.ask_again("F", f"{name[:40]}-c", body, name)
        except NoAnswer as silence:
            raise VenueUnavailable(f"{VENUE} {self.environment}: cancel of {order_id}: {silence}") from silence
        except Refused:
            # Too late, or unknown: the order itself tells which.
            try:
                return await self._is_over(order)
            except OrderNotFound:
                if order.status is OrderStatus.REJECTED:
                    return True  # the venue has none, as we knew
                raise
        result: Execution = execution
        return result.phase is not Phase.WORKING

    async def _is_over(self, order: Order) -> bool:
        try:
            execution = await self._status(order)
        except OrderNotFound:
            if order.client_order_id not in self.orders:
                raise
            found = await self._look_up(order)
            if found is None:
                raise
            return not found.is_open
        return execution.phase is not Phase.WORKING

    async def _foreign(self, order_id: str) -> Order:
        for order in await self.get_open_orders():
            if order_id in (order.order_id, order.client_order_id):
                return order
        raise OrderNotFound(
            f"{VENUE}: order {order_id!r} was not sent or adopted here and is not among the open orders"
        )

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
        instrument = self.instruments.find(view.symbol)
        total, limit = self._check_amend(view, instrument, quantity, price)
        key = self._inquiries.new_id(f"{view.client_order_id[:40]}-r")
        self._aliases[key] = view.client_order_id
        now_ns = self._clock.now_ns()
        body = encode.amend_request(view, instrument.venue_symbol, self.account, key, now_ns, total, limit)
        name = f"{VENUE} {self.environment}: change of {order_id}"
        try:
            (execution,) = await self._inquiries.ask("G", key, body, view.client_order_id)
        except NoAnswer as silence:
            raise OutcomeUnknown(f"{name}: {silence}") from silence
        except Refused as refused:
            raise OrderRefused(f"{name}: {refused}", refused.refusal.code) from refused
        if execution.phase is not Phase.WORKING and execution.quantity != total:
            raise OrderRefused(f"{name}: the order is {execution.phase.value}", "TOO_LATE")
        return view

    def can_amend(self, order: Order, quantity: float | None = None, price: float | None = None) -> bool:
        """Whether :meth:`modify_order` can make this change in place; no I/O."""
        view = self._find_view(order.client_order_id or order.order_id)
        if view is None:
            return False
        try:
            self._check_amend(view, self.instruments.find(view.symbol), quantity, price)
        except (OrderError, InstrumentError):
            return False
        return True

    def _check_amend(
        self, view: Order, instrument: Instrument, quantity: float | None, price: float | None
    ) -> tuple[Decimal, Decimal]:
        name = f"{VENUE}: order {view.client_order_id}"
        if view.status not in WORKING:
            raise OrderError(f"{name} is {view.status.value}, not working")
        limit = exact(view.price) if view.limit_price is not None and view.price is not None else Decimal(0)
        if price is not None:
            if view.limit_price is None:
                raise OrderError(f"{name}: a {view.order_type.value} order has no limit price to change; cancel it")
            limit = instrument.check_price(price)
        total = instrument.check_quantity(view.quantity if quantity is None else quantity)
        if total <= view._filled:
            raise OrderError(f"{name}: quantity {quantity} is not above the {view._filled} executed; cancel it")
        return total, limit

    async def cancel_all(self, symbol: str | None = None) -> int:
        working = await self.get_open_orders(symbol)
        await asyncio.gather(*(self.cancel_order(order.order_id or order.client_order_id) for order in working))
        return len(working)

    # --- queries ----------------------------------------------------------------------------------------------

    async def get_order_status(self, order_id: str) -> Order:
        await self._ready()
        view = self._find_view(order_id)
        if view is None:
            return await self._foreign(order_id)
        found = await self._look_up(view)
        if found is None:
            raise OrderNotFound(f"{VENUE} {self.environment}: the venue shows nothing of order {order_id}")
        return found

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        await self._ready()
        view = self.orders.get(client_order_id)
        if view is not None:
            return await self._look_up(view)
        # Side and quantity are unknown, and not what the venue looks by.
        name = self.instruments.find(symbol).symbol
        probe = Order("", name, OrderSide.BUY, OrderType.MARKET, 0.0, client_order_id=client_order_id)
        try:
            return self._snapshot(await self._status(probe))
        except OrderNotFound:
            return await self._in_positions(client_order_id)

    async def _in_positions(self, client_order_id: str) -> Order | None:
        """An order that only its positions still tell of, pieced together."""
        day_ago_ns = self._clock.now_ns() - 86_400_000_000_000
        tickets = [*await self._tickets(), *await self._tickets(day_ago_ns)]
        opened = [ticket for ticket in tickets if ticket.open_ids[0] == client_order_id]
        closed = [ticket for ticket in tickets if ticket.close_ids[0] == client_order_id]
        if not opened and not closed:
            return None
        first = (opened or closed)[0]
        is_long = (first.quantity > 0) is bool(opened)
        pieces = [(abs(t.quantity), t.open_price) for t in opened] + [(abs(t.quantity), t.close_price) for t in closed]
        total = sum((size for size, _ in pieces), Decimal(0))
        cost = sum((size * price for size, price in pieces), Decimal(0))
        return Order(
            (first.open_ids if opened else first.close_ids)[1],
            self._universal(first.symbol),
            OrderSide.BUY if is_long else OrderSide.SELL,
            OrderType.MARKET,
            float(total),
            status=OrderStatus.FILLED,
            filled_quantity=float(total),
            avg_fill_price=float(cost / total),
            client_order_id=client_order_id,
            venue=VENUE,
            updated_at=self._clock.now(),
            _filled=total,
            _cost=cost,
        )

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        await self._ready()
        wanted = self.instruments.find(symbol).symbol if symbol is not None else None
        try:
            found = await self._mass_status()
        except (NoAnswer, Refused) as error:
            raise VenueUnavailable(f"{VENUE} {self.environment}: open orders: {error}") from error
        orders = [self._snapshot(execution) for execution in found if execution.phase is Phase.WORKING]
        return [order for order in orders if wanted in (None, order.symbol)]

    async def get_fills(self, symbol: str, since_ns: int) -> list[Fill]:
        """Executions of the orders sent or adopted here, as far as the venue tells them by now.

        FXCM lists positions, not executions: every working order is asked after, and what it grew by is a fill.
        """
        await self._ready()
        name = self.instruments.find(symbol).symbol
        try:
            await self._catch_up(name)
        except (NoAnswer, Refused) as error:
            raise VenueUnavailable(f"{VENUE} {self.environment}: fills of {name}: {error}") from error
        # FXCM tells whole seconds.
        since_ns = since_ns // 1_000_000_000 * 1_000_000_000
        found = [fill for fill in self._ledger.get(name, []) if to_ns(fill.timestamp) >= since_ns]
        return sorted(found, key=lambda fill: fill.timestamp)

    async def get_open_tickets(self) -> list[Ticket]:
        """The account's open positions one by one, as FXCM keeps them."""
        await self._ready()
        return [ticket for ticket in await self._tickets() if not ticket.is_closed]

    async def get_positions(self) -> dict[str, float]:
        net = {view.symbol: Decimal(0) for view in self.orders.values()}
        for ticket in await self.get_open_tickets():
            symbol = self._universal(ticket.symbol)
            net[symbol] = net.get(symbol, Decimal(0)) + ticket.quantity
        return {symbol: float(quantity) for symbol, quantity in net.items()}

    async def get_account_balance(self) -> dict[str, float]:
        """The cash balance in the account's currency: deposits and realised profit, open positions left out."""
        await self._ready()
        await self._ask("BB", "the account", "C", encode.account_request)
        assert self.state is not None, "a connected account has reported itself"
        return {self.parameters.get("BASE_CRNCY", "USD"): float(self.state.balance)}

    async def load_instruments(self, symbols: Iterable[str] = ()) -> Instruments:
        self._connected()
        return await super().load_instruments(symbols)
