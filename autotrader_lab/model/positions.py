"""Positions and profit as exact folds of fills.

Average-cost accounting in Decimal. For every position and at any mark
``realised + unrealised - fees`` equals cash flow plus holdings at the mark, exactly: rounding can only move value
between realised and open cost, never create it.

A fee taken in the base currency (buying 1 BTC delivers 0.999) shrinks what is held: it is booked as a fee worth its
amount at the fill's price, so that `quantity` is what the account really holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from autotrader_lab.model.instruments import Instrument, Instruments, Number, exact
from autotrader_lab.model.orders import Fill, OrderSide

__all__ = ["Booked", "Position", "Positions"]

_COST_STEP = Decimal("1e-12")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Booked:
    """What one fill did: realised P&L gross of fees, and the fee, both in quote currency."""

    realised: Decimal
    fee: Decimal
    quantity_before: Decimal
    quantity_after: Decimal


@dataclass(slots=True)
class Position:
    """What is held of one instrument, and what it earned.

    Attributes
    ----------
    quantity : Decimal
        Units, signed; net of fees taken in the base currency.
    open_cost : Decimal
        What the open quantity cost, quote currency, signed like the quantity.
    realised : Decimal
        Realised P&L, quote currency, before fees.
    fees : Decimal
        Fees in quote currency; fees in the base currency at the price of their fill.
    other_fees : dict of str to Decimal
        Fees in any third currency (BNB, say), not converted.
    """

    instrument: Instrument
    quantity: Decimal = _ZERO
    open_cost: Decimal = _ZERO
    realised: Decimal = _ZERO
    fees: Decimal = _ZERO
    other_fees: dict[str, Decimal] = field(default_factory=dict)
    bought: Decimal = _ZERO
    sold: Decimal = _ZERO
    round_trips: int = 0

    @property
    def average_price(self) -> Decimal:
        """Average entry price of what is open, quote currency; 0 when flat."""
        return self.open_cost / self.quantity / self.instrument.multiplier if self.quantity else _ZERO

    @property
    def is_flat(self) -> bool:
        """Whether less than one lot is held: what a base-currency fee left cannot be traded away."""
        return abs(self.quantity) < self.instrument.lot_size

    def unrealised(self, mark: Number) -> Decimal:
        """P&L of the open quantity at `mark` (quote currency)."""
        return self.quantity * exact(mark) * self.instrument.multiplier - self.open_cost

    def apply(self, fill: Fill) -> Booked:
        """Book one fill; the caller has made sure it is new."""
        price = exact(fill.price, "fill price")
        size = exact(fill.quantity, "fill quantity")
        signed = size * fill.side.sign
        before = self.quantity
        was_flat = self.is_flat
        if fill.side is OrderSide.BUY:
            self.bought += size
        else:
            self.sold += size
        realised = self._trade(signed, price)
        fee = exact(fill.commission, "commission")
        fee_value = _ZERO
        if fee and fill.fee_currency and fill.fee_currency == self.instrument.base:
            # Held less, worth it as a fee: as if the venue had sold it at this very price and kept the proceeds.
            fee_value = fee * price * self.instrument.multiplier
            realised += self._trade(-fee, price)
            self.fees += fee_value
        elif fee and fill.fee_currency in ("", self.instrument.quote):
            fee_value = fee
            self.fees += fee
        elif fee:
            self.other_fees[fill.fee_currency] = self.other_fees.get(fill.fee_currency, _ZERO) + fee
        if not was_flat and (self.is_flat or (before > 0) is not (self.quantity > 0)):
            self.round_trips += 1
        return Booked(realised, fee_value, before, self.quantity)

    def _trade(self, signed: Decimal, price: Decimal) -> Decimal:
        """Change the quantity by `signed` at `price`; returns what that realised."""
        unit = price * self.instrument.multiplier
        realised = _ZERO
        closing = _ZERO
        if self.quantity and (self.quantity > 0) is not (signed > 0):
            closing = -signed if abs(signed) <= abs(self.quantity) else self.quantity
            cost = (
                self.open_cost
                if closing == self.quantity
                else (self.open_cost * closing / self.quantity).quantize(_COST_STEP)
            )
            realised = closing * unit - cost
            self.realised += realised
            self.open_cost -= cost
        opening = signed + closing
        self.open_cost += opening * unit
        self.quantity += signed
        return realised


class Positions(Mapping[str, Position]):
    """All positions, keyed by universal symbol; a fold that takes each execution once.

    Parameters
    ----------
    instruments : Instruments, optional
        Where symbols are looked up; without it any symbol is guessed.
    """

    def __init__(self, instruments: Instruments | None = None) -> None:
        self._instruments = instruments if instruments is not None else Instruments(complete=False)
        self._positions: dict[str, Position] = {}
        self._seen: set[tuple[str, str, str]] = set()

    def use(self, instruments: Instruments) -> None:
        """Look symbols up in `instruments` from now on; open positions keep the instrument they were made with."""
        self._instruments = instruments

    def know(self, instrument: Instrument) -> None:
        """Take in an instrument, or its new grid; a position in it goes on with the new grid."""
        self._instruments.add(instrument)
        held = self._positions.get(instrument.symbol)
        if held is not None:
            held.instrument = instrument

    def apply(self, fill: Fill) -> Booked | None:
        """Book `fill`, or return None if its execution id was booked before."""
        key = (fill.venue, fill.symbol, fill.execution_id)
        if key in self._seen:
            return None
        booked = self.position(fill.symbol).apply(fill)
        self._seen.add(key)
        return booked

    def position(self, symbol: str) -> Position:
        """The position in `symbol`, flat if it was never traded.

        Raises
        ------
        InstrumentError
            If no such instrument is listed.
        """
        found = self._positions.get(symbol)
        if found is None:
            instrument = self._instruments.find(symbol)
            found = self._positions.setdefault(instrument.symbol, Position(instrument))
        return found

    def quantity(self, symbol: str) -> Decimal:
        """Units held, signed; 0 for what was never traded."""
        found = self._positions.get(symbol)
        return found.quantity if found is not None else _ZERO

    def __getitem__(self, symbol: str) -> Position:
        return self._positions[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)
