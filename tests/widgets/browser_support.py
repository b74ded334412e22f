"""Real processes and a real browser for the tests of what people see."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
]


def wait_for(what: Callable[[], Any], *, seconds: float = 30.0, message: str) -> Any:
    """The first true value of `what`, or a failure that says `message`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"{message} (waited {seconds:g} s)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` for as long as the block lasts."""
    with log.open("wb") as stream:
        child = subprocess.Popen(command, stdout=stream, stderr=stream, env={**os.environ, **environment})
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)


@contextlib.contextmanager
def standin_host(home: Path, session: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A stand-in host of `session`, ready to answer."""
    log = home / f"{session}.out"
    command = [sys.executable, str(HERE / "standin_host.py"), session, *options]
    with process(command, log, AUTOTRADER_LAB_HOME=str(home)) as child:
        wait_for(lambda: b"ready" in log.read_bytes() or child.poll() is not None, message="the stand-in did not start")
        assert child.poll() is None, log.read_text()
        yield child


@contextlib.contextmanager
def jupyter(home: Path, root: Path, *, token: str, app: str = "lab", **environment: str) -> Iterator[str]:
    """A Jupyter server with our extension and nothing of the user's own; yields its address."""
    port = free_port()
    private = {
        name: str(home / "jupyter" / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    command = [
        sys.executable, "-m", "jupyter", app, "--no-browser", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}", "--allow-root",
        "--ServerApp.jpserver_extensions={'autotrader_lab.jupyter': True}",
    ]  # fmt: skip
    if app == "lab":
        command += [
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
    log = home / "jupyter.log"
    address = f"http://127.0.0.1:{port}"
    with process(
        command, log, AUTOTRADER_LAB_HOME=str(home), PYTHONWARNINGS="default", **private, **environment
    ) as child:

        def answers() -> bool:
            if child.poll() is not None:
                pytest.fail(f"Jupyter ended:\n{log.read_text()[-3000:]}")
            try:
                with urllib.request.urlopen(f"{address}/api?token={token}", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_for(answers, seconds=60, message="Jupyter did not come up")
        yield address


@contextlib.contextmanager
def browser_page(**context: Any) -> Iterator[Any]:
    """A page of a headless Chromium, the system's or Playwright's own; skips the test where there is neither."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    with sync_api.sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium: install it, or run 'playwright install chromium'")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser.new_context(**context).new_page()
        finally:
            browser.close()


def notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells."""
    nothing_yet: dict[str, Any] = {"metadata": {}, "execution_count": None}
    content = {
        "cells": [
            {"cell_type": "code", "id": f"cell-{n}", "source": source, "outputs": [], **nothing_yet}
            for n, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path
