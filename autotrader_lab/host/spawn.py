"""Starting a host so that it outlives whoever starts it.

A session of its own (``start_new_session``) is what saves it from the kernel's interrupts and forced restarts;
keys reach it by its environment, never by arguments, which every user of the machine can read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from autotrader_lab.host.runs import HostInfo, RunFolder
from autotrader_lab.model.errors import HostError

__all__ = ["log_tail", "spawn_host", "wait_until_gone"]

_POLL_S = 0.02


def spawn_host(folder: RunFolder, environment: Mapping[str, str] | None = None, timeout_s: float = 30.0) -> HostInfo:
    """Start a host on `folder` and return where it answers. Blocks until it does.

    Parameters
    ----------
    folder : RunFolder
        Of a session that was created.
    environment : mapping, optional
        Added to ours: the venue's addresses and keys.
    timeout_s : float
        Seconds to wait for it.

    Raises
    ------
    HostError
        If a host works there already, or it does not come up; with what it said last.
    """
    running = folder.host_if_alive()
    if running is not None:
        raise HostError(f"session {folder.session!r} has a running host (pid {running.pid}); attach to it instead")
    folder.host_file.unlink(missing_ok=True)
    # Modules that lie beside the notebook must be importable in the host too.
    python_path = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    log = os.open(folder.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "autotrader_lab.host", "--run", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": python_path, **(environment or {})},
        )
    finally:
        os.close(log)
    # Collects the exit status, so that a dead host is no zombie for as long as the kernel lives.
    threading.Thread(target=process.wait, name=f"reap host {process.pid}", daemon=True).start()
    return _wait_until_ready(folder, process, timeout_s)


def _wait_until_ready(folder: RunFolder, process: subprocess.Popen[bytes], timeout_s: float) -> HostInfo:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        info = folder.read_host()
        if info is not None and info.pid == process.pid:
            return info
        if process.returncode is not None:
            raise HostError(
                f"the engine host of session {folder.session!r} ended at once (exit {process.returncode}); it said:\n"
                f"{log_tail(folder)}"
            )
        time.sleep(_POLL_S)
    process.kill()
    raise HostError(
        f"the engine host of session {folder.session!r} did not come up in {timeout_s:g} s; it said:\n"
        f"{log_tail(folder)}"
    )


def wait_until_gone(info: HostInfo, timeout_s: float = 10.0) -> bool:
    """Block until that host's process has ended; whether it has."""
    deadline = time.monotonic() + timeout_s
    while info.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def log_tail(folder: RunFolder, lines: int = 12) -> str:
    """The last lines of the host's log."""
    try:
        return "\n".join(folder.log_file.read_text(errors="replace").splitlines()[-lines:]) or "(nothing)"
    except OSError:
        return "(nothing)"
