"""The adapter itself over ib_insync: run by an environment that has it; this package and the rest come after it.

Arguments: folders to append to the module path. The sandbox addresses come as JSON on standard input; one line of JSON
with what was seen goes out.
"""

import asyncio
import json
import sys

sys.path.extend(sys.argv[1:])

from autotrader_lab.execution.adapters.ibkr import IBKRAdapter
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType


async def until(fact):
    """Wait for a fact."""
    async with asyncio.timeout(5):
        while not fact():
            await asyncio.sleep(0.005)


async def trade(block):
    """Connect, rest an order, change it, cancel it, buy, be refused, come back after a cut, see quotes and bars."""
    adapter = IBKRAdapter.on_sandbox(block, library="ib_insync", timeout_s=2)
    reports, quotes = [], []
    adapter.subscribe_reports(reports.append)
    await adapter.connect()
    feed = adapter.feed()
    feed.subscribe(quotes.append)
    await feed.open(["AAPL"], ["quotes"])
    await until(lambda: quotes)
    seen = {"library": adapter._library.name, "modules": sorted({"ib_insync", "ib_async"} & set(sys.modules))}
    resting = await adapter.submit_order(
        Order("", "AAPL", OrderSide.BUY, OrderType.LIMIT, 10, 150.0, client_order_id="resting")
    )
    await adapter.modify_order("resting", quantity=20, price=151.0)
    seen["changed"] = [(await adapter.get_order_status("resting")).quantity, resting.price]
    seen["cancelled"] = await adapter.cancel_order("resting")
    bought = await adapter.submit_order(
        Order("", "AAPL", OrderSide.BUY, OrderType.MARKET, 100, client_order_id="bought")
    )
    await until(lambda: bought.status is OrderStatus.FILLED)
    seen["bought"] = [bought.filled_quantity, bought.commission]
    refused = await adapter.submit_order(
        Order("", "AAPL", OrderSide.BUY, OrderType.LIMIT, 10_000_000, 150.0, client_order_id="big")
    )
    seen["refused"] = [refused.status.value, reports[-1].code]
    seen["positions"] = await adapter.get_positions()
    seen["bars"] = len(await adapter.get_bars("AAPL", 60, 10))
    seen["found"] = (await adapter.find_order("bought", "AAPL")).status.value
    adapter._link.drop("a test")
    await until(lambda: adapter._link.connections == 2)
    seen["fills"] = sum(fill.quantity for fill in await adapter.get_fills("AAPL", 0))
    await feed.close()
    await adapter.disconnect()
    seen["told"] = [type(report).__name__ for report in reports if report.client_order_id == "resting"]
    return seen


def main():
    """The paper gateway."""
    sys.stdout.write(json.dumps(asyncio.run(trade(json.load(sys.stdin)["ibkr"]))))


if __name__ == "__main__":
    main()
