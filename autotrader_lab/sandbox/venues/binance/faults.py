"""How faults look at Binance: the kinds of its requests and events, and its documented words for failure."""

from __future__ import annotations

import json
from typing import Any

from autotrader_lab.sandbox.faults import Passing, Verdict, Vocabulary
from autotrader_lab.sandbox.venues.binance import private, public
from autotrader_lab.sandbox.venues.binance.calls import OPERATIONS, Access
from autotrader_lab.sandbox.venues.binance.wsapi import SESSION_METHODS
from autotrader_lab.sandbox.venues.faulty import Dialect
from autotrader_lab.sandbox.venues.hooks import Answer, RequestInfo

__all__ = ["BinanceDialect", "make_dialect"]

REGISTERED_BY = (public, private)

_KINDS = {
    "POST /api/v3/order": "submit",
    "POST /api/v3/order/cancelReplace": "submit",
    "DELETE /api/v3/order": "cancel",
    "DELETE /api/v3/openOrders": "cancel",
    "PUT /api/v3/order/amend/keepPriority": "amend",
    "order.place": "submit",
    "order.cancelReplace": "submit",
    "order.cancel": "cancel",
    "openOrders.cancelAll": "cancel",
    "order.amend.keepPriority": "amend",
}
_EVENTS = {
    "executionReport": "order",
    "outboundAccountPosition": "account",
    "balanceUpdate": "account",
    "trade": "trade",
    "aggTrade": "trade",
    "bookTicker": "quote",
    "depthUpdate": "book",
    "depth": "book",
    "kline": "candle",
    "24hrTicker": "ticker",
    "24hrMiniTicker": "ticker",
    "avgPrice": "ticker",
}


class BinanceDialect(Dialect):
    """Binance spot."""

    def __init__(self) -> None:
        super().__init__("binance")

    def vocabulary(self) -> Vocabulary:
        return Vocabulary(
            "binance",
            frozenset({"rest", "ws-api", "stream", "user"}),
            frozenset({*OPERATIONS, *SESSION_METHODS}),
            frozenset(_EVENTS),
        )

    def request(self, info: RequestInfo) -> Passing:
        name = info.operation
        kind = _KINDS.get(name, "")
        if not kind:
            if name in SESSION_METHODS:
                kind = "session"
            else:
                kind = "query" if OPERATIONS[name].access is Access.SIGNED else "public"
        symbol, side = str(info.params.get("symbol", "")), str(info.params.get("side", "")).lower()
        return Passing("binance", info.world, info.channel, name, kind, symbol, side)

    def event(self, world: str, channel: str, text: str) -> Passing:
        body: Any = json.loads(text)
        body = body.get("event", body.get("data", body)) if isinstance(body, dict) else body
        one: Any = body[0] if isinstance(body, list) and body else body
        if not isinstance(one, dict):
            return Passing("binance", world, channel, "")
        name = str(
            one.get("e", "bookTicker" if "u" in one and "b" in one else "depth" if "lastUpdateId" in one else "")
        )
        kind = "fill" if one.get("x") == "TRADE" else _EVENTS.get(name, "")
        side = {"BUY": "buy", "SELL": "sell"}.get(str(one.get("S", "")), "")
        return Passing("binance", world, channel, name, kind, str(one.get("s", "")), side)

    def failure(self, verdict: Verdict, channel: str, now_ms: int) -> Answer:
        if verdict.action == "rate_limit":
            until_ms = now_ms + verdict.retry_after_s * 1000
            text = (
                "Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API."
            )
            if verdict.ban:
                text = f"Way too much request weight used; IP banned until {until_ms}."
            body: dict[str, Any] = {"code": -1003, "msg": text}
            if channel == "ws-api":
                body["data"] = {"serverTime": now_ms, "retryAfter": until_ms}
            return Answer(418 if verdict.ban else 429, body, {"Retry-After": str(verdict.retry_after_s)})
        if verdict.action == "maintenance":
            return Answer(503, {"code": -1016, "msg": "This service is no longer available."})
        text = "Unknown error, please check your request or try again later."
        return Answer(verdict.status, {"code": -1000, "msg": text})

    def notice(self, channel: str, now_ms: int) -> str:
        event = {"e": "serverShutdown", "E": now_ms}
        return json.dumps({"event": event} if channel == "user" else event)


def make_dialect() -> BinanceDialect:
    """The dialect of this package."""
    return BinanceDialect()
