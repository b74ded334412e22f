"""Who sends a request: a JSON web token signed with the customer's elliptic-curve key (ES256), verified for real."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from autotrader_lab.sandbox.venues.coinbase.errors import Unauthorized
from autotrader_lab.sandbox.world import ApiKey

__all__ = ["PUBLIC_HOST", "check_token", "make_key"]

PUBLIC_HOST = "api.coinbase.com"
LONGEST_S = 120
LEEWAY_S = 60
HALF = 32


def make_key(bits: int, account: str) -> ApiKey:
    """A customer's key: name, private key (PEM, in `secret`) and public key (PEM), all made from `bits`.

    Raises
    ------
    ValueError
        If the library that makes keys is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise ValueError(
            "the Coinbase sandbox needs the package cryptography: pip install 'autotrader-lab[crypto]'"
        ) from error
    private = ec.derive_private_key(bits % 2**250 + 1, ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    organization, number = UUID(int=(bits >> 8) % 2**128, version=4), UUID(int=(bits >> 100) % 2**128, version=4)
    return ApiKey(f"organizations/{organization}/apiKeys/{number}", pem, account, public.decode())


def check_token(
    token: str, keys: Mapping[str, ApiKey], now_s: float, verb: str = "", host: str = "", path: str = ""
) -> ApiKey:
    """The key that signed a token.

    Parameters
    ----------
    token : str
        Header, payload and signature, base64url, joined by dots.
    keys : mapping of str to ApiKey
        By name.
    now_s : float
        The venue's clock, seconds since the epoch.
    verb, host, path : str, optional
        What the token must be for; a WebSocket's is for no request.

    Raises
    ------
    Unauthorized
        Saying in its message what is wrong; the venue does not tell.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise Unauthorized("not a token")
    header, payload = _decoded(parts[0]), _decoded(parts[1])
    if header.get("alg") != "ES256" or not header.get("nonce"):
        raise Unauthorized("header without ES256 or nonce")
    key = keys.get(str(header.get("kid")))
    if key is None or payload.get("sub") != key.key:
        raise Unauthorized("unknown key")
    if payload.get("iss") not in ("cdp", "coinbase-cloud"):
        raise Unauthorized("unknown issuer")
    _check_signature(key, f"{parts[0]}.{parts[1]}", parts[2])
    _check_time(payload, now_s)
    if verb:
        wanted = [f"{verb} {prefix}{name}{path}" for prefix in ("", "http://") for name in (host, PUBLIC_HOST)]
        if payload.get("uri") not in wanted:
            raise Unauthorized(f"token is for {payload.get('uri')!r}")
    return key


def _check_time(payload: Mapping[str, Any], now_s: float) -> None:
    begins, ends = payload.get("nbf"), payload.get("exp")
    if not isinstance(begins, int) or not isinstance(ends, int):
        raise Unauthorized("no validity")
    if not begins - LEEWAY_S <= now_s <= ends or ends - begins > LONGEST_S + LEEWAY_S:
        raise Unauthorized("not valid now")


def _decoded(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(part))
    except ValueError:
        raise Unauthorized("unreadable") from None
    if not isinstance(value, dict):
        raise Unauthorized("unreadable")
    return value


def _bytes(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise Unauthorized("unreadable") from None


def _check_signature(key: ApiKey, signed: str, signature: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    raw = _bytes(signature)
    if len(raw) != 2 * HALF:
        raise Unauthorized("signature of the wrong length")
    public = load_pem_public_key(key.public_key.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey), "the sandbox makes elliptic-curve keys"
    pair = encode_dss_signature(int.from_bytes(raw[:HALF], "big"), int.from_bytes(raw[HALF:], "big"))
    try:
        public.verify(pair, signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Unauthorized("wrong signature") from None
