"""The specification's ``ExecutionEngine``: feed → strategy → risk → OMS → adapter → fills → strategy. Plain asyncio.

The engine adds the waiting to the pure core in :mod:`.trader`: it holds the latest market data until the loop comes
round, sends what the core approved, asks the venue where there is doubt, and stops when told to. It knows nothing of
hosts or notebooks.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.delivery import Delivery
from autotrader_lab.execution.guard import Guard, Level
from autotrader_lab.execution.market_data.conflation import Conflator
from autotrader_lab.execution.market_data.feeds import DEFAULT_KINDS, Feed, kinds_of
from autotrader_lab.execution.monitor import ASKING_FAILED, Monitor
from autotrader_lab.execution.oms.flatten import flatten
from autotrader_lab.execution.oms.latency import LatencyLog
from autotrader_lab.execution.oms.manager import OrderManager
from autotrader_lab.execution.oms.settlement import Settlement
from autotrader_lab.execution.outage import Outage
from autotrader_lab.execution.recovery import (
    Past,
    doubt_what_may_have_left,
    restore_books,
    restore_day,
    tell_strategy,
)
from autotrader_lab.execution.resiliency import DeadLetters, ResiliencyManager
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.execution.tasks import Tasks
from autotrader_lab.execution.trader import Trader
from autotrader_lab.journal import Journal, records
from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.model.errors import AutoTraderError, StrategyError, TradingHalted
from autotrader_lab.model.market import Bar, MarketEvent, Quote
from autotrader_lab.model.orders import Order
from autotrader_lab.strategy.decision import HOLD, ExecutionDecision

__all__ = ["ExecutionEngine"]

T = TypeVar("T")

START_LOOKS = 5
"""How often the books are compared at the start before a venue that does not answer is given up."""


class ExecutionEngine:
    """One strategy on one venue.

    Parameters
    ----------
    strategy : TradingStrategy, Strategy, object or function
    adapter : BaseBrokerAdapter
    enable_resiliency : bool
    feed : Feed, optional
        Market data; the adapter's own where none is given.
    symbols : sequence of str
        What to trade; by default what the strategy asks for.
    limits : RiskLimits, optional
        By default the strategy's own.
    journal : Journal, optional
        In memory where none is given.
    clock : Clock, optional
    bar_interval_s : float
        Length of the bars a strategy with ``on_bar`` is shown.
    stage : str
        Written into every record.
    starting_equity : float, optional
        Account currency; by default the quote currency's balance at connect.
    id_prefix : str, optional
        Of client order ids; by default random, so that no two processes share ids.
    resiliency, oms : dict, optional
        The specification's settings of those names (``max_retries``, … and ``order_timeout_seconds``).
    reconcile_every_s, equity_every_s : float
        How often the books are compared with the venue's, and equity is journaled.
    """

    def __init__(
        self,
        strategy: Any,
        adapter: BaseBrokerAdapter,
        enable_resiliency: bool = True,
        *,
        feed: Feed | None = None,
        symbols: Sequence[str] = (),
        limits: RiskLimits | None = None,
        journal: Journal | None = None,
        clock: Clock | None = None,
        bar_interval_s: float = 60.0,
        stage: str = "paper",
        starting_equity: float | None = None,
        id_prefix: str | None = None,
        resiliency: dict[str, Any] | None = None,
        oms: dict[str, Any] | None = None,
        reconcile_every_s: float = 30.0,
        equity_every_s: float = 1.0,
    ) -> None:
        self.adapter = adapter
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.feed = feed if feed is not None else adapter.feed()
        self.bar_interval_s = bar_interval_s
        self.stage = stage
        self.reconcile_every_s = reconcile_every_s
        self.equity_every_s = equity_every_s
        self.resiliency = (
            ResiliencyManager(adapter, clock=self.clock, **(resiliency or {})) if enable_resiliency else None
        )
        self._starting_equity = starting_equity
        self.trader = Trader(
            strategy,
            clock=self.clock,
            instruments=adapter.instruments,
            limits=limits,
            journal=journal,
            starting_equity=starting_equity or 0.0,
            stage=stage,
            id_prefix=id_prefix or f"al{uuid.uuid4().hex[:12]}",
            expects_market_data=self.feed is not None,
            shorting=adapter.capabilities.shorting,
        )
        self.strategy = strategy
        self.journal = self.trader.desk.journal
        self.symbols: tuple[str, ...] = tuple(symbols) or tuple(self.trader.strategy.symbols)
        self.latency = LatencyLog(self.trader.desk, self.clock)
        settings = dict(oms or {})
        max_open = settings.pop("max_open_orders", None)
        if max_open is not None:
            gate = self.trader.gate
            gate.limits = gate.limits.model_copy(update={"max_open_orders": min(max_open, gate.limits.max_open_orders)})
        self.oms = OrderManager(
            adapter,
            desk=self.trader.desk,
            submit=self.resiliency.submit_order_with_retry if self.resiliency is not None else None,
            clock=self.clock,
            latency=self.latency,
            **settings,
        )
        self.oms.on_error.append(self._strategy_failed)
        self.dead_letters = self.resiliency.dead_letters if self.resiliency is not None else DeadLetters(self.clock)
        self.settlement = Settlement(self.oms, self.dead_letters)
        adapter.subscribe_connection(self._connection_changed)
        self.guard = Guard(self.trader.desk, self.clock)
        self.monitor = Monitor(self.trader, self.oms, self.guard, self.clock, self.dead_letters)
        breaker = self.resiliency.breaker if self.resiliency is not None else None
        self.delivery = Delivery(self.oms, self.monitor, self.guard, self.dead_letters, breaker)
        self.failure: StrategyError | None = None
        self._latest = Conflator()
        self._wake = asyncio.Event()
        self._tasks = Tasks(self.clock, self._task_failed)
        self.outage = Outage(self.guard, self.monitor, self.clock, self._tasks)
        self._sends: set[asyncio.Task[Any]] = set()
        self._running = False
        self._connected = False
        self._listening = False
        self._stopped = asyncio.Event()
        self.accepts_entries = True

    # --- life -------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect and learn what may be traded and what the account has; :meth:`start` does it where nobody did.

        Raises
        ------
        AuthenticationFailed, VenueUnavailable, InstrumentError
            From the venue; nothing was sent.
        """
        if self._connected:
            return
        await self._ask(self.adapter.connect)
        instruments = await self._ask(lambda: self.adapter.load_instruments(self.symbols))
        self.trader.book.use(instruments)
        self.symbols = tuple(instruments.find(symbol).symbol for symbol in self.symbols)
        self.trader.symbols = self.symbols
        await self._ask(lambda: self.monitor.take_balances(self._starting_equity))
        self._connected = True

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        return await (self.resiliency.ask_with_retry(question) if self.resiliency is not None else question())

    async def start(self, past: Past | None = None) -> None:
        """Reconcile, open the feed, trade.

        Parameters
        ----------
        past : Past, optional
            What an earlier process left of this stage; the venue must agree with it before anything is sent.

        Raises
        ------
        AuthenticationFailed, VenueUnavailable, InstrumentError
            From the venue, before anything is sent.
        TradingHalted
            If the books cannot be reconciled.
        """
        if self._running:
            return
        if past is not None and past.starting_equity is not None:
            self._starting_equity = past.starting_equity
        await self.connect()
        if past is not None:
            balances = self.trader.book.balances
            self.trader.book.balances = None  # the venue's hold the restored fills already
            restore_books(past, self.trader, self.adapter, self.guard, self.dead_letters)
            self.trader.book.balances = balances
        await self._ask(lambda: self.monitor.take_baseline(self.symbols, past.baseline if past is not None else None))
        self._running = True
        self._stopped.clear()
        outcome = await self.monitor.reconcile_until_answered("start", attempts=START_LOOKS)
        if not outcome.ok:
            self._running = self._connected = False
            await self.adapter.disconnect()
            raise TradingHalted(f"the books do not agree with the venue's: {'; '.join(outcome.differences)}")
        if past is not None:
            restore_day(past, self.trader, self.clock)
            doubt_what_may_have_left(self.trader, self.clock)
        if self.feed is not None:
            await self._open_feed(self.feed)
        self._tasks.own(self._loop(), "engine loop")
        self._tasks.repeat(0.5, self._asking(self.monitor.settle_doubt), "doubt")
        if self.resiliency is not None:
            self._tasks.repeat(0.5, self._asking(self.resiliency.probe), "probe")
        self._tasks.repeat(self.equity_every_s, self.monitor.mark_equity, "equity")
        self._tasks.repeat(self.reconcile_every_s, self._asking(self.monitor.on_timer), "reconcile")
        if "bars" in self.trader.hears:
            self._tasks.repeat(min(self.bar_interval_s / 4, 1.0), self._flush_bars, "bars")
        try:
            self.trader.start()
            if past is not None:
                tell_strategy(past, self.trader)
        except StrategyError as error:
            self._strategy_failed(error)

    async def stop(self, flatten: bool = False, cancel: bool = True) -> None:
        """Stop: no new decisions, sends in flight end, open orders are cancelled, positions flattened if asked.

        Twice is quiet.
        """
        if not self._running:
            return
        self.accepts_entries = False
        await self.settle_sends()
        try:
            if cancel:
                await self.oms.cancel_all()
            if flatten:
                await self.flatten("stop")
        except ASKING_FAILED as error:
            self.alert("critical", "STOP_INCOMPLETE", str(error))
        await self.monitor.mark_equity()
        self._running = self._connected = False
        if self.feed is not None:
            await self.feed.close()
        await self._tasks.end()
        await self.adapter.disconnect()
        self._stopped.set()

    async def run_live_trading(self) -> None:
        """Start, trade until :meth:`stop` is called or this task is cancelled, then leave in order."""
        await self.start()
        try:
            await self._stopped.wait()
        finally:
            await asyncio.shield(self.stop())

    @property
    def is_running(self) -> bool:
        """Between start and stop."""
        return self._running

    @property
    def baseline(self) -> dict[str, Decimal]:
        """What the account held beyond our own book when the stage began, units; not ours to touch."""
        return dict(self.monitor.baseline)

    # --- decisions --------------------------------------------------------------------------------------------

    async def execute_decision(self, decision: ExecutionDecision) -> Order | None:
        """Carry out one decision; None for HOLD and where there is nothing to do.

        Returns
        -------
        Order or None
            Also when denied or refused: see its status and reason.

        Raises
        ------
        StrategyError, InstrumentError
            If it is no decision that can be executed, before any I/O.
        """
        if decision.action == HOLD:
            return None
        if self.trader.book.instruments is not self.adapter.instruments:
            self.trader.book.use(self.adapter.instruments)
        decided_ns = self.clock.monotonic_ns()
        order, denied = self.trader.execute(decision)
        if order is None or denied is not None:
            return order
        self.latency.begin(order.client_order_id, decided_ns)
        return await self.oms.send(order)

    async def flatten(self, reason: str = "") -> bool:
        """Close every position at the market; true once the book is flat (to the last lot)."""
        for trouble in await flatten(self.oms, reason):
            self.alert("critical", "NOT_FLATTENED", trouble)
        return all(position.is_flat for position in self.trader.book.positions.values())

    async def settle_sends(self, timeout_s: float = 15.0) -> None:
        """Wait for the orders that are being sent right now."""
        if self._sends:
            await asyncio.wait(self._sends, timeout=timeout_s)

    # --- the loop ---------------------------------------------------------------------------------------------

    async def _open_feed(self, feed: Feed) -> None:
        self.adapter.attach(feed)
        interval_s = self.bar_interval_s if "bars" in self.trader.hears else None
        kinds = [kind for kind in kinds_of(feed) if kind in DEFAULT_KINDS]
        quoted = [symbol for symbol in self.symbols if "trades" not in kinds_of(feed, symbol)]
        self._latest = Conflator(self.symbols, interval_s, without_trades=quoted)
        if not self._listening:
            feed.subscribe(self._on_market)
            self._listening = True
        await feed.open(self.symbols, kinds)

    def _on_market(self, event: MarketEvent) -> None:
        self._latest.add(event)
        self._wake.set()

    async def _loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._turn()

    def _turn(self) -> None:
        """Show the strategy what came since the last turn, and send what it decided."""
        taken_up_ns = self.clock.monotonic_ns()
        trader = self.trader
        for event in self._latest.take():
            if self.failure is not None or not self.accepts_entries:
                self._mark_only(event)
                continue
            try:
                orders = trader.on_market(event)
            except AutoTraderError as error:  # raised by the strategy, or named a symbol the venue lacks
                self._strategy_failed(error)
                continue
            for order in orders:
                self.latency.begin(order.client_order_id, taken_up_ns)
                self._send(order)

    def _mark_only(self, event: MarketEvent) -> None:
        """Keep prices and risk going when the strategy is not asked any more."""
        book = self.trader.book
        if isinstance(event, Quote):
            book.mark(event.symbol, event.mid, event.timestamp_ns)
            book.bid_ask[event.symbol] = (event.bid, event.ask)
        elif isinstance(event, Bar):
            book.mark(event.symbol, event.close, event.timestamp_ns)

    def _send(self, order: Order) -> None:
        task = self._tasks.own(self.oms.send(order), f"send {order.client_order_id}")
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _flush_bars(self) -> None:
        if self._latest.flush(self.clock.now_ns()):
            self._wake.set()

    # --- looking after it -------------------------------------------------------------------------------------

    async def reconcile(self, trigger: str = "asked") -> records.Reconciliation:
        """Compare our books with the venue's; see :meth:`Monitor.reconcile`."""
        return await self.monitor.reconcile(trigger)

    # --- what it says -----------------------------------------------------------------------------------------

    def alert(self, level: Level, code: str, message: str) -> None:
        """Tell people; see :meth:`Guard.alert`."""
        self.guard.alert(level, code, message)

    def status(self) -> dict[str, Any]:
        """What is going on, as plain values."""
        book = self.trader.book
        realised, unrealised, fees = (float(value) for value in book.profit())
        return {
            "running": self._running,
            "stage": self.stage,
            "trading_state": self.trader.gate.state.value,
            "symbols": list(self.symbols),
            "failure": str(self.failure) if self.failure is not None else None,
            "equity": book.equity(),
            "starting_equity": book.starting_equity,
            "realised": realised,
            "unrealised": unrealised,
            "fees": fees,
            "open_orders": len(book.open),
            "in_doubt": len(book.in_doubt()),
            "reconciled": self.monitor.reconciled.ok if self.monitor.reconciled is not None else None,
            "counters": self.monitor.counters(),
            "rates": self.monitor.rates(),
            "latency": self.latency.summary(),
        }

    def _strategy_failed(self, error: Exception) -> None:
        """The strategy raised: it is not asked again, entries stop, cancels and exits go on."""
        self.failure = error if isinstance(error, StrategyError) else StrategyError(str(error))
        self.guard.hold_back("strategy", "the strategy failed")
        self.alert("critical", "STRATEGY_FAILED", str(error))

    def _connection_changed(self, state: str, reason: str) -> None:
        if state == "lost":
            self.outage.on_lost(reason)
        elif state == "restored" and self._running:
            self.outage.on_restored(reason)

    def _task_failed(self, name: str, error: BaseException) -> None:
        self.alert("critical", "TASK_FAILED", f"{name}: {error!r}")

    def _asking(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        """`work` on a timer: whatever goes wrong is worth an alert, never the end of looking after the books."""

        async def asking() -> None:
            try:
                await work()
            except ASKING_FAILED as error:
                self.alert("warning", "NO_ANSWER", f"{type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001 - see above
                self.alert("critical", "TASK_FAILED", f"{work.__name__}: {error!r}")

        return asking
