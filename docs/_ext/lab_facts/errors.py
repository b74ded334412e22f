"""The tree of errors."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil

from autotrader_lab.model.errors import AutoTraderError
from lab_facts.markdown import code, first_paragraph

__all__ = ["all_errors", "error_tree"]

# Errors outside model.errors are defined in these; the rest of the package need not be imported for the page.
_HOMES = ("model", "research", "execution", "journal", "ladder", "strategy")


def all_errors() -> list[type[AutoTraderError]]:
    """The tree's classes, each after its parent."""
    for home in _HOMES:
        package = importlib.import_module(f"autotrader_lab.{home}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # A venue's client library may not be installed here; its errors are told by its own guide then.
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(found.name)
    return _below(AutoTraderError)


def _below(kind: type[AutoTraderError]) -> list[type[AutoTraderError]]:
    children = sorted(kind.__subclasses__(), key=lambda child: child.__name__)
    return [kind, *(found for child in children for found in _below(child))]


def error_tree() -> str:
    """The tree as a nested list: name, what else Python takes it for, and what it means."""
    return "\n".join(_lines(AutoTraderError, 0)) + "\n" if all_errors() else ""


def _lines(kind: type[AutoTraderError], depth: int) -> list[str]:
    also = [base.__name__ for base in kind.__bases__ if not issubclass(base, AutoTraderError) and base is not Exception]
    told = f" (also a {code(', '.join(also))})" if also else ""
    lines = [f"{'  ' * depth}- {code(kind.__name__)}{told}: {first_paragraph(kind)}"]
    for child in sorted(kind.__subclasses__(), key=lambda child: child.__name__):
        lines += _lines(child, depth + 1)
    return lines
