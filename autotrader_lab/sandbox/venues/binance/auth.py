"""Who sends a request: API key, signature, timestamp, as the venue checks them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING

from autotrader_lab.sandbox.venues.binance.errors import ApiError
from autotrader_lab.sandbox.venues.binance.params import Params
from autotrader_lab.sandbox.world import ApiKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["check_signature", "check_time", "find_key", "read_public_key"]

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
    """Check the signature over the payload as sent: HMAC-SHA256, or Ed25519 for keys of that kind.

    Raises
    ------
    ApiError
        -1102 without one, -1022 for a wrong one.
    """
    if not signature:
        raise ApiError(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
    if key.public_key:
        is_right = _is_ed25519(key.public_key, payload, signature)
    else:
        expected = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        is_right = hmac.compare_digest(expected.encode(), signature.lower().encode())
    if not is_right:
        raise ApiError(-1022, "Signature for this request is not valid.")


def _is_ed25519(public_key: str, payload: str, signature: str) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        read_public_key(public_key).verify(base64.b64decode(signature, validate=True), payload.encode())
    except (InvalidSignature, binascii.Error):
        return False
    return True


def read_public_key(text: str) -> Ed25519PublicKey:
    """An Ed25519 public key from PEM.

    Raises
    ------
    ValueError
        If it is not one.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(text.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"the public key is a {type(key).__name__}; give an Ed25519 key in PEM")
    return key


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
