"""The connection to one FXCM account: credentials, the logon and what follows it, every message on its way in.

Middle of three layers, each a file: over :mod:`.books` (what reports mean), under :mod:`.adapter` (what is sent).
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import SecretStr

from autotrader_lab.execution.adapters.base import NOT_SEEN, ConnectionState
from autotrader_lab.execution.adapters.fix.link import FixLink, LogonRefused
from autotrader_lab.execution.adapters.fix.messages import Field, FixMessage
from autotrader_lab.execution.adapters.fix.session import SessionSettings
from autotrader_lab.execution.adapters.fxcm import decode, encode
from autotrader_lab.execution.adapters.fxcm.books import FXCMBooks
from autotrader_lab.execution.adapters.fxcm.decode import VENUE, AccountState, Execution, Phase, Ticket
from autotrader_lab.execution.adapters.fxcm.line import Inquiries, NoAnswer, Refused
from autotrader_lab.model.clock import Clock, SystemClock, to_ns
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    ConfigError,
    DataError,
    NotConnected,
    OrderNotFound,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.market import Quote
from autotrader_lab.model.orders import Order

__all__ = ["FXCMAccount"]

log = logging.getLogger(__name__)

ENVIRONMENTS = ("demo", "live")
_DEMO_SESSION = "U100D1"
_TEMPORARY = re.compile(r"already|sequence|closed|maintenance|unavailable|try again|timeout|expired", re.IGNORECASE)


class FXCMAccount(FXCMBooks):
    """One account over one FIX session; see :class:`~.adapter.FXCMAdapter` for the parameters."""

    def __init__(
        self,
        user: str,
        password: str | SecretStr,
        account: str,
        environment: str = "demo",
        *,
        host: str = "",
        port: int = 0,
        sender_comp_id: str = "",
        target_comp_id: str = "FXCM",
        target_sub_id: str = "",
        clock: Clock | None = None,
        tls: bool | ssl.SSLContext = False,
        user_request: bool = False,
        heartbeat_s: int = 30,
        timeout_s: float = 10.0,
        arrival_window_s: float = 5.0,
    ) -> None:
        super().__init__()
        if importlib.util.find_spec("simplefix") is None:
            raise ConfigError(f"{VENUE}: simplefix is not installed; pip install 'autotrader-lab[fxcm]'")
        target, _, sub = target_comp_id.partition("/")
        if environment not in ENVIRONMENTS:
            raise ConfigError(f"{VENUE}: environment {environment!r} is none of demo, live")
        sub = target_sub_id or sub or (_DEMO_SESSION if environment == "demo" else "")
        secret = password if isinstance(password, SecretStr) else SecretStr(password or "")
        asked = {
            "user": user,
            "password": secret.get_secret_value(),
            "account": account,
            "host": host,
            "sender_comp_id": sender_comp_id,
            "target_comp_id": target,
            "target_sub_id": sub,
        }
        for name, value in asked.items():
            if not str(value).strip():
                raise ConfigError(f"{VENUE}: {name} is empty; it is in the FIX credentials that FXCM sends on request")
        if not 1 <= port <= 65535:
            raise ConfigError(f"{VENUE}: port {port} must be 1 to 65535; it is in the FIX credentials that FXCM sends")
        if timeout_s <= 0 or heartbeat_s <= 0:
            raise ConfigError(f"{VENUE}: timeout_s {timeout_s} and heartbeat_s {heartbeat_s} must be positive, seconds")
        if arrival_window_s < 0:
            raise ConfigError(f"{VENUE}: arrival_window_s {arrival_window_s} must not be negative, seconds")
        self.arrival_window_s = arrival_window_s
        self.environment = environment
        self.account = account
        self.state: AccountState | None = None
        self.parameters: dict[str, str] = {}
        self.tradeable: dict[str, bool] = {}
        self._user, self._secret = user, secret
        self._user_request = user_request
        self._clock = clock if clock is not None else SystemClock()
        self._check_world(sub, ConfigError)
        context = ssl.create_default_context() if tls is True else tls or None
        self._settings = SessionSettings(
            sender_comp_id=sender_comp_id,
            target_comp_id=target,
            target_sub_id=sub,
            username="" if user_request else user,
            password="" if user_request else secret.get_secret_value(),
            heartbeat_s=heartbeat_s,
        )
        self._link = FixLink(
            f"{VENUE}-fix",
            self._settings,
            host,
            port,
            clock=self._clock,
            tls=context,
            timeout_s=timeout_s,
            greet=self._greet,
            catch_up=self._catch_up,
            deliver=self._on_message,
            tell=self._line_changed,
        )
        self._inquiries = Inquiries(lambda: self._link, timeout_s, self._clock)
        self._timeout_s = timeout_s
        self._has_mass_status = True
        self._users: set[str] = set()
        self._accounts: dict[str, AccountState] = {}
        self._quote_callbacks: list[Any] = []
        self._streamed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.environment}, account {self.account}, {self._link!r})"

    # --- life -------------------------------------------------------------------------------------------------

    async def connect(self) -> bool:
        """Log on, ask for what is listed and for the account, and bring every known order up to date.

        Raises
        ------
        AuthenticationFailed
            If FXCM does not accept user, password or account, or it is the other environment's.
        VenueUnavailable
            If it cannot be reached, or does not answer.
        """
        if "orders" not in self._users:
            await self._acquire("orders")
            self._connection("connected", f"{VENUE} {self.environment}")
        return True

    async def disconnect(self) -> None:
        if "orders" in self._users:
            await self._release("orders")
            self._connection("closed", "disconnect was called")

    async def _acquire(self, user: str) -> None:
        """Have the one session open for `user`: FXCM lets a sender log on once, orders and quotes share it."""
        if not self._users:
            try:
                await self._link.start()
            except LogonRefused as refusal:
                name = f"{VENUE} {self.environment}: the logon of {self._user} was refused: {refusal}"
                if _TEMPORARY.search(str(refusal)):
                    raise VenueUnavailable(name) from refusal
                raise AuthenticationFailed(
                    f"{name}. Check user, password and sender_comp_id; demo and live have their own"
                ) from refusal
            except NoAnswer as silence:
                raise VenueUnavailable(f"{VENUE} {self.environment}: after the logon, {silence}") from silence
        self._users.add(user)
        self.clock_offset_ms = self._link.clock_offset_ms

    async def _release(self, user: str) -> None:
        self._users.discard(user)
        if not self._users:
            await self._link.stop()
            self._inquiries.drop("disconnected")

    def _connected(self) -> None:
        if "orders" not in self._users:
            raise NotConnected(f"{VENUE}: not connected; await adapter.connect() first")

    def _up(self) -> None:
        self._connected()
        if not self._link.is_up:
            raise VenueUnavailable(f"{VENUE} {self.environment}: the connection is being made anew; nothing was sent")

    async def _ready(self) -> None:
        """Wait for a connection that is being made anew, as long as for an answer."""
        self._connected()
        if not await self._link.wait_up(self._timeout_s):
            raise VenueUnavailable(f"{VENUE} {self.environment}: no connection within {self._timeout_s:g} s")

    def _line_changed(self, state: ConnectionState, reason: str) -> None:
        if state == "lost":
            self._inquiries.drop(f"the connection was lost: {reason}")
        else:
            self.clock_offset_ms = self._link.clock_offset_ms
        self._connection(state, reason)

    # --- after a logon ----------------------------------------------------------------------------------------

    async def _greet(self) -> None:
        """Everything that must be known before an order may be sent."""
        # What was asked over an earlier connection will not be answered over this one.
        self._inquiries.drop("the connection was made anew")
        try:
            if self._user_request:
                key = self._inquiries.new_id("U")
                await self._inquiries.ask(
                    "BE", key, encode.login_request(self._user, self._secret.get_secret_value(), key)
                )
            await self._load_account()
            await self._load_session()
            if self._streamed:
                self._request_quotes(self._streamed)
            await self._catch_up()
        except Refused as refused:
            if refused.refusal.refused_type == "BE":
                raise LogonRefused(str(refused)) from refused
            raise VenueUnavailable(f"{VENUE} {self.environment}: {refused}") from refused

    async def _catch_up(self, symbol: str | None = None) -> None:
        """Ask after every order that is open as far as we know: all at once, then each that was not among them."""
        views = [view for view in self.orders.values() if view.is_open and symbol in (None, view.symbol)]
        if len(views) > 1 and self._has_mass_status:
            try:
                listed = await self._mass_status(again=False)
            except (Refused, NoAnswer) as error:
                if not self._link.is_open:
                    raise
                log.warning("%s: no list of open orders, asking after each: %s", VENUE, error)
                self._has_mass_status = False
            else:
                told = {name for execution in listed for name in (execution.order_id, *execution.client_ids)}
                views = [view for view in views if view.is_open and not told & {view.order_id, view.client_order_id}]
        await asyncio.gather(*(self._look_up(view) for view in views))

    async def _mass_status(self, *, again: bool = True) -> list[Execution]:
        """The account's working orders; their reports have reached our views by then."""

        def body(key: str) -> Iterable[Field]:
            return encode.mass_status_request(self.account, key)

        if again:
            return await self._inquiries.ask_again("AF", "M", body)
        key = self._inquiries.new_id("M")
        return await self._inquiries.ask("AF", key, body(key))

    async def _load_account(self) -> AccountState:
        for state in await self._inquiries.ask_again("BB", "C", encode.account_request):
            self._accounts[state.account] = state
        found = self._accounts.get(self.account)
        if found is None:
            raise AuthenticationFailed(
                f"{VENUE} {self.environment}: the login has no account {self.account!r}; it has "
                f"{', '.join(sorted(self._accounts)) or 'none'}"
            )
        self._check_world(found.session_id, AuthenticationFailed)
        self.state = found
        return found

    async def _load_session(self) -> None:
        (message,) = await self._inquiries.ask_again("g", "S", encode.session_request)
        self._take_session(message)

    def _take_session(self, message: FixMessage) -> None:
        self.parameters = decode.decode_parameters(message) or self.parameters
        listed = decode.decode_instruments(message, self.state)
        if not listed:
            return
        if len(self.instruments) and self.instruments.venue == VENUE:
            for instrument in listed:
                self.instruments.add(instrument)
        else:
            self.instruments = Instruments(listed, venue=VENUE)

    def _check_world(self, session_id: str, error: type[ConfigError] | type[AuthenticationFailed]) -> None:
        """Refuse a trade server of the other environment, where its name tells: MINIREAL, EUREAL; U100D1, DEMO."""
        name = session_id.upper()
        is_live = "REAL" in name
        is_demo = "DEMO" in name or re.fullmatch(r"U\d+D\d+", name) is not None
        if (is_live and self.environment == "demo") or (is_demo and self.environment == "live"):
            raise error(
                f"{VENUE}: environment is {self.environment!r} and the trade server {session_id!r} is a "
                f"{'live' if is_live else 'demo'} one; set environment to what the account is"
            )

    # --- questions --------------------------------------------------------------------------------------------

    async def _ask(self, msg_type: str, what: str, prefix: str, body: Callable[[str], Iterable[Field]]) -> list[Any]:
        """Ask something that is safe to ask again.

        Raises
        ------
        VenueUnavailable
            If there is no answer, or it is no.
        """
        try:
            return await self._inquiries.ask_again(msg_type, prefix, body)
        except (NoAnswer, Refused) as error:
            raise VenueUnavailable(f"{VENUE} {self.environment}: {what}: {error}") from error

    async def _status(self, order: Order, client_order_id: str = "") -> Execution:
        """The venue's report about one order.

        Raises
        ------
        OrderNotFound
            If it knows none.
        """
        found = self.instruments.find(order.symbol)
        name = client_order_id or order.client_order_id or order.order_id

        def body(key: str) -> Iterable[Field]:
            return encode.status_request(order, found.venue_symbol, self.account, key, client_order_id)

        try:
            (execution,) = await self._inquiries.ask_again("H", "H", body, name)
        except NoAnswer as silence:
            raise VenueUnavailable(f"{VENUE} {self.environment}: order {name}: {silence}") from silence
        except Refused as refused:
            raise OrderNotFound(f"{VENUE} {self.environment}: order {name}: {refused}") from refused
        if execution.is_unknown_order or (not execution.order_id and execution.phase is Phase.REJECTED):
            raise OrderNotFound(f"{VENUE} {self.environment}: order {name}: {execution.reason or 'unknown'}")
        result: Execution = execution
        return result

    async def _tickets(self, since_ns: int | None = None) -> list[Ticket]:
        """Open positions, or those closed since then."""
        now_ns = self._clock.now_ns()
        return await self._ask(
            "AN", "positions", "P", lambda key: encode.positions_request(self.account, key, now_ns, since_ns)
        )

    async def _look_up(self, view: Order) -> Order | None:
        """Bring our view up to the venue's; None if the venue shows nothing of it anywhere."""
        try:
            execution = await self._status(view)
        except OrderNotFound as absent:
            since_ns = (to_ns(view.created_at) if view.created_at else self._clock.now_ns()) - 86_400_000_000_000
            tickets = [*await self._tickets(), *await self._tickets(since_ns)]
            found = self._from_tickets(view, tickets, self._clock.now_ns())
            if found is None and view.status not in NOT_SEEN:
                log.warning("%s: %s is %s here: %s", VENUE, view.client_order_id, view.status.value, absent)
            return found
        return self._snapshot(execution)

    # --- what comes in ----------------------------------------------------------------------------------------

    def _on_message(self, message: FixMessage) -> None:
        """One application message, in its order."""
        try:
            self._take(message)
        except DataError as error:
            log.warning("%s: a %s message was not understood: %s", VENUE, message.msg_type, error)

    def _take(self, message: FixMessage) -> None:
        kind = message.msg_type
        if kind == "W":
            self._take_quote(message)
        elif kind == "8":
            self._take_execution(decode.decode_execution(message))
        elif kind == "AP":
            ticket = decode.decode_ticket(message)
            last = message.get(912) == "Y"
            self._inquiries.part(ticket.request_id, ticket, last=last, total=ticket.total or None)
        elif kind == "AO":
            # The acknowledgement that there will be reports also carries how many.
            if message.get(728) not in ("", "0") or message.get(727, "0") == "0":
                self._inquiries.part(message.get(710), None)
        elif kind == "BA":
            state = decode.decode_account(message)
            self._accounts[state.account] = state
            if state.account == self.account:
                self.state = state
            self._inquiries.part(message.get(909), state, last=state.is_last)
        elif kind == "h":
            self._take_session(message)
            self._inquiries.part(message.get(335), message)
        elif kind == "BF":
            if message.get(926) == "1":
                self._inquiries.part(message.get(923), message)
            else:
                text = message.get(927) or message.get(58) or f"user status {message.get(926)}"
                refusal = decode.Refusal("BF", "BE", None, (message.get(923),), message.get(926), text)
                self._inquiries.refuse(refusal)
        elif kind in ("3", "9", "j", "Y", "BG"):
            refusal = decode.decode_refusal(message)
            if not self._inquiries.refuse(refusal):
                log.warning("%s: refused, and nobody waits for it: %s", VENUE, refusal)
        else:
            log.info("%s: a message of type %r is not for us", VENUE, kind)

    def _take_quote(self, message: FixMessage) -> None:
        quote, tradeable = decode.decode_quote(message)
        symbol = self._universal(quote.symbol)
        self.tradeable[symbol] = tradeable
        if not tradeable:
            return
        if symbol != quote.symbol:
            quote = Quote(symbol, quote.timestamp_ns, quote.bid, quote.ask)
        for callback in self._quote_callbacks:
            callback(quote)

    def _take_execution(self, execution: Execution) -> None:
        if execution.account and execution.account != self.account:
            return
        view = self._view_of(execution)
        names = {*execution.client_ids, view.client_order_id if view is not None else ""}
        asking = [key for name in sorted(names) if name for key in self._inquiries.about(name, "H")]
        was_asked = bool(execution.status_id or (asking and not execution.order_id and not self._is_awaited(view)))
        if execution.mass_id:
            listed = execution if execution.order_id else None
            if listed is None or not execution.mass_total:
                self._inquiries.part(execution.mass_id, listed, last=listed is None or execution.is_last)
            else:
                self._inquiries.part(execution.mass_id, listed, last=execution.is_last, total=execution.mass_total)
        if view is not None and execution.is_duplicate:
            self._inquiries.doubt(view.client_order_id, f"the venue has an order of this id: {execution.reason}")
            return
        if view is not None and (execution.order_id or not (was_asked or execution.is_unknown_order)):
            self._absorb(view, execution)
        for key in {execution.status_id, *asking}:
            self._inquiries.part(key, execution)
        if view is not None:
            self._wake(view, execution)

    def _is_awaited(self, view: Order | None) -> bool:
        """Whether a new order waits for its first report."""
        return view is not None and self._inquiries.is_open(view.client_order_id)

    def _wake(self, view: Order, execution: Execution) -> None:
        """Answer whoever waits for what this report settles: a new order, a change, a cancel."""
        name = view.client_order_id
        if not execution.status_id and not execution.mass_id:
            self._inquiries.part(name, execution)
        is_over = execution.phase is not Phase.WORKING
        changed = "5" in (execution.status, execution.exec_type)
        for key in self._inquiries.about(name, "F G" if is_over else "G"):
            if is_over or changed:
                self._inquiries.part(key, execution)

    def _request_quotes(self, symbols: Iterable[str], *, on: bool = True) -> None:
        names = [self.instruments.find(symbol).venue_symbol for symbol in symbols]
        if names:
            self._link.send("V", encode.quotes_request(self._inquiries.new_id("V"), names, on=on))
