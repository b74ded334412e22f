"""The commands for when something went wrong: ``autotrader-lab settle`` and ``autotrader-lab recover``.

They work where no notebook does: over a terminal, with the kernel dead, with the host dead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from autotrader_lab.host.runs import RunFolder

__all__ = ["settle"]


def settle(
    folder: RunFolder,
    order: str | None,
    action: str | None,
    *,
    venue_order_id: str = "",
    why: str = "",
    as_json: bool = False,
) -> None:
    """List what needs a person, or press one of the four buttons.

    Raises
    ------
    AutoTraderError
        What the host says, or that there is none.
    """
    from autotrader_lab.host.care import SETTLEMENTS
    from autotrader_lab.jupyter.remote import HostSilent, last_known, send_command, status
    from autotrader_lab.model.errors import ConfigError

    if order is None:
        try:
            snapshot = status(folder)
        except HostSilent as silence:
            snapshot = last_known(folder)
            typer.secho(f"{silence} This is what its journal says.", fg="yellow", err=True)
        waiting = snapshot.get("attention", [])
        if as_json:
            typer.echo(json.dumps(waiting))
        elif not waiting:
            typer.echo(f"{folder.session}: no order needs a person")
        else:
            _print_attention(folder.session, waiting)
        return
    if order == "reprocess":
        sent = send_command(folder, "settle", {"action": order})["sent"]
        typer.echo(json.dumps(sent) if as_json else f"{len(sent)} sent again; the rest stays: settle {folder.session}")
        return
    if action not in SETTLEMENTS:
        raise ConfigError(f"{action or 'nothing'} cannot be done to an order; it is one of {', '.join(SETTLEMENTS)}")
    arguments = {"action": action, "order": order, "venue_order_id": venue_order_id, "why": why}
    row = send_command(folder, "settle", arguments)
    if as_json:
        typer.echo(json.dumps(row))
        return
    reason = f" ({row['reason']})" if row["reason"] else ""
    typer.echo(f"{row['client_order_id']}: {row['status']}, {row['filled']:g} of {row['quantity']:g} filled{reason}")


def _print_attention(session: str, waiting: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from autotrader_lab.model.clock import SystemClock

    now_ms = SystemClock().now_ns() // 1_000_000
    table = Table(title=f"{session}: {len(waiting)} to decide", title_justify="left", box=None, pad_edge=False)
    for name in ("order", "what", "status", "for", "attempts", "why"):
        table.add_column(name, justify="right" if name in ("for", "attempts") else "left", overflow="fold")
    for row in waiting:
        price = f" @ {row['price']:g}" if row["price"] is not None else ""
        table.add_row(
            row["client_order_id"],
            f"{row['side']} {row['quantity']:g} {row['symbol']}{price}",
            "in doubt" if row["status"] == "unknown" else "never delivered",
            f"{max(now_ms - row['since_ms'], 0) / 1000:.0f} s",
            str(row["attempts"]),
            row["reason"],
        )
    console = Console()
    console.print(table)
    console.print(f"decide: autotrader-lab settle {session} ORDER query|adopt|resubmit|discard", highlight=False)
