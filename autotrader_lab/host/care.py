"""What a person, or the host by itself, does about a stage at work: settle doubt, change limits, step in on a breach.

:class:`.machine.StageMachine` knows when a stage may begin and end. This is about the time between: it tells people
where they are, keeps what was breached from going on as if nothing had been, and has the buttons for three in the
morning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Literal, get_args

import msgspec
import structlog

from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.execution.webhook import AlertWebhook
from autotrader_lab.host.limits import read_limits
from autotrader_lab.host.machine import BREACHED, StageMachine
from autotrader_lab.host.running import EngineRun
from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.host.snapshot import order_row
from autotrader_lab.journal import Journal, records
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import HostError
from autotrader_lab.model.orders import Order

__all__ = ["BREACH_POLICIES", "SETTLEMENTS", "WEBHOOK_VARIABLE", "BreachPolicy", "Care"]

SettleAction = Literal["query", "adopt", "resubmit", "discard", "reprocess"]
SETTLEMENTS: tuple[str, ...] = get_args(SettleAction)
BreachPolicy = Literal["exits", "demote"]
BREACH_POLICIES: dict[str, BreachPolicy] = {"paper": "exits", "testnet": "exits", "live": "demote"}
"""What a breached limit does, by stage: let exits through and nothing else, or also step down to paper."""

WEBHOOK_VARIABLE = "AUTOTRADER_LAB_ALERT_WEBHOOK"
"""Where alerts are posted; in the host's environment only, for such an address is a secret."""

DRIFT_PATIENCE_S = 3.0
_BREACHES = ("DAILY_LOSS_OVER_LIMIT", "DRAWDOWN_OVER_LIMIT")
_log = structlog.get_logger(__name__)


class Care(StageMachine):
    """A stage machine that is looked after; see :class:`.machine.StageMachine` for its parameters.

    Raises
    ------
    ConfigError
        If the alert webhook is no http address.
    """

    def __init__(
        self, folder: RunFolder, info: SessionInfo, *, journal: Journal, clock: Clock, environment: Mapping[str, str]
    ) -> None:
        super().__init__(folder, info, journal=journal, clock=clock, environment=environment)
        url = environment.get(WEBHOOK_VARIABLE)
        self._webhook = AlertWebhook(url, clock, info.session) if url else None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._drift: asyncio.Task[None] | None = None

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background work failed", work=task.get_name(), exc_info=error)
            self.alert("critical", "HOST_ERROR", f"{task.get_name()}: {type(error).__name__}: {error}")

    # --- alerts and breaches ----------------------------------------------------------------------------------

    def _alerted(self, alert: records.Alert) -> None:
        super()._alerted(alert)
        if self._webhook is not None:
            self._webhook.take(alert, self.stage)

    def engine_alerted(self, alert: records.Alert) -> None:
        super().engine_alerted(alert)
        if alert.code in _BREACHES:
            self._breached(f"{alert.code}: {alert.message}", books_agree=True)
        elif alert.code == records.DRIFT_CODE and self._drift is None and not self.breach:
            self._drift = self._spawn(self._look_at_drift(), "look at the drift again")

    def _breached(self, reason: str, *, books_agree: bool) -> None:
        """A limit of the whole session is breached: no entry until a person re-arms, and down to paper if so agreed."""
        run = self.run_of_stage
        if self.breach or not isinstance(run, EngineRun):
            return
        self._record_breach(reason)
        self._disarm("limit breached")
        run.stop_entries(BREACHED)
        policy = self._breach_policy()
        then = "stepping down to paper" if policy == "demote" else "until a person says so: await lab.rearm()"
        self.alert("critical", "BREACHED", f"{self.stage} takes exits only, {then}. {reason}")
        if policy == "demote":
            self._spawn(self._demote_after_breach(reason, flatten=books_agree), "demotion after a breach")

    def _breach_policy(self) -> BreachPolicy:
        own: BreachPolicy = BREACH_POLICIES[self.stage]
        asked = self.info.on_breach
        return own if self.stage == "paper" or asked not in get_args(BreachPolicy) else asked  # type: ignore[return-value]

    async def _demote_after_breach(self, reason: str, *, flatten: bool) -> None:
        """Leave the market for paper. Positions are closed only if the books agree: else a close might open one."""
        stage = self.stage
        async with self._changing:
            if self.stage != stage or self.halted:
                return  # a person was faster
            if not flatten:
                self.alert("critical", "POSITIONS_LEFT", f"{stage} is left with its positions: the books do not agree")
            await self._change_stage("paper", records.DEMOTED, flatten=flatten, reason=reason)

    async def _look_at_drift(self) -> None:
        """A drift may be an execution on its way; one that is still there a little later is a breach."""
        try:
            await self.clock.sleep(DRIFT_PATIENCE_S)
            run = self.run_of_stage
            if not isinstance(run, EngineRun) or not run.is_running:
                return
            outcome = await run.engine.reconcile("drift")
            drifts = [words for words in outcome.differences if words.startswith("position_drift")]
            if drifts:
                self._breached(f"{records.DRIFT_CODE} persists: {'; '.join(drifts)}", books_agree=False)
        finally:
            self._drift = None

    # --- limits -----------------------------------------------------------------------------------------------

    async def limits(self) -> dict[str, Any]:
        """The risk limits that hold now, or that the next stage would begin with."""
        run = self.run_of_stage
        if isinstance(run, EngineRun):
            return run.engine.trader.gate.limits.model_dump(mode="json")
        if self._strategy is None and not self.info.limits and not self.folder.strategy_file.exists():
            return RiskLimits().model_dump(mode="json")
        return self.limits_for(self._strategy or self._stored_strategy()).model_dump(mode="json")

    async def _do_limits(self, limits: dict[str, Any]) -> dict[str, Any]:
        """Change the limits: down at any time, up only while armed."""
        wanted = read_limits(limits)
        run = self._engine_run("limit")
        run.engine.guard.set_limits(wanted, armed=self.arming.armed_until_ns is not None)
        self.changed_limits = wanted
        return await self.limits()

    # --- looking ----------------------------------------------------------------------------------------------

    async def _do_reconcile(self) -> dict[str, Any]:
        """Compare the books with the venue's now."""
        outcome = await self._engine_run("reconcile").engine.reconcile("asked")
        return dict(msgspec.to_builtins(outcome))

    # --- orders in doubt, and orders that were never delivered ------------------------------------------------

    async def _do_settle(
        self, action: SettleAction, order: str = "", venue_order_id: str = "", why: str = ""
    ) -> dict[str, Any]:
        """One of a person's four buttons on an order, or the second chance of all dead letters."""
        settlement = self._engine_run("settle").engine.settlement
        if action == "reprocess":
            sent = await settlement.reprocess()
            return {"sent": [order_row(one) for one in sent]}
        if not order:
            raise HostError(f"{action} needs an order: its client_order_id, as lab.attention() lists them")
        settled: Order
        match action:
            case "query":
                settled = await settlement.query(order)
            case "adopt":
                if not venue_order_id:
                    raise HostError(f"adopt {order}: give venue_order_id, the order's id at the venue")
                settled = await settlement.adopt(order, venue_order_id)
            case "resubmit":
                settled = await settlement.resubmit(order)
            case "discard":
                settled = await settlement.discard(order, why or "discarded by a person")
        row = order_row(settled)
        if action != "query":
            self.alert("info", "SETTLED", f"{action} {order}: {row['status']} {row['reason']}".rstrip())
        return row
