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
    record,
    time_ns,
    word,
)
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.orders import OrderSide, OrderType

__all__ = [
    "VENUE",
    "Created",
    "Ended",
    "Executed",
    "Other",
    "Refusal",
    "Ticket",
    "Transaction",
    "decode_ticket",
    "decode_transaction",
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
