"""What stands in the journal."""

from __future__ import annotations

from autotrader_lab.journal import records
from lab_facts.markdown import code, constant_docs, table

__all__ = ["kinds_table"]


def kinds_table() -> str:
    """Every kind of entry."""
    meanings = constant_docs(records)
    names = {value: name for name, value in vars(records).items() if name.isupper() and isinstance(value, str)}
    return table(("kind", "what it says"), ((code(kind), meanings[names[kind]]) for kind in records.KINDS))
