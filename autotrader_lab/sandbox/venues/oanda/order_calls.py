"""Operations about orders, and closing trades and positions, which are orders too."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.venues.oanda.api import Call, operation
from autotrader_lab.sandbox.venues.oanda.errors import MESSAGES, ApiError, Rejected
from autotrader_lab.sandbox.venues.oanda.instruments import CATALOGUE, units_text
from autotrader_lab.sandbox.venues.oanda.reading import Wish, read_extensions, read_order, read_units

__all__: list[str] = []

Json = dict[str, Any]
ACCOUNT = "/v3/accounts/{account}"


def _last(call: Call) -> Json:
    return {"lastTransactionID": call.desk.record.last_id}


@operation(f"POST {ACCOUNT}/orders")
def _create(call: Call) -> tuple[int, Json]:
    return 201, call.desk.create(read_order(call.body.get("order")))


@operation(f"GET {ACCOUNT}/orders")
def _orders(call: Call) -> tuple[int, Json]:
    state, count = call.query.get("state", "PENDING"), min(call.number("count", 50), 500)
    wanted, name, before = call.query.get("ids"), call.query.get("instrument"), call.number("beforeID", 2**62)
    rows = [
        order
        for order in reversed(call.desk.orders.values())
        if state in ("ALL", order.state)
        and (not wanted or str(order.order_id) in wanted.split(","))
        and name in (None, order.pair.name)
        and order.order_id < before
    ]
    return 200, {"orders": [order.json() for order in rows[:count]], **_last(call)}


@operation(f"GET {ACCOUNT}/pendingOrders")
def _pending(call: Call) -> tuple[int, Json]:
    return 200, {"orders": [order.json() for order in call.desk.pending()], **_last(call)}


@operation(f"GET {ACCOUNT}/orders/{{order}}")
def _order(call: Call) -> tuple[int, Json]:
    found = call.desk.find_order(call.path["order"])
    if found is None:
        raise ApiError(404, "The order specified does not exist", "NO_SUCH_ORDER", _last(call))
    return 200, {"order": found.json(), **_last(call)}


@operation(f"PUT {ACCOUNT}/orders/{{order}}")
def _replace(call: Call) -> tuple[int, Json]:
    specifier = call.path["order"]
    wish = read_order(call.body.get("order"))
    return 201, call.desk.replace(call.desk.find_order(specifier), specifier, wish)


@operation(f"PUT {ACCOUNT}/orders/{{order}}/cancel")
def _cancel(call: Call) -> tuple[int, Json]:
    specifier = call.path["order"]
    return 200, call.desk.cancel(call.desk.find_order(specifier), specifier)


@operation(f"PUT {ACCOUNT}/orders/{{order}}/clientExtensions")
def _extend(call: Call) -> tuple[int, Json]:
    return 200, call.desk.extend(call.desk.find_order(call.path["order"]), read_extensions(call.body))


def _closing(instrument: str, units: int) -> Wish:
    return Wish(
        type="MARKET",
        instrument=instrument,
        units_text=units_text(units),
        price_text="",
        bound_text="",
        time_in_force="FOK",
        good_till=None,
        position_fill="REDUCE_ONLY",
        trigger="DEFAULT",
        extensions={},
        trade_extensions={},
    )


def _refuse(call: Call, reason: str, status: int, name: str, body: Json) -> ApiError:
    refused = call.desk.record.add("MARKET_ORDER_REJECT", {**body, "rejectReason": reason})
    more = {name: refused, "relatedTransactionIDs": [refused["id"]], **_last(call)}
    return ApiError(status, MESSAGES[reason], reason, more)


@operation(f"PUT {ACCOUNT}/trades/{{trade}}/close")
def _close_trade(call: Call) -> tuple[int, Json]:
    trade = call.desk.find_trade(call.path["trade"])
    asked = str(call.body.get("units", "ALL"))
    detail: Json = {"timeInForce": "FOK", "positionFill": "REDUCE_ONLY", "reason": "TRADE_CLOSE"}
    if trade is None or not trade.is_open:
        detail["tradeClose"] = {"tradeID": call.path["trade"], "units": asked}
        raise _refuse(call, "TRADE_DOESNT_EXIST", 404, "orderRejectTransaction", detail)
    detail = {"instrument": trade.pair.name, **detail, "tradeClose": {"tradeID": str(trade.trade_id), "units": asked}}
    try:
        wanted = abs(trade.units) if asked == "ALL" else abs(read_units(asked, trade.pair))
        if wanted > abs(trade.units):
            raise Rejected("CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE")
    except Rejected as rejected:
        raise _refuse(call, rejected.reason, 400, "orderRejectTransaction", detail) from rejected
    wish = _closing(trade.pair.name, -wanted if trade.units > 0 else wanted)
    extra = {"tradeClose": detail["tradeClose"]}
    return 200, call.desk.create(wish, "TRADE_CLOSE", extra, only=trade)


@operation(f"PUT {ACCOUNT}/trades/{{trade}}/clientExtensions")
def _extend_trade(call: Call) -> tuple[int, Json]:
    trade = call.desk.find_trade(call.path["trade"])
    extensions = read_extensions(call.body)
    body = {"tradeID": call.path["trade"], "tradeClientExtensionsModify": extensions}
    if trade is None or not trade.is_open:
        body["rejectReason"] = "TRADE_DOESNT_EXIST"
        refused = call.desk.record.add("TRADE_CLIENT_EXTENSIONS_MODIFY_REJECT", body)
        more = {"tradeClientExtensionsModifyRejectTransaction": refused, **_last(call)}
        raise ApiError(404, MESSAGES["TRADE_DOESNT_EXIST"], "TRADE_DOESNT_EXIST", more)
    trade.extensions = {**trade.extensions, **extensions}
    changed = call.desk.record.add("TRADE_CLIENT_EXTENSIONS_MODIFY", {**body, "tradeID": str(trade.trade_id)})
    answer = {"tradeClientExtensionsModifyTransaction": changed, "relatedTransactionIDs": [changed["id"]]}
    return 200, {**answer, **_last(call)}


@operation(f"PUT {ACCOUNT}/positions/{{instrument}}/close")
def _close_position(call: Call) -> tuple[int, Json]:
    name = call.path["instrument"]
    if name not in CATALOGUE:
        raise ApiError(400, "Invalid value specified for 'instrument'")
    pair, held = CATALOGUE[name], call.desk.account.holding(name).quantity
    asked = {side: str(call.body.get(f"{side}Units", "NONE")) for side in ("long", "short")}
    wanted = {side: text for side, text in asked.items() if text != "NONE"}
    detail: Json = {"instrument": name, "timeInForce": "FOK", "positionFill": "REDUCE_ONLY"}
    detail["reason"] = "POSITION_CLOSEOUT"
    if not wanted:
        reason = "CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION"
        raise _refuse(call, reason, 400, "longOrderRejectTransaction", detail)
    answer: Json = {}
    related: list[str] = []
    for side, text in wanted.items():
        there = max(0, held) if side == "long" else max(0, -held)
        closeout = {f"{side}PositionCloseout": {"instrument": name, "units": text}}
        rejection = f"{side}OrderRejectTransaction"
        if not there:
            if related or (len(wanted) == 2 and held):
                continue
            raise _refuse(call, "CLOSEOUT_POSITION_DOESNT_EXIST", 404, rejection, {**detail, **closeout})
        try:
            units = there if text == "ALL" else abs(read_units(text, pair))
            if units > there:
                raise Rejected("CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE")
        except Rejected as rejected:
            raise _refuse(call, rejected.reason, 400, rejection, {**detail, **closeout}) from rejected
        wish = _closing(name, -units if side == "long" else units)
        done = call.desk.create(wish, "POSITION_CLOSEOUT", closeout)
        for key in ("orderCreateTransaction", "orderFillTransaction", "orderCancelTransaction"):
            if key in done:
                answer[side + key[0].upper() + key[1:]] = done[key]
        related += done["relatedTransactionIDs"]
    return 200, {**answer, "relatedTransactionIDs": related, **_last(call)}
