"""Looking after an engine: reconcile the books with the venue's, end doubt, mark equity, watch the session's limits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.guard import Guard
from autotrader_lab.execution.oms.evidence import change_in_place
from autotrader_lab.execution.oms.manager import OrderManager
from autotrader_lab.execution.reconcile import Difference, foreign_orders, position_drift
from autotrader_lab.execution.resiliency import DeadLetters
from autotrader_lab.execution.trader import Trader
from autotrader_lab.journal import records
from autotrader_lab.model.clock import NS, Clock, to_ns
from autotrader_lab.model.errors import VenueError
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Order, OrderStatus

__all__ = ["ASKING_FAILED", "BASELINE", "Monitor"]

BASELINE = "baseline"
"""Name of the checkpoint that says what the account held, and was worth, when the stage began."""

ASKING_FAILED = VenueError
"""What a question to a venue may end in: no answer, or none that helps. It may be asked again."""

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
AT_ONCE = 8
MOST_LOOKS = 4

_FILLS_MARGIN_NS = 60 * NS  # an execution may be stamped by a venue clock behind ours


class Monitor:
    """Compares, measures and raises the alarm.

    Parameters
    ----------
    trader : Trader
    oms : OrderManager
    guard : Guard
    clock : Clock
    dead_letters : DeadLetters

    Attributes
    ----------
    reconciled : Reconciliation or None
        The newest comparison.
    answered : bool
        Whether the venue answered everything it asked.
    is_connected : bool
        Whether the venue's reports reach us; while they do not, no comparison lets entries pass again.
    baseline : dict of str to Decimal
        What the account held beyond our own book when the stage began, units; not ours to touch.
    foreign : list of str
        Venue ids of orders that worked there at the newest comparison and are not ours.
    on_answer : list of callable
        Called when the venue has answered all that a comparison asked.
    """

    def __init__(
        self,
        trader: Trader,
        oms: OrderManager,
        guard: Guard,
        clock: Clock,
        dead_letters: DeadLetters,
    ) -> None:
        self._trader = trader
        self._oms = oms
        self._adapter: BaseBrokerAdapter = oms.adapter
        self._guard = guard
        self._clock = clock
        self._dead_letters = dead_letters
        self.reconciled: records.Reconciliation | None = None
        self.answered = True
        self.is_connected = True
        self.baseline: dict[str, Decimal] = {}
        self.foreign: list[str] = []
        self.on_answer: list[Callable[[], None]] = []

    async def take_baseline(self, symbols: Iterable[str], known: Mapping[str, Decimal] | None = None) -> None:
        """Learn what the account holds that is not ours, and write it down; `known` where an earlier process did."""
        if known is not None:
            self.baseline = dict(known)
            return
        held = await self._adapter.get_positions()
        ours = self._trader.book.position
        self.baseline = {symbol: exact(held.get(symbol, 0.0)) - ours(symbol) for symbol in symbols}
        state = {
            "baseline": {symbol: str(units) for symbol, units in self.baseline.items()},
            "starting_equity": self._trader.book.starting_equity,
        }
        self._append(records.CHECKPOINT, records.Checkpoint(BASELINE, state))

    async def reconcile(
        self, trigger: str, outage_s: Callable[[], float | None] | None = None
    ) -> records.Reconciliation:
        """Compare our books with the venue's and adopt what we missed; journaled.

        A difference nothing explains, or a venue that does not answer, makes it not ok and holds entries back.

        Parameters
        ----------
        trigger : str
            What made us look: start, reconnect, timer, asked, …; goes into the record.
        outage_s : callable, optional
            Asked at the end how long the connection has been gone, for the record.
        """
        fills_before = len(self._trader.book.fills)
        open_before = self._oms.get_open_orders()
        answered = True
        try:
            await self._learn_what_changed(open_before)
            differences = await self._compare()
            for _ in range(MOST_LOOKS - 1):
                blocking = [str(difference) for difference in differences if difference.blocking]
                if not blocking:
                    break
                await self._clock.sleep(1.0)  # a fill may be on its way: what is wrong stays as it is, look again
                differences = await self._compare()
                if blocking == [str(difference) for difference in differences if difference.blocking]:
                    break
        except ASKING_FAILED as error:
            differences = [Difference("no_answer", self._adapter.venue, "-", str(error), blocking=True)]
            answered = False
        outcome = records.Reconciliation(
            ok=not any(difference.blocking for difference in differences),
            differences=[str(difference) for difference in differences],
            fills_adopted=len(self._trader.book.fills) - fills_before,
            orders_checked=len(open_before),
            trigger=trigger,
            outage_s=outage_s() if outage_s is not None else None,
        )
        self._append(records.RECONCILIATION, outcome)
        self.reconciled, self.answered = outcome, answered
        for callback in self.on_answer if answered else ():
            callback()
        if outcome.ok:
            if self.is_connected:
                self._guard.release("connection")
            self._guard.release("reconciliation")
        elif answered:
            drift = any(difference.kind == "position_drift" for difference in differences)
            self._guard.alert(
                "critical", records.DRIFT_CODE if drift else "NOT_RECONCILED", "; ".join(outcome.differences)
            )
            self._guard.hold_back("reconciliation", "our books and the venue's do not agree")
        else:
            self._guard.alert("warning", "NO_ANSWER", "; ".join(outcome.differences))
            self._guard.hold_back("reconciliation", "the venue does not answer, so our books cannot be compared")
        return outcome

    async def _learn_what_changed(self, ours: list[Order]) -> None:
        """Ask about each of our open orders, but for those the venue lists as working just as we have them."""
        capabilities = self._adapter.capabilities
        listed: dict[str, Order] = {}
        if capabilities.open_orders and ours:
            for symbol in sorted({order.symbol for order in ours}):
                listed.update({theirs.order_id: theirs for theirs in await self._adapter.get_open_orders(symbol)})
        for order in ours:
            theirs = listed.get(order.order_id) if order.order_id else None
            as_we_have_it = (
                theirs is not None
                and order.status in (OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL)
                and exact(theirs.filled_quantity) == exact(order.filled_quantity)
                and change_in_place(order, theirs, 0) is None
            )
            if not as_we_have_it and (order.order_id or capabilities.client_order_ids):
                await self._oms.learn(order)

    async def _compare(self) -> list[Difference]:
        await self._adopt_missed_fills()
        book = self._trader.book
        found: list[Difference] = []
        if self._adapter.capabilities.open_orders:
            for symbol in self._trader.symbols or (None,):
                working = await self._adapter.get_open_orders(symbol)
                for theirs in working:
                    ours = book.find(theirs.client_order_id) or book.find(theirs.order_id)
                    if ours is not None and change_in_place(ours, theirs, 0) is not None:
                        await self._oms.learn(ours)  # done as far as we heard, and the venue made it bigger
                found += foreign_orders(book, working)
            self.foreign = [difference.subject for difference in found]
        return found + position_drift(book, await self._adapter.get_positions(), self.baseline)

    async def _adopt_missed_fills(self) -> None:
        """Close the gap: ask for every execution since the last one we know, and book what is ours."""
        if not self._adapter.capabilities.fills_since:
            return
        book = self._trader.book
        for symbol in {order.symbol for order in book.orders.values() if order.order_id}:
            known = [to_ns(fill.timestamp) for fill in book.fills if fill.symbol == symbol]
            created = [to_ns(o.created_at) for o in book.orders.values() if o.symbol == symbol and o.created_at]
            since_ns = max(known, default=min(created, default=0)) - _FILLS_MARGIN_NS
            for fill in await self._adapter.get_fills(symbol, max(since_ns, 0)):
                order = book.find(fill.client_order_id) or book.find(fill.order_id)
                if order is not None and fill.execution_id not in order.execution_ids:
                    await self._oms.learn(order)

    async def on_timer(self) -> None:
        """What is due every half minute or so."""
        await self.reconcile_until_answered("timer")
        await self._oms.cancel_expired()

    async def reconcile_until_answered(
        self, trigger: str, outage_s: Callable[[], float | None] | None = None, attempts: int | None = None
    ) -> records.Reconciliation:
        """As :meth:`reconcile`, again and again, sooner at first, while the venue does not answer.

        Parameters
        ----------
        trigger, outage_s
            As for :meth:`reconcile`.
        attempts : int, optional
            After so many the outcome without an answer is returned; else it goes on until there is one.
        """
        wait_s = FIRST_WAIT_S
        for attempt in itertools.count(1):
            outcome = await self.reconcile(trigger, outage_s)
            if self.answered or attempt == attempts:
                break
            await self._clock.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return outcome

    async def settle_doubt(self) -> None:
        """Ask the venue about every order in doubt; one that keeps it waiting does not keep the others waiting."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def resolve(order: Order) -> None:
            async with turn:
                await self._oms.resolve(order)

        answers = await asyncio.gather(*map(resolve, self._trader.book.in_doubt()), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def mark_equity(self) -> None:
        """Journal what the account is worth and what the stage has done; hold entries back on a breached limit."""
        book, gate = self._trader.book, self._trader.gate
        realised, unrealised, fees = book.profit()
        equity = book.equity()
        gate.peak_equity = max(gate.peak_equity, equity)
        gate.clock_offset_ms = self._adapter.clock_offset_ms
        now_ns = self._clock.now_ns()
        mark = records.EquityMark(
            timestamp_ns=now_ns,
            equity=equity,
            cash=book.starting_equity + float(realised - fees),
            realised=float(realised),
            unrealised=float(unrealised),
            fees=float(fees),
            drawdown=1 - equity / gate.peak_equity if gate.peak_equity > 0 else 0.0,
        )
        self._append(records.EQUITY, mark)
        self._append(records.COUNTERS, self._stage_counters())
        breach = gate.breach(now_ns)
        if breach is None:
            self._guard.release("limit")
        elif "limit" not in self._guard.reasons:
            self._guard.alert("critical", breach.code, str(breach))
            self._guard.hold_back("limit", str(breach))

    async def take_balances(self, starting_equity: float | None) -> None:
        """Learn the account's balances; equity starts from the quote currencies' where it is not given."""
        balances = await self._adapter.get_account_balance()
        book = self._trader.book
        book.balances = {currency: exact(amount) for currency, amount in balances.items()}
        if starting_equity is None:
            quotes = {book.instruments.find(symbol).quote for symbol in self._trader.symbols}
            starting_equity = float(sum((book.balances.get(quote, Decimal(0)) for quote in quotes), Decimal(0)))
        book.starting_equity = starting_equity
        self._trader.gate.peak_equity = starting_equity
        self._trader.gate.restore_day(self._clock.now().date().isoformat(), starting_equity)

    def counters(self) -> dict[str, int]:
        """How much of everything there was in this stage."""
        trader, book = self._trader, self._trader.book
        in_doubt = len(book.in_doubt())
        return {
            "decisions": trader.decisions,
            "holds": trader.holds,
            "orders": trader.desk.sent,
            "fills": len(book.fills),
            "denied": trader.desk.denied,
            "rejected": trader.desk.rejected,
            "unknown": in_doubt,
            "unreconciled": in_doubt + int(self.reconciled is not None and not self.reconciled.ok),
            "dead_letters": len(self._dead_letters),
            "round_trips": sum(position.round_trips for position in book.positions.values()),
        }

    def rates(self) -> dict[str, float | None]:
        """The specification's rates over what was sent in this stage; None while nothing was.

        ``success``: taken by the venue (accepted, filled, or ended there) of all sent whose outcome is known;
        ``dead_letters``: undelivered of all sent.
        """
        sent = [order for order in self._trader.book.orders.values() if order.status is not OrderStatus.DENIED]
        known = [order for order in sent if order.status not in (OrderStatus.PENDING, OrderStatus.UNKNOWN)]
        failed = sum(1 for order in known if order.status is OrderStatus.REJECTED)
        return {
            "success": 1 - failed / len(known) if known else None,
            "dead_letters": len(self._dead_letters) / len(sent) if sent else None,
        }

    def _stage_counters(self) -> records.StageCounters:
        counters = self.counters()
        names = ("decisions", "holds", "orders", "fills", "denied", "rejected", "round_trips")
        return records.StageCounters(**{name: counters[name] for name in names})

    def _append(self, kind: str, record: Any) -> None:
        desk = self._trader.desk
        desk.journal.append(kind, record, stage=desk.stage, timestamp_ns=self._clock.now_ns())
