"""The line to one Oanda account: credentials, what is checked before trading, one request and its answer.

One of the layers, each a file: over :mod:`.books` (what transactions mean), under :mod:`.account` (which hears them
all), :mod:`.queries` (what is asked) and :mod:`.adapter` (what is sent). Requests go by a small crew of threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import SecretStr

from autotrader_lab.execution.adapters.ccxt_pace import Pace
from autotrader_lab.execution.adapters.oanda import figures
from autotrader_lab.execution.adapters.oanda.books import OandaBooks
from autotrader_lab.execution.adapters.oanda.figures import AccountState
from autotrader_lab.execution.adapters.oanda.values import VENUE, identifier, items
from autotrader_lab.model.clock import Clock, SystemClock, to_ns
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    ConfigError,
    DataError,
    NotConnected,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instruments

__all__ = ["OandaLine"]

log = logging.getLogger(__name__)

ENVIRONMENTS = ("practice", "live")
SITES = {"101": "practice", "001": "live"}
"""What an account's number begins with, to the environment it is in."""
_CONNECT_S = 5.0
_REQUESTS_S = 110
"""Oanda allows 120; some are under way longer than others."""
_CONNECTIONS_S = 2
_THREADS = 6
_PAUSES_S = (0.05,)
"""Before what is safe to repeat is asked again; no answer came."""
_LIMITED_TRIES, _LIMITED_PAUSE_S = 6, 0.3
"""The same where the venue asks to wait and does not say how long: somebody else may use the token's share."""


class OandaLine(OandaBooks):
    """One account; see :class:`~.adapter.OandaAdapter` for the parameters."""

    def __init__(
        self,
        account_id: str,
        access_token: str | SecretStr,
        environment: str = "practice",
        *,
        clock: Clock | None = None,
        addresses: Mapping[str, Any] | None = None,
        timeout_s: float = 10.0,
        silence_s: float = 12.0,
        arrival_window_s: float = 5.0,
        paced: bool = True,
        ca_file: str = "",
    ) -> None:
        super().__init__()
        if importlib.util.find_spec("oandapyV20") is None:
            raise ConfigError(f"{VENUE}: oandapyV20 is not installed; pip install 'autotrader-lab[oanda]'")
        from autotrader_lab.execution.adapters.oanda.crew import Crew
        from autotrader_lab.execution.adapters.oanda.wire import ConnectionPace

        secret = access_token if isinstance(access_token, SecretStr) else SecretStr(access_token or "")
        self._check_arguments(account_id, secret, environment, timeout_s, silence_s)
        self.account_id = account_id
        self.environment = environment
        self.access_token = secret
        self.arrival_window_s = arrival_window_s
        self.state: AccountState | None = None
        self.tradeable: dict[str, bool] = {}
        self.margin_rates: dict[str, float] = {}
        self._clock = clock if clock is not None else SystemClock()
        self._timeout_s = timeout_s
        self._silence_s = silence_s
        self._ca_file = ca_file
        self._world = self._address(addresses)
        self._pace = Pace(self._clock, _REQUESTS_S, 1.0, shared=True, cancels_wait=True)
        self._connections = ConnectionPace(self._clock, _CONNECTIONS_S if paced else 0)
        self._crew = Crew(self._make_wire, self._connections, _THREADS, timeout_s)
        self._users: set[str] = set()
        self._gate = asyncio.Lock()

    @staticmethod
    def _check_arguments(
        account_id: str, secret: SecretStr, environment: str, timeout_s: float, silence_s: float
    ) -> None:
        if environment not in ENVIRONMENTS:
            raise ConfigError(f"{VENUE}: environment {environment!r} is none of practice, live")
        if not account_id or not all(part.isdigit() for part in str(account_id).split("-")):
            raise ConfigError(
                f"{VENUE}: account_id {account_id!r} is no account number like 101-004-1234567-001; My Account shows it"
            )
        token = secret.get_secret_value()
        if not token.strip() or not token.isascii() or any(letter.isspace() for letter in token):
            raise ConfigError(
                f"{VENUE}: access_token is empty or holds spaces; make one under Manage API Access and give it whole"
            )
        world = SITES.get(str(account_id).partition("-")[0], environment)
        if world != environment:
            raise ConfigError(
                f"{VENUE}: environment is {environment!r} and account {account_id} is a {world} one; "
                "set environment to what the account is, or give the other account and its token"
            )
        if timeout_s <= 0 or silence_s <= 5.0:
            raise ConfigError(
                f"{VENUE}: timeout_s {timeout_s} must be positive and silence_s {silence_s} above 5, seconds: a stream "
                "says something every five seconds"
            )

    def _address(self, addresses: Mapping[str, Any] | None) -> str:
        """What the library calls the place."""
        if addresses is None:
            return self.environment
        from autotrader_lab.execution.adapters.oanda.wire import register

        world = addresses if self.environment == "practice" else addresses.get("live", {})
        missing = [name for name in ("rest", "stream") if name not in world]
        if missing:
            raise ConfigError(f"{VENUE}: the addresses have no {', '.join(missing)} for {self.environment}")
        return register(str(world["rest"]), str(world["stream"]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.environment}, account {self.account_id})"

    def _make_wire(self) -> Any:
        from autotrader_lab.execution.adapters.oanda.wire import Wire

        token = self.access_token.get_secret_value()
        connect_s = min(_CONNECT_S, self._timeout_s)
        return Wire(self._world, token, connect_s, self._timeout_s, self._connections, self._clock, self._ca_file)

    # --- who uses it ------------------------------------------------------------------------------------------

    async def _acquire(self, user: str) -> None:
        """Be ready to ask, for `user`; the first one has the account checked and the instruments loaded."""
        async with self._gate:
            if not self._users:
                self._crew.open()
                try:
                    await self._greet()
                except BaseException:
                    await self._crew.close()
                    raise
            self._users.add(user)

    async def _release(self, user: str) -> None:
        async with self._gate:
            self._users.discard(user)
            if not self._users:
                await self._crew.close()

    async def _greet(self) -> None:
        from oandapyV20.endpoints import accounts

        name = f"{VENUE} {self.environment}"
        try:
            listed = [identifier(row, "id") for row in items(await self._ask(accounts.AccountList(), name), "accounts")]
            self._check_accounts(listed)
            state = figures.decode_account(await self._ask(accounts.AccountSummary(self.account_id), name))
            if state.account != self.account_id:
                raise AuthenticationFailed(f"{name}: asked for account {self.account_id}, it showed {state.account}")
            rows = items(await self._ask(accounts.AccountInstruments(self.account_id), name), "instruments")
        except DataError as error:
            raise VenueUnavailable(f"{name}: what it says was not understood: {error}") from error
        self.state, self.home = state, state.currency
        self._list(rows)

    def _check_accounts(self, listed: list[str]) -> None:
        """Whether the token's accounts, as the venue tells them, hold ours and are of the environment that is meant."""
        name = f"{VENUE} {self.environment}"
        foreign = [each for each in listed if SITES.get(each.partition("-")[0], self.environment) != self.environment]
        if foreign:
            raise AuthenticationFailed(
                f"{name}: the token's account {foreign[0]} is a {SITES[foreign[0].partition('-')[0]]} one; "
                "set environment to what the account is"
            )
        if self.account_id not in listed:
            raise AuthenticationFailed(
                f"{name}: the token has no account {self.account_id!r}; it has {', '.join(sorted(listed)) or 'none'}"
            )

    def _list(self, rows: list[Mapping[str, Any]]) -> None:
        found = []
        for row in rows:
            try:
                instrument, margin = figures.decode_instrument(row)
            except DataError as error:
                log.warning("%s: an instrument is left out: %s", VENUE, error)
                continue
            found.append(instrument)
            self.margin_rates[instrument.symbol] = float(margin)
        if len(self.instruments) and self.instruments.venue == VENUE:
            for instrument in found:
                self.instruments.add(instrument)
        else:
            self.instruments = Instruments(found, venue=VENUE)

    def _connected(self) -> None:
        if "orders" not in self._users:
            raise NotConnected(f"{VENUE}: not connected; await adapter.connect() first")

    # --- questions --------------------------------------------------------------------------------------------

    async def _ask(
        self,
        endpoint: Any,
        what: str,
        action: Any = "query",
        *,
        changes: bool = False,
        late: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """One request's answer, a JSON object.

        Parameters
        ----------
        endpoint : oandapyV20 APIRequest
        what : str
            Begins the message of every error.
        action : {"query", "submit", "amend", "cancel"}
            Orders go before questions, cancels before all.
        changes : bool
            Whether no answer means doubt.
        late : callable, optional
            Is given the answer if nobody waits for it any more.

        Raises
        ------
        OutcomeUnknown, VenueUnavailable, RateLimited, AuthenticationFailed, OrderNotFound, Refused
        """
        from autotrader_lab.execution.adapters.oanda.crew import CANCEL, ORDER, QUERY, Failed
        from autotrader_lab.execution.adapters.oanda.errors import translate

        urgency = {"query": QUERY, "cancel": CANCEL}.get(action, ORDER)

        def hear(answer: Any) -> None:
            if late is not None and isinstance(answer.body, dict):
                late(answer.body)

        pauses_s, limited = iter(_PAUSES_S), 0
        while True:
            await self._pace.turn(action, what)
            try:
                answer = await self._crew.ask(endpoint, urgency, hear)
                break
            except Failed as failed:
                error = translate(failed, what, changes=changes, about_order="/orders/" in str(endpoint))
                # A question, or a cancel, is safe to repeat; one that took its whole time is not worth it.
                pause_s: float | None = None
                if isinstance(error, RateLimited):
                    limited += 1
                    if limited < _LIMITED_TRIES:
                        pause_s = min(error.retry_after_s or _LIMITED_PAUSE_S, self._timeout_s)
                elif type(error) is VenueUnavailable and not failed.is_late:
                    pause_s = next(pauses_s, None)
                if changes or pause_s is None:
                    raise error from (failed.__cause__ or failed)
            await self._clock.sleep(pause_s)
        self._note_clock(answer.headers, answer.sent_ns, answer.received_ns)
        if not isinstance(answer.body, dict):
            kind = OutcomeUnknown if changes else VenueUnavailable
            raise kind(f"{what}: the answer (status {answer.status}) is no object")
        return answer.body

    def _note_clock(self, headers: Mapping[str, str], sent_ns: int, received_ns: int) -> None:
        """How far the venue's clock is provably from ours: its Date tells whole seconds."""
        date = next((value for name, value in headers.items() if name.lower() == "date"), "")
        with contextlib.suppress(ValueError, TypeError):
            begins_ns = to_ns(parsedate_to_datetime(date))
            least_ns, most_ns = begins_ns - received_ns, begins_ns + 1_000_000_000 - sent_ns
            self.clock_offset_ms = min(max(0, least_ns), most_ns) / 1e6
