"""Tasks with an owner and a name: nothing is fire-and-forget, and no error of one is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from autotrader_lab.model.clock import Clock

__all__ = ["Tasks"]


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
        tasks = list(self._alive)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._alive.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_failure(task.get_name(), error)
