"""Chaos: thousands of orders under every fault the sandbox knows, judged by the venue's own books against the journal.

    python benchmarks/chaos.py [--orders 10000] [--seed 1] [--venue binance] [--json]

Venues: all of ``venue_kit.KITS``.

The real parts run: ``ExecutionEngine`` with its order manager, resiliency and reconciliation, the venue's adapter and
feed, a SQLite journal on disk; the sandbox is a process of its own. Workers place market, limit and IOC orders, let
some rest and cancel them, change quantity (in place) and price (cancel, then what is left). Then the faults stop, the
engine settles what is in doubt, cancels what is open and reconciles. What it thinks of itself is not asked: the
sandbox's record of every order, execution and balance is compared with the journal, line by line.

Keys of ``--json``, all of which but the rates should be 0:

``lost``
    Orders or executions the venue has and the journal has not; orders the journal says were accepted and the venue
    never had.
``duplicated``
    Intents that became two orders at the venue, executions booked twice, orders or chains of replacements that
    executed more than was asked.
``unreconciled``
    Orders in doubt at the end; status, quantity, filled quantity, price or fee of an order or execution that differ;
    currencies of which the account holds more or less than the journal accounts for.
``success_rate``
    Of the orders that were sent while the venue was reachable, the share that the venue took (they are in its books,
    whatever became of them). Sent means: let through by our risk gate and written to the journal. Reachable means: no
    maintenance window of the plan was open at the order's intent or within the time after it in which one that gets
    lost can be proved absent and sent again (``SENDING_AGAIN_S`` after the adapter's ``arrival_window_s``, at least
    ``REACHABLE_S``). All other faults count, and so does an open circuit breaker.
``dead_letter_rate``
    Of the same orders, the share given up as provably undelivered and kept as dead letters at the end.
``orders``, ``executions``, ``counted``, ``faults``, ``seconds``, ``seed``
    Orders sent, the venue's executions, orders in the rates' denominator, faults that struck by kind, duration.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parent))
from chaos_judge import Judgement, judge
from chaos_orders import EXPECTED, Load
from chaos_plan import chaos_plan, outage_windows
from common import Control
from venue_kit import KITS, TIMEOUT_S

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.journal import Journal
from autotrader_lab.sandbox import start_sandbox
from autotrader_lab.strategy.contract import Context, Strategy

FRESH_S = 10.0
"""So long a decision may be carried out; longer by as much as the venue takes longer to prove an order absent."""
STILL_FRESH_S = 7.0
REACHABLE_S = 5.0
SENDING_AGAIN_S = 2.0
LIMITS = RiskLimits(max_orders_per_minute=None, duplicate_window_s=0, max_daily_loss=None, max_drawdown=None)


class Watching(Strategy):
    """Takes the quotes in and decides nothing: the orders are the benchmark's."""

    def on_quote(self, quote: Any, context: Context) -> None:
        """Nothing to do."""


@dataclass
class Outcome:
    """What a run found."""

    judgement: Judgement
    faults: dict[str, int]
    errors: Counter[str]
    denied: Counter[str]
    engine: dict[str, Any]
    seed: int
    seconds: float

    def summary(self) -> dict[str, Any]:
        found = self.judgement
        return {
            "orders": found.orders,
            "lost": found.count("lost"),
            "duplicated": found.count("duplicated"),
            "unreconciled": found.count("unreconciled"),
            "success_rate": round(found.success_rate, 6),
            "dead_letter_rate": round(found.dead_letter_rate, 6),
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "executions": found.executions,
            "counted": found.counted,
            "faults": self.faults,
        }


async def run(orders: int, seed: int, venue: str, journal_path: Path, workers: int = 8) -> Outcome:
    """One run."""
    began = time.monotonic()
    period_s = 40.0 if orders >= 2_000 else 13.0
    kit = KITS[venue]
    with start_sandbox(seed=seed, venues=[venue]) as box:
        async with aiohttp.ClientSession() as session:
            control = Control(session, box, venue)
            adapter = kit.adapter(box.addresses, **kit.chaos)
            reachable_s = max(REACHABLE_S, adapter.arrival_window_s + SENDING_AGAIN_S)
            journal = Journal.open(journal_path)
            engine = ExecutionEngine(
                Watching(),
                adapter,
                symbols=tuple(kit.symbols),
                limits=LIMITS,
                journal=journal,
                stage="testnet",
                resiliency={"seed": seed},
                oms={"fresh_s": max(FRESH_S, adapter.arrival_window_s + STILL_FRESH_S)},
                reconcile_every_s=period_s / 4,
            )
            await engine.start()
            for command in kit.commands:
                await control.post("/command", **command)
            before = await control.books()
            await control.ask("POST", "/faults", chaos_plan(seed, kit, period_s, TIMEOUT_S))
            load = Load(engine, orders, seed, kit)
            telling = asyncio.create_task(tell(load, began))
            await over_both_roads(load, workers)
            telling.cancel()
            until_ns = time.time_ns()
            report = await control.ask("DELETE", "/faults")
            own_view = await settle(engine)
            await engine.stop()
            journal.close()
            after = await control.books()
    with Journal.open(journal_path, read_only=True) as written:
        judgement = judge(written.read(), before, after, kit, outage_windows(report, until_ns, reachable_s))
    faults: Counter[str] = Counter()
    for rule in report["rules"]:
        faults[rule["do"]] += rule["hits"]
    return Outcome(judgement, dict(faults), load.errors, load.denied, own_view, seed, time.monotonic() - began)


async def over_both_roads(load: Load, workers: int) -> None:
    """Half of the orders over REST, half over the WebSocket API where the adapter has both."""
    adapter: Any = load.engine.adapter
    everything = load.wanted
    if hasattr(adapter, "websocket_orders"):
        load.wanted = everything // 2
        await load.run(workers)
        adapter.websocket_orders = True
        load.wanted = everything
    await load.run(workers)


async def tell(load: Load, began: float) -> None:
    """A line each ten seconds, for those who watch."""
    while True:
        await asyncio.sleep(10)
        engine = load.engine
        state = f"{engine.guard.state.value} {sorted(engine.guard.reasons)}"
        doubt = len(engine.trader.book.in_doubt())
        if engine.failure is not None:
            raise SystemExit(f"the engine stopped trading: {engine.failure!r}")
        print(f"{time.monotonic() - began:6.0f} s  {load.sent} sent, {doubt} in doubt, {state}", file=sys.stderr)


async def settle(engine: ExecutionEngine, patience_s: float = 90.0) -> dict[str, Any]:
    """What the engine does by itself once the venue is well: end doubt, cancel, reconcile. Returns its own view."""
    deadline = time.monotonic() + patience_s
    outcome = None
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        if engine.trader.book.in_doubt():
            continue
        try:
            await engine.oms.cancel_all()
        except EXPECTED as error:
            print(f"cancel: {error}", file=sys.stderr)
            continue
        outcome = await engine.reconcile()
        if outcome.ok and not engine.trader.book.open:
            break
    return {
        "reconciled": outcome is not None and outcome.ok,
        "differences": [] if outcome is None else outcome.differences,
        "in_doubt": len(engine.trader.book.in_doubt()),
        "open": len(engine.trader.book.open),
        "resiliency": engine.resiliency.get_failure_stats() if engine.resiliency is not None else {},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--venue", choices=sorted(KITS), default="binance")
    parser.add_argument("--workers", type=int, default=8, help="orders on their way at once")
    parser.add_argument("--journal", type=Path, help="keep the journal here")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--verbose", action="store_true", help="say what went wrong on the way")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO if chosen.verbose else logging.CRITICAL, stream=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.journal or Path(folder) / "journal.sqlite"
        outcome = asyncio.run(run(chosen.orders, chosen.seed, chosen.venue, path, chosen.workers))
    summary = outcome.summary()
    if chosen.json:
        print(json.dumps(summary))
    else:
        for name, value in summary.items():
            print(f"{name:<18} {value}")
    if chosen.verbose or not chosen.json:
        print(f"{'errors':<18} {dict(outcome.errors)}", file=sys.stderr)
        print(f"{'denied':<18} {dict(outcome.denied)}", file=sys.stderr)
        print(f"{'engine':<18} {outcome.engine}", file=sys.stderr)
        print(f"{'undelivered':<18} {dict(outcome.judgement.refusals)}", file=sys.stderr)
    for finding in outcome.judgement.findings[:30]:
        print(finding, file=sys.stderr)
    return 1 if outcome.judgement.findings else 0


if __name__ == "__main__":
    sys.exit(main())
