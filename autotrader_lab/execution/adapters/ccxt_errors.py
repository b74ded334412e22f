"""What ccxt raises, translated into our few errors, in one place and one table.

The distinction that costs money is made here: for a *submit*, ``REFUSED`` says that nothing was or will be executed,
``DOUBT`` that the order may be working. ccxt's class tree does not follow that line (``RateLimitExceeded`` is a
``NetworkError``, a bare ``ExchangeError`` may be half an answer), so every class has a row of its own. What a client
library raises may carry signed addresses; :func:`translate` strips them before anybody can print them.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

from autotrader_lab.model.errors import (
    AuthenticationFailed,
    AutoTraderError,
    InstrumentError,
    NotConnected,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueUnavailable,
)

__all__ = ["MEANINGS", "Action", "Meaning", "meaning_of", "scrub", "told", "translate", "venue_code"]

Action = Literal["submit", "amend", "cancel", "query"]


class Meaning(Enum):
    """What an error says about the request that raised it."""

    REFUSED = "the venue refused it, nothing changed"
    DOUBT = "nobody said what became of it"
    DUPLICATE = "the venue already has an open order with this client id"
    RATE_LIMITED = "the venue asks to wait, nothing changed"
    AUTHENTICATION = "the keys are wrong or lack a permission"
    NOT_FOUND = "the venue knows no such order"
    NO_SYMBOL = "the venue lists no such symbol"
    NEVER_LEFT = "it certainly never left"
    CLOSED = "the connection was closed by us"


_M = Meaning
MEANINGS: dict[str, Meaning] = {
    "BaseError": _M.DOUBT,
    # A bare ExchangeError is what a truncated body or an unlisted code becomes. Its subclasses are the venue's words.
    "ExchangeError": _M.DOUBT,
    "AuthenticationError": _M.AUTHENTICATION,
    "PermissionDenied": _M.AUTHENTICATION,
    "AccountNotEnabled": _M.AUTHENTICATION,
    "AccountSuspended": _M.AUTHENTICATION,
    "ArgumentsRequired": _M.REFUSED,
    "BadRequest": _M.REFUSED,
    "BadSymbol": _M.NO_SYMBOL,
    "OperationRejected": _M.REFUSED,
    "NoChange": _M.REFUSED,
    "MarginModeAlreadySet": _M.REFUSED,
    "MarketClosed": _M.REFUSED,
    "ManualInteractionNeeded": _M.REFUSED,
    "RestrictedLocation": _M.REFUSED,
    "InsufficientFunds": _M.REFUSED,
    "InvalidAddress": _M.REFUSED,
    "AddressPending": _M.REFUSED,
    "InvalidOrder": _M.REFUSED,
    "OrderNotFound": _M.NOT_FOUND,
    "OrderNotCached": _M.NOT_FOUND,
    "OrderImmediatelyFillable": _M.REFUSED,
    "OrderNotFillable": _M.REFUSED,
    "DuplicateOrderId": _M.DUPLICATE,
    "ContractUnavailable": _M.REFUSED,
    "NotSupported": _M.REFUSED,
    "InvalidProxySettings": _M.NEVER_LEFT,
    "ExchangeClosedByUser": _M.CLOSED,
    "OperationFailed": _M.DOUBT,
    "NetworkError": _M.DOUBT,
    # These three are NetworkErrors by class, yet the venue answered and did nothing. What came too late for the window
    # of its timestamp may be asked again, as if it had never left.
    "DDoSProtection": _M.RATE_LIMITED,
    "RateLimitExceeded": _M.RATE_LIMITED,
    "InvalidNonce": _M.NEVER_LEFT,
    "ChecksumError": _M.DOUBT,
    "ExchangeNotAvailable": _M.DOUBT,
    "OnMaintenance": _M.DOUBT,
    "RequestTimeout": _M.DOUBT,
    "BadResponse": _M.DOUBT,
    "NullResponse": _M.DOUBT,
    "CancelPending": _M.DOUBT,
    "UnsubscribeError": _M.DOUBT,
}

_RAISED: dict[Meaning, dict[Action, type[AutoTraderError]]] = {
    _M.REFUSED: {"submit": OrderRefused, "amend": OrderRefused, "cancel": OrderRefused, "query": VenueError},
    _M.DOUBT: {
        "submit": OutcomeUnknown,
        "amend": OutcomeUnknown,
        "cancel": VenueUnavailable,
        "query": VenueUnavailable,
    },
    # An open order with our id is the very order we are looking for: refusing it would lose it.
    _M.DUPLICATE: {"submit": OutcomeUnknown, "amend": OrderRefused, "cancel": OrderRefused, "query": VenueError},
    _M.RATE_LIMITED: dict.fromkeys(("submit", "amend", "cancel", "query"), RateLimited),
    _M.AUTHENTICATION: {
        "submit": OrderRefused,
        "amend": AuthenticationFailed,
        "cancel": AuthenticationFailed,
        "query": AuthenticationFailed,
    },
    _M.NOT_FOUND: {
        "submit": OrderRefused,
        "amend": OrderNotFound,
        "cancel": OrderNotFound,
        "query": OrderNotFound,
    },
    _M.NO_SYMBOL: {
        "submit": OrderRefused,
        "amend": InstrumentError,
        "cancel": InstrumentError,
        "query": InstrumentError,
    },
    _M.NEVER_LEFT: dict.fromkeys(("submit", "amend", "cancel", "query"), VenueUnavailable),
    _M.CLOSED: dict.fromkeys(("submit", "amend", "cancel", "query"), NotConnected),
}


def meaning_of(error: BaseException, codes: Mapping[str, Meaning] | None = None) -> Meaning:
    """What `error` says about the request that raised it.

    Parameters
    ----------
    error : BaseException
        What the client library raised.
    codes : mapping of str to Meaning, optional
        The venue's own codes, where they are plainer than ccxt's class. ``51*`` stands for all codes that begin so and
        ``*`` for all others, both only where ccxt knows no class of its own.
    """
    code = venue_code(error)
    known = (codes or {}).get(code)
    if known is not None:
        return known
    if _never_left(error):
        return Meaning.NEVER_LEFT
    if 500 <= getattr(error, "http_status", 200) < 600:
        return Meaning.DOUBT  # whatever class ccxt has for its code: a broken server's word is no refusal
    names = (kind.__name__ for kind in type(error).__mro__)
    name = next((name for name in names if name in MEANINGS), "BaseError")
    status = getattr(error, "http_status", 200)
    if name == "ExchangeError" and status in (418, 429):
        return Meaning.RATE_LIMITED
    if name == "ExchangeError" and codes and code:
        # ccxt knows no class for it, yet it is a whole answer with a code in it: the code's family tells.
        return codes.get(f"{code[:2]}*") or codes.get("*") or MEANINGS[name]
    return MEANINGS[name]


def translate(
    error: BaseException, action: Action, what: str, codes: Mapping[str, Meaning] | None = None
) -> AutoTraderError:
    """Our error for what the client library raised; raise it ``from error``, which is scrubbed of signatures.

    Parameters
    ----------
    error : BaseException
    action : {"submit", "amend", "cancel", "query"}
        What was asked for.
    what : str
        Names venue and request in the message.
    codes : mapping of str to Meaning, optional
        See :func:`meaning_of`.
    """
    meaning = meaning_of(error, codes)
    kind = _RAISED[meaning][action]
    message = f"{what}: {venue_message(error)}"
    scrub_error(error)
    if kind is RateLimited:
        return RateLimited(message, getattr(error, "retry_after_s", None))
    if kind is OrderRefused:
        return OrderRefused(venue_message(error), venue_code(error) or _snake(type(error).__name__))
    if meaning is Meaning.DUPLICATE:
        message += " (the venue already has an open order with this client id: look it up)"
    return kind(message)


def _never_left(error: BaseException) -> bool:
    """Whether the connection was never made, so that nothing can have been sent."""
    names = {"ClientConnectorError", "ConnectionTimeoutError", "ClientConnectorDNSError", "ClientConnectorSSLError"}
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (socket.gaierror, ConnectionRefusedError)):
            return True
        if names.intersection(kind.__name__ for kind in type(seen).__mro__):
            return True
        seen = seen.__cause__
    return False


def venue_code(error: BaseException) -> str:
    """The venue's code, "" where it gave none."""
    return str(getattr(error, "venue_code", "") or told(_body(error))[0])


def venue_message(error: BaseException) -> str:
    """What went wrong in the venue's words where it had any, without signatures and keys."""
    code, words = told(_body(error))
    code = getattr(error, "venue_code", "") or code
    words = getattr(error, "venue_message", "") or words
    if words:
        return scrub(f"{words} ({code})" if code and code != words else words)
    text = scrub(str(error)).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def told(body: Mapping[str, Any]) -> tuple[str, str]:
    """Code and words of an error answer, each "" where there is none.

    The venues' shapes: ``{code, msg}`` (Binance), the same with ``data: [{sCode, sMsg}]`` (OKX), ``{error,
    error_details, message}``, ``{errors: [{id, message}]}`` and ``{success, error_response: {…}}`` (Coinbase).
    """
    for name, code, words in (("data", "sCode", "sMsg"), ("errors", "id", "message")):
        rows = body.get(name)
        row = next((row for row in rows if isinstance(row, Mapping)), {}) if isinstance(rows, list) else {}
        if row.get(code) and str(row[code]) != "0":
            return str(row[code]), str(row.get(words) or "").strip()
    inner = body.get("error_response")
    if isinstance(inner, Mapping):
        reasons = [str(inner.get(name) or "") for name in _REASONS]
        reason = next((reason for reason in reasons if reason and "UNKNOWN" not in reason), reasons[-1])
        return reason, str(inner.get("error_details") or inner.get("message") or reason)
    if isinstance(body.get("error"), str):
        return body["error"], str(body.get("error_details") or body.get("message") or body["error"])
    return str(body.get("code", "")), str(body.get("msg") or "").strip()


_REASONS = ("new_order_failure_reason", "preview_failure_reason", "error")


def _body(error: BaseException) -> dict[str, Any]:
    """The venue's JSON inside a ccxt message, which reads ``binance {"code":-2010,"msg":"…"}``."""
    text = str(error)
    start = text.find("{")
    if start < 0:
        return {}
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


_QUERY = re.compile(r"(https?://[^\s?]+)\?\S*")
_SIGNED = re.compile(
    r"(?i)([\"']?(?:signature|sign|api_?key|x-mbx-apikey|ok-access-[a-z]+|passphrase|jwt|secret)[\"']?\s*[=:]\s*)"
    r"[\"']?[^\s&\"',}]+[\"']?"
)
_BEARER = re.compile(r"(?i)(bearer\s+)[\w.~+/=-]+")


def scrub(text: str) -> str:
    """`text` without the query part of addresses and without anything that names itself key or signature."""
    return _SIGNED.sub(r"\1***", _BEARER.sub(r"\1***", _QUERY.sub(r"\1?***", text)))


def scrub_error(error: BaseException) -> None:
    """Scrub `error` and what caused it, in place: tracebacks print them."""
    seen: BaseException | None = error
    while seen is not None:
        if any(isinstance(part, str) for part in seen.args):
            seen.args = tuple(scrub(part) if isinstance(part, str) else part for part in seen.args)
        seen = seen.__cause__ or seen.__context__


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
