"""A first honest look at three costs: replay per bar, a Phase 8 decision, and our own part of an order's way out.

    python benchmarks/first_look.py            # a table
    python benchmarks/first_look.py --json     # one JSON object
    python benchmarks/first_look.py --quick    # few repeats, to see that it runs

Everything is warmed up, repeated, and told with its spread (min, median, max over the repeats). Absolute times belong
to the machine named in the output; the ratios travel better. Nothing here has a target yet.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.execution.adapters.base import BaseBrokerAdapter, Capabilities
from autotrader_lab.execution.market_data.feeds import LocalFeed
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.execution.trader import Trader
from autotrader_lab.journal import Journal
from autotrader_lab.model import Fill, Order, OrderStatus, Quote, SystemClock
from autotrader_lab.model.orders import Accepted, Filled
from autotrader_lab.research import MarketData, load, replay
from autotrader_lab.strategy import ExecutionDecision, Strategy, StrategyConfig, TradingStrategy

ROWS = 45_031
RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data" / "market" / "btc_perp_1m_202201.csv.gz"
LIMITS = RiskLimits(max_daily_loss=None, max_drawdown=None, max_orders_per_minute=None, duplicate_window_s=0)
FAST, SLOW, FEE = 20, 100, 0.001
CLOCK = SystemClock()


# --- replay ---------------------------------------------------------------------------------------------------


class Cross:
    """Running SMA(20/100) cross: what both loops ask at every bar; +1, -1, or 0 for no news."""

    def __init__(self) -> None:
        self.fast: deque[float] = deque(maxlen=FAST)
        self.slow: deque[float] = deque(maxlen=SLOW)
        self.fast_sum = self.slow_sum = 0.0
        self.side = 0

    def on_close(self, close: float) -> int:
        fast, slow = self.fast, self.slow
        if len(slow) == SLOW:
            self.fast_sum -= fast[0]
            self.slow_sum -= slow[0]
        elif len(fast) == FAST:
            self.fast_sum -= fast[0]
        fast.append(close)
        slow.append(close)
        self.fast_sum += close
        self.slow_sum += close
        if len(slow) < SLOW:
            return 0
        side = 1 if self.fast_sum * SLOW > self.slow_sum * FAST else -1
        if side == self.side:
            return 0
        self.side = side
        return side


class SmaCross(Strategy):
    """The same as an ordinary strategy of ours."""

    def __init__(self) -> None:
        self._cross = Cross()

    def on_bar(self, bar: Any, context: Any) -> ExecutionDecision | None:
        side = self._cross.on_close(bar.close)
        if not side:
            return None
        return self.long(bar.symbol, 1.0, context) if side > 0 else self.short(bar.symbol, 1.0, context)


def bare_callback_loop(data: MarketData) -> list[tuple[int, float, float]]:
    """One Python callback per bar and the least bookkeeping that gives the same fills."""
    cross, fills = Cross(), []
    ask = cross.on_close
    opens = [*data.values["open"].tolist()[1:], None]
    held, cash = 0.0, 0.0
    for row, (close, next_open) in enumerate(zip(data.values["close"].tolist(), opens, strict=True)):
        side = ask(close)
        if side and next_open is not None:
            quantity = side - held
            cash -= quantity * next_open + abs(quantity) * next_open * FEE
            held = float(side)
            fills.append((row + 1, quantity, next_open))
    return fills


def bars() -> tuple[pd.DataFrame, str]:
    if RECORDED.exists():
        frame = pd.read_csv(RECORDED)
        frame["timestamp"] = pd.to_datetime(frame["timestamp"]).dt.tz_localize("UTC")
        return frame, f"recorded {RECORDED.name}, {len(frame)} one-minute bars"
    random = np.random.default_rng(20220101)
    closes = np.round(46_000 * np.exp(np.cumsum(random.normal(0, 0.0008, ROWS))), 1)
    opens = np.concatenate([[46_000.0], closes[:-1]])
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2022-01-01", periods=ROWS, freq="1min", tz="UTC"),
            "open": opens,
            "high": np.maximum(opens, closes) + 5,
            "low": np.minimum(opens, closes) - 5,
            "close": closes,
            "volume": random.uniform(1e5, 1e7, ROWS),
        }
    )
    return frame, f"synthetic random walk (seed 20220101), {ROWS} one-minute bars; the recorded file is not here"


def look_at_replay(repeats: int) -> dict[str, Any]:
    frame, source = bars()
    data = load(frame, symbol="BTC/USD")

    def run() -> Any:
        result = replay(
            SmaCross(),
            data,
            limits=LIMITS,
            initial_balance=10_000_000,
            slippage_bps=0,
            commission_bps=10,
            progress=False,
        )
        return result, result.stats

    expected = bare_callback_loop(data)
    result, _ = run()
    same = [price for _, _, price in expected] == result.fills["price"].tolist()
    assert same, "replay and the bare loop do not make the same fills"
    loading = [seconds(lambda: load(frame, symbol="BTC/USD")) for _ in range(repeats)]
    ours, bare = [], []
    for _ in range(repeats):  # in turns, so that a slow moment of the machine hits both
        bare.append(seconds(lambda: bare_callback_loop(data)))
        ours.append(seconds(run))
    return {
        "data": source,
        "strategy": f"SMA({FAST}/{SLOW}) cross, running sums, ordinary Python",
        "fills": len(expected),
        "same_fills_as_bare_loop": same,
        "replay_bars_per_s": spread([len(data) / took for took in ours]),
        "bare_loop_bars_per_s": spread([len(data) / took for took in bare]),
        "replay_us_per_bar": spread([1e6 * took / len(data) for took in ours]),
        "times_the_bare_loop": spread([mine / theirs for mine, theirs in zip(ours, bare, strict=True)]),
        "includes": "copying the strategy, every order through gate, desk, books and matching, and the stats",
        "checking_the_frame_ms": spread([1e3 * took for took in loading]),
    }


# --- the decision ---------------------------------------------------------------------------------------------


def look_at_decisions(count: int, repeats: int) -> dict[str, Any]:
    """`process_signal` of a TradingStrategy at its defaults, volatility from its own running estimate."""
    found: dict[str, list[dict[str, float]]] = {"hold": [], "enter": []}
    for _ in range(repeats):
        for what, probability, action in (("hold", 0.5, "HOLD"), ("enter", 0.7, "LONG")):
            found[what].append(quantiles(_decisions(count, probability, action)))
    return {
        what: {"median_us": spread([one["p50"] for one in runs]), "p99_us": spread([one["p99"] for one in runs])}
        for what, runs in found.items()
    } | {"decisions_each": count}


def _decisions(count: int, probability: float, action: str) -> list[float]:
    strategy = TradingStrategy(StrategyConfig(), 100_000.0)
    random = np.random.default_rng(5)
    prices = (100 * np.exp(np.cumsum(random.normal(0, 0.001, count + 200)))).tolist()
    now_ns, took = 1_700_000_000_000_000_000, []
    clock = time.perf_counter_ns
    for row, price in enumerate(prices):
        now_ns += 120_000_000_000  # two minutes: the trades a day stay below their limit
        began = clock()
        decision = strategy.process_signal("BTC/USD", probability, current_price=price, timestamp=now_ns)
        ended = clock()
        assert decision.action == action, decision.metadata
        if decision.action != "HOLD":
            strategy.decision_closed(decision)
        if row >= 200:
            took.append((ended - began) / 1e3)
    return took


# --- from the decision to the wire ----------------------------------------------------------------------------


class AtTheWire(BaseBrokerAdapter):
    """A venue that notes when an order reaches it and executes it at once: no library, no network."""

    venue = "wire"
    capabilities = Capabilities(reports=True, client_order_ids=True)

    def __init__(self) -> None:
        self.reached_ns: list[int] = []
        self.held: dict[str, float] = {}

    async def connect(self) -> bool:
        return True

    async def disconnect(self) -> None:
        return None

    async def submit_order(self, order: Order) -> Order:
        self.reached_ns.append(time.perf_counter_ns())
        number, now_ns = len(self.reached_ns), CLOCK.now_ns()
        self.orders[order.client_order_id] = order
        self._report(Accepted(order.client_order_id, now_ns, f"w{number}"))
        self.held[order.symbol] = self.held.get(order.symbol, 0.0) + order.side.sign * order.quantity
        when = CLOCK.now()
        fill = Fill(f"w{number}", order.symbol, order.side, order.quantity, 100.0, 0.1, when, f"x{number}")
        self._report(Filled(order.client_order_id, now_ns, replace(fill, client_order_id=order.client_order_id)))
        return self.orders[order.client_order_id]

    async def cancel_order(self, order_id: str) -> bool:
        return True

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        return self.orders[order_id]

    async def get_order_status(self, order_id: str) -> Order:
        return self.orders[order_id]

    async def get_positions(self) -> dict[str, float]:
        return dict(self.held)

    async def get_account_balance(self) -> dict[str, float]:
        return {"USD": 1_000_000.0}


class Flips(Strategy):
    """Says something at every quote; notes when it said it."""

    def __init__(self) -> None:
        self.said_ns: list[int] = []

    def on_quote(self, quote: Any, context: Any) -> ExecutionDecision:
        say = self.short if context.position(quote.symbol) > 0 else self.long
        decision = say(quote.symbol, 1.0, context, limit_price=quote.ask if say is self.long else quote.bid)
        self.said_ns.append(time.perf_counter_ns())
        return decision


def core_to_wire(count: int, folder: Path) -> list[float]:
    """Gate, book and journal alone: from the strategy's answer to where the adapter would be called."""
    strategy, took = Flips(), []
    with Journal.open(folder / "core.sqlite", session="bench") as journal:
        trader = Trader(strategy, clock=CLOCK, limits=LIMITS, journal=journal, starting_equity=1e6, stage="bench")
        for number in range(count):
            now_ns = CLOCK.now_ns()
            (order,) = trader.on_market(Quote("BTC/USD", now_ns, 99.9, 100.1))
            trader.desk.intend(order)
            took.append((time.perf_counter_ns() - strategy.said_ns[-1]) / 1e3)
            client = order.client_order_id
            trader.on_report(Accepted(client, now_ns, f"w{number}"))
            when = CLOCK.now()
            fill = Fill(f"w{number}", order.symbol, order.side, order.quantity, 100.0, 0.1, when, f"x{number}")
            trader.on_report(Filled(client, now_ns, fill))
    return took


async def engine_to_wire(count: int, folder: Path) -> list[float]:
    """The whole engine: event loop, resiliency and order manager included."""
    strategy, adapter, feed = Flips(), AtTheWire(), LocalFeed()
    with Journal.open(folder / "engine.sqlite", session="bench") as journal:
        engine = ExecutionEngine(
            strategy, adapter, feed=feed, symbols=["BTC/USD"], limits=LIMITS, journal=journal, starting_equity=1e6
        )
        await engine.start()
        for number in range(count):
            feed.push(Quote("BTC/USD", CLOCK.now_ns(), 99.9, 100.1))
            for _ in range(200):
                await asyncio.sleep(0)
                if len(adapter.reached_ns) > number and not engine.trader.book.open:
                    break
            else:
                states = [order.reason or order.status for order in engine.trader.book.orders.values()][-1:]
                raise AssertionError(f"order {number} did not reach the wire: {states}, {engine.trader.gate.state}")
        await engine.stop()
    done = sum(order.status is OrderStatus.FILLED for order in engine.trader.book.orders.values())
    assert done == count, f"{done} of {count} filled"
    return [(wire - said) / 1e3 for wire, said in zip(adapter.reached_ns, strategy.said_ns, strict=True)]


def look_at_the_wire(count: int, repeats: int) -> dict[str, Any]:
    found: dict[str, list[dict[str, float]]] = {"core": [], "engine": []}
    warm = count // 10
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            found["core"].append(quantiles(core_to_wire(count + warm, Path(folder))[warm:]))
        with tempfile.TemporaryDirectory() as folder:
            found["engine"].append(quantiles(asyncio.run(engine_to_wire(count + warm, Path(folder)))[warm:]))
    return {
        what: {"median_us": spread([one["p50"] for one in runs]), "p99_us": spread([one["p99"] for one in runs])}
        for what, runs in found.items()
    } | {
        "orders_each": count,
        "journal": "SQLite file, WAL, synchronous NORMAL: the decision and the intent are written before the wire",
        "core_is": "decision translated, gate, book, two journal records",
        "engine_is": "the same, and the event loop's task, order manager, resiliency",
    }


# --- telling --------------------------------------------------------------------------------------------------


def seconds(work: Callable[[], Any]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spread(values: list[float]) -> dict[str, float]:
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def table(report: dict[str, Any]) -> None:
    def line(name: str, values: dict[str, float], unit: str) -> None:
        figures = "".join(f"{values[key]:>14,.2f}" for key in ("min", "median", "max"))
        print(f"  {name:<42}{figures}  {unit}")

    where = report["machine"]
    print(f"{where['implementation']} {where['python']}, {where['cores']} cores, load {where['load_at_start']}")
    print(f"{'':44}{'min':>14}{'median':>14}{'max':>14}   over {report['repeats']} repeats")
    one = report["replay"]
    print(f"replay: {one['data']}; {one['strategy']}; {one['fills']} fills, as the bare loop's")
    line("replay", one["replay_bars_per_s"], "bars/s")
    line("bare callback loop", one["bare_loop_bars_per_s"], "bars/s")
    line("replay", one["replay_us_per_bar"], "µs a bar")
    line("replay over bare loop", one["times_the_bare_loop"], "times")
    line("checking the frame first", one["checking_the_frame_ms"], "ms")
    print(f"decision of a TradingStrategy ({report['decision']['decisions_each']} each)")
    for what in ("hold", "enter"):
        line(f"{what}, median", report["decision"][what]["median_us"], "µs")
        line(f"{what}, p99", report["decision"][what]["p99_us"], "µs")
    two = report["decision_to_wire"]
    print(f"decision to wire ({two['orders_each']} orders each; {two['journal']})")
    for what in ("core", "engine"):
        line(f"{what}, median", two[what]["median_us"], "µs")
        line(f"{what}, p99", two[what]["p99_us"], "µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="few repeats, to see that it runs")
    arguments = parser.parse_args()
    repeats, count = (2, 200) if arguments.quick else (7, 3_000)
    report: dict[str, Any] = {"machine": machine(), "repeats": repeats}
    report["replay"] = look_at_replay(repeats)
    report["decision"] = look_at_decisions(count, repeats)
    report["decision_to_wire"] = look_at_the_wire(count, repeats)
    if arguments.json:
        json.dump(report, sys.stdout, indent=1)
        print()
    else:
        table(report)


if __name__ == "__main__":
    main()
