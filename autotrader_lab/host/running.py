"""A stage that trades: one engine on one venue, under the host's guard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.engine import ExecutionEngine
from autotrader_lab.execution.kill import KillSwitch
from autotrader_lab.execution.recovery import Past, read_past
from autotrader_lab.execution.risk import TradingState
from autotrader_lab.execution.shadow import ShadowBook
from autotrader_lab.host import gates
from autotrader_lab.host.accounts import AccountLock
from autotrader_lab.host.dead_man import VenueSwitch, coverage
from autotrader_lab.host.lease import LeaseState
from autotrader_lab.host.stages import build_stage
from autotrader_lab.journal import records
from autotrader_lab.model.errors import VenueError
from autotrader_lab.strategy.contract import Strategy

if TYPE_CHECKING:
    from autotrader_lab.host.machine import StageMachine

__all__ = ["EngineRun"]


class EngineRun:
    """One stage from its start to its end.

    Parameters
    ----------
    session : StageMachine
    stage : str
        paper, testnet or live.
    strategy : Strategy
    options : mapping
        What the stage was started with; see :func:`.stages.build_stage`.
    """

    def __init__(self, session: StageMachine, stage: str, strategy: Strategy, options: Mapping[str, Any]) -> None:
        self._session = session
        self.stage = stage
        self.fingerprint = session.info.fingerprint
        self._options = dict(options)
        self._parts = build_stage(session.settings, session.folder, stage, options, session.clock)
        self._lock = AccountLock(self._parts.account, session.info.session)
        self.engine = ExecutionEngine(
            strategy,
            self._parts.adapter,
            feed=self._parts.feed,
            symbols=session.info.symbols or tuple(strategy.symbols),
            limits=session.limits_for(strategy),
            journal=session.journal,
            clock=session.clock,
            stage=stage,
            starting_equity=self._parts.starting_equity,
            **self._parts.engine_options,
        )
        self.engine.guard.subscribe(session.engine_alerted)
        self._shadow = self._shadow_book()
        self.switch = VenueSwitch(self._parts.adapter, session.clock, self._tell)

    def _shadow_book(self) -> ShadowBook | None:
        """Beside a real account: what paper, with its own assumptions, makes of the same orders."""
        if self.stage not in ("testnet", "live") or self.engine.feed is None:
            return None
        paper = self._session.settings.config.paper

        def failed(reason: str) -> None:
            self._tell("warning", "SHADOW_ENDED", f"the shadow paper book ended: {reason}; the real one goes on")

        shadow = ShadowBook(self.engine.trader.desk, paper.latency_ms, paper.slippage_bps, paper.commission_bps, failed)
        self.engine.feed.subscribe(shadow.on_market)
        return shadow

    def _tell(self, level: str, code: str, message: str) -> None:
        self._session.alert(level, code, message)

    # --- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin the stage anew."""
        engine = self.engine
        self._lock.hold()
        await self._parts.open(engine.symbols)
        await engine.connect()
        self._session.journal.append(
            records.STAGE_STARTED,
            records.StageStarted(
                stage=self.stage,
                fingerprint=self.fingerprint,
                profile=self._session.info.profile,
                venue=engine.adapter.venue,
                symbols=engine.symbols,
                starting_equity=engine.trader.book.starting_equity,
                sandbox=self._parts.sandbox,
                instruments=tuple(engine.trader.instrument(symbol) for symbol in engine.symbols),
            ),
            stage=self.stage,
        )
        options = records.Checkpoint(gates.STAGE_CHECKPOINT, {"options": self._options})
        self._session.journal.append(records.CHECKPOINT, options, stage=self.stage)
        await self._start_engine(await self._earlier_run())
        await self._arm_switch()

    async def resume(self) -> None:
        """Go on where an earlier host was when it died: nothing is sent before the venue agrees with the journal."""
        engine = self.engine
        past = await asyncio.to_thread(self._read_past)
        self._lock.hold()
        await self._parts.open(engine.symbols)
        if isinstance(engine.adapter, PaperTradingAdapter):
            engine.adapter.restore(past.books.fills, past.books.open_orders)
        await self._start_engine(past)
        await self._arm_switch()

    async def _start_engine(self, past: Past | None) -> None:
        await self.engine.connect()
        if self._shadow is not None:
            self._shadow.open()
        await self.engine.start(past)
        self._record_state()

    async def _arm_switch(self) -> None:
        if self.stage in ("testnet", "live"):
            await self.switch.start()

    def _read_past(self) -> Past:
        return read_past(gates.stage_entries(self._session.journal, self.stage))

    async def _earlier_run(self) -> Past | None:
        """What the stage still holds from an earlier run at a real account; a simulated one begins anew."""
        if isinstance(self.engine.adapter, PaperTradingAdapter):
            return None
        past = await asyncio.to_thread(self._read_past)
        # Its books go on; limits a person changed then are the session's business, see StageMachine.limits_for.
        return replace(past, limits=None) if past.books.orders else None

    def _record_state(self) -> None:
        """Say how the gate stands: what the journal said last may be of a process that is gone."""
        state = self.engine.guard.state
        if state is TradingState.HALTED:
            return  # it is in the journal, with its reason
        record = records.TradingStateRecord(state.value, "stage begins")
        self._session.journal.append(records.TRADING_STATE, record, stage=self.stage)

    async def drain(self, *, flatten: bool, reason: str) -> int:
        """End the stage in order; returns how many orders may still work."""
        await self._leave_switch()
        await self.engine.stop(flatten=flatten)
        self._end_shadow()
        self._lock.release()
        return len(self.engine.oms.get_open_orders())

    def _end_shadow(self) -> None:
        if self._shadow is not None:
            self._shadow.close()

    async def _leave_switch(self) -> None:
        """Disarm the venue's switch once nothing works; what could not be cancelled is left to it."""
        if not self.switch.armed:
            return
        self.engine.accepts_entries = False
        try:
            await self.cancel_working()
        except VenueError as error:
            self._tell(
                "warning", "LEFT_TO_THE_VENUE", f"not all cancelled, the venue's dead man's switch will: {error}"
            )
        await self.switch.stop(disarm=not self.engine.oms.get_open_orders())

    async def abandon(self, *, cancel: bool) -> None:
        """End because the host ends (or the start failed); what is held stays held."""
        if cancel:
            await self._leave_switch()
        await self.switch.stop(disarm=False)
        await self.engine.stop(cancel=cancel)
        self._end_shadow()
        await self.engine.adapter.disconnect()  # it may have connected and never started
        self._lock.release()

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
        guard = self.engine.guard
        return {"trading_state": guard.state.value, "held_back": guard.reasons}

    def coverage(self, lease: LeaseState) -> dict[str, str]:
        """What becomes of working orders when somebody dies."""
        return coverage(self.stage, lease, self.engine.adapter.venue, self.switch)
