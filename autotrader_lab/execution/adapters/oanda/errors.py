"""What went wrong with a request to Oanda, in our errors: the one place where the library's are known by name.

What counts as the venue's word is a JSON object with its ``errorMessage``. Anything else with an error's status, a
proxy's page say, tells nothing about an order: it is in doubt.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import requests
from oandapyV20.exceptions import StreamTerminated, V20Error
from urllib3.exceptions import HTTPError, ReadTimeoutError

from autotrader_lab.execution.adapters.oanda.crew import Failed
from autotrader_lab.execution.adapters.oanda.wire import StreamStopped
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueUnavailable,
)

__all__ = ["LIBRARY_ERRORS", "Refused", "shown", "translate", "translate_stream"]

LIBRARY_ERRORS = (V20Error, StreamTerminated, requests.RequestException, HTTPError, OSError, ValueError, RecursionError)
"""Everything that can come out of oandapyV20 and what is below it."""

_LONGEST_SHOWN = 200


class Refused(VenueError):
    """The venue said no, in its own words.

    Parameters
    ----------
    message : str
    code : str
        Its errorCode, or the status.
    status : int
    body : dict
        The whole answer, reject transactions included.
    """

    def __init__(self, message: str, code: str, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{message} ({code})")
        self.message = message
        self.code = code
        self.status = status
        self.body = body


def shown(content: bytes | str | object) -> str:
    """Something of the venue's for a message: short, in one line."""
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
    text = " ".join(text[: 4 * _LONGEST_SHOWN].split())
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def translate(failed: Failed, what: str, *, changes: bool, about_order: bool = False) -> VenueError:
    """A failed request in our words.

    Parameters
    ----------
    failed : Failed
    what : str
        What was asked, for the message; names the order where there is one.
    changes : bool
        Whether it would have changed something: then what is not known is :class:`OutcomeUnknown`.
    about_order : bool
        Whether it names an order, so that 404 says that there is none.
    """
    cause = failed.__cause__
    if isinstance(cause, V20Error):
        return _from_status(cause.code, cause.msg, failed.headers, what, changes=changes, about_order=about_order)
    if not failed.left:
        told = f" ({type(cause).__name__})" if cause is not None else ""
        return VenueUnavailable(f"{what}: nothing was sent: {_reason(failed)}{told}")
    kind = OutcomeUnknown if changes else VenueUnavailable
    return kind(f"{what}: {_reason(failed)}")


def _reason(failed: Failed) -> str:
    cause = failed.__cause__
    if cause is None:
        return str(failed)
    if isinstance(cause, requests.Timeout):
        return "no answer in time"
    if isinstance(cause, (requests.RequestException, OSError)):
        # Their texts hold addresses of objects, and no more than the name tells.
        return f"the connection failed ({type(cause).__name__})"
    if isinstance(cause, (ValueError, RecursionError)):
        return f"the answer (status {failed.status}) was not understood ({type(cause).__name__})"
    return type(cause).__name__


def _from_status(
    status: int, text: str, headers: Any, what: str, *, changes: bool, about_order: bool = False
) -> VenueError:
    body = _body(text)
    message, code = shown(body.get("errorMessage", "")), shown(body.get("errorCode", "") or status)
    number = next((f", request {shown(value)}" for name, value in headers.items() if name.lower() == "requestid"), "")
    words = f"{what}: {message or 'an answer without a word of the venue'} (status {status}, {code}{number})"
    doubt = OutcomeUnknown if changes else VenueUnavailable
    if status == 429:
        return RateLimited(words, _seconds(headers))
    if status >= 500 or not message:
        return doubt(words)
    if status == 401:
        return AuthenticationFailed(
            f"{words}. The token is wrong, withdrawn, or the other environment's: practice and live have their own"
        )
    if status == 403:
        return AuthenticationFailed(f"{words}. The token has no permission for this, or the account is not its own")
    if status == 404 and not changes and about_order and "ACCOUNT" not in code:
        return OrderNotFound(words)
    return Refused(f"{what}: {message}", code, status, body)


def _body(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(text)
        if isinstance(body, dict):
            return body
    return {}


def _seconds(headers: Any) -> float | None:
    for name, value in headers.items():
        if name.lower() == "retry-after":
            with contextlib.suppress(ValueError):
                return max(0.0, float(value)) or None
    return None


def translate_stream(error: BaseException, name: str) -> VenueError:
    """Why a stream could not be opened, or ended."""
    if isinstance(error, VenueError):
        return error
    if isinstance(error, V20Error):
        found = _from_status(error.code, error.msg, {}, name, changes=False)
        return found if isinstance(found, (AuthenticationFailed, VenueUnavailable)) else VenueUnavailable(str(found))
    if isinstance(error, StreamStopped):
        return VenueUnavailable(f"{name}: {error}")
    if isinstance(error, (requests.Timeout, ReadTimeoutError, TimeoutError)):
        return VenueUnavailable(f"{name}: silent for too long")
    return VenueUnavailable(f"{name}: the connection failed ({type(error).__name__})")
