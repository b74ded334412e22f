"""How faults look at Interactive Brokers: what its messages are called, and what TWS says when something is wrong.

Requests go by the names of the published client's functions over the channel ``ws-api``, events by those of its
callbacks. A changed order is a ``placeOrder`` like a new one, and both are of the kind *submit*.
"""

from __future__ import annotations

from collections.abc import Mapping

from autotrader_lab.sandbox.faults import Passing, Verdict, Vocabulary
from autotrader_lab.sandbox.venues.faulty import Dialect
from autotrader_lab.sandbox.venues.hooks import Answer, RequestInfo
from autotrader_lab.sandbox.venues.ibkr.session import NAMES

__all__ = ["IbkrDialect", "make_dialect"]

_KINDS: Mapping[str, str] = {
    "placeOrder": "submit",
    "cancelOrder": "cancel",
    "reqGlobalCancel": "cancel",
    "reqOpenOrders": "query",
    "reqAllOpenOrders": "query",
    "reqCompletedOrders": "query",
    "reqExecutions": "query",
    "reqPositions": "query",
    "reqAccountUpdates": "query",
    "reqAccountUpdatesMulti": "query",
    "reqAccountSummary": "query",
    "reqPnL": "query",
    "reqPnLSingle": "query",
    "reqIds": "session",
    "reqManagedAccts": "session",
    "reqCurrentTime": "session",
}
_EVENTS: Mapping[str, tuple[str, str]] = {
    "1": ("tickPrice", "quote"),
    "2": ("tickSize", "quote"),
    "3": ("orderStatus", "order"),
    "5": ("openOrder", "order"),
    "11": ("execDetails", "fill"),
    "12": ("updateMktDepth", "book"),
    "13": ("updateMktDepthL2", "book"),
    "45": ("tickGeneric", "quote"),
    "46": ("tickString", "quote"),
    "50": ("realtimeBar", "candle"),
    "59": ("commissionReport", "fill"),
    "90": ("historicalDataUpdate", "candle"),
    "99": ("tickByTick", "quote"),
}


class IbkrDialect(Dialect):
    """The socket protocol of TWS."""

    def __init__(self) -> None:
        super().__init__("ibkr")

    def vocabulary(self) -> Vocabulary:
        events = frozenset(name for name, _ in _EVENTS.values())
        return Vocabulary("ibkr", frozenset({"ws-api", "stream", "user"}), frozenset(NAMES.values()), events)

    def request(self, info: RequestInfo) -> Passing:
        symbol, side = str(info.params.get("symbol", "")), str(info.params.get("side", "")).lower()
        kind = _KINDS.get(info.operation, "public")
        return Passing("ibkr", info.world, info.channel, info.operation, kind, symbol, side)

    def event(self, world: str, channel: str, text: str) -> Passing:
        fields = text.split("\0")
        name, kind = _EVENTS.get(fields[0], ("", ""))
        symbol = side = ""
        if fields[0] in ("5", "11") and len(fields) > 18:
            at = 3 if fields[0] == "5" else 4
            symbol = f"{fields[at]}.{fields[at + 6]}" if fields[at + 1] == "CASH" else fields[at]
            word = fields[13] if fields[0] == "5" else fields[18]
            side = {"BUY": "buy", "BOT": "buy", "SELL": "sell", "SLD": "sell"}.get(word, "")
        return Passing("ibkr", world, channel, name, kind, symbol, side)

    def failure(self, verdict: Verdict, channel: str, now_ms: int) -> Answer:
        if verdict.action == "rate_limit":
            text = "Max rate of messages per second has been exceeded:max=50 rec=51 (1)"
            return Answer(429, {"code": 100, "msg": text})
        if verdict.action == "maintenance":
            text = "Connectivity between TWS and server is broken. It will be restored automatically."
            return Answer(503, {"code": 2110, "msg": text})
        return Answer(verdict.status, {"code": 504, "msg": "Not connected"})

    def notice(self, channel: str, now_ms: int) -> str:
        fields = ("4", "2", "-1", "1100", "Connectivity between IB and Trader Workstation has been lost.", "")
        return "".join(f"{field}\0" for field in fields)


def make_dialect() -> IbkrDialect:
    """The dialect of this package."""
    return IbkrDialect()
