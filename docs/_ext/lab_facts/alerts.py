"""Every alert the package can raise, found in its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import autotrader_lab
from autotrader_lab.journal import records
from lab_facts.markdown import code, table

__all__ = ["alert_table", "find_alerts"]

_ORDER = ("critical", "warning", "info")


def find_alerts() -> dict[str, tuple[str, str]]:
    """Level and the part of the package that raises it, by code."""
    root = Path(autotrader_lab.__file__).parent
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(root.rglob("*.py")):
        for level, name in _raised(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(name, (level, path.relative_to(root).parts[0].removesuffix(".py")))
    return found


def _raised(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or len(call.args) < 2:
            continue
        named = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        level = call.args[0].value if isinstance(call.args[0], ast.Constant) else None
        if named in ("alert", "Alert") and level in _ORDER:
            yield from ((str(level), name) for name in _names(call.args[1]))


def _names(argument: ast.expr) -> Iterator[str]:
    """The codes an argument can be: written out, one of two, or a constant of the records."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.IfExp):
        yield from _names(argument.body)
        yield from _names(argument.orelse)
    elif isinstance(argument, ast.Attribute) and hasattr(records, argument.attr):
        yield str(getattr(records, argument.attr))


def alert_table() -> str:
    """Every alert, the gravest first."""
    found = sorted(find_alerts().items(), key=lambda item: (_ORDER.index(item[1][0]), item[0]))
    return table(("code", "level", "raised by"), ((code(name), level, code(where)) for name, (level, where) in found))
