"""What Oanda quotes in the sandbox, and how its numbers are printed."""

from __future__ import annotations

from typing import Any

import msgspec

from autotrader_lab.sandbox.orders import Instrument
from autotrader_lab.sandbox.units import ONE, parse_e8, text_e8, trim_e8

__all__ = ["CATALOGUE", "HOME", "Pair", "money", "percent", "units_text"]

HOME = "USD"


class Pair(msgspec.Struct, frozen=True):
    """A currency pair."""

    instrument: Instrument
    digits: int
    pip: int

    @property
    def name(self) -> str:
        """EUR_USD."""
        return self.instrument.symbol

    def price(self, value: int) -> str:
        """A price (e8) with the pair's digits, rounded half up."""
        unit = 10 ** (8 - self.digits)
        return text_e8((value + unit // 2) // unit * unit)[: self.digits - 8]

    def json(self, margin_rate: int) -> dict[str, Any]:
        """The instrument as ``/instruments`` lists it."""
        base, quote = self.instrument.base, self.instrument.quote
        pip = 10 ** (8 + self.pip)
        return {
            "name": self.name,
            "type": "CURRENCY",
            "displayName": f"{base}/{quote}",
            "pipLocation": self.pip,
            "displayPrecision": self.digits,
            "tradeUnitsPrecision": 0,
            "minimumTradeSize": "1",
            "maximumTrailingStopDistance": self.price(pip * 10_000),
            "minimumTrailingStopDistance": self.price(pip * 5),
            "maximumPositionSize": "0",
            "maximumOrderUnits": units_text(self.instrument.max_quantity),
            "marginRate": trim_e8(margin_rate),
            "guaranteedStopLossOrderMode": "DISABLED",
            "tags": [
                {"type": "ASSET_CLASS", "name": "CURRENCY"},
                {"type": "KID_ASSET_CLASS", "name": "FX"},
                {"type": "BRAIN_ASSET_CLASS", "name": "FX"},
            ],
            "financing": {
                "longRate": "0",
                "shortRate": "0",
                "financingDaysOfWeek": [
                    {"dayOfWeek": day, "daysCharged": 3 if day == "WEDNESDAY" else int(not day.startswith("S"))}
                    for day in ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
                ],
            },
        }


def money(amount: int) -> str:
    """Home currency (e8) with four places, rounded half up."""
    sign = "-" if amount < 0 else ""
    unit = ONE // 10_000
    rounded = (abs(amount) + unit // 2) // unit * unit
    return ("" if not rounded else sign) + text_e8(rounded)[:-4]


def percent(part: int, whole: int) -> str:
    """A ratio with five places; 0 where there is nothing to compare with."""
    return text_e8(part * ONE // whole)[:-3] if whole > 0 else "0.00000"


def units_text(units: int) -> str:
    """Signed whole units (e8)."""
    return str(units // ONE) if units >= 0 else str(-(-units // ONE))


def _pair(name: str, digits: int, start: str, volatility: float, margin: str) -> Pair:
    base, _, quote = name.partition("_")
    tick = 10 ** (8 - digits)
    instrument = Instrument(
        symbol=name,
        base=base,
        quote=quote,
        tick=tick,
        step=ONE,
        min_price=tick,
        min_quantity=ONE,
        max_quantity=parse_e8("100000000"),
        max_market_quantity=parse_e8("100000000"),
        start_price=parse_e8(start),
        typical_size=parse_e8("2500000"),
        volatility=volatility,
        margin_rate=parse_e8(margin),
        stops_by_quote=True,
    )
    return Pair(instrument, digits, 1 - digits)


CATALOGUE = {
    pair.name: pair
    for pair in (
        _pair("EUR_USD", 5, "1.1", 0.08, "0.02"),
        _pair("USD_JPY", 3, "150", 0.10, "0.02"),
        _pair("GBP_USD", 5, "1.27", 0.09, "0.02"),
    )
}
