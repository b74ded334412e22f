"""One small tree of errors, so that a caller can act on what went wrong without knowing any client library.

Adapters translate what a venue or its library raises into these at the edge; the original stays as ``__cause__``.
The one distinction that costs money is between :class:`OrderRefused` (the venue said no: nothing was executed)
and :class:`OutcomeUnknown` (nobody said anything: the order may be working).
"""

from __future__ import annotations

__all__ = [
    "AuthenticationFailed",
    "AutoTraderError",
    "ConfigError",
    "DataError",
    "GateClosed",
    "HostError",
    "IllegalTransition",
    "InstrumentError",
    "JournalError",
    "NotConnected",
    "OrderError",
    "OrderNotFound",
    "OrderRefused",
    "OutcomeUnknown",
    "RateLimited",
    "StrategyError",
    "TradingHalted",
    "VenueError",
    "VenueUnavailable",
]


class AutoTraderError(Exception):
    """Every error of this package."""


class ConfigError(AutoTraderError, ValueError):
    """A configuration value is missing, unknown or out of range."""


class DataError(AutoTraderError, ValueError):
    """Market data that cannot be traded on: missing columns, unsorted, duplicate, NaN or naive-time rows."""


class StrategyError(AutoTraderError):
    """A strategy raised, returned something that is no decision, or cannot travel to the engine host."""


class InstrumentError(AutoTraderError, ValueError):
    """A symbol the venue lacks, or a price or quantity that is not on its grid."""


class OrderError(AutoTraderError, ValueError):
    """An order that makes no sense on its face: negative quantity, a limit without a price."""


class IllegalTransition(AutoTraderError):
    """A report that the order's state has no row for in the transition table."""


class JournalError(AutoTraderError):
    """The journal cannot be opened, written or understood."""


class TradingHalted(AutoTraderError):
    """The kill switch was pulled; a person must re-arm before anything is sent."""


class GateClosed(AutoTraderError):
    """Promotion was asked for without the evidence, or live without arming."""


class HostError(AutoTraderError):
    """The engine host cannot be started, reached or attached to."""


class VenueError(AutoTraderError):
    """Something the venue, or the way to it, did."""


class NotConnected(VenueError):
    """The adapter was used before ``connect`` or after ``disconnect``."""


class AuthenticationFailed(VenueError):
    """Keys are wrong, expired or lack a permission."""


class VenueUnavailable(VenueError):
    """The venue cannot be reached or is down. For a *query*: ask again later. Never raised for a submit that left."""


class RateLimited(VenueUnavailable):
    """The venue asks to wait.

    Parameters
    ----------
    message : str
        What the venue said.
    retry_after_s : float or None
        Seconds the venue asked to wait, where it said so.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OrderRefused(VenueError):
    """The venue refused the order: nothing was or will be executed.

    Parameters
    ----------
    message : str
        The venue's reason, in its words.
    code : str
        The venue's code, or ours where it has none.
    """

    def __init__(self, message: str, code: str = "REFUSED") -> None:
        super().__init__(message)
        self.code = code


class OrderNotFound(VenueError):
    """The venue answers, and knows no such order."""


class OutcomeUnknown(VenueError):
    """The request left and no answer, or no understandable one, came back. The order may be working."""
