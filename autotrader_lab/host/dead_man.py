"""What happens to working orders when somebody dies: who covers whom, and the venue's own switch kept armed.

The host covers the notebook: the lease's socket closes when the kernel dies. Nobody on this machine covers the host.
Where the venue has a dead man's switch of its own, it is armed for as long as a real stage trades, and renewed; where
it has none, that is said in words instead of being left to be found out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.host.lease import POLICIES, LeaseState
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import VenueError

__all__ = ["VenueSwitch", "coverage"]

SILENCE_S = 30.0
RENEW_S = 10.0


class VenueSwitch:
    """Keeps a venue's dead man's switch armed.

    Parameters
    ----------
    adapter : BaseBrokerAdapter
    clock : Clock
    tell : callable
        Called with (level, code, message) when arming fails, and when it works again.
    silence_s, renew_s : float
        After how long without a word the venue cancels, and how often the word is given.
    """

    def __init__(
        self,
        adapter: BaseBrokerAdapter,
        clock: Clock,
        tell: Callable[[str, str, str], None],
        silence_s: float = SILENCE_S,
        renew_s: float = RENEW_S,
    ) -> None:
        self._adapter = adapter
        self._clock = clock
        self._tell = tell
        self._renew_s = renew_s
        self._task: asyncio.Task[None] | None = None
        self.silence_s = silence_s
        self.armed = False

    @property
    def exists(self) -> bool:
        """Whether the venue has one."""
        return self._adapter.capabilities.native_dead_man_switch

    async def start(self) -> None:
        """Arm it and keep it armed; quiet where there is none."""
        if self.exists and self._task is None:
            await self._arm(self.silence_s)
            self._task = asyncio.get_running_loop().create_task(self._renew(), name="venue's dead man's switch")

    async def stop(self, *, disarm: bool) -> None:
        """Renew it no more; `disarm` where nothing is left that it should cancel."""
        task, self._task = self._task, None
        if task is None:
            return
        await end_tasks(task)
        if disarm:
            await self._arm(0.0)

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._renew_s)
            await self._arm(self.silence_s)

    async def _arm(self, seconds: float) -> None:
        try:
            await self._adapter.arm_dead_man_switch(seconds)
        except VenueError as error:
            if self.armed or self._task is None:
                self._tell("critical", "DEAD_MAN_NOT_ARMED", f"the venue's dead man's switch: {error}")
            self.armed = False
            return
        if seconds and not self.armed and self._task is not None:
            self._tell("info", "DEAD_MAN_ARMED", "the venue's dead man's switch is armed again")
        self.armed = bool(seconds)


def coverage(stage: str, lease: LeaseState, venue: str, switch: VenueSwitch | None) -> dict[str, str]:
    """In words: what becomes of working orders when the notebook, the host or the machine dies.

    Returns
    -------
    dict
        ``notebook``, ``host``, ``machine``; each one sentence.
    """
    if stage in ("", "replay"):
        return dict.fromkeys(("notebook", "host", "machine"), "nothing works at a venue")
    if stage == "paper":
        return {
            "notebook": "paper goes on: nothing is at stake",
            "host": "paper stands still until it is recovered: nothing is at stake",
            "machine": "paper stands still until it is recovered: nothing is at stake",
        }
    name = f"{venue or 'the venue'} {stage}"
    if lease == "detached":
        notebook = "detached on purpose: orders and trading go on as they are"
    elif lease == "held":
        policy = (
            "working orders are cancelled at once, and no entry goes out" if POLICIES[stage] == "cancel" else "kept"
        )
        notebook = f"covered by the host: {policy}"
    else:
        notebook = "nobody holds the session: working orders were cancelled, and no entry goes out"
    if switch is None or not switch.exists:
        host = machine = (
            f"NOT covered: {name} has no dead man's switch that we can arm; orders go on working there until "
            "`autotrader-lab recover`, or until you cancel them at the venue itself"
        )
        machine += ". On waking from sleep the host cancels them"
    elif not switch.armed:
        host = machine = f"NOT covered now: the dead man's switch of {name} could not be armed"
    else:
        host = machine = (
            f"covered by {name} itself: it cancels after {switch.silence_s:g} s without a word from the host"
        )
    return {"notebook": notebook, "host": host, "machine": machine}
