"""One environment of Oanda: its REST, its streams, and what the control address can do to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autotrader_lab.sandbox.orders import AccountEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.venues.hooks import Hooks
from autotrader_lab.sandbox.venues.oanda import account_calls, order_calls
from autotrader_lab.sandbox.venues.oanda.api import Api
from autotrader_lab.sandbox.venues.oanda.desk import Desk
from autotrader_lab.sandbox.venues.oanda.instruments import CATALOGUE
from autotrader_lab.sandbox.venues.oanda.streams import Streams
from autotrader_lab.sandbox.world import World

__all__ = ["OandaVenue"]

OPERATION_MODULES = (account_calls, order_calls)
TICK_S = 0.05


class OandaVenue:
    """A world's face at Oanda.

    Parameters
    ----------
    world : World
        What is traded and by whom.
    token : str
        The customer's.
    user_id : int
        The customer's number.
    first_id : int
        Where transactions start.
    hooks : Hooks, optional
        Where faults are put in.
    """

    def __init__(self, world: World, token: str, user_id: int, first_id: int, hooks: Hooks | None = None) -> None:
        self.world = world
        self.desk = Desk(world, user_id, first_id)
        self.api = Api(self.desk, token, hooks or Hooks())
        self.streams = Streams(self.api)
        world.listeners.append(self._on_events)

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, AccountEvent) and event.delta:
                self.desk.record_transfer(event.delta)
        if self.desk.on_market():
            self.world.publish()
        self.streams.on_market()

    async def run(self) -> None:
        """Send what goes by the clock, and end orders whose time is over, for ever."""
        while True:
            await self.world.clock.sleep(TICK_S)
            self.desk.expire()
            self.streams.tick()

    def drop(self, kind: str | None = None) -> int:
        """Cut the streams without a goodbye; returns how many there were."""
        return self.streams.drop() if kind in (None, "stream") else 0

    def command(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do something that the venue does to its customers.

        ``market`` (symbol, open), ``stall`` (on), ``pace`` (requests_1s).

        Raises
        ------
        ValueError
            For anything else.
        """
        match action:
            case "market":
                symbol = str(body["symbol"])
                if symbol not in CATALOGUE:
                    raise ValueError(f"no instrument {symbol!r}; there are {list(CATALOGUE)}")
                (self.desk.halted.discard if body["open"] else self.desk.halted.add)(symbol)
            case "stall":
                self.streams.is_stalled = bool(body["on"])
            case "pace":
                self.api.requests_1s = int(body["requests_1s"])
            case _:
                raise ValueError(f"no action {action!r}; there are market, stall, pace")
        return {"done": action}
