"""Reads an order that a client asks for: form first (a plain error), then the rules of the account (a reject)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from autotrader_lab.sandbox.units import ONE, TooPrecise, parse_e8
from autotrader_lab.sandbox.venues.oanda.errors import ApiError, Rejected
from autotrader_lab.sandbox.venues.oanda.instruments import CATALOGUE, Pair
from autotrader_lab.sandbox.venues.oanda.times import Instant, read_time

__all__ = ["ORDER_TYPES", "Wish", "check_extensions", "read_extensions", "read_order", "read_units"]

Json = dict[str, Any]

ORDER_TYPES: Mapping[str, tuple[str, ...]] = {
    "MARKET": ("FOK", "IOC"),
    "LIMIT": ("GTC", "GFD", "GTD", "FOK", "IOC"),
    "STOP": ("GTC", "GFD", "GTD", "FOK", "IOC"),
    "MARKET_IF_TOUCHED": ("GTC", "GFD", "GTD"),
}
"""Order type to the times in force it can have, the default first."""

_ATTACHED = ("takeProfitOnFill", "stopLossOnFill", "guaranteedStopLossOnFill", "trailingStopLossOnFill")
_UNITS = re.compile(r"-?\d{1,20}(\.\d+)?")
_FILLS = ("DEFAULT", "OPEN_ONLY", "REDUCE_FIRST", "REDUCE_ONLY")
_TRIGGERS = ("DEFAULT", "INVERSE", "BID", "ASK", "MID")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An order as asked for; texts stay as they came, for the transaction that records them."""

    type: str
    instrument: str
    units_text: str
    price_text: str
    bound_text: str
    time_in_force: str
    good_till: Instant | None
    position_fill: str
    trigger: str
    extensions: Json
    trade_extensions: Json

    def pair(self) -> Pair:
        """What it is of.

        Raises
        ------
        Rejected
            INSTRUMENT_UNKNOWN.
        """
        if self.instrument not in CATALOGUE:
            raise Rejected("INSTRUMENT_UNKNOWN")
        return CATALOGUE[self.instrument]

    @property
    def units(self) -> int:
        """Signed units, e8.

        Raises
        ------
        Rejected
            If they cannot be traded.
        """
        return read_units(self.units_text, self.pair())

    def price(self) -> int:
        """The price, e8; 0 for a market order.

        Raises
        ------
        Rejected
            If it is not one.
        """
        if self.type == "MARKET":
            return 0
        if not self.price_text:
            raise Rejected("PRICE_MISSING")
        return _price(self.price_text, self.pair(), "PRICE")

    def bound(self) -> int:
        """The worst price allowed, e8; 0 if any is.

        Raises
        ------
        Rejected
            If it is not one.
        """
        return _price(self.bound_text, self.pair(), "PRICE_BOUND") if self.bound_text else 0

    def json(self) -> Json:
        """What transaction and order have in common."""
        body: Json = {"instrument": self.instrument, "units": self.units_text}
        if self.type != "MARKET":
            body["price"] = self.price_text
        if self.bound_text:
            body["priceBound"] = self.bound_text
        body["timeInForce"] = self.time_in_force
        if self.good_till is not None:
            body["gtdTime"] = self.good_till
        if self.type != "MARKET":
            body |= {"triggerCondition": self.trigger, "partialFill": "DEFAULT"}
        body["positionFill"] = self.position_fill
        if self.extensions:
            body["clientExtensions"] = self.extensions
        if self.trade_extensions:
            body["tradeClientExtensions"] = self.trade_extensions
        return body


def read_units(text: str, pair: Pair) -> int:
    """Signed units, e8.

    Raises
    ------
    Rejected
        If they cannot be traded.
    """
    match = _UNITS.fullmatch(text)
    if match is None:
        raise Rejected("UNITS_INVALID")
    if (match.group(1) or ".0").strip(".0"):
        raise Rejected("UNITS_PRECISION_EXCEEDED")
    units = int(text.partition(".")[0]) * ONE
    if not units:
        raise Rejected("UNITS_INVALID")
    if abs(units) > pair.instrument.max_quantity:
        raise Rejected("UNITS_LIMIT_EXCEEDED")
    return units


def _price(text: str, pair: Pair, name: str) -> int:
    try:
        price = parse_e8(text)
    except TooPrecise:
        raise Rejected(f"{name}_PRECISION_EXCEEDED") from None
    except ValueError:
        raise Rejected(f"{name}_INVALID") from None
    if price <= 0:
        raise Rejected(f"{name}_INVALID")
    if price % pair.instrument.tick:
        raise Rejected(f"{name}_PRECISION_EXCEEDED")
    return price


def _word(body: Mapping[str, Any], name: str, allowed: tuple[str, ...] = (), default: str = "") -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or (allowed and value not in allowed):
        raise ApiError(400, f"Invalid value specified for 'order.{name}'")
    return value


def read_extensions(body: Mapping[str, Any], name: str = "clientExtensions") -> Json:
    """Client extensions: id, tag, comment.

    Raises
    ------
    ApiError
        If they are not texts under these names.
    """
    extensions = body.get(name) or {}
    if not isinstance(extensions, dict) or not all(
        key in ("id", "tag", "comment") and isinstance(value, str) for key, value in extensions.items()
    ):
        raise ApiError(400, f"Invalid value specified for 'order.{name}'")
    return {key: value for key, value in extensions.items() if value}


def check_extensions(extensions: Json) -> None:
    """The lengths that are allowed.

    Raises
    ------
    Rejected
        CLIENT_ORDER_ID_INVALID, CLIENT_ORDER_TAG_INVALID or CLIENT_ORDER_COMMENT_INVALID.
    """
    for key, value in extensions.items():
        if len(value) > 128 or not value.isprintable():
            raise Rejected(f"CLIENT_ORDER_{key.upper()}_INVALID")


def read_order(body: Any) -> Wish:
    """An order's JSON.

    Raises
    ------
    ApiError
        If it is malformed, or asks for what this sandbox does not do.
    """
    if not isinstance(body, dict):
        raise ApiError(400, "Invalid value specified for 'order'")
    type_ = body.get("type", "MARKET")
    if type_ not in ORDER_TYPES:
        raise ApiError(400, "Invalid value specified for 'order.type'")
    for name in _ATTACHED:
        if body.get(name):
            raise ApiError(400, f"The sandbox does not cover 'order.{name}'")
    good_till: Instant | None = None
    if body.get("gtdTime"):
        try:
            good_till = read_time(str(body["gtdTime"]))
        except ValueError:
            raise ApiError(400, "Invalid value specified for 'order.gtdTime'") from None
    return Wish(
        type=type_,
        instrument=_word(body, "instrument"),
        units_text=_word(body, "units"),
        price_text=_word(body, "price"),
        bound_text=_word(body, "priceBound"),
        time_in_force=_word(body, "timeInForce", ("GTC", "GTD", "GFD", "FOK", "IOC"), ORDER_TYPES[type_][0]),
        good_till=good_till,
        position_fill=_word(body, "positionFill", _FILLS, "DEFAULT"),
        trigger=_word(body, "triggerCondition", _TRIGGERS, "DEFAULT"),
        extensions=read_extensions(body),
        trade_extensions=read_extensions(body, "tradeClientExtensions"),
    )
