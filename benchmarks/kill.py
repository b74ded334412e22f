"""How long the kill switch takes with many orders open: to the last cancel sent, and to verified with the venue.

Real ccxt over loopback, the sandbox in a process of its own, the journal on disk.
Run: ``python benchmarks/kill.py --json``.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from common import engine_on_sandbox, machine, show, spread

from autotrader_lab.execution import KillSwitch, RiskLimits
from autotrader_lab.model.orders import OrderSide, OrderStatus, OrderType


async def once(orders: int) -> tuple[float, float, bool]:
    """Seconds to the last cancel answered, seconds to verified, and whether it was verified."""
    limits = RiskLimits(max_open_orders=1_000, max_orders_per_minute=None, duplicate_window_s=0, price_collar_pct=None)
    with tempfile.TemporaryDirectory() as folder:
        async with engine_on_sandbox(Path(folder), limits=limits) as (engine, _):
            while "BTC/USDT" not in engine.trader.book.marks:
                await asyncio.sleep(0.01)
            far = round(engine.trader.book.marks["BTC/USDT"] * 0.7, 0)
            for number in range(orders):
                order = await engine.oms.submit_order(
                    "BTC/USDT", OrderSide.BUY, 0.001, OrderType.LIMIT, far + number * 0.01
                )
                if order.status is not OrderStatus.SUBMITTED:
                    raise SystemExit(f"order {number} is {order.status.value}: {order.reason}")
            report = await KillSwitch(engine).activate("benchmark", disconnect=False)
            if report.cancelled != orders:
                raise SystemExit(f"{report.cancelled} of {orders} orders were cancelled")
            return report.seconds_to_cancel, report.seconds, report.verified


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs = [asyncio.run(once(arguments.orders)) for _ in range(arguments.repeats)]
    result = {
        "orders": arguments.orders,
        "repeats": arguments.repeats,
        "cancel_sent_ms": spread([sent * 1e3 for sent, _, _ in runs]),
        "verified_ms": spread([verified * 1e3 for _, verified, _ in runs]),
        "all_verified": all(ok for _, _, ok in runs),
        "machine": machine(),
    }
    show("kill switch", result, arguments.json)


if __name__ == "__main__":
    main()
