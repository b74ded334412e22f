"""One thread's connection to Oanda through oandapyV20: what it sends, what came back, and whether it left at all.

The library is ``requests`` underneath, without a default timeout and blocking. What it lacks is added below it, where
the socket is: it is known whether a request's bytes began to leave (the difference between sending an order again and
never sending it again), and another thread can cut the connection, which ends a call that would hang.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import requests
from oandapyV20 import oandapyV20 as library  # noqa: N813 - the module of the same name is what holds the addresses
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import ConfigError

__all__ = ["Answer", "ConnectionPace", "Cut", "Phase", "StreamStopped", "Wire", "register"]

Phase = Literal["idle", "connecting", "sent"]
LOCAL = ("127.0.0.1", "localhost", "::1")
LONGEST_LINE = 32 * 2**20
_CHUNK = 2**16
# It writes every refusal with its whole body as an error; what matters is told by what we raise.
logging.getLogger("oandapyV20").setLevel(logging.CRITICAL)


class Cut(OSError):
    """The connection was cut from our side before anything was sent."""


class StreamStopped(OSError):
    """A stream ended; the text says why."""


class Answer(msgspec.Struct, frozen=True):
    """One answer.

    Attributes
    ----------
    body : object
        The JSON value.
    status : int
    headers : mapping
    sent_ns, received_ns : int
        Our clock, around the request.
    """

    body: Any
    status: int
    headers: Mapping[str, str]
    sent_ns: int
    received_ns: int


class ConnectionPace:
    """Oanda allows two new connections a second; this counts those of all wires.

    Parameters
    ----------
    clock : Clock
    per_s : int
        0 is without limit.
    """

    def __init__(self, clock: Clock, per_s: int) -> None:
        self._clock = clock
        self._per_s = per_s
        self._opened_ns: list[int] = []
        self._lock = threading.Lock()

    def wait_s(self) -> float:
        """Seconds until one more may be opened."""
        with self._lock:
            return self._wait_s()

    def _wait_s(self) -> float:
        if not self._per_s or len(self._opened_ns) < self._per_s:
            return 0.0
        return max(0.0, (self._opened_ns[-self._per_s] + 1_000_000_000 - self._clock.monotonic_ns()) / 1e9)

    def take(self, interrupted: threading.Event) -> None:
        """Return when one more may be opened, and count it; at once when `interrupted` is set."""
        while not interrupted.is_set():
            with self._lock:
                wait_s = self._wait_s()
                if not wait_s:
                    self._opened_ns = [*self._opened_ns[-self._per_s :], self._clock.monotonic_ns()]
                    return
            interrupted.wait(wait_s)


def register(rest: str, stream: str) -> str:
    """Let the library know a pair of origins of this machine; returns the name it goes by there.

    Raises
    ------
    ConfigError
        If they are not origins of this machine: the venue's own are the library's.
    """
    for origin in (rest, stream):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or parts.hostname not in LOCAL:
            raise ConfigError(f"oanda: {origin!r} is no http address of this machine, where a sandbox is")
    name = f"sandbox {rest} {stream}"
    library.TRADING_ENVIRONMENTS[name] = {"api": rest.rstrip("/"), "stream": stream.rstrip("/")}
    return name


class Wire:
    """The library's API object of one thread.

    Parameters
    ----------
    environment : str
        As the library names it.
    token : str
    connect_s, read_s : float
        Longest wait for a connection, and for the next bytes; seconds.
    pace : ConnectionPace
    clock : Clock
    ca_file : str
        Certificates to trust instead of the usual ones; empty for those.

    Attributes
    ----------
    phase : str
        How far the current request got: ``connecting`` proves that nothing was sent; ``idle`` proves nothing.
    """

    def __init__(
        self,
        environment: str,
        token: str,
        connect_s: float,
        read_s: float,
        pace: ConnectionPace,
        clock: Clock,
        ca_file: str = "",
    ) -> None:
        self._pace = pace
        self._clock = clock
        self._environment = environment
        self._lock = threading.Lock()
        self._cut = threading.Event()
        self._sock: Any = None
        self._head: tuple[int, Mapping[str, str]] = (0, {})
        self.phase: Phase = "idle"
        self.api = library.API(
            access_token=token,
            environment=environment,
            headers={"Accept-Datetime-Format": "RFC3339"},
            request_params={"timeout": (connect_s, read_s), "allow_redirects": False},
        )
        session: requests.Session = self.api.client
        # A .netrc with an entry for the host would replace the token.
        session.auth = _as_it_is
        session.trust_env = urlsplit(library.TRADING_ENVIRONMENTS[environment]["api"]).hostname not in LOCAL
        session.verify = ca_file or True
        session.hooks["response"].append(self._on_head)
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Adapter(self))

    @property
    def is_warm(self) -> bool:
        """Whether it has a connection."""
        return self._sock is not None

    # --- in its own thread ------------------------------------------------------------------------------------

    def ask(self, endpoint: Any) -> Answer:
        """Send one request and return the answer; the library's and requests' errors pass through."""
        with self._lock:
            self.phase = "idle"
            self._head = (0, {})
        sent_ns = self._clock.now_ns()
        body = self.api.request(endpoint)
        status, headers = self._head
        return Answer(body, status, headers, sent_ns, self._clock.now_ns())

    @property
    def head(self) -> tuple[int, Mapping[str, str]]:
        """Status and headers of the last answer; status 0 where there was none."""
        return self._head

    def lines(self, endpoint: Any, opened: Callable[[], None], silence_s: float) -> Iterator[bytes]:
        """The lines of a stream; `opened` is called when the venue has said that it begins.

        The library's own reader takes chunks of 60 bytes and joins them at a cost that grows with the square of the
        line, and knows no end from outside; its endpoints, addresses and session are used all the same.

        Raises
        ------
        StreamStopped
            When it ends.
        """
        url = f"{library.TRADING_ENVIRONMENTS[self._environment]['stream']}/{endpoint}"
        self.phase = "idle"
        response = self.api.client.get(
            url,
            params=getattr(endpoint, "params", None) or {},
            headers={"Accept-Encoding": "identity"},
            stream=True,
            **self.api.request_params,
        )
        with response:
            if response.status_code != 200:
                raise library.V20Error(response.status_code, response.content.decode("utf-8", "replace"))
            with self._lock:
                if self._sock is not None:
                    self._sock.settimeout(silence_s)
            opened()
            yield from _split(_chunks(response.raw))
        raise StreamStopped("the venue ended the stream")

    def close(self) -> None:
        """Let the connection go."""
        self.api.close()
        with self._lock:
            self._sock = None

    # --- from another thread ----------------------------------------------------------------------------------

    def cut(self) -> Phase:
        """Cut the connection now, for good; returns how far its request had got."""
        with self._lock:
            self._cut.set()
            phase = self.phase
            if self._sock is not None:
                try:
                    self._sock.shutdown(socket.SHUT_RDWR)
                except OSError:  # it is closed already
                    self._sock = None
        return phase

    # --- from the connection ----------------------------------------------------------------------------------

    def _opening(self) -> None:
        with self._lock:
            self.phase = "connecting"
        self._pace.take(self._cut)
        if self._cut.is_set():
            raise Cut("cut before it was connected")

    def _opened(self, sock: Any) -> None:
        with self._lock:
            self._sock = sock
            if self._cut.is_set():
                raise Cut("cut before anything was sent")

    def _sending(self) -> None:
        with self._lock:
            if self._cut.is_set() and self.phase != "sent":
                raise Cut("cut before anything was sent")
            self.phase = "sent"

    def _closed(self) -> None:
        with self._lock:
            self._sock = None

    def _on_head(self, response: requests.Response, **_: Any) -> None:
        self._head = (response.status_code, dict(response.headers))


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _chunks(raw: Any) -> Iterator[bytes]:
    if raw.chunked:
        yield from raw.stream(_CHUNK)
        return
    while chunk := raw.read1(_CHUNK):
        yield chunk


def _split(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines without their ends; empty ones are left out."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            found = b"".join([*parts, line]).strip()
            parts, size = [], 0
            if found:
                yield found
        parts.append(rest)
        size += len(rest)
        if size > LONGEST_LINE:
            raise StreamStopped(f"a line of more than {LONGEST_LINE} bytes")


class _Adapter(HTTPAdapter):
    """Sends over connections that say how far they are."""

    def __init__(self, wire: Wire) -> None:
        self._pools = _pools(wire)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **more: Any) -> Any:
        manager = super().proxy_manager_for(*args, **more)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(wire: Wire) -> dict[str, Any]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            wire._opening()
            super().connect()
            wire._opened(self.sock)

        def send(self, data: Any) -> None:
            if self.sock is None and self.auto_open:
                self.connect()
            wire._sending()
            super().send(data)

        def close(self) -> None:
            wire._closed()
            super().close()

    class Encrypted(HTTPSConnection):
        def connect(self) -> None:
            wire._opening()
            super().connect()
            wire._opened(self.sock)

        def send(self, data: Any) -> None:
            if self.sock is None and self.auto_open:
                self.connect()
            wire._sending()
            super().send(data)

        def close(self) -> None:
            wire._closed()
            super().close()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
