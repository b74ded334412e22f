"""What the sandbox's venues are reached through: doors that open on a loopback port, plain or with TLS.

Most venues speak HTTP and WebSockets (``HttpDoor``); one that speaks a protocol of its own brings another door.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Protocol

from aiohttp import web

__all__ = ["HOST", "Door", "HttpDoor", "Origins"]

HOST = "127.0.0.1"


class Door(Protocol):
    """Something that listens on one port."""

    async def open(self, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen on `port` (0: any) of the loopback address and return the port.

        Raises
        ------
        OSError
            If the port cannot be used.
        """
        ...

    async def close(self) -> None:
        """Close the port and every connection; quiet when it never opened."""
        ...


class HttpDoor:
    """A door that serves a web application.

    Parameters
    ----------
    make_app : callable
        Makes the application when the door opens.
    """

    def __init__(self, make_app: Callable[[], web.Application]) -> None:
        self._make_app = make_app
        self._runner: web.AppRunner | None = None

    async def open(self, port: int, tls: ssl.SSLContext | None) -> int:
        self._runner = web.AppRunner(self._make_app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, port, ssl_context=tls).start()
        opened: int = self._runner.addresses[0][1]
        return opened

    async def close(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()


class Origins:
    """Where a site's doors are, once they are open.

    Parameters
    ----------
    ports : mapping of str to int
        By the door's name.
    is_tls : bool
        Whether they speak TLS.
    """

    def __init__(self, ports: Mapping[str, int], is_tls: bool) -> None:
        self._ports = ports
        self._secure = "s" if is_tls else ""

    def http(self, door: str) -> str:
        """``http://host:port`` of a door."""
        return f"http{self._secure}://{self.address(door)}"

    def ws(self, door: str) -> str:
        """``ws://host:port`` of a door."""
        return f"ws{self._secure}://{self.address(door)}"

    def address(self, door: str) -> str:
        """``host:port`` of a door."""
        return f"{HOST}:{self._ports[door]}"
