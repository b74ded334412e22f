"""Who sends a request: key, passphrase, timestamp, signature and environment, as the venue checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from autotrader_lab.sandbox.venues.okx.errors import ApiError
from autotrader_lab.sandbox.world import ApiKey

__all__ = ["check_login", "check_request", "sign"]

WINDOW_MS = 30_000
LOGIN_PATH = "/users/self/verify"
WRONG_PLACE = "APIKey does not match current environment."


def sign(secret: str, text: str) -> str:
    """Base64 of HMAC-SHA256."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def check_request(
    headers: Mapping[str, str], text: str, keys: Mapping[str, ApiKey], other_keys: Mapping[str, ApiKey], now_ms: int,
    is_demo: bool,
) -> ApiKey:  # fmt: skip
    """The key that signed a REST request.

    Parameters
    ----------
    headers : mapping
        The request's, whatever the case.
    text : str
        Verb, path with query, and body, as sent.
    keys, other_keys : mapping of str to ApiKey
        This world's and the other world's.
    now_ms : int
        The venue's clock.
    is_demo : bool
        Whether this is the demo environment, which wants ``x-simulated-trading: 1``.

    Raises
    ------
    ApiError
        50101 to 50113.
    """
    given: dict[str, str] = {}
    for name, code in (
        ("OK-ACCESS-KEY", "50103"),
        ("OK-ACCESS-PASSPHRASE", "50104"),
        ("OK-ACCESS-SIGN", "50106"),
        ("OK-ACCESS-TIMESTAMP", "50107"),
    ):
        given[name] = headers.get(name, "")
        if not given[name]:
            raise ApiError(code, f'Request header "{name}" can not be empty.', 401)
    stamp_ms = _timestamp_ms(given["OK-ACCESS-TIMESTAMP"])
    if abs(now_ms - stamp_ms) > WINDOW_MS:
        raise ApiError("50102", "Timestamp request expired", 401)
    key = keys.get(given["OK-ACCESS-KEY"])
    wants_demo = headers.get("x-simulated-trading", "0") == "1"
    if key is None:
        if given["OK-ACCESS-KEY"] in other_keys:
            raise ApiError("50101", WRONG_PLACE, 401)
        raise ApiError("50111", "Invalid OK-ACCESS-KEY", 401)
    if wants_demo != is_demo:
        raise ApiError("50101", WRONG_PLACE, 401)
    expected = sign(key.secret, given["OK-ACCESS-TIMESTAMP"] + text)
    if not hmac.compare_digest(expected.encode(), given["OK-ACCESS-SIGN"].encode()):
        raise ApiError("50113", "Invalid Sign", 401)
    if not hmac.compare_digest(key.passphrase.encode(), given["OK-ACCESS-PASSPHRASE"].encode()):
        raise ApiError("50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', 401)
    return key


def _timestamp_ms(text: str) -> int:
    """The header's time: ISO 8601, or seconds since the epoch with decimals.

    Raises
    ------
    ApiError
        50112 if it is neither.
    """
    try:
        if "T" in text:
            return round(datetime.fromisoformat(text).timestamp() * 1_000)
        return round(float(text) * 1_000)
    except (ValueError, OverflowError):
        raise ApiError("50112", "Invalid OK-ACCESS-TIMESTAMP", 401) from None


def check_login(
    argument: Mapping[str, Any], keys: Mapping[str, ApiKey], other_keys: Mapping[str, ApiKey], now_ms: int
) -> ApiKey:
    """The key that logs in over a WebSocket.

    Raises
    ------
    ApiError
        60004 to 60024, or 50101 for a key of the other environment.
    """
    presented, stamp = str(argument.get("apiKey") or ""), str(argument.get("timestamp") or "")
    if not presented:
        raise ApiError("60001", '"OK-ACCESS-KEY" can not be empty.')
    if not argument.get("sign"):
        raise ApiError("60002", '"OK-ACCESS-SIGN" can not be empty.')
    if not argument.get("passphrase"):
        raise ApiError("60003", '"OK-ACCESS-PASSPHRASE" can not be empty.')
    try:
        stamp_ms = float(stamp) * 1_000
    except ValueError:
        raise ApiError("60004", "Invalid timestamp") from None
    if abs(now_ms - stamp_ms) > WINDOW_MS:
        raise ApiError("60006", "Timestamp request expired")
    key = keys.get(presented)
    if key is None:
        if presented in other_keys:
            raise ApiError("50101", WRONG_PLACE)
        raise ApiError("60005", "Invalid apiKey")
    if not hmac.compare_digest(sign(key.secret, f"{stamp}GET{LOGIN_PATH}").encode(), str(argument["sign"]).encode()):
        raise ApiError("60007", "Invalid sign")
    if not hmac.compare_digest(key.passphrase.encode(), str(argument["passphrase"]).encode()):
        raise ApiError("60024", "Wrong passphrase")
    return key
