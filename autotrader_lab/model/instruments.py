"""What may be traded, and the grid its prices and quantities live on.

Decimal is exact and used for every rule here; floats are welcome at the researcher's face. A float converts
through its shortest repr, which for the up to 15 significant digits of a venue's grid is the number a person meant.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Literal

from autotrader_lab.model.errors import InstrumentError

__all__ = ["Instrument", "Instruments", "Number", "exact", "plain_text"]

Number = float | int | str | Decimal


def exact(value: Number, what: str = "value") -> Decimal:
    """A number as the Decimal a person would write for it.

    Raises
    ------
    InstrumentError
        If `value` is NaN, infinite or no number; `what` names it.
    """
    if type(value) is float:
        try:
            return _of_float(value)
        except ValueError:
            raise InstrumentError(f"{what} {value!r} is not finite: give a plain number") from None
    if isinstance(value, Decimal):
        result = value
    else:
        try:
            # float() first: numpy scalars have a repr of their own.
            result = Decimal(value if isinstance(value, (int, str)) else repr(float(value)))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise InstrumentError(f"{what} {value!r} is not a number") from error
    if not result.is_finite():
        raise InstrumentError(f"{what} {value!r} is not finite: give a plain number")
    return result


@lru_cache(maxsize=4096)
def _of_float(value: float) -> Decimal:
    """An order's price and quantity are asked for again and again on its way."""
    if not math.isfinite(value):
        raise ValueError(value)
    return Decimal(repr(value))


def plain_text(value: Decimal) -> str:
    """A number as venues and people take it: plain digits, no exponent, no trailing zeros."""
    return f"{value.normalize():f}"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable thing at one venue.

    Attributes
    ----------
    symbol : str
        Universal symbol: ``BTC/USDT``, ``EUR/USD``, ``AAPL``.
    tick_size, lot_size : Decimal
        Steps of price (quote currency) and quantity (units of the instrument).
    venue, venue_symbol : str
        Who lists it and under which name (``BTCUSDT``).
    base, quote : str
        Currencies; `base` is empty for anything that is not an exchange of two currencies.
    min_quantity, max_quantity : Decimal, Decimal or None
        Limits of one order, units.
    min_notional, max_notional : Decimal, Decimal or None
        Limits of one order, quote currency.
    multiplier : Decimal
        Quote currency per unit and point (50 for the ES future).
    can_short : bool
        Whether more may be sold than is held; false on a spot account.
    """

    symbol: str
    tick_size: Decimal = Decimal("0.00000001")
    lot_size: Decimal = Decimal("0.00000001")
    venue: str = ""
    venue_symbol: str = ""
    base: str = ""
    quote: str = "USD"
    min_quantity: Decimal = Decimal(0)
    max_quantity: Decimal | None = None
    min_notional: Decimal = Decimal(0)
    max_notional: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    can_short: bool = True

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size", "multiplier"):
            if getattr(self, name) <= 0:
                raise InstrumentError(f"{self.symbol}: {name} {getattr(self, name)} must be positive")

    @classmethod
    def guess(cls, symbol: str, venue: str = "") -> Instrument:
        """An instrument for a symbol nobody described: currencies from the name, the finest grid.

        Paper trading and replay use it where no venue tells the grid.
        """
        base, slash, quote = symbol.partition("/")
        if not slash:
            return cls(symbol=symbol, venue=venue, venue_symbol=symbol)
        return cls(symbol=symbol, venue=venue, venue_symbol=base + quote, base=base, quote=quote)

    def round_quantity(self, quantity: Number) -> Decimal:
        """`quantity` cut to whole lots, towards zero."""
        lots = exact(quantity, f"{self.symbol} quantity") / self.lot_size
        return lots.to_integral_value(ROUND_DOWN) * self.lot_size

    def round_price(self, price: Number, towards: Literal["nearest", "down", "up"] = "nearest") -> Decimal:
        """`price` on the tick grid; a buyer who must not pay more rounds down, a seller up."""
        rounding = {"nearest": ROUND_HALF_EVEN, "down": ROUND_FLOOR, "up": ROUND_CEILING}[towards]
        return (exact(price, f"{self.symbol} price") / self.tick_size).to_integral_value(rounding) * self.tick_size

    def on_price_grid(self, price: Number) -> bool:
        """Whether `price` is a whole number of ticks."""
        return exact(price, f"{self.symbol} price") % self.tick_size == 0

    def on_quantity_grid(self, quantity: Number) -> bool:
        """Whether `quantity` is a whole number of lots."""
        return exact(quantity, f"{self.symbol} quantity") % self.lot_size == 0

    def check_price(self, price: Number, what: str = "price") -> Decimal:
        """`price` as an exact number on the grid.

        Raises
        ------
        InstrumentError
            If it is not positive or not on the grid; the message names the two nearest prices.
        """
        value = exact(price, f"{self.symbol} {what}")
        if value <= 0:
            raise InstrumentError(f"{self.symbol}: {what} {price} must be positive")
        if value % self.tick_size:
            low, high = self.round_price(value, "down"), self.round_price(value, "up")
            raise InstrumentError(
                f"{self.symbol}: {what} {price} is off the grid of {self.tick_size}; nearest are {low} and {high} "
                f"(instrument.round_price({price}) picks one)"
            )
        return value

    def whole_lots(self, quantity: Number, what: str = "quantity") -> Decimal:
        """`quantity` as an exact number on the grid, however little or much.

        Raises
        ------
        InstrumentError
            If it is not; the message names the two nearest quantities.
        """
        value = exact(quantity, f"{self.symbol} {what}")
        if not self.on_quantity_grid(value):
            low = self.round_quantity(value)
            raise InstrumentError(
                f"{self.symbol}: {what} {quantity} is off the grid of {self.lot_size}; nearest are {low} and "
                f"{low + self.lot_size} (instrument.round_quantity({quantity}) cuts it)"
            )
        return value

    def check_quantity(self, quantity: Number, what: str = "quantity", most: Decimal | None = None) -> Decimal:
        """`quantity` as an exact number of whole lots within the limits of one order.

        Parameters
        ----------
        quantity : number
            Units.
        what : str
            Names it in the message.
        most : Decimal, optional
            A limit for this kind of order, besides the instrument's own.

        Raises
        ------
        InstrumentError
            If it is not; the message names the limit, or the two nearest quantities.
        """
        value = self.whole_lots(quantity, what)
        if value < self.min_quantity:
            raise InstrumentError(f"{self.symbol}: {what} {quantity} is below the least of {self.min_quantity}")
        limit = min((each for each in (most, self.max_quantity) if each), default=None)
        if limit is not None and value > limit:
            raise InstrumentError(
                f"{self.symbol}: {what} {quantity} is over the most of {plain_text(limit)}; split the order"
            )
        return value

    def check_notional(self, quantity: Number, price: Number) -> Decimal:
        """What `quantity` at `price` is worth, quote currency, within the limits of one order.

        Raises
        ------
        InstrumentError
            If it is not; the message names the limit.
        """
        worth = self.notional(quantity, price)
        told = f"{self.symbol}: {quantity} at {price} is worth {plain_text(worth)} {self.quote}"
        if worth < self.min_notional:
            raise InstrumentError(f"{told}, below the least of {plain_text(self.min_notional)}")
        if self.max_notional and worth > self.max_notional:
            raise InstrumentError(f"{told}, over the most of {plain_text(self.max_notional)}")
        return worth

    def notional(self, quantity: Number, price: Number) -> Decimal:
        """What `quantity` at `price` is worth, quote currency, unsigned."""
        return abs(exact(quantity) * exact(price)) * self.multiplier


class Instruments(Mapping[str, Instrument]):
    """What a venue lists, found by universal symbol or by the venue's own name.

    Parameters
    ----------
    listed : iterable of Instrument
    venue : str
        For error messages.
    complete : bool, default True
        False: a symbol nobody listed is guessed instead of refused (paper trading without a venue).
    """

    def __init__(self, listed: Iterable[Instrument] = (), venue: str = "", complete: bool = True) -> None:
        self.venue = venue
        self._complete = complete
        self._by_symbol: dict[str, Instrument] = {}
        self._by_venue_symbol: dict[str, Instrument] = {}
        for instrument in listed:
            self.add(instrument)

    def add(self, instrument: Instrument) -> None:
        """List one more, or list it anew."""
        self._by_symbol[instrument.symbol] = instrument
        self._by_venue_symbol.setdefault(instrument.venue_symbol or instrument.symbol, instrument)

    def find(self, symbol: str) -> Instrument:
        """The instrument of a universal symbol or a venue's own (``BTC/USDT`` or ``BTCUSDT``).

        Raises
        ------
        InstrumentError
            If the venue lacks it; the message names the nearest symbols.
        """
        found = self._by_symbol.get(symbol) or self._by_venue_symbol.get(symbol)
        if found is not None:
            return found
        if not self._complete and symbol:
            guessed = Instrument.guess(symbol, self.venue)
            self.add(guessed)
            return guessed
        near = difflib.get_close_matches(symbol, self._by_symbol, 3, 0.5) or list(self._by_symbol)[:3]
        hint = f"; did you mean {', '.join(near)}?" if near else "; it lists nothing: connect first"
        raise InstrumentError(f"{self.venue or 'this venue'} has no symbol {symbol!r}{hint}")

    def __getitem__(self, symbol: str) -> Instrument:
        try:
            return self.find(symbol)
        except InstrumentError as error:
            raise KeyError(symbol) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_symbol)

    def __len__(self) -> int:
        return len(self._by_symbol)


def is_number(value: object) -> bool:
    """Whether `value` is a finite number (bools are not)."""
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and math.isfinite(value)
