"""Who sends a request: API key, signature, timestamp, as the venue checks them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from autotrader_lab.sandbox.venues.binance.errors import ApiError
from autotrader_lab.sandbox.venues.binance.params import Params
from autotrader_lab.sandbox.world import ApiKey

__all__ = ["check_signature", "check_time", "find_key"]

DEFAULT_WINDOW_MS = 5_000
LONGEST_WINDOW_MS = 60_000
AHEAD_MS = 1_000


def find_key(keys: Mapping[str, ApiKey], presented: str | None) -> ApiKey:
    """The key that was presented.

    Raises
    ------
    ApiError
        -2014 without a well-formed key, -2015 for an unknown one.
    """
    if not presented or not presented.isalnum() or len(presented) != 64:
        raise ApiError(-2014, "API-key format invalid.", 401)
    key = keys.get(presented)
    if key is None:
        raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    return key


def check_signature(key: ApiKey, payload: str, signature: str | None) -> None:
    """Compare an HMAC-SHA256 signature over the payload as sent.

    Raises
    ------
    ApiError
        -1102 without one, -1022 for a wrong one.
    """
    if not signature:
        raise ApiError(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
    expected = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature.lower()):
        raise ApiError(-1022, "Signature for this request is not valid.")


def check_time(params: Params, now_ms: int) -> None:
    """Refuse requests that are too old or from the future.

    Raises
    ------
    ApiError
        -1102 without a timestamp, -1131 for too long a window, -1021 outside it.
    """
    timestamp = params.integer("timestamp")
    if timestamp is None:
        raise ApiError(-1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
    if timestamp > 10**14:
        timestamp //= 1_000
    window_text = params.optional_text("recvWindow")
    window_ms = float(DEFAULT_WINDOW_MS)
    if window_text is not None:
        try:
            window_ms = float(window_text)
        except ValueError:
            raise ApiError(
                -1100, "Illegal characters found in parameter 'recvWindow'; legal range is '^[0-9]{1,20}$'."
            ) from None
    if window_ms > LONGEST_WINDOW_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    if timestamp >= now_ms + AHEAD_MS:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - timestamp > window_ms:
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")
