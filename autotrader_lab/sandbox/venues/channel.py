"""One WebSocket connection's outgoing side: a queue and the task that empties it.

The exchange must never wait for a slow reader. A client that lets too much pile up is disconnected, as the venue does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from autotrader_lab.sandbox.venues.hooks import Hooks

__all__ = ["Channel", "serve"]

MOST_WAITING = 20_000


class Channel:
    """The outgoing side of a connection.

    Parameters
    ----------
    socket : web.WebSocketResponse
        A prepared connection.
    hooks : Hooks
        Where faults are put in.
    world : str
        For the hooks.
    transport : asyncio.BaseTransport or None
        What to cut when the connection is to break.
    """

    def __init__(
        self, socket: web.WebSocketResponse, hooks: Hooks, world: str, transport: asyncio.BaseTransport | None
    ) -> None:
        self.socket = socket
        self._transport = transport
        self._hooks = hooks
        self._world = world
        self._closing = False
        self._queue: asyncio.Queue[str | float | None] = asyncio.Queue()

    def send(self, message: Any, kind: str) -> None:
        """Queue a JSON message; never waits."""
        self.send_text(msgspec.json.encode(message).decode(), kind)

    def send_text(self, text: str, kind: str) -> None:
        """Queue a text; never waits."""
        if self._closing:
            return
        if self._queue.qsize() >= MOST_WAITING:
            self.close()
            return
        self._hooks.frame(self._world, kind, text, self)

    def put(self, text: str) -> None:
        """Queue a text past the hooks; never waits, quiet once closed."""
        if not self._closing:
            self._queue.put_nowait(text)

    def pause(self, seconds: float) -> None:
        """Let what is queued from now on wait so much longer."""
        self._queue.put_nowait(seconds)

    def close(self) -> None:
        """Close once what is queued has been sent; what comes later is dropped."""
        self._closing = True
        self._queue.put_nowait(None)

    def abort(self) -> None:
        """Break the connection without a goodbye."""
        if isinstance(self._transport, asyncio.Transport):
            self._transport.abort()

    async def pump(self) -> None:
        """Send what is queued until closed, or until the client is gone."""
        try:
            while (item := await self._queue.get()) is not None:
                if isinstance(item, float):
                    await asyncio.sleep(item)
                else:
                    await self.socket.send_str(item)
            await self.socket.close(code=WSCloseCode.GOING_AWAY)
        except ConnectionError:
            self._closing = True


async def serve(channel: Channel, name: str, reading: Awaitable[None]) -> None:
    """Run a connection's reader until it ends, with its sender beside it."""
    sender = asyncio.create_task(channel.pump(), name=f"sandbox {name} sender")
    try:
        await reading
    except ConnectionError:
        channel.close()
    finally:
        sender.cancel()
        (end,) = await asyncio.gather(sender, return_exceptions=True)
    if isinstance(end, Exception):
        raise end
