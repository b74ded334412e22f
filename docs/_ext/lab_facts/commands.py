"""The command line, as it describes itself."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import typer

from autotrader_lab import cli, demo
from autotrader_lab.sandbox import cli as sandbox_cli
from lab_facts.markdown import code, plain, table

__all__ = ["command_names", "command_reference", "exit_codes"]

# These hand their arguments on to a command that lives with its own package; its options are the ones to show.
_ELSEWHERE: dict[str, Callable[..., None]] = {"demo": demo.demo, "sandbox": sandbox_cli.sandbox}


def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(cli.app)
    found = dict(group.commands)
    for name, function in _ELSEWHERE.items():
        apart = typer.Typer(add_completion=False)
        apart.command(name=name)(function)
        found[name] = typer.main.get_command(apart)
    return found


def command_names() -> list[str]:
    """Every command of ``autotrader-lab``."""
    return list(_commands())


def command_reference() -> str:
    """Every command with its arguments and options."""
    return "\n".join(_section(name, command) for name, command in _commands().items())


def _section(name: str, command: Any) -> str:
    words = "\n\n".join(plain(part) for part in inspect.cleandoc(command.help or "").split("\n\n"))
    rows = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    rows = [row for row in rows if row[0] != "`--help`"]
    shown = f"\n\n{table(('', 'meaning', 'default'), rows)}" if rows else "\n"
    return f"### `autotrader-lab {name}`\n\n{words}{shown}"


def _parameter(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        name = parameter.name.upper()
        shown = code(name if parameter.required else f"[{name}]")
    else:
        shown = ", ".join(code(option) for option in (*parameter.opts, *parameter.secondary_opts))
    default = parameter.default
    is_set = default is not None and not isinstance(default, bool) and isinstance(default, (int, float, str))
    return shown, plain(getattr(parameter, "help", None) or ""), code(default) if is_set else ""


def exit_codes() -> str:
    """What the command line's own documentation says of its exit codes."""
    text = ast.get_docstring(ast.parse(inspect.getsource(cli))) or ""
    found = [plain(part) for part in text.split("\n\n") if part.startswith("Exit codes")]
    if not found:
        raise ValueError("autotrader_lab.cli's docstring has no paragraph on exit codes to show")
    return found[0] + "\n"
