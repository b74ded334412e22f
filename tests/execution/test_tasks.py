"""Tasks end when they are told to, also where what they wait for swallows the cancel."""

from __future__ import annotations

import asyncio
import logging

import pytest

from autotrader_lab.execution import tasks
from autotrader_lab.execution.tasks import Tasks, end_tasks
from autotrader_lab.model.clock import SystemClock


async def deaf(times: int, heard: list[int]) -> None:
    """Goes on after so many cancels, as a task does whose ``asyncio.wait_for`` had its answer at that moment."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append(1)
            if len(heard) > times:
                raise


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_task_that_swallows_a_cancel_is_cancelled_again(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(tasks, "AGAIN_S", 0.01)
    heard: list[int] = []
    task = asyncio.create_task(deaf(times, heard))
    await asyncio.sleep(0)
    await end_tasks(task)
    assert task.cancelled()
    assert len(heard) == times + 1


async def test_every_task_is_gone_and_what_failed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("no")

    failed = asyncio.create_task(fails(), name="the bad one")
    waits = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    with caplog.at_level(logging.INFO):
        await end_tasks(failed, waits)
    assert waits.cancelled()
    assert "the bad one had failed: ValueError('no')" in caplog.text
    await end_tasks(failed, waits)
    await end_tasks()


async def test_an_owner_ends_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_S", 0.01)
    owner = Tasks(SystemClock(), lambda name, error: None)
    heard: list[int] = []
    task = owner.own(deaf(1, heard), "deaf")
    await asyncio.sleep(0)
    await owner.end()
    assert task.done()
    await owner.end()
