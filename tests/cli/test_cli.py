"""The command line over real run folders and a process that speaks the host's interface."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from browser_support import process, standin_host, wait_for
from typer.testing import CliRunner

from autotrader_lab.cli import app
from autotrader_lab.host.runs import RunFolder, SessionInfo

run = CliRunner()


def folder_of(session: str) -> RunFolder:
    folder = RunFolder.named(session)
    folder.create(SessionInfo(session=session, created_ns=1, version="0.1", strategy="Momentum"))
    return folder


def test_help_comes_without_the_heavy_libraries() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from autotrader_lab.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print(sorted({'pandas', 'ccxt', 'panel', 'aiohttp', 'sqlalchemy', 'jupyter_server'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["lab", "demo", "sandbox", "dashboard", "status", "kill", "settle", "recover"])
def test_every_command_is_there(command: str) -> None:
    assert f" {command} " in run.invoke(app, ["--help"]).output


def test_status_without_sessions_says_how_to_start(home: Path) -> None:
    result = run.invoke(app, ["status"])
    assert result.exit_code == 0
    assert "no session" in result.output
    assert json.loads(run.invoke(app, ["status", "--json"]).output) == []


def test_status_shows_the_hosts_word_and_the_journals(home: Path) -> None:
    folder_of("early")
    with standin_host(home, "alpha", "--stage", "live", "--rehearsal") as host:
        found = {row["session"]: row for row in json.loads(run.invoke(app, ["status", "--json"]).output)}
        assert (found["alpha"]["answering"], found["alpha"]["pid"]) == (True, host.pid)
        assert (found["early"]["answering"], found["early"]["state"]) == (False, "idle")
        table = run.invoke(app, ["status"], env={"COLUMNS": "200"}).output
        assert "LIVE, rehearsal" in table
        token = RunFolder.named("alpha").read_host()
        assert token is not None
        assert token.token not in json.dumps(found)


def test_kill_needs_no_name_where_one_session_runs(home: Path) -> None:
    folder_of("early")
    with standin_host(home, "alpha"):
        result = run.invoke(app, ["kill"])
        assert result.exit_code == 0, result.output
        assert "nothing left at the venue" in result.output
        state = json.loads(run.invoke(app, ["status", "--json"]).output)
        assert [row["trading_state"] for row in state if row["session"] == "alpha"] == ["HALTED"]


def test_kill_with_several_sessions_asks_which_or_takes_all(home: Path) -> None:
    with standin_host(home, "alpha"), standin_host(home, "beta"):
        vague = run.invoke(app, ["kill"])
        assert vague.exit_code == 2
        assert "alpha" in vague.output
        assert "--all" in vague.output
        everything = run.invoke(app, ["kill", "--all", "--flatten"])
        assert everything.exit_code == 0, everything.output
        assert everything.output.count("Killed") == 2


def test_kill_of_a_dead_session_leaves_the_file_and_says_so_in_its_exit_code(home: Path) -> None:
    folder = folder_of("alpha")
    result = run.invoke(app, ["kill", "alpha"])
    assert result.exit_code == 3
    assert "KILL file is written" in result.output
    assert folder.kill_file.exists()


def test_kill_of_a_deaf_host_is_by_file(home: Path) -> None:
    with standin_host(home, "alpha", "--deaf"):
        assert run.invoke(app, ["kill", "alpha"]).exit_code == 3
        wait_for((home / "runs" / "alpha" / "KILL.seen").exists, message="the host did not find the KILL file")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["kill", "nobody"], "no session 'nobody'"),
        (["kill", "../escape"], "session name '../escape'"),
        (["kill"], "no session runs"),
        (["kill", "--all"], "nothing to kill"),
        (["kill", "alpha", "--all"], "name one session, or take all"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(home: Path, arguments: list[str], told: str) -> None:
    result = run.invoke(app, arguments)
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_taken_port_is_named(home: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "autotrader_lab.cli", "dashboard", "--no-browser", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_lab_starts_jupyter_with_the_extension_and_passes_options_on(home: Path, tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "research_to_live.ipynb").write_text("{}")
    log = tmp_path / "lab.log"
    command = [sys.executable, "-m", "autotrader_lab.cli", "lab", "--no-browser", "--ServerApp.port=0"]
    private = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    command = ["sh", "-c", f'cd "{tmp_path}" && exec "$0" "$@"', *command]
    with process(command, log, PYTHONUNBUFFERED="1", **private) as child:

        def up() -> bool:
            assert child.poll() is None, log.read_text()
            return "is running at" in log.read_text()

        wait_for(up, seconds=60, message="JupyterLab did not start")
    said = log.read_text()
    assert "engine hosts are reachable under /autotrader-lab/" in said
    assert "/lab/tree/notebooks/research_to_live.ipynb?token=" in said
