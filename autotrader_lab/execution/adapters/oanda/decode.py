"""What Oanda's messages say, as values: plain functions from JSON, tested on recorded messages.

Everything about an order is told by transactions: one makes it, one fills it, one ends it. Oanda knows no partly filled
order; what a fill leaves of one is over with it.
"""

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
    record,
    time_ns,
    word,
)
from autotrader_lab.model.errors import DataError, InstrumentError
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.market import Bar, Quote
from autotrader_lab.model.orders import OrderSide, OrderType

__all__ = [
    "VENUE",
    "AccountState",
    "Created",
    "Ended",
    "Executed",
    "Other",
    "Refusal",
    "Ticket",
    "Transaction",
    "decode_account",
    "decode_bars",
    "decode_instrument",
    "decode_positions",
    "decode_quote",
    "decode_ticket",
    "decode_transaction",
    "universal",
]

_ZERO = Decimal(0)
_TYPES = {
    "MARKET": OrderType.MARKET,
    "FIXED_PRICE": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "STOP": OrderType.STOP,
    "MARKET_IF_TOUCHED": OrderType.STOP,
}
_ATTACHED = frozenset({"TAKE_PROFIT", "STOP_LOSS", "GUARANTEED_STOP_LOSS", "TRAILING_STOP_LOSS"})
_TIMES = {"GTC": "GTC", "GTD": "GTC", "GFD": "DAY", "FOK": "FOK", "IOC": "IOC"}
_LENGTHS_S = {"S": 1, "M": 60, "H": 3_600}
_WHOLE_S = {"D": 86_400, "W": 604_800, "M": 2_678_400}


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """An order came to be; its id is the transaction's."""

    id: str
    timestamp_ns: int
    client_id: str
    instrument: str
    units: Decimal
    price: Decimal
    replaces: str = ""

    @property
    def order_id(self) -> str:
        """The order's id."""
        return self.id


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """An order was filled, with all there will be of it.

    Attributes
    ----------
    units : Decimal
        Signed.
    requested : Decimal
        What was asked for, signed; `units` where it is not told.
    price : Decimal
        Average, rounded to the instrument's digits; `vwap` is not.
    fee : Decimal
        Commission and the fee for a guaranteed execution; home currency.
    profit, financing, half_spread : Decimal
        Realised, charged for holding, and already in the price; home currency.
    """

    id: str
    timestamp_ns: int
    order_id: str
    client_id: str
    instrument: str
    units: Decimal
    requested: Decimal
    price: Decimal
    vwap: Decimal
    fee: Decimal
    profit: Decimal
    financing: Decimal
    half_spread: Decimal
    reason: str = ""

    @property
    def side(self) -> OrderSide:
        """Which way."""
        return OrderSide.BUY if self.units > 0 else OrderSide.SELL


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """An order was cancelled, by whomever; `replaced_by` names the one that came in its place."""

    id: str
    timestamp_ns: int
    order_id: str
    client_id: str
    reason: str
    replaced_by: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a new order was refused; `replaces` names the order it was to replace, which stays."""

    id: str
    timestamp_ns: int
    client_id: str
    reason: str
    replaces: str = ""


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """Any other transaction: money, configuration, trades' own orders, and types nobody described yet."""

    id: str
    timestamp_ns: int
    type: str


Transaction = Created | Executed | Ended | Refusal | Other


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """An order as Oanda keeps it.

    Attributes
    ----------
    units : Decimal
        Signed.
    state : str
        PENDING, FILLED, TRIGGERED or CANCELLED.
    ended_by : str
        The transaction that filled or cancelled it.
    """

    order_id: str
    client_id: str
    instrument: str
    order_type: OrderType
    time_in_force: str
    units: Decimal
    price: Decimal
    state: str
    created_ns: int
    reduce_only: bool = False
    ended_by: str = ""
    replaced_by: str = ""
    replaces: str = ""

    @property
    def side(self) -> OrderSide:
        """Which way."""
        return OrderSide.BUY if self.units > 0 else OrderSide.SELL


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


def decode_transaction(body: object) -> Transaction:
    """One transaction.

    Raises
    ------
    DataError
        If it lacks what its type must have.
    """
    row = record(body, "a transaction")
    kind, number, at_ns = word(row, "type"), identifier(row, "id"), time_ns(row, "time")
    if kind == "ORDER_FILL":
        return _executed(row, number, at_ns)
    if kind == "ORDER_CANCEL":
        return Ended(
            id=number,
            timestamp_ns=at_ns,
            order_id=identifier(row, "orderID"),
            client_id=identifier(row, "clientOrderID", ""),
            reason=word(row, "reason", ""),
            replaced_by=identifier(row, "replacedByOrderID", ""),
        )
    subject = kind.removesuffix("_REJECT").removesuffix("_ORDER")
    if subject not in _TYPES or "_ORDER" not in kind:
        return Other(id=number, timestamp_ns=at_ns, type=kind)
    if kind.endswith("_REJECT"):
        return Refusal(
            id=number,
            timestamp_ns=at_ns,
            client_id=_client_id(row),
            reason=word(row, "rejectReason", "UNKNOWN"),
            replaces=identifier(row, "intendedReplacesOrderID", ""),
        )
    return Created(
        id=number,
        timestamp_ns=at_ns,
        client_id=_client_id(row),
        instrument=word(row, "instrument"),
        units=decimal(row, "units"),
        price=decimal(row, "price", _ZERO),
        replaces=identifier(row, "replacesOrderID", ""),
    )


def _executed(row: Mapping[str, Any], number: str, at_ns: int) -> Executed:
    units, price = decimal(row, "units"), decimal(row, "price", _ZERO)
    vwap = decimal(row, "fullVWAP", price)
    if not units or (price or vwap) <= 0:
        raise DataError(f"{VENUE}: fill {number} is of {units} units at {price}")
    return Executed(
        id=number,
        timestamp_ns=at_ns,
        order_id=identifier(row, "orderID"),
        client_id=identifier(row, "clientOrderID", ""),
        instrument=word(row, "instrument"),
        units=units,
        requested=decimal(row, "requestedUnits", units),
        price=price or vwap,
        vwap=vwap,
        fee=decimal(row, "commission", _ZERO) + decimal(row, "guaranteedExecutionFee", _ZERO),
        profit=decimal(row, "pl", _ZERO),
        financing=decimal(row, "financing", _ZERO),
        half_spread=decimal(row, "halfSpreadCost", _ZERO),
        reason=word(row, "reason", ""),
    )


def _client_id(row: Mapping[str, Any]) -> str:
    extensions = row.get("clientExtensions")
    return identifier(extensions, "id", "") if isinstance(extensions, Mapping) else ""


def decode_ticket(body: object) -> Ticket | None:
    """An order; None for one that is attached to a trade (take profit, stop loss), which has no size of its own.

    Raises
    ------
    DataError
        If it lacks what an order must have, or is of a kind nobody described.
    """
    row = record(body, "an order")
    kind, state = word(row, "type"), word(row, "state")
    if kind in _ATTACHED:
        return None
    if kind not in _TYPES:
        raise DataError(f"{VENUE}: order {identifier(row, 'id')} is of the unknown type {kind[:40]!r}")
    if state not in ("PENDING", "FILLED", "TRIGGERED", "CANCELLED"):
        raise DataError(f"{VENUE}: order {identifier(row, 'id')} is in the unknown state {state[:40]!r}")
    ended = identifier(row, "fillingTransactionID", "") or identifier(row, "cancellingTransactionID", "")
    return Ticket(
        order_id=identifier(row, "id"),
        client_id=_client_id(row),
        instrument=word(row, "instrument"),
        order_type=_TYPES[kind],
        time_in_force=_TIMES.get(word(row, "timeInForce", "GTC"), "GTC"),
        units=decimal(row, "units"),
        price=decimal(row, "price", _ZERO),
        state=state,
        created_ns=time_ns(row, "createTime"),
        reduce_only=row.get("positionFill") == "REDUCE_ONLY",
        ended_by=ended,
        replaced_by=identifier(row, "replacedByOrderID", ""),
        replaces=identifier(row, "replacesOrderID", ""),
    )


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
    if letter in _LENGTHS_S and number.isdigit() and int(number) > 0:
        return int(number) * _LENGTHS_S[letter] * 1_000_000_000
    if name in _WHOLE_S:
        return _WHOLE_S[name] * 1_000_000_000
    raise DataError(f"{VENUE}: granularity {name[:20]!r} is none of S5 … S30, M1 … M30, H1 … H12, D, W, M")
