"""Tasks with an owner and a name: nothing is fire-and-forget, and no error of one is ever lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from autotrader_lab.model.clock import Clock

__all__ = ["Tasks", "end_tasks"]

log = logging.getLogger(__name__)

AGAIN_S = 1.0


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and return when all of them are gone.

    One cancel is not always enough: what a task is waiting for may swallow it, as ``asyncio.wait_for`` of Python 3.11
    does where its answer comes at the same moment, and the task goes on. So it is cancelled again each second.
    """
    while left := {task for task in tasks if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("%s had failed: %r", task.get_name(), error)


class Tasks:
    """The tasks of one owner.

    Parameters
    ----------
    clock : Clock
        That :meth:`every` sleeps on.
    on_failure : callable
        Called with (name, error) when a task ends in an error nobody awaited.
    """

    def __init__(self, clock: Clock, on_failure: Callable[[str, BaseException], None]) -> None:
        self._clock = clock
        self._on_failure = on_failure
        self._alive: set[asyncio.Task[Any]] = set()

    def own(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start `work`."""
        task = asyncio.get_running_loop().create_task(work, name=f"autotrader {name}")
        self._alive.add(task)
        task.add_done_callback(self._ended)
        return task

    def repeat(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Do `work` again and again, `seconds` of rest before each; it must handle its own expected errors."""

        async def forever() -> None:
            while True:
                await self._clock.sleep(seconds)
                await work()

        self.own(forever(), name)

    async def end(self) -> None:
        """Cancel what is left and wait until all of it is gone."""
        await end_tasks(*self._alive)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._alive.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_failure(task.get_name(), error)
