"""How faults look at Coinbase: the kinds of its requests and events, and its words for failure."""

from __future__ import annotations

import json
from typing import Any

from autotrader_lab.sandbox.faults import Passing, Verdict, Vocabulary
from autotrader_lab.sandbox.venues.coinbase.api import OPERATION_MODULES, VENUE
from autotrader_lab.sandbox.venues.coinbase.calls import OPERATIONS
from autotrader_lab.sandbox.venues.faulty import Dialect
from autotrader_lab.sandbox.venues.hooks import Answer, RequestInfo

__all__ = ["CoinbaseDialect", "make_dialect"]

REGISTERED_BY = OPERATION_MODULES

_ORDERS = "POST /api/v3/brokerage/orders"
_KINDS = {
    _ORDERS: "submit",
    f"{_ORDERS}/batch_cancel": "cancel",
    f"{_ORDERS}/edit": "amend",
}
_EVENTS = {
    "user": "order",
    "l2_data": "book",
    "market_trades": "trade",
    "ticker": "ticker",
    "ticker_batch": "ticker",
    "candles": "candle",
    "status": "",
    "heartbeats": "",
}


class CoinbaseDialect(Dialect):
    """Coinbase Advanced Trade."""

    def __init__(self) -> None:
        super().__init__(VENUE)

    def vocabulary(self) -> Vocabulary:
        return Vocabulary(VENUE, frozenset({"rest", "stream", "user"}), frozenset(OPERATIONS), frozenset(_EVENTS))

    def request(self, info: RequestInfo) -> Passing:
        name = info.operation
        kind = _KINDS.get(name) or ("query" if OPERATIONS[name].is_private else "public")
        symbol, side = str(info.params.get("product_id") or ""), str(info.params.get("side") or "")
        return Passing(VENUE, info.world, info.channel, name, kind, symbol, side.lower())

    def event(self, world: str, channel: str, text: str) -> Passing:
        body: dict[str, Any] = json.loads(text)
        name = str(body.get("channel", ""))
        event: dict[str, Any] = (body.get("events") or [{}])[0]
        lists = [event[part] for part in ("orders", "trades", "tickers", "candles") if event.get(part)]
        row: dict[str, Any] = lists[0][0] if lists else {}
        kind = _EVENTS.get(name, "")
        if name == "user" and row.get("number_of_fills", "0") != "0":
            kind = "fill"
        symbol = str(event.get("product_id") or row.get("product_id") or "")
        side = str(row.get("order_side") or row.get("side") or "").lower()
        return Passing(VENUE, world, channel, name, kind, symbol, side)

    def failure(self, verdict: Verdict, channel: str, now_ms: int) -> Answer:
        if verdict.action == "rate_limit":
            body: dict[str, Any] = {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}
            return Answer(429, body, {"Retry-After": str(verdict.retry_after_s)})
        if verdict.action == "maintenance":
            return Answer(503, _words("UNAVAILABLE", "The service is under maintenance."))
        return Answer(verdict.status, _words("INTERNAL", "Internal server error"))

    def notice(self, channel: str, now_ms: int) -> str:
        return json.dumps({"type": "error", "message": "server going away"})


def _words(error: str, message: str) -> dict[str, Any]:
    return {"error": error, "error_details": message, "message": message}


def make_dialect() -> CoinbaseDialect:
    """The dialect of this package."""
    return CoinbaseDialect()
