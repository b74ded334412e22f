"""The gateway of one world on its port: who is connected, what goes by the clock, what the control address can do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from autotrader_lab.sandbox.doors import HOST
from autotrader_lab.sandbox.orders import OrderEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.venues.hooks import Hooks
from autotrader_lab.sandbox.venues.ibkr import requests, trading
from autotrader_lab.sandbox.venues.ibkr.calls import handle
from autotrader_lab.sandbox.venues.ibkr.contracts import Contract
from autotrader_lab.sandbox.venues.ibkr.gateway import Gateway
from autotrader_lab.sandbox.venues.ibkr.reports import ApiOrder
from autotrader_lab.sandbox.venues.ibkr.session import CONNECTIVITY, Pace, Session
from autotrader_lab.sandbox.world import World

__all__ = ["IbkrVenue"]

REQUEST_MODULES = (requests, trading)
TICK_S = 0.1
SLOW_TICKS = 10
ACCOUNT_TICKS = 1_800


class IbkrVenue:
    """A world's gateway; also the door to it.

    Parameters
    ----------
    world : World
        What is traded and by whom.
    catalogue : sequence of Contract
        Its contracts.
    hooks : Hooks, optional
        Where faults are put in.
    pace : Pace, optional
        What clients may ask for.
    """

    def __init__(
        self, world: World, catalogue: Sequence[Contract], hooks: Hooks | None = None, pace: Pace | None = None
    ) -> None:
        self.world = world
        self.gateway = Gateway(world, catalogue)
        self.pace = pace or Pace()
        self._hooks = hooks or Hooks()
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._is_lost = False
        self._shut_until_ns = 0
        self._ticks = 0
        self._account_changed = False
        self.gateway.on_order.append(self._on_order)
        self.gateway.on_position.append(self._on_position)
        world.listeners.append(self._on_events)

    # The door

    async def open(self, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen on a port of the loopback address; TWS speaks no TLS, so `tls` changes nothing.

        Raises
        ------
        OSError
            If the port cannot be used.
        """
        self._server = await asyncio.start_server(self._serve, HOST, port)
        opened: int = self._server.sockets[0].getsockname()[1]
        return opened

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        self.drop()
        await asyncio.gather(*self._sessions.values(), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.world.clock.now_ns() < self._shut_until_ns:
            writer.close()
            return
        session = Session(self.gateway, self._hooks, self.pace, reader, writer, handle, self._admit)
        session.is_quiet = self._is_lost
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._sessions[session] = task
        try:
            await session.run()
        finally:
            del self._sessions[session]

    def _admit(self, session: Session) -> bool:
        return all(not other.is_started or other.client_id != session.client_id for other in self._sessions)

    def drop(self, kind: str | None = None) -> int:
        """Cut every connection without a goodbye; returns how many there were."""
        sessions = list(self._sessions) if kind in (None, "stream", "ws-api") else []
        for session in sessions:
            session.abort()
        return len(sessions)

    @property
    def _started(self) -> list[Session]:
        return [session for session in self._sessions if session.is_started]

    # What sessions hear of

    def _on_order(self, api: ApiOrder, event: OrderEvent) -> None:
        for session in self._started:
            if session.client_id == api.client_id:
                for report in self.gateway.describe(api, event, session.version):
                    session.send(report)

    def _on_position(self, contract: Contract) -> None:
        self._account_changed = True
        for session in self._started:
            if session.wants_positions:
                session.send(self.gateway.portfolio.position(contract))
            if session.wants_account:
                session.send(self.gateway.portfolio.portfolio_row(contract))

    def _on_events(self, events: Sequence[Event]) -> None:
        for session in self._started:
            for subscription in list(session.subscriptions.values()):
                subscription.on_events(events)

    async def run(self) -> None:
        """Send what goes by the clock, for ever."""
        while True:
            await self.world.clock.sleep(TICK_S)
            self._ticks += 1
            now_ms = self.world.now_ms()
            is_slow = self._ticks % SLOW_TICKS == 0
            if is_slow:
                self.gateway.expire()
            for session in self._started:
                for subscription in list(session.subscriptions.values()):
                    subscription.on_tick(now_ms)
                for request_id in list(session.profit_requests) if is_slow else ():
                    trading.send_profit(session, request_id)
                if session.wants_account and (self._account_changed or self._ticks % ACCOUNT_TICKS == 0):
                    for row in trading.account_rows(session):
                        session.send(row)
            self._account_changed = False

    # What the control address can do

    def command(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do something to the gateway that the venue does to its customers.

        ``connectivity`` (code 1100, 1101 or 1102), ``reset`` (seconds without a gateway), ``read_only`` (on),
        ``market`` (symbol, open), ``pace`` (messages_1s, history_10min).

        Raises
        ------
        ValueError
            For anything else.
        """
        match action:
            case "connectivity":
                self._change_connectivity(int(body["code"]))
            case "reset":
                self._shut_until_ns = self.world.clock.now_ns() + round(float(body.get("seconds", 0)) * 1e9)
                return {"disconnected": self.drop()}
            case "read_only":
                self.gateway.is_read_only = bool(body["on"])
            case "market":
                symbol = str(body["symbol"])
                if symbol not in self.gateway.contracts:
                    raise ValueError(f"no instrument {symbol!r}; there are {list(self.gateway.contracts)}")
                (self.gateway.closed.discard if body["open"] else self.gateway.closed.add)(symbol)
            case "pace":
                self.pace.messages_1s = int(body.get("messages_1s", self.pace.messages_1s))
                self.pace.history_10min = int(body.get("history_10min", self.pace.history_10min))
            case _:
                raise ValueError(f"no action {action!r}; there are connectivity, reset, read_only, market, pace")
        return {"done": action}

    def _change_connectivity(self, code: int) -> None:
        if code not in CONNECTIVITY:
            raise ValueError(f"no connectivity message {code}; there are {list(CONNECTIVITY)}")
        self._is_lost = code == 1100
        for session in self._started:
            if code == 1101:
                session.subscriptions.clear()
            session.is_quiet = self._is_lost
            session.fail(-1, code, CONNECTIVITY[code])
            if not self._is_lost:
                session.catch_up()
