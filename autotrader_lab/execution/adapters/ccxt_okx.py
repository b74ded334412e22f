"""OKX spot's words and ours: plain functions from its payloads to our values. The way there is :mod:`.ccxt_okx_send`.

No I/O and no state, so that recorded messages can test every line. Two things are the venue's own: fees are negative
when charged, and stops are *algo orders*, a list apart with ids of their own, whose execution is an ordinary order.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.ccxt_errors import Meaning
from autotrader_lab.execution.adapters.ccxt_names import decode_name
from autotrader_lab.execution.adapters.ccxt_updates import Update, UpdateKind
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderStatus, OrderType

__all__ = [
    "CODES",
    "Rules",
    "decode_algo",
    "decode_algo_push",
    "decode_balances",
    "decode_fill",
    "decode_instrument",
    "decode_order",
    "decode_push",
    "first_row",
    "rows",
]

Payload = Mapping[str, Any]

VENUE = "okx"

_M = Meaning
CODES: dict[str, Meaning] = {
    # "Operation failed" without an order's own code says nothing of the order.
    "1": _M.DOUBT,
    "2": _M.DOUBT,
    "50001": _M.DOUBT,
    "50004": _M.DOUBT,
    "50005": _M.DOUBT,
    "50013": _M.DOUBT,
    "50026": _M.DOUBT,
    "63999": _M.DOUBT,
    "50011": _M.RATE_LIMITED,
    "50061": _M.RATE_LIMITED,
    "51113": _M.RATE_LIMITED,
    "50012": _M.AUTHENTICATION,
    "50100": _M.AUTHENTICATION,
    # ccxt has no class for the plain "no such order" of a change.
    "51503": _M.NOT_FOUND,
    # Still on its way out: the order itself tells when it is.
    "51410": _M.NOT_FOUND,
    "51011": _M.DUPLICATE,
    "51016": _M.DUPLICATE,
    "50102": _M.NEVER_LEFT,
    "50036": _M.NEVER_LEFT,
    "4088": _M.REFUSED,
    # Of the general codes these are refusals; what is added to them one day is doubt until it is known.
    **dict.fromkeys((f"500{number}" for number in (10, 28, 62, *range(14, 26))), _M.REFUSED),
    "50108": _M.REFUSED,
    "50109": _M.REFUSED,
    "51*": _M.REFUSED,
    "52*": _M.REFUSED,
    "54*": _M.REFUSED,
    "55*": _M.REFUSED,
    "58*": _M.REFUSED,
    "59*": _M.REFUSED,
    "60*": _M.REFUSED,
}
"""Where OKX's code is plainer than the class ccxt makes of it, and what families of codes mean that ccxt lumps."""

_OUR_TYPES = {
    "market": OrderType.MARKET,
    "optimal_limit_ioc": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "post_only": OrderType.LIMIT,
    "ioc": OrderType.IOC,
    "fok": OrderType.FOK,
}
_STATUS = {
    "live": OrderStatus.SUBMITTED,
    "partially_filled": OrderStatus.PARTIAL_FILL,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "mmp_canceled": OrderStatus.CANCELLED,
}
_ALGO_STATUS = {
    "live": OrderStatus.SUBMITTED,
    "pause": OrderStatus.SUBMITTED,
    "partially_effective": OrderStatus.SUBMITTED,
    "effective": OrderStatus.SUBMITTED,
    "canceled": OrderStatus.CANCELLED,
    "order_failed": OrderStatus.REJECTED,
    "partially_failed": OrderStatus.REJECTED,
}
_ENDS = {
    "13": OrderStatus.EXPIRED,  # fill-or-kill
    "14": OrderStatus.EXPIRED,  # immediate-or-cancel, and a market order that ran dry
    "32": OrderStatus.EXPIRED,  # self-trade prevention
    "33": OrderStatus.EXPIRED,  # too many matches for one order
    # The venue takes a post-only order that would execute and cancels it at once: it never worked.
    "31": OrderStatus.REJECTED,
}
_KINDS = {
    OrderStatus.CANCELLED: UpdateKind.CANCELLED,
    OrderStatus.EXPIRED: UpdateKind.EXPIRED,
    OrderStatus.REJECTED: UpdateKind.REJECTED,
}


class Rules(msgspec.Struct, frozen=True):
    """What OKX says about a symbol beyond the grid every venue has."""

    state: str
    code: int | None


def _number(payload: Payload, *names: str) -> Decimal:
    """The first of `names` that is there as a number; OKX writes "" for nothing."""
    for name in names:
        value = payload.get(name)
        if value not in (None, ""):
            try:
                return Decimal(str(value))
            except ArithmeticError as error:
                raise DataError(f"{VENUE}: {name} {str(value)[:40]!r} is no number") from error
    return Decimal(0)


def _ns(payload: Payload, *names: str) -> int:
    for name in names:
        if payload.get(name):
            try:
                return int(str(payload[name])) * 1_000_000
            except ValueError as error:
                raise DataError(f"{VENUE}: {name} {str(payload[name])[:40]!r} is no time in ms") from error
    raise DataError(f"{VENUE}: none of {', '.join(names)} is a time in {sorted(payload)}")


def rows(raw: Any) -> list[dict[str, Any]]:
    """What an answer carries.

    Raises
    ------
    DataError
        If it is no answer of OKX: an empty body, a page of HTML.
    """
    data = raw.get("data") if isinstance(raw, Mapping) else None
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DataError(f"{VENUE}: no data in the answer {str(raw)[:120]!r}")
    return data


def first_row(raw: Any) -> dict[str, Any]:
    """The one row of an answer about one thing.

    Raises
    ------
    DataError
        If there is none.
    """
    found = rows(raw)
    if not found:
        raise DataError(f"{VENUE}: the answer is empty: {str(raw)[:120]!r}")
    return found[0]


# --- what is listed ---------------------------------------------------------------------------------------------


def decode_instrument(raw: Payload, symbol: str) -> tuple[Instrument, Rules]:
    """A row of public/instruments.

    Raises
    ------
    DataError
        If it has no grid (a symbol that is about to be listed).
    """
    if raw.get("instType") != "SPOT":
        raise DataError(f"{VENUE}: {symbol} is {raw.get('instType')}, only SPOT is traded here")
    tick, lot = _number(raw, "tickSz"), _number(raw, "lotSz")
    if tick <= 0 or lot <= 0:
        raise DataError(f"{VENUE}: {symbol} has no tickSz or lotSz yet")
    most = _number(raw, "maxLmtSz")
    code = raw.get("instIdCode")
    instrument = Instrument(
        symbol=symbol,
        tick_size=tick,
        lot_size=lot,
        venue=VENUE,
        venue_symbol=str(raw["instId"]),
        base=str(raw["baseCcy"]),
        quote=str(raw["quoteCcy"]),
        min_quantity=_number(raw, "minSz"),
        max_quantity=most or None,
        can_short=False,
    )
    return instrument, Rules(str(raw.get("state", "")), int(code) if code not in (None, "") else None)


# --- what we are told -------------------------------------------------------------------------------------------


def decode_order(raw: Any, symbol: str) -> Order:
    """An ordinary order of any answer as a snapshot.

    Raises
    ------
    DataError
        If it is no order.
    """
    if not isinstance(raw, Mapping) or not raw.get("ordId") or raw.get("state") not in _STATUS:
        raise DataError(f"{VENUE}: no order in the answer {str(raw)[:120]!r}")
    filled, average = _number(raw, "accFillSz"), _number(raw, "avgPx")
    kind, price = str(raw.get("ordType", "")), _number(raw, "px")
    # The size of a market buy may count the quote currency: a foreign one, ours never do.
    quantity = filled if raw.get("tgtCcy") == "quote_ccy" and kind == "market" else _number(raw, "sz")
    status, reason = _end(raw)
    return Order(
        order_id=str(raw["ordId"]),
        symbol=symbol,
        side=OrderSide(str(raw["side"])),
        order_type=_OUR_TYPES.get(kind, OrderType.LIMIT),
        quantity=float(quantity),
        price=float(price) if price > 0 else None,
        time_in_force=kind.upper() if kind in ("ioc", "fok") else "GTC",
        status=status,
        filled_quantity=float(filled),
        avg_fill_price=float(average) if filled else 0.0,
        submitted_at=from_ns(_ns(raw, "cTime", "uTime")),
        updated_at=from_ns(_ns(raw, "uTime", "cTime")),
        metadata={"venue_type": kind},
        client_order_id=next(iter(_names(raw)), ""),
        post_only=kind == "post_only",
        reason=reason,
        venue=VENUE,
        _filled=filled,
        _cost=filled * average,
    )


def _end(raw: Payload) -> tuple[OrderStatus, str]:
    status = _STATUS[raw["state"]]
    if status is not OrderStatus.CANCELLED:
        return status, ""
    source = str(raw.get("cancelSource") or "")
    told = str(raw.get("cancelSourceReason") or "") or (f"cancelSource {source}" if source else "")
    # What executed in part was working, whatever ended it.
    if source == "31" and _number(raw, "accFillSz"):
        return status, told
    return _ENDS.get(source, status), told


def _names(raw: Payload) -> tuple[str, ...]:
    """Our names of an order: its own, and that of the stop it came from."""
    return tuple(decode_name(str(raw[name])) for name in ("clOrdId", "algoClOrdId") if raw.get(name))


def decode_push(raw: Payload, symbol: str) -> list[Update]:
    """A row of the channel ``orders``: an execution, and what else happened to the order.

    Raises
    ------
    DataError
        If it cannot be understood: the order has to be asked for.
    """
    if not raw.get("ordId") or raw.get("state") not in _STATUS:
        raise DataError(f"{VENUE}: order {raw.get('ordId')} is in the unknown state {raw.get('state')!r}")
    order_id, names, at_ns = str(raw["ordId"]), _names(raw), _ns(raw, "uTime", "cTime")
    updates: list[Update] = []
    if raw.get("tradeId") not in (None, "", "0") and _number(raw, "fillSz"):
        fill = _push_fill(raw, symbol, names)
        updates.append(Update(UpdateKind.FILLED, symbol, order_id, names, at_ns, fill=fill))
    status, reason = _end(raw)
    if status in _KINDS:
        code = f"cancelSource {raw['cancelSource']}" if raw.get("cancelSource") else ""
        updates.append(Update(_KINDS[status], symbol, order_id, names, at_ns, reason=reason, code=code))
    elif raw.get("amendResult") in ("0", "2"):
        price = _number(raw, "px")
        change = Update(UpdateKind.AMENDED, symbol, order_id, names, at_ns, _number(raw, "sz"), price or None)
        updates.append(change)
    elif status is OrderStatus.SUBMITTED:
        updates.append(Update(UpdateKind.ACCEPTED, symbol, order_id, names, at_ns))
    return updates


def _push_fill(raw: Payload, symbol: str, names: tuple[str, ...]) -> Fill:
    if raw.get("fillFee") not in (None, ""):
        fee, currency = _number(raw, "fillFee"), str(raw.get("fillFeeCcy") or raw.get("feeCcy") or "")
    elif _number(raw, "accFillSz") == _number(raw, "fillSz"):
        # Some pushes tell only the order's whole fee: for its first execution that is the same.
        fee, currency = _number(raw, "fee"), str(raw.get("feeCcy") or "")
    else:
        raise DataError(f"{VENUE}: execution {raw['tradeId']} of order {raw['ordId']} comes without its fee")
    return _fill(raw, symbol, fee, currency, names, _ns(raw, "fillTime", "uTime"))


def decode_fill(raw: Payload, symbol: str) -> Fill:
    """A row of trade/fills or fills-history."""
    return _fill(
        raw, symbol, _number(raw, "fee"), str(raw.get("feeCcy") or ""), _names(raw), _ns(raw, "fillTime", "ts")
    )


def _fill(
    raw: Payload, symbol: str, fee: Decimal, fee_currency: str, names: tuple[str, ...], timestamp_ns: int
) -> Fill:
    quantity, price = _number(raw, "fillSz"), _number(raw, "fillPx")
    if quantity <= 0 or price <= 0 or not raw.get("tradeId"):
        raise DataError(
            f"{VENUE}: trade {raw.get('tradeId')} of order {raw.get('ordId')} has quantity {quantity} at price {price}"
        )
    return Fill(
        order_id=str(raw["ordId"]),
        symbol=symbol,
        side=OrderSide(str(raw["side"])),
        quantity=float(quantity),
        price=float(price),
        # The venue's sign is the account's: what was charged is negative.
        commission=float(-fee) if fee else 0.0,
        timestamp=from_ns(timestamp_ns),
        execution_id=str(raw["tradeId"]),
        client_order_id=names[0] if names else "",
        fee_currency=fee_currency,
        liquidity={"M": "maker", "T": "taker"}.get(str(raw.get("execType")), ""),
        venue=VENUE,
    )


def decode_algo(raw: Any, symbol: str) -> Order:
    """An algo order as a snapshot, under its own id.

    Raises
    ------
    DataError
        If it is none.
    """
    if not isinstance(raw, Mapping) or not raw.get("algoId") or raw.get("state") not in _ALGO_STATUS:
        raise DataError(f"{VENUE}: no algo order in the answer {str(raw)[:120]!r}")
    stop = _number(raw, "slTriggerPx", "triggerPx", "tpTriggerPx")
    price = _number(raw, "slOrdPx", "ordPx", "tpOrdPx")
    at_ns = _ns(raw, "uTime", "cTime")
    return Order(
        order_id=str(raw["algoId"]),
        symbol=symbol,
        side=OrderSide(str(raw["side"])),
        order_type=OrderType.STOP_LIMIT if price > 0 else OrderType.STOP,
        quantity=float(_number(raw, "sz")),
        price=float(price) if price > 0 else None,
        stop_price=float(stop) if stop > 0 else None,
        status=_ALGO_STATUS[raw["state"]],
        submitted_at=from_ns(_ns(raw, "cTime", "uTime")),
        updated_at=from_ns(at_ns),
        metadata={"venue_type": str(raw.get("ordType", ""))},
        client_order_id=next(iter(_algo_names(raw)), ""),
        reason=_failure(raw),
        venue=VENUE,
    )


def decode_algo_push(raw: Payload, symbol: str) -> list[Update]:
    """A row of the channel ``orders-algo``. The order a stop leads to tells its own story on ``orders``."""
    if not raw.get("algoId") or raw.get("state") not in _ALGO_STATUS:
        raise DataError(f"{VENUE}: algo order {raw.get('algoId')} is in the unknown state {raw.get('state')!r}")
    status, at_ns = _ALGO_STATUS[raw["state"]], _ns(raw, "uTime", "triggerTime", "cTime")
    kind = _KINDS.get(status, UpdateKind.ACCEPTED)
    if raw["state"] in ("effective", "partially_effective"):
        return []
    code = str(raw.get("failCode") or "")
    return [Update(kind, symbol, str(raw["algoId"]), _algo_names(raw), at_ns, reason=_failure(raw), code=code)]


def _algo_names(raw: Payload) -> tuple[str, ...]:
    return tuple(decode_name(str(raw[name])) for name in ("algoClOrdId", "clOrdId") if raw.get(name))


def _failure(raw: Payload) -> str:
    code = str(raw.get("failCode") or "")
    return "" if code in ("", "0") else f"{raw.get('failReason') or 'the order it led to was refused'} ({code})"


def decode_balances(raw: Any) -> dict[str, Decimal]:
    """Total by currency, of an account/balance answer or the channel ``account``; what there is none of is left out."""
    found: dict[str, Decimal] = {}
    for account in rows(raw):
        for row in account.get("details") or ():
            found[str(row["ccy"])] = found.get(str(row["ccy"]), Decimal(0)) + _number(row, "cashBal")
    return {currency: amount for currency, amount in found.items() if amount}
