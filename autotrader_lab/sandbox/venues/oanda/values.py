"""Oanda's orders and trades as the dealer keeps them, and how they are printed."""

from __future__ import annotations

from typing import Any

import msgspec

from autotrader_lab.sandbox.units import ONE
from autotrader_lab.sandbox.venues.oanda.instruments import Pair, money, units_text
from autotrader_lab.sandbox.venues.oanda.reading import Wish
from autotrader_lab.sandbox.venues.oanda.times import Instant

__all__ = ["DealOrder", "Trade"]

Json = dict[str, Any]


class DealOrder(msgspec.Struct, kw_only=True):
    """An order. `rises` says for MARKET_IF_TOUCHED whether the price must rise to it; `ends_ns` is 0 without an end."""

    order_id: int
    wish: Wish
    pair: Pair
    units: int
    price: int
    bound: int
    created: Instant
    ends_ns: int = 0
    rises: bool = False
    state: str = "PENDING"
    fill_reason: str = ""
    extensions: Json = {}
    details: Json = {}

    @property
    def client_id(self) -> str:
        """The client's id, or nothing."""
        return str(self.extensions.get("id", ""))

    def json(self) -> Json:
        """The order as requests see it."""
        common = self.wish.json()
        common.pop("clientExtensions", None)
        body = {"id": str(self.order_id), "createTime": self.created, "type": self.wish.type, **common}
        if self.extensions:
            body["clientExtensions"] = self.extensions
        return body | {"state": self.state, **self.details}


class Trade(msgspec.Struct, kw_only=True):
    """An open or closed trade; `amount` is what its open units were bought for, in e8 of the quote currency."""

    trade_id: int
    pair: Pair
    opened: Instant
    initial: int
    units: int
    price: int
    amount: int
    initial_margin: int
    realised: int = 0
    extensions: Json = {}
    closed_units: int = 0
    closed_amount: int = 0
    closing_ids: list[str] = []
    closed: Instant | None = None

    @property
    def client_id(self) -> str:
        """The client's id, or nothing."""
        return str(self.extensions.get("id", ""))

    @property
    def is_open(self) -> bool:
        """Whether something of it is left."""
        return self.units != 0

    def json(self, unrealised: int, margin: int) -> Json:
        """The trade as requests see it."""
        body: Json = {
            "id": str(self.trade_id),
            "instrument": self.pair.name,
            "price": self.pair.price(self.price),
            "openTime": self.opened,
            "initialUnits": units_text(self.initial),
            "initialMarginRequired": money(self.initial_margin),
            "state": "OPEN" if self.is_open else "CLOSED",
            "currentUnits": units_text(self.units),
            "realizedPL": money(self.realised),
            "financing": "0.0000",
            "dividendAdjustment": "0.0000",
        }
        if self.extensions:
            body["clientExtensions"] = self.extensions
        if self.is_open:
            body |= {"unrealizedPL": money(unrealised), "marginUsed": money(margin)}
        if self.closed_units:
            average = self.closed_amount * ONE // self.closed_units
            body |= {"averageClosePrice": self.pair.price(average), "closingTransactionIDs": self.closing_ids}
        if self.closed is not None:
            body["closeTime"] = self.closed
        return body
