"""What TWS says about orders: open orders, their status, executions, commissions, completed orders.

The fields are those of a recorded TWS session, in its order; what an order of this sandbox never has keeps the value
that TWS gives it there.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from autotrader_lab.sandbox.orders import Execution, Order, Side, Status
from autotrader_lab.sandbox.units import ONE
from autotrader_lab.sandbox.venues.ibkr.contracts import Contract
from autotrader_lab.sandbox.venues.ibkr.placing import Ticket
from autotrader_lab.sandbox.venues.ibkr.wire import UNSET, UNSET_INT, number

__all__ = [
    "ApiOrder",
    "Figures",
    "commission_report",
    "completed_order",
    "error",
    "execution",
    "open_order",
    "order_status",
    "stamp",
]

_SIDES = {Side.BUY: "BOT", Side.SELL: "SLD"}


class ApiOrder(msgspec.Struct, kw_only=True):
    """An order as the API knows it: who placed it under which id, as what, and how it stands at the exchange."""

    client_id: int
    order_id: int
    perm_id: int
    contract: Contract
    ticket: Ticket
    order: Order
    reason: str = ""

    @property
    def status(self) -> str:
        """TWS's word for how it stands."""
        match self.order.status:
            case Status.FILLED:
                return "Filled"
            case Status.NEW if self.order.type.has_stop and not self.order.is_working:
                return "PreSubmitted"
            case Status.NEW if self.ticket.type_name == "MKT":
                return "PreSubmitted"
            case Status.NEW | Status.PARTIALLY_FILLED:
                return "Submitted"
            case _:
                return "Cancelled"

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.order.status.is_open


class Figures(msgspec.Struct, frozen=True):
    """What a what-if order is told: margins and equity before and after, commission; in e8 of the home currency."""

    margin_before: int
    margin_after: int
    equity_before: int
    equity_after: int
    commission: int


def stamp(time_ms: int) -> str:
    """A time as TWS prints it, with its zone."""
    return f"{datetime.fromtimestamp(time_ms / 1_000, UTC):%Y%m%d %H:%M:%S} UTC"


def error(version: int, request_id: int, code: int, message: str) -> list[str]:
    """An error, a warning or a notice; -1 is no request's."""
    fields = ["4", "2", str(request_id), str(code), message]
    return [*fields, ""] if version >= 166 else fields


def average_price(order: Order, contract: Contract) -> int:
    """The mean price of what was filled, e8."""
    return order.amount * ONE // order.executed // contract.instrument.multiplier if order.executed else 0


def _head(api: ApiOrder, account: str) -> list[str]:
    """Contract, terms, account: what open and completed orders begin with."""
    ticket = api.ticket
    right = api.contract.right or "?"
    contract = api.contract.fields(ticket.query.exchange or None)
    contract[5] = right
    return [
        *contract,
        str(ticket.side),
        number(ticket.quantity),
        ticket.type_name,
        number(ticket.limit) if ticket.limit else "0.0",
        number(ticket.stop) if ticket.stop else "0.0",
        ticket.time_in_force,
        "",  # ocaGroup
        account,
        "",  # openClose
        "0",  # origin
        ticket.reference,
    ]


def open_order(
    api: ApiOrder, account: str, version: int, commission: int | None = None, figures: Figures | None = None
) -> list[str]:
    """An open order; with `commission` after a fill, with `figures` the answer to a what-if order."""
    fields = ["5", str(api.order_id), *_head(api, account), str(api.client_id), str(api.perm_id)]
    fields += [str(int(api.ticket.outside_hours)), "0", "0", ""]  # hidden, discretionaryAmt, goodAfterTime
    fields += [
        f"{api.perm_id}.0/{account}/{number(api.ticket.quantity)}",
        "",
        "",
        "",
    ]  # faGroup, faMethod, faPercentage
    if version < 177:
        fields += [""]  # faProfile
    fields += ["", api.ticket.good_till, "", "", ""]  # modelCode, goodTillDate, rule80A, percentOffset, settlingFirm
    fields += ["0", "", "-1"]  # shortSaleSlot, designatedLocation, exemptCode
    fields += ["0", "", "", "", "", ""]  # auctionStrategy, startingPrice, stockRefPrice, delta, stock range
    fields += [UNSET_INT, "0", "0", "0", "", "3"]  # displaySize, blockOrder, sweepToFill, allOrNone, minQty, ocaType
    fields += ["0", "0", "", "0", "0"]  # eTradeOnly, firmQuoteOnly, nbboPriceCap, parentId, triggerMethod
    fields += ["", "0", "", ""]  # volatility, volatilityType, deltaNeutralOrderType, deltaNeutralAuxPrice
    fields += ["0", "0", "", "", "", ""]  # continuousUpdate, referencePriceType, trail, trail %, basisPoints and type
    fields += ["", "0", "0", "0"]  # comboLegsDescrip, legs, order legs, routing parameters
    fields += [UNSET_INT, UNSET_INT, "", ""]  # scale sizes and increment, hedgeType
    fields += ["0", "", "IB", "0", "0", "", "0"]  # optOutSmartRouting … notHeld, deltaNeutral, algoStrategy, solicited
    fields += [str(int(api.ticket.what_if)), api.status]
    fields += _margins(figures)
    if figures is not None:
        fields += [number(figures.commission), "", "", "USD", ""]
    elif commission is not None:
        fields += [number(commission), "", "", "USD", ""]
    else:
        fields += ["", "", "", "", ""]  # commission, its minimum and maximum, currency, warningText
    fields += ["0", "0", "0"]  # randomizeSize, randomizePrice, conditions
    fields += ["None", UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, "0"]  # adjusted order
    fields += ["", "", "", "0", "1", "0", "0", "0"]  # soft dollar tier, cashQty … usePriceMgmtAlgo
    if version >= 158:
        fields += [""]  # duration
    if version >= 160:
        fields += [""]  # postToAts
    if version >= 162:
        fields += ["0"]  # autoCancelParent
    if version >= 170:
        fields += ["", "", "", "", ""]  # minTradeQty … midOffsetAtHalf
    return fields


def _margins(figures: Figures | None) -> list[str]:
    if figures is None:
        return [UNSET] * 9
    before = [figures.margin_before, figures.margin_before, figures.equity_before]
    after = [figures.margin_after, figures.margin_after, figures.equity_after]
    change = [then - now for now, then in zip(before, after, strict=True)]
    return [number(value) for value in (*before, *change, *after)]


def order_status(api: ApiOrder, last_price: int = 0) -> list[str]:
    """How an order stands."""
    order = api.order
    return [
        "3",
        str(api.order_id),
        api.status,
        number(order.executed),
        number(order.remaining),
        number(average_price(order, api.contract)),
        str(api.perm_id),
        "0",  # parentId
        number(last_price or (order.fills[-1].price if order.fills else 0)),
        str(api.client_id),
        "",  # whyHeld
        "0",  # mktCapPrice
    ]


def execution_id(fill: Execution, symbol_number: int) -> str:
    """An execution's number; the two sides of a trade with oneself have two."""
    side = "01" if fill.is_buyer else "02"
    return f"0000e0d5.{symbol_number % 2**32:08x}.{fill.trade_id % 2**40:010x}.{side}"


def execution(api: ApiOrder, fill: Execution, account: str, version: int, request_id: int = -1) -> list[str]:
    """One execution, live or as the answer to a request; what had been filled by then is counted up to it."""
    contract = api.contract.fields()
    quantity = amount = 0
    for earlier in api.order.fills:
        quantity += earlier.quantity
        amount += earlier.amount
        if earlier is fill:
            break
    exchange = "ISLAND" if api.contract.kind == "STK" else api.contract.exchange
    if exchange == "SMART":
        exchange = "CBOE"
    contract[7] = exchange
    fields = [
        "11",
        str(request_id),
        str(api.order_id),
        *contract,
        execution_id(fill, api.contract.con_id),
        stamp(fill.time_ms),
        account,
        exchange,
        _SIDES[Side.BUY if fill.is_buyer else Side.SELL],
        number(fill.quantity),
        number(fill.price),
        str(api.perm_id),
        str(api.client_id),
        "0",  # liquidation
        number(quantity),
        number(amount * ONE // quantity // api.contract.instrument.multiplier),
        api.ticket.reference,
        "",  # evRule
        "",  # evMultiplier
        "",  # modelCode
        "1" if fill.is_maker else "2",
    ]
    return [*fields, "0"] if version >= 178 else fields


def commission_report(api: ApiOrder, fill: Execution) -> list[str]:
    """What an execution cost, and what it realised if it closed something."""
    realised = number(fill.realised) if fill.realised else UNSET
    return [
        "59",
        "1",
        execution_id(fill, api.contract.con_id),
        number(fill.fee),
        fill.fee_asset,
        realised,
        UNSET,
        "",
    ]


def completed_order(api: ApiOrder, account: str, version: int) -> list[str]:
    """A finished order."""
    order = api.order
    fields = ["101", *_head(api, account), str(api.perm_id)]
    fields += ["0", "0", "0", "", "", "", ""]  # outsideRth, hidden, discretionaryAmt, goodAfterTime, FA
    if version < 177:
        fields += [""]  # faProfile
    fields += ["", api.ticket.good_till, "", "", "", "0", "", "-1"]  # modelCode … exemptCode
    fields += ["", "", "", "", ""]  # startingPrice, stockRefPrice, delta, stock range
    fields += [UNSET_INT, "0", "0", "", "3", "0"]  # displaySize, sweepToFill, allOrNone, minQty, ocaType, triggerMethod
    fields += ["", "0", "", ""]  # volatility, its type, delta neutral
    fields += ["0", "0", "", "", "", "0", "0", "0"]  # continuousUpdate … routing parameters
    fields += [UNSET_INT, UNSET_INT, "", ""]  # scale, hedgeType
    fields += ["", "IB", "0", "0", "", "0"]  # clearing, notHeld, deltaNeutral, algoStrategy, solicited
    fields += [api.status, "0", "0", "0"]  # randomizeSize, randomizePrice, conditions
    fields += [UNSET, UNSET, "0", "1", "0", ""]  # trailStopPrice, lmtPriceOffset, cashQty … autoCancelDate
    fields += [number(order.executed), UNSET_INT, "0", "", "0", "0", "9223372036854775807"]
    done = f"Filled Size: {number(order.executed)}" if order.executed else api.reason or "Cancelled by Trader"
    fields += [stamp(order.updated_ms), done]
    if version >= 170:
        fields += ["", "", "", "", ""]
    return fields
