"""The loop of a replay: one pass of one trader over one stretch of data.

An event goes to the matching (waiting orders meet it), then to the strategy, and what the gate approved goes to the
matching. Nothing is made per event but the event itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from autotrader_lab.execution.adapters.matching import Latency, PaperMatching
from autotrader_lab.execution.market_data.bars import BarBuilder
from autotrader_lab.execution.risk import RiskGate
from autotrader_lab.execution.trader import Trader
from autotrader_lab.journal import Item, records
from autotrader_lab.model.clock import NS, SimulatedClock, SystemClock, from_ns
from autotrader_lab.model.errors import AutoTraderError, StrategyError
from autotrader_lab.model.market import Bar, MarketEvent, Quote, Trade
from autotrader_lab.model.orders import Denied, Order, Report
from autotrader_lab.research.data import MarketData
from autotrader_lab.research.ledger import Accounts, Ledger
from autotrader_lab.research.metrics import drawdown
from autotrader_lab.research.result import ReplayResult, from_run

__all__ = ["OnProgress", "ReplayStopped", "Run"]

OnProgress = Callable[[int, int], None]
_FIRST_BLOCK, _LAST_BLOCK = 1_024, 65_536
_BLOCK_NS = 100_000_000
DAY_NS = 86_400 * NS
_EQUITY_MARKS = 400


class ReplayStopped(StrategyError):
    """A replay that could not go on: the strategy raised, or returned what is no decision.

    Attributes
    ----------
    result : ReplayResult
        Everything up to the row that stopped it; nothing is lost.
    row : int
        Number of that row in the data, from 0.
    """

    result: ReplayResult
    row: int


class _Gate(RiskGate):
    """The live gate, which knows equity's peak when it is asked; live a timer tells it.

    Parameters
    ----------
    live : RiskGate
        A fresh one, whose place this takes.
    peak : callable
        From the time (ns) to the highest equity so far.
    """

    def __init__(self, live: RiskGate, peak: Callable[[int], float]) -> None:
        vars(self).update(vars(live))
        self._peak = peak

    def check(self, order: Order, now_ns: int) -> Denied | None:
        if self.limits.max_drawdown is not None:
            self.peak_equity = max(self.peak_equity, self._peak(now_ns))
        return super().check(order, now_ns)


class Run:
    """One pass over the data."""

    def __init__(
        self,
        trader: Trader,
        clock: SimulatedClock,
        matching: PaperMatching,
        data: MarketData,
        latency: Latency,
        builders: list[BarBuilder],
    ) -> None:
        self.trader = trader
        self.matching = matching
        self.data = data
        self.clock = clock
        self.latency = latency
        self.builders = {builder.symbol: builder for builder in builders}
        self.row = 0
        self.stage = trader.desk.stage
        self.journal = trader.desk.journal
        self.ledger = Ledger(trader.book, data, self.journal.session, self.stage)
        trader.gate = trader.desk.gate = _Gate(trader.gate, self._catch_up)
        self._day_ends_ns = 0
        trader.desk.subscribe(lambda change: self.ledger.note(self.row, change))

    def go(self, about: dict[str, Any], progress: bool, on_progress: OnProgress | None) -> ReplayResult:
        """Run to the end of the data, or to what stops it; `about` describes the run in the result."""
        first_seq, total = self.journal.last_seq(), len(self.data)
        book = self.trader.book
        started = records.StageStarted(
            self.stage,
            about["fingerprint"],
            venue="replay",
            symbols=self.data.symbols,
            starting_equity=book.starting_equity,
        )
        self._write(Item(records.STAGE_STARTED, started))
        failure: AutoTraderError | None = None
        with tqdm(
            total=total, disable=not progress, desc=about["name"], unit=f" {self.data.kind}", unit_scale=True
        ) as bar:
            try:
                self.trader.start()
                for start, stop in self._blocks():
                    self._block(start, stop)
                    bar.update(stop - start)
                    if on_progress is not None:
                        on_progress(stop, total)
            except AutoTraderError as error:
                failure = error
        rows = total if failure is None else self.row + 1
        where = f"row {self.row} ({self._moment()})" if failure is not None else ""
        reason = f"{where}: {failure}" if failure is not None else ""
        accounts = self.ledger.accounts(rows)
        self._evidence(accounts, rows, reason)
        decisions = self.journal.read(after_seq=first_seq, kinds=records.DECISION, stage=self.stage)
        result = from_run(
            trader=self.trader,
            ledger=self.ledger,
            accounts=accounts,
            data=self.data,
            rows=rows,
            decisions=list(decisions),
            stopped_by=reason,
            **about,
        )
        if failure is not None:
            stopped = ReplayStopped(f"{failure} [at {where}; what ran until then is in the error's .result]")
            stopped.result, stopped.row = result, self.row
            raise stopped from failure
        return result

    def _moment(self) -> str:
        symbol = self.data.symbols[int(self.data.symbol_rows[self.row])]
        return f"{self.data.kind[:-1]} of {symbol}, {from_ns(int(self.data.timestamps_ns[self.row])).isoformat()}"

    def _evidence(self, accounts: Accounts, rows: int, reason: str) -> None:
        """What a ladder or a dashboard reads: counters, some equity marks, and why it ended."""
        trader, desk = self.trader, self.trader.desk
        counters = records.StageCounters(
            decisions=trader.decisions,
            holds=trader.holds,
            orders=desk.sent,
            fills=len(self.ledger.fills),
            denied=desk.denied,
            rejected=desk.rejected,
            round_trips=sum(position.round_trips for position in trader.book.positions.values()),
            events=rows,
        )
        marks = [Item(records.EQUITY, mark, timestamp_ns=mark.timestamp_ns) for mark in self._marks(accounts, rows)]
        ended = records.StageStopped(self.stage, reason or "end of data", len(trader.book.open))
        alerts = [Item(records.ALERT, records.Alert("critical", "STRATEGY_FAILED", reason))] if reason else []
        self._write(*marks, Item(records.COUNTERS, counters), *alerts, Item(records.STAGE_STOPPED, ended))

    def _marks(self, accounts: Accounts, rows: int) -> list[records.EquityMark]:
        """Evenly spread, with the last and the deepest among them."""
        if not rows:
            return []
        start = self.trader.book.starting_equity
        fallen = drawdown(accounts.equity, start)
        picked = {*range(0, rows, -(-rows // _EQUITY_MARKS)), int(fallen.argmax()), rows - 1}
        return [
            records.EquityMark(
                timestamp_ns=int(self.data.timestamps_ns[row]),
                equity=float(accounts.equity[row]),
                cash=start + float(accounts.realised[row] - accounts.fees[row]),
                realised=float(accounts.realised[row]),
                unrealised=float(accounts.unrealised[row]),
                fees=float(accounts.fees[row]),
                drawdown=float(fallen[row]),
            )
            for row in sorted(picked)
        ]

    def _write(self, *items: Item) -> None:
        for item in items:
            item.stage = self.stage
            item.timestamp_ns = item.timestamp_ns if item.timestamp_ns is not None else self.clock.now_ns()
        self.journal.append_many(items)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Rows in blocks of about a tenth of a second: progress moves, and costs nothing per row."""
        watch, size, start = SystemClock(), _FIRST_BLOCK, 0
        while start < len(self.data):
            stop = min(start + size, len(self.data))
            began_ns = watch.monotonic_ns()
            yield start, stop
            took_ns = watch.monotonic_ns() - began_ns
            size = min(size * 2, _LAST_BLOCK) if took_ns < _BLOCK_NS else max(size // 2, 16)
            start = stop

    def _block(self, start: int, stop: int) -> None:
        trader, matching = self.trader, self.matching
        events = self.data.block(start, stop)
        if self.builders:
            self._ticks_with_bars(events, start)
            return
        hooks: dict[str, Callable[[Any], Sequence[Order]]] = {
            "bars": trader.on_bar,
            "quotes": trader.on_quote,
            "trades": trader.on_trade,
        }
        take, meet, set_clock = hooks[self.data.kind], matching.on_market, self.clock.set_ns
        # Bars of one symbol that nothing waits for need not be noted: the newest is handed over with the next order.
        lazy = self.data.kind == "bars" and len(self.data.symbols) == 1
        row = start
        try:
            for row, event in enumerate(events, start):
                if event.timestamp_ns >= self._day_ends_ns:
                    self._new_day(event.timestamp_ns)
                set_clock(event.timestamp_ns)
                if matching.working:
                    self.row = row
                    self._book(meet(event))
                elif not lazy:
                    meet(event)
                orders = take(event)
                if orders:
                    self.row = row
                    if lazy:
                        self._book(meet(event))
                    self._send(orders, event.timestamp_ns)
        finally:
            self.row = row

    def _ticks_with_bars(self, ticks: Iterator[MarketEvent], start: int) -> None:
        """Ticks for the matching and the strategy, and the bars they make for the strategy."""
        trader, matching, builders = self.trader, self.matching, list(self.builders.values())
        for row, tick in enumerate(ticks, start):
            self.row = row
            if tick.timestamp_ns >= self._day_ends_ns:
                self._new_day(tick.timestamp_ns)
            ended = [bar for builder in builders for bar in builder.flush(tick.timestamp_ns)]
            for bar in sorted(ended, key=_bar_time):
                # A bar is over at its end, before the tick that shows it.
                self.clock.set_ns(bar.timestamp_ns)
                self._book(matching.advance(bar.timestamp_ns))
                self._send(trader.on_bar(bar), bar.timestamp_ns)
            self.clock.set_ns(tick.timestamp_ns)
            self._book(matching.on_market(tick))
            self._send(trader.on_market(tick), tick.timestamp_ns)
            if isinstance(tick, Trade):
                self.builders[tick.symbol].on_trade(tick)
            elif isinstance(tick, Quote):
                self.builders[tick.symbol].on_quote(tick)

    def _new_day(self, now_ns: int) -> None:
        """Let the gate count the day's loss from the marks that the old day ended with."""
        self._day_ends_ns = (now_ns // DAY_NS + 1) * DAY_NS
        self.trader.gate.day_result(now_ns)

    def _catch_up(self, now_ns: int) -> float:
        """The highest equity there was up to `now_ns`."""
        return self.ledger.peak(int(np.searchsorted(self.data.timestamps_ns, now_ns, side="right")))

    def _send(self, orders: Sequence[Order], now_ns: int) -> None:
        for order in orders:
            self.trader.desk.intend(order)
            self._book(self.matching.submit(order, now_ns + self.latency.draw_ns()))

    def _book(self, reports: list[Report]) -> None:
        for report in reports:
            self.trader.on_report(report)


def _bar_time(bar: Bar) -> int:
    return bar.timestamp_ns
