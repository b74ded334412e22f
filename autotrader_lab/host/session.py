"""One session: the machine that takes a strategy from stage to stage and guards the ways between them.

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
from autotrader_lab.host import gates
from autotrader_lab.host.arming import ARMED_LIFE_S, Arming
from autotrader_lab.host.lease import POLICIES, Lease
from autotrader_lab.host.replaying import ReplayRun
from autotrader_lab.host.running import EngineRun
from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.host.snapshot import View
from autotrader_lab.host.stages import Settings
from autotrader_lab.host.travel import unpack
from autotrader_lab.host.watch import Watch
from autotrader_lab.journal import Journal, records
from autotrader_lab.ladder import Verdict, check_profile
from autotrader_lab.ladder.stages import Stage
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import AutoTraderError, GateClosed, HostError, TradingHalted, VenueUnavailable
from autotrader_lab.strategy.contract import Strategy

__all__ = ["Session"]

_log = structlog.get_logger(__name__)
RETRY_S = 1.0
NOT_ARMED, LEASE_LOST = "not armed", "lease lost"
STAGES = ("replay", "paper", "testnet", "live")


class Session:
    """The state machine behind the control interface.

    Parameters
    ----------
    folder : RunFolder
    info : SessionInfo
    journal : Journal
        Open for writing.
    clock : Clock
    environment : mapping
        Where keys and the sandbox's addresses come from.
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
        self.lease = Lease(clock.monotonic_ns())
        self.run_of_stage: EngineRun | ReplayRun | None = None
        self.stage = ""
        self.state = "idle"
        self.halted = ""
        self._view = View(self)
        self._watch = Watch(self, environment)
        self._strategy: Strategy | None = None
        self._changing = asyncio.Lock()
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- life of the host -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read what an earlier host of this session left; what it was doing is taken up by :meth:`run`."""
        self._host_record("start", f"version {__version__}")
        past = gates.last_state(self.journal)
        self.halted = past.halted
        self.stage = past.stage
        if past.running:
            self.state = "starting"
            self._spawn(self._resume(past), "resume")
        elif self.halted:
            self.state = "halted"

    async def run(self) -> None:
        """Work until the session is over."""
        watching = asyncio.create_task(self._watch.run(), name="watch")
        over = asyncio.create_task(self._over.wait(), name="over")
        try:
            done, _ = await asyncio.wait({watching, over}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (watching, over):
                task.cancel()
            await asyncio.gather(watching, over, return_exceptions=True)

    def end(self, reason: str) -> None:
        """Let :meth:`run` return."""
        _log.info("ending", reason=reason)
        self._over.set()

    async def close(self) -> None:
        """Give everything back. A stage that still runs is left as its policy says, for a later host to take up."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.run_of_stage is not None:
            await self.run_of_stage.abandon(cancel=POLICIES[self.stage] == "cancel")
        await self._view.close()
        self._host_record("stop")

    def _spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background work failed", work=task.get_name(), exc_info=error)
            self.alert("critical", "HOST_ERROR", f"{task.get_name()}: {type(error).__name__}: {error}")

    # --- what the interface asks ------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The state, as plain values."""
        return self._view.snapshot()

    def gate(self, stage: str) -> dict[str, Any]:
        """The verdict on entering `stage`."""
        return self._verdict(stage).to_dict()

    def _verdict(self, stage: str) -> Verdict:
        return gates.verdict(self.journal, self.info, stage, real_venue=not self.settings.is_local)

    async def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a command and return the state after it (or what the command is to answer)."""
        try:
            answer = await getattr(self, f"_do_{name}")(**arguments)
        except TypeError as error:
            if "argument" not in str(error) or error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            raise HostError(f"command {name}: {error}") from error
        return answer if answer is not None else self.snapshot()

    def lease_taken(self) -> None:
        """A client holds the stream."""
        first = self.lease.taken(self.clock.monotonic_ns())
        if first:
            self._host_record("attach")
            if isinstance(self.run_of_stage, EngineRun) and self.stage != "live":
                self.run_of_stage.resume_entries(LEASE_LOST)

    def lease_lost(self) -> None:
        """A client is gone; if it was the last and did not say so, the stage's policy applies."""
        if not self.lease.lost(self.clock.monotonic_ns()):
            return
        self._host_record("lease_lost")
        if POLICIES[self.stage] == "cancel" and isinstance(self.run_of_stage, EngineRun):
            if self.stage == "live":
                self._disarm("lease lost")
            self.run_of_stage.stop_entries(LEASE_LOST)
            self.alert(
                "warning", "LEASE_LOST", f"the notebook is gone: {self.stage} cancels what works and opens nothing"
            )
            self._spawn(self.run_of_stage.cancel_working(), "cancel after the lease was lost")

    # --- commands ---------------------------------------------------------------------------------------------

    async def _do_start(
        self,
        stage: str,
        strategy: str | None = None,
        fingerprint: str = "",
        name: str = "",
        limits: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        _known(stage)
        async with self._changing:
            if strategy is not None:
                self._receive(strategy, fingerprint, name, limits)
            elif not self.folder.strategy_file.exists():
                raise HostError("this session has no strategy yet; start it with lab.start, which sends one")
            replaced = self._may_start(stage)
            self._may_enter(stage)
            if replaced:
                await self._drain("replaced", flatten=False)
            self._strategy = unpack(self.folder.strategy_file.read_bytes())
            await self._enter(stage, options or {})

    async def _do_promote(self, stage: str = "", keep_positions: bool = False) -> None:
        async with self._changing:
            target = _known(stage) if stage else self._neighbour(+1)
            if STAGES.index(target) != STAGES.index(self.stage or "replay") + 1:
                raise GateClosed(f"{self.stage or 'idle'} → {target}: one step at a time, {' → '.join(STAGES)}")
            self._not_halted()
            self._may_enter(target, record=True)
            await self._change_stage(target, records.PROMOTED, flatten=not keep_positions)

    async def _do_demote(self, stage: str = "", keep_positions: bool = False) -> None:
        async with self._changing:
            target = _known(stage) if stage else self._neighbour(-1)
            if target == "replay" or STAGES.index(target) >= STAGES.index(self.stage or "replay"):
                raise HostError(
                    f"{self.stage or 'idle'} → {target}: demotion goes to paper or testnet, below the stage held"
                )
            await self._change_stage(target, records.DEMOTED, flatten=not keep_positions)

    async def _do_stop(self, flatten: bool = False) -> None:
        async with self._changing:
            await self._drain("stopped", flatten=flatten)

    async def _do_kill(self, reason: str = "", flatten: bool = False) -> dict[str, Any]:
        return await self.kill(reason or "asked for", flatten=flatten)

    async def _do_rearm(self) -> None:
        if self.stage == "live" and isinstance(self.run_of_stage, EngineRun) and self.arming.armed_until_ns is None:
            raise GateClosed("live is re-armed by its phrase: await lab.arm() gives one")
        self.rearm("re-armed by a person")

    async def _do_arm(
        self, stage: str = "live", confirmation: str | None = None, expires_s: float = ARMED_LIFE_S
    ) -> dict[str, Any] | None:
        if stage != "live":
            raise GateClosed(f"{stage!r} needs no arming; only live does")
        check_profile(self.info.profile, stage, self.settings.is_local)
        if confirmation is None:
            challenge = self.arming.challenge(gates.label(stage, self.info.profile), self.info.symbols)
            return dict(msgspec.to_builtins(challenge))
        until_ns = self.arming.confirm(confirmation, expires_s)
        self._record(records.ARMED, records.Armed(stage, until_ns), stage)
        if self.stage == "live":
            self.rearm("armed")
        return None

    async def _do_drill(self) -> dict[str, Any]:
        async with self._changing:
            run = self._engine_run("drill the kill switch")
            self._not_halted()
            drill = await run.drill()
            self._record(records.DRILL, drill, self.stage)
            if self.stage == "live":
                self.halted = "kill switch drill"
                self.state = "halted"
                self._disarm("kill switch drill")
            else:
                run.rearm("drill over")
            return dict(msgspec.to_builtins(drill))

    async def _do_resume(self) -> None:
        past = gates.last_state(self.journal)
        if self.run_of_stage is not None or self.is_changing or not past.running:
            raise HostError(f"session {self.info.session!r} was not cut off ({self.state}): nothing to recover")
        await self._resume(past)

    async def _do_detach(self) -> None:
        self.lease.detach()
        self._host_record("detach")

    async def _do_shutdown(self) -> None:
        async with self._changing:
            await self._drain("shut down", flatten=False)
        asyncio.get_running_loop().call_later(0.05, self.end, "shut down")

    def replay_ended(self, reason: str, *, ok: bool) -> None:
        """The replay came to its end, good or bad."""
        if isinstance(self.run_of_stage, ReplayRun):
            self._record(records.STAGE_STOPPED, records.StageStopped("replay", reason), "replay")
            if not self.halted:
                self.state = "stopped" if ok else "failed"
            if not ok:
                self.alert("critical", "REPLAY_FAILED", reason)

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
        self.halted = ""
        if isinstance(self.run_of_stage, EngineRun):
            if self.run_of_stage.failure:
                raise TradingHalted(f"{self.run_of_stage.failure}; start the stage again with a mended strategy")
            self.run_of_stage.resume_entries(NOT_ARMED)
            self.run_of_stage.resume_entries(LEASE_LOST)
            self.run_of_stage.rearm(reason)
            self.state = "running"
        else:
            self._record(records.TRADING_STATE, records.TradingStateRecord("ACTIVE", reason), self.stage)
            self.state = "idle"

    @property
    def shown_state(self) -> str:
        """The state as people see it: a stage whose strategy raised has failed, although its engine looks after it."""
        run = self.run_of_stage
        return "failed" if run is not None and run.failure and self.state == "running" else self.state

    @property
    def is_changing(self) -> bool:
        """Whether a change of stage is under way."""
        return self._changing.locked()

    async def clock_jumped(self, seconds: float) -> None:
        """The machine slept, or its clock was set: what we know of the market is old."""
        self.alert(
            "critical", "CLOCK_JUMP", f"the clock jumped by {seconds:+.1f} s: disarmed, working orders cancelled"
        )
        self._disarm("clock jump")
        run = self.run_of_stage
        if isinstance(run, EngineRun):
            if self.stage == "live":
                run.stop_entries(NOT_ARMED)
            self._spawn(run.resync(), "resync after a clock jump")

    def arming_ended(self) -> None:
        """The confirmation expired: live goes on with exits only."""
        if isinstance(self.run_of_stage, EngineRun) and self.stage == "live" and not self.halted:
            self.run_of_stage.stop_entries(NOT_ARMED)
            self.alert("warning", "ARMING_ENDED", "live takes exits only until it is armed again: await lab.arm()")

    def _disarm(self, reason: str) -> None:
        if self.arming.disarm():
            self._record(records.ARMED, records.Armed("live", 0, reason), "live")

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

    async def _change_stage(self, target: str, kind: str, *, flatten: bool) -> None:
        source = self.stage
        await self._drain(f"{kind} to {target}", flatten=flatten)
        self._not_halted()
        if self._strategy is None or source in ("", "replay"):
            self._strategy = unpack(self.folder.strategy_file.read_bytes())
        self._record(
            kind,
            records.Promotion(source, target, profile=self.info.profile, fingerprint=self.info.fingerprint),
            target,
        )
        await self._enter(target, {})

    async def _enter(self, stage: str, options: Mapping[str, Any]) -> None:
        assert self._strategy is not None
        self.stage, self.state = stage, "starting"
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
            if stage == "live":
                run.stop_entries(NOT_ARMED)
                self.alert("warning", "REARM_NEEDED", "live goes on with exits only until it is armed: await lab.arm()")
            self.state = "halted" if self.halted else "running"

    async def _take_up(self, past: gates.Past) -> EngineRun | None:
        """The stage at work again, as soon as its venue answers; None if that will not help."""
        wait_s = RETRY_S
        while True:
            run: EngineRun | None = None
            try:
                self._strategy = unpack(self.folder.strategy_file.read_bytes())
                self.run_of_stage = run = EngineRun(self, past.stage, self._strategy, past.options or {})
                await run.resume(past)
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

    # --- records ----------------------------------------------------------------------------------------------

    def alert(self, level: str, code: str, message: str) -> None:
        """Tell people."""
        record = msgspec.convert({"level": level, "code": code, "message": message}, records.Alert)
        self._record(records.ALERT, record, self.stage)
        _log.info("alert", code=code, message=message)

    def _record(self, kind: str, record: msgspec.Struct, stage: str = "") -> None:
        self.journal.append(kind, record, stage=stage)

    def _host_record(self, event: str, reason: str = "") -> None:
        record = msgspec.convert({"event": event, "pid": os.getpid(), "reason": reason}, records.HostRecord)
        self._record(records.HOST, record, self.stage)

    def _engine_run(self, purpose: str) -> EngineRun:
        if not isinstance(self.run_of_stage, EngineRun):
            raise HostError(f"no stage trades, so there is nothing to {purpose}; start one: await lab.start('paper')")
        return self.run_of_stage


def _known(stage: str) -> str:
    return Stage.of(stage).value
