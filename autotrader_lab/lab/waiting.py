"""Awaiting evidence: until a stage has shown so much, or it is clear that it will not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from autotrader_lab.lab.present import Status
from autotrader_lab.model.errors import HostError, StrategyError, TradingHalted

if TYPE_CHECKING:
    from autotrader_lab.lab.lab import Lab

__all__ = ["Goal", "wait_for"]

_POLL_S = 0.1


class Goal(msgspec.Struct, frozen=True):
    """What is waited for: counters at least so high, and a stage's gate open."""

    counters: dict[str, int]
    gate: str | None = None

    def missing(self, status: Status) -> list[str]:
        """What is not there yet, in words."""
        found = status["counters"]
        lacking = [f"{found[name]} of {count} {name}" for name, count in self.counters.items() if found[name] < count]
        if self.gate is not None:
            rung = next(row for row in status["ladder"] if row["stage"] == self.gate)
            lacking += [f"{check['name']}: {check['why']}" for check in rung["checks"] if not check["passed"]]
        return lacking


async def wait_for(lab: Lab, goal: Goal, timeout_s: float) -> Status:
    """Ask until nothing of `goal` is missing; see :meth:`Lab.wait`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        status = await lab.status()
        missing = goal.missing(status)
        if not missing:
            return status
        _refuse_hopeless(lab, status)
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"{status['label']} has not shown enough in {timeout_s:g} s: {'; '.join(missing)}")
        await asyncio.sleep(_POLL_S)


def _refuse_hopeless(lab: Lab, status: Status) -> None:
    if lab.client is not None and not lab.client.is_alive:
        raise HostError(
            f"the engine host of session {lab.session!r} has died; nothing journaled is lost: await lab.recover()"
        )
    if status["failure"]:
        raise StrategyError(status["failure"])
    if status["halted"]:
        raise TradingHalted(f"halted: {status['halted']}")
