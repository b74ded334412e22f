"""How a conformance test is run: no pytest plugin, a fresh event loop, a fresh harness, and nothing left afterwards.

The tests are coroutines; :func:`conforms` makes each a plain test method that pytest collects as it is. It decides
what is skipped, from the adapter's declared capabilities and the control's declared faults and from nothing else.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.orders import OrderType
from autotrader_lab.testing.bench import Bench, eventually
from autotrader_lab.testing.harness import Fault, Harness

__all__ = ["LIMIT_S", "Need", "conforms", "needs_of", "why_not"]

Need = Fault | OrderType | str
"""A fault that must be provoked, an order type, or the name of a capability; after ``not``, of one that is absent."""

LIMIT_S = 60.0
"""No test takes longer, seconds; one that hangs fails."""

_NEEDS = "__conformance_needs__"


def conforms(*needs: Need, connected: bool = True) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """Make a coroutine ``async def test_…(self, bench)`` a conformance test.

    Parameters
    ----------
    *needs : Fault or str
        Without which it is skipped, saying why. A capability named here counts as tested by it. A fault or an order
        type among the test's parameters is a need by itself.
    connected : bool, default True
        Whether the adapter is connected when the test begins.
    """

    def decorate(body: Callable[..., Awaitable[None]]) -> Any:
        @functools.wraps(body)
        def test(self: Any, **parameters: Any) -> None:
            _run(self, body, needs, connected, parameters)

        # pytest must see neither the coroutine nor the bench.
        del test.__wrapped__
        kept = [each for name, each in inspect.signature(body).parameters.items() if name != "bench"]
        test.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
        setattr(test, _NEEDS, tuple(needs))
        return test

    return decorate


def needs_of(test: Any) -> tuple[Need, ...] | None:
    """What a conformance test needs; None for anything else."""
    found: tuple[Need, ...] | None = getattr(test, _NEEDS, None)
    return found


def why_not(needs: Iterable[Need], harness: Harness) -> str | None:
    """Why a test with these needs cannot run on `harness`; None if it can."""
    adapter, venue = harness.adapter, harness.venue
    name = type(adapter).__name__
    for need in needs:
        if isinstance(need, Fault):
            if need not in venue.faults:
                why = venue.cannot.get(need, "and does not say why")
                return f"{type(venue).__name__} cannot {need.value} ({need.name}): {why}"
            continue
        if isinstance(need, OrderType):
            if need not in adapter.capabilities.order_types:
                return f"{name} declares no {need.value} orders"
            continue
        word = need.removeprefix("not ")
        if bool(getattr(adapter.capabilities, word)) is (word != need):
            return f"{name} declares {word} = {getattr(adapter.capabilities, word)}"
    return None


def _run(
    suite: Any, body: Callable[..., Awaitable[None]], needs: tuple[Need, ...], connected: bool, parameters: Any
) -> None:
    threads = set(threading.enumerate())
    needs += tuple(value for value in parameters.values() if isinstance(value, (Fault, OrderType)))
    # A loop of its own, and the thread's current loop left alone: other plugins have one there.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(_play(suite, body, needs, connected, parameters))
    left = [thread.name for thread in set(threading.enumerate()) - threads if thread.is_alive()]
    assert not left, f"threads that outlived disconnect: {left}"


async def _play(
    suite: Any, body: Callable[..., Awaitable[None]], needs: tuple[Need, ...], connected: bool, parameters: Any
) -> None:
    harness: Harness = await suite.make()
    bench = Bench(harness)
    seen = _Seen(harness.secrets)
    try:
        reason = why_not(needs, harness)
        if reason is not None:
            pytest.skip(reason)
        async with asyncio.timeout(LIMIT_S):
            with seen:
                await (bench.open() if connected else bench.look())
                await body(suite, bench, **parameters)
                await bench.finish()
    except Exception as error:
        seen.look(f"{type(error).__name__}: {error}")
        raise
    finally:
        seen.look(repr(harness.adapter))
        await bench.call(harness.adapter.disconnect())
        await harness.venue.close()
    assert not seen.secrets, f"{len(seen.secrets)} secret(s) of the harness were shown in a log, a repr or an error"
    ours = asyncio.current_task()
    # The wall's clock: what is under way ends by itself or not at all.
    ended = await eventually(lambda: asyncio.all_tasks() == {ours}, SystemClock(), 5.0)
    left = sorted(task.get_name() for task in asyncio.all_tasks() if task is not ours)
    assert ended, f"tasks that outlived disconnect: {left}"


class _Seen(logging.Handler):
    """Looks for secrets in what is logged and shown."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(logging.DEBUG)
        self._hidden = set(secrets)
        self.secrets: set[str] = set()
        self._level = logging.NOTSET

    def look(self, text: str) -> None:
        """Take note of every secret in `text`."""
        self.secrets |= {secret for secret in self._hidden if secret in text}

    def emit(self, record: logging.LogRecord) -> None:
        self.look(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            self.look(str(record.exc_info[1]))

    def __enter__(self) -> None:
        if self._hidden:
            root = logging.getLogger()
            self._level = root.level
            root.addHandler(self)
            root.setLevel(logging.DEBUG)

    def __exit__(self, *_: object) -> None:
        if self._hidden:
            root = logging.getLogger()
            root.removeHandler(self)
            root.setLevel(self._level)
