"""Binance's trading and account operations."""

from __future__ import annotations

import enum
import secrets
from typing import Any

from autotrader_lab.sandbox.orders import Order, OrderEvent, OrderRequest, OrderType, Refused
from autotrader_lab.sandbox.units import text_e8
from autotrader_lab.sandbox.venues.binance import render
from autotrader_lab.sandbox.venues.binance.calls import Access, Call, operation
from autotrader_lab.sandbox.venues.binance.errors import ApiError, from_refusal
from autotrader_lab.sandbox.venues.binance.params import Params, missing
from autotrader_lab.sandbox.venues.binance.rules import check_filters, read_order

__all__ = ["place_order"]

Json = dict[str, Any]


class _ResponseType(enum.StrEnum):
    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


class _Restriction(enum.StrEnum):
    ONLY_NEW = "ONLY_NEW"
    ONLY_PARTIALLY_FILLED = "ONLY_PARTIALLY_FILLED"


class _ReplaceMode(enum.StrEnum):
    STOP_ON_FAILURE = "STOP_ON_FAILURE"
    ALLOW_FAILURE = "ALLOW_FAILURE"


def _new_id() -> str:
    return secrets.token_urlsafe(16)[:22]


def _read(call: Call) -> tuple[OrderRequest, _ResponseType]:
    symbol = call.symbol()
    request = read_order(call.params, symbol, _new_id())
    wanted = call.params.choice("newOrderRespType", _ResponseType)
    if wanted is None:
        fast = request.type in (OrderType.MARKET, OrderType.LIMIT)
        wanted = _ResponseType.FULL if fast else _ResponseType.ACK
    return request, wanted


def _check(call: Call, request: OrderRequest) -> None:
    instrument = call.world.exchange.instruments[request.symbol]
    check_filters(instrument, request, call.owner, call.average_price(request.symbol))


def place_order(call: Call, request: OrderRequest, wanted: _ResponseType) -> Json:
    """Check, count and place an order, and answer.

    Raises
    ------
    ApiError
        In the venue's words.
    """
    _check(call, request)
    call.meter.count_order(call.owner.name, call.now_ms)
    try:
        order = call.world.exchange.place(call.owner.name, request, call.now_ms)
    except Refused as refusal:
        raise from_refusal(refusal) from refusal
    if order.executed:
        call.meter.forgive_order(call.owner.name, call.now_ms)
    shape = {
        _ResponseType.ACK: render.order_ack,
        _ResponseType.RESULT: render.order_result,
        _ResponseType.FULL: render.order_full,
    }
    return shape[wanted](order, call.now_ms)


@operation("POST /api/v3/order", "order.place", access=Access.SIGNED)
def _place(call: Call) -> Json:
    request, wanted = _read(call)
    call.params.require_all_read()
    return place_order(call, request, wanted)


@operation("POST /api/v3/order/test", "order.test", access=Access.SIGNED)
def _test(call: Call) -> Json:
    request, _ = _read(call)
    rates = call.params.flag("computeCommissionRates")
    _check(call, request)
    try:
        call.world.exchange.check(call.owner.name, request)
    except Refused as refusal:
        raise from_refusal(refusal) from refusal
    if not rates:
        return {}
    fees = call.owner.fees
    return {
        "standardCommissionForOrder": {"maker": text_e8(fees.maker), "taker": text_e8(fees.taker)},
        "specialCommissionForOrder": {"maker": text_e8(0), "taker": text_e8(0)},
        "taxCommissionForOrder": {"maker": text_e8(0), "taker": text_e8(0)},
        "discount": _discount(),
    }


def _discount() -> Json:
    return {
        "enabledForAccount": False,
        "enabledForSymbol": False,
        "discountAsset": "BNB",
        "discount": text_e8(75_000_000),
    }


def _find(call: Call, id_name: str, client_name: str, absent: str) -> Order:
    """The order named by either id.

    Raises
    ------
    ApiError
        Without any id, or if there is no such order.
    """
    symbol = call.symbol()
    order_id, client_id = call.params.integer(id_name), call.params.client_id(client_name)
    if order_id is None and client_id is None:
        raise ApiError(-1102, f"Param '{client_name}' or '{id_name}' must be sent, but both were empty/null!")
    if order_id is not None:
        order = call.owner.orders.get(symbol, {}).get(order_id)
        if order is not None and client_id is not None and order.client_order_id != client_id:
            order = None
    else:
        order = call.owner.latest_by_client_id.get((symbol, client_id or ""))
    if order is None:
        raise from_refusal(Refused(absent))
    return order


@operation("GET /api/v3/order", "order.status", access=Access.SIGNED, weight=4)
def _status(call: Call) -> Json:
    return render.order_status(_find(call, "orderId", "origClientOrderId", "NO_SUCH_ORDER"))


def _cancel(call: Call, order: Order, restriction: _Restriction | None, request_id: str) -> Json:
    if order.order_id in call.owner.open and restriction is not None and str(order.status) != str(restriction)[5:]:
        raise from_refusal(Refused("CANCEL_RESTRICTED"))
    try:
        call.world.exchange.cancel(call.owner.name, order, call.now_ms, request_id)
    except Refused as refusal:
        raise from_refusal(refusal) from refusal
    return render.canceled(order, request_id, call.now_ms)


@operation("DELETE /api/v3/order", "order.cancel", access=Access.SIGNED)
def _cancel_one(call: Call) -> Json:
    order = _find(call, "orderId", "origClientOrderId", "UNKNOWN_ORDER")
    restriction = call.params.choice("cancelRestrictions", _Restriction)
    request_id = call.params.client_id("newClientOrderId") or _new_id()
    return _cancel(call, order, restriction, request_id)


@operation("DELETE /api/v3/openOrders", "openOrders.cancelAll", access=Access.SIGNED)
def _cancel_all(call: Call) -> list[Json]:
    symbol = call.symbol()
    orders = [order for order in call.owner.open.values() if order.symbol == symbol]
    if not orders:
        raise from_refusal(Refused("UNKNOWN_ORDER"))
    request_id = _new_id()
    return [_cancel(call, order, None, request_id) for order in orders]


@operation("POST /api/v3/order/cancelReplace", "order.cancelReplace", access=Access.SIGNED)
def _cancel_replace(call: Call) -> Json:
    mode = call.params.choice("cancelReplaceMode", _ReplaceMode)
    if mode is None:
        raise missing("cancelReplaceMode")
    request, wanted = _read(call)
    restriction = call.params.choice("cancelRestrictions", _Restriction)
    request_id = call.params.client_id("cancelNewClientOrderId") or _new_id()
    call.params.has("orderRateLimitExceededMode")
    _check(call, request)
    cancel_answer, cancel_error = _attempt(
        lambda: _cancel(
            call, _find(call, "cancelOrderId", "cancelOrigClientOrderId", "UNKNOWN_ORDER"), restriction, request_id
        )
    )
    new_answer: Json | None = None
    new_error: ApiError | None = None
    attempted = cancel_error is None or mode is _ReplaceMode.ALLOW_FAILURE
    if attempted:
        new_answer, new_error = _attempt(lambda: place_order(call, request, wanted))
        if new_error is not None and isinstance(new_error.__cause__, Refused) and cancel_error is None:
            reason = new_error.__cause__.reason
            call.world.exchange.report_rejected(call.owner.name, request, reason, call.now_ms)
    data: Json = {
        "cancelResult": "FAILURE" if cancel_error else "SUCCESS",
        "newOrderResult": "NOT_ATTEMPTED" if not attempted else "FAILURE" if new_error else "SUCCESS",
        "cancelResponse": cancel_error.body() if cancel_error else cancel_answer,
        "newOrderResponse": new_error.body() if new_error else new_answer,
    }
    if cancel_error is None and new_error is None:
        return data
    if cancel_error is not None and (new_error is not None or not attempted):
        raise ApiError(-2022, "Order cancel-replace failed.", 400, data)
    raise ApiError(-2021, "Order cancel-replace partially failed.", 409, data)


def _attempt(action: Any) -> tuple[Json | None, ApiError | None]:
    try:
        return action(), None
    except ApiError as error:
        if error.code == -1102:
            raise
        return None, error


@operation("PUT /api/v3/order/amend/keepPriority", "order.amend.keepPriority", access=Access.SIGNED, weight=4)
def _amend(call: Call) -> Json:
    order = _find(call, "orderId", "origClientOrderId", "UNKNOWN_ORDER")
    quantity = call.params.decimal("newQty")
    if quantity is None:
        raise missing("newQty")
    client_id = call.params.client_id("newClientOrderId") or _new_id()
    instrument = call.world.exchange.instruments[order.symbol]
    if quantity % instrument.step or quantity < instrument.min_quantity:
        raise ApiError(-1013, "Filter failure: LOT_SIZE")
    try:
        before = call.world.exchange.amend(call.owner.name, order, quantity, client_id, call.now_ms)
    except Refused as refusal:
        error = from_refusal(refusal)
        raise ApiError(-2038, error.message) from refusal
    events = [event for event in call.world.exchange.events if isinstance(event, OrderEvent)]
    return render.amended(order, before, events[-1].execution_id, call.now_ms)


def _open_weight(params: Params) -> int:
    return 6 if "symbol" in params.values else 80


@operation("GET /api/v3/openOrders", "openOrders.status", access=Access.SIGNED, weight=_open_weight)
def _open_orders(call: Call) -> list[Json]:
    symbol = call.symbol() if call.params.has("symbol") else None
    orders = [order for order in call.owner.open.values() if symbol in (None, order.symbol)]
    return [render.order_status(order) for order in orders]


def _window(call: Call) -> tuple[int, int]:
    start_ms, end_ms = call.params.integer("startTime"), call.params.integer("endTime")
    if start_ms is not None and end_ms is not None and end_ms - start_ms > 86_400_000:
        raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
    return start_ms or 0, end_ms if end_ms is not None else 2**62


@operation("GET /api/v3/allOrders", "allOrders", access=Access.SIGNED, weight=20)
def _all_orders(call: Call) -> list[Json]:
    orders = list(call.owner.orders.get(call.symbol(), {}).values())
    limit, first = call.params.number("limit", 500, 1_000), call.params.integer("orderId")
    start_ms, end_ms = _window(call)
    if first is not None:
        kept = [order for order in orders if order.order_id >= first][:limit]
    else:
        kept = [order for order in orders if start_ms <= order.created_ms <= end_ms]
        kept = kept[:limit] if call.params.has("startTime") else kept[-limit:]
    return [render.order_status(order) for order in kept]


@operation(
    "GET /api/v3/myTrades",
    "myTrades",
    access=Access.SIGNED,
    weight=lambda params: 5 if "orderId" in params.values else 20,
)
def _my_trades(call: Call) -> list[Json]:
    fills = call.owner.executions.get(call.symbol(), [])
    limit, first, order_id = (
        call.params.number("limit", 500, 1_000),
        call.params.integer("fromId"),
        call.params.integer("orderId"),
    )
    start_ms, end_ms = _window(call)
    if first is not None and (call.params.has("startTime") or call.params.has("endTime")):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    kept = [fill for fill in fills if start_ms <= fill.time_ms <= end_ms]
    if order_id is not None:
        kept = [fill for fill in kept if fill.order_id == order_id]
    if first is not None:
        kept = [fill for fill in kept if fill.trade_id >= first][:limit]
    elif call.params.has("startTime"):
        kept = kept[:limit]
    else:
        kept = kept[-limit:]
    return [render.my_trade(fill) for fill in kept]


@operation("GET /api/v3/account", "account.status", access=Access.SIGNED, weight=20)
def _account(call: Call) -> Json:
    omit_zero = call.params.flag("omitZeroBalances")
    assets: dict[str, None] = {}
    for instrument in call.world.exchange.instruments.values():
        assets[instrument.base] = assets[instrument.quote] = None
    for asset in (*call.owner.free, *call.owner.locked):
        assets[asset] = None
    return render.account_info(call.owner, list(assets), omit_zero)


@operation("GET /api/v3/account/commission", "account.commission", access=Access.SIGNED, weight=20)
def _commission(call: Call) -> Json:
    fees, nothing = call.owner.fees, text_e8(0)
    standard = {"maker": text_e8(fees.maker), "taker": text_e8(fees.taker), "buyer": nothing, "seller": nothing}
    none = dict.fromkeys(standard, nothing)
    return {
        "symbol": call.symbol(),
        "standardCommission": standard,
        "specialCommission": none,
        "taxCommission": none,
        "discount": _discount(),
    }


@operation("GET /api/v3/rateLimit/order", "account.rateLimits.orders", access=Access.SIGNED, weight=40)
def _order_counts(call: Call) -> list[Json]:
    return call.meter.order_usage(call.owner.name, call.now_ms)


@operation("GET /api/v3/myPreventedMatches", "myPreventedMatches", access=Access.SIGNED, weight=20)
def _prevented(call: Call) -> list[Json]:
    symbol = call.symbol()
    wanted, order_id = call.params.integer("preventedMatchId"), call.params.integer("orderId")
    if wanted is None and order_id is None:
        raise missing("preventedMatchId")
    return [
        {
            "symbol": symbol,
            "preventedMatchId": order.prevented_match_id,
            "takerOrderId": order.counter_order_id,
            "makerSymbol": symbol,
            "makerOrderId": order.order_id,
            "tradeGroupId": order.prevented_match_id,
            "selfTradePreventionMode": str(order.prevention),
            "price": text_e8(order.price),
            "makerPreventedQuantity": text_e8(order.prevented),
            "transactTime": order.updated_ms,
        }
        for order in call.owner.orders.get(symbol, {}).values()
        if order.prevented_match_id >= 0
        and (wanted is None or order.prevented_match_id == wanted)
        and (order_id is None or order.order_id == order_id)
    ]
