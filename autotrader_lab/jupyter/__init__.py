"""The Jupyter server's side door to the engine hosts.

A kill button that goes through the kernel waits for the running cell. This extension lives in the Jupyter server
process instead: it forwards a panel's requests to the engine host and adds the host's token, so that the panel works
while the kernel is busy or dead, and no secret ever reaches the browser or the notebook file.
"""

from __future__ import annotations

from typing import Any

__all__ = ["load_jupyter_server_extension"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "autotrader_lab.jupyter"}]


def _load_jupyter_server_extension(server_app: Any) -> None:
    from autotrader_lab.jupyter.handlers import routes

    server_app.web_app.add_handlers(".*$", routes(server_app.web_app.settings["base_url"]))
    server_app.log.info("autotrader_lab: engine hosts are reachable under %sautotrader-lab/", server_app.base_url)


load_jupyter_server_extension = _load_jupyter_server_extension
