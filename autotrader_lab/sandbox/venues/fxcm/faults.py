"""How faults look at FXCM: the kinds of its messages, and what its server says when it fails."""

from __future__ import annotations

from autotrader_lab.sandbox.faults import Passing, Verdict, Vocabulary
from autotrader_lab.sandbox.venues.faulty import Dialect
from autotrader_lab.sandbox.venues.fxcm.wire import SOH
from autotrader_lab.sandbox.venues.hooks import Answer, RequestInfo

__all__ = ["FxcmDialect", "make_dialect"]

_REQUESTS = {
    "D": "submit",
    "F": "cancel",
    "G": "amend",
    "H": "query",
    "AF": "query",
    "AN": "query",
    "BB": "query",
    "V": "public",
    "g": "public",
    "BE": "session",
}
_EVENTS = {"8": "order", "9": "order", "AP": "account", "AO": "account", "BA": "account", "W": "quote", "h": "quote"}


class FxcmDialect(Dialect):
    """FIX: requests and events go by their message type (tag 35)."""

    def __init__(self) -> None:
        super().__init__("fxcm")

    def vocabulary(self) -> Vocabulary:
        return Vocabulary(
            "fxcm", frozenset({"fix", "stream", "user"}), frozenset(_REQUESTS), frozenset({*_EVENTS, "BF", "j", "Y"})
        )

    def request(self, info: RequestInfo) -> Passing:
        symbol, side = str(info.params.get("symbol", "")), str(info.params.get("side", ""))
        kind = _REQUESTS.get(info.operation, "")
        return Passing("fxcm", info.world, info.channel, info.operation, kind, symbol, side)

    def event(self, world: str, channel: str, text: str) -> Passing:
        tags = dict(part.split("=", 1) for part in reversed(text.split(SOH)) if "=" in part)
        name = tags.get("35", "")
        kind = "fill" if name == "8" and tags.get("150") == "F" else _EVENTS.get(name, "")
        side = {"1": "buy", "2": "sell"}.get(tags.get("54", ""), "")
        return Passing("fxcm", world, channel, name, kind, tags.get("55", ""), side)

    def failure(self, verdict: Verdict, channel: str, now_ms: int) -> Answer:
        words = {
            "rate_limit": "Too many requests",
            "maintenance": "Trading system is not available: maintenance",
        }
        return Answer(503, {"error": words.get(verdict.action, "Application not available")})

    def notice(self, channel: str, now_ms: int) -> str:
        return f"35=B{SOH}148=The server is going down{SOH}33=1{SOH}58=The server is going down"


def make_dialect() -> FxcmDialect:
    """The dialect of this package."""
    return FxcmDialect()
