"""Run folders are private, and a host's life is judged by its process and when that started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autotrader_lab.host.runs import (
    HostInfo,
    RunFolder,
    SessionInfo,
    home,
    list_sessions,
    process_is_alive,
    process_started,
)
from autotrader_lab.model.errors import HostError


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOTRADER_LAB_HOME", str(tmp_path / "home"))


def info(name: str, created_ns: int = 1) -> SessionInfo:
    return SessionInfo(session=name, created_ns=created_ns, version="0", symbols=("BTC/USDT",), strategy="S")


def host(**changes) -> HostInfo:
    fields = {
        "pid": os.getpid(),
        "port": 1,
        "token": "very-secret",
        "started_at_ns": 1,
        "process_started": process_started(os.getpid()),
    }
    return HostInfo(**(fields | changes))


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_everything_is_private_to_its_owner():
    folder = RunFolder.named("one")
    folder.create(info("one"))
    folder.write_host(host())
    assert [mode(p) for p in (home(), home() / "runs", folder.path)] == [0o700] * 3
    assert [mode(p) for p in (folder.session_file, folder.host_file)] == [0o600] * 2


def test_what_was_written_is_read_again():
    folder = RunFolder.named("one")
    folder.create(info("one"))
    assert folder.read_session() == info("one")
    assert folder.read_host() is None
    folder.write_host(host(port=4711))
    assert folder.read_host().port == 4711


def test_the_token_is_in_no_repr():
    assert "secret" not in repr(host())


def test_a_session_is_not_made_twice_and_a_missing_one_is_said():
    RunFolder.named("one").create(info("one"))
    with pytest.raises(HostError, match=r"'one' exists.*Lab\.attach"):
        RunFolder.named("one").create(info("one"))
    with pytest.raises(HostError, match="no session here"):
        RunFolder.named("two").read_session()
    with pytest.raises(HostError, match="letters, digits"):
        RunFolder.named("../evil")


def test_sessions_newest_first_with_their_life():
    for name, created_ns in (("old", 1), ("new", 3), ("mid", 2)):
        RunFolder.named(name).create(info(name, created_ns))
    RunFolder.named("mid").write_host(host())
    assert [(row.session, row.alive) for row in list_sessions()] == [("new", False), ("mid", True), ("old", False)]


def test_a_process_id_used_again_is_not_the_host():
    folder = RunFolder.named("one")
    folder.create(info("one"))
    folder.write_host(host(process_started="1"))
    assert folder.host_if_alive() is None
    folder.write_host(host())
    assert folder.host_if_alive() is not None


def test_a_dead_process_is_dead_even_as_a_zombie():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_started(child.pid)
    assert process_is_alive(child.pid, started)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table
    assert not process_is_alive(child.pid, started)
    child.communicate()


def test_the_kill_file_is_taken_once_and_can_be_touched_again():
    folder = RunFolder.named("one")
    folder.create(info("one"))
    assert not folder.take_kill_file()
    for _ in range(2):
        folder.kill_file.touch()
        assert folder.take_kill_file()
        assert not folder.take_kill_file()


def test_a_broken_file_is_named():
    folder = RunFolder.named("one")
    folder.create(info("one"))
    folder.session_file.write_text("{")
    with pytest.raises(HostError, match=r"session\.json: cannot be read"):
        folder.read_session()
