"""OKX of one world on one port: REST and WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from autotrader_lab.sandbox.venues.hooks import Hooks
from autotrader_lab.sandbox.venues.okx.api import Api
from autotrader_lab.sandbox.venues.okx.limits import Limits
from autotrader_lab.sandbox.venues.okx.sockets import Sockets
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["OkxVenue"]

TICK_S = 0.1
SLOW_TICKS = 10


class OkxVenue:
    """The venue's face of a world.

    Parameters
    ----------
    world : World
        What is traded and by whom.
    other_keys : mapping of str to ApiKey
        The other environment's keys.
    is_demo : bool
        Whether this is the demo environment.
    limits : Limits, optional
        Rate limits.
    hooks : Hooks, optional
        Where faults are put in.
    """

    def __init__(
        self,
        world: World,
        other_keys: Mapping[str, ApiKey],
        is_demo: bool,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.world = world
        self.api = Api(world, other_keys, is_demo, limits, hooks)
        self.sockets = Sockets(self.api)
        # Last of the listeners: what a triggered order leads to is told after what triggered it.
        world.listeners.append(self.api.desk.algos.on_events)

    def app(self) -> web.Application:
        """An application that serves it."""
        app = web.Application()
        self.api.add_routes(app)
        app.router.add_get("/ws/v5/{door:public|private|business}", self.sockets.handle)
        app.on_shutdown.append(self._on_shutdown)
        return app

    async def run(self) -> None:
        """Send what goes by the clock, for ever."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            self.sockets.feeds.tick(slow=ticks % SLOW_TICKS == 0)
            self.api.desk.deadlines.check(self.world.now_ms())

    def drop(self, kind: str | None = None) -> int:
        """Cut connections without a goodbye, all or of one kind; returns how many there were."""
        return self.sockets.drop(kind)

    async def _on_shutdown(self, app: web.Application) -> None:
        self.sockets.close()
