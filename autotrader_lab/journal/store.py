"""The durable record: what was decided, intended, reported and measured, in the order it happened.

An entry is safe when :meth:`Journal.append` returns; the order manager relies on it before anything is sent. A path is
a SQLite file in WAL mode (written through ``sqlite3`` itself: a third of the time it takes through a library), a URL
any database that SQLAlchemy reaches, PostgreSQL in particular. :class:`MemoryJournal` is the same without the disk.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from autotrader_lab.journal.codec import decode, encode
from autotrader_lab.model.clock import Clock, SystemClock, from_ns
from autotrader_lab.model.errors import JournalError

__all__ = ["Entry", "Item", "Journal", "MemoryJournal"]

Row = tuple[int, str, str, str, str, str, str, str]
PAGE = 2000


class Entry:
    """One entry as it was written.

    Attributes
    ----------
    seq : int
        Its place in the journal, growing.
    timestamp_ns : int
        When, UTC, nanoseconds since the epoch.
    session, stage, kind, decision_id, client_order_id, symbol : str
        What it belongs to; empty where nothing does.
    raw : str
        The record as JSON.
    """

    __slots__ = (
        "_payload",
        "client_order_id",
        "decision_id",
        "kind",
        "raw",
        "seq",
        "session",
        "stage",
        "symbol",
        "timestamp_ns",
    )

    def __init__(
        self,
        seq: int,
        timestamp_ns: int,
        session: str,
        stage: str,
        kind: str,
        decision_id: str,
        client_order_id: str,
        symbol: str,
        raw: str,
    ) -> None:
        self.seq = seq
        self.timestamp_ns = timestamp_ns
        self.session = session
        self.stage = stage
        self.kind = kind
        self.decision_id = decision_id
        self.client_order_id = client_order_id
        self.symbol = symbol
        self.raw = raw
        self._payload: dict[str, Any] | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The record as plain values."""
        if self._payload is None:
            self._payload = decode(self.raw)
        return self._payload

    @property
    def timestamp(self) -> datetime:
        """When, as an aware UTC datetime."""
        return from_ns(self.timestamp_ns)

    def decode(self, wanted: Any) -> Any:
        """The record as `wanted`: ``entry.decode(Order)``, ``entry.decode(Report)``.

        Raises
        ------
        JournalError
            If it is none; the message names the entry.
        """
        try:
            return decode(self.raw, wanted)
        except JournalError as error:
            raise JournalError(f"journal entry {self.seq} ({self.kind}): {error}") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.seq, self.session, self.raw))

    def _key(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__ if name != "_payload")

    def __repr__(self) -> str:
        return f"<Entry {self.seq} {self.timestamp.isoformat()} {self.stage} {self.kind} {self.raw[:80]}>"


class Item:
    """What :meth:`Journal.append_many` takes: the arguments of one append."""

    __slots__ = ("client_order_id", "decision_id", "kind", "record", "stage", "symbol", "timestamp_ns")

    def __init__(
        self,
        kind: str,
        record: Any,
        *,
        stage: str = "",
        decision_id: str = "",
        client_order_id: str = "",
        symbol: str = "",
        timestamp_ns: int | None = None,
    ) -> None:
        self.kind = kind
        self.record = record
        self.stage = stage
        self.decision_id = decision_id
        self.client_order_id = client_order_id
        self.symbol = symbol
        self.timestamp_ns = timestamp_ns


class Journal(ABC):
    """An append-only record of a session; made by :meth:`open`.

    Safe to use from several threads; one process may write while others read, and a second writer waits its turn.

    Attributes
    ----------
    target : str
        Where it lives, for messages; a password in a URL is masked.
    session : str
        Written with every entry.
    """

    def __init__(self, target: str, session: str, clock: Clock | None, read_only: bool = False) -> None:
        self.target = target
        self.session = session
        self.read_only = read_only
        self._clock = clock if clock is not None else SystemClock()
        self._closed = False

    @staticmethod
    def open(target: str | Path, *, session: str = "", clock: Clock | None = None, read_only: bool = False) -> Journal:
        """Open, and where it does not exist make, the journal at `target`.

        Parameters
        ----------
        target : str or Path
            A file (mode 0600 when made here), or an SQLAlchemy URL: ``postgresql+psycopg://…``, ``sqlite:///…``.
        session : str
            Written with every entry.
        clock : Clock, optional
            Gives the time of entries that come without one.
        read_only : bool
            For dashboards; nothing is made, `append` refuses.

        Raises
        ------
        JournalError
            If it cannot be opened or was not written by this package; names the place and the way out.
        """
        text = str(target)
        if isinstance(target, str) and "://" in text:
            if not text.startswith("sqlite:"):
                from autotrader_lab.journal.database import DatabaseJournal

                return DatabaseJournal(text, session, clock, read_only)
            name = text.partition(":///")[2]
            if not name or name == ":memory:":
                raise JournalError(
                    f"journal {text!r} names no file; use sqlite:///path/to/journal.sqlite, or MemoryJournal"
                )
            text = name
        from autotrader_lab.journal.sqlite import SqliteJournal

        return SqliteJournal(Path(text), session, clock, read_only)

    def append(
        self,
        kind: str,
        record: Any,
        *,
        stage: str = "",
        decision_id: str = "",
        client_order_id: str = "",
        symbol: str = "",
        timestamp_ns: int | None = None,
        after: Sequence[Item] = (),
    ) -> int:
        """Write one entry; it is durable against the process's death when this returns.

        Parameters
        ----------
        kind : str
            One of :mod:`autotrader_lab.journal.records`.
        record : Struct, dataclass or mapping
            What happened. Ids and symbol are taken from its fields of those names where not given.
        timestamp_ns : int, optional
            Nanoseconds since the epoch, UTC; the clock's time by default.
        after : sequence of Item
            Entries that belong before it, written in the same commit: all or none.

        Returns
        -------
        int
            The entry's `seq`.

        Raises
        ------
        JournalError
            If it cannot be written; then nothing of it is.
        """
        row = self._row(kind, record, stage, decision_id, client_order_id, symbol, timestamp_ns)
        return self._write_many([*map(self._row_of, after), row])[-1] if after else self._write(row)

    def append_many(self, items: Iterable[Item]) -> list[int]:
        """Write `items` in one commit, all or none; returns their `seq`."""
        rows = [self._row_of(item) for item in items]
        return self._write_many(rows) if rows else []

    def read(
        self,
        *,
        after_seq: int = 0,
        kinds: str | Iterable[str] | None = None,
        stage: str | None = None,
        session: str | None = None,
    ) -> Iterator[Entry]:
        """Entries after `after_seq`, oldest first, of these `kinds`, this `stage` and `session` where given.

        Read page by page: a long read never holds the writer up, and sees what is appended meanwhile.

        Raises
        ------
        JournalError
            If it cannot be read.
        """
        wanted = None if kinds is None else frozenset([kinds] if isinstance(kinds, str) else kinds)
        while True:
            page = self._page(after_seq, wanted, stage, session)
            yield from page
            if len(page) < PAGE:
                return
            after_seq = page[-1].seq

    @abstractmethod
    def last_seq(self) -> int:
        """`seq` of the newest entry; 0 when there is none."""

    @abstractmethod
    def close(self) -> None:
        """Give the file or connection back. Twice is quiet."""

    @abstractmethod
    def _write(self, row: Row) -> int: ...

    @abstractmethod
    def _write_many(self, rows: list[Row]) -> list[int]: ...

    @abstractmethod
    def _page(
        self, after_seq: int, kinds: frozenset[str] | None, stage: str | None, session: str | None
    ) -> list[Entry]: ...

    def _row_of(self, item: Item) -> Row:
        return self._row(
            item.kind,
            item.record,
            item.stage,
            item.decision_id,
            item.client_order_id,
            item.symbol,
            item.timestamp_ns,
        )

    def _row(
        self,
        kind: str,
        record: Any,
        stage: str,
        decision_id: str,
        client_order_id: str,
        symbol: str,
        timestamp_ns: int | None,
    ) -> Row:
        if self._closed or self.read_only:
            state = "closed" if self._closed else "opened read-only"
            raise JournalError(f"{self.target}: the journal is {state}; open it for writing to append ({kind!r})")
        return (
            self._clock.now_ns() if timestamp_ns is None else timestamp_ns,
            self.session,
            stage,
            kind,
            decision_id or getattr(record, "decision_id", ""),
            client_order_id or getattr(record, "client_order_id", ""),
            symbol or getattr(record, "symbol", ""),
            encode(kind, record),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.target}{' (closed)' if self._closed else ''}>"


class MemoryJournal(Journal):
    """A journal that lives and dies with the process: replay, tests.

    Records are encoded all the same, so what is read back is what was written, whatever became of the object since.
    """

    def __init__(self, session: str = "", clock: Clock | None = None) -> None:
        super().__init__("memory", session, clock)
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def last_seq(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        self._closed = True

    def _write(self, row: Row) -> int:
        with self._lock:
            seq = len(self._entries) + 1
            self._entries.append(Entry(seq, *row))
        return seq

    def _write_many(self, rows: list[Row]) -> list[int]:
        return [self._write(row) for row in rows]

    def _page(
        self, after_seq: int, kinds: frozenset[str] | None, stage: str | None, session: str | None
    ) -> list[Entry]:
        found: list[Entry] = []
        for index in range(max(after_seq, 0), len(self._entries)):
            entry = self._entries[index]
            if (
                (kinds is None or entry.kind in kinds)
                and (stage is None or entry.stage == stage)
                and (session is None or entry.session == session)
            ):
                found.append(entry)
                if len(found) == PAGE:
                    break
        return found
