"""Why the real book and the shadow paper book, given the same decisions, are not worth the same.

The difference at a common mark is split into what the market did while the order travelled (latency), what crossing
cost (spread), what came after the best price (queue: depth, priority, improvement), fees, rounding to the grid, and
fills that one book has and the other has not. Fractions inside: the parts sum to the difference exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import pandas as pd

from autotrader_lab.model.errors import DataError
from autotrader_lab.model.instruments import Instrument, Instruments, Number, exact
from autotrader_lab.model.orders import Fill, OrderSide

__all__ = ["PARTS", "Comparison", "Parity", "ParityRow", "Touch", "parity"]

PARTS = ("latency", "spread", "queue", "fees", "rounding", "missed_fills")
_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Touch:
    """Best bid and ask when an order reached its market, quote currency."""

    bid: Number
    ask: Number


@dataclass(frozen=True, slots=True)
class Comparison:
    """One decision and what either book made of it.

    Attributes
    ----------
    decision_id, symbol, side
        What was decided.
    decision_price : number
        Middle of the market when it was decided, quote currency.
    real_quantity, shadow_quantity : number
        Units ordered, after rounding to each book's grid; 0 where nothing was sent.
    real_orders, shadow_orders : tuple of str
        Client ids of the orders, by which fills are found.
    real_touch, shadow_touch : Touch or None
        The market each order met. Unless both are known, latency and spread stay inside `queue`.
    """

    decision_id: str
    symbol: str
    side: OrderSide
    decision_price: Number
    real_quantity: Number
    shadow_quantity: Number
    real_orders: tuple[str, ...] = ()
    shadow_orders: tuple[str, ...] = ()
    real_touch: Touch | None = None
    shadow_touch: Touch | None = None


@dataclass(frozen=True, slots=True)
class ParityRow:
    """Real minus shadow for one decision, quote currency, exact; positive where the real book did better."""

    decision_id: str
    symbol: str
    total: Fraction
    latency: Fraction
    spread: Fraction
    queue: Fraction
    fees: Fraction
    rounding: Fraction
    missed_fills: Fraction


@dataclass(frozen=True, slots=True)
class Parity:
    """The report.

    Attributes
    ----------
    rows : tuple of ParityRow
        One per decision.
    other_fees : dict of str to Fraction
        Real minus shadow fees in third currencies, not converted and not in the rows.
    unmatched : tuple of Fill
        Fills of orders that belong to none of the decisions.
    """

    rows: tuple[ParityRow, ...]
    other_fees: dict[str, Fraction] = field(default_factory=dict)
    unmatched: tuple[Fill, ...] = ()

    @property
    def total(self) -> Fraction:
        """Real minus shadow over all decisions, quote currency."""
        return sum((row.total for row in self.rows), _ZERO)

    @property
    def parts(self) -> dict[str, float]:
        """The difference split, quote currency."""
        return {name: float(sum((getattr(row, name) for row in self.rows), _ZERO)) for name in PARTS}

    def to_frame(self) -> pd.DataFrame:
        """One row per decision, indexed by `decision_id`: symbol, total and parts in quote currency."""
        names = ("total", *PARTS)
        data = {
            "decision_id": pd.Series([row.decision_id for row in self.rows], dtype="object"),
            "symbol": pd.Series([row.symbol for row in self.rows], dtype="object"),
            **{name: pd.Series([float(getattr(row, name)) for row in self.rows], dtype="float64") for name in names},
        }
        return pd.DataFrame(data).set_index("decision_id")


@dataclass(slots=True)
class _Side:
    """What one book did for one decision."""

    quantity: Fraction = _ZERO
    cost: Fraction = _ZERO
    fees: Fraction = _ZERO
    other_fees: dict[str, Fraction] = field(default_factory=dict)


def parity(
    comparisons: Iterable[Comparison],
    real: Iterable[Fill],
    shadow: Iterable[Fill],
    marks: Mapping[str, Number],
    instruments: Instruments | None = None,
) -> Parity:
    """Split the difference between two books that were given the same decisions.

    Parameters
    ----------
    comparisons : iterable of Comparison
    real, shadow : iterable of Fill
        Repeated executions count once.
    marks : mapping of str to number
        The price each symbol is valued at in both books, quote currency.
    instruments : Instruments, optional
        Multipliers and currencies; without it symbols are guessed.

    Raises
    ------
    DataError
        If a symbol has no mark, or a fill goes the other way than its decision.
    """
    listed = instruments if instruments is not None else Instruments(complete=False)
    real_fills, shadow_fills = _by_order(real), _by_order(shadow)
    rows: list[ParityRow] = []
    other_fees: dict[str, Fraction] = {}
    for item in comparisons:
        if item.symbol not in marks:
            raise DataError(f"parity of decision {item.decision_id}: no mark for {item.symbol}; give its last price")
        instrument = listed.find(item.symbol)
        mark = _fraction(marks[item.symbol])
        done = _side(item, item.real_orders, real_fills, instrument, mark)
        ideal = _side(item, item.shadow_orders, shadow_fills, instrument, mark)
        for sign, book in ((1, done), (-1, ideal)):
            for currency, fee in book.other_fees.items():
                other_fees[currency] = other_fees.get(currency, _ZERO) + sign * fee
        rows.append(_split(item, done, ideal, mark, item.side.sign * Fraction(instrument.multiplier)))
    unmatched = tuple(fill for fills in (real_fills, shadow_fills) for group in fills.values() for fill in group)
    return Parity(tuple(rows), other_fees, unmatched)


def _split(item: Comparison, done: _Side, ideal: _Side, mark: Fraction, unit: Fraction) -> ParityRow:
    """`unit` is what one point on one unit is worth to the decision's side, signed."""
    decided = _fraction(item.decision_price)
    # What the shadow paid is the measure; where it has no fill, the price the decision was made at.
    measure = ideal.cost / ideal.quantity if ideal.quantity else decided
    real_mid = real_touch = shadow_mid = shadow_touch = decided
    if item.real_touch is not None and item.shadow_touch is not None:
        real_mid, real_touch = _prices(item.real_touch, item.side)
        shadow_mid, shadow_touch = _prices(item.shadow_touch, item.side)
    ordered, ideally_ordered = _fraction(item.real_quantity), _fraction(item.shadow_quantity)
    unfilled = (done.quantity - ordered) - (ideal.quantity - ideally_ordered)
    return ParityRow(
        decision_id=item.decision_id,
        symbol=item.symbol,
        total=_value(done, mark, unit) - _value(ideal, mark, unit),
        latency=-unit * done.quantity * (real_mid - shadow_mid),
        spread=-unit * done.quantity * ((real_touch - real_mid) - (shadow_touch - shadow_mid)),
        queue=-unit * ((done.cost - done.quantity * real_touch) - done.quantity * (measure - shadow_touch)),
        fees=ideal.fees - done.fees,
        rounding=unit * (ordered - ideally_ordered) * (mark - measure),
        missed_fills=unit * unfilled * (mark - measure),
    )


def _value(book: _Side, mark: Fraction, unit: Fraction) -> Fraction:
    return unit * (book.quantity * mark - book.cost) - book.fees


def _side(
    item: Comparison, orders: tuple[str, ...], fills: dict[str, list[Fill]], instrument: Instrument, mark: Fraction
) -> _Side:
    book = _Side()
    for fill in (fill for order in orders for fill in fills.pop(order, ())):
        if fill.side is not item.side:
            raise DataError(
                f"parity of decision {item.decision_id}: execution {fill.execution_id} is a {fill.side.value}, "
                f"the decision a {item.side.value}; name the orders of this decision only"
            )
        quantity, fee = _fraction(fill.quantity), _fraction(fill.commission)
        book.quantity += quantity
        book.cost += quantity * _fraction(fill.price)
        if fill.fee_currency in ("", instrument.quote):
            book.fees += fee
        elif fill.fee_currency == instrument.base:
            # taken out of what is held: it is missing at the mark
            book.fees += fee * mark * Fraction(instrument.multiplier)
        else:
            book.other_fees[fill.fee_currency] = book.other_fees.get(fill.fee_currency, _ZERO) + fee
    return book


def _by_order(fills: Iterable[Fill]) -> dict[str, list[Fill]]:
    found: dict[str, list[Fill]] = {}
    seen: set[tuple[str, str, str]] = set()
    for fill in fills:
        key = (fill.venue, fill.symbol, fill.execution_id)
        if key not in seen:
            seen.add(key)
            found.setdefault(fill.client_order_id, []).append(fill)
    return found


def _prices(touch: Touch, side: OrderSide) -> tuple[Fraction, Fraction]:
    """Middle of the market, and the price that `side` takes."""
    bid, ask = _fraction(touch.bid), _fraction(touch.ask)
    return (bid + ask) / 2, ask if side is OrderSide.BUY else bid


def _fraction(value: Number) -> Fraction:
    return Fraction(exact(value))
