"""The command that serves the sandbox: ``autotrader-lab sandbox``, or ``python -m autotrader_lab.sandbox``."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from autotrader_lab.sandbox.server import Sandbox

__all__ = ["sandbox"]


def sandbox(
    market: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded market data to replay (repeat for files that follow each other)."),
    ] = None,
    speed: Annotated[float, typer.Option(help="Market seconds per second; 0 stands still.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Repeat the same synthetic market and keys.")] = None,
    symbols: Annotated[str, typer.Option(help="What trades, separated by commas.")] = "BTCUSDT,ETHUSDT",
    port_base: Annotated[int | None, typer.Option(help="First of three ports; the system chooses otherwise.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")] = False,
) -> None:
    """Serve local venues (Binance spot, testnet and live) until interrupted."""
    try:
        box = Sandbox(market or None, seed=seed, speed=speed, symbols=symbols.split(","), port_base=port_base)
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
    testnet = addresses["binance"]
    live = testnet["live"]
    return "\n".join(
        [
            f"binance testnet  {testnet['rest']}  {testnet['ws']}",
            f"                 key {testnet['api_key']}  secret {testnet['api_secret']}",
            f"binance live     {live['rest']}  {live['ws']}",
            f"                 key {live['api_key']}  secret {live['api_secret']}",
            f"control          {addresses['control']['url']}  token {addresses['control']['token']}",
            "Ctrl-C stops it.",
        ]
    )
