"""A ccxt exchange set up the way we need it: where it calls, how long it waits, and what it lets us see.

ccxt's own caches merge order events that arrive together and know no exact numbers, its throttler costs 12 ms an
order, and its debug log prints keys. So the instance made here hands every private message to a *tap* before ccxt
sees it, leaves the pace to a :class:`Budget` fed by the venue's own counters, keeps what the venue said on its
errors, and logs nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from autotrader_lab.execution.adapters.ccxt_errors import told
from autotrader_lab.execution.adapters.ccxt_setups import setup_of
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import ConfigError, RateLimited

__all__ = ["Addresses", "Budget", "Tap", "close_exchange", "local_addresses", "make_exchange", "origins_only"]

Addresses = Mapping[str, Any]
Tap = Callable[[Any], bool]

_SILENT = logging.Logger("autotrader_lab.silent", logging.CRITICAL + 1)  # noqa: LOG001 - not in the tree on purpose


class Budget:
    """What the venue still lets us send, from its own counters.

    Parameters
    ----------
    clock : Clock
    share : float, default 0.95
        Part of a minute's weight that queries and submits may use; the rest is kept for cancels.
    """

    def __init__(self, clock: Clock, share: float = 0.95) -> None:
        self._clock = clock
        self._share = share
        self._used = 0
        self._minute = 0
        self._blocked_until_ns = 0
        self.weight_per_minute: int | None = None

    def note(self, used_weight: int) -> None:
        """The venue says so much of this minute's weight is used."""
        self._used, self._minute = used_weight, self._clock.now_ns() // 60_000_000_000

    def block(self, retry_after_s: float) -> None:
        """The venue asked for silence."""
        self._blocked_until_ns = max(self._blocked_until_ns, self._clock.now_ns() + round(retry_after_s * 1e9))

    def check(self, what: str, *, urgent: bool = False) -> None:
        """Refuse, before any I/O, what the venue would refuse and count against us.

        Parameters
        ----------
        what : str
            Names the request in the message.
        urgent : bool, default False
            A cancel: may use the reserve, but does not break a silence the venue asked for.

        Raises
        ------
        RateLimited
            With the seconds to wait.
        """
        now_ns = self._clock.now_ns()
        if now_ns < self._blocked_until_ns:
            wait_s = (self._blocked_until_ns - now_ns) / 1e9
            raise RateLimited(f"{what}: the venue asked to wait, {wait_s:.1f} s are left", wait_s)
        minute, rest_ns = divmod(now_ns, 60_000_000_000)
        limit = self.weight_per_minute
        if urgent or limit is None or minute != self._minute or self._used < limit * self._share:
            return
        wait_s = 60 - rest_ns / 1e9
        raise RateLimited(f"{what}: {self._used} of {limit} request weight are used in this minute", wait_s)


def origins_only(addresses: Addresses | None) -> Addresses | None:
    """`addresses` without the keys that came with them: an adapter keeps no second copy of a secret."""
    if addresses is None:
        return None
    live = addresses.get("live")
    origins = {name: value for name, value in addresses.items() if name.startswith(("rest", "ws"))}
    return {**origins, "live": origins_only(live)} if isinstance(live, Mapping) else origins


def local_addresses(
    addresses: Addresses | None, testnet: bool, venue: str, also: Sequence[str] = ()
) -> dict[str, str] | None:
    """REST and WebSocket origin of the local sandbox's world, or None for the real venue.

    Parameters
    ----------
    addresses : mapping, optional
        ``{"rest": origin, "ws": origin, "live": {"rest": origin, "ws": origin}}``: testnet on top, live below.
    testnet : bool
        Which of the two.
    venue : str
        For error messages.
    also : sequence of str
        Further WebSocket origins the venue has.

    Raises
    ------
    ConfigError
        If an origin is missing or is not on this machine.
    """
    if addresses is None:
        return None
    world = addresses if testnet else addresses.get("live")
    where = "addresses" if testnet else "addresses['live']"
    if not isinstance(world, Mapping):
        raise ConfigError(
            f"{venue}: {where} is missing; give {{'rest': 'http://127.0.0.1:…', 'ws': 'ws://127.0.0.1:…'}}"
        )
    found = {}
    for name in ("rest", "ws", *also):
        schemes = ("http", "https") if name == "rest" else ("ws", "wss")
        origin = str(world.get(name, ""))
        parts = urlsplit(origin)
        if parts.scheme not in schemes or not parts.hostname:
            raise ConfigError(
                f"{venue}: {where}[{name!r}] {origin!r} is no origin such as {schemes[0]}://127.0.0.1:8000"
            )
        if not _is_loopback(parts.hostname):
            raise ConfigError(
                f"{venue}: {where}[{name!r}] {origin!r} is not on this machine; addresses are for the local sandbox, "
                "leave them out for the real venue"
            )
        found[name] = origin.rstrip("/")
    return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Wire:
    """Mixed in front of a ccxt.pro class."""

    tap: Tap | None = None
    budget: Budget | None = None
    used_weight_header = ""

    def client(self, url: str) -> Any:
        """A socket's client, whose reader survives whatever is sent to it."""
        found = super().client(url)  # type: ignore[misc]
        if "handle_message" not in vars(found):
            found.handle_message = partial(_read, found, found.handle_message)
        return found

    def handle_message(self, client: Any, message: Any) -> None:
        if self.tap is None or not self.tap(message):
            super().handle_message(client, message)  # type: ignore[misc]

    def on_rest_response(
        self, code: Any, reason: Any, url: Any, method: Any, headers: Any, body: Any, *request: Any
    ) -> Any:
        if self.budget is not None and self.used_weight_header:
            used = _header(headers, self.used_weight_header)
            if used is not None and used.isdigit():
                self.budget.note(int(used))
        return super().on_rest_response(  # type: ignore[misc]
            code, reason, url, method, headers, body, *request
        )

    def handle_errors(
        self, code: Any, reason: Any, url: Any, method: Any, headers: Any, body: Any, response: Any, *request: Any
    ) -> Any:
        try:
            return super().handle_errors(  # type: ignore[misc]
                code, reason, url, method, headers, body, response, *request
            )
        except Exception as error:
            self._annotate(error, code, headers, response)
            raise

    def _annotate(self, error: Any, code: Any, headers: Any, response: Any) -> None:
        """Keep on `error` what the venue said; ccxt keeps a sentence only."""
        body = response if isinstance(response, Mapping) else {}
        error.venue_code, error.venue_message = told(body)
        error.http_status = code if isinstance(code, int) else 200
        wait_s = _seconds(_header(headers, "Retry-After"))
        data = body.get("data")
        if wait_s is None and isinstance(data, Mapping) and "retryAfter" in data:
            wait_s = max(0.0, (float(data["retryAfter"]) - float(data.get("serverTime", 0))) / 1000)
        error.retry_after_s = wait_s
        if wait_s is not None and code in (418, 429, -1003) and self.budget is not None:
            self.budget.block(wait_s)


def _read(client: Any, handle: Callable[[Any], None], message: Any) -> None:
    """Let ccxt read a message; one that cannot be read ends the connection.

    Left to itself ccxt's reader ends there without a word: the socket stays open, and we are deaf.
    """
    try:
        handle(message)
    except Exception as error:  # noqa: BLE001 - whatever it was, the stream is opened anew and its gap closed
        client.on_error(ConnectionError(f"a message that cannot be read: {type(error).__name__}: {error}"))


def _header(headers: Any, name: str) -> str | None:
    if not isinstance(headers, Mapping):
        return None
    lowered = name.lower()
    return next((str(value) for key, value in headers.items() if str(key).lower() == lowered), None)


def _seconds(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def make_exchange(
    exchange_id: str,
    *,
    testnet: bool,
    timeout_s: float,
    local: Mapping[str, str] | None = None,
    api_key: str = "",
    api_secret: str = "",
    passphrase: str = "",
    budget: Budget | None = None,
    tap: Tap | None = None,
) -> Any:
    """An instance of ccxt.pro's class `exchange_id`, ready to call and not yet connected.

    Parameters
    ----------
    exchange_id : str
        ccxt's name of the venue.
    testnet : bool
        ccxt's sandbox mode.
    timeout_s : float
        Longest wait for a REST answer or a handshake, seconds.
    local : mapping, optional
        The sandbox's origins; they replace *every* address of the venue, so that nothing can reach the real one.
    api_key, api_secret, passphrase : str
        Left out for market data.
    budget : Budget, optional
        Told of the venue's counters.
    tap : callable, optional
        Gets every WebSocket message first; returns whether ccxt may be spared it.

    Raises
    ------
    ConfigError
        If ccxt is not installed, or the venue is not set up.
    """
    setup = setup_of(exchange_id)
    try:
        import ccxt.pro
    except ImportError as error:
        raise ConfigError(f"{exchange_id} needs ccxt: pip install 'autotrader-lab[crypto]'") from error
    base = getattr(ccxt.pro, exchange_id)
    # ccxt cuts the timeout to whole seconds, and 0 would mean no time at all. Compressing a message of a few hundred
    # bytes costs more than it saves; pings every 10 s notice a line that died without a word.
    sockets = {"connectionTimeout": math.ceil(timeout_s) * 1000, "keepAlive": 10_000, "compress": 0}
    exchange = type(exchange_id, (*setup.mixins, _Wire, base), {})(
        {
            "apiKey": api_key,
            "secret": api_secret,
            "password": passphrase,
            "timeout": round(timeout_s * 1000),
            "enableRateLimit": False,
            "newUpdates": True,
            "options": {"maxRetriesOnFailure": 0, "ws": sockets, **setup.options},
        }
    )
    exchange.logger = _SILENT
    exchange.tap, exchange.budget, exchange.used_weight_header = tap, budget, setup.used_weight_header
    if local is not None:
        exchange.urls["api"] = exchange.urls["test"] = setup.local_urls(local)
        # ccxt waits this long for TLS shutdowns; there is none on loopback.
        exchange.timeout_on_exit = 0
    if testnet and setup.has_test_mode:
        exchange.set_sandbox_mode(True)
    return exchange


async def close_exchange(exchange: Any) -> None:
    """Close every socket and session of `exchange`, dials under way included."""
    clients = list((exchange.clients or {}).values())
    await exchange.close()
    for client in clients:
        # ccxt does not keep its dial: it ends by itself once the session is closed.
        for _ in range(200):
            if not client.connecting or client.error is not None or client.connection is not None:
                break
            await asyncio.sleep(0.005)
        await client.aiohttp_close()
