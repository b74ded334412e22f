"""The durable record, and how books and frames are read from it.

Kinds and shapes of entries are in :mod:`.records`, the books in :mod:`.fold`, pandas frames in :mod:`.frames` (which is
left out here: whoever only writes should not wait for pandas).
"""

from autotrader_lab.journal import records
from autotrader_lab.journal.fold import Books, Origin, fold
from autotrader_lab.journal.records import *  # noqa: F403
from autotrader_lab.journal.records import __all__ as _records
from autotrader_lab.journal.store import Entry, Item, Journal, MemoryJournal

__all__ = ["Books", "Entry", "Item", "Journal", "MemoryJournal", "Origin", "fold", "records"]
__all__ += _records  # noqa: PLE0605
