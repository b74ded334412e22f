"""Reads what ``placeOrder`` sends: over a hundred fields, in the order that the published clients write them."""

from __future__ import annotations

import msgspec

from autotrader_lab.sandbox.orders import OrderType, Side, TimeInForce
from autotrader_lab.sandbox.venues.ibkr.contracts import Query
from autotrader_lab.sandbox.venues.ibkr.wire import BadField, Fields

__all__ = ["ORDER_TYPES", "TIMES_IN_FORCE", "Ticket", "Uncovered", "read_query", "read_ticket"]

ORDER_TYPES = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP_LOSS,
    "STP LMT": OrderType.STOP_LOSS_LIMIT,
}
TIMES_IN_FORCE = {
    "DAY": TimeInForce.GTC,
    "GTC": TimeInForce.GTC,
    "GTD": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
}


class Uncovered(Exception):
    """Something real that this sandbox does not do; the text names it."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """An order as asked for; prices and quantities in e8."""

    order_id: int
    query: Query
    side: Side
    quantity: int
    type_name: str
    limit: int
    stop: int
    time_in_force: str
    account: str
    reference: str
    good_till: str
    outside_hours: bool
    what_if: bool


def read_query(fields: Fields) -> Query:
    """The twelve fields of a contract."""
    return Query(
        con_id=fields.integer(),
        symbol=fields.text(),
        kind=fields.text(),
        expiry=fields.text(),
        strike=fields.text(),
        right=fields.text(),
        multiplier=fields.text(),
        exchange=fields.text(),
        primary_exchange=fields.text(),
        currency=fields.text(),
        local_symbol=fields.text(),
        trading_class=fields.text(),
    )


def _side(word: str) -> Side:
    if word in ("BUY", "SELL"):
        return Side(word)
    raise BadField(f"action {word!r} is neither BUY nor SELL")


def read_ticket(fields: Fields, version: int) -> Ticket:
    """One order.

    Raises
    ------
    BadField
        If it cannot be read.
    Uncovered
        If it asks for what the sandbox does not do.
    """
    order_id = fields.integer()
    query = read_query(fields)
    fields.skip(2)  # secIdType, secId
    side = _side(fields.text())
    quantity = fields.amount()
    type_name = fields.text()
    limit, stop = fields.amount(), fields.amount()
    time_in_force = fields.text() or "DAY"
    group = fields.text()
    account = fields.text()
    fields.skip(2)  # openClose, origin
    reference = fields.text()
    transmit, parent = fields.flag(), fields.integer()
    fields.skip(4)  # blockOrder, sweepToFill, displaySize, triggerMethod
    outside_hours = fields.flag()
    fields.skip(1)  # hidden
    if query.kind == "BAG":
        raise Uncovered("combo orders")
    fields.skip(3)  # sharesAllocation, discretionaryAmt, goodAfterTime
    good_till = fields.text()
    fields.skip(3 if version >= 177 else 4)  # faGroup, faMethod, faPercentage, faProfile
    fields.skip(20)  # modelCode to overridePercentageConstraints
    fields.skip(2)  # volatility, volatilityType
    neutral = fields.text()
    fields.skip(1)  # deltaNeutralAuxPrice
    if neutral:
        fields.skip(8)
    fields.skip(4)  # continuousUpdate, referencePriceType, trailStopPrice, trailingPercent
    fields.skip(2)  # scaleInitLevelSize, scaleSubsLevelSize
    if fields.amount():
        raise Uncovered("scale orders")
    fields.skip(3)  # scaleTable, activeStartTime, activeStopTime
    if fields.text():
        raise Uncovered("hedge orders")
    fields.skip(4)  # optOutSmartRouting, clearingAccount, clearingIntent, notHeld
    if fields.flag():
        raise Uncovered("delta neutral contracts")
    if fields.text():
        raise Uncovered("algo orders")
    fields.skip(1)  # algoId
    what_if = fields.flag()
    fields.skip(4)  # orderMiscOptions, solicited, randomizeSize, randomizePrice
    if type_name in ("PEG BENCH", "PEGBENCH"):
        raise Uncovered("pegged orders")
    if fields.integer():
        raise Uncovered("conditional orders")
    fields.skip(19)  # adjustedOrderType to usePriceMgmtAlgo
    fields.skip(sum(version >= gate for gate in (158, 160, 162, 166, 169)))
    if parent or group or not transmit:
        raise Uncovered("attached, OCA and untransmitted orders")
    return Ticket(
        order_id=order_id,
        query=query,
        side=side,
        quantity=quantity,
        type_name=type_name,
        limit=limit,
        stop=stop,
        time_in_force=time_in_force,
        account=account,
        reference=reference,
        good_till=good_till,
        outside_hours=outside_hours,
        what_if=what_if,
    )
