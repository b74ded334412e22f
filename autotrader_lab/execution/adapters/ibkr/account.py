"""The connection to one account: who is logged on and where, what follows a logon, every message on its way in.

Over :mod:`.books` (what reports mean), under :mod:`.queries` (what is asked) and :mod:`.adapter` (what is sent).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.base import ConnectionState
from autotrader_lab.execution.adapters.ibkr import decode
from autotrader_lab.execution.adapters.ibkr.asking import NoAnswer, Questions, Refused
from autotrader_lab.execution.adapters.ibkr.books import IBKRBooks, Word
from autotrader_lab.execution.adapters.ibkr.codes import CONNECTIVITY_LOST, CONNECTIVITY_RESTORED, DATA_LOST, Meaning
from autotrader_lab.execution.adapters.ibkr.contracts import check_mapping
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, Phase, Security, Standing, Terms
from autotrader_lab.execution.adapters.ibkr.library import load_library
from autotrader_lab.execution.adapters.ibkr.link import Link
from autotrader_lab.execution.adapters.ibkr.pace import Action, Pace
from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    ConfigError,
    DataError,
    NotConnected,
    VenueError,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.orders import Order

__all__ = ["ENVIRONMENTS", "LIVE_PORTS", "PAPER_PORTS", "AccountProfit", "IBKRAccount", "environment_of"]

log = logging.getLogger(__name__)

ENVIRONMENTS = ("paper", "live")
PAPER_PORTS = (7497, 4002)
LIVE_PORTS = (7496, 4001)

Key = int | tuple[int, int]


class AccountProfit(msgspec.Struct, frozen=True):
    """The account's profit in its base currency, as IB counts it; None where IB does not tell."""

    timestamp_ns: int
    daily: float | None
    unrealised: float | None
    realised: float | None


def environment_of(port: int, environment: str | None = None) -> str:
    """Paper or live: what was said, else what the port says; any other port is paper until somebody says live.

    Raises
    ------
    ConfigError
        If the two contradict each other.
    """
    if environment and environment not in ENVIRONMENTS:
        raise ConfigError(f"{VENUE}: environment {environment!r} is none of {', '.join(ENVIRONMENTS)}")
    by_port = "live" if port in LIVE_PORTS else "paper" if port in PAPER_PORTS else ""
    if by_port and environment and by_port != environment:
        raise ConfigError(
            f"{VENUE}: environment is {environment!r} and port {port} is the {by_port} one; TWS listens on 7497 for "
            "paper and 7496 for live, Gateway on 4002 and 4001"
        )
    return environment or by_port or "paper"


class IBKRAccount(IBKRBooks):
    """One account over one connection; see :class:`~.adapter.IBKRAdapter` for the parameters."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 7497,
        client_id: int = 1,
        *,
        account: str = "",
        environment: str | None = None,
        exchange: str = "SMART",
        currency: str = "USD",
        contracts: Mapping[str, Mapping[str, Any]] | None = None,
        outside_hours: bool = False,
        delayed_data: bool = False,
        clock: Clock | None = None,
        timeout_s: float = 10.0,
        commission_wait_s: float = 1.0,
        heartbeat_s: float = 15.0,
        messages_1s: int = 50,
        time_zone: str = "",
        library: str = "",
    ) -> None:
        if not str(host).strip():
            raise ConfigError(f"{VENUE}: host is empty; TWS on this machine is 127.0.0.1")
        if not 1 <= port <= 65535:
            raise ConfigError(f"{VENUE}: port {port} must be 1 to 65535; TWS listens on 7497 (paper) and 7496 (live)")
        if client_id < 0:
            raise ConfigError(f"{VENUE}: client_id {client_id} must be 0 or more, a number of its own for each program")
        for name, value in (
            ("timeout_s", timeout_s),
            ("commission_wait_s", commission_wait_s),
            ("heartbeat_s", heartbeat_s),
        ):
            if value <= 0:
                raise ConfigError(f"{VENUE}: {name} {value} must be positive, seconds")
        super().__init__(clock if clock is not None else SystemClock(), commission_wait_s)
        self.instruments = Instruments(venue=VENUE)
        self.environment = environment_of(port, environment)
        self.account = account
        self.accounts: tuple[str, ...] = ()
        self.client_id = client_id
        self.exchange, self.currency = exchange, currency
        self.outside_hours = outside_hours
        self.delayed_data = delayed_data
        self.profit: AccountProfit | None = None
        self._written = check_mapping(contracts or {})
        self._wanted_account = account
        self._timeout_s = timeout_s
        self._messages_1s = messages_1s
        self._library = load_library(library)
        self._pace = Pace(self._clock, messages_1s)
        self._questions = Questions(timeout_s, self._no_answer)
        self._link = Link(
            self._library,
            host,
            port,
            client_id,
            clock=self._clock,
            deliver=self._on_message,
            greet=self._greet,
            tell=self._line_changed,
            ask=self._check_clock,
            timeout_s=timeout_s,
            heartbeat_s=heartbeat_s,
            time_zone=time_zone,
        )
        self._users: set[str] = set()
        self._next_id = 1
        self._is_cut = False
        self._restoring: asyncio.Task[Any] | None = None
        self._terms: dict[Key, Terms] = {}
        self._standings: dict[Key, Standing] = {}
        self._phases: dict[Key, Phase | None] = {}
        self._market_callbacks: list[Callable[[str, tuple[Any, ...]], None]] = []
        self._resubscribe: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._profit_callbacks: list[Callable[[AccountProfit], None]] = []
        self._profit_id = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.environment}, {self.account or 'no account yet'}, {self._link!r})"

    # --- the connection ---------------------------------------------------------------------------------------

    async def disconnect(self) -> None:
        if "orders" in self._users:
            await self._release_user("orders")
            self._connection("closed", "disconnect was called")

    async def _acquire(self, user: str) -> None:
        """Have the one connection open for `user`: orders and market data share it and its client id."""
        if not self._users:
            self._pace = Pace(self._clock, self._messages_1s)
            try:
                await self._link.start()
            except (NoAnswer, Refused) as error:
                raise VenueUnavailable(f"{VENUE} {self.environment}: after the logon: {error}") from error
        self._users.add(user)

    async def _release_user(self, user: str) -> None:
        self._users.discard(user)
        if not self._users:
            self._questions.drop("disconnected")
            await self._link.stop()
            await self._tasks.end()
            for execution_id in list(self._held):
                self._release(execution_id)

    def _connected(self) -> None:
        if "orders" not in self._users:
            raise NotConnected(f"{VENUE}: not connected; await adapter.connect() first")

    def _up(self) -> None:
        self._connected()
        if self._is_cut:
            raise VenueUnavailable(f"{VENUE}: TWS has no connection to IB (1100); nothing was sent")
        if not self._link.is_up:
            raise VenueUnavailable(f"{VENUE} {self.environment}: the connection is being made anew; nothing was sent")

    async def _ready(self) -> None:
        """Wait for a connection that is being made anew, as long as for an answer."""
        self._connected()
        await self._line_ready()

    async def _line_ready(self) -> None:
        if not await self._link.wait_up(self._timeout_s):
            raise VenueUnavailable(f"{VENUE} {self.environment}: no connection within {self._timeout_s:g} s")
        if self._is_cut:
            raise VenueUnavailable(f"{VENUE} {self.environment}: TWS has no connection to IB (1100); ask again later")

    def _line_changed(self, state: ConnectionState, reason: str) -> None:
        if state == "lost":
            self._questions.drop(f"the connection was lost: {reason}")
            self._wake_all()
            if self._is_cut:
                return  # told when TWS lost IB
        self._connection(state, reason)

    def _no_answer(self, reason: str) -> None:
        if not self._is_cut:
            self._link.drop(f"{reason}; a late answer must not be taken for a later one")

    # --- after a logon ----------------------------------------------------------------------------------------

    async def _greet(self) -> None:
        """Everything that must be known before an order may be sent."""
        self._is_cut = False
        self._pace = Pace(self._clock, self._messages_1s)
        self._pace.count(2)
        self._questions.drop("the connection was made anew")
        self._terms.clear()
        self._standings.clear()
        self._phases.clear()
        self._choose_account(tuple(self._link.wire.accounts))
        await self._catch_up()
        await self._check_clock()
        await self._subscribe_again()

    def _choose_account(self, accounts: tuple[str, ...]) -> None:
        self.accounts = accounts
        name = self._wanted_account or (accounts[0] if len(accounts) == 1 else "")
        if not name:
            raise AuthenticationFailed(
                f"{VENUE} {self.environment}: the login has {len(accounts)} accounts ({', '.join(accounts)}); say "
                "which with account="
            )
        if name not in accounts:
            raise AuthenticationFailed(
                f"{VENUE} {self.environment}: the login has no account {name!r}; it has {', '.join(accounts) or 'none'}"
            )
        # Paper accounts begin with D: DU single ones, DF and DI those of an advisor.
        found = "paper" if name.upper().startswith("D") else "live"
        if found != self.environment:
            raise AuthenticationFailed(
                f"{VENUE}: environment is {self.environment!r} and the account {name!r} that answers is a {found} one"
                f"{', with real money' if found == 'live' else ''}; log TWS on to the other account, or set port and "
                f"environment to {found}"
            )
        self.account = name

    async def _catch_up(self) -> None:
        """Learn what became of our orders: those that work, what executed, and those that ended."""
        await self._ask_open()
        mine = [view for view in self.orders.values() if view.is_open]
        if not mine:
            return
        await self._ask_executions()
        working = {handle.view.client_order_id for key, terms in self._terms.items()
                   if self._phases.get(key) in (Phase.WORKING, Phase.ON_THE_WAY)
                   and (handle := self._ours(terms)) is not None}  # fmt: skip
        if any(view.is_open and view.client_order_id not in working for view in mine):
            await self._ask_completed()

    async def _check_clock(self) -> None:
        """Ask for the time: proof that TWS lives, and how far our clocks are apart."""
        if self._is_cut:
            return
        try:
            await self._pace.turn("query", "the time")
            (at,) = await self._questions.by_kind("currentTime", self._link.wire.client.reqCurrentTime)
        except Refused as refused:
            raise VenueUnavailable(f"TWS does not tell the time: {refused}") from refused
        except NoAnswer as silence:
            raise VenueUnavailable(f"TWS is silent: {silence}") from silence
        # Whole seconds, so that anything less than one is no difference.
        offset_ms = at * 1e3 + 500 - self._clock.now_ns() / 1e6
        self.clock_offset_ms = 0.0 if abs(offset_ms) <= 1_000 else offset_ms

    async def _subscribe_again(self) -> None:
        for subscribe in list(self._resubscribe):
            await subscribe()
        if self._profit_callbacks:
            await self._request_profit()

    def _restore(self, code: int) -> None:
        """TWS is connected to IB again: ask first, then say so."""

        async def restore() -> None:
            try:
                await self._catch_up()
                if code == DATA_LOST:
                    await self._subscribe_again()
            except (VenueError, NoAnswer, Refused) as error:
                self._link.drop(f"after {code}: {error}")
                return
            self._is_cut = False
            self._connection("restored", f"TWS is connected to IB again ({code})")

        if self._restoring is None or self._restoring.done():
            self._restoring = self._tasks.own(restore(), "ibkr restore")

    # --- questions whose answers bring our books up to date ---------------------------------------------------

    async def _send(self, action: Action, what: str) -> Any:
        """The client, once a message of this kind may be sent."""
        await self._pace.turn(action, f"{VENUE}: {what}")
        return self._link.wire.client

    async def _ask_open(self) -> list[Key]:
        """Everybody's working orders, by their numbers."""
        client = await self._send("query", "open orders")
        listed: list[Key] = await self._questions.by_kind("openOrders", client.reqAllOpenOrders)
        open_phases = (Phase.WORKING, Phase.ON_THE_WAY, None)
        return [key for key in dict.fromkeys(listed) if self._phases.get(key) in open_phases]

    async def _ask_completed(self) -> list[Terms]:
        """Orders that ended today."""
        client = await self._send("query", "completed orders")
        listed: list[Terms] = await self._questions.by_kind("completedOrders", lambda: client.reqCompletedOrders(False))
        for terms in listed:
            self._absorb_completed(terms)
        return listed

    def _absorb_completed(self, terms: Terms) -> None:
        handle = self._ours(terms)
        if handle is None or not handle.view.is_open:
            return
        if terms.phase in (Phase.FILLED, Phase.CANCELLED):
            self._acknowledge(handle, even_without_id=True)
        if handle.word is None or handle.word.meaning not in (Meaning.CANCELLED, Meaning.REFUSED):
            if terms.phase is Phase.CANCELLED:
                handle.word = Word(Meaning.CANCELLED, 202, terms.reason)
            elif terms.phase is Phase.INACTIVE:
                handle.word = Word(Meaning.REFUSED, 201, terms.reason or "inactive")
        self._absorb_terms(terms, listed=True)

    async def _ask_executions(self) -> list[decode.Execution]:
        """Today's executions of the account."""
        client = await self._send("query", "executions")
        wanted = self._library.execution_filter(acctCode=self.account)
        found: list[decode.Execution] = await self._questions.by_id(lambda key: client.reqExecutions(key, wanted))
        for execution in found:
            self._absorb_execution(execution)
        held = {execution.execution_id for execution in found}
        for _ in range(100):
            if not held & self._held.keys():
                break
            await self._clock.sleep(self._commission_wait_s / 50)
        return found

    # --- what comes in ----------------------------------------------------------------------------------------

    def _on_message(self, name: str, values: tuple[Any, ...]) -> None:
        """One callback of the client library, in its order."""
        try:
            self._take(name, values)
        except DataError as error:
            log.warning("%s: a message (%s) was not understood: %s", VENUE, name, error)

    def _take(self, name: str, values: tuple[Any, ...]) -> None:
        if name == "openOrder":
            self._take_order(*values)
        elif name == "orderStatus":
            self._take_standing(decode.decode_standing(*values))
        elif name == "execDetails":
            request_id, contract, execution = values
            self._take_execution(request_id, decode.decode_execution(contract, execution))
        elif name == "commissionReport":
            self._absorb_commission(decode.decode_commission(values[0]))
        elif name == "error":
            self._take_error(*values)
        elif name == "openOrderEnd":
            self._questions.end("openOrders")
        elif name == "completedOrder":
            contract, order, state = values
            terms = decode.decode_order(0, contract, order, state)
            if terms.account in ("", self.account):
                self._questions.part("completedOrders", terms)
        elif name == "completedOrdersEnd":
            self._questions.end("completedOrders")
        elif name == "position":
            account, contract, size, _ = values
            if account == self.account:
                part = (decode.decode_security(contract), decode.number(size, "position") or Decimal(0))
                self._questions.part("positions", part)
        elif name == "positionEnd":
            self._questions.end("positions")
        elif name == "currentTime":
            self._questions.part("currentTime", int(values[0]))
            self._questions.end("currentTime")
        elif name == "nextValidId":
            self._next_id = max(self._next_id, int(values[0]))
        elif name == "contractDetails":
            self._questions.part(values[0], decode.decode_details(values[1]))
        elif name == "accountSummary":
            self._questions.part(values[0], values[1:])
        elif name == "historicalData":
            self._questions.part(values[0], values[1])
        elif name in ("execDetailsEnd", "contractDetailsEnd", "accountSummaryEnd", "historicalDataEnd"):
            self._questions.end(values[0])
        elif name == "marketRule":
            self._questions.part(f"rule {values[0]}", decode.decode_rule(values[1]))
            self._questions.end(f"rule {values[0]}")
        elif name == "pnl":
            self._take_profit(*values)
        else:
            for callback in list(self._market_callbacks):
                callback(name, values)

    def _take_order(self, order_id: int, contract: Any, order: Any, state: Any) -> None:
        if order.whatIf:
            return
        terms = decode.decode_order(order_id, contract, order, state)
        if terms.account not in ("", self.account):
            return
        key = _key(terms)
        self._terms[key], self._phases[key] = terms, terms.phase
        if terms.client_id == self.client_id:
            self._next_id = max(self._next_id, terms.order_id + 1)
        is_listed = self._questions.is_open("openOrders")
        self._questions.part("openOrders", key)
        self._absorb_terms(terms, listed=is_listed)

    def _take_standing(self, standing: Standing) -> None:
        key = _key(standing)
        self._standings[key] = standing
        if key in self._phases:
            self._phases[key] = standing.phase
        self._absorb_standing(standing)

    def _take_execution(self, request_id: int, execution: decode.Execution) -> None:
        if execution.account != self.account:
            return
        if self._questions.is_open(request_id):
            self._questions.part(request_id, execution)
        else:
            self._absorb_execution(execution)

    def _take_error(self, request_id: int, code: int, text: str, details: str = "") -> None:
        if request_id >= 0:
            if self._questions.refuse(request_id, code, text) or self._absorb_error(
                request_id, self.client_id, code, text
            ):
                return
            for callback in list(self._market_callbacks):
                callback("error", (request_id, code, text))
            log.info("%s: %d: %d %s", VENUE, request_id, code, text)
            return
        if code in CONNECTIVITY_LOST:
            self._cut(f"{code} {text}")
        elif code in CONNECTIVITY_RESTORED or (self._is_cut and code in (2104, 2106)):
            if self._is_cut:
                self._restore(code)
        elif code == 1300:
            self._link.drop(f"{code} {text}")
        elif 2100 <= code < 2200:
            log.info("%s: %d %s", VENUE, code, text)
        else:
            log.warning("%s: %d %s", VENUE, code, text)
            if code != 100:
                self._questions.refuse(-1, code, text)

    def _cut(self, reason: str) -> None:
        """TWS lost IB: what is sent now is carried out later, unanswered, so nothing is sent."""
        if self._is_cut:
            return
        self._is_cut = True
        self._questions.drop(f"TWS lost its connection to IB: {reason}")
        self._wake_all()
        if self._link.is_up:
            self._connection("lost", reason)

    # --- profit -----------------------------------------------------------------------------------------------

    async def subscribe_profit(self, callback: Callable[[AccountProfit], None]) -> None:
        """Call `callback` with the account's profit about once a second while it changes.

        Raises
        ------
        VenueUnavailable
            If there is no connection now.
        """
        await self._ready()
        self._profit_callbacks.append(callback)
        if len(self._profit_callbacks) == 1:
            await self._request_profit()

    async def _request_profit(self) -> None:
        client = await self._send("query", "profit")
        self._profit_id = self._questions.new_id()
        client.reqPnL(self._profit_id, self.account, "")

    def _take_profit(self, request_id: int, daily: float, unrealised: float, realised: float) -> None:
        if request_id != self._profit_id:
            return
        told = [decode.number(value, "profit") for value in (daily, unrealised, realised)]
        figures = [None if value is None else float(value) for value in told]
        self.profit = AccountProfit(self._clock.now_ns(), *figures)
        for callback in list(self._profit_callbacks):
            callback(self.profit)

    def _name(self, security: Security) -> str:
        return self._catalogue.name_of(security)

    def _look_again(self, view: Order) -> Coroutine[Any, Any, None]:
        async def look() -> None:
            try:
                await self._line_ready()
                await self._catch_up()
            except (VenueError, NoAnswer, Refused) as error:
                log.warning("%s: could not ask after %s: %s", VENUE, view.client_order_id, error)

        return look()


def _key(what: Terms | Standing) -> Key:
    """By permId where there is one: numbers repeat among clients."""
    return what.perm_id or (what.client_id, what.order_id)
