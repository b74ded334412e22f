"""What the sandbox serves, and what can be made to go wrong in it."""

from __future__ import annotations

import importlib
import inspect

from autotrader_lab.sandbox.fault_rules import RULES, BaseRule, When, Where
from autotrader_lab.sandbox.sites import VENUES
from autotrader_lab.sandbox.venues.binance import venue as _venue  # noqa: F401 - registers the operations
from autotrader_lab.sandbox.venues.binance.calls import OPERATIONS
from lab_facts.markdown import code, documented, first_paragraph, plain, table

__all__ = ["binance_operations", "fault_rules", "venue_notes"]


def binance_operations() -> str:
    """Binance's operations: those of REST, and the methods of the WebSocket API."""
    rest = sorted(name for name in OPERATIONS if " " in name)
    methods = sorted(name for name in OPERATIONS if " " not in name)
    return f"REST: {', '.join(map(code, rest))}.\n\nWebSocket API: {', '.join(map(code, methods))}.\n"


def venue_notes() -> str:
    """What each venue of the sandbox says of itself: what it covers and what it does not."""
    parts = []
    for name in VENUES:
        package = importlib.import_module(f"autotrader_lab.sandbox.venues.{name}")
        paragraphs = (inspect.getdoc(package) or "").split("\n\n")
        parts.append(f"### {name}\n\n" + "\n\n".join(_paragraph(text) for text in paragraphs if text.strip()))
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    """A paragraph; one that begins with a word on a line of its own is a titled one."""
    title, _, rest = text.partition("\n")
    return f"**{title}.** {plain(rest)}" if rest.startswith("    ") else plain(text)


def fault_rules() -> str:
    """Every kind of fault, and the words for whom it strikes and when."""
    rows = []
    for name, rule in RULES.items():
        own = [field for field in rule.model_fields if field not in (*BaseRule.model_fields, "do")]
        rows.append((code(name), first_paragraph(rule), ", ".join(map(code, own)) or "–"))
    parts = [table(("`do`", "what happens", "takes"), rows)]
    for title, model in (("where", Where), ("when", When)):
        meanings = documented(model)
        words = ((code(field), meanings.get(field, "")) for field in model.model_fields)
        parts.append(f"`{title}`: {first_paragraph(model)}\n\n{table(('key', 'meaning'), words)}")
    return "\n".join(parts)
