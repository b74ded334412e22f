"""How faults look at OKX: the kinds of its requests and events, and its documented words for failure."""

from __future__ import annotations

import json
from typing import Any

from autotrader_lab.sandbox.faults import Passing, Verdict, Vocabulary
from autotrader_lab.sandbox.venues.faulty import Dialect
from autotrader_lab.sandbox.venues.hooks import Answer, RequestInfo
from autotrader_lab.sandbox.venues.okx.api import OPERATION_MODULES, VENUE
from autotrader_lab.sandbox.venues.okx.calls import OPERATIONS
from autotrader_lab.sandbox.venues.okx.feeds import is_candle
from autotrader_lab.sandbox.venues.okx.public import BARS
from autotrader_lab.sandbox.venues.okx.sockets import SOCKET_REQUESTS

__all__ = ["OkxDialect", "make_dialect"]

REGISTERED_BY = OPERATION_MODULES

_TRADE = "POST /api/v5/trade"
_KINDS = {
    f"{_TRADE}/order": "submit",
    f"{_TRADE}/batch-orders": "submit",
    f"{_TRADE}/order-algo": "submit",
    f"{_TRADE}/cancel-order": "cancel",
    f"{_TRADE}/cancel-batch-orders": "cancel",
    f"{_TRADE}/cancel-algos": "cancel",
    f"{_TRADE}/cancel-all-after": "cancel",
    f"{_TRADE}/amend-order": "amend",
    f"{_TRADE}/amend-batch-orders": "amend",
    f"{_TRADE}/amend-algos": "amend",
    "login": "session",
    "order": "submit",
    "batch-orders": "submit",
    "cancel-order": "cancel",
    "batch-cancel-orders": "cancel",
    "amend-order": "amend",
    "batch-amend-orders": "amend",
}
_EVENTS = {
    "orders": "order",
    "orders-algo": "order",
    "fills": "fill",
    "account": "account",
    "balance_and_position": "account",
    "positions": "account",
    "trades": "trade",
    "trades-all": "trade",
    "bbo-tbt": "quote",
    "books": "book",
    "books5": "book",
    "tickers": "ticker",
    "price-limit": "",
    "instruments": "",
    "status": "",
    **{f"candle{bar}": "candle" for bar in BARS},
}


class OkxDialect(Dialect):
    """OKX v5."""

    def __init__(self) -> None:
        super().__init__(VENUE)

    def vocabulary(self) -> Vocabulary:
        channels = frozenset({"rest", "ws-api", "stream", "user"})
        return Vocabulary(VENUE, channels, frozenset({*OPERATIONS, *SOCKET_REQUESTS}), frozenset(_EVENTS))

    def request(self, info: RequestInfo) -> Passing:
        name, symbol = info.operation, str(info.params.get("instId") or "")
        kind = _KINDS.get(name) or ("query" if OPERATIONS[name].is_private else "public")
        return Passing(VENUE, info.world, info.channel, name, kind, symbol, str(info.params.get("side") or "").lower())

    def event(self, world: str, channel: str, text: str) -> Passing:
        body: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
        argument = body.get("arg") or {}
        rows = body.get("data") or [{}]
        row = rows[0] if isinstance(rows[0], dict) else {}
        name = str(argument.get("channel", "")) if "data" in body and "op" not in body else ""
        kind = "candle" if is_candle(name) else _EVENTS.get(name, "")
        if name == "orders" and row.get("tradeId"):
            kind = "fill"
        symbol = str(row.get("instId") or argument.get("instId") or "")
        return Passing(VENUE, world, channel, name, kind, symbol, str(row.get("side", "")))

    def failure(self, verdict: Verdict, channel: str, now_ms: int) -> Answer:
        if verdict.action == "rate_limit":
            return Answer(429, _words("50011", "Too Many Requests"))
        if verdict.action == "maintenance":
            return Answer(503, _words("50001", "Service temporarily unavailable. Try again later"))
        return Answer(verdict.status, _words("50026", "System error. Try again later."))

    def notice(self, channel: str, now_ms: int) -> str:
        text = "The connection will soon be closed for a service upgrade. Please reconnect."
        return json.dumps({"event": "notice", "code": "64008", "msg": text, "connId": "a4d3ae55"})


def _words(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "data": [], "msg": message}


def make_dialect() -> OkxDialect:
    """The dialect of this package."""
    return OkxDialect()
