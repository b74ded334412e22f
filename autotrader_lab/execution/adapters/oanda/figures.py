"""What Oanda says of the account and the market, as values: plain functions from JSON, tested on recorded messages."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.oanda.values import (
    VENUE,
    decimal,
    identifier,
    items,
    number_of,
    record,
    time_ns,
    word,
)
from autotrader_lab.model.errors import DataError, InstrumentError
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.market import Bar, Quote

__all__ = [
    "AccountState",
    "decode_account",
    "decode_bars",
    "decode_instrument",
    "decode_positions",
    "decode_quote",
    "granularity_ns",
    "universal",
]

_ZERO = Decimal(0)
_LENGTHS_S = {"S": 1, "M": 60, "H": 3_600}
_WHOLE_S = {"D": 86_400, "W": 604_800, "M": 2_678_400}


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """An account's summary; money in its home currency."""

    account: str
    currency: str
    balance: Decimal
    nav: Decimal
    unrealised: Decimal
    realised: Decimal
    financing: Decimal
    commission: Decimal
    margin_used: Decimal
    margin_available: Decimal
    hedging: bool
    last_id: str
    created_ns: int


def universal(name: str) -> str:
    """``EUR/USD`` for ``EUR_USD``."""
    return name.replace("_", "/")


def decode_instrument(body: object) -> tuple[Instrument, Decimal]:
    """An instrument, and its margin rate.

    Raises
    ------
    DataError
        If it lacks what its grid is made of.
    """
    row = record(body, "an instrument")
    name, kind = word(row, "name"), word(row, "type", "CURRENCY")
    digits, unit_digits = decimal(row, "displayPrecision"), decimal(row, "tradeUnitsPrecision", _ZERO)
    if not 0 <= digits <= 12 or not 0 <= unit_digits <= 12:
        raise DataError(f"{VENUE}: {name} has {digits} price digits and {unit_digits} unit digits")
    base, line, quote = name.rpartition("_")
    most = decimal(row, "maximumOrderUnits", _ZERO)
    try:
        instrument = Instrument(
            symbol=universal(name),
            tick_size=Decimal(1).scaleb(-int(digits)),
            lot_size=Decimal(1).scaleb(-int(unit_digits)),
            venue=VENUE,
            venue_symbol=name,
            base=base if line and kind != "CFD" else "",
            quote=quote,
            min_quantity=decimal(row, "minimumTradeSize", _ZERO),
            max_quantity=most if most > 0 else None,
        )
    except InstrumentError as error:
        raise DataError(f"{VENUE}: {error}") from error
    return instrument, decimal(row, "marginRate", _ZERO)


def decode_account(body: object) -> AccountState:
    """The ``account`` of a summary.

    Raises
    ------
    DataError
        If id, currency, balance or last transaction are missing.
    """
    row = record(record(body, "the summary").get("account"), "the account")
    balance = decimal(row, "balance")
    return AccountState(
        account=identifier(row, "id"),
        currency=word(row, "currency"),
        balance=balance,
        nav=decimal(row, "NAV", balance),
        unrealised=decimal(row, "unrealizedPL", _ZERO),
        realised=decimal(row, "pl", _ZERO),
        financing=decimal(row, "financing", _ZERO),
        commission=decimal(row, "commission", _ZERO),
        margin_used=decimal(row, "marginUsed", _ZERO),
        margin_available=decimal(row, "marginAvailable", _ZERO),
        hedging=row.get("hedgingEnabled") is True,
        last_id=identifier(row, "lastTransactionID"),
        created_ns=time_ns(row, "createdTime"),
    )


def decode_positions(body: object) -> dict[str, Decimal]:
    """Net units by the venue's symbol.

    Raises
    ------
    DataError
        If a side's units are missing.
    """
    net: dict[str, Decimal] = {}
    for row in items(body, "positions"):
        sides = (decimal(record(row.get(side), f"the {side} side"), "units") for side in ("long", "short"))
        net[word(row, "instrument")] = sum(sides, _ZERO)
    return net


def decode_quote(body: object) -> tuple[str, Quote | None]:
    """A price's symbol, and its best bid and ask; None where it cannot be traded on now, or one side is missing.

    Raises
    ------
    DataError
        If a price in it is no price.
    """
    row = record(body, "a price")
    symbol = universal(word(row, "instrument"))
    at_ns = time_ns(row, "time")
    is_tradeable = row.get("tradeable", row.get("status", "tradeable") == "tradeable")
    bids, asks = (items(row, side) if row.get(side) is not None else [] for side in ("bids", "asks"))
    if is_tradeable is not True or not bids or not asks:
        return symbol, None
    bid, bid_size = _bucket(bids[0], symbol)
    ask, ask_size = _bucket(asks[0], symbol)
    if bid > ask:
        raise DataError(f"{VENUE}: {symbol} is quoted {bid} bid above {ask} asked")
    return symbol, Quote(symbol, at_ns, bid, ask, bid_size, ask_size)


def _bucket(row: Mapping[str, Any], symbol: str) -> tuple[float, float]:
    price = decimal(row, "price")
    if price <= 0:
        raise DataError(f"{VENUE}: {symbol} is quoted at {price}")
    return float(price), float(decimal(row, "liquidity", _ZERO))


def decode_bars(body: object) -> list[Bar]:
    """Finished candles of the middle price, oldest first, each known at its end.

    Raises
    ------
    DataError
        If a price is missing, or the granularity is unknown.
    """
    row = record(body, "the candles")
    symbol, length_ns = universal(word(row, "instrument")), granularity_ns(word(row, "granularity"))
    bars = []
    for candle in items(row, "candles"):
        if candle.get("complete") is not True:
            continue
        mid = record(candle.get("mid"), "a candle's middle price")
        o, h, l, c = (float(decimal(mid, letter)) for letter in "ohlc")  # noqa: E741 - as the venue calls them
        volume = float(decimal(candle, "volume", _ZERO))
        bars.append(Bar(symbol, time_ns(candle, "time") + length_ns, o, h, l, c, volume))
    return bars


def granularity_ns(name: str) -> int:
    """How long a candle of this granularity lasts; a month counts as 31 days.

    Raises
    ------
    DataError
        If Oanda has none of that name.
    """
    letter, number = name[:1], name[1:]
    if letter in _LENGTHS_S and number_of(number) and len(number) <= 2:
        return int(number) * _LENGTHS_S[letter] * 1_000_000_000
    if name in _WHOLE_S:
        return _WHOLE_S[name] * 1_000_000_000
    raise DataError(f"{VENUE}: granularity {name[:20]!r} is none of S5 … S30, M1 … M30, H1 … H12, D, W, M")
