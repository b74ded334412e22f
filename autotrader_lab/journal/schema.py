"""The journal's tables, once, for every database it may live in.

One append-only table of entries, and one of facts about the journal itself, the schema version among them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

__all__ = ["COLUMNS", "SCHEMA_VERSION", "entries", "meta", "metadata", "version_problem"]

SCHEMA_VERSION = 1

metadata = MetaData()

meta = Table(
    "autotrader_lab_journal",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("timestamp_ns", BigInteger, nullable=False),
    Column("session", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("decision_id", Text, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("payload", Text, nullable=False),
)
Index("entries_kind_seq", entries.c.kind, entries.c.seq)

COLUMNS = tuple(column.name for column in entries.columns if column.name != "seq")


def version_problem(found: str) -> str:
    """What is wrong with a journal of schema version `found`, and the way out; empty if nothing is."""
    if found == str(SCHEMA_VERSION):
        return ""
    newer = found.isdigit() and int(found) > SCHEMA_VERSION
    way_out = "update autotrader-lab (pip install -U autotrader-lab)" if newer else "name another file"
    return f"its schema version is {found!r} and this autotrader-lab reads {SCHEMA_VERSION}; {way_out}"
