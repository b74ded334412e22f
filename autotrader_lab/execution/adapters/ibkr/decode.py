"""What TWS says, as values of ours: plain functions from what the client library decoded, tested on recorded messages.

TWS writes 1.7976931348623157E308 and 2147483647 where a number is not set, and the library hands them on.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import DataError, InstrumentError
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import OrderSide, OrderType

__all__ = [
    "VENUE",
    "Commission",
    "ContractFacts",
    "Execution",
    "Phase",
    "Security",
    "Standing",
    "Terms",
    "decode_commission",
    "decode_details",
    "decode_execution",
    "decode_order",
    "decode_rule",
    "decode_security",
    "decode_standing",
    "number",
]

VENUE = "ibkr"

_UNSET_DOUBLE = 1.7e308
_UNSET_INTEGER = 2**31 - 1
_SIDES = {"BUY": OrderSide.BUY, "BOT": OrderSide.BUY, "SELL": OrderSide.SELL, "SLD": OrderSide.SELL}
_TYPES = {"MKT": OrderType.MARKET, "LMT": OrderType.LIMIT, "STP": OrderType.STOP, "STP LMT": OrderType.STOP_LIMIT}
_LIQUIDITY = {1: "maker", 2: "taker", 3: "taker"}


class Phase(Enum):
    """Where an order stands, in our words; `INACTIVE` is refused, held or cancelled, and TWS says elsewhere which."""

    ON_THE_WAY = "on the way"
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    INACTIVE = "inactive"


_PHASES = {
    "ApiPending": Phase.ON_THE_WAY,
    "PendingSubmit": Phase.ON_THE_WAY,
    "PreSubmitted": Phase.WORKING,
    "Submitted": Phase.WORKING,
    "PendingCancel": Phase.WORKING,
    "Filled": Phase.FILLED,
    "Cancelled": Phase.CANCELLED,
    "ApiCancelled": Phase.CANCELLED,
    "Inactive": Phase.INACTIVE,
}


class Security(msgspec.Struct, frozen=True):
    """A contract, as every message about orders and positions names it."""

    con_id: int
    symbol: str
    kind: str
    expiry: str
    strike: Decimal
    right: str
    multiplier: str
    exchange: str
    currency: str
    local_symbol: str

    @property
    def written(self) -> str:
        """It as a universal symbol: ``AAPL``, ``EUR/USD``, ``AAPL 20270115 C 150``, ``ES 20261218``."""
        if self.kind == "CASH":
            return f"{self.symbol}/{self.currency}"
        if self.kind == "STK":
            return self.symbol
        if self.kind == "OPT":
            return f"{self.symbol} {self.expiry} {self.right[:1]} {plain(self.strike)}"
        if self.kind == "FUT":
            return f"{self.symbol} {self.expiry}"
        return self.local_symbol or f"{self.symbol} {self.kind}"


class ContractFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A contract's details: what may be traded, where and when."""

    security: Security
    primary_exchange: str
    trading_class: str
    contract_month: str
    min_tick: Decimal
    exchanges: tuple[str, ...]
    rules: tuple[int, ...]
    magnifier: int
    time_zone: str
    trading_hours: str
    liquid_hours: str
    long_name: str
    size_step: Decimal
    min_size: Decimal


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """An order as asked for: ours under (`client_id`, `order_id`) and `reference`, IB's under `perm_id`.

    `filled` is the executed quantity of a completed order; None where the message has none.
    """

    order_id: int
    client_id: int
    perm_id: int
    account: str
    reference: str
    security: Security
    side: OrderSide
    type_name: str
    order_type: OrderType | None
    time_in_force: str
    quantity: Decimal
    limit: Decimal
    stop: Decimal
    status: str
    phase: Phase | None
    reason: str = ""
    filled: Decimal | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an order stands; what it executed is told by executions alone, this only tells that some are missing."""

    order_id: int
    client_id: int
    perm_id: int
    status: str
    phase: Phase | None
    filled: Decimal
    average: float
    why_held: str


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. `family` is the same for it and its corrections, which only count up `correction`."""

    execution_id: str
    family: str
    correction: int
    order_id: int
    client_id: int
    perm_id: int
    account: str
    reference: str
    security: Security
    side: OrderSide
    quantity: Decimal
    price: Decimal
    timestamp_ns: int
    liquidity: str
    exchange: str


class Commission(msgspec.Struct, frozen=True):
    """What an execution cost; `realised` is None where it closed nothing."""

    execution_id: str
    amount: Decimal
    currency: str
    realised: Decimal | None


def plain(value: Decimal) -> str:
    """A number without exponent and without idle zeros."""
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def number(value: Any, what: str) -> Decimal | None:
    """A number as TWS tells it, exact; None where it is not set.

    Raises
    ------
    DataError
        If it is none, or infinite.
    """
    if value is None or value == "":
        return None
    try:
        as_float = float(value)
        if as_float >= _UNSET_DOUBLE or as_float == _UNSET_INTEGER:
            return None
        return exact(value, what)
    except (InstrumentError, ValueError, TypeError) as error:
        raise DataError(f"{VENUE}: {what} {value!r} is no number") from error


def _amount(value: Any, what: str) -> Decimal:
    return number(value, what) or Decimal(0)


def _side(word: str, what: str) -> OrderSide:
    try:
        return _SIDES[word]
    except KeyError:
        raise DataError(f"{VENUE}: {what} has side {word!r}, which is none of {', '.join(_SIDES)}") from None


def decode_security(contract: Any) -> Security:
    """A contract."""
    return Security(
        int(contract.conId),
        contract.symbol,
        contract.secType,
        contract.lastTradeDateOrContractMonth[:8],
        _amount(contract.strike, "strike"),
        contract.right.strip("?0"),
        contract.multiplier,
        contract.exchange,
        contract.currency,
        contract.localSymbol,
    )


def decode_order(order_id: int, contract: Any, order: Any, state: Any) -> Terms:
    """An open or completed order.

    Raises
    ------
    DataError
        If it has neither side nor size that could be an order's.
    """
    what = f"order {order_id} (permId {order.permId})"
    filled = number(getattr(order, "filledQuantity", None), f"{what} filled quantity")
    return Terms(
        order_id=int(order_id or 0),
        client_id=int(order.clientId or 0),
        perm_id=int(order.permId or 0),
        account=order.account,
        reference=order.orderRef,
        security=decode_security(contract),
        side=_side(order.action, what),
        type_name=order.orderType,
        order_type=_TYPES.get(order.orderType),
        time_in_force=order.tif,
        quantity=_amount(order.totalQuantity, f"{what} quantity"),
        limit=_amount(order.lmtPrice, f"{what} limit"),
        stop=_amount(order.auxPrice, f"{what} stop"),
        status=state.status,
        phase=_PHASES.get(state.status),
        reason=getattr(state, "completedStatus", "") or state.warningText or "",
        filled=filled,
    )


def decode_standing(
    order_id: int,
    status: str,
    filled: float,
    remaining: float,
    average: float,
    perm_id: int,
    parent_id: int,
    last_price: float,
    client_id: int,
    why_held: str,
    cap_price: float = 0.0,
) -> Standing:
    """An order's status."""
    return Standing(
        order_id=order_id,
        client_id=client_id,
        perm_id=perm_id,
        status=status,
        phase=_PHASES.get(status),
        filled=_amount(filled, f"order {order_id} filled"),
        average=average,
        why_held=why_held,
    )


def decode_execution(contract: Any, execution: Any) -> Execution:
    """One execution.

    Raises
    ------
    DataError
        If it has no side, size, price or time that could be an execution's.
    """
    name = execution.execId
    what = f"execution {name}"
    quantity, price = number(execution.shares, f"{what} quantity"), number(execution.price, f"{what} price")
    if not name or quantity is None or price is None or quantity <= 0:
        raise DataError(f"{VENUE}: {what} of {execution.shares!r} at {execution.price!r} is none")
    if not isinstance(execution.time, datetime) or execution.time.tzinfo is None:
        raise DataError(f"{VENUE}: {what} has time {execution.time!r}, which is none with a zone")
    side = _side(execution.side, what)
    stem, _, last = name.rpartition(".")
    is_numbered = bool(stem) and re.fullmatch(r"\d+", last) is not None
    order_id = int(execution.orderId or 0)
    return Execution(
        execution_id=name,
        # The two sides of a trade with oneself differ in nothing else.
        family=f"{stem}.{side.value}" if is_numbered else name,
        correction=int(last) if is_numbered else 0,
        order_id=0 if order_id == _UNSET_INTEGER else order_id,
        client_id=int(execution.clientId or 0),
        perm_id=int(execution.permId or 0),
        account=execution.acctNumber,
        reference=execution.orderRef,
        security=decode_security(contract),
        side=side,
        quantity=quantity,
        price=price,
        timestamp_ns=to_ns(execution.time),
        liquidity=_LIQUIDITY.get(int(execution.lastLiquidity or 0), ""),
        exchange=execution.exchange,
    )


def decode_commission(report: Any) -> Commission:
    """What an execution cost.

    Raises
    ------
    DataError
        If the cost is no number.
    """
    what = f"commission of {report.execId}"
    amount = number(report.commission, what)
    if amount is None:
        raise DataError(f"{VENUE}: {what} is not set")
    return Commission(report.execId, amount, report.currency, number(report.realizedPNL, f"{what}, realised"))


def decode_details(details: Any) -> ContractFacts:
    """A contract's details."""
    rules = [int(rule) for rule in details.marketRuleIds.split(",") if rule.strip().isdigit()]
    return ContractFacts(
        security=decode_security(details.contract),
        primary_exchange=details.contract.primaryExchange,
        trading_class=details.contract.tradingClass,
        contract_month=details.contractMonth,
        min_tick=_amount(details.minTick, f"{details.contract.localSymbol} minTick"),
        exchanges=tuple(details.validExchanges.split(",")),
        rules=tuple(rules),
        magnifier=int(details.priceMagnifier or 1),
        time_zone=details.timeZoneId,
        trading_hours=details.tradingHours,
        liquid_hours=details.liquidHours,
        long_name=details.longName,
        size_step=_amount(getattr(details, "sizeIncrement", 0), "sizeIncrement"),
        min_size=_amount(getattr(details, "minSize", 0), "minSize"),
    )


def decode_rule(increments: Any) -> tuple[tuple[Decimal, Decimal], ...]:
    """A market rule: (from this price, this increment), lowest price first.

    Raises
    ------
    DataError
        If it has no increment, or one that is none.
    """
    steps = sorted((_amount(step.lowEdge, "low edge"), _amount(step.increment, "increment")) for step in increments)
    if not steps or any(increment <= 0 or not math.isfinite(increment) for _, increment in steps):
        raise DataError(f"{VENUE}: a market rule without increments: {steps}")
    return tuple(steps)
