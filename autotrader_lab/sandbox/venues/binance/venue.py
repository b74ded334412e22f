"""Binance spot of one world on one port: REST, WebSocket API and streams."""

from __future__ import annotations

from aiohttp import web

from autotrader_lab.sandbox.venues.binance import private, public
from autotrader_lab.sandbox.venues.binance.api import Api
from autotrader_lab.sandbox.venues.binance.limits import Limits
from autotrader_lab.sandbox.venues.binance.rest import add_routes
from autotrader_lab.sandbox.venues.binance.streams import Streams
from autotrader_lab.sandbox.venues.binance.wsapi import WebSocketApi
from autotrader_lab.sandbox.venues.hooks import Hooks
from autotrader_lab.sandbox.world import World

__all__ = ["BinanceVenue"]

OPERATION_MODULES = (public, private)


class BinanceVenue:
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
        self.websocket_api = WebSocketApi(self.api)
        self.streams = Streams(self.api)

    def app(self) -> web.Application:
        """An application that serves it."""
        app = web.Application()
        add_routes(app, self.api)
        app.router.add_get("/ws-api/v3", self.websocket_api.handle)
        for path in ("/ws", "/ws/{names:.*}", "/stream", "/stream/ws", "/stream/ws/{names:.*}"):
            app.router.add_get(path, self.streams.handle)
        app.on_shutdown.append(self._on_shutdown)
        return app

    async def run(self) -> None:
        """Send the streams that go by the clock, for ever."""
        await self.streams.run()

    def drop(self, kind: str | None = None) -> int:
        """Cut connections without a goodbye, all or of one kind; returns how many there were."""
        count = self.streams.drop() if kind in (None, "stream") else 0
        return count + (self.websocket_api.drop() if kind in (None, "ws-api") else 0)

    async def _on_shutdown(self, app: web.Application) -> None:
        self.websocket_api.close()
        self.streams.close()
