"""The connection to one account: who is logged on and where, what follows a logon, how it ends.

Over :mod:`.listener` (what TWS says), under :mod:`.queries` (what is asked) and :mod:`.adapter` (what is sent).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from autotrader_lab.execution.adapters.base import ConnectionState
from autotrader_lab.execution.adapters.ibkr import decode
from autotrader_lab.execution.adapters.ibkr.asking import NoAnswer, Refused
from autotrader_lab.execution.adapters.ibkr.codes import DATA_LOST, Meaning
from autotrader_lab.execution.adapters.ibkr.contracts import check_mapping
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, Phase, Security, Terms
from autotrader_lab.execution.adapters.ibkr.handles import Word
from autotrader_lab.execution.adapters.ibkr.library import load_library
from autotrader_lab.execution.adapters.ibkr.link import Link
from autotrader_lab.execution.adapters.ibkr.listener import AccountProfit, IBKRListener, Key
from autotrader_lab.execution.adapters.ibkr.pace import Action, Pace
from autotrader_lab.execution.adapters.ibkr.worlds import choose_account, environment_of
from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.model.errors import (
    ConfigError,
    NotConnected,
    VenueError,
    VenueUnavailable,
)
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.orders import Order

__all__ = ["IBKRAccount"]

log = logging.getLogger(__name__)


class IBKRAccount(IBKRListener):
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
        super().__init__(clock if clock is not None else SystemClock(), commission_wait_s, timeout_s, client_id)
        self.instruments = Instruments(venue=VENUE)
        self.environment = environment_of(port, environment)
        self.account = account
        self.accounts: tuple[str, ...] = ()
        self.exchange, self.currency = exchange, currency
        self.outside_hours = outside_hours
        self.delayed_data = delayed_data
        self._written = check_mapping(contracts or {})
        self._wanted_account = account
        self._timeout_s = timeout_s
        # TWS keeps an order while it has no connection to IB, and notices only after a moment that it has none.
        self.arrival_window_s = timeout_s
        self._messages_1s = messages_1s
        self._library = load_library(library)
        self._pace = Pace(self._clock, messages_1s)
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
        self._summaries = asyncio.Lock()
        self._restoring: asyncio.Task[Any] | None = None
        self._subscribing: asyncio.Task[Any] | None = None
        self._resubscribe: list[Callable[[], Coroutine[Any, Any, None]]] = []

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

    def _drop(self, reason: str) -> None:
        self._link.drop(reason)

    def _no_answer(self, reason: str) -> None:
        if self._link.is_up and not self._is_cut:
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
        self.accounts = tuple(self._link.wire.accounts)
        self.account = choose_account(self.accounts, self._wanted_account, self.environment)
        await self._catch_up()
        await self._check_clock()
        self._start_subscribing()

    async def _catch_up(self) -> None:
        """Learn what became of our orders: those that work, what executed, and those that ended."""
        await self._ask_open()
        if not self.orders:
            return
        # Also where nothing is open: what was told as cancelled may have executed before.
        await self._ask_executions()
        mine = [view for view in self.orders.values() if view.is_open]
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

    def _start_subscribing(self) -> None:
        """Have market data subscribed anew; orders do not wait for it."""
        if self._subscribing is not None:
            self._subscribing.cancel()
        self._subscribing = self._tasks.own(self._subscribe_again(), "ibkr subscriptions")

    async def _subscribe_again(self) -> None:
        try:
            for subscribe in list(self._resubscribe):
                await subscribe()
            if self._profit_callbacks:
                await self._request_profit()
        except VenueError as error:
            # The line is gone again; the next one subscribes anew.
            log.warning("%s: market data were not all subscribed: %s", VENUE, error)

    def _restore(self, code: int) -> None:
        """TWS is connected to IB again: ask first, then say so."""

        async def restore() -> None:
            try:
                await self._catch_up()
                if code == DATA_LOST:
                    self._start_subscribing()
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
        return await self._questions.jointly("completed orders", self._list_completed)

    async def _list_completed(self) -> list[Terms]:
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
        return await self._questions.jointly("executions", self._list_executions)

    async def _list_executions(self) -> list[decode.Execution]:
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

    async def _ask_for_commissions(self) -> bool:
        try:
            await self._line_ready()
            await self._ask_executions()
        except (VenueError, NoAnswer, Refused) as error:
            log.warning("%s: commissions could not be asked for: %s", VENUE, error)
            return False
        return True

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
