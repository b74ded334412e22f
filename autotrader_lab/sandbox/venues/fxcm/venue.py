"""FXCM's FIX 4.4 trade server of one world.

Covered, from FXCM's public pages and the messages recorded there: Logon with user and password, or a UserRequest after
it; TargetSubID on every message; sequence numbers, heartbeats, test requests, resends; TradingSessionStatus with
security list and system parameters; CollateralInquiry; quotes (best bid and ask, no sizes); market, limit, stop and
market-range orders with GTC, DAY, IOC and FOK; cancel, replace, status, mass status; execution reports in FXCM's order
(0, 7, 1, 7 with 150=F, 2); positions open and closed; netting accounts, first in first out, and hedging ones; margin;
refusals with FXCM's own texts where those are public.

Not covered: order lists (OCO, OTO, ELS), trailing stops, GTD and the end of DAY orders, rollover interest, commissions,
margin calls, trading hours (it never closes), market data history, several accounts of one login. What FXCM says to a
wrong password, an unknown order or a second logon is not public; the sandbox uses plain words there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.venues.fxcm.desk import Desk
from autotrader_lab.sandbox.venues.fxcm.gateway import Connection, FixDoor
from autotrader_lab.sandbox.venues.fxcm.render import Customer
from autotrader_lab.sandbox.venues.hooks import Hooks
from autotrader_lab.sandbox.world import World

__all__ = ["FxcmVenue"]


class FxcmVenue:
    """The venue's face of a world.

    Parameters
    ----------
    world : World
        What is traded and by whom.
    customer : Customer
        Who may log on.
    hooks : Hooks, optional
        Where faults are put in.
    first_id : int, default 1
        Where position and execution numbers start.
    """

    def __init__(self, world: World, customer: Customer, hooks: Hooks | None = None, first_id: int = 1) -> None:
        self.world = world
        self.customer = customer
        self.desk = Desk(world, customer, first_id)
        self.door = FixDoor(self._serve)
        self._hooks = hooks or Hooks()
        self._connections: list[Connection] = []
        world.listeners.append(self._on_events)

    async def run(self) -> None:
        """Keep the sessions' time, for ever."""
        while True:
            await self.world.clock.sleep(0.5)
            for connection in list(self._connections):
                connection.session.tick()
                if connection.session.is_over:
                    connection.close()

    def drop(self, kind: str | None = None) -> int:
        """Cut connections without a goodbye, all or of one kind ("fix"); returns how many there were."""
        if kind not in (None, "fix"):
            return 0
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(
            self.customer, self.desk, self._hooks, self.world.name, self.world.publish, self._may_enter, reader, writer
        )
        self._connections.append(connection)
        try:
            await connection.run()
        finally:
            self._connections.remove(connection)

    def _may_enter(self, newcomer: Connection) -> bool:
        others = [one for one in self._connections if one is not newcomer and one.session.is_open]
        for one in others:
            if one.is_deserted:
                one.abort()
        return all(one.is_deserted for one in others)

    def _on_events(self, events: Sequence[Event]) -> None:
        said = list(self.desk.reports(events))
        for connection in list(self._connections):
            for one in said:
                connection.say(one)
            connection.send_quotes()
