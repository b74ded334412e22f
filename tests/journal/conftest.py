"""Journals of every kind, a real PostgreSQL among them where the machine has one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrader_lab.journal import Journal, MemoryJournal
from autotrader_lab.model.clock import SimulatedClock

START_NS = 1_700_000_000_000_000_000


def _program(name: str) -> str | None:
    newest_first = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or next((str(path) for path in newest_first), None)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("no PostgreSQL server on this machine (Debian package: postgresql)")
    as_user: dict[str, str] = {}
    place = Path(tempfile.mkdtemp(prefix="atl-pg-"))
    if os.geteuid() == 0:
        try:
            shutil.chown(place, "postgres")
        except LookupError:
            pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres'")
        as_user = {"user": "postgres"}
    data = place / "data"
    subprocess.run(
        [initdb, "-D", str(data), "-U", "lab", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
        check=True,
        capture_output=True,
        cwd=place,
        **as_user,
    )
    process = subprocess.Popen(
        [server, "-D", str(data), "-k", str(place), "-c", "listen_addresses=", "-c", "fsync=off"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=place,
        **as_user,
    )
    try:
        import psycopg

        for _ in range(200):
            try:
                psycopg.connect(host=str(place), user="lab", dbname="postgres").close()
                break
            except psycopg.OperationalError:
                time.sleep(0.05)
        else:
            pytest.fail("PostgreSQL did not start within 10 s")
        yield f"postgresql+psycopg://lab:hidden-word@/postgres?host={place}"
    finally:
        process.send_signal(signal.SIGINT)  # do not wait for clients
        process.wait(20)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def fresh_postgres(postgres_url: str) -> str:
    """The database with nothing in it."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP SCHEMA public CASCADE"))
        connection.execute(sqlalchemy.text("CREATE SCHEMA public"))
    engine.dispose()
    return postgres_url


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(START_NS)


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def journal(request: pytest.FixtureRequest, tmp_path: Path, clock: SimulatedClock) -> Iterator[Journal]:
    if request.param == "memory":
        opened: Journal = MemoryJournal("s1", clock)
    elif request.param == "sqlite":
        opened = Journal.open(tmp_path / "journal.sqlite", session="s1", clock=clock)
    else:
        opened = Journal.open(request.getfixturevalue("fresh_postgres"), session="s1", clock=clock)
    with opened:
        yield opened
