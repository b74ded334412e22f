"""The journal as one SQLite file.

WAL with ``synchronous=NORMAL``: a committed entry survives the death of the process (not of the machine, which would
cost ten times as much per order). Writing goes through one ``sqlite3`` connection, each append its own commit; reading
through SQLAlchemy on read-only connections, so that readers never stand in the writer's way.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from autotrader_lab.journal.database import read_page, read_version, select_last_seq
from autotrader_lab.journal.schema import COLUMNS, SCHEMA_VERSION, entries, meta, version_problem
from autotrader_lab.journal.store import Entry, Journal, Row
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import JournalError

__all__ = ["SqliteJournal"]

BUSY_S = 10.0
_BIRTH_LOOKS = 100
_INSERT = f"INSERT INTO entries ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


class SqliteJournal(Journal):
    """See :meth:`Journal.open`."""

    def __init__(self, path: Path, session: str, clock: Clock | None, read_only: bool) -> None:
        super().__init__(str(path), session, clock, read_only)
        self.path = path
        self._lock = threading.Lock()
        self._check_place()
        address = f"file:{quote(str(path.absolute()))}?mode="
        try:
            if not read_only:
                self._writer = sqlite3.connect(
                    address + "rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
                )
                self._prepare()
            self._engine = create_engine(
                "sqlite://",
                creator=lambda: sqlite3.connect(address + "ro", uri=True, timeout=BUSY_S, check_same_thread=False),
            )
            self._check_version()
        except (sqlite3.Error, DBAPIError) as error:
            self.close()
            raise self._unusable(error) from error
        except JournalError:
            self.close()
            raise

    def last_seq(self) -> int:
        try:
            return select_last_seq(self._engine)
        except DBAPIError as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        self._closed = True
        with self._lock:
            # readers first: only the last connection to go, and only one that may write, folds the WAL into the file
            if hasattr(self, "_engine"):
                self._engine.dispose()
            if hasattr(self, "_writer"):
                self._writer.close()

    def _write(self, row: Row) -> int:
        with self._lock:
            try:
                return self._writer.execute(_INSERT, row).lastrowid or 0
            except sqlite3.Error as error:
                raise self._unwritten(error) from error

    def _write_many(self, rows: list[Row]) -> list[int]:
        with self._lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    found = [self._writer.execute(_INSERT, row).lastrowid or 0 for row in rows]
                    self._writer.execute("COMMIT")
                except BaseException:
                    self._writer.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._unwritten(error) from error
        return found

    def _page(
        self, after_seq: int, kinds: frozenset[str] | None, stage: str | None, session: str | None
    ) -> list[Entry]:
        if self._closed:
            raise JournalError(f"{self.target}: the journal is closed; open it again to read")
        try:
            return read_page(self._engine, after_seq, kinds, stage, session)
        except DBAPIError as error:
            raise self._unusable(error) from error

    # --- opening ----------------------------------------------------------------------------------------------

    def _check_place(self) -> None:
        path = self.path
        if path.is_dir():
            raise JournalError(f"{path} is a folder; name a file in it, e.g. {path / 'journal.sqlite'}")
        if self.read_only:
            if not path.exists():
                raise JournalError(f"{path}: there is no journal here yet; start a session, or check the path")
            return
        if not path.parent.is_dir():
            raise JournalError(f"{path}: the folder {path.parent} does not exist; create it, or check the path")
        try:
            # made here and not by SQLite, so that no one else can read it even for a moment
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise JournalError(
                f"{path}: cannot be written ({error.strerror}); choose a place you may write to, or open it read_only"
            ) from error

    def _prepare(self) -> None:
        writer = self._writer
        writer.execute("PRAGMA synchronous=NORMAL")
        tables = {name for (name,) in writer.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if meta.name in tables:
            # wal already, unless somebody changed the file by hand
            writer.execute("PRAGMA journal_mode=WAL")
            return
        if tables:
            raise self._foreign()
        writer.execute("PRAGMA journal_mode=WAL")
        dialect = sqlite_dialect.dialect()
        writer.execute("BEGIN IMMEDIATE")
        for table in (entries, meta):
            writer.execute(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
            for index in table.indexes:
                writer.execute(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)))
        for action in ("UPDATE", "DELETE"):
            writer.execute(
                f"CREATE TRIGGER IF NOT EXISTS entries_no_{action.lower()} BEFORE {action} ON entries "
                "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
            )
        writer.execute(f"INSERT OR IGNORE INTO {meta.name} VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),))  # noqa: S608
        writer.execute("COMMIT")

    def _check_version(self) -> None:
        found = read_version(self._engine)
        looks = _BIRTH_LOOKS if self.read_only else 0
        while found is None and looks and self._is_blank():
            time.sleep(0.01)  # somebody is making it this moment, in one transaction
            looks -= 1
            found = read_version(self._engine)
        if found is None:
            raise self._foreign()
        problem = version_problem(found)
        if problem:
            raise JournalError(f"{self.path}: {problem}")

    def _is_blank(self) -> bool:
        """Whether the file has no table at all yet."""
        with self._engine.connect() as connection:
            return not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()

    # --- errors -----------------------------------------------------------------------------------------------

    def _foreign(self) -> JournalError:
        return JournalError(f"{self.path} is a SQLite file, but no journal of autotrader-lab; name another file")

    def _unusable(self, error: Exception) -> JournalError:
        cause = getattr(error, "orig", None) or error
        return JournalError(
            f"{self.path} cannot be read as a journal ({cause}); if it is damaged, move it away to begin a new one"
        )

    def _unwritten(self, error: sqlite3.Error) -> JournalError:
        return JournalError(
            f"{self.path}: an entry was not written ({error}); check the disk's space and the file's rights"
        )
