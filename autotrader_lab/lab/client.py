"""The line from a notebook to its engine host.

All of it runs on one small thread with an event loop of its own, so that a busy cell delays nothing but its own
answer, and so that the same ``await lab.x()`` works in a cell, in a script's ``asyncio.run`` and in tests. Loops are
never nested. Calls that change something are shielded: an interrupted cell must not cut an order's submission in half.
The stream's socket is the lease on the session; when this process dies the system closes it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.host.api import error_class
from autotrader_lab.host.runs import HostInfo, RunFolder
from autotrader_lab.model.errors import HostError

__all__ = ["HostClient", "install_wake_up", "on_client_thread"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_RECONNECT_S = 0.1
_ANSWER_TIMEOUT_S = 300.0


class _Loop:
    """The one client thread of this process, started when first needed."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="autotrader-lab client", daemon=True).start()
            return self._loop


_LOOP = _Loop()
_CLIENTS: set[HostClient] = set()
"""Those with something to close; kept until they are closed, by hand or when the process ends."""


async def on_client_thread(work: Coroutine[Any, Any, T], *, shielded: bool = False) -> T:
    """Run `work` on the client thread and await it here.

    Parameters
    ----------
    work : coroutine
    shielded : bool
        Whether it goes on to its end when the caller is cancelled or interrupted.
    """
    answer = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _LOOP.get()))
    return await (asyncio.shield(answer) if shielded else answer)


def install_wake_up() -> None:
    """Let an interrupt reach a cell that awaits: ipykernel's loop else notices only when it next wakes.

    Any signal handler of the loop's own sets the wake-up descriptor; SIGURG is ignored by default, so nothing else
    changes. Quiet where it is impossible (another thread, Windows).
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGURG"):
        return
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGURG, lambda: None)


class HostClient:
    """One session's host, as seen from this process.

    Parameters
    ----------
    folder : RunFolder
    info : HostInfo
        Where the host answers.

    Attributes
    ----------
    snapshot : dict or None
        The newest state the stream brought.
    """

    def __init__(self, folder: RunFolder, info: HostInfo) -> None:
        self.folder = folder
        self.info = info
        self.snapshot: dict[str, Any] | None = None
        self._http: aiohttp.ClientSession | None = None
        self._streaming: asyncio.Task[None] | None = None
        self._leased = asyncio.Event()
        self._watchers: list[Callable[[dict[str, Any]], None]] = []
        _CLIENTS.add(self)

    @property
    def is_alive(self) -> bool:
        """Whether the host's process runs."""
        return self.info.is_alive

    def watch(self, callback: Callable[[dict[str, Any]], None]) -> None:
        """Call `callback` with every snapshot, on the client thread."""
        self._watchers.append(callback)

    async def hold_lease(self) -> None:
        """Take the lease and keep the stream; returns once the host knows."""
        await on_client_thread(self._hold(), shielded=True)

    async def ask(self, path: str, **query: str) -> dict[str, Any]:
        """GET `path`; the answer's fields."""
        return await on_client_thread(self._request("GET", path, query=query))

    async def command(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """POST a command; goes on to its end even if the caller is interrupted.

        Raises
        ------
        AutoTraderError
            What the host raised, or HostError if it does not answer.
        """
        return await on_client_thread(self._request("POST", name, arguments=arguments), shielded=True)

    async def close(self) -> None:
        """Let go of the lease and the connection."""
        await on_client_thread(self._close(), shielded=True)

    # --- on the client thread ---------------------------------------------------------------------------------

    def _connection(self) -> aiohttp.ClientSession:
        if self._http is None:
            _CLIENTS.add(self)
            self._http = aiohttp.ClientSession(
                base_url=f"http://127.0.0.1:{self.info.port}",
                headers={"Authorization": f"Bearer {self.info.token}"},
                timeout=aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S, connect=5.0),
                trust_env=False,
            )
        return self._http

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        body = msgspec.json.encode(arguments) if arguments else None
        try:
            async with self._connection().request(method, f"/v1/{path}", params=query, data=body) as answer:
                content = msgspec.json.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise HostError(self._no_answer(error)) from error
        if answer.status >= 400:
            told = content["error"]
            raise error_class(told["type"])(told["message"])
        return dict(content)

    def _no_answer(self, error: Exception) -> str:
        if not self.is_alive:
            return (
                f"the engine host of session {self.folder.session!r} (pid {self.info.pid}) has died; nothing that was "
                "journaled is lost: await lab.recover() starts a new one that continues"
            )
        return (
            f"the engine host of session {self.folder.session!r} (pid {self.info.pid}) does not answer "
            f"({type(error).__name__}: {error}); see {self.folder.log_file}"
        )

    async def _hold(self) -> None:
        if self._streaming is None or self._streaming.done():
            self._leased.clear()
            self._streaming = asyncio.create_task(self._stream(), name=f"lease on {self.folder.session}")
        waiting = asyncio.create_task(self._leased.wait(), name="await lease")
        await asyncio.wait({waiting, self._streaming}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            await end_tasks(waiting)
            raise HostError(self._no_answer(ConnectionError("the stream ended at once")))

    async def _stream(self) -> None:
        """Hold the socket; take it again if it breaks, for as long as the host lives."""
        while self.is_alive:
            try:
                async with self._connection().ws_connect("/v1/stream", max_msg_size=0) as socket:
                    async for message in socket:
                        if message.type is aiohttp.WSMsgType.BINARY:
                            self._take(msgspec.json.decode(message.data))
            except aiohttp.ClientError as error:
                _log.info("stream broke, taking it again: %s", error)
            await asyncio.sleep(_RECONNECT_S)

    def _take(self, snapshot: dict[str, Any]) -> None:
        self.snapshot = snapshot
        self._leased.set()
        for callback in self._watchers:
            callback(snapshot)

    async def _close(self) -> None:
        if self._streaming is not None:
            await end_tasks(self._streaming)
            self._streaming = None
        if self._http is not None:
            await self._http.close()
            self._http = None
        _CLIENTS.discard(self)


@atexit.register
def _close_all() -> None:
    for client in list(_CLIENTS):
        with contextlib.suppress(TimeoutError, RuntimeError):
            asyncio.run_coroutine_threadsafe(client._close(), _LOOP.get()).result(timeout=1.0)
