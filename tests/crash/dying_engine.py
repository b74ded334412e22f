"""An engine that trades a fixed script and kills itself with SIGKILL at the n-th journal write, before or after it.

Run as a program it serves such deaths: for each line of JSON on stdin it forks a process that runs the script and dies,
and prints how that ended. What the libraries cost to import is paid once that way.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from venue_kit import KITS, Kit

from autotrader_lab.execution import ExecutionEngine, RiskLimits
from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.journal import Journal
from autotrader_lab.model.orders import OrderSide, OrderType
from autotrader_lab.strategy.contract import Strategy

LIMITS = RiskLimits(duplicate_window_s=0, price_collar_pct=None)
SETTLE_S = 0.2
"""Nothing gets stuck on the way here: what a dead process sent is at the venue by then, or never left."""


class Idle(Strategy):
    """The script sends the orders."""


def build_engine(kit: Kit, addresses: dict[str, Any], journal: Journal, id_prefix: str, **oms: Any) -> ExecutionEngine:
    adapter = kit.adapter(addresses, **kit.quick)
    adapter.arrival_window_s = SETTLE_S
    return ExecutionEngine(
        Idle(),
        adapter,
        symbols=[kit.symbol],
        journal=journal,
        stage="testnet",
        limits=LIMITS,
        id_prefix=id_prefix,
        oms={"settle_s": SETTLE_S, **oms},
        equity_every_s=3600,
        reconcile_every_s=3600,
    )


async def script(engine: ExecutionEngine, kit: Kit) -> None:
    """Buy at the market, rest a limit, cancel it, an IOC that finds nothing, sell half of what was bought."""
    symbol, some = kit.symbol, kit.quantity
    while symbol not in engine.trader.book.marks:
        await asyncio.sleep(0.005)
    far = float(engine.trader.instrument(symbol).round_price(kit.far(engine.trader.book.marks[symbol])))
    oms = engine.oms
    await oms.submit_order(symbol, OrderSide.BUY, 2 * some, OrderType.MARKET)
    resting = await oms.submit_order(symbol, OrderSide.BUY, some, OrderType.LIMIT, far)
    await oms.submit_order(symbol, OrderSide.BUY, some, OrderType.IOC, far)
    await oms.cancel_order(resting.client_order_id)
    await oms.submit_order(symbol, OrderSide.SELL, some, OrderType.MARKET, reduce_only=True)


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


async def live_and_die(kit: Kit, addresses: dict[str, Any], folder: Path, write: int, when: str) -> None:
    with Journal.open(folder / "journal.sqlite", session="crash") as journal:
        die_at(journal, write, when)
        engine = build_engine(kit, addresses, journal, f"c{folder.name}")
        await engine.start()
        await script(engine, kit)
        await engine.stop()


async def import_all(adapter: BaseBrokerAdapter) -> None:
    """Client libraries are imported when they are needed; what is imported here the children have."""
    await adapter.connect()
    await adapter.disconnect()


def serve() -> None:
    addresses = json.loads(os.environ["CRASH_ADDRESSES"])
    for kit in KITS.values():
        if kit.name in addresses:
            asyncio.run(import_all(kit.adapter(addresses, **kit.quick)))
    for line in sys.stdin:
        venue, folder, write, when = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio.run(live_and_die(KITS[venue], addresses, Path(folder), write, when))
                status = 0
            except BaseException:  # noqa: BLE001 - whatever it is, a child must not go on as its parent
                traceback.print_exc()
            os._exit(status)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
