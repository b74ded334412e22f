"""A stage that trades: one engine on one venue, under the host's guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import structs

from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.engine import ExecutionEngine
from autotrader_lab.execution.kill import KillSwitch
from autotrader_lab.host import gates
from autotrader_lab.host.stages import build_stage
from autotrader_lab.journal import Books, Journal, fold, records
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import StrategyError
from autotrader_lab.model.orders import InDoubt, OrderStatus
from autotrader_lab.strategy.contract import Strategy
from autotrader_lab.strategy.decision import ExecutionDecision

if TYPE_CHECKING:
    from autotrader_lab.host.session import Session

__all__ = ["EngineRun", "ResumableEngine"]


class ResumableEngine(ExecutionEngine):
    """An engine that can go on where another process ended."""

    def go_on_from(self, starting_equity: float) -> None:
        """Count profit from what the stage began with, not from what the account has now."""
        self._starting_equity = starting_equity
        self.trader.book.starting_equity = starting_equity

    async def take_up(self, journal: Journal, stage: str) -> None:
        """After a start on restored books: balances, the day's loss, and a strategy that knows what was executed."""
        # The venue's balances hold the restored fills already.
        await self.monitor.take_balances(self._starting_equity)
        books = fold(gates.stage_entries(journal, stage))
        gate = self.trader.gate
        midnight_ns = to_ns(self.clock.now().replace(hour=0, minute=0, second=0, microsecond=0))
        before = [mark.equity for _, mark in books.equity if mark.timestamp_ns < midnight_ns]
        day_start = before[-1] if before else self.trader.book.starting_equity
        gate.restore_day(self.clock.now().date().isoformat(), day_start)
        gate.peak_equity = max((mark.equity for _, mark in books.equity), default=gate.peak_equity)
        try:
            self._tell_strategy(books)
        except Exception as error:  # noqa: BLE001 - the strategy's own code: it stops, the session does not
            self._strategy_failed(StrategyError(f"record_execution raised {type(error).__name__}: {error}"))

    def _tell_strategy(self, books: Books) -> None:
        strategy = self.trader.strategy
        decisions = {key: ExecutionDecision(**structs.asdict(told)) for key, told in books.decisions.items()}
        for fill, booked in zip(books.fills, books.booked, strict=True):
            order = books.orders.get(fill.client_order_id)
            decision = decisions.get(order.decision_id) if order is not None else None
            if decision is not None:
                strategy.record_execution(
                    decision,
                    float(booked.realised),
                    float(booked.fee),
                    fill.price,
                    quantity=fill.quantity,
                    timestamp=fill.timestamp,
                )
        for order in books.orders.values():
            decision = decisions.get(order.decision_id)
            if decision is None:
                continue
            # A fill that comes late still finds the decision that caused it.
            self.trader._decision_of[order.decision_id] = decision
            if not order.is_open:
                strategy.decision_closed(decision)


class EngineRun:
    """One stage from its start to its end.

    Parameters
    ----------
    session : Session
    stage : str
        paper, testnet or live.
    strategy : Strategy
    options : mapping
        What the stage was started with; see :func:`.stages.build_stage`.
    """

    def __init__(self, session: Session, stage: str, strategy: Strategy, options: Mapping[str, Any]) -> None:
        self._session = session
        self.stage = stage
        self.fingerprint = session.info.fingerprint
        self._options = dict(options)
        self._parts = build_stage(session.settings, session.folder, stage, options, session.clock)
        self.engine = ResumableEngine(
            strategy,
            self._parts.adapter,
            feed=self._parts.feed,
            symbols=session.info.symbols or tuple(strategy.symbols),
            limits=session.settings.limits(strategy),
            journal=session.journal,
            clock=session.clock,
            stage=stage,
            starting_equity=self._parts.starting_equity,
            **self._parts.engine_options,
        )

    # --- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin the stage anew."""
        await self._parts.open(self.engine.symbols)
        await self.engine.start()
        self._session.journal.append(
            records.STAGE_STARTED,
            records.StageStarted(
                stage=self.stage,
                fingerprint=self.fingerprint,
                profile=self._session.info.profile,
                venue=self.engine.adapter.venue,
                symbols=self.engine.symbols,
                starting_equity=self.engine.trader.book.starting_equity,
                sandbox=self._parts.sandbox,
                instruments=tuple(self.engine.trader.instrument(symbol) for symbol in self.engine.symbols),
            ),
            stage=self.stage,
        )
        self._checkpoint()
        self._record_state()

    async def resume(self, past: gates.Past) -> None:
        """Go on where an earlier host was when it died: nothing is sent before the venue agrees with the journal."""
        engine, journal = self.engine, self._session.journal
        books = fold(gates.stage_entries(journal, self.stage))
        if past.starting_equity is not None:
            engine.go_on_from(past.starting_equity)
        if past.halted:
            engine.guard.halt(past.halted)
        adapter = engine.adapter
        if isinstance(adapter, PaperTradingAdapter):
            adapter.restore(books.fills, books.open_orders)
        await self._parts.open(engine.symbols)
        await engine.start(books, past.baseline)  # type: ignore[arg-type]
        await engine.take_up(journal, self.stage)
        self._record_state()
        for order in engine.oms.get_open_orders():
            if order.status is OrderStatus.PENDING:
                # Written down, and then the host died: it may have left or not. The venue's evidence will tell.
                engine.trader.on_report(InDoubt(order.client_order_id, self._session.clock.now_ns(), "the host died"))

    def _record_state(self) -> None:
        """Say how the gate stands: what the journal said last may be of a process that is gone."""
        record = records.TradingStateRecord(self.engine.guard.state.value, "stage begins")
        self._session.journal.append(records.TRADING_STATE, record, stage=self.stage)

    def _checkpoint(self) -> None:
        baseline = {symbol: str(units) for symbol, units in self.engine.baseline.items()}
        state = {"baseline": baseline, "options": self._options}
        record = records.Checkpoint(gates.STAGE_CHECKPOINT, state)
        self._session.journal.append(records.CHECKPOINT, record, stage=self.stage)

    async def drain(self, *, flatten: bool, reason: str) -> int:
        """End the stage in order; returns how many orders may still work."""
        await self.engine.stop(flatten=flatten)
        return len(self.engine.oms.get_open_orders())

    async def abandon(self, *, cancel: bool) -> None:
        """End because the host ends (or the start failed); what is held stays held."""
        await self.engine.stop(cancel=cancel)

    # --- guarding ---------------------------------------------------------------------------------------------

    def stop_entries(self, cause: str) -> None:
        """Let exits through and nothing else, until :meth:`resume_entries` with the same cause."""
        self.engine.guard.hold_back(cause, cause)

    def resume_entries(self, cause: str) -> None:
        """Take one cause back; entries pass again if none is left."""
        self.engine.guard.release(cause)

    def rearm(self, reason: str) -> None:
        """End a halt."""
        self.engine.guard.rearm(reason)

    async def cancel_working(self) -> None:
        """Cancel what works at the venue."""
        await self.engine.settle_sends()
        await self.engine.oms.cancel_all()

    async def resync(self) -> None:
        """Cancel what works and compare the books with the venue's."""
        await self.cancel_working()
        await self.engine.reconcile("clock jump")

    async def kill(self, reason: str, *, flatten: bool) -> dict[str, Any]:
        """Pull the kill switch; the connection stays, so that the books go on being watched."""
        report = await KillSwitch(self.engine).activate(reason, flatten=flatten, disconnect=False)
        return {
            "cancelled": report.cancelled,
            "remaining": report.remaining,
            "positions": report.positions,
            "seconds": report.seconds,
            "verified": report.verified,
        }

    async def drill(self) -> records.Drill:
        """Pull the kill switch as an exercise; trading is halted afterwards."""
        report = await KillSwitch(self.engine).activate("kill switch drill", disconnect=False)
        ok = report.verified and not report.remaining
        return records.Drill(
            ok=ok,
            cancelled=report.cancelled,
            seconds=report.seconds,
            reason="" if ok else f"not verified; may be working: {', '.join(report.remaining) or 'unknown'}",
        )

    # --- what it says -----------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the engine is between its start and its stop."""
        return self.engine.is_running

    @property
    def failure(self) -> str:
        """What the strategy raised; empty while all is well."""
        return str(self.engine.failure) if self.engine.failure is not None else ""

    @property
    def is_flat(self) -> bool:
        """Nothing held, nothing working."""
        book = self.engine.trader.book
        return not book.open and all(position.is_flat for position in book.positions.values())

    def progress(self) -> dict[str, Any] | None:
        """A trading stage has no end to make progress towards."""
        return None

    def live_facts(self) -> dict[str, Any]:
        """What the engine knows better than the journal."""
        return {"trading_state": self.engine.guard.state.value}
