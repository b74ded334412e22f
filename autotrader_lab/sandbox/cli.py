"""The command that serves the sandbox: ``autotrader-lab sandbox``, or ``python -m autotrader_lab.sandbox``."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from autotrader_lab.sandbox.server import Sandbox
from autotrader_lab.sandbox.sites import PORTS, VENUES

__all__ = ["sandbox"]


def sandbox(
    market: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded market data to replay (repeat for files that follow each other)."),
    ] = None,
    speed: Annotated[float, typer.Option(help="Market seconds per second; 0 stands still.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Repeat the same synthetic market and keys.")] = None,
    symbols: Annotated[str, typer.Option(help="What trades, separated by commas.")] = "BTCUSDT,ETHUSDT",
    venues: Annotated[str, typer.Option(help="Which venues, separated by commas.")] = ",".join(VENUES),
    port_base: Annotated[int | None, typer.Option(help=f"First of {PORTS} ports; else the system chooses.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS, with a self-signed certificate.")] = False,
    faults: Annotated[Path | None, typer.Option(help="A plan of what is to go wrong, YAML or JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")] = False,
) -> None:
    """Serve local venues, each with a testnet and a live world, until interrupted."""
    try:
        box = Sandbox(
            market or None,
            seed=seed,
            speed=speed,
            symbols=symbols.split(","),
            venues=venues.split(","),
            port_base=port_base,
            tls=tls,
            faults=faults,
        )
        asyncio.run(_serve(box, as_json))
    except ValueError as error:
        typer.echo(f"sandbox: {error}", err=True)
        raise typer.Exit(2) from error


async def _serve(box: Sandbox, as_json: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with box:
        typer.echo(json.dumps(box.addresses) if as_json else _describe(box.addresses))
        running = asyncio.create_task(box.run(), name="sandbox")
        waiting = asyncio.create_task(stopped.wait(), name="sandbox signal")
        done, pending = await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


def _describe(addresses: dict[str, Any]) -> str:
    lines: list[str] = []
    for name, entry in addresses.items():
        if name == "control":
            lines.append(f"control          {entry['url']}  token {entry['token']}")
        elif name != "tls":
            lines += _lines(f"{name} testnet", {k: v for k, v in entry.items() if k != "live"})
            lines += _lines(f"{name} live", entry["live"])
    return "\n".join([*lines, "Ctrl-C stops it."])


def _lines(label: str, entry: dict[str, Any]) -> list[str]:
    """A world's addresses on one line and its keys below."""
    where = [str(value) for name, value in entry.items() if "://" in str(value) or name == "address"]
    keys = [
        f"{name} {'(several lines: see --json)' if chr(10) in str(value) else value}"
        for name, value in entry.items()
        if str(value) not in where
    ]
    return [f"{label:<16} {'  '.join(where)}", f"{'':<16} {'  '.join(keys)}"]
