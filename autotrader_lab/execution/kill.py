"""The kill switch: refuse, cancel, optionally flatten, verify with the venue, stay halted until a person re-arms."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autotrader_lab.model.errors import NotConnected, OutcomeUnknown, VenueUnavailable
from autotrader_lab.model.orders import Order

if TYPE_CHECKING:
    from autotrader_lab.execution.engine import ExecutionEngine

__all__ = ["KillReport", "KillSwitch"]

_PER_REQUEST_S = 0.1  # many cancels take turns at the venue's pace


@dataclass(frozen=True, slots=True)
class KillReport:
    """What pulling the switch did.

    Attributes
    ----------
    cancelled : int
        Orders of ours that were open and are no more.
    remaining : list of str
        Client ids of ours that are, or may be, still working.
    positions : dict of str to float
        What is still held, units.
    verified : bool
        Whether the venue itself confirmed that nothing of ours works (and nothing is held, if flattened).
    seconds_to_cancel, seconds : float
        From the pull to the last cancel sent, and to the end of verification.
    """

    reason: str
    cancelled: int
    remaining: list[str] = field(default_factory=list)
    positions: dict[str, float] = field(default_factory=dict)
    verified: bool = False
    flattened: bool = False
    seconds_to_cancel: float = 0.0
    seconds: float = 0.0


class KillSwitch:
    """Emergency stop of one engine.

    Parameters
    ----------
    execution_engine : ExecutionEngine
    attempts : int
        How often cancels are sent and the venue is asked before it gives up verifying.
    retry_s : float
        Seconds between attempts.
    answer_s : float
        Seconds one attempt waits for the venue, and a little more for each order: a venue that hangs shall not keep
        a person from being told that nothing is verified.
    """

    def __init__(
        self, execution_engine: ExecutionEngine, attempts: int = 5, retry_s: float = 0.2, answer_s: float = 2.0
    ) -> None:
        self.engine = execution_engine
        self.attempts = attempts
        self.retry_s = retry_s
        self.answer_s = answer_s

    async def activate(self, reason: str = "kill switch", flatten: bool = False, disconnect: bool = True) -> KillReport:
        """Stop all trading.

        Parameters
        ----------
        flatten : bool
            Also close every position at the market.
        disconnect : bool
            Leave the venue afterwards, as the specification has it.

        Returns
        -------
        KillReport
            ``verified`` is false if the venue could not confirm; trading is halted all the same.
        """
        engine = self.engine
        clock = engine.clock
        began_ns = clock.monotonic_ns()
        engine.guard.halt(reason)
        ours = list(engine.oms.get_open_orders())
        await self._cancel(ours)
        cancelled_ns = clock.monotonic_ns()
        await engine.settle_sends(self.answer_s)
        remaining, verified = await self._verify()
        if flatten:
            verified = await engine.flatten(reason) and verified
            remaining, still = await self._verify()
            verified = verified and still
        report = KillReport(
            reason=reason,
            cancelled=sum(1 for order in ours if not order.is_open),
            remaining=remaining,
            positions={s: float(p.quantity) for s, p in engine.trader.book.positions.items() if not p.is_flat},
            verified=verified,
            flattened=flatten,
            seconds_to_cancel=(cancelled_ns - began_ns) / 1e9,
            seconds=(clock.monotonic_ns() - began_ns) / 1e9,
        )
        state = "verified with the venue" if verified else f"NOT VERIFIED, may be working: {remaining or 'unknown'}"
        engine.alert("critical", "KILLED", f"{reason}: {report.cancelled} orders cancelled, {state}")
        if disconnect:
            await engine.adapter.disconnect()
        return report

    async def _cancel(self, orders: list[Order]) -> None:
        """Send every cancel at once; one that fails is tried again by :meth:`_verify`.

        Where the account holds nobody else's orders, one request a symbol cancels them all.
        """
        engine = self.engine
        adapter = engine.adapter
        if adapter.capabilities.cancel_all and not engine.monitor.foreign and len(orders) > 1:
            requests = [adapter.cancel_all(symbol) for symbol in sorted({order.symbol for order in orders})]
        else:
            requests = [engine.oms.cancel_order(order.client_order_id) for order in orders]
        patience_s = self._patience_s(len(requests))
        waits = [asyncio.wait_for(request, patience_s) for request in requests]
        for answer in await asyncio.gather(*waits, return_exceptions=True):
            if isinstance(answer, TimeoutError):
                engine.alert("critical", "CANCEL_FAILED", f"no answer to a cancel in {patience_s:g} s")
            elif isinstance(answer, BaseException):
                engine.alert("critical", "CANCEL_FAILED", str(answer))

    def _patience_s(self, requests: int) -> float:
        return self.answer_s + _PER_REQUEST_S * requests

    async def _verify(self) -> tuple[list[str], bool]:
        """Ask the venue what of ours still works, cancelling again until nothing does."""
        engine = self.engine
        for attempt in range(self.attempts):
            try:
                async with asyncio.timeout(self._patience_s(2 * len(engine.oms.get_open_orders()))):
                    working = await self._ours_at_the_venue()
                    for order in engine.oms.get_open_orders():
                        await engine.oms.learn(order)
            except TimeoutError:
                engine.alert("critical", "KILL_UNVERIFIED", f"attempt {attempt + 1}: the venue does not answer")
                working = []
            except (VenueUnavailable, NotConnected, OutcomeUnknown) as error:
                engine.alert("critical", "KILL_UNVERIFIED", f"attempt {attempt + 1}: {error}")
                working = []
            else:
                if not working and not engine.oms.get_open_orders():
                    return [], True
            await self._cancel(list(engine.oms.get_open_orders()))
            await engine.clock.sleep(self.retry_s)
        return [order.client_order_id for order in engine.oms.get_open_orders()], False

    async def _ours_at_the_venue(self) -> list[Order]:
        book = self.engine.oms.book
        found = await self.engine.adapter.get_open_orders()
        return [order for order in found if book.find(order.client_order_id or order.order_id) is not None]
