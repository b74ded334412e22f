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
    from autotrader_lab.host.survey import Survey

__all__ = ["recover", "settle"]


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


def recover(folder: RunFolder | None, *, dry_run: bool = False, detach: bool = False) -> bool:
    """Explain what a session whose host died left behind and what will be done about it, then do it.

    Parameters
    ----------
    folder : RunFolder or None
        By default the newest that was cut off.
    dry_run : bool
        Explain only; the venue is asked and nothing is sent.
    detach : bool
        Let it trade on with nobody attached.

    Returns
    -------
    bool
        Whether the stage goes on (or halted again, where it was halted).

    Raises
    ------
    AutoTraderError
        If nothing was cut off, keys or addresses are missing, or the new host does not come up.
    """
    import asyncio
    import os

    from autotrader_lab.host.spawn import spawn_host
    from autotrader_lab.host.survey import survey
    from autotrader_lab.jupyter.remote import send_command, status
    from autotrader_lab.model.clock import SystemClock

    folder = folder if folder is not None else _cut_off()
    found = asyncio.run(survey(folder, os.environ, SystemClock()))
    _print_survey(found)
    if dry_run:
        typer.echo("dry run: nothing was started, nothing was sent")
        return True
    info = spawn_host(folder)
    snapshot = _wait_until_settled(folder)
    if detach and snapshot["state"] in ("running", "halted"):
        send_command(folder, "detach")
        snapshot = status(folder)
    good = snapshot["state"] in ("running", "halted", "stopped")
    typer.secho(_outcome(folder, snapshot, info.pid), fg="green" if good else "red", err=not good)
    return good


def _cut_off() -> RunFolder:
    """The newest session whose host died at work."""
    from pathlib import Path

    from autotrader_lab.host.runs import RunFolder, list_sessions
    from autotrader_lab.jupyter.remote import last_known
    from autotrader_lab.model.errors import HostError

    for row in list_sessions():
        folder = RunFolder(Path(row.path))
        if not row.alive and last_known(folder)["state"] == "failed":
            return folder
    raise HostError("no session was cut off: there is nothing to recover")


def _wait_until_settled(folder: RunFolder, patience_s: float = 60.0) -> dict[str, Any]:
    """The state once the host has taken the stage up, or given up, or is still asking."""
    import time

    from autotrader_lab.jupyter.remote import HostSilent, status

    deadline = time.monotonic() + patience_s
    while True:
        try:
            snapshot = status(folder)
        except HostSilent:  # busy reading a long journal, or gone
            if folder.host_if_alive() is None or time.monotonic() > deadline:
                raise
        else:
            if snapshot["state"] != "starting" or time.monotonic() > deadline:
                return snapshot
        time.sleep(0.1)


def _outcome(folder: RunFolder, snapshot: Mapping[str, Any], pid: int) -> str:
    from autotrader_lab.journal import Journal, records

    with Journal.open(folder.journal_file, read_only=True) as journal:
        compared = [entry.decode(records.Reconciliation) for entry in journal.read(kinds=[records.RECONCILIATION])]
    words = [f"{snapshot['session']}: {snapshot['label']} is {snapshot['state']}, host pid {pid}"]
    if snapshot["stage"] in ("testnet", "live") and compared:
        last = compared[-1]
        agree = "books agree" if last.ok else f"books do NOT agree: {'; '.join(last.differences)}"
        words.append(f"{agree}, {last.orders_checked} orders checked, {last.fills_adopted} missed fills booked")
    if snapshot["attention"]:
        words.append(f"{len(snapshot['attention'])} orders need a person: autotrader-lab settle {snapshot['session']}")
    held = ", ".join(snapshot["held_back"])
    words.append(f"trading {snapshot['trading_state']}{f' (held back: {held})' if held else ''}")
    return "\n  ".join(words)


def _print_survey(found: Survey) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    asked = f"asked {found.venue}" if found.asked else "from its journal alone"
    nothing = "" if found.findings else ": nothing open, nothing held"
    console.print(f"{found.session}, cut off in {found.stage} ({asked}){nothing}", markup=False)
    table = Table()
    for name in ("what", "which", "our journal", "the venue", "recovery will"):
        table.add_column(name, overflow="fold")
    for row in found.findings:
        style = "yellow" if row.trouble else ""
        table.add_row(row.what, row.subject, row.journal, row.venue, Text(row.plan, style=style))
    if found.findings:
        console.print(table)
    if found.silence:
        console.print(Text(f"the venue does not answer ({found.silence}); the host will ask until it does", "yellow"))
    for number, step in enumerate(found.steps, 1):
        console.print(f"{number}. {step}", highlight=False, markup=False)
