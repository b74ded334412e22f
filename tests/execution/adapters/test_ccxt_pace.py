"""Limits kept by counting: queries wait, orders are refused early, cancels always go."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.execution.adapters.ccxt_pace import Pace
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import RateLimited


async def test_an_order_over_the_limit_is_refused_with_the_seconds_until_there_is_room() -> None:
    clock = SimulatedClock()
    pace = Pace(clock, 3, 2.0, shared=False)
    for _ in range(3):
        await pace.turn("submit", "x")
        await clock.advance(0.25)
    with pytest.raises(RateLimited, match="3 requests were sent within 2 s") as refused:
        await pace.turn("submit", "x")
    assert refused.value.retry_after_s == pytest.approx(1.25)
    await clock.advance(1.25)
    await pace.turn("submit", "x")


async def test_kinds_are_counted_apart_where_the_venue_does() -> None:
    pace = Pace(SimulatedClock(), 2, 2.0, shared=False)
    for action in ("submit", "amend", "cancel", "query"):
        for _ in range(2):
            await pace.turn(action, "x")
    with pytest.raises(RateLimited):
        await pace.turn("amend", "x")


async def test_cancels_always_go_and_count() -> None:
    pace = Pace(SimulatedClock(), 2, 1.0, shared=True)
    for _ in range(10):
        await pace.turn("cancel", "x")
    with pytest.raises(RateLimited):
        await pace.turn("submit", "x")


async def test_queries_wait_and_leave_a_reserve_to_orders() -> None:
    clock = SimulatedClock()
    pace = Pace(clock, 10, 1.0, shared=True)
    for _ in range(7):
        await pace.turn("query", "x")
    late = asyncio.create_task(pace.turn("query", "x"))
    await clock.advance(0.5)
    assert not late.done()
    for _ in range(2):
        await pace.turn("submit", "x")
    with pytest.raises(RateLimited):
        await pace.turn("submit", "x")
    await clock.advance(0.5)
    assert late.done()
    await late


async def test_cancels_wait_for_room_where_the_venue_refuses_whatever_is_over() -> None:
    clock = SimulatedClock()
    pace = Pace(clock, 2, 1.0, shared=True, cancels_wait=True)
    for _ in range(2):
        await pace.turn("cancel", "x")
    late = asyncio.create_task(pace.turn("cancel", "x"))
    await clock.advance(0.5)
    assert not late.done()
    await clock.advance(0.5)
    assert late.done()
    await late
