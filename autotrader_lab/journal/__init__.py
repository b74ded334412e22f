"""The durable record, and how books and frames are read from it.

Folding and frames live in :mod:`.fold` and :mod:`.frames`; records and kinds in :mod:`.records`.
"""

from autotrader_lab.journal import records
from autotrader_lab.journal.store import Entry, Item, Journal, MemoryJournal

__all__ = ["Entry", "Item", "Journal", "MemoryJournal", "records"]
