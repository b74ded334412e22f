"""The sandbox in a process of its own, for notebooks and demonstrations: it outlives the cell that started it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from types import TracebackType
from typing import Any, Self

__all__ = ["SandboxProcess", "start_sandbox"]


class SandboxProcess:
    """A running sandbox process.

    Attributes
    ----------
    addresses : dict
        What the sandbox printed when it was ready.
    pid : int
        Its process id.
    """

    def __init__(self, process: subprocess.Popen[bytes], addresses: dict[str, Any]) -> None:
        self._process = process
        self.addresses = addresses
        self.pid = process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ask it to end, and end it after `timeout_s`. Stopping twice is quiet."""
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.is_running else "stopped"
        venues = ", ".join(name for name in self.addresses if name not in ("control", "tls"))
        return f"<SandboxProcess pid={self.pid} {state} {venues}>"


def start_sandbox(
    market: str | Path | Sequence[str | Path] | None = None,
    *,
    seed: int | None = None,
    speed: float = 1.0,
    symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"),
    venues: Sequence[str] = ("binance",),
    port_base: int | None = None,
    tls: bool = False,
    faults: Mapping[str, Any] | str | Path | None = None,
    timeout_s: float = 30.0,
) -> SandboxProcess:
    """Start a detached sandbox and wait until it is ready.

    Parameters
    ----------
    market : path or sequence of paths, optional
        Recorded market data to replay; without it the market is synthetic.
    seed : int, optional
        Makes market and keys repeatable.
    speed : float, default 1.0
        Market seconds per second.
    symbols : sequence of str
        What trades.
    venues : sequence of str, default ("binance",)
        Which venues to serve.
    port_base : int, optional
        First of seventeen ports; chosen by the system when omitted.
    tls : bool, default False
        Speak TLS at the venues' addresses.
    faults : mapping, str or path, optional
        What goes wrong from the start: the values of a fault plan, or a YAML or JSON file of it.
    timeout_s : float, default 30.0
        How long to wait for it.

    Raises
    ------
    RuntimeError
        If it ends or is not ready in time; the message carries what it said.
    """
    files = [] if market is None else [market] if isinstance(market, str | Path) else list(market)
    command = [sys.executable, "-m", "autotrader_lab.sandbox", "--json", "--speed", str(speed)]
    command += ["--symbols", ",".join(symbols), "--venues", ",".join(venues)]
    if tls:
        command.append("--tls")
    for file in files:
        command += ["--market", str(file)]
    if seed is not None:
        command += ["--seed", str(seed)]
    if port_base is not None:
        command += ["--port-base", str(port_base)]
    with TemporaryFile() as complaints, NamedTemporaryFile("w", suffix=".json") as plan:
        if isinstance(faults, Mapping):
            json.dump(faults, plan)
            plan.flush()
            faults = plan.name
        if faults is not None:
            command += ["--faults", str(faults)]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        assert process.stdout is not None, "stdout is a pipe"
        with process.stdout as output:
            line = _first_line(output.fileno(), timeout_s)
        if line:
            return SandboxProcess(process, json.loads(line))
        process.kill()
        process.wait()
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip()
    raise RuntimeError(f"the sandbox was not ready within {timeout_s:g} s (exit code {process.returncode}): {said}")


def _first_line(descriptor: int, timeout_s: float) -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], timeout_s)
        if not ready:
            return b""
        part = os.read(descriptor, 65_536)
        if not part:
            return b""
        text += part
    return text
