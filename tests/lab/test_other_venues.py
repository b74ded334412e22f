"""The climb at venues other than Binance: paper on the venue's market, then its own orders in both of its worlds."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.lab import Lab
from autotrader_lab.sandbox import start_sandbox

from .strategies import Flip
from .support import earn

LADDER = ("paper", "testnet", "live")


@pytest.mark.parametrize(
    ("broker", "symbol", "size", "stages"),
    [
        ("okx", "BTC/USDT", 0.01, LADDER[:2]),
        ("coinbase", "BTC/USDT", 0.01, LADDER[:2]),
        ("fxcm", "EUR/USD", 2_000, LADDER),
        ("oanda", "EUR/USD", 2_000, LADDER),
        ("ibkr", "AAPL", 20, LADDER),
    ],
)
async def test_a_strategy_trades_paper_on_the_venues_market_and_then_at_the_venue(
    broker: str, symbol: str, size: float, stages: tuple[str, ...]
) -> None:
    with start_sandbox(seed=7, speed=20, venues=[broker]) as sandbox:
        for number, stage in enumerate(stages):
            lab = Lab(Flip(size), sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2, symbols=[symbol])
            earn(lab, *stages[:number])
            try:
                if stage == "live":
                    await lab.arm((await lab.arm()).phrase)
                await lab.start(stage)
                table = await fills(lab, stage)
                assert set(table["venue"]) == {"paper" if stage == "paper" else broker}
                status = await lab.stop(flatten=True)
                assert status["counters"]["unreconciled"] == status["counters"]["dead_letters"] == 0
            finally:
                await lab.close()


async def fills(lab: Lab, stage: str):
    """The stage's first executions."""
    for _ in range(400):
        table = lab.fills(stage)
        if len(table) >= 2:
            return table
        await asyncio.sleep(0.05)
    raise AssertionError(f"no two executions in {stage}: {await lab.status()}")
