"""Reading any journal through SQLAlchemy, and writing those that live in a database server.

With several writers a sequence number taken first may be committed last, and a reader that follows `seq` would miss it:
each commit therefore holds one advisory lock.
"""

from __future__ import annotations

import threading
import zlib

from sqlalchemy import Connection, Engine, create_engine, func, insert, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError

from autotrader_lab.journal.schema import COLUMNS, SCHEMA_VERSION, entries, meta, metadata, version_problem
from autotrader_lab.journal.store import PAGE, Entry, Journal, Row
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import JournalError

__all__ = ["DatabaseJournal", "read_page", "read_version", "select_last_seq"]

_LOCK = zlib.crc32(b"autotrader-lab journal")


def read_page(
    engine: Engine, after_seq: int, kinds: frozenset[str] | None, stage: str | None, session: str | None
) -> list[Entry]:
    """The next entries after `after_seq`, at most a page."""
    query = select(entries).where(entries.c.seq > after_seq).order_by(entries.c.seq).limit(PAGE)
    if kinds is not None:
        query = query.where(entries.c.kind.in_(sorted(kinds)))
    if stage is not None:
        query = query.where(entries.c.stage == stage)
    if session is not None:
        query = query.where(entries.c.session == session)
    with engine.connect() as connection:
        return [Entry(*row) for row in connection.execute(query)]


def select_last_seq(engine: Engine) -> int:
    """The newest `seq`; 0 without entries."""
    with engine.connect() as connection:
        return connection.execute(select(func.max(entries.c.seq))).scalar() or 0


def read_version(engine: Engine) -> str | None:
    """The schema version written in the journal; None if this is no journal."""
    if not inspect(engine).has_table(meta.name):
        return None
    with engine.connect() as connection:
        return connection.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar()


class DatabaseJournal(Journal):
    """A journal in a database server; see :meth:`Journal.open`."""

    def __init__(self, url: str, session: str, clock: Clock | None, read_only: bool) -> None:
        try:
            target = make_url(url)
            super().__init__(target.render_as_string(hide_password=True), session, clock, read_only)
            self._engine = create_engine(target, pool_pre_ping=True)
        except (ArgumentError, NoSuchModuleError) as error:
            raise JournalError(
                f"journal URL with the scheme {url.partition(':')[0]!r} is not understood ({type(error).__name__}); "
                "write postgresql+psycopg://user:password@host/database, or a file's path"
            ) from error
        except ModuleNotFoundError as error:
            install = "'autotrader-lab[postgres]'" if target.get_backend_name() == "postgresql" else error.name
            raise JournalError(
                f"{self.target}: the database driver {error.name!r} is not installed; pip install {install}"
            ) from error
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        try:
            if not read_only:
                self._prepare()
            found = read_version(self._engine)
            problem = "there is no journal here yet; start a session" if found is None else version_problem(found)
            if problem:
                raise JournalError(f"{self.target}: {problem}")
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise JournalError(
                f"{self.target}: the database cannot be used ({_cause(error)}); "
                "check that it runs, and its address and rights"
            ) from error
        except JournalError:
            self._engine.dispose()
            raise

    def last_seq(self) -> int:
        try:
            return select_last_seq(self._engine)
        except SQLAlchemyError as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        self._closed = True
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._engine.dispose()

    def _write(self, row: Row) -> int:
        return self._write_many([row])[0]

    def _write_many(self, rows: list[Row]) -> list[int]:
        statement = insert(entries).returning(entries.c.seq)
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                with self._connection.begin():
                    self._serialise(self._connection)
                    return [
                        self._connection.execute(statement, dict(zip(COLUMNS, row, strict=True))).scalar_one()
                        for row in rows
                    ]
            except SQLAlchemyError as error:
                if self._connection is not None:
                    self._connection.invalidate()
                    self._connection.close()
                    self._connection = None
                raise JournalError(
                    f"{self.target}: an entry was not written ({_cause(error)}); check the database and the way to it"
                ) from error

    def _page(
        self, after_seq: int, kinds: frozenset[str] | None, stage: str | None, session: str | None
    ) -> list[Entry]:
        if self._closed:
            raise JournalError(f"{self.target}: the journal is closed; open it again to read")
        try:
            return read_page(self._engine, after_seq, kinds, stage, session)
        except SQLAlchemyError as error:
            raise self._unreadable(error) from error

    def _prepare(self) -> None:
        try:
            with self._engine.begin() as connection:
                self._serialise(connection)
                tables = inspect(connection)
                if tables.has_table(entries.name) and not tables.has_table(meta.name):
                    raise JournalError(
                        f"{self.target}: the database has a table {entries.name!r} that is not a journal's; "
                        "name a database of its own"
                    )
                metadata.create_all(connection)
                known = select(meta.c.key).where(meta.c.key == "schema_version")
                if connection.execute(known).first() is None:
                    connection.execute(insert(meta).values(key="schema_version", value=str(SCHEMA_VERSION)))
        except (IntegrityError, ProgrammingError) as error:
            raise JournalError(
                f"{self.target}: the journal's tables cannot be made ({_cause(error)}); "
                "grant CREATE on the schema, or name a database of its own"
            ) from error

    def _serialise(self, connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})

    def _unreadable(self, error: SQLAlchemyError) -> JournalError:
        return JournalError(
            f"{self.target}: the journal cannot be read ({_cause(error)}); check the database and its address"
        )


def _cause(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().replace("\n", " ")[:300]
