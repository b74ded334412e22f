"""What is appended is there, as it was, for every reader; and every way to fail says so."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autotrader_lab.journal import Alert, Item, Journal, Mark, MemoryJournal, records
from autotrader_lab.journal.store import PAGE
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import JournalError
from autotrader_lab.model.orders import Accepted, Report

from .conftest import START_NS


def alert(text: str) -> Alert:
    return Alert("info", "TEST", text)


def test_entries_come_back_in_order_with_everything_they_were_given(journal: Journal, clock: SimulatedClock) -> None:
    report = Accepted("c1", 5, "77")
    first = journal.append(records.ALERT, alert("one"), stage="paper")
    second = journal.append(
        records.REPORT, report, stage="testnet", decision_id="d1", symbol="BTC/USDT", timestamp_ns=START_NS + 7
    )
    assert 0 < first < second == journal.last_seq()
    one, two = journal.read()
    assert (one.seq, one.kind, one.stage, one.session, one.timestamp_ns) == (first, "alert", "paper", "s1", START_NS)
    assert one.timestamp == clock.now()
    assert one.payload == {"level": "info", "code": "TEST", "message": "one", "symbol": "", "client_order_id": ""}
    assert (two.decision_id, two.client_order_id, two.symbol) == ("d1", "c1", "BTC/USDT")
    assert two.timestamp_ns == START_NS + 7
    assert two.decode(Report) == report
    assert "testnet report" in repr(two)
    assert one != two
    assert len({one, two}) == 2


def test_an_empty_journal_reads_as_nothing(journal: Journal) -> None:
    assert list(journal.read()) == []
    assert journal.last_seq() == 0
    assert journal.append_many([]) == []


def test_reading_can_be_narrowed(journal: Journal) -> None:
    journal.append(records.ALERT, alert("a"), stage="paper")
    journal.append(records.MARK, Mark("X", 1, 2.0), stage="paper")
    last = journal.append(records.ALERT, alert("b"), stage="live")
    journal.session = "s2"
    journal.append(records.ALERT, alert("c"), stage="live")
    messages = lambda **how: [entry.payload.get("message", "-") for entry in journal.read(**how)]  # noqa: E731
    assert messages(kinds="alert") == ["a", "b", "c"]
    assert messages(kinds=["alert", "mark"], stage="paper") == ["a", "-"]
    assert messages(stage="live", session="s2") == ["c"]
    assert messages(after_seq=last) == ["c"]
    assert messages(kinds=[]) == []


def test_more_than_a_page_is_read_whole_and_many_are_one_commit(journal: Journal) -> None:
    count = 2 * PAGE + 3
    numbers = journal.append_many([Item(records.MARK, Mark("X", number, 1.0)) for number in range(count)])
    assert len(numbers) == count
    assert [entry.payload["timestamp_ns"] for entry in journal.read()] == list(range(count))


def test_many_are_written_all_or_none(journal: Journal) -> None:
    with pytest.raises(JournalError, match="cannot be written"):
        journal.append_many([Item(records.ALERT, alert("fine")), Item(records.ALERT, {"bad": object()})])
    assert list(journal.read()) == []


def test_threads_append_without_losing_anything(journal: Journal) -> None:
    def work(name: int) -> None:
        for number in range(50):
            journal.append(records.MARK, Mark(str(name), number, 1.0))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = list(journal.read())
    assert len(entries) == 200
    for name in range(4):
        own = [entry.payload["timestamp_ns"] for entry in entries if entry.payload["symbol"] == str(name)]
        assert own == list(range(50))


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed; open it"):
        journal.append(records.ALERT, alert("late"))
    if not isinstance(journal, MemoryJournal):
        with pytest.raises(JournalError, match="closed; open it"):
            list(journal.read())
    assert "(closed)" in repr(journal)


def test_a_later_process_reads_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with Journal.open(path, session="a") as journal:
        journal.append(records.ALERT, alert("one"))
    with Journal.open(f"sqlite:///{path}", session="b") as journal:
        journal.append(records.ALERT, alert("two"))
        assert [(entry.session, entry.seq) for entry in journal.read()] == [("a", 1), ("b", 2)]


def test_the_file_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Journal.open(tmp_path / "j.sqlite") as journal:
            journal.append(records.ALERT, alert("x"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert modes.keys() == {"j.sqlite", "j.sqlite-wal", "j.sqlite-shm"}
    assert set(modes.values()) == {0o600}


def test_entries_cannot_be_changed_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with Journal.open(path) as journal:
        journal.append(records.ALERT, alert("x"))
    connection = sqlite3.connect(path)
    for statement in ("UPDATE entries SET kind = 'y'", "DELETE FROM entries"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()


def test_readers_follow_a_writer_and_a_second_writer_waits_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with Journal.open(path, session="host") as host, Journal.open(path, read_only=True) as dashboard:
        host.append(records.ALERT, alert("one"))
        assert [entry.payload["message"] for entry in dashboard.read()] == ["one"]
        reading = dashboard.read()
        assert next(reading).seq == 1
        host.append(records.ALERT, alert("two"))  # a half-read journal keeps nobody from writing
        with pytest.raises(JournalError, match="read-only"):
            dashboard.append(records.ALERT, alert("no"))

        # the command line writes while the host holds the file for a moment
        holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.2, lambda: holder.execute("COMMIT"))
        release.start()
        with Journal.open(path, session="cli") as command:
            assert command.append(records.ALERT, alert("three")) == 3
        release.join()
        holder.close()
        assert [entry.session for entry in dashboard.read()] == ["host", "host", "cli"]


WRITER = """
import sys
from autotrader_lab.journal import Journal, records
from autotrader_lab.model.orders import Accepted
journal = Journal.open(sys.argv[1], session="doomed")
number = 0
while True:
    seq = journal.append(records.REPORT, Accepted(f"c{number}", number, "x" * 300))
    sys.stdout.write(f"{number} {seq}\\n")
    sys.stdout.flush()
    number += 1
"""


@pytest.mark.parametrize("after", [1, 137, 1500])
def test_kill_9_loses_no_append_that_returned(tmp_path: Path, after: int) -> None:
    path = tmp_path / "j.sqlite"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.readlines()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    whole = [line.split() for line in told if line.endswith("\n")]
    assert len(whole) >= after
    with Journal.open(path, session="next") as journal:
        reports = [entry.decode(Report) for entry in journal.read()]  # none is partial, or this raises
        assert reports == [Accepted(f"c{number}", number, "x" * 300) for number in range(len(reports))]
        # at most the one append that had not been told of yet
        assert len(whole) <= len(reports) <= len(whole) + 1
        assert journal.append(records.ALERT, alert("alive")) == len(reports) + 1


def says(error: pytest.ExceptionInfo[JournalError], *words: object) -> None:
    for word in words:
        assert str(word) in str(error.value)


def test_places_that_cannot_hold_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as error:
        Journal.open(tmp_path / "absent" / "j.sqlite")
    says(error, tmp_path / "absent", "does not exist; create it")
    with pytest.raises(JournalError) as error:
        Journal.open(tmp_path)
    says(error, tmp_path, "is a folder; name a file in it")
    with pytest.raises(JournalError) as error:
        Journal.open(tmp_path / "none.sqlite", read_only=True)
    says(error, "none.sqlite", "no journal here yet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where nobody, not even root, may write")
def test_a_read_only_place() -> None:
    with pytest.raises(JournalError) as error:
        Journal.open("/proc/self/journal.sqlite")
    says(error, "/proc/self/journal.sqlite", "cannot be written", "choose a place you may write to")


def test_files_that_are_no_journal(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"this is a picture of a cat, not a data base at all" * 100)
    for read_only in (False, True):
        with pytest.raises(JournalError) as error:
            Journal.open(garbage, read_only=read_only)
        says(error, garbage, "cannot be read as a journal", "move it away")
    assert garbage.read_bytes().startswith(b"this is a picture")

    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE songs (name TEXT)")
    connection.commit()
    connection.close()
    for read_only in (False, True):
        with pytest.raises(JournalError) as error:
            Journal.open(foreign, read_only=read_only)
        says(error, foreign, "no journal of autotrader-lab", "name another file")


def test_a_file_cut_in_half_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with Journal.open(path) as journal:
        journal.append_many([Item(records.MARK, Mark("X" * 50, number, 1.0)) for number in range(2000)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    for read in (lambda journal: list(journal.read()), lambda journal: journal.last_seq()):
        with pytest.raises(JournalError) as error, Journal.open(path, read_only=True) as journal:
            read(journal)
        says(error, path, "cannot be read as a journal", "malformed", "move it away")


@pytest.mark.parametrize(("version", "way_out"), [("2", "update autotrader-lab"), ("0", "name another file")])
def test_another_schema_version_is_refused(tmp_path: Path, version: str, way_out: str) -> None:
    path = tmp_path / "j.sqlite"
    Journal.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE autotrader_lab_journal SET value = ?", (version,))
    connection.commit()
    connection.close()
    with pytest.raises(JournalError) as error:
        Journal.open(path)
    says(error, path, f"schema version is '{version}'", way_out)


def test_a_full_disk_is_told_and_nothing_half_written(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.sqlite") as journal:
        pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[attr-defined]
        journal._writer.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

        def until_it_is_full() -> None:
            for _ in range(100):
                journal.append(records.ALERT, alert("x" * 1000))

        with pytest.raises(JournalError) as error:
            until_it_is_full()
        says(error, journal.target, "an entry was not written", "full", "disk's space")
        held = journal.last_seq()
        many = [Item(records.ALERT, alert("x" * 1000)) for _ in range(20)]
        with pytest.raises(JournalError, match="was not written"):
            journal.append_many(many)
        assert journal.last_seq() == held


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_url_without_a_file(url: str) -> None:
    with pytest.raises(JournalError, match="names no file"):
        Journal.open(url)


def test_an_entry_that_is_something_else_is_named() -> None:
    journal = MemoryJournal()
    journal.append(records.ALERT, alert("x"))
    with pytest.raises(JournalError, match=r"journal entry 1 \(alert\): a record is no Mark"):
        next(journal.read()).decode(Mark)


def test_urls_that_lead_nowhere() -> None:
    with pytest.raises(JournalError, match=r"scheme 'nosuch' is not understood.*postgresql\+psycopg"):
        Journal.open("nosuch://x/y")
    with pytest.raises(JournalError, match=r"driver 'oracledb' is not installed; pip install oracledb"):
        Journal.open("oracle+oracledb://x/y")


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    with pytest.raises(JournalError) as error:
        Journal.open("postgresql+psycopg://me:hidden-word@127.0.0.1:1/lab?connect_timeout=2")
    says(error, "127.0.0.1:1/lab", "check that it runs")
    assert "hidden-word" not in str(error.value)


def test_postgres_read_only_and_foreign(fresh_postgres: str) -> None:
    import sqlalchemy

    with pytest.raises(JournalError, match="no journal here yet"):
        Journal.open(fresh_postgres, read_only=True)
    with Journal.open(fresh_postgres, session="host") as host, Journal.open(fresh_postgres, read_only=True) as reader:
        assert "hidden-word" not in repr(host)
        host.append(records.ALERT, alert("one"))
        assert [entry.session for entry in reader.read()] == ["host"]
        with pytest.raises(JournalError, match="read-only"):
            reader.append(records.ALERT, alert("no"))
    engine = sqlalchemy.create_engine(fresh_postgres)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE autotrader_lab_journal SET value = '9'"))
    with pytest.raises(JournalError, match="schema version is '9'"):
        Journal.open(fresh_postgres)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE autotrader_lab_journal"))
    with pytest.raises(JournalError, match="not a journal's"):
        Journal.open(fresh_postgres)
    engine.dispose()


def test_postgres_goes_on_after_its_connection_was_cut(fresh_postgres: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(fresh_postgres)
    with Journal.open(fresh_postgres) as journal:
        journal.append(records.ALERT, alert("one"))
        with engine.begin() as connection:
            connection.execute(
                sqlalchemy.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            )
        with pytest.raises(JournalError, match="an entry was not written"):
            journal.append(records.ALERT, alert("two"))
        journal.append(records.ALERT, alert("three"))
        assert [entry.payload["message"] for entry in journal.read()] == ["one", "three"]
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DROP TABLE entries"))
        for attempt in (journal.last_seq, lambda: list(journal.read())):
            with pytest.raises(JournalError, match="cannot be read"):
                attempt()
    engine.dispose()


def test_a_reader_waits_for_a_journal_that_is_being_made(tmp_path: Path) -> None:
    place = tmp_path / "journal.sqlite"
    place.touch()  # as the writer's first step leaves it

    def make() -> None:
        time.sleep(0.1)
        with Journal.open(place, session="s") as journal:
            journal.append("mark", {"symbol": "BTC/USDT"})

    writer = threading.Thread(target=make)
    writer.start()
    with Journal.open(place, read_only=True) as journal:
        writer.join()
        assert journal.last_seq() == 1


def test_a_file_that_stays_empty_is_no_journal(tmp_path: Path) -> None:
    place = tmp_path / "journal.sqlite"
    place.touch()
    with pytest.raises(JournalError, match="no journal of autotrader-lab"):
        Journal.open(place, read_only=True)
