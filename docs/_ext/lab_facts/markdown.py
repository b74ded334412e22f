"""Small pieces of Markdown, and what docstrings say: the only two things every generator needs."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

__all__ = ["code", "constant_docs", "documented", "first_paragraph", "plain", "table"]

_ROLE = re.compile(r":[a-z:]+:`[~.!]*([^`<]+?)(?:\s*<[^>]*>)?`")
_NAMES = re.compile(r"^(?P<names>\w+(?:, \w+)*) : (?P<kinds>.+)$")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are Markdown, and a bar inside one is escaped."""
    lines = [_row(headers), _row(["---"] * len(headers)), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def code(text: object) -> str:
    """`text` as inline code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def plain(text: str) -> str:
    """A docstring's words as Markdown: roles and double backticks become inline code."""
    marked = re.sub(r"``([^`]+)``", r"`\1`", _ROLE.sub(r"`\1`", " ".join(text.split())))
    pieces = marked.split("`")
    # Every second piece stands inside backticks.
    pieces[::2] = [piece.replace("<", "&lt;") for piece in pieces[::2]]
    return "`".join(pieces)


def first_paragraph(thing: Any) -> str:
    """The first paragraph of a docstring, as Markdown.

    Raises
    ------
    ValueError
        If there is no docstring: a page would have a hole.
    """
    text = inspect.getdoc(thing)
    if not text:
        raise ValueError(f"{getattr(thing, '__qualname__', thing)!r} has no docstring to show")
    return plain(text.split("\n\n")[0])


def documented(thing: Any, section: str = "Attributes") -> dict[str, str]:
    """What the NumPy section of a docstring says, by name; names that share an entry share its words."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    try:
        start = lines.index(section) + 2
    except ValueError:
        return {}
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for number, line in enumerate(lines[start:], start):
        if number + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[number + 1]):
            break
        entry = _NAMES.match(line)
        if entry is not None:
            names = entry["names"].split(", ")
            found.update({name: [] for name in names})
        elif line.strip():
            for name in names:
                found[name].append(line.strip())
    return {name: plain(" ".join(words)) for name, words in found.items()}


def constant_docs(module: ModuleType) -> dict[str, str]:
    """The strings that stand below a module's constants, by the constant's name."""
    body = ast.parse(inspect.getsource(module)).body
    found = {}
    for statement, after in pairwise(body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[target.id] = plain(str(after.value.value))
    return found
