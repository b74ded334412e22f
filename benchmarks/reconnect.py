"""From a lost connection to reconciled books, with a fill missed in between: how long, and booked how often.

The sandbox cuts every connection of the account while an order of ours rests, and the market trades through it at once.
Run: ``python benchmarks/reconnect.py --venue okx --json``; without ``--venue`` it is Binance, ``all`` is every venue.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from common import Control, engine_on_sandbox, machine, quoted, show, spread
from venue_kit import KITS, Kit, chosen

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.model.orders import OrderSide, OrderStatus, OrderType

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Outage:
    """Seconds from loss to reconciled, whether the order's execution was missed, and how many were booked twice."""

    seconds: float
    is_lost: bool
    doubled: int


async def outage(engine: ExecutionEngine, control: Control, kit: Kit) -> Outage:
    """One outage."""
    bid, _ = await quoted(engine, kit.symbol)
    instrument = engine.trader.instrument(kit.symbol)
    price = instrument.round_price(bid * (1 - 0.01 * kit.calm))
    order = await engine.oms.submit_order(kit.symbol, OrderSide.BUY, kit.quantity, OrderType.LIMIT, float(price))
    if order.status is not OrderStatus.SUBMITTED:
        raise SystemExit(f"{kit.name}: the order is {order.status.value}: {order.reason}")
    before = engine.monitor.reconciled
    await control.post("/disconnect")
    # The whole market moves below it: there are venues where a trade alone does not execute what waits.
    await control.post("/price", symbol=kit.pairs[0].name, price=str(price - 5 * instrument.tick_size))
    async with asyncio.timeout(PATIENCE_S):
        while engine.monitor.reconciled is before or engine.monitor.reconciled.outage_s is None:
            await asyncio.sleep(0.005)
    reconciled = engine.monitor.reconciled
    if not reconciled.ok:
        raise SystemExit(f"{kit.name}: not reconciled: {reconciled}")
    fills = [fill.execution_id for fill in engine.oms.fills if fill.client_order_id == order.client_order_id]
    is_lost = order.filled_quantity != kit.quantity
    return Outage(reconciled.outage_s or 0.0, is_lost, len(fills) - len(set(fills)))


async def measure(kit: Kit, repeats: int, **where: Any) -> list[Outage]:
    """Several outages of one engine."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            aiohttp.ClientSession() as client,
            engine_on_sandbox(Path(folder), kit=kit, **where) as (engine, box),
        ):
            control = Control(client, box, kit.name)
            found = []
            for number in range(repeats):
                if number:
                    await asyncio.sleep(1)
                found.append(await outage(engine, control, kit))
            return found


def figures(kit: Kit, repeats: int) -> dict[str, Any]:
    """One venue's."""
    runs = asyncio.run(measure(kit, repeats))
    return {
        "repeats": repeats,
        "loss_to_reconciled_s": spread([run.seconds for run in runs]),
        "fills_lost": sum(run.is_lost for run in runs),
        "fills_doubled": sum(run.doubled for run in runs),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--venue", choices=[*KITS, "all"], default="binance")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {kit.name: figures(kit, arguments.repeats) for kit in chosen(arguments.venue)}
    result = found if arguments.venue == "all" else found[arguments.venue]
    show("reconnect", {**result, "machine": machine()}, arguments.json)


if __name__ == "__main__":
    main()
