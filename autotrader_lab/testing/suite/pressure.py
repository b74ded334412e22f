"""Pressure: a venue that asks to wait is waited for, and the breaker opens and heals on a stepped clock."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.execution.resiliency import BreakerState, ResiliencyManager
from autotrader_lab.model.clock import SimulatedClock, to_ns
from autotrader_lab.model.errors import OutcomeUnknown, RateLimited, VenueUnavailable
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.harness import Fault
from autotrader_lab.testing.running import conforms

__all__ = ["Pressure"]


class Pressure:
    """Too much, too fast, and a venue that is away."""

    @conforms(Fault.RATE_LIMIT)
    async def test_a_venue_that_asks_to_wait_took_nothing(self, bench: Bench) -> None:
        order = bench.order()
        await bench.venue.provoke(Fault.RATE_LIMIT)
        with pytest.raises(RateLimited) as refused:
            await bench.submit(order)
        assert refused.value.retry_after_s is None or refused.value.retry_after_s > 0
        assert await bench.venue.taken() == []
        assert bench.reports == [], "neither rejected nor in doubt: it may be sent again"
        bench.lossy = True  # nothing may be asked until the wait is over

    @conforms(Fault.RATE_LIMIT)
    async def test_the_wait_is_honoured_and_the_order_goes_through_once(self, bench: Bench) -> None:
        manager = ResiliencyManager(bench.adapter, max_retries=6, initial_backoff=0.2, clock=bench.clock, seed=1)
        asked_to_wait: list[float] = []
        submit = bench.adapter.submit_order

        async def observed(order: object) -> object:
            try:
                return await submit(order)  # type: ignore[arg-type]
            except RateLimited as error:
                asked_to_wait.append(error.retry_after_s or 0.0)
                raise

        bench.adapter.submit_order = observed  # type: ignore[assignment,method-assign]
        order = bench.order()
        bench.shadows[order.client_order_id] = order.copy()
        await bench.venue.provoke(Fault.RATE_LIMIT)
        started_ns = to_ns(bench.clock.now())
        await bench.call(manager.submit_order_with_retry(order))
        waited_s = (to_ns(bench.clock.now()) - started_ns) / 1e9
        await bench.reaches(order, OrderStatus.SUBMITTED)
        assert asked_to_wait, "the control asks to wait"
        assert waited_s >= asked_to_wait[0]
        assert len(await bench.venue.taken()) == 1
        assert len(manager.dead_letters) == 0

    @conforms(Fault.DOWN)
    async def test_the_breaker_opens_and_heals_on_a_stepped_clock(self, bench: Bench) -> None:
        stepped = SimulatedClock(bench.clock.now())
        manager = ResiliencyManager(
            bench.adapter, max_retries=1, circuit_breaker_threshold=3, clock=stepped, breaker_rest_s=10, seed=1
        )
        await bench.venue.provoke(Fault.DOWN)
        for _ in range(3):
            assert _state(manager) is BreakerState.CLOSED
            with pytest.raises((VenueUnavailable, OutcomeUnknown)):
                await bench.call(manager.submit_order_with_retry(bench.order()))
        assert _state(manager) is BreakerState.OPEN
        await bench.venue.calm()
        held_back = bench.order()
        with pytest.raises(VenueUnavailable, match="circuit breaker open"):
            await bench.call(manager.submit_order_with_retry(held_back))
        assert held_back.client_order_id not in await bench.venue.taken(), "an open breaker asks nobody"
        await stepped.advance(10.1)
        assert _state(manager) is BreakerState.HALF_OPEN
        order = bench.order()
        bench.shadows[order.client_order_id] = order.copy()
        await bench.call(manager.submit_order_with_retry(order))
        assert _state(manager) is BreakerState.CLOSED
        await bench.reaches(order, OrderStatus.SUBMITTED)

    @conforms()
    async def test_a_crowd_of_orders_is_served_or_told_to_wait(self, bench: Bench) -> None:
        orders = [bench.order(price=bench.away(bench.order().side, 1 + n / 50)) for n in range(20)]
        answers = await asyncio.gather(*(bench.submit(order) for order in orders), return_exceptions=True)
        for order, answer in zip(orders, answers, strict=True):
            if isinstance(answer, RateLimited):
                del bench.shadows[order.client_order_id]
                continue
            if isinstance(answer, BaseException):
                raise answer
            await bench.reaches(order, OrderStatus.SUBMITTED)
        assert len(await bench.venue.taken()) == len(bench.shadows)


def _state(manager: ResiliencyManager) -> BreakerState:
    return manager.breaker.state
