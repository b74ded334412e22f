"""A prediction model and the Phase 8 strategy behind the contract that the engine knows."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import StrategyError
from autotrader_lab.model.market import Bar
from autotrader_lab.strategy.config import StrategyConfig
from autotrader_lab.strategy.contract import Context, Strategy
from autotrader_lab.strategy.decision import HOLD, ExecutionDecision
from autotrader_lab.strategy.models import History, Model
from autotrader_lab.strategy.trading import TradingStrategy

__all__ = ["ModelStrategy"]

# holds that say nothing a researcher would look for; the others tell what kept a signal from trading
_QUIET = frozenset({"NO_SIGNAL", "IN_POSITION", "ORDER_IN_FLIGHT"})


@dataclass(slots=True)
class _Lane:
    """One symbol's history, its own copy of the model, and whether this stage has had a bar of it."""

    history: History
    model: Model
    started: bool = False


class ModelStrategy(Strategy):
    """Trades a model's predictions on bars.

    Parameters
    ----------
    model : callable
        From the recent :class:`History` to the probability that the price rises. Each symbol gets its own copy, so a
        model may keep running state; it is called once per bar, in order.
    config : StrategyConfig, optional
    symbols : str or sequence of str
        What to trade; empty means whatever the session trades.
    initial_equity : float, optional
        Capital it works with, account currency; the account's equity at the start of each stage by default.
    warmup_bars : int
        Bars of a symbol before the model is believed; until then nothing is entered.
    history_bars : int
        Bars the model can look back.
    sectors, venues : mapping, optional
        Sector and venue by symbol, for limits by them.
    adopt_positions : bool
        Believe the engine's book. A position it holds when a stage starts (after a restart), or holds otherwise than
        executions told, is managed, its stops counting from the price then, because what it cost is not told; one that
        it no longer holds (flattened by hand) is forgotten.

    Raises
    ------
    StrategyError
        If `model` cannot be called, or a number is out of range.
    """

    def __init__(
        self,
        model: Model,
        config: StrategyConfig | None = None,
        symbols: str | Sequence[str] = (),
        initial_equity: float | None = None,
        warmup_bars: int = 50,
        history_bars: int = 250,
        sectors: Mapping[str, str] | None = None,
        venues: Mapping[str, str] | None = None,
        adopt_positions: bool = True,
    ) -> None:
        if not callable(model):
            raise StrategyError(
                f"model {model!r} cannot be called; give a function of the history, or an object with __call__"
            )
        if isinstance(model, type):
            raise StrategyError(f"model {model.__name__} is a class; give an instance: {model.__name__}(...)")
        if warmup_bars < 0 or history_bars < 2:
            raise StrategyError(
                f"warmup_bars {warmup_bars} must be 0 or more, and history_bars {history_bars} must be 2 or more"
            )
        self.model = model
        self.symbols: Sequence[str] = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        self.initial_equity = initial_equity
        self.warmup_bars = warmup_bars
        self.history_bars = history_bars
        self.sectors = dict(sectors or {})
        self.venues = dict(venues or {})
        self.adopt_positions = adopt_positions
        # what it starts with does not matter: on_start resets it to the account's equity
        self.trading = TradingStrategy(config, 100_000.0 if initial_equity is None else initial_equity)
        self._lanes: dict[str, _Lane] = {}

    @property
    def config(self) -> StrategyConfig:
        """The configuration in force."""
        return self.trading.config

    def on_start(self, context: Context) -> None:
        """Begin a stage: the models and what they learnt go on, the book starts from this account."""
        equity = context.equity if self.initial_equity is None else self.initial_equity
        self.trading.reset(initial_equity=equity, keep_statistics=True)
        for lane in self._lanes.values():
            lane.started = False

    def on_bar(self, bar: Bar, context: Context) -> ExecutionDecision | None:
        """Predict and decide; None where there is nothing worth telling."""
        symbol = bar.symbol
        lane = self._lanes.get(symbol)
        if lane is None:
            if self.symbols and symbol not in self.symbols:
                return None
            lane = self._lanes[symbol] = self._new_lane()
        trading = self.trading
        if lane.history.count and bar.timestamp_ns <= lane.history.last_ns:
            if lane.started:
                return None  # seen before or too late: it would be learnt from twice, or backwards
            # a new stage that begins before the old one ended is another replay: nothing may be known of its future
            lane = self._lanes[symbol] = self._new_lane()
            trading.ledger.symbols.pop(symbol, None)
        history = lane.history
        history.append(bar)
        probability = self._predict(lane, bar)
        if self.adopt_positions and (trading.position(symbol) or not lane.started):
            self._believe(bar, context)
        lane.started = True
        if history.count <= self.warmup_bars and not trading.position(symbol):
            trading.observe(symbol, bar.close, bar.timestamp_ns, high=bar.high, low=bar.low)
            return None
        decision = trading.process_signal(
            symbol,
            probability,
            high=bar.high,
            low=bar.low,
            sector=self.sectors.get(symbol),
            venue=self.venues.get(symbol),
            returns_data=_AlignedReturns(self._lanes, {symbol, *trading.ledger.engaged})
            if len(self._lanes) > 1
            else None,
            current_price=bar.close,
            timestamp=bar.timestamp_ns,
        )
        if decision.action == HOLD and decision.metadata["code"] in _QUIET:
            return None
        return decision

    def record_execution(
        self,
        decision: ExecutionDecision,
        pnl: float,
        fees: float = 0.0,
        fill_price: float | None = None,
        quantity: float | None = None,
        timestamp: datetime | None = None,
    ) -> None:
        self.trading.record_execution(decision, pnl, fees, fill_price, quantity, timestamp)

    def decision_closed(self, decision: ExecutionDecision) -> None:
        self.trading.decision_closed(decision)

    def parameters(self) -> Mapping[str, Any]:
        return {
            "config": self.trading.parameters(),
            "model": self.model,
            "symbols": list(self.symbols),
            "initial_equity": self.initial_equity,
            "warmup_bars": self.warmup_bars,
            "history_bars": self.history_bars,
            "sectors": self.sectors,
            "venues": self.venues,
            "adopt_positions": self.adopt_positions,
        }

    def _new_lane(self) -> _Lane:
        # correlations need their own rows, whatever the model looks at
        bars = max(self.history_bars, self.config.portfolio.correlation_lookback + 1)
        return _Lane(History(bars), copy.deepcopy(self.model))

    def _predict(self, lane: _Lane, bar: Bar) -> float:
        answer = lane.model(lane.history)
        try:
            probability = float(answer)
        except (TypeError, ValueError):
            probability = -1.0
        if not 0.0 <= probability <= 1.0:
            name = getattr(self.model, "__name__", type(self.model).__name__)
            raise StrategyError(
                f"{bar.symbol}: model {name} returned {answer!r} at {from_ns(bar.timestamp_ns).isoformat()}; "
                "it must return a probability between 0 and 1 (0.5 while it does not know)"
            )
        return probability

    def _believe(self, bar: Bar, context: Context) -> None:
        """Take the engine's book over where ours differs and no order of ours explains it."""
        held, believed = context.position(bar.symbol), self.trading.position(bar.symbol)
        if abs(held - believed) <= 1e-9 * max(abs(held), abs(believed)):
            return
        if bar.symbol not in self.trading.pending_decisions():
            self.trading.restore_position(bar.symbol, held, bar.close, bar.timestamp_ns)


class _AlignedReturns:
    """Returns by symbol over the bars that all of them have; worked out only when an entry asks for them."""

    def __init__(self, lanes: Mapping[str, _Lane], symbols: Collection[str]) -> None:
        self._lanes = {name: lanes[name] for name in symbols if name in lanes}
        self._common: npt.NDArray[np.int64] | None = None

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._lanes

    def __getitem__(self, symbol: str) -> npt.NDArray[np.float64]:
        if self._common is None:
            self._common = reduce(np.intersect1d, (lane.history.timestamps for lane in self._lanes.values()))
        history = self._lanes[symbol].history
        closes = history.close[np.searchsorted(history.timestamps, self._common)]
        return np.diff(closes) / closes[:-1]
