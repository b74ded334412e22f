"""A process that trades a fixed script and kills itself with SIGKILL at the n-th journal write, before or after it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from autotrader_lab.execution import ExecutionEngine, RiskLimits
from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.journal import Journal
from autotrader_lab.model.orders import OrderSide, OrderType
from autotrader_lab.strategy.contract import Strategy

SYMBOL = "BTC/USDT"
LIMITS = RiskLimits(duplicate_window_s=0, price_collar_pct=None)


class Idle(Strategy):
    """The script sends the orders."""


def build_engine(addresses: dict[str, Any], journal: Journal, id_prefix: str, **oms: Any) -> ExecutionEngine:
    adapter = BinanceAdapter(addresses["api_key"], addresses["api_secret"], testnet=True, addresses=addresses)
    return ExecutionEngine(
        Idle(),
        adapter,
        symbols=[SYMBOL],
        journal=journal,
        stage="testnet",
        limits=LIMITS,
        id_prefix=id_prefix,
        oms={"settle_s": 0.2, **oms},
        equity_every_s=3600,
        reconcile_every_s=3600,
    )


async def script(engine: ExecutionEngine) -> None:
    """Buy at the market, rest a limit, cancel it, an IOC that finds nothing, sell what was bought."""
    while SYMBOL not in engine.trader.book.marks:
        await asyncio.sleep(0.01)
    far = round(engine.trader.book.marks[SYMBOL] * 0.7, 0)
    oms = engine.oms
    await oms.submit_order(SYMBOL, OrderSide.BUY, 0.002, OrderType.MARKET)
    resting = await oms.submit_order(SYMBOL, OrderSide.BUY, 0.001, OrderType.LIMIT, far)
    await oms.submit_order(SYMBOL, OrderSide.BUY, 0.001, OrderType.IOC, far)
    await oms.cancel_order(resting.client_order_id)
    await oms.submit_order(SYMBOL, OrderSide.SELL, 0.001, OrderType.MARKET, reduce_only=True)


def die_at(journal: Journal, write: int, when: str) -> None:
    append = journal.append
    count = 0

    def dying(*arguments: Any, **named: Any) -> int:
        nonlocal count
        count += 1
        if count == write and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        seq = append(*arguments, **named)
        if count == write:
            os.kill(os.getpid(), signal.SIGKILL)
        return seq

    journal.append = dying  # type: ignore[method-assign]


async def main(folder: Path, write: int, when: str) -> None:
    addresses = json.loads(os.environ["CRASH_ADDRESSES"])["binance"]
    with Journal.open(folder / "journal.sqlite", session="crash") as journal:
        die_at(journal, write, when)
        engine = build_engine(addresses, journal, f"crash{folder.name}")
        await engine.start()
        await script(engine)
        await engine.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
