"""One session of a host: what its clients ask and command, who holds its lease, and how it begins and ends."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from autotrader_lab._version import __version__
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.host import gates
from autotrader_lab.host.arming import ARMED_LIFE_S
from autotrader_lab.host.care import Care
from autotrader_lab.host.exposition import host_metrics
from autotrader_lab.host.lease import POLICIES, Lease
from autotrader_lab.host.limits import read_limits
from autotrader_lab.host.machine import LEASE_LOST, NOT_ARMED, STAGES
from autotrader_lab.host.running import EngineRun
from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.host.snapshot import View
from autotrader_lab.host.watch import Watch
from autotrader_lab.journal import Journal, records
from autotrader_lab.ladder import check_profile
from autotrader_lab.ladder.stages import Stage
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import GateClosed, HostError, TradingHalted

__all__ = ["Session"]

_log = structlog.get_logger(__name__)


class Session(Care):
    """What stands behind the control interface; see :class:`.machine.StageMachine` for its parameters."""

    def __init__(
        self, folder: RunFolder, info: SessionInfo, *, journal: Journal, clock: Clock, environment: Mapping[str, str]
    ) -> None:
        super().__init__(folder, info, journal=journal, clock=clock, environment=environment)
        self.lease = Lease(clock.monotonic_ns())
        self._view = View(self)
        self._watch = Watch(self, environment)
        self._over = asyncio.Event()

    # --- life of the host -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read what an earlier host of this session left; what it was doing is taken up by :meth:`run`."""
        self._host_record("start", f"version {__version__}")
        if self._webhook is not None:
            self._webhook.start()
        past = gates.last_state(self.journal)
        self.halted, self.stage, self.breach = past.halted, past.stage, past.breach
        if past.limits is not None:
            self.changed_limits = read_limits(past.limits)
        if past.detached:
            self.lease.detach()
        if self.folder.take_kill_file():
            # Before anything is taken up: in the journal it reaches the engine's gate with the rest of the past.
            self.halted = "the KILL file was touched while no host ran"
            self._record(records.TRADING_STATE, records.TradingStateRecord("HALTED", self.halted), self.stage)
            self.alert("critical", "KILLED", f"kill switch: {self.halted}")
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
            await end_tasks(watching, over)

    def end(self, reason: str) -> None:
        """Let :meth:`run` return."""
        _log.info("ending", reason=reason)
        self._over.set()

    async def close(self) -> None:
        """Give everything back. A stage that still runs is left as its policy says, for a later host to take up."""
        await end_tasks(*self._tasks)
        if self.run_of_stage is not None:
            await self.run_of_stage.abandon(cancel=POLICIES[self.stage] == "cancel")
        await self._view.close()
        if self._webhook is not None:
            await self._webhook.stop()
        self._host_record("stop")

    # --- what the interface asks ------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The state, as plain values."""
        return self._view.snapshot()

    async def gate(self, stage: str) -> dict[str, Any]:
        """The verdict on entering `stage`; a long journal takes a while, so in a thread."""
        return (await asyncio.to_thread(self._verdict, _known(stage))).to_dict()

    def metrics(self) -> bytes:
        """Figures in Prometheus' text format."""
        return host_metrics(self)

    async def caught_up(self) -> None:
        await self._view.catch_up()

    async def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a command and return the state after it (or what the command is to answer)."""
        method = getattr(self, f"_do_{name}")
        answer = await method(**_checked(name, method, arguments))
        return answer if answer is not None else self.snapshot()

    def _taken_up(self, run: EngineRun) -> None:
        super()._taken_up(run)
        if self.lease.state == "none" and POLICIES[self.stage] == "cancel":
            run.stop_entries(LEASE_LOST)  # nobody is there to watch; whoever attaches, or detaches, releases it

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

    @property
    def trades_unarmed(self) -> bool:
        """Whether live still takes entries though nothing arms it (any more): it expired, maybe while starting."""
        run = self.run_of_stage
        return (
            self.stage == "live"
            and not self.halted
            and isinstance(run, EngineRun)
            and run.is_running
            and self.arming.armed_until_ns is None
            and NOT_ARMED not in run.engine.guard.reasons
        )

    def arming_ended(self) -> None:
        """The confirmation expired: live goes on with exits only."""
        if isinstance(self.run_of_stage, EngineRun) and self.stage == "live" and not self.halted:
            self.run_of_stage.stop_entries(NOT_ARMED)
            self.alert("warning", "ARMING_ENDED", "live takes exits only until it is armed again: await lab.arm()")

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
            self._strategy = self._stored_strategy()
            await self._enter(stage, options or {})

    async def _do_promote(self, stage: str = "", keep_positions: bool = False) -> None:
        async with self._changing:
            target = _known(stage) if stage else self._neighbour(+1)
            if STAGES.index(target) != STAGES.index(self.stage or "replay") + 1:
                raise GateClosed(f"{self.stage or 'idle'} → {target}: one step at a time, {' → '.join(STAGES)}")
            self._not_halted()
            if self.breach:
                raise TradingHalted(f"{self.breach}; a breached stage does not climb: await lab.rearm() first")
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
        if isinstance(self.run_of_stage, EngineRun) and self.stage != "live":
            self.run_of_stage.resume_entries(LEASE_LOST)

    async def _do_shutdown(self) -> None:
        async with self._changing:
            await self._drain("shut down", flatten=False)
        asyncio.get_running_loop().call_later(0.05, self.end, "shut down")


def _known(stage: str) -> str:
    return Stage.of(stage).value


def _checked(command: str, method: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a command, each of the type its method asks for.

    Raises
    ------
    HostError
        Naming the argument that is unknown, missing or of another type.
    """
    hints = typing.get_type_hints(method)
    checked: dict[str, Any] = {}
    parameters = inspect.signature(method).parameters
    for name, value in arguments.items():
        if name not in parameters:
            raise HostError(f"command {command} takes no {name!r}; it takes {', '.join(parameters) or 'nothing'}")
        try:
            checked[name] = msgspec.convert(value, hints[name])
        except msgspec.ValidationError as error:
            raise HostError(f"command {command}: {name}={value!r}: {error}") from error
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in checked:
            raise HostError(f"command {command} needs {name!r}")
    return checked
