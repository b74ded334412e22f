"""Run folders: where a session lives on disk, and whether its host is alive.

A session is a folder, so that it outlives every process that works on it: the notebook kernel that opened it, the
engine host that trades it, the dashboard that watches it. Everything here is private to its owner (0700 and 0600),
because `host.json` holds the token that can move money. A host counts as alive by its process id *and* the moment
that process started: process ids are used again.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from autotrader_lab.model.errors import HostError

__all__ = [
    "HostInfo",
    "RunFolder",
    "SessionInfo",
    "SessionRow",
    "home",
    "list_sessions",
    "process_is_alive",
    "process_started",
]

T = TypeVar("T")

HOME_VARIABLE = "AUTOTRADER_LAB_HOME"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is about. No secrets: keys come from the environment or the configuration file each time.

    Attributes
    ----------
    session : str
        Its name, and the name of its folder.
    profile : str
        ``standard`` or ``rehearsal``.
    strategy, fingerprint : str
        Name of the strategy's class, and the hash of its code, parameters and limits.
    config_path : str
        Configuration file, absolute; empty where the configuration was built in code or is the default.
    sandbox : bool
        Whether the venue is a sandbox on this machine.
    bar_interval_s : float or None
        Length of the bars made from quotes and trades, seconds.
    initial_balance : float
        Paper balance, quote currency.
    limits : dict
        The risk limits as plain values; empty for the defaults.
    on_breach : str
        What a breached limit does on testnet and live: ``exits``, ``demote``, or empty for the stage's own policy.
    """

    session: str
    created_ns: int
    version: str
    profile: str = "standard"
    symbols: tuple[str, ...] = ()
    strategy: str = ""
    fingerprint: str = ""
    config_path: str = ""
    sandbox: bool = False
    bar_interval_s: float | None = None
    initial_balance: float = 100_000.0
    limits: dict[str, Any] = {}
    on_breach: str = ""


class HostInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session's host answers, and the token it asks for. Kept in a file of mode 0600."""

    pid: int
    port: int
    token: str
    started_at_ns: int
    process_started: str

    def __repr__(self) -> str:
        return f"HostInfo(pid={self.pid}, port={self.port})"

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return process_is_alive(self.pid, self.process_started)


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list of sessions."""

    session: str
    created_ns: int
    profile: str
    strategy: str
    alive: bool
    path: str


def home(environment: Mapping[str, str] | None = None) -> Path:
    """The folder that holds everything this package keeps: ``$AUTOTRADER_LAB_HOME`` or ``~/.autotrader-lab``."""
    named = (os.environ if environment is None else environment).get(HOME_VARIABLE)
    folder = Path(named).expanduser() if named else Path.home() / ".autotrader-lab"
    _private_folder(folder)
    return folder


def _private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise HostError(f"{folder}: cannot be used as a private folder ({error}); set {HOME_VARIABLE}") from error


class RunFolder:
    """One session's folder.

    Parameters
    ----------
    path : Path
        The folder; need not exist before :meth:`create`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self.session = self.path.name
        self.session_file = self.path / "session.json"
        self.host_file = self.path / "host.json"
        self.journal_file = self.path / "journal.sqlite"
        self.strategy_file = self.path / "strategy.pkl"
        self.result_folder = self.path / "replay-result"
        self.replay_file = self.path / "replay-data.parquet"
        self.kill_file = self.path / "KILL"
        self.log_file = self.path / "host.log"
        self.lock_file = self.path / "host.lock"
        self.metrics_target_file = self.path / "prometheus.json"
        self.metrics_token_file = self.path / "prometheus.token"

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def named(cls, session: str) -> RunFolder:
        """The folder of the session of that name.

        Raises
        ------
        HostError
            If the name could not be a folder's.
        """
        if not _NAME.fullmatch(session):
            raise HostError(f"session name {session!r}: use letters, digits, '.', '_' and '-', at most 80")
        return cls(home() / "runs" / session)

    @property
    def exists(self) -> bool:
        """Whether a session was created here."""
        return self.session_file.is_file()

    def create(self, info: SessionInfo) -> None:
        """Make the folder and write `info`.

        Raises
        ------
        HostError
            If there is a session here already.
        """
        _private_folder(self.path.parent)
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            raise HostError(
                f"session {self.session!r} exists; attach to it with Lab.attach({self.session!r}) or take another name"
            ) from None
        self.write_session(info)

    def write_session(self, info: SessionInfo) -> None:
        """Replace ``session.json`` in one step."""
        self.write_private(self.session_file, msgspec.json.format(msgspec.json.encode(info), indent=2))

    def read_session(self) -> SessionInfo:
        """What this session is about.

        Raises
        ------
        HostError
            If there is none here, or it cannot be understood.
        """
        return self._read(self.session_file, SessionInfo)

    def write_host(self, info: HostInfo) -> None:
        """Say where the host answers."""
        self.write_private(self.host_file, msgspec.json.encode(info))

    def read_host(self) -> HostInfo | None:
        """Where the host answers, or answered; None if none ever ran."""
        return self._read(self.host_file, HostInfo) if self.host_file.exists() else None

    def host_if_alive(self) -> HostInfo | None:
        """The running host, or None."""
        info = self.read_host()
        return info if info is not None and info.is_alive else None

    def write_private(self, target: Path, content: bytes) -> None:
        """Write a file of mode 0600 so that a reader sees the old content or the new, never half of it."""
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def take_kill_file(self) -> bool:
        """Whether somebody touched ``KILL``; it is put aside as ``KILL.seen`` so that it can be touched again."""
        if not self.kill_file.exists():
            return False
        self.kill_file.replace(self.kill_file.with_name("KILL.seen"))
        return True

    def _read(self, source: Path, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(source.read_bytes(), type=kind)
        except FileNotFoundError:
            raise HostError(f"{self.path}: no session here ({source.name} is missing)") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise HostError(f"{source}: cannot be read ({error})") from error


def list_sessions() -> list[SessionRow]:
    """All sessions of this home, newest first."""
    rows: list[SessionRow] = []
    runs = home() / "runs"
    for path in runs.iterdir() if runs.is_dir() else ():
        folder = RunFolder(path)
        if not folder.exists:
            continue
        info = folder.read_session()
        rows.append(
            SessionRow(
                session=info.session,
                created_ns=info.created_ns,
                profile=info.profile,
                strategy=info.strategy,
                alive=folder.host_if_alive() is not None,
                path=str(path),
            )
        )
    return sorted(rows, key=lambda row: row.created_ns, reverse=True)


def process_started(pid: int) -> str:
    """When process `pid` started, in whatever words the system has for it; empty if there is no such process.

    A zombie counts as gone: it holds no socket and trades nothing.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold anything, so count from its end.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
        ).stdout.split(maxsplit=1)
        if len(answer) == 2 and not answer[0].startswith("Z"):
            return answer[1].strip()
    return ""


def process_is_alive(pid: int, started: str) -> bool:
    """Whether process `pid` runs and is the one that started at `started`."""
    now = process_started(pid)
    return bool(now) and now == started
