"""Serving the monitoring page, on this machine only."""

# mypy: allow-untyped-calls
from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import panel as pn

from autotrader_lab.model.errors import ConfigError

__all__ = ["serve"]

HOST = "127.0.0.1"


def serve(page: Callable[[], Any], *, port: int, open_browser: bool, say: Callable[[str], None]) -> None:
    """Serve `page` on loopback until interrupted.

    Parameters
    ----------
    page : callable
        Makes the page for one browser.
    port : int
        0 lets the system choose.
    open_browser : bool
        Whether to open it here.
    say : callable
        Is told the address, once it answers.

    Raises
    ------
    ConfigError
        If the port is taken.
    """
    port = _free(port)
    # A page from elsewhere that reaches loopback through the user's browser is refused by its Origin.
    origins = [f"{HOST}:{port}", f"localhost:{port}"]
    server: Any = pn.serve(
        {"monitor": page},
        port=port,
        address=HOST,
        websocket_origin=origins,
        title="AutoTrader Lab",
        show=open_browser,
        start=False,
        verbose=False,
    )
    server.start()
    say(f"http://{HOST}:{port}/monitor")
    server.io_loop.start()


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"port {port}: {error.strerror or error}; take another with --port, or --port 0"
            ) from error
        return int(probe.getsockname()[1])
