"""Working fakes: a venue on paper behind a line that can fail, and the hands on both kinds of paper.

:class:`UnreliableAdapter` is an adapter as one writes it for a real venue (views, doubt, resync) whose venue is a
:class:`PaperTradingAdapter` in the same process, and whose :class:`Line` does what lines do. It runs on a simulated
clock, so that what takes seconds elsewhere is instant and the same every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter, Capabilities
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.oms.evidence import catch_up
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.clock import Clock, to_ns
from autotrader_lab.model.errors import (
    NotConnected,
    OrderError,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.orders import Accepted, Amended, Fill, Filled, InDoubt, Order, OrderStatus, Rejected, Report
from autotrader_lab.testing.harness import Fault, Request

__all__ = ["Line", "UnreliableAdapter"]

T = TypeVar("T")
_S = OrderStatus

_LOST: dict[Fault, str] = {
    Fault.LOSE_REQUEST: "connection reset",
    Fault.LOSE_ANSWER: "connection reset",
    Fault.SILENCE: "no answer in time",
    Fault.SERVER_ERROR: "503 service unavailable",
    Fault.RUBBISH: "an answer that is none",
}


class Line:
    """What goes wrong between an :class:`UnreliableAdapter` and its venue.

    Parameters
    ----------
    clock : Clock
    retry_after_s : float
        What a rate limit asks to wait, seconds.
    reconnect_s : float
        How long a cut lasts, seconds.
    """

    def __init__(self, clock: Clock, retry_after_s: float = 1.0, reconnect_s: float = 0.05) -> None:
        self.clock = clock
        self.retry_after_s = retry_after_s
        self.reconnect_s = reconnect_s
        self.armed: dict[Request, Fault] = {}
        self.is_down = False
        self.is_mute = False
        self.is_doubling = False
        self.held_back: list[Report] | None = None
        self.blocked_until_ns = 0
        self.ends: list[UnreliableAdapter] = []

    def provoke(self, fault: Fault, on: Request = "submit") -> None:
        """See :meth:`VenueControl.provoke`."""
        if fault is Fault.CUT:
            for end in list(self.ends):
                end.on_cut()
        elif fault is Fault.DOWN:
            self.is_down = True
        elif fault is Fault.MUTE:
            self.is_mute = True
        elif fault is Fault.DUPLICATE:
            self.is_doubling = True
        elif fault is Fault.REORDER:
            self.held_back = [] if self.held_back is None else self.held_back
        else:
            self.armed[on] = fault

    def calm(self) -> None:
        """See :meth:`VenueControl.calm`."""
        held, self.held_back = self.held_back or [], None
        self.armed.clear()
        self.is_down = self.is_mute = self.is_doubling = False
        for report in reversed(held):
            self.carry(report)

    def carry(self, report: Report) -> None:
        """Bring an event of the venue to whoever listens, or do to it what was provoked."""
        if self.held_back is not None:
            self.held_back.append(report)
        elif not self.is_mute:
            for _ in range(2 if self.is_doubling else 1):
                for end in list(self.ends):
                    end.on_event(report)

    async def ask(self, kind: Request, what: str, call: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Carry a request there and its answer back.

        Raises
        ------
        VenueUnavailable, RateLimited
            If it certainly never left, or was only a question.
        OutcomeUnknown
            If it was to change something and nobody knows.
        """
        now_ns = self.clock.now_ns()
        if self.is_down:
            raise VenueUnavailable(f"{what}: connection refused")
        if now_ns < self.blocked_until_ns:
            raise RateLimited(f"{what}: asked to wait", (self.blocked_until_ns - now_ns) / 1e9)
        fault = self.armed.pop(kind, None)
        if fault is Fault.RATE_LIMIT:
            self.blocked_until_ns = now_ns + round(self.retry_after_s * 1e9)
            raise RateLimited(f"{what}: too many requests", self.retry_after_s)
        if fault is None:
            return await call()
        if fault is not Fault.LOSE_REQUEST:
            await call()
        if fault is Fault.SILENCE:
            await self.clock.sleep(timeout_s)
        lost = OutcomeUnknown if kind in ("submit", "amend") else VenueUnavailable
        raise lost(f"{what}: {_LOST[fault]}")


class UnreliableAdapter(BaseBrokerAdapter):
    """An adapter to paper, over a line that can fail.

    Parameters
    ----------
    venue : PaperTradingAdapter
        The venue; other adapters may use it too.
    line : Line
    timeout_s : float
        How long an answer is waited for, seconds.
    """

    venue = "paper"

    def __init__(self, venue: PaperTradingAdapter, line: Line, timeout_s: float = 0.5) -> None:
        self.remote = venue
        self.line = line
        self.capabilities: Capabilities = venue.capabilities
        self.instruments = venue.instruments
        self._timeout_s = timeout_s
        self._is_open = False
        self._is_live = False
        self._since_ns = line.clock.now_ns()
        self._reconnecting: asyncio.Task[None] | None = None
        if not any(callback == line.carry for callback in venue.report_callbacks):
            venue.subscribe_reports(line.carry)

    # --- life -------------------------------------------------------------------------------------------------

    async def connect(self) -> bool:
        if self._is_open:
            return True
        self._is_open = True
        try:
            await self._resync()
        except BaseException:
            self._is_open = False
            raise
        self.line.ends.append(self)
        self._is_live = True
        self._connection("connected", "paper behind a line")
        return True

    async def disconnect(self) -> None:
        was_open, self._is_open, self._is_live = self._is_open, False, False
        if self in self.line.ends:
            self.line.ends.remove(self)
        task, self._reconnecting = self._reconnecting, None
        if task is not None:
            await end_tasks(task)
        if was_open:
            self._connection("closed", "disconnect was called")

    def on_cut(self) -> None:
        """The line is gone; it is sought again by a task of its own."""
        if not self._is_live:
            return
        self._is_live = False
        self._connection("lost", "the line was cut")
        self._reconnecting = asyncio.get_running_loop().create_task(self._come_back(), name="unreliable-line")

    async def _come_back(self) -> None:
        while True:
            await self.line.clock.sleep(self.line.reconnect_s)
            try:
                await self._resync()
            except VenueUnavailable:
                continue
            self._is_live = True
            self._connection("restored", "the gap is closed")
            return

    async def _resync(self) -> None:
        """Bring every order that may still change, and every execution missed, up to the venue."""
        for view in list(self.orders.values()):
            await self._learn(view, await self._ask("query", "resync", partial(self._find, view)))

    async def _find(self, view: Order) -> Order | None:
        return await self.remote.find_order(view.client_order_id, view.symbol)

    async def _learn(self, view: Order, theirs: Order | None) -> None:
        """Report what the venue says of an order beyond what we know; nothing if it has none."""
        if theirs is None:
            return
        fills = await self._ask("query", "fills", lambda: self.remote.get_fills(view.symbol, self._since_ns))
        reports, _ = catch_up(view, theirs, fills, self.line.clock.now_ns())
        for report in reports:
            self._tell(report)

    def on_event(self, report: Report) -> None:
        """An event of the venue arrived."""
        if self._is_live and report.client_order_id in self.orders:
            self._tell(report)

    def _tell(self, report: Report) -> None:
        view = self.orders[report.client_order_id]
        if isinstance(report, Accepted) and view.order_id == report.order_id and view.status is not _S.UNKNOWN:
            return
        if not isinstance(report, Filled) and view.status is _S.REJECTED:
            return
        if isinstance(report, Amended) and view.status in (_S.PENDING, _S.UNKNOWN):
            self._report(Accepted(report.client_order_id, report.timestamp_ns, report.order_id))
        self._report(report)

    async def _ask(self, kind: Request, what: str, call: Callable[[], Awaitable[T]]) -> T:
        if not self._is_open:
            raise NotConnected("not connected: await adapter.connect() first")
        answer = await self.line.ask(kind, what, call, self._timeout_s)
        if not self._is_open:
            # It was closed while the answer was on its way.
            raise OutcomeUnknown(f"{what}: disconnected") if kind == "submit" else NotConnected(what)
        return answer

    # --- orders -----------------------------------------------------------------------------------------------

    async def submit_order(self, order: Order) -> Order:
        if not self._is_open:
            raise NotConnected("not connected: await adapter.connect() first")
        order.client_order_id = order.client_order_id or f"line-{len(self.orders) + 1}"
        earlier = self.orders.get(order.client_order_id)
        if earlier is not None and earlier.status not in (OrderStatus.PENDING, OrderStatus.UNKNOWN):
            kind = OutcomeUnknown if earlier.is_open else OrderError
            raise kind(f"client_order_id {order.client_order_id!r} was sent before and is {earlier.status.value}")
        order.symbol = self.instruments.find(order.symbol).symbol
        remote = order.copy()
        self.orders[order.client_order_id] = order
        try:
            answer = await self._ask("submit", f"order {order.client_order_id}", lambda: self._send(remote))
        except (RateLimited, VenueUnavailable, NotConnected, ValueError):
            del self.orders[order.client_order_id]
            if earlier is not None:
                self.orders[order.client_order_id] = earlier
            raise
        except OrderRefused as refused:
            raise OutcomeUnknown(f"order {order.client_order_id}: the venue has it already: {refused}") from refused
        except (OutcomeUnknown, asyncio.CancelledError) as doubt:
            self._doubt(order, str(doubt) or "interrupted")
            raise
        if answer.status is OrderStatus.REJECTED:
            if order.status is not OrderStatus.REJECTED:
                self._tell(Rejected(order.client_order_id, self.line.clock.now_ns(), answer.reason))
        elif not order.order_id:
            self._tell(Accepted(order.client_order_id, self.line.clock.now_ns(), answer.order_id))
        order.order_id = order.order_id or answer.order_id
        return order

    async def _send(self, order: Order) -> Order:
        return (await self.remote.submit_order(order)).copy()

    def _doubt(self, order: Order, reason: str) -> None:
        if order.is_open:
            order.apply(InDoubt(order.client_order_id, self.line.clock.now_ns(), reason))

    async def cancel_order(self, order_id: str) -> bool:
        view = self._find_view(order_id)
        if view is not None and not view.is_open and self._is_open:
            return True
        gone = await self._ask("cancel", f"cancel of {order_id}", lambda: self.remote.cancel_order(order_id))
        if view is not None and view.is_open and self._is_live:
            await self._learn(view, await self._ask("query", "cancel", partial(self._find, view)))
        return gone

    async def cancel_all(self, symbol: str | None = None) -> int:
        return await self._ask("cancel", "cancel of all", lambda: self.remote.cancel_all(symbol))

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        if not self.capabilities.amend:
            raise OrderError(f"order {order_id}: nothing can be changed in place here; cancel it and send what is left")
        changed = await self._ask(
            "amend", f"change of {order_id}", lambda: self.remote.modify_order(order_id, quantity, price)
        )
        view = self._find_view(order_id)
        if view is None:
            return changed
        self._tell(Amended(view.client_order_id, self.line.clock.now_ns(), quantity, price, changed.order_id))
        return view

    # --- queries ----------------------------------------------------------------------------------------------

    async def get_order_status(self, order_id: str) -> Order:
        return await self._ask("query", f"order {order_id}", lambda: self.remote.get_order_status(order_id))

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        return await self._ask("query", "search", lambda: self.remote.find_order(client_order_id, symbol))

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        return await self._ask("query", "open orders", lambda: self.remote.get_open_orders(symbol))

    async def get_fills(self, symbol: str, since_ns: int) -> list[Fill]:
        return await self._ask("query", "fills", lambda: self.remote.get_fills(symbol, since_ns))

    async def get_positions(self) -> dict[str, float]:
        return await self._ask("query", "positions", self.remote.get_positions)

    async def get_account_balance(self) -> dict[str, float]:
        return await self._ask("query", "balances", self.remote.get_account_balance)

    async def load_instruments(self, symbols: Iterable[str] = ()) -> Instruments:
        return await self._ask("query", "instruments", lambda: self.remote.load_instruments(symbols))

    def adopt(self, order: Order) -> None:
        super().adopt(order)
        if order.created_at is not None:
            self._since_ns = min(self._since_ns, to_ns(order.created_at))
