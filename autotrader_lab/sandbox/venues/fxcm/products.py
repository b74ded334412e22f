"""What the sandbox's FXCM trades, and the facts of each that its security list tells."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autotrader_lab.sandbox.orders import Instrument
from autotrader_lab.sandbox.units import ONE, parse_e8, trim_e8

__all__ = ["LOT", "PRODUCTS", "Product"]

LOT = 1000
"""Smallest quantity, and step, of a currency pair: a micro lot."""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument as FXCM lists it; `kind` is 1 forex, 2 index, 5 bullion; distances are in pips."""

    instrument: Instrument
    name: str
    number: int
    kind: int
    digits: int
    pip: str
    contract: int = 1
    stop_distance: str = "0"

    @property
    def currency(self) -> str:
        """Tag 15: the base of a pair, else what it is traded in."""
        return self.instrument.base if "/" in self.name else self.instrument.quote

    @property
    def smallest(self) -> int:
        """Smallest quantity, units."""
        return self.instrument.min_quantity // ONE

    def text(self, price: int) -> str:
        """A price as FXCM prints it."""
        return trim_e8(price)


def _product(
    name: str, number: int, start: str, digits: int, *, volatility: float = 0.08, kind: int = 1, size: str = "700000"
) -> Product:
    base, slash, quote = name.partition("/")
    smallest = LOT if kind == 1 else 1
    instrument = Instrument(
        symbol=base + quote,
        base=base,
        quote=quote if slash else "USD",
        tick=ONE // 10**digits,
        step=smallest * ONE,
        min_price=ONE // 10**digits,
        max_price=parse_e8("1000000"),
        min_quantity=smallest * ONE,
        max_quantity=parse_e8("50000000"),
        max_market_quantity=parse_e8("50000000"),
        min_notional=0,
        max_notional=parse_e8("1000000000000"),
        start_price=parse_e8(start),
        typical_size=parse_e8(size),
        margin_rate=parse_e8("0.0333" if kind == 1 else "0.05"),
        volatility=volatility,
        stops_by_quote=True,
    )
    pip = trim_e8(10 * instrument.tick)
    distance = "2" if kind == 2 else "0"
    return Product(
        instrument=instrument, name=name, number=number, kind=kind, digits=digits, pip=pip, stop_distance=distance
    )


PRODUCTS: Mapping[str, Product] = {
    product.name: product
    for product in (
        _product("EUR/USD", 1, "1.10000", 5),
        _product("USD/JPY", 2, "150.000", 3, volatility=0.1),
        _product("GBP/USD", 3, "1.27000", 5, volatility=0.09),
        _product("AUD/USD", 6, "0.66000", 5, volatility=0.1),
        _product("EUR/JPY", 10, "165.000", 3, volatility=0.1),
        _product("XAU/USD", 4001, "2400.00", 2, volatility=0.15, kind=5, size="500"),
        _product("SPX500", 1010, "5500.00", 2, volatility=0.15, kind=2, size="200"),
    )
}
