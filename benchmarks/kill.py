"""How long the kill switch takes with many orders open: to the last cancel sent, and to verified with the venue.

Real client libraries over loopback, the sandbox in a process of its own, the journal on disk.
Run: ``python benchmarks/kill.py --venue okx --json``; without ``--venue`` it is Binance, ``all`` is every venue.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from common import engine_on_sandbox, machine, quoted, show, spread
from venue_kit import KITS, Kit, chosen

from autotrader_lab.execution import KillSwitch, RiskLimits
from autotrader_lab.execution.kill import KillReport
from autotrader_lab.model.orders import OrderSide, OrderStatus, OrderType

LIMITS = RiskLimits(max_open_orders=1_000, max_orders_per_minute=None, duplicate_window_s=0, price_collar_pct=None)


async def once(kit: Kit, orders: int, **where: Any) -> KillReport:
    """Open so many orders and pull the switch."""
    with tempfile.TemporaryDirectory() as folder:
        async with engine_on_sandbox(Path(folder), kit=kit, limits=LIMITS, **where) as (engine, _):
            bid, _ask = await quoted(engine, kit.symbol)
            instrument = engine.trader.instrument(kit.symbol)
            far = instrument.round_price(kit.far(bid))
            for number in range(orders):
                price = float(far + number * instrument.tick_size)
                order = await engine.oms.submit_order(
                    kit.symbol, OrderSide.BUY, kit.quantity, OrderType.LIMIT, float(instrument.round_price(price))
                )
                if order.status is not OrderStatus.SUBMITTED:
                    raise SystemExit(f"{kit.name}: order {number} is {order.status.value}: {order.reason}")
                await asyncio.sleep(kit.gap_s)
            report = await KillSwitch(engine).activate("benchmark", disconnect=False)
            if report.cancelled != orders:
                raise SystemExit(f"{kit.name}: {report.cancelled} of {orders} orders were cancelled")
            return report


def measure(kit: Kit, orders: int, repeats: int) -> dict[str, Any]:
    """One venue's figures."""
    runs = [asyncio.run(once(kit, orders)) for _ in range(repeats)]
    return {
        "orders": orders,
        "repeats": repeats,
        "cancel_sent_ms": spread([run.seconds_to_cancel * 1e3 for run in runs]),
        "verified_ms": spread([run.seconds * 1e3 for run in runs]),
        "all_verified": all(run.verified for run in runs),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--venue", choices=[*KITS, "all"], default="binance")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {kit.name: measure(kit, arguments.orders, arguments.repeats) for kit in chosen(arguments.venue)}
    result = found if arguments.venue == "all" else found[arguments.venue]
    show("kill switch", {**result, "machine": machine()}, arguments.json)


if __name__ == "__main__":
    main()
