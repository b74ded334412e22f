"""One table over all venues: how long an order takes through all of this, and how much of it is ours.

    python benchmarks/venues.py [--venues binance,okx] [--orders 300] [--repeats 3] [--json]

For each venue, over loopback against the local sandbox in a process of its own, the journal on disk:

``submit_to_ack_ms``
    ``oms.submit_order`` of a limit order that rests, until the venue has it: gate, order manager, journal, adapter,
    client library, venue and back.
``bare_ms``
    The same order sent with the client library alone (ccxt's REST ``create_order``, oandapyV20, ib_async, simplefix on
    a socket), in turn with ours in the same run, now one first, now the other.
``share``
    ``ratio`` of the medians, and the median of the differences within the pairs, µs. Below 1, or negative, our road is
    faster than the library's own call.
``websocket_ms``, ``websocket_ratio``
    Where orders go over a WebSocket as well: the same over it, and its ratio to the *bare REST call*.
``before_wire_us``
    From the order manager's call to the adapter's: risk, journal, books.
``fill_to_notified_ms``
    From telling the sandbox's market to execute a resting order until the strategy was told; the way to the sandbox's
    control address is in it.
``reconnect_s``
    From the loss of the connection, with a fill missed meanwhile, to reconciled books.
``noise``
    Medians of the repeats of ours and bare, smallest and largest: what differs by less says nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import reconnect
from bare import Bare, make_bare
from common import Control, Idle, machine, quoted, spread
from rich.console import Console
from rich.table import Table
from venue_kit import KITS, Kit

from autotrader_lab.execution import ExecutionEngine, RiskLimits
from autotrader_lab.journal import Journal
from autotrader_lab.model.orders import Filled, OrderSide, OrderStatus, OrderType
from autotrader_lab.sandbox import start_sandbox

LIMITS = RiskLimits(max_open_orders=1_000, max_orders_per_minute=None, duplicate_window_s=0, price_collar_pct=None)
WARM_UP = 10
PATIENCE_S = 10.0


def quantiles(seconds: Sequence[float], unit: float = 1e3) -> dict[str, float]:
    """Median and 99th percentile."""
    ordered = sorted(seconds)
    return {
        "p50": round(unit * statistics.median(ordered), 3),
        "p99": round(unit * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 3),
    }


class Bench:
    """An engine and the bare library on one sandbox."""

    def __init__(self, kit: Kit, engine: ExecutionEngine, bare: Bare, control: Control) -> None:
        self.kit = kit
        self.engine = engine
        self.bare = bare
        self.control = control

    async def price(self) -> float:
        """Far enough from the market to rest, near enough to be taken."""
        bid, _ = await quoted(self.engine, self.kit.symbol)
        return float(self.engine.trader.instrument(self.kit.symbol).round_price(self.kit.far(bid)))

    async def ours(self, price: float) -> float:
        """Seconds to the acknowledgement of an order through the engine."""
        oms = self.engine.oms
        began = time.perf_counter()
        order = await oms.submit_order(self.kit.symbol, OrderSide.BUY, self.kit.quantity, OrderType.LIMIT, price)
        took = time.perf_counter() - began
        if order.status is not OrderStatus.SUBMITTED:
            raise SystemExit(f"{self.kit.name}: the order is {order.status.value}: {order.reason}")
        await oms.cancel_order(order.client_order_id)
        return took

    async def theirs(self, price: float) -> float:
        """Seconds to the acknowledgement of an order by the library alone."""
        took, handle = await self.bare.submit(price)
        await self.bare.cancel(handle)
        return took

    async def over_websocket(self, price: float) -> float:
        """As :meth:`ours`, over the WebSocket."""
        adapter: Any = self.engine.adapter
        adapter.websocket_orders = True
        try:
            return await self.ours(price)
        finally:
            adapter.websocket_orders = False

    async def pairs(self, count: int) -> dict[str, list[float]]:
        """The ways in turn, each first as often as the others."""
        ways = {"ours": self.ours, "bare": self.theirs}
        if hasattr(self.engine.adapter, "websocket_orders"):
            ways["websocket"] = self.over_websocket
        names = list(ways)
        took: dict[str, list[float]] = {name: [] for name in names}
        for number in range(count):
            price = await self.price()
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                took[name].append(await ways[name](price))
                await asyncio.sleep(self.kit.gap_s)
        return took

    async def fills(self, count: int) -> list[float]:
        """Seconds from telling the market to execute an order until the strategy was told."""
        kit, found = self.kit, []
        told: dict[str, float] = {}

        def note(change: Any) -> None:
            if isinstance(change.report, Filled):
                told.setdefault(change.order.client_order_id, time.perf_counter())

        self.engine.trader.desk.subscribe(note)
        instrument = self.engine.trader.instrument(kit.symbol)
        for _ in range(count):
            bid, _ask = self.engine.trader.book.bid_ask[kit.symbol]
            price = instrument.round_price(bid * (1 - 0.0005 * kit.calm))
            order = await self.engine.oms.submit_order(
                kit.symbol, OrderSide.BUY, kit.quantity, OrderType.LIMIT, float(price)
            )
            began = time.perf_counter()
            await self.control.post("/price", symbol=kit.pairs[0].name, price=str(price - 5 * instrument.tick_size))
            async with asyncio.timeout(PATIENCE_S):
                while order.client_order_id not in told:
                    await asyncio.sleep(0)
            if told[order.client_order_id] > began:  # the market did not come to it by itself
                found.append(told[order.client_order_id] - began)
            await self.engine.oms.submit_order(
                kit.symbol, OrderSide.SELL, kit.quantity, OrderType.MARKET, reduce_only=True
            )
            await asyncio.sleep(0.05)  # for the new quote
        return found


async def measure(kit: Kit, orders: int, repeats: int, outages: int) -> dict[str, Any]:
    """One venue."""
    each = max(2, orders // repeats)
    with start_sandbox(seed=5, speed=0.2, venues=[kit.name]) as box, tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as session:
            control = Control(session, box, kit.name)
            for command in kit.commands:
                await control.post("/command", **command)
            bare = make_bare(kit, box.addresses)
            await bare.open()
            with Journal.open(Path(folder) / "journal.sqlite", session="benchmark") as journal:
                adapter = kit.adapter(box.addresses, **{"paced": False} if "paced" in kit.chaos else kit.quick)
                engine = ExecutionEngine(
                    Idle(), adapter, symbols=[kit.symbol], journal=journal, stage="testnet", limits=LIMITS
                )
                await engine.start()
                try:
                    bench = Bench(kit, engine, bare, control)
                    await quoted(engine, kit.symbol)
                    await bench.pairs(min(WARM_UP, orders))
                    engine.latency.decision_to_wire_us.clear()
                    runs = [await bench.pairs(each) for _ in range(repeats)]
                    own = list(engine.latency.decision_to_wire_us)
                    told = await bench.fills(max(5, min(50, orders // 5)))
                finally:
                    await engine.stop()
                    await bare.close()
        outcomes = await reconnect.measure(kit, outages, box=box)
    return report(runs, own, told, outcomes)


def report(
    runs: Sequence[dict[str, list[float]]],
    own_us: Sequence[float],
    told: Sequence[float],
    outages: Sequence[reconnect.Outage],
) -> dict[str, Any]:
    """The figures of one venue."""
    took = {name: [one for run in runs for one in run[name]] for name in runs[0]}
    ours, bare = took["ours"], took["bare"]
    differences = [mine - theirs for mine, theirs in zip(ours, bare, strict=True)]
    found = {
        "orders": len(ours),
        "submit_to_ack_ms": quantiles(ours),
        "bare_ms": quantiles(bare),
        "share": {
            "ratio": round(statistics.median(ours) / statistics.median(bare), 3),
            "difference_us": round(1e6 * statistics.median(differences), 1),
        },
        "before_wire_us": quantiles(own_us, 1.0),
        "fill_to_notified_ms": quantiles(told),
        "reconnect_s": {key: round(value, 3) for key, value in spread([one.seconds for one in outages]).items()},
        "fills_lost": sum(one.is_lost for one in outages),
        "fills_doubled": sum(one.doubled for one in outages),
        "noise": {
            name: {
                key: round(1e3 * value, 3)
                for key, value in spread([statistics.median(run[name]) for run in runs]).items()
            }
            for name in runs[0]
        },
    }
    if "websocket" in took:
        found["websocket_ms"] = quantiles(took["websocket"])
        found["websocket_ratio"] = round(statistics.median(took["websocket"]) / statistics.median(bare), 3)
    return found


def show(venues: dict[str, Any]) -> None:
    """The table."""
    table = Table(title="venues, p50 / p99")
    for title in ("venue", "submit → ack ms", "bare ms", "ratio", "ours on top µs", "before wire µs", "WebSocket ms",
                  "to bare REST", "fill → notified ms", "reconnect s", "noise ours, bare ms"):  # fmt: skip
        table.add_column(title, justify="left" if title == "venue" else "right")
    for name, row in venues.items():
        noise = ", ".join(f"{row['noise'][way]['min']:.2f}-{row['noise'][way]['max']:.2f}" for way in ("ours", "bare"))
        table.add_row(
            name,
            _pair(row["submit_to_ack_ms"]),
            _pair(row["bare_ms"]),
            f"{row['share']['ratio']:.2f}",
            f"{row['share']['difference_us']:.0f}",
            _pair(row["before_wire_us"], 0),
            _pair(row["websocket_ms"]) if "websocket_ms" in row else "-",
            f"{row['websocket_ratio']:.2f}" if "websocket_ratio" in row else "-",
            _pair(row["fill_to_notified_ms"], 1),
            f"{row['reconnect_s']['median']:.2f}",
            noise,
        )
    Console(width=None if Console().width > 160 else 190).print(table)


def _pair(figures: dict[str, float], digits: int = 2) -> str:
    return f"{figures['p50']:.{digits}f} / {figures['p99']:.{digits}f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--venues", default=",".join(KITS), help=f"of {', '.join(KITS)}")
    parser.add_argument("--orders", type=int, default=300, help="pairs of orders a venue")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--outages", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.venues.split(",") if name.strip()]
    if unknown := [name for name in names if name not in KITS]:
        parser.error(f"no venue {', '.join(unknown)}; there are {', '.join(KITS)}")
    venues = {
        name: asyncio.run(measure(KITS[name], arguments.orders, arguments.repeats, arguments.outages)) for name in names
    }
    where = machine()
    if arguments.json:
        print(json.dumps({"venues": venues, "machine": where}))
        return
    show(venues)
    print(where)


if __name__ == "__main__":
    main()
