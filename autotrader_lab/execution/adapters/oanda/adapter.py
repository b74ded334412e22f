"""Oanda, as the specification's adapter: what is sent, and what each outcome means.

Covered: market, limit (GTC, DAY, IOC, FOK) and stop orders, cancel, change of quantity and limit in place (Oanda
replaces the order, it keeps our id), status, open orders, executions, positions, balance, margin and profit, quotes,
candles, practice and live, netting and hedging accounts. Not covered: orders attached to trades (take profit, stop
loss, trailing), guaranteed stops, price bounds, market-if-touched, order and position books.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from autotrader_lab.execution.adapters.base import ENDED, NOT_SEEN, Capabilities
from autotrader_lab.execution.adapters.direct import refuse_repeated, sandbox_world
from autotrader_lab.execution.adapters.oanda import encode
from autotrader_lab.execution.adapters.oanda.books import ALREADY_EXISTS, WORKING, log
from autotrader_lab.execution.adapters.oanda.decode import VENUE
from autotrader_lab.execution.adapters.oanda.queries import OandaQueries, specifier
from autotrader_lab.execution.adapters.oanda.values import number_of
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    DataError,
    InstrumentError,
    NotConnected,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import InDoubt, Order, OrderStatus, OrderType, Rejected

if TYPE_CHECKING:
    from autotrader_lab.execution.adapters.oanda.feed import OandaFeed

__all__ = ["OandaAdapter"]


class OandaAdapter(OandaQueries):
    """One Oanda v20 account.

    Parameters
    ----------
    account_id : str
        As My Account shows it: ``101-004-1234567-001`` is a practice account, ``001-…`` a live one.
    access_token : str or SecretStr
        A personal access token of that environment.
    environment : {"practice", "live"}, default "practice"
        Live is real money. Checked against the account's number, and against what the venue says of the token.
    clock : Clock, optional
    addresses : mapping, optional
        The local sandbox's entry, instead of the venue's own addresses.
    timeout_s : float, default 10
        Longest wait for an answer, seconds. What was sent and not answered by then is in doubt.
    silence_s : float, default 12
        A stream that says nothing for so long is opened anew; Oanda says something every 5 s.
    arrival_window_s : float, default 5
        So long after it was sent an order may still arrive, so that it is not called absent before.
    paced : bool, default True
        Keep to two new connections a second.
    ca_file : str, optional
        Certificates to trust instead of the usual ones: those of a sandbox with TLS.

    Raises
    ------
    ConfigError
        If something is missing, or the account is the other environment's.
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
        cancel_all=True,
        instruments=True,
        shorting=True,
    )

    @staticmethod
    def sandbox_arguments(block: Mapping[str, Any], environment: str = "practice") -> dict[str, Any]:
        """Constructor arguments for the local sandbox.

        Parameters
        ----------
        block : mapping
            The sandbox's addresses under ``oanda``.
        environment : {"practice", "live"}

        Raises
        ------
        ConfigError
            If the block lacks something.
        """
        world = sandbox_world(VENUE, block, environment, ("account", "token", "rest", "stream"))
        return {
            "account_id": world["account"],
            "access_token": world["token"],
            "environment": environment,
            "addresses": block,
        }

    @classmethod
    def on_sandbox(cls, block: Mapping[str, Any], environment: str = "practice", **more: Any) -> Self:
        """An adapter for the local sandbox: :meth:`sandbox_arguments`, and any further arguments."""
        return cls(**{**cls.sandbox_arguments(block, environment), **more})

    def feed(self) -> OandaFeed:
        """Quotes of this account: Oanda's prices need a login, and may differ between accounts."""
        from autotrader_lab.execution.adapters.oanda.feed import OandaFeed

        return OandaFeed(self)

    # --- orders -----------------------------------------------------------------------------------------------

    async def submit_order(self, order: Order) -> Order:
        self._connected()
        instrument = self.instruments.find(order.symbol)
        order.symbol, order.venue = instrument.symbol, self.venue
        order.client_order_id = order.client_order_id or uuid.uuid4().hex
        encode.check(order, instrument)
        name = order.client_order_id
        earlier = self.orders.get(name)
        await refuse_repeated(VENUE, earlier, self._look_up)
        self.orders[name] = order
        self._known_at_sending[name] = self._known
        order.submitted_at = self._clock.now()
        try:
            await self._send(order, instrument)
        except OutcomeUnknown as doubt:
            if order.status in NOT_SEEN:
                order.apply(InDoubt(name, self._clock.now_ns(), str(doubt)))
                raise
            # The answer was lost, and the stream has told meanwhile.
            log.info("%s; the transaction stream told: %s", doubt, order.status.value)
        except (VenueUnavailable, NotConnected):
            # It never left: an earlier attempt under this id, if there was one, is still what it was.
            self.orders.pop(name)
            order.submitted_at = None
            if earlier is not None:
                self.orders[name] = earlier
            raise
        except asyncio.CancelledError:
            if order.status in NOT_SEEN:
                order.apply(InDoubt(name, self._clock.now_ns(), "interrupted"))
            raise
        return order

    async def _send(self, order: Order, instrument: Instrument) -> None:
        """Send it and report what the answer says."""
        from oandapyV20.endpoints.orders import OrderCreate

        from autotrader_lab.execution.adapters.oanda.errors import Refused

        name = order.client_order_id
        what = f"{VENUE} {self.environment}: order {name}"
        body = encode.new_order(order, instrument, hedging=self._is_hedging)
        try:
            answer = await self._ask(
                OrderCreate(self.account_id, data=body), what, "submit", changes=True, late=self._absorb
            )
        except Refused as refused:
            if refused.code == ALREADY_EXISTS:
                self._absorb(refused.body)
                raise OutcomeUnknown(f"{what}: the venue has a pending order of this id") from refused
            self._tell(Rejected(name, self._clock.now_ns(), refused.message, refused.code))
            self._absorb(refused.body)
            return
        except AuthenticationFailed as refused:
            self._tell(Rejected(name, self._clock.now_ns(), str(refused), "AUTHENTICATION_FAILED"))
            return
        self._absorb(answer)
        if order.status in NOT_SEEN:
            raise OutcomeUnknown(f"{what}: the answer tells nothing of it")

    @property
    def _is_hedging(self) -> bool:
        return self.state is not None and self.state.hedging

    def _absorb(self, answer: Mapping[str, Any]) -> None:
        """Every transaction in an answer, in its order."""
        found = [row for key, row in answer.items() if key.endswith("Transaction") and isinstance(row, Mapping)]
        for row in sorted(found, key=_number):
            try:
                self._receive(row)
            except DataError as error:
                log.warning("%s: a transaction in an answer was not understood: %s", VENUE, error)

    async def cancel_order(self, order_id: str) -> bool:
        self._connected()
        view = self._find_view(order_id)
        for _ in range(2):
            if view is not None and view.status in ENDED:
                return True
            named = specifier(order_id) if view is None else view.order_id or specifier(view.client_order_id)
            try:
                return await self._cancel(named, order_id)
            except OrderNotFound:
                # Done, unknown, or replaced by one with another number.
                if view is None:
                    return (await self._ticket(named)).state != "PENDING"
                if view.status is OrderStatus.REJECTED:
                    return True
                if await self._look_up(view) is None:
                    raise
        return view is None or not view.is_open

    async def _cancel(self, named: str, order_id: str) -> bool:
        from oandapyV20.endpoints.orders import OrderCancel

        what = f"{VENUE} {self.environment}: cancel of {order_id}"
        self._absorb(await self._ask(OrderCancel(self.account_id, named), what, "cancel", late=self._absorb))
        return True

    async def cancel_all(self, symbol: str | None = None) -> int:
        working = await self.get_open_orders(symbol)
        asked = (self.cancel_order(order.order_id) for order in working)
        failed = [each for each in await asyncio.gather(*asked, return_exceptions=True) if isinstance(each, Exception)]
        if failed:
            raise failed[0]
        return len(working)

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        """Change a working order; `quantity` is the new total, executed part included.

        Oanda cancels it and makes another in one step, which keeps our id and has an id of its own at the venue.

        Raises
        ------
        OrderError, InstrumentError
            Before any I/O, for what cannot be: the price of an order without a limit, less than is executed.
        OrderRefused
            If the venue refuses; the order is as it was.
        OutcomeUnknown
            If it does not answer.
        """
        from oandapyV20.endpoints.orders import OrderReplace

        from autotrader_lab.execution.adapters.oanda.errors import Refused

        self._connected()
        view = self._find_view(order_id)
        if view is None:
            raise OrderNotFound(f"{VENUE}: order {order_id} was not sent or adopted here; adopt it first")
        instrument = self.instruments.find(view.symbol)
        total, limit = self._check_amend(view, instrument, quantity, price)
        body = encode.replacement(view, instrument, total - view._filled, limit, hedging=self._is_hedging)
        what = f"{VENUE} {self.environment}: change of {order_id}"
        endpoint = OrderReplace(self.account_id, view.order_id, data=body)
        try:
            answer = await self._ask(endpoint, what, "amend", changes=True, late=self._absorb)
        except Refused as refused:
            self._absorb(refused.body)
            if refused.status == 404:
                await self._look_up(view)
                raise OrderRefused(f"{what}: the order is {view.status.value}", "TOO_LATE") from refused
            raise OrderRefused(str(refused), refused.code) from refused
        self._absorb(answer)
        return view

    def can_amend(self, order: Order, quantity: float | None = None, price: float | None = None) -> bool:
        """Whether :meth:`modify_order` can make this change; no I/O."""
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
    ) -> tuple[Decimal, float | None]:
        name = f"{VENUE}: order {view.client_order_id}"
        if view.status not in WORKING:
            raise OrderError(f"{name} is {view.status.value}, not working")
        limit = view.limit_price
        if price is not None:
            if limit is None:
                raise OrderError(f"{name}: a {view.order_type.value} order has no limit price to change; cancel it")
            limit = float(instrument.check_price(price))
        total = instrument.check_quantity(view.quantity if quantity is None else quantity)
        if total <= view._filled:
            raise OrderError(f"{name}: quantity {quantity} is not above the {view._filled} executed; cancel it")
        return total, limit


def _number(row: Mapping[str, Any]) -> int:
    return number_of(str(row.get("id", "")))
