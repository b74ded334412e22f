"""Equity of a replay, worked out once at the end from the rows where the books changed.

Between two fills equity moves with the mark alone, so a value per row needs no work per row: for each symbol the
ledger keeps what every fill left (profit banked less cost of what is open, and quantity), and numpy does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from autotrader_lab.execution.book import Change, OrderBook
from autotrader_lab.journal.fold import Origin
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.orders import Fill, Filled
from autotrader_lab.model.positions import Booked
from autotrader_lab.research.data import MarketData

__all__ = ["Accounts", "Ledger"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Accounts:
    """A value for each row replayed, account currency; `holding` tells whether anything was held."""

    equity: FloatArray
    realised: FloatArray
    unrealised: FloatArray
    fees: FloatArray
    holding: npt.NDArray[np.bool_]


@dataclass(slots=True)
class _Steps:
    """What each fill left of one symbol, by the row it came in; floats, account currency."""

    rows: list[int] = field(default_factory=lambda: [0])
    realised: list[float] = field(default_factory=lambda: [0.0])
    fees: list[float] = field(default_factory=lambda: [0.0])
    open_cost: list[float] = field(default_factory=lambda: [0.0])
    quantity: list[float] = field(default_factory=lambda: [0.0])


class Ledger:
    """Fills with what they did, and the steps of the books.

    Parameters
    ----------
    book : OrderBook
        The books that the changes come from.
    data : MarketData
        What is replayed.
    session, stage : str
        Where the books are kept, for the frames.
    """

    def __init__(self, book: OrderBook, data: MarketData, session: str = "", stage: str = "") -> None:
        self.fills: list[Fill] = []
        self.booked: list[Booked] = []
        self.origins: list[Origin] = []
        self._book = book
        self._data = data
        self._place = (session, stage)
        self._steps: dict[str, _Steps] = {}
        self._marks_of: dict[str, FloatArray] = {}
        self._peak = book.starting_equity
        self._peak_row = 0

    def note(self, row: int, change: Change) -> None:
        """Take a change of the books that happened at `row`; all but fills are passed over."""
        if change.booked is None or not isinstance(change.report, Filled):
            return
        self.peak(row)
        fill = change.report.fill
        self.fills.append(fill)
        self.booked.append(change.booked)
        self.origins.append(Origin(0, to_ns(fill.timestamp), *self._place))
        position = self._book.positions[change.order.symbol]
        steps = self._steps.setdefault(change.order.symbol, _Steps())
        steps.rows.append(row)
        steps.realised.append(float(position.realised))
        steps.fees.append(float(position.fees))
        steps.open_cost.append(float(position.open_cost))
        # Times the multiplier: what a move of the mark by one is worth.
        steps.quantity.append(float(position.quantity * position.instrument.multiplier))

    def peak(self, until: int) -> float:
        """The highest equity after any row before `until`; to be asked with rows that never fall."""
        if until > self._peak_row:
            rest, moving = self._book.starting_equity, []
            for symbol, steps in self._steps.items():
                rest += steps.realised[-1] - steps.fees[-1] - steps.open_cost[-1]
                if steps.quantity[-1]:
                    moving.append(steps.quantity[-1] * self._marks(symbol)[self._peak_row : until])
            self._peak = max(self._peak, rest + (float(np.sum(moving, axis=0).max()) if moving else 0.0))
            self._peak_row = until
        return self._peak

    def _marks(self, symbol: str) -> FloatArray:
        if symbol not in self._marks_of:
            number = self._data.symbols.index(symbol)
            self._marks_of[symbol] = _marks(self._data, number, len(self._data))
        return self._marks_of[symbol]

    def order_origins(self) -> dict[str, Origin]:
        """Where each order of the books comes from."""
        return {
            key: Origin(0, to_ns(order.created_at) if order.created_at is not None else 0, *self._place)
            for key, order in self._book.orders.items()
        }

    def accounts(self, rows: int) -> Accounts:
        """The accounts after each of the first `rows` rows."""
        data = self._data
        realised, unrealised, fees = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        holding = np.zeros(rows, dtype=np.bool_)
        for number, symbol in enumerate(data.symbols):
            steps = self._steps.get(symbol)
            if steps is None:
                continue
            lasting = np.diff(np.append(np.minimum(steps.rows, rows), rows))
            quantity = np.repeat(steps.quantity, lasting)
            realised += np.repeat(steps.realised, lasting)
            fees += np.repeat(steps.fees, lasting)
            unrealised += quantity * _marks(data, number, rows) - np.repeat(steps.open_cost, lasting)
            holding |= quantity != 0
        equity = self._book.starting_equity + realised + unrealised - fees
        return Accounts(equity, realised, unrealised, fees, holding)


def _marks(data: MarketData, number: int, rows: int) -> FloatArray:
    """The last known mark of a symbol at each row; 0 before there is one."""
    marks = data.marks()[:rows]
    if len(data.symbols) == 1:
        return marks
    own = np.flatnonzero(data.symbol_rows[:rows] == number)
    if not len(own):
        return np.zeros(rows)
    newest = np.searchsorted(own, np.arange(rows), side="right") - 1
    return np.where(newest >= 0, marks[own[np.maximum(newest, 0)]], 0.0)
