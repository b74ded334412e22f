"""How faults look at Oanda: the kinds of its requests and events, and its words for failure."""

from __future__ import annotations

import json
from typing import Any

from autotrader_lab.sandbox.faults import Passing, Verdict, Vocabulary
from autotrader_lab.sandbox.venues.faulty import Dialect
from autotrader_lab.sandbox.venues.hooks import Answer, RequestInfo
from autotrader_lab.sandbox.venues.oanda import account_calls, order_calls
from autotrader_lab.sandbox.venues.oanda.api import OPERATIONS

__all__ = ["OandaDialect", "make_dialect"]

REGISTERED_BY = (account_calls, order_calls)

_ACCOUNT = "/v3/accounts/{account}"
_KINDS = {
    f"POST {_ACCOUNT}/orders": "submit",
    f"PUT {_ACCOUNT}/trades/{{trade}}/close": "submit",
    f"PUT {_ACCOUNT}/positions/{{instrument}}/close": "submit",
    f"PUT {_ACCOUNT}/orders/{{order}}": "amend",
    f"PUT {_ACCOUNT}/orders/{{order}}/clientExtensions": "amend",
    f"PUT {_ACCOUNT}/orders/{{order}}/cancel": "cancel",
    "GET /v3/accounts": "session",
    f"GET {_ACCOUNT}/pricing": "public",
    f"GET {_ACCOUNT}/instruments": "public",
    f"GET {_ACCOUNT}/instruments/{{instrument}}/candles": "public",
    "GET /v3/instruments/{instrument}/candles": "public",
}
_ORDER_EVENTS = frozenset(
    f"{kind}_ORDER{end}" for kind in ("MARKET", "LIMIT", "STOP", "MARKET_IF_TOUCHED") for end in ("", "_REJECT")
)
_EVENTS = {
    "PRICE": "quote",
    "ORDER_FILL": "fill",
    "ORDER_CANCEL": "order",
    "ORDER_CANCEL_REJECT": "order",
    "ORDER_CLIENT_EXTENSIONS_MODIFY": "order",
    "TRANSFER_FUNDS": "account",
    "CLIENT_CONFIGURE": "account",
    **dict.fromkeys(_ORDER_EVENTS, "order"),
}


class OandaDialect(Dialect):
    """Oanda v20."""

    def __init__(self) -> None:
        super().__init__("oanda")

    def vocabulary(self) -> Vocabulary:
        events = frozenset({*_EVENTS, "HEARTBEAT"})
        return Vocabulary("oanda", frozenset({"rest", "stream", "user"}), frozenset(OPERATIONS), events)

    def request(self, info: RequestInfo) -> Passing:
        name, symbol = info.operation, str(info.params.get("symbol", ""))
        side = str(info.params.get("side", ""))
        return Passing("oanda", info.world, info.channel, name, _KINDS.get(name, "query"), symbol, side)

    def event(self, world: str, channel: str, text: str) -> Passing:
        body: dict[str, Any] = json.loads(text)
        name, units = str(body.get("type", "")), str(body.get("units", ""))
        side = "" if not units else "sell" if units.startswith("-") else "buy"
        symbol = str(body.get("instrument", ""))
        return Passing("oanda", world, channel, name, _EVENTS.get(name, ""), symbol, side)

    def failure(self, verdict: Verdict, channel: str, now_ms: int) -> Answer:
        if verdict.action == "rate_limit":
            text = "The rate limit for the API has been exceeded. Please slow down."
            return Answer(429, {"errorMessage": text}, {"Retry-After": str(verdict.retry_after_s)})
        if verdict.action == "maintenance":
            return Answer(503, {"errorMessage": "The service is temporarily unavailable for maintenance."})
        return Answer(verdict.status, {"errorMessage": "Internal server error", "errorCode": "INTERNAL_SERVER_ERROR"})

    def notice(self, channel: str, now_ms: int) -> str:
        return json.dumps({"errorMessage": "This stream is about to be closed."})


def make_dialect() -> OandaDialect:
    """The dialect of this package."""
    return OandaDialect()
