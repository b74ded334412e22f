"""The extension in a real Jupyter server, over HTTP, in front of a process that speaks the host's interface."""

from __future__ import annotations

import http.cookiejar
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import jupyter, standin_host, wait_for

from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.journal import Journal, records

TOKEN = "a-jupyter-token"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    home = tmp_path_factory.mktemp("home")
    root = tmp_path_factory.mktemp("root")
    with standin_host(home, "alpha"), jupyter(home, root, token=TOKEN, app="server") as address:
        yield address, home


def ask(url: str, *, token: str = TOKEN, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    authorization = {"Authorization": f"token {token}"} if token else {}
    request = urllib.request.Request(url, data=data, headers={**authorization, **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
        try:
            return error.code, json.loads(content)
        except ValueError:
            return error.code, content.decode(errors="replace")


def test_status_carries_the_snapshot_and_no_secret(world: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    address, home = world
    monkeypatch.setenv("AUTOTRADER_LAB_HOME", str(home))
    code, body = ask(f"{address}/autotrader-lab/alpha/status")
    assert (code, body["host"], body["snapshot"]["session"]) == (200, "answering", "alpha")
    host = RunFolder.named("alpha").read_host()
    assert host is not None
    assert host.token not in json.dumps(body)
    code, listed = ask(f"{address}/autotrader-lab/sessions")
    assert code == 200
    assert {"session": "alpha", "profile": "standard", "strategy": "MomentumStrategy", "alive": True} in listed[
        "sessions"
    ]
    assert host.token not in json.dumps(listed)


@pytest.mark.parametrize("route", ["sessions", "alpha/status", "alpha/kill"])
def test_without_jupyters_login_nothing_is_answered(world: tuple[str, Path], route: str) -> None:
    body = {} if route.endswith("kill") else None
    code, _ = ask(f"{world[0]}/autotrader-lab/{route}", token="", body=body)
    assert code == 403


def test_a_logged_in_browser_still_needs_the_xsrf_token(world: tuple[str, Path]) -> None:
    address = world[0]
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with browser.open(f"{address}/login?token={TOKEN}", timeout=15) as page:
        page.read()
    names = {cookie.name: cookie.value or "" for cookie in jar}
    assert any(name.startswith("username-") for name in names)

    def stop(headers: dict[str, str]) -> int:
        request = urllib.request.Request(f"{address}/autotrader-lab/alpha/stop", data=b"{}", headers=headers)
        try:
            with browser.open(request, timeout=15) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert stop({}) == 403
    assert stop({"X-XSRFToken": names["_xsrf"], "Origin": "http://evil.example"}) in (403, 404)
    assert stop({"X-XSRFToken": names["_xsrf"]}) == 200


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fruns%2falpha", ".hidden", "a%00b", "nobody"])
def test_a_name_that_is_no_session_names_no_folder(world: tuple[str, Path], name: str) -> None:
    address, home = world
    before = sorted(str(path) for path in home.rglob("KILL*"))
    code, body = ask(f"{address}/autotrader-lab/{name}/kill", body={})
    assert code in (404, 405), body
    assert sorted(str(path) for path in home.rglob("KILL*")) == before


def test_a_refusal_of_the_host_arrives_in_its_words(world: tuple[str, Path]) -> None:
    code, body = ask(f"{world[0]}/autotrader-lab/alpha/start", body={"stage": "live"})
    assert code == 409
    assert body["error"]["type"] == "GateClosed"
    assert "arming" in body["error"]["message"]
    code, body = ask(f"{world[0]}/autotrader-lab/alpha/start", body=["live"])
    assert code == 400
    assert "JSON object" in body["error"]["message"]


def test_kill_reaches_the_host_and_where_it_is_dead_leaves_the_file(world: tuple[str, Path]) -> None:
    address, home = world
    with standin_host(home, "beta") as host:
        code, report = ask(f"{address}/autotrader-lab/beta/kill", body={"reason": "test", "flatten": False})
        assert (code, report["verified"]) == (200, True)
        assert ask(f"{address}/autotrader-lab/beta/status")[1]["snapshot"]["trading_state"] == "HALTED"
        host.kill()
        host.wait(10)
        code, body = ask(f"{address}/autotrader-lab/beta/status")
        assert (code, body["host"], body["snapshot"]["state"]) == (200, "ended", "idle")
        code, body = ask(f"{address}/autotrader-lab/beta/kill", body={})
        assert (code, body["fallback"], body["verified"]) == (200, "kill_file", False)
        assert (home / "runs" / "beta" / "KILL").exists()
        assert ask(f"{address}/autotrader-lab/beta/stop", body={})[0] == 503


def test_a_host_that_lives_but_does_not_hear_is_killed_by_file(world: tuple[str, Path]) -> None:
    address, home = world
    with standin_host(home, "gamma", "--deaf"):
        code, body = ask(f"{address}/autotrader-lab/gamma/kill", body={})
        assert (code, body["fallback"]) == (200, "kill_file")
        wait_for((home / "runs" / "gamma" / "KILL.seen").exists, message="the host did not find the KILL file")


def test_an_unknown_session_says_where_to_look(world: tuple[str, Path]) -> None:
    code, body = ask(f"{world[0]}/autotrader-lab/{urllib.parse.quote('no such')}/status")
    assert (code, body["host"]) == (200, "unknown")
    code, body = ask(f"{world[0]}/autotrader-lab/nobody/status")
    assert body["host"] == "unknown"
    assert "AUTOTRADER_LAB_HOME" in body["message"]


def test_a_host_that_died_at_work_is_told_from_one_that_ended(
    world: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, home = world
    monkeypatch.setenv("AUTOTRADER_LAB_HOME", str(home))
    folder = RunFolder.named("delta")
    folder.create(SessionInfo(session="delta", created_ns=1, version="0.1", strategy="Momentum"))
    with Journal.open(folder.journal_file, session="delta") as journal:
        journal.append(records.STAGE_STARTED, records.StageStarted("paper", "f00d"), stage="paper")
        body = ask(f"{address}/autotrader-lab/delta/status")[1]
        assert (body["host"], body["snapshot"]["state"], body["snapshot"]["stage"]) == ("silent", "failed", "paper")
        journal.append(records.STAGE_STOPPED, records.StageStopped("paper"), stage="paper")
        body = ask(f"{address}/autotrader-lab/delta/status")[1]
        assert (body["host"], body["snapshot"]["state"]) == ("ended", "stopped")
