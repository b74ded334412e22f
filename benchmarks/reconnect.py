"""From a lost connection to reconciled books, with a fill missed in between: how long, and booked how often.

The sandbox cuts every connection of the account while an order of ours rests, and the market trades through it at once.
Run: ``python benchmarks/reconnect.py --json``.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
from common import engine_on_sandbox, machine, show, spread

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.model.orders import OrderSide, OrderStatus, OrderType

SYMBOL = "BTC/USDT"


class Control:
    """The sandbox's control address."""

    def __init__(self, address: dict[str, str], client: aiohttp.ClientSession) -> None:
        self._url = address["url"]
        self._headers = {"X-Sandbox-Token": address["token"]}
        self._client = client

    async def post(self, path: str, **body: Any) -> None:
        """Ask for one thing."""
        async with self._client.post(self._url + path, json=body, headers=self._headers) as answer:
            if answer.status >= 400:
                raise SystemExit(f"{path}: {await answer.text()}")


async def outage(engine: ExecutionEngine, control: Control) -> tuple[float, int]:
    """One outage; returns seconds from loss to reconciled, and how many fills of the order were booked."""
    bid = engine.trader.book.bid_ask[SYMBOL][0]
    price = round(bid * 0.99, 2)
    order = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 0.001, OrderType.LIMIT, price)
    if order.status is not OrderStatus.SUBMITTED:
        raise SystemExit(f"the order is {order.status.value}: {order.reason}")
    before = engine.monitor.reconciled
    await control.post("/disconnect", world="testnet")
    await control.post("/trade", world="testnet", symbol="BTCUSDT", side="SELL", price=str(price), quantity="50")
    while engine.monitor.reconciled is before or engine.monitor.reconciled.outage_s is None:
        await asyncio.sleep(0.005)
    while order.is_open:
        await asyncio.sleep(0.005)
    fills = [fill for fill in engine.oms.fills if fill.client_order_id == order.client_order_id]
    if not engine.monitor.reconciled.ok or order.filled_quantity != 0.001:
        raise SystemExit(f"not reconciled: {engine.monitor.reconciled}, filled {order.filled_quantity}")
    return engine.monitor.reconciled.outage_s, len(fills)


async def measure(repeats: int) -> list[tuple[float, int]]:
    """Several outages of one engine."""
    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as client, engine_on_sandbox(Path(folder)) as (engine, box):
            control = Control(box.addresses["control"], client)
            while SYMBOL not in engine.trader.book.bid_ask:
                await asyncio.sleep(0.01)
            found = []
            for _ in range(repeats):
                found.append(await outage(engine, control))
                await asyncio.sleep(1)
            return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs = asyncio.run(measure(arguments.repeats))
    result = {
        "repeats": arguments.repeats,
        "loss_to_reconciled_s": spread([seconds for seconds, _ in runs]),
        "fills_lost": sum(1 for _, fills in runs if fills == 0),
        "fills_doubled": sum(1 for _, fills in runs if fills > 1),
        "machine": machine(),
    }
    show("reconnect", result, arguments.json)


if __name__ == "__main__":
    main()
