"""The connection to one account at a crypto venue behind ccxt: keys, sockets, clock, and every error translated.

Lowest of three layers, each a file: here the line to the venue, in :mod:`.ccxt_books` what comes back over it, in
:mod:`.ccxt_venue` what is sent.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from pydantic import SecretStr

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.adapters.ccxt_errors import Action, Meaning, translate, venue_code, venue_message
from autotrader_lab.execution.adapters.ccxt_pace import Pace
from autotrader_lab.execution.adapters.ccxt_setups import setup_of
from autotrader_lab.execution.adapters.ccxt_stream import StreamKeeper, Subscription, backoff_s
from autotrader_lab.execution.adapters.ccxt_wire import Addresses, Budget, close_exchange, local_addresses, origins_only
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.clock import NS, Clock, SystemClock
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    AutoTraderError,
    ConfigError,
    DataError,
    NotConnected,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instruments

__all__ = ["CcxtAccount", "secret"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_TRIES = 4
_ODD_CLOCK_MS = 500.0
_CLOCK_MOVED_MS = 250.0
_SOON_S = 2.0


class CcxtAccount(BaseBrokerAdapter):
    """One spot account at one venue, through ccxt.

    Parameters
    ----------
    api_key, api_secret : str or SecretStr
        Keys of the world that `testnet` names.
    testnet : bool, default False
        The venue's test world; False is real money.
    addresses : mapping, optional
        Origins of the local sandbox, ``{"rest": …, "ws": …, "live": {"rest": …, "ws": …}}``; left out: the real venue.
    clock : Clock, optional
    timeout_s : float, default 10
        Longest wait for an answer, seconds. What was sent and not answered by then is in doubt.
    clock_sync_s : float, default 300
        How often the venue's clock is measured, seconds.

    Raises
    ------
    ConfigError
        If a key is missing or an address is not on this machine.
    """

    exchange_id: ClassVar[str] = ""
    codes: ClassVar[Mapping[str, Meaning]] = {}
    limit_window_s: ClassVar[float | None] = None
    """In what window the venue counts requests: so long is the wait where it asks for one and names no time."""
    clock_codes: ClassVar[frozenset[str]] = frozenset()
    """The venue's codes for what came too late or too early by its clock, beside those ccxt has a class for."""
    clock_hints: ClassVar[frozenset[str]] = frozenset()
    """Names of ccxt's errors that may be the clock's fault and may be another's: the clock itself tells."""

    def __init__(
        self,
        api_key: str | SecretStr,
        api_secret: str | SecretStr,
        testnet: bool = False,
        *,
        addresses: Addresses | None = None,
        clock: Clock | None = None,
        timeout_s: float = 10.0,
        clock_sync_s: float = 300.0,
    ) -> None:
        self.testnet = testnet
        self._key, self._secret = secret(api_key), secret(api_secret)
        for name, value in (("api_key", self._key), ("api_secret", self._secret)):
            if not value.get_secret_value().strip():
                raise ConfigError(f"{self.venue}: {name} is empty; give the key of the {self._world} world")
        if timeout_s <= 0:
            raise ConfigError(f"{self.venue}: timeout_s {timeout_s} must be positive, seconds")
        self._local = local_addresses(addresses, testnet, self.venue, setup_of(self.exchange_id).also)
        self._addresses = origins_only(addresses)
        self._clock = clock if clock is not None else SystemClock()
        self._timeout_s = timeout_s
        self._clock_sync_s = clock_sync_s
        self._budget = Budget(self._clock)
        self._pace: Pace | None = None
        self._exchange: Any = None
        self._timekeeper: asyncio.Task[None] | None = None
        self._stream = StreamKeeper(
            f"{self.venue}-user-stream",
            self._clock,
            subscribe=self._subscribe,
            deliver=self._on_message,
            resync=self._close_gap,
            settle=self._settle_told,
            tell=self._connection,
        )
        self._connected_ns = 0
        self._clock_error_ns = 0

    def __repr__(self) -> str:
        state = "connected" if self._exchange is not None else "not connected"
        return f"{type(self).__name__}({self._world}, key {self._masked_key}, {state})"

    @property
    def _world(self) -> str:
        return "testnet" if self.testnet else "live"

    @property
    def _masked_key(self) -> str:
        return f"{self._key.get_secret_value()[:4]}…"

    # --- what the layers above and a venue's file say ---------------------------------------------------------

    @abstractmethod
    def _make_exchange(self, local: dict[str, str] | None) -> Any:
        """A fresh ccxt instance with this account's keys."""

    @abstractmethod
    async def _load(self, exchange: Any) -> Instruments:
        """Ask for what is listed and the limits; leave ccxt's markets set as well."""

    @abstractmethod
    async def _balances(self) -> dict[str, Decimal]:
        """Free and reserved by currency."""

    @abstractmethod
    async def _subscribe(self) -> Subscription:
        """Open the private stream."""

    @abstractmethod
    def _on_message(self, message: Any) -> None:
        """Take one private message, in its order of arrival."""

    @abstractmethod
    async def _close_gap(self) -> None:
        """Ask for everything the private stream may not have brought."""

    @abstractmethod
    async def _settle_told(self) -> None:
        """Ask for what the private stream only hinted at."""

    # --- life -------------------------------------------------------------------------------------------------

    async def connect(self) -> bool:
        """Load what is listed, measure the clock, check the keys, open the private stream.

        Raises
        ------
        AuthenticationFailed
            If the venue does not accept the keys; the message names the world.
        VenueUnavailable
            If it cannot be reached.
        """
        if self._exchange is not None:
            return True
        self._exchange = self._make_exchange(self._local)
        try:
            self.instruments = await self._ask("query", "what is listed", lambda: self._load(self._exchange))
            await self.sync_clock()
            await self._check_keys()
            self._connected_ns = self._connected_ns or self._venue_now_ns()
            await self._open_stream()
        except BaseException:
            await self._shut()
            raise
        self._timekeeper = asyncio.create_task(self._keep_time(), name=f"{self.venue}-clock")
        self._connection("connected", f"{self.venue} {self._world}")
        return True

    async def disconnect(self) -> None:
        was_connected = self._exchange is not None
        await self._shut()
        if was_connected:
            self._connection("closed", "disconnect was called")

    async def _shut(self) -> None:
        timekeeper, self._timekeeper = self._timekeeper, None
        if timekeeper is not None:
            await end_tasks(timekeeper)
        await self._stream.stop()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await close_exchange(exchange)

    async def _check_keys(self) -> None:
        try:
            await self._ask("query", "the account", self._balances)
        except AuthenticationFailed as error:
            raise self._wrong_keys(error) from error.__cause__

    async def _open_stream(self) -> None:
        try:
            await self._stream.start()
        except AutoTraderError:
            raise
        except Exception as error:
            translated = translate(error, "query", f"{self.venue} {self._world}: the user stream", self.codes)
            if isinstance(translated, AuthenticationFailed):
                translated = self._wrong_keys(translated)
            raise translated from error

    def _wrong_keys(self, error: AuthenticationFailed) -> AuthenticationFailed:
        other = "live" if self.testnet else "testnet"
        return AuthenticationFailed(
            f"{self.venue} does not accept the key {self._masked_key} in its {self._world} world: {error}. A key of "
            f"the {other} world is refused this way; check testnet={self.testnet}, the key's permissions and IP list"
        )

    async def sync_clock(self) -> float:
        """Measure the venue's clock against ours, now.

        Returns
        -------
        float
            Venue minus ours, ms.

        Raises
        ------
        VenueUnavailable
            If it does not answer, or not with a time.
        """
        exchange = self._connected()
        before_ns, machine_ms = self._clock.now_ns(), exchange.milliseconds()
        venue_ms = await self._ask("query", "the time", exchange.fetch_time)
        after_ns = self._clock.now_ns()
        if not isinstance(venue_ms, int | float):
            raise VenueUnavailable(f"{self.venue} {self._world}: no time in the answer to the question for it")
        half_trip_ms = (exchange.milliseconds() - machine_ms) / 2
        # ccxt stamps requests with the machine's clock minus this.
        exchange.options["timeDifference"] = round(machine_ms + half_trip_ms - venue_ms)
        self.clock_offset_ms = venue_ms - (before_ns + after_ns) / 2e6
        self._clock_error_ns = (after_ns - before_ns) // 2
        return self.clock_offset_ms

    async def _keep_time(self) -> None:
        while True:
            # A clock that was found wrong may be right again soon, and entries wait for it.
            is_odd = abs(self.clock_offset_ms or 0.0) > _ODD_CLOCK_MS
            await self._clock.sleep(min(self._clock_sync_s, _SOON_S) if is_odd else self._clock_sync_s)
            try:
                await self.sync_clock()
            except VenueError as error:
                log.warning("%s: the clock could not be measured: %s", self.venue, error)

    def _venue_now_ns(self) -> int:
        return self._clock.now_ns() + round((self.clock_offset_ms or 0.0) * 1e6)

    def _not_later_ns(self) -> int:
        """A time of the venue's clock that is certainly not after now, whole ms as venues count."""
        return (self._venue_now_ns() - self._clock_error_ns) // 1_000_000 * 1_000_000

    def _connected(self) -> Any:
        if self._exchange is None:
            raise NotConnected(f"{self.venue}: not connected; await adapter.connect() first")
        return self._exchange

    async def _ask(self, action: Action, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call the venue, with every error translated.

        What is safe to repeat, a question or a cancel, is repeated where no answer came, if that was known soon.
        """
        began_ns, attempt = self._clock.monotonic_ns(), 1
        while True:
            try:
                return await self._ask_once(action, what, call)
            except VenueUnavailable as error:
                is_late = self._clock.monotonic_ns() - began_ns > _SOON_S * NS
                if action not in ("query", "cancel") or isinstance(error, RateLimited) or is_late or attempt == _TRIES:
                    raise
            await self._clock.sleep(backoff_s(attempt))
            attempt += 1

    async def _ask_once(self, action: Action, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """One attempt.

        What the venue refused because of our clock was certainly not done: the clock is measured and it is asked
        once more.
        """
        exchange = self._connected()
        name = f"{self.venue} {self._world}: {what}"
        self._budget.check(name, urgent=action == "cancel")
        if self._pace is not None:
            await self._pace.turn(action, name)
        offset_ms = self.clock_offset_ms or 0.0
        try:
            return await call()
        except DataError as error:
            kind = OutcomeUnknown if action in ("submit", "amend") else VenueUnavailable
            raise kind(f"{name}: {error}") from error
        except AutoTraderError:
            raise
        except Exception as error:
            word = type(error).__name__
            is_clock = word == "InvalidNonce" or venue_code(error) in self.clock_codes
            if call == exchange.fetch_time or not (is_clock or word in self.clock_hints):
                raise self._translate(error, action, name) from error
            log.warning("%s: the venue refused our timestamp, measuring the clock: %s", name, venue_message(error))
            if abs(await self.sync_clock() - offset_ms) < _CLOCK_MOVED_MS and not is_clock:
                raise self._translate(error, action, name) from error
        try:
            return await call()
        except Exception as error:
            raise self._translate(error, action, name) from error

    def _translate(self, error: Exception, action: Action, name: str) -> AutoTraderError:
        translated = translate(error, action, name, self.codes)
        if isinstance(translated, RateLimited) and translated.retry_after_s is None:
            translated.retry_after_s = self.limit_window_s
        return translated


def secret(value: str | SecretStr) -> SecretStr:
    """`value` wrapped, so that it shows nowhere."""
    return value if isinstance(value, SecretStr) else SecretStr(value or "")
