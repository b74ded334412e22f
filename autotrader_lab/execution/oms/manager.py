"""The specification's ``OrderManager``: the async shell, with the wire between the desk's intent and its reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.book import Change, OrderBook
from autotrader_lab.execution.oms.change import change_order
from autotrader_lab.execution.oms.desk import Desk
from autotrader_lab.execution.oms.doubt import PASSING, Doubts
from autotrader_lab.execution.oms.evidence import catch_up
from autotrader_lab.execution.risk import RiskGate, RiskLimits
from autotrader_lab.model.clock import NS, Clock, SystemClock, to_ns
from autotrader_lab.model.errors import (
    AutoTraderError,
    IllegalTransition,
    NotConnected,
    OrderError,
    OrderNotFound,
    OutcomeUnknown,
    StrategyError,
    VenueError,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instruments, exact
from autotrader_lab.model.orders import (
    DONE,
    Accepted,
    Cancelled,
    Fill,
    Filled,
    InDoubt,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Rejected,
    Report,
    check_order,
)

if TYPE_CHECKING:
    from autotrader_lab.execution.oms.latency import LatencyLog

__all__ = ["OrderManager"]

Submit = Callable[[Order], Awaitable[Order]]
_FILLS_MARGIN_NS = 5 * NS  # venues stamp fills with their own clock


class OrderManager:
    """Sends orders, keeps them in the book, ends doubt by evidence.

    Parameters
    ----------
    adapter : BaseBrokerAdapter
    desk : Desk, optional
        The engine's; by default one of its own, with default risk limits and a journal in memory.
    submit : callable, optional
        How an order is sent; by default ``adapter.submit_order``, with resiliency its ``submit_order_with_retry``.
    clock : Clock, optional
    settle_s : float
        An order in doubt is absent only when the venue says so twice, the second time this long (and the adapter's
        ``arrival_window_s``) after it was sent.
    fresh_s : float
        An absent order is sent again, with the same client order id, only within this long of its intent.
    order_timeout_seconds : float or None
        Working orders older than this are cancelled by :meth:`cancel_expired`.

    Attributes
    ----------
    on_error : list of callable
        Called with an error that came up while a report was handled (a strategy that raised, an illegal transition).
    on_undelivered : list of callable
        Called with (order, reason) when an order is given up that provably never reached the venue.
    """

    def __init__(
        self,
        adapter: BaseBrokerAdapter,
        *,
        desk: Desk | None = None,
        submit: Submit | None = None,
        clock: Clock | None = None,
        settle_s: float = 2.0,
        fresh_s: float = 5.0,
        order_timeout_seconds: float | None = None,
        latency: LatencyLog | None = None,
    ) -> None:
        self.adapter = adapter
        self.clock: Clock = clock if clock is not None else SystemClock()
        if desk is None:
            book = OrderBook(adapter.instruments)
            desk = Desk(book, RiskGate(RiskLimits(), book), self.clock)
        self.desk = desk
        self.settle_s = settle_s
        self.fresh_s = fresh_s
        self.order_timeout_seconds = order_timeout_seconds
        self.on_error: list[Callable[[Exception], None]] = []
        self.on_undelivered: list[Callable[[Order, str], None]] = []
        self._submit: Submit = submit if submit is not None else adapter.submit_order
        self._latency = latency
        self._doubts = Doubts(self.clock)
        if adapter.capabilities.reports:
            adapter.subscribe_reports(self.take)
        else:
            adapter.subscribe_fills(self._handle_fill)

    # --- what is in the book ----------------------------------------------------------------------------------

    @property
    def book(self) -> OrderBook:
        """Orders, positions, fills."""
        return self.desk.book

    @property
    def instruments(self) -> Instruments:
        """The adapter's, which the book then uses too."""
        if self.book.instruments is not self.adapter.instruments:
            self.book.use(self.adapter.instruments)
        return self.adapter.instruments

    @property
    def active_orders(self) -> dict[str, Order]:
        """Open orders by the venue's id, or by ours until it gave one."""
        return {order.order_id or order.client_order_id: order for order in self.book.open.values()}

    @property
    def completed_orders(self) -> list[Order]:
        """Orders nothing more is expected of."""
        return [order for order in self.book.orders.values() if order.status in DONE]

    @property
    def fills(self) -> list[Fill]:
        """All executions, in order of arrival."""
        return self.book.fills

    @property
    def total_filled(self) -> float:
        """Notional of all executions, quote currency."""
        return float(self.book.turnover)

    @property
    def total_commission(self) -> float:
        """Fees of all executions, quote currency."""
        return float(self.book.commission)

    def get_position(self, symbol: str) -> float:
        """Units held, signed."""
        return float(self.book.position(self.instruments.find(symbol).symbol))

    def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """Open orders, those in doubt included."""
        wanted = self.instruments.find(symbol).symbol if symbol else None
        return [order for order in self.book.open.values() if wanted in (None, order.symbol)]

    # --- orders out -------------------------------------------------------------------------------------------

    async def submit_order(
        self,
        symbol: str,
        side: OrderSide,
        quantity: float,
        order_type: OrderType = OrderType.LIMIT,
        price: float | None = None,
        **kwargs: Any,
    ) -> Order:
        """Make an order, let the gate judge it and send it.

        Parameters
        ----------
        quantity : float
            Units; cut to whole lots, and what was cut stands in ``metadata['rounded_from']``.
        **kwargs
            Further fields of :class:`Order`.

        Returns
        -------
        Order
            Also when it was denied (status DENIED) or refused (REJECTED); ``reason`` says why.

        Raises
        ------
        OrderError, InstrumentError
            For input that makes no sense, before any I/O.
        """
        instrument = self.instruments.find(symbol)
        order = Order("", instrument.symbol, side, order_type, quantity, price, **kwargs)
        check_order(order)
        rounded = instrument.round_quantity(quantity)
        if rounded and rounded != exact(quantity):
            order.metadata["rounded_from"] = quantity
            order.quantity = float(rounded)
        if self.desk.approve(order) is not None:
            return order
        return await self.send(order)

    async def send(self, order: Order) -> Order:
        """Journal an approved order and put it on the wire; returns it moved as far as is known."""
        if self._latency is not None:
            self._latency.mark(order.client_order_id, "journal_ns")
        self.desk.intend(order)
        await self._transmit(order)
        return order

    async def send_again(self, order: Order) -> Order:
        """Put an order in doubt on the wire again, under the same client id; only after the venue said it has none."""
        denied = self.desk.judge_again(order)
        if denied is not None:
            raise OrderError(f"order {order.client_order_id}: the risk gate does not let it go again: {denied}")
        await self._transmit(order)
        return order

    async def _transmit(self, order: Order) -> None:
        client_id, sent = order.client_order_id, order.copy()
        sent.submitted_at = None
        if self._latency is not None:
            self._latency.mark(client_id, "wire_ns")
        try:
            answer = await self._submit(sent)
        except (VenueUnavailable, NotConnected, ConnectionRefusedError) as error:
            self._on_report(Rejected(client_id, self.clock.now_ns(), str(error), "NEVER_SENT"))
        except OutcomeUnknown as error:
            self._on_report(InDoubt(client_id, self.clock.now_ns(), str(error)))
        except AutoTraderError as error:
            self._on_report(Rejected(client_id, self.clock.now_ns(), str(error), type(error).__name__))
        except asyncio.CancelledError:
            self._on_report(InDoubt(client_id, self.clock.now_ns(), "interrupted while it was being sent"))
            raise
        except Exception as error:  # noqa: BLE001 - any other error of an adapter leaves the outcome open
            self._on_report(InDoubt(client_id, self.clock.now_ns(), f"{type(error).__name__}: {error}"))
        else:
            self._absorb(order, answer)
        finally:
            if order.status is OrderStatus.UNKNOWN:
                self._doubts.sent(order, sent)

    def _absorb(self, order: Order, answer: Order) -> None:
        """Take what ``submit_order`` returned; for adapters that report it is old news and changes nothing."""
        now_ns = self.clock.now_ns()
        if answer.status is OrderStatus.REJECTED:
            if order.is_open:
                reason = answer.reason or "refused by the venue"
                self._on_report(Rejected(order.client_order_id, now_ns, reason))
            return
        if not order.order_id or order.status is OrderStatus.PENDING:
            self._on_report(Accepted(order.client_order_id, now_ns, answer.order_id))
        if answer.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED) and order.is_open:
            self._on_report(Cancelled(order.client_order_id, now_ns, answer.reason))

    async def cancel_order(self, order_id: str) -> bool:
        """Cancel by the venue's id or ours; false, and quiet, for what is already done.

        Raises
        ------
        OrderError
            If there is no such order.
        VenueUnavailable, OutcomeUnknown
            If nobody answered; a cancel may be repeated.
        """
        order = self._find(order_id)
        if not order.is_open:
            return False
        gone = await self.adapter.cancel_order(order.order_id or order.client_order_id)
        if gone and order.is_open:
            if self.adapter.capabilities.reports:
                await self.learn(order)
            else:
                self._on_report(Cancelled(order.client_order_id, self.clock.now_ns(), "cancelled"))
        return gone

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        """Change a working order, in place where the venue can; see :func:`~.change.change_order`.

        Parameters
        ----------
        quantity : float, optional
            New total in units, what was executed included; the chain of replacements never executes more.
        price : float, optional
            New limit price.

        Returns
        -------
        Order
            The order itself if amended in place or if nothing was left to send; else its replacement, with
            ``metadata['replaced_order_id']``.

        Raises
        ------
        OrderError
            If there is no such order, it is done, the risk gate denies the change, or its cancel is not confirmed.
        """
        return await change_order(self, self._find(order_id), quantity, price)

    async def cancel_all(self, symbol: str | None = None) -> int:
        """Cancel every open order of the book, at once; returns how many are no longer working.

        Every order is tried; errors are raised together at the end.
        """
        orders = self.get_open_orders(symbol)
        answers = await asyncio.gather(
            *(self.cancel_order(order.client_order_id) for order in orders), return_exceptions=True
        )
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        if failures:
            raise VenueUnavailable(
                f"{len(failures)} of {len(orders)} cancels got no answer; first: {failures[0]}"
            ) from failures[0]
        return sum(1 for order in orders if not order.is_open)

    async def cancel_expired(self) -> int:
        """Cancel what works longer than ``order_timeout_seconds``; returns how many were asked for."""
        if self.order_timeout_seconds is None:
            return 0
        oldest_ns = self.clock.now_ns() - round(self.order_timeout_seconds * NS)
        old = [o for o in self.get_open_orders() if o.created_at is not None and to_ns(o.created_at) < oldest_ns]
        for order in old:
            await self.cancel_order(order.client_order_id)
        return len(old)

    # --- what comes back --------------------------------------------------------------------------------------

    def take(self, report: Report) -> None:
        """Take a report: from the adapter, or what a person found out."""
        self._on_report(report)

    def _on_report(self, report: Report) -> list[Change]:
        """Book a report; what goes wrong on our side of it must never break the adapter's stream."""
        if self._latency is not None:
            self._latency.on_report(report)
        try:
            changes = self.desk.on_report(report)
        except (StrategyError, IllegalTransition) as error:
            for handler in self.on_error:
                handler(error)
            if not self.on_error:
                raise
            return []
        if self._latency is not None:
            for change in changes:
                self._latency.on_change(change)
        return changes

    def _handle_fill(self, fill: Fill) -> None:
        """Take a fill from an adapter that has only the specification's ``subscribe_fills``."""
        self._on_report(Filled(fill.client_order_id, self.clock.now_ns(), fill))

    # --- evidence ---------------------------------------------------------------------------------------------

    async def learn(self, order: Order) -> bool:
        """Ask the venue about `order` and book what is new; false if the venue has no such order.

        Raises
        ------
        VenueUnavailable
            If nobody can tell now.
        """
        theirs = await self._their_view(order)
        if theirs is None:
            return False
        since_ns = (to_ns(order.created_at) if order.created_at else 0) - _FILLS_MARGIN_NS
        fills = await self.adapter.get_fills(order.symbol, max(since_ns, 0))
        reports, _ = catch_up(order, theirs, fills, self.clock.now_ns())
        for report in reports:
            self._on_report(report)
        return True

    async def _their_view(self, order: Order) -> Order | None:
        if self.adapter.capabilities.client_order_ids:
            return await self.adapter.find_order(order.client_order_id, order.symbol)
        try:
            return await self.adapter.get_order_status(order.order_id) if order.order_id else None
        except OrderNotFound:
            return None

    async def resolve(self, order: Order) -> OrderStatus:
        """End the doubt about `order` if the venue's evidence allows it now.

        Found: adopted. Absent (the venue answered so twice, `settle_s` after it was sent): sent again under the same
        client order id if it is still fresh and the gate lets it, otherwise REJECTED as ``NEVER_ARRIVED``. Anything
        else leaves it UNKNOWN, still reserving what it could cost.
        """
        if order.status is not OrderStatus.UNKNOWN or not self.adapter.capabilities.client_order_ids:
            return order.status
        async with self.deciding(order):
            if order.status is OrderStatus.UNKNOWN:
                await self._resolve(order)
        return order.status

    def deciding(self, order: Order) -> asyncio.Lock:
        """Held from asking about an order in doubt to acting on the answer: two at once could send it twice."""
        return self._doubts.deciding(order)

    async def _resolve(self, order: Order) -> None:
        try:
            found = await self.learn(order)
        except VenueError:
            return
        if found:
            self._doubts.found(order)
        elif self._doubts.is_absent(order, max(self.settle_s, self.adapter.arrival_window_s)):
            await self._resend_or_give_up(order, self.clock.now_ns())

    async def _resend_or_give_up(self, order: Order, now_ns: int) -> None:
        age_s = (now_ns - to_ns(order.created_at)) / NS if order.created_at else float("inf")
        denied = self.desk.judge_again(order)
        if age_s > self.fresh_s:
            reason = f"the venue never got it, and {age_s:.1f} s after the decision it is stale"
        elif denied is None:
            await self._transmit(order)
            return
        elif denied.code in PASSING:
            return  # it stays in doubt, and is asked about again, until it may go or is stale
        else:
            reason = f"the venue never got it, and the risk gate does not let it go again: {denied}"
        self.give_up(Rejected(order.client_order_id, now_ns, reason, "NEVER_ARRIVED"))
        for callback in self.on_undelivered:
            callback(order, reason)

    def may_arrive_for_s(self, order: Order) -> float:
        """Seconds for which `order`, sent and stuck on the way, may still reach the venue; 0 once it cannot."""
        return max(0.0, self.adapter.arrival_window_s - self._doubts.sent_s_ago(order))

    def give_up(self, report: Rejected) -> None:
        """Book that an order provably never arrived, and let the adapter know."""
        self.adapter.give_up(report)
        self._on_report(report)

    def _find(self, order_id: str) -> Order:
        order = self.book.find(order_id)
        if order is None:
            raise OrderError(f"no order {order_id!r} in this session; see get_open_orders()")
        return order
