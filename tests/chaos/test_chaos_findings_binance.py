"""What chaos found wrong in the adapters behind ccxt, each as the smallest thing that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.model.errors import VenueUnavailable
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.fault_plan import read_plan

BTC = "BTC/USDT"


@asynccontextmanager
async def adapter_on_sandbox(*rules: Any, **options: Any) -> AsyncIterator[tuple[Sandbox, BinanceAdapter]]:
    async with Sandbox(seed=7, speed=0, faults={"rules": rules}) as box:
        entry = box.addresses["binance"]
        adapter = BinanceAdapter(entry["api_key"], entry["api_secret"], testnet=True, addresses=entry, **options)
        await adapter.connect()
        try:
            yield box, adapter
        finally:
            await adapter.disconnect()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"never came: {condition}")


@pytest.mark.parametrize("body", ["html", "truncated", "empty"])
async def test_a_time_that_is_none_is_no_answer_and_does_not_end_the_measuring(body: str) -> None:
    async with adapter_on_sandbox(clock_sync_s=0.01) as (box, adapter):
        box.faults.replace(read_plan({"rules": [{"do": "rubbish", "body": body, "where": {"kind": "public"}}]}))
        with pytest.raises(VenueUnavailable, match="time"):
            await adapter.sync_clock()
        await asyncio.sleep(0.1)
        box.faults.replace(read_plan({"rules": [{"do": "clock_skew", "offset_ms": 400}]}))
        await until(lambda: 300 < (adapter.clock_offset_ms or 0.0) < 500)


async def test_a_clock_found_wrong_is_measured_again_soon() -> None:
    async with adapter_on_sandbox({"do": "clock_skew", "offset_ms": 4_000}, clock_sync_s=3_600) as (box, adapter):
        assert (adapter.clock_offset_ms or 0.0) > 3_000
        box.faults.replace(read_plan({}))
        await until(lambda: abs(adapter.clock_offset_ms or 0.0) < 500)
