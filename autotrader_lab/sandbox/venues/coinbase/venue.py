"""Coinbase Advanced Trade of one world: REST and market data at one address, the customer's orders at another."""

from __future__ import annotations

import asyncio

from aiohttp import web

from autotrader_lab.sandbox.venues.coinbase.api import Api, Limits
from autotrader_lab.sandbox.venues.coinbase.sockets import MARKET, USER, Sockets
from autotrader_lab.sandbox.venues.hooks import Hooks
from autotrader_lab.sandbox.world import World

__all__ = ["CoinbaseVenue"]

TICK_S = 0.05


class CoinbaseVenue:
    """The venue's face of a world.

    Parameters
    ----------
    world : World
        What is traded and by whom.
    limits : Limits, optional
        Rate limits.
    hooks : Hooks, optional
        Where faults are put in.
    """

    def __init__(self, world: World, limits: Limits | None = None, hooks: Hooks | None = None) -> None:
        self.world = world
        self.api = Api(world, limits, hooks)
        self.sockets = Sockets(self.api)

    def app(self) -> web.Application:
        """REST and market data."""
        app = web.Application()
        self.api.add_routes(app)
        app.router.add_get("/", self.sockets.handler(MARKET))
        app.on_shutdown.append(self._on_shutdown)
        return app

    def user_app(self) -> web.Application:
        """The customer's own channel."""
        app = web.Application()
        app.router.add_get("/", self.sockets.handler(USER))
        app.on_shutdown.append(self._on_shutdown)
        return app

    async def run(self) -> None:
        """Send what goes by the clock, for ever."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            self.sockets.tick(ticks)
            self.api.desk.expire(self.world.now_ms())

    def drop(self, kind: str | None = None) -> int:
        """Cut connections without a goodbye, all or of one kind; returns how many there were."""
        return self.sockets.drop(kind)

    async def _on_shutdown(self, app: web.Application) -> None:
        self.sockets.close()
