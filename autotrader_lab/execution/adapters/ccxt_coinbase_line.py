"""Coinbase's private WebSocket line, and the key that opens it.

ccxt dials, pings and reads; subscribing is written here, because every subscription carries a token of its own and
ccxt keeps one for two minutes. Heartbeats come along: a line that brings none is dead, whatever the socket says.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import ConfigError

__all__ = ["CoinbaseLine", "private_key"]

log = logging.getLogger(__name__)

_LOST = "autotrader:user-data"
_REAL_USER_STREAM = "wss://advanced-trade-ws-user.coinbase.com"
_CHANNELS = ("heartbeats", "user")
_SILENCE_NS = 15_000_000_000
"""Heartbeats come every second; a line that brought none for so long is dead."""
_ED25519 = re.compile(r"[A-Za-z0-9+/]{86}==")


class CoinbaseLine:
    """The subscription of one account's orders.

    Parameters
    ----------
    exchange : ccxt.pro.coinbase
        With the account's key.
    clock : Clock
    timeout_s : float
        Longest wait for the confirmation, seconds.
    is_pem : bool
        Whether the key is PEM, else Ed25519.
    push : callable
        Gets every message of the channel.
    """

    def __init__(
        self, exchange: Any, clock: Clock, timeout_s: float, is_pem: bool, push: Callable[[Any], None]
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._timeout_s = timeout_s
        self._is_pem = is_pem
        self._push = push
        self._client: Any = None
        self._confirmed: Any = None
        self.heard_ns = 0
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Dial and subscribe; returns when the venue confirmed it."""
        exchange = self._exchange
        url = exchange.urls["api"].get("ws_user", _REAL_USER_STREAM)
        stale = exchange.clients.pop(url, None)
        if stale is not None:
            # Before close, which cancels what still waits on it, and a cancelled wait looks like our own end.
            stale.reject(ConnectionError("the connection is made anew"))
            await stale.close()
        # ccxt would wait up to 30 s after failed dials; how long to wait is the stream keeper's to say.
        exchange.ws_dial_backoff = {}
        exchange.open()
        self._client = client = exchange.client(url)
        self.ended = client.future(_LOST)
        self.ended.add_done_callback(_look)
        self.heard_ns = self._clock.monotonic_ns()
        self._confirmed = confirmed = client.future("autotrader:subscribed")
        async with asyncio.timeout(self._timeout_s):
            await asyncio.wait({client.connect(exchange.session), confirmed}, return_when=asyncio.FIRST_COMPLETED)
            if not confirmed.done():
                for channel in _CHANNELS:
                    token = exchange.create_auth_token(exchange.seconds(), None, None, not self._is_pem)
                    await client.send({"type": "subscribe", "channel": channel, "product_ids": [], "jwt": token})
            await confirmed
        if client.closed():
            raise ConnectionError("the user stream ended as it began")

    def is_alive(self) -> bool:
        """Whether the socket is open, something came lately, and nothing has gone wrong on it."""
        heard = self._clock.monotonic_ns() - self.heard_ns < _SILENCE_NS
        return heard and not self._client.closed() and self._client.error is None

    def tap(self, message: Any) -> bool:
        """Every WebSocket message before ccxt, which need not see any of them."""
        if not isinstance(message, dict):
            return False
        self.heard_ns = self._clock.monotonic_ns()
        if message.get("type") == "error":
            self._fail(str(message.get("message")))
        elif message.get("channel") == "subscriptions":
            topics = [event.get("subscriptions") or {} for event in message.get("events") or ()]
            if self._confirmed is not None and any("user" in topic for topic in topics):
                self._confirmed.resolve(True)
        elif message.get("channel") == "user":
            self._push(message)
        return True

    def _fail(self, words: str) -> None:
        log.warning("coinbase: the user stream reports %s", words)
        if self._confirmed is None or self._confirmed.done():
            return
        from ccxt.base.errors import AuthenticationError, ExchangeError

        kind = AuthenticationError if "auth" in words.lower() else ExchangeError
        self._confirmed.reject(kind(f"coinbase {words}"))


def private_key(given: SecretStr) -> tuple[SecretStr, bool]:
    """The key as the client library takes it, and whether it is PEM (ES256) or the venue's Ed25519 text.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    # In an environment variable or a JSON file the line ends of a PEM are often written out.
    key = given.get_secret_value().strip().replace("\\n", "\n")
    if _ED25519.fullmatch(key):
        return SecretStr(key), False
    try:
        # Comes with ccxt, which is an extra.
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise ConfigError("coinbase needs ccxt: pip install 'autotrader-lab[crypto]'") from error
    try:
        load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"coinbase: api_secret is no private key ({type(error).__name__}); give the whole text from "
            "-----BEGIN EC PRIVATE KEY----- to -----END EC PRIVATE KEY-----, its line ends as they are or as \\n"
        ) from None
    return SecretStr(key + "\n"), True


def _look(ended: asyncio.Future[Any]) -> None:
    """Take note of how it ended, so that asyncio does not complain where nobody waited any more."""
    if not ended.cancelled():
        ended.exception()
