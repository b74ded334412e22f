"""The machine that takes a strategy from stage to stage and guards the ways between them.

Every rule about *when* something may happen is kept here, outside the notebook's reach: a stage opens only on the
journal's evidence, live only when armed, nothing while halted. What a stage *does* is :class:`.running.EngineRun`'s
and :class:`.replaying.ReplayRun`'s business. Changes of stage wait for each other; the kill switch waits for nobody.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from autotrader_lab._version import __version__
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.host import gates
from autotrader_lab.host.arming import Arming
from autotrader_lab.host.limits import tightest
from autotrader_lab.host.replaying import ReplayRun
from autotrader_lab.host.running import EngineRun
from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.host.stages import Settings
from autotrader_lab.host.travel import unpack
from autotrader_lab.journal import Journal, records
from autotrader_lab.ladder import Verdict, check_profile
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import AutoTraderError, GateClosed, HostError, TradingHalted, VenueUnavailable
from autotrader_lab.strategy.contract import Strategy

__all__ = ["BREACHED", "LEASE_LOST", "NOT_ARMED", "STAGES", "StageMachine"]

_log = structlog.get_logger(__name__)
RETRY_S = 1.0
NOT_ARMED, LEASE_LOST, BREACHED = "not armed", "lease lost", "limit breached"
STAGES = ("replay", "paper", "testnet", "live")


class StageMachine:
    """Stages, and what leads from one to another.

    Parameters
    ----------
    folder : RunFolder
    info : SessionInfo
    journal : Journal
        Open for writing.
    clock : Clock
    environment : mapping
        Where keys and the sandbox's addresses come from.

    Attributes
    ----------
    run_of_stage : EngineRun, ReplayRun or None
        What works now.
    stage, state : str
        The last stage entered, and how it is; empty and ``idle`` before the first.
    halted : str
        Why trading is halted; empty if it is not.
    breach : str
        The breached limit that holds entries back until a person re-arms; empty if none does.
    changed_limits : RiskLimits or None
        What a person changed the limits to while the present strategy traded.
    """

    def __init__(
        self, folder: RunFolder, info: SessionInfo, *, journal: Journal, clock: Clock, environment: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.info = info
        self.journal = journal
        self.clock = clock
        self.settings = Settings.from_environment(info, environment)
        self.arming = Arming(clock)
        self.run_of_stage: EngineRun | ReplayRun | None = None
        self.stage = ""
        self.state = "idle"
        self.halted = ""
        self.breach = ""
        self.changed_limits: RiskLimits | None = None
        self._strategy: Strategy | None = None
        self._changing = asyncio.Lock()

    @property
    def shown_state(self) -> str:
        """The state as people see it: a stage whose strategy raised has failed, although its engine looks after it."""
        run = self.run_of_stage
        return "failed" if run is not None and run.failure and self.state == "running" else self.state

    @property
    def is_changing(self) -> bool:
        """Whether a change of stage is under way."""
        return self._changing.locked()

    # --- halting ----------------------------------------------------------------------------------------------

    async def kill(self, reason: str, *, flatten: bool = False) -> dict[str, Any]:
        """Pull the kill switch: at once, whatever else is going on. Stays halted until a person re-arms."""
        self.halted = reason
        self._disarm("killed")
        run = self.run_of_stage
        if isinstance(run, EngineRun):
            report = await run.kill(reason, flatten=flatten)
        else:
            if isinstance(run, ReplayRun):
                run.cancel()
            self._record(records.TRADING_STATE, records.TradingStateRecord("HALTED", reason), self.stage)
            report = {"cancelled": 0, "remaining": 0, "positions": {}, "seconds": 0.0, "verified": True}
        self.state = "halted"
        self.alert("critical", "KILLED", f"kill switch: {reason}")
        return report

    def rearm(self, reason: str) -> None:
        """Trade again after a halt."""
        run = self.run_of_stage
        if run is not None and run.failure:
            raise TradingHalted(f"{run.failure}; start the stage again with a mended strategy")
        self.halted = ""
        self._record_breach("")
        if isinstance(run, EngineRun):
            for cause in (NOT_ARMED, LEASE_LOST, BREACHED):
                run.resume_entries(cause)
            run.rearm(reason)
            self.state = "running"
        else:
            self._record(records.TRADING_STATE, records.TradingStateRecord("ACTIVE", reason), self.stage)
            self.state = "idle"

    def _disarm(self, reason: str) -> None:
        if self.arming.disarm():
            self._record(records.ARMED, records.Armed("live", 0, reason), "live")

    def _record_breach(self, reason: str) -> None:
        if reason != self.breach:
            self.breach = reason
            self._record(
                records.CHECKPOINT, records.Checkpoint(gates.BREACH_CHECKPOINT, {"reason": reason}), self.stage
            )

    def _not_halted(self) -> None:
        if self.halted:
            raise TradingHalted(f"halted ({self.halted}); look at what happened, then: await lab.rearm()")

    # --- ways between the stages ------------------------------------------------------------------------------

    def _receive(self, packed: str, fingerprint: str, name: str, limits: dict[str, Any] | None) -> None:
        """Take a strategy from the client; nothing is kept of one that does not load."""
        try:
            content = base64.b64decode(packed, validate=True)
        except ValueError as error:
            raise HostError(f"the strategy arrived damaged: {error}") from error
        unpack(content)
        if not fingerprint:
            raise HostError("a strategy came without its fingerprint")
        self.folder.write_private(self.folder.strategy_file, content)
        if fingerprint != self.info.fingerprint:
            self.changed_limits = None  # they were for another strategy, or other limits of its own
        changes = {"fingerprint": fingerprint, "strategy": name}
        if limits is not None:
            changes["limits"] = limits  # type: ignore[assignment]
        self.info = msgspec.structs.replace(self.info, **changes)
        self.folder.write_session(self.info)
        self.settings = self.settings.with_info(self.info)
        self._record(
            records.SESSION,
            records.SessionRecord(
                session=self.info.session,
                version=__version__,
                symbols=self.info.symbols,
                strategy=name,
                fingerprint=fingerprint,
                profile=self.info.profile,
            ),
        )

    def limits_for(self, strategy: Any) -> RiskLimits:
        """The limits a stage begins with: the session's own, and whatever a person tightened since.

        What was loosened by an armed session ends with the stage it was loosened in.
        """
        own = self.settings.limits(strategy)
        return tightest(own, self.changed_limits) if self.changed_limits is not None else own

    def _stored_strategy(self) -> Strategy:
        return unpack(self.folder.strategy_file.read_bytes())

    def _verdict(self, stage: str) -> Verdict:
        return gates.verdict(self.journal, self.info, stage, real_venue=not self.settings.is_local)

    def _may_start(self, stage: str) -> bool:
        """Whether a running stage has to be drained first; raises where starting makes no sense."""
        run = self.run_of_stage
        if run is None or not run.is_running:
            self._not_halted()
            return run is not None
        failed = isinstance(run, EngineRun) and bool(run.failure)
        if failed or (stage == self.stage and run.fingerprint != self.info.fingerprint):
            if not failed:
                self._not_halted()
            return True
        self._not_halted()
        raise HostError(
            f"{self.stage} is running; await lab.promote() or lab.demote() changes the stage, lab.stop() ends it"
        )

    def _may_enter(self, stage: str, *, record: bool = False) -> None:
        """Raise unless `stage` is open: evidence, profile, arming. Paper may be started without evidence."""
        check_profile(self.info.profile, stage, self.settings.is_local)
        if record or stage in ("testnet", "live"):
            verdict = self._verdict(stage)
            self._record(records.GATE, gates.gate_record(verdict), stage)
            if not verdict.passed:
                verdict.require()
        if stage == "live" and self.arming.armed_until_ns is None:
            raise GateClosed("live is not armed: await lab.arm() gives a phrase, await lab.arm(phrase) arms")

    def _neighbour(self, step: int) -> str:
        if not self.stage:
            raise HostError("no stage runs; start one: await lab.start('paper')")
        index = STAGES.index(self.stage) + step
        if not 0 <= index < len(STAGES):
            raise GateClosed(f"{self.stage} is the {'last' if step > 0 else 'first'} stage")
        return STAGES[index]

    async def _change_stage(self, target: str, kind: str, *, flatten: bool, reason: str = "") -> None:
        source = self.stage
        await self._drain(f"{kind} to {target}{': ' if reason else ''}{reason}", flatten=flatten)
        self._not_halted()
        if self._strategy is None or source in ("", "replay"):
            self._strategy = self._stored_strategy()
        self._record(
            kind,
            records.Promotion(
                source, target, profile=self.info.profile, fingerprint=self.info.fingerprint, reason=reason
            ),
            target,
        )
        await self._enter(target, {})

    async def _enter(self, stage: str, options: Mapping[str, Any]) -> None:
        assert self._strategy is not None
        self.stage, self.state, self.breach = stage, "starting", ""
        try:
            run: EngineRun | ReplayRun
            if stage == "replay":
                run = ReplayRun(self, self._strategy, options)
            else:
                run = EngineRun(self, stage, self._strategy, options)
            self.run_of_stage = run
            await run.start()
        except BaseException as error:
            self.state = "failed"
            run_failed, self.run_of_stage = self.run_of_stage, None
            if run_failed is not None:
                await run_failed.abandon(cancel=False)
            reason = f"{type(error).__name__}: {error}"
            self._record(records.STAGE_STOPPED, records.StageStopped(stage, f"did not start: {reason}"), stage)
            self.alert("critical", "START_FAILED", f"{stage} did not start: {reason}")
            raise
        if self.halted and isinstance(run, EngineRun):
            await run.kill(self.halted, flatten=False)  # pulled while the stage was opening
        self.state = "halted" if self.halted else "running"

    async def _resume(self, past: gates.Past) -> None:
        """Go on where an earlier host was when it died."""
        stage = past.stage
        self._host_record("resume", stage)
        self.state = "starting"
        async with self._changing:
            if stage == "replay":
                self._record(records.STAGE_STOPPED, records.StageStopped(stage, "the host died; run it again"), stage)
                self.state = "stopped"
                return
            run = await self._take_up(past)
            if run is None:
                return
            if self.halted:
                await run.kill(self.halted, flatten=False)  # its host may have died before it was done with it
            self._taken_up(run)
            self.state = "halted" if self.halted else "running"

    def _taken_up(self, run: EngineRun) -> None:
        """A stage goes on after its host died: hold back what nobody stands for any more."""
        if self.stage == "live":
            run.stop_entries(NOT_ARMED)
            self.alert("warning", "REARM_NEEDED", "live goes on with exits only until it is armed: await lab.arm()")
        if self.breach:
            run.stop_entries(BREACHED)

    async def _take_up(self, past: gates.Past) -> EngineRun | None:
        """The stage at work again, as soon as its venue answers; None if that will not help."""
        wait_s = RETRY_S
        while True:
            run: EngineRun | None = None
            try:
                self._strategy = self._stored_strategy()
                self.run_of_stage = run = EngineRun(self, past.stage, self._strategy, past.options or {})
                await run.resume()
            except (AutoTraderError, OSError) as error:
                self.run_of_stage = None
                if run is not None:
                    await run.abandon(cancel=False)
                if not isinstance(error, VenueUnavailable):
                    self.state = "failed"
                    text = f"{past.stage} cannot go on: {error}; then: await lab.recover()"
                    self.alert("critical", "RECOVERY_FAILED", text)
                    return None
                self.alert("warning", "RECOVERY_WAITS", f"asking again in {wait_s:g} s: {error}")
                await self.clock.sleep(wait_s)
                wait_s = min(2 * wait_s, 30.0)
            else:
                return run

    async def _drain(self, reason: str, *, flatten: bool) -> None:
        run = self.run_of_stage
        if run is None:
            if self.state != "halted":
                self.state = "stopped" if self.stage else "idle"
            return
        self.state = "draining"
        left = 0
        try:
            left = await run.drain(flatten=flatten and self.stage in ("testnet", "live"), reason=reason)
        finally:
            self.run_of_stage = None
            self.state = "halted" if self.halted else "stopped"
            self._record(records.STAGE_STOPPED, records.StageStopped(self.stage, reason, left), self.stage)
        if left:
            self.alert(
                "critical", "ORDERS_LEFT", f"{left} orders may still work at the venue after {self.stage} was left"
            )

    async def caught_up(self) -> None:
        """Return once whoever shows the session has read what was written."""

    def replay_ended(self, reason: str, *, ok: bool) -> None:
        """The replay came to its end, good or bad."""
        if isinstance(self.run_of_stage, ReplayRun):
            self._record(records.STAGE_STOPPED, records.StageStopped("replay", reason), "replay")
            if not self.halted:
                self.state = "stopped" if ok else "failed"
            if not ok:
                self.alert("critical", "REPLAY_FAILED", reason)

    # --- records ----------------------------------------------------------------------------------------------

    def alert(self, level: str, code: str, message: str) -> None:
        """Tell people."""
        record = msgspec.convert({"level": level, "code": code, "message": message}, records.Alert)
        self._record(records.ALERT, record, self.stage)
        self._alerted(record)

    def engine_alerted(self, alert: records.Alert) -> None:
        """The engine told people something; it is journaled already."""
        self._alerted(alert)

    def _alerted(self, alert: records.Alert) -> None:
        """Pass an alert on to where people are: the host's log."""
        tell = {"info": _log.info, "warning": _log.warning, "critical": _log.error}[alert.level]
        tell("alert", code=alert.code, message=alert.message, stage=self.stage)

    def _record(self, kind: str, record: msgspec.Struct, stage: str = "") -> None:
        self.journal.append(kind, record, stage=stage)

    def _host_record(self, event: str, reason: str = "") -> None:
        record = msgspec.convert({"event": event, "pid": os.getpid(), "reason": reason}, records.HostRecord)
        self._record(records.HOST, record, self.stage)

    def _engine_run(self, purpose: str) -> EngineRun:
        if not isinstance(self.run_of_stage, EngineRun):
            raise HostError(f"no stage trades, so there is nothing to {purpose}; start one: await lab.start('paper')")
        return self.run_of_stage
