"""Time that moves when told to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from autotrader_lab.model.clock import Clock, SimulatedClock, SystemClock, from_ns, to_ns

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def test_nanoseconds_and_datetimes_agree() -> None:
    assert from_ns(to_ns(T0)) == T0
    assert to_ns(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005_000
    with pytest.raises(ValueError, match="naive time"):
        to_ns(datetime(2024, 1, 1))


def test_both_clocks_are_clocks() -> None:
    assert isinstance(SystemClock(), Clock)
    assert isinstance(SimulatedClock(T0), Clock)
    assert SystemClock().now().tzinfo is UTC
    assert SystemClock().monotonic_ns() <= SystemClock().monotonic_ns()


async def test_sleepers_wake_in_order_at_their_own_time() -> None:
    clock = SimulatedClock(T0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, (clock.now() - T0).total_seconds()))

    tasks = [asyncio.create_task(sleeper(n, s)) for n, s in (("late", 3), ("early", 1), ("never yet", 10))]
    await clock.advance(5)
    assert woken == [("early", 1.0), ("late", 3.0)]
    assert (clock.now() - T0).total_seconds() == 5
    await clock.advance(5)
    assert woken[-1] == ("never yet", 10.0)
    await asyncio.gather(*tasks)
    await clock.sleep(0)


def test_time_never_goes_back() -> None:
    clock = SimulatedClock(1_000)
    clock.set_ns(500)
    assert clock.now_ns() == clock.monotonic_ns() == 1_000
