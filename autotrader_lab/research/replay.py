"""Replay: history through the live core, in one plain loop.

The strategy object, the risk gate, the books and the paper matching are the ones of paper trading and live. What replay
adds is the loop: an event goes to the matching (orders meet it), then to the strategy, and what the gate approved goes
to the matching. No event loop, no bus, nothing per event but the event itself; equity is worked out afterwards from the
few rows where the books changed.
"""

from __future__ import annotations

import copy as copying
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import cloudpickle

from autotrader_lab.execution.adapters.matching import Latency, PaperMatching
from autotrader_lab.execution.market_data.bars import BarBuilder
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.execution.trader import Trader
from autotrader_lab.journal import Item, Journal, MemoryJournal, records
from autotrader_lab.model.clock import NS, SimulatedClock
from autotrader_lab.model.errors import DataError, StrategyError
from autotrader_lab.model.instruments import Instrument, Instruments, exact
from autotrader_lab.research.data import DataSource, MarketData, interval_ns, load
from autotrader_lab.research.result import ReplayResult
from autotrader_lab.research.run import OnProgress, ReplayStopped, Run
from autotrader_lab.strategy.contract import as_strategy, fingerprint

__all__ = ["OnProgress", "ReplayStopped", "replay"]


def replay(
    strategy: Any,
    data: DataSource | MarketData,
    *,
    symbol: str | list[str] | None = None,
    limits: RiskLimits | None = None,
    initial_balance: float = 100_000.0,
    latency_ms: float | tuple[float, float] = 0,
    slippage_bps: float = 5,
    commission_bps: float = 10,
    seed: int = 0,
    allow_short: bool = True,
    leverage: float = 1,
    max_participation: float | None = None,
    progress: bool = True,
    on_progress: OnProgress | None = None,
    journal: Journal | None = None,
    instruments: Instruments | None = None,
    bar_interval: str | timedelta | None = None,
    timezone: str | None = None,
    copy: bool = True,
    stage: str = "replay",
    evidence_for: str | None = None,
) -> ReplayResult:
    """Run a strategy over history.

    The same call with the same data and seed gives the same result. The strategy given is not touched: a deep copy of
    it runs (a cloudpickle copy where it cannot be deep-copied) and is ``result.strategy`` afterwards. A plain function
    cannot be copied and runs as it is, so it should keep no state between calls.

    Parameters
    ----------
    strategy : Strategy, TradingStrategy wrapped in one, object with hooks, or function of (bar, context)
    data : DataFrame, path of a .parquet or .csv file, mapping of symbol to DataFrame, or MarketData
        Bars, quotes or trades; see :func:`autotrader_lab.research.data.load`. Checked whole before anything runs.
    symbol : str or list of str, optional
        What the data is of, or which of its symbols to take; by default what the strategy asks for, or all.
    limits : RiskLimits, optional
        By default the strategy's own, or the gate's defaults.
    initial_balance : float
        Account currency (the quote currency of the first symbol).
    latency_ms : float or (float, float)
        Milliseconds from decision to venue: one figure, or least and most, drawn with `seed`.
    slippage_bps, commission_bps : float
        Basis points of the price of market and stop orders; of every execution's notional.
    allow_short : bool
        A margin account that may sell what it lacks; False is a cash account.
    leverage : float
        Gross exposure allowed per unit of equity, for a margin account.
    max_participation : float, optional
        Bars: the part of a bar's volume that orders may take.
    progress : bool
        Show a progress bar.
    on_progress : callable, optional
        Called now and then with (rows done, rows in all).
    journal : Journal, optional
        Where decisions, intents and reports are written, and evidence for a ladder (stage start and stop, counters,
        equity marks). Without one nothing is written down; the result has it all anyway.
    instruments : Instruments, optional
        Grids and limits; by default the finest grid for every symbol of the data.
    bar_interval : str or timedelta, optional
        Length of a bar. With bars it declares that they are stamped with their opening time. With quotes or trades,
        bars of this length are built from them for a strategy with ``on_bar``, as live.
    timezone : str, optional
        Declares the zone of times that carry none.
    copy : bool, default True
        False runs the strategy object itself.
    stage : str
        Written into every journal entry.
    evidence_for : str, optional
        Fingerprint the evidence is written for; by default that of the strategy and its limits.

    Returns
    -------
    ReplayResult

    Raises
    ------
    DataError
        If the data cannot be traded on, or holds nothing that the strategy listens to; before anything runs.
    ReplayStopped
        If the strategy raises or returns what is no decision; names the row and carries the result so far.
    """
    candidate = as_strategy(strategy)
    wanted = symbol if symbol is not None else _wanted(candidate.symbols, data)
    loaded = load(data, symbol=wanted, timezone=timezone, bar_interval=bar_interval)
    listed = _instruments(instruments, loaded, allow_short)
    quote = listed.find(loaded.symbols[0]).quote
    running = _copy(strategy) if copy else strategy
    clock = SimulatedClock(int(loaded.timestamps_ns[0]))
    book = journal if journal is not None else _Decisions("replay", clock)
    before = book.last_seq()
    prefix = f"{stage}{before}" if before else stage  # ids of an earlier replay in this journal are not used again
    trader = Trader(
        running,
        clock=clock,
        instruments=listed,
        limits=limits,
        journal=book,
        starting_equity=float(initial_balance),
        stage=stage,
        symbols=loaded.symbols,
        id_prefix=prefix,
        expects_market_data=True,
    )
    matching = PaperMatching(
        initial_balance,
        slippage_bps,
        commission_bps,
        instruments=listed,
        allow_short=allow_short,
        currency=quote,
        leverage=leverage,
        max_participation=max_participation,
        id_prefix=f"{prefix}-v",
        venue="replay",
    )
    if not allow_short:
        trader.book.balances = {quote: exact(initial_balance)}
    settings = {
        "initial_balance": initial_balance,
        "latency_ms": latency_ms,
        "slippage_bps": slippage_bps,
        "commission_bps": commission_bps,
        "seed": seed,
        "allow_short": allow_short,
        "leverage": leverage,
        "max_participation": max_participation,
    }
    run = Run(trader, clock, matching, loaded, Latency(latency_ms, seed), _builders(trader, loaded, bar_interval))
    proof = evidence_for if evidence_for is not None else fingerprint(strategy, trader.gate.limits)
    about = {"strategy": running, "name": _name(strategy), "fingerprint": proof, "settings": settings}
    return run.go(about, progress, on_progress)


class _Decisions(MemoryJournal):
    """Where nobody asked for a journal: keeps what the books do not, which is the decisions.

    Orders and fills of a replay are in the books it ends with; writing them down for nobody is a fifth of its time.
    """

    def append(self, kind: str, record: Any, *, after: Sequence[Item] = (), **where: Any) -> int:
        self.append_many(after)
        return super().append(kind, record, **where) if kind == records.DECISION else self.last_seq()

    def append_many(self, items: Iterable[Item]) -> list[int]:
        return super().append_many([item for item in items if item.kind == records.DECISION])


def _wanted(asked: Sequence[str], data: object) -> str | list[str] | None:
    """What a strategy asks for, as `load` takes it; data that was loaded or is named already stays as it is."""
    if not asked or isinstance(data, (MarketData, Mapping)):
        return None
    return asked if isinstance(asked, str) else list(asked)


def _name(strategy: Any) -> str:
    if inspect.isroutine(strategy):
        return str(strategy.__name__)
    return type(strategy).__name__


def _copy(strategy: Any) -> Any:
    if inspect.isroutine(strategy):
        return strategy
    try:
        return copying.deepcopy(strategy)
    except Exception as first:  # noqa: BLE001 - a stranger's __deepcopy__ may raise anything, and there is a second way
        try:
            return cloudpickle.loads(cloudpickle.dumps(strategy))
        except Exception as error:
            raise StrategyError(
                f"{_name(strategy)} cannot be copied ({type(first).__name__}: {first}); replay(..., copy=False) runs "
                "the object itself"
            ) from error


def _instruments(given: Instruments | None, data: MarketData, allow_short: bool) -> Instruments:
    found = [given.find(symbol) if given is not None else Instrument.guess(symbol, "replay") for symbol in data.symbols]
    if not allow_short:
        found = [replace(instrument, can_short=False) for instrument in found]
    return Instruments(found, venue="replay")


def _builders(trader: Trader, data: MarketData, bar_interval: str | timedelta | None) -> list[BarBuilder]:
    """The bars to build from ticks, if the strategy hears bars and was given none; refuses what it would not hear."""
    hears = trader.hears
    if data.kind != "bars" and "bars" in hears and bar_interval is not None:
        return [BarBuilder(symbol, interval_ns(bar_interval) / NS) for symbol in data.symbols]
    if data.kind in hears:
        return []
    name = _name(getattr(trader.strategy, "inner", trader.strategy))
    wanted = ", ".join(f"on_{kind[:-1]}" for kind in hears) or "nothing"
    way_out = (
        f"give bar_interval='1min', say, to have bars built from the {data.kind}"
        if "bars" in hears
        else f"give it {' or '.join(hears)}, or an on_{data.kind[:-1]}"
    )
    raise DataError(f"the data are {data.kind}, and {name} listens with {wanted} only; {way_out}")
