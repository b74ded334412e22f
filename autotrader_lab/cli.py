"""The command line: ``autotrader-lab lab | demo | sandbox | dashboard | status | kill | settle | recover``.

Everything heavy is imported inside its command, so that ``--help`` and, above all, ``kill`` come at once. What a user
did wrong is one line on the error output and exit code 2, never a traceback.

Exit codes: 0 done; 2 wrong usage or input; of ``kill`` also 3, no host answered and the KILL file was left, and 4, the
host could not verify that nothing is left at the venue; of ``recover`` also 4, the stage does not go on yet. ``lab``
ends with Jupyter's own code.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

if TYPE_CHECKING:
    from autotrader_lab.host.runs import RunFolder

__all__ = ["app"]

P = ParamSpec("P")
T = TypeVar("T")
DONE, WRONG_INPUT, KILL_FILE_LEFT, NOT_VERIFIED = 0, 2, 3, 4
NOTEBOOK = Path("notebooks") / "research_to_live.ipynb"
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="autotrader-lab",
    help="One strategy climbs replay, paper, testnet and live inside one JupyterLab session.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _no_tracebacks_for_users(command: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        from autotrader_lab.model.errors import AutoTraderError

        try:
            return command(*args, **kwargs)
        except AutoTraderError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            raise typer.Exit(WRONG_INPUT) from error

    return wrapped


def _print_version(wanted: bool) -> None:
    if wanted:
        from autotrader_lab._version import __version__

        typer.echo(f"autotrader-lab {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One strategy climbs replay, paper, testnet and live inside one JupyterLab session."""


@app.command(context_settings=_PASS_ON)
@_no_tracebacks_for_users
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the first notebook, with the panel's server extension.

    Further options go to Jupyter as they are: autotrader-lab lab --no-browser --port 8890
    """
    _need("jupyterlab", "lab")
    extension = "--ServerApp.jpserver_extensions={'autotrader_lab.jupyter': True}"
    command = [sys.executable, "-m", "jupyter", "lab", extension]
    root = _repository()
    if root is not None:
        command += [f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{NOTEBOOK.as_posix()}"]
    else:
        typer.secho(f"{NOTEBOOK} is not here: JupyterLab opens on {Path.cwd()}", fg="yellow", err=True)
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in context.args:
        typer.secho("you are root: Jupyter is told to allow it (it listens on this machine only)", err=True)
        command.append("--allow-root")
    command += context.args
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - Jupyter takes our place, and so gets every signal itself


@app.command(context_settings=_PASS_ON, add_help_option=False)
@_no_tracebacks_for_users
def demo(context: typer.Context) -> None:
    """Climb replay → paper → testnet → live on the local sandbox, without a browser, and print what happened."""
    from autotrader_lab.demo import demo as command

    _hand_over(command, "demo", context.args)


@app.command(context_settings=_PASS_ON, add_help_option=False)
@_no_tracebacks_for_users
def sandbox(context: typer.Context) -> None:
    """Serve local venues that speak the real protocols (Binance spot, testnet and live) until interrupted."""
    from autotrader_lab.sandbox.cli import sandbox as command

    _hand_over(command, "sandbox", context.args)


@app.command()
@_no_tracebacks_for_users
def dashboard(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 lets the system choose.")] = 5006,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")] = True,
) -> None:
    """Serve the monitoring page: every session, read from its journal. Read-only but for the kill button."""
    _need("panel", "lab")
    from autotrader_lab.dashboard.page import MonitorPage
    from autotrader_lab.dashboard.serve import serve
    from autotrader_lab.jupyter.remote import in_words, kill, status

    def kill_in_words(folder: RunFolder, flatten: bool) -> tuple[str, str]:
        return in_words(kill(folder, reason="kill button of the dashboard", flatten=flatten))

    def say(address: str) -> None:
        typer.echo(f"dashboard at {address}  (Ctrl-C ends it; sessions go on)")

    serve(lambda: MonitorPage(ask_host=status, kill=kill_in_words).servable(), port=port, open_browser=browser, say=say)


@app.command()
@_no_tracebacks_for_users
def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document with every session's state.")
    ] = False,
) -> None:
    """Show every session: from its host, or from its journal where no host answers."""
    from autotrader_lab.host.runs import RunFolder, list_sessions

    found = [_state_of(RunFolder(Path(row.path))) for row in list_sessions()]
    if as_json:
        typer.echo(json.dumps(found, default=str))
    elif not found:
        from autotrader_lab.host.runs import home

        typer.echo(f"no session in {home()}; start one with Lab in a notebook, or: autotrader-lab demo")
    else:
        _print_table(found)


@app.command()
@_no_tracebacks_for_users
def kill(
    session: Annotated[str | None, typer.Argument(help="Its name; not needed where only one runs.")] = None,
    flatten: Annotated[bool, typer.Option("--flatten", help="Close every position as well.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every session that runs, or whose host died.")] = False,
) -> None:
    """Kill switch: refuse new orders, cancel everything, verify with the venue, stay halted.

    Exit code 0: the venue confirms that nothing is left. 3: no host answered, the KILL file was left for it.
    4: killed, but what is left could not be verified. 2: no such session.
    """
    from autotrader_lab.jupyter.remote import in_words
    from autotrader_lab.jupyter.remote import kill as pull
    from autotrader_lab.model.errors import AutoTraderError

    worst = DONE
    for folder in _to_kill(session, everything):
        try:
            report = pull(folder, reason="autotrader-lab kill", flatten=flatten)
        except AutoTraderError as error:
            typer.secho(f"{folder.session}: the kill FAILED: {error}", fg="red", err=True)
            worst = max(worst, NOT_VERIFIED)
            continue
        level, words = in_words(report)
        typer.secho(f"{folder.session}: {words}", fg="green" if level == "halted" else "red", err=level != "halted")
        if "fallback" in report:
            worst = max(worst, KILL_FILE_LEFT)
        elif not report.get("verified"):
            worst = max(worst, NOT_VERIFIED)
    if worst:
        raise typer.Exit(worst)


@app.command()
@_no_tracebacks_for_users
def settle(
    session: Annotated[str, typer.Argument(help="Its name.")],
    order: Annotated[str | None, typer.Argument(help="Client order id; none: list what needs a person.")] = None,
    action: Annotated[str | None, typer.Argument(help="query, adopt, resubmit or discard.")] = None,
    venue_order_id: Annotated[str, typer.Option(help="For adopt: the order's id at the venue.")] = "",
    why: Annotated[str, typer.Option(help="For discard: a word for the journal.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Orders in doubt and orders never delivered: list them, or decide about one.

    query asks the venue again. adopt ties it to the venue's order you name. resubmit sends it anew, and discard gives
    it up, both only after the venue said that it has none.
    """
    from autotrader_lab.cli_care import settle as press

    press(_existing(session), order, action, venue_order_id=venue_order_id, why=why, as_json=as_json)


@app.command()
@_no_tracebacks_for_users
def recover(
    session: Annotated[str | None, typer.Argument(help="Its name; by default the newest that was cut off.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Explain only: ask the venue, send nothing.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Let it trade on with nobody attached.")] = False,
) -> None:
    """Explain what a session whose host died left behind, and what will be done about it; then do it.

    Addresses and keys come from the environment, as for any host; for a sandbox: AUTOTRADER_LAB_SANDBOX.
    Exit code 4: a host is up, and the stage does not go on yet.
    """
    from autotrader_lab.cli_care import recover as take_up

    if not take_up(_existing(session) if session is not None else None, dry_run=dry_run, detach=detach):
        raise typer.Exit(NOT_VERIFIED)


def _existing(session: str) -> RunFolder:
    from autotrader_lab.host.runs import RunFolder, list_sessions
    from autotrader_lab.model.errors import HostError

    folder = RunFolder.named(session)
    if not folder.exists:
        known = ", ".join(row.session for row in list_sessions()) or "none"
        raise HostError(f"no session {session!r}; there are: {known}")
    return folder


def _to_kill(session: str | None, everything: bool) -> list[RunFolder]:
    from autotrader_lab.host.runs import RunFolder, list_sessions
    from autotrader_lab.model.errors import HostError

    if session is not None and everything:
        raise HostError(f"both {session!r} and --all: name one session, or take all")
    if session is not None:
        return [_existing(session)]
    rows = list_sessions()
    if everything:
        chosen = [row for row in rows if row.alive or _state_of(RunFolder(Path(row.path)))["state"] == "failed"]
        if not chosen:
            raise HostError("no session runs: nothing to kill")
        return [RunFolder(Path(row.path)) for row in chosen]
    running = [row for row in rows if row.alive]
    if len(running) == 1:
        return [RunFolder(Path(running[0].path))]
    names = ", ".join(row.session for row in running or rows) or "none"
    if running:
        raise HostError(f"{len(running)} sessions run: name one or take --all; there are: {names}")
    raise HostError(f"no session runs; name one to leave the KILL file for its next host; there are: {names}")


def _state_of(folder: RunFolder) -> dict[str, Any]:
    """The snapshot of a session, with ``answering`` and, where no host does, ``silence``."""
    from autotrader_lab.jupyter.remote import HostSilent, last_known
    from autotrader_lab.jupyter.remote import status as ask

    try:
        return {**ask(folder), "answering": True, "silence": ""}
    except HostSilent as error:
        return {**last_known(folder), "answering": False, "silence": str(error)}


def _print_table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("session", "stage", "state", "trading"):
        table.add_column(title)
    for title in ("equity", "open", "fills", "unreconciled"):
        table.add_column(title, justify="right")
    table.add_column("positions")
    table.add_column("host")
    for row in found:
        counters = row.get("counters") or {}
        equity = row.get("equity") or {}
        held = [f"{item['quantity']:g} {item['symbol']}" for item in row.get("positions") or () if item["quantity"]]
        trading = str(row.get("trading_state") or "–")
        table.add_row(
            Text(row["session"], style="bold"),
            Text(row["label"], style="bold red" if row["stage"] == "live" else ""),
            row["state"],
            Text(trading, style="red" if trading == "HALTED" else ""),
            f"{equity['value']:,.2f}" if equity else "–",
            str(counters.get("open", "–")),
            str(counters.get("fills", "–")),
            str(counters.get("unreconciled", "–")),
            ", ".join(held) or "flat",
            f"pid {row['pid']}" if row["answering"] else "does not answer" if row.get("pid") else "none",
        )
    Console().print(table)


def _hand_over(command: Callable[..., None], name: str, arguments: list[str]) -> None:
    """Run a command that lives with its own package, so that its import waits until it is wanted."""
    apart = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    apart.command(name=name)(command)
    apart(args=arguments, prog_name=f"autotrader-lab {name}")


def _need(module: str, extra: str) -> None:
    from importlib.util import find_spec

    from autotrader_lab.model.errors import ConfigError

    if find_spec(module) is None:
        raise ConfigError(f"{module} is not installed: pip install 'autotrader-lab[{extra}]'")


def _repository() -> Path | None:
    """Where the notebooks lie: here, or beside the package when it is installed editable."""
    for root in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if (root / NOTEBOOK).is_file():
            return root
    return None


if __name__ == "__main__":
    app()
