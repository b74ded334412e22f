"""Alerts to a webhook: posted in the background, retried, never in the way of an order."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import aiohttp
import structlog

from autotrader_lab.execution.guard import Level
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.journal.records import Alert
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import ConfigError

__all__ = ["AlertWebhook"]

_LEVELS: tuple[Level, ...] = ("info", "warning", "critical")
_log = structlog.get_logger(__name__)


class AlertWebhook:
    """Posts alerts as JSON: ``{"session", "stage", "level", "code", "message", "text"}``.

    ``text`` is one line that chat services show as it is.

    Parameters
    ----------
    url : str
        http or https. It may hold a secret, so it appears in no message.
    clock : Clock
    session, stage : str
        Sent along; :meth:`take` may name another stage.
    at_least : {"info", "warning", "critical"}
    attempts : int
        Tries per alert, with growing waits between them.
    keep : int
        Alerts waiting at most; beyond that the oldest is dropped, and the log says so.

    Raises
    ------
    ConfigError
        If `url` is no http address.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        session: str = "",
        stage: str = "",
        at_least: Level = "warning",
        attempts: int = 4,
        keep: int = 100,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise ConfigError("the alert webhook must be an http:// or https:// address")
        self._url = url
        self._clock = clock
        self._session = session
        self._stage = stage
        self._from = _LEVELS.index(at_least)
        self._attempts = attempts
        self._waiting: asyncio.Queue[tuple[Alert, str]] = asyncio.Queue(keep)
        self._task: asyncio.Task[None] | None = None
        self.delivered = 0
        self.dropped = 0

    def __repr__(self) -> str:
        return f"AlertWebhook({urlsplit(self._url).hostname}, delivered={self.delivered}, dropped={self.dropped})"

    def take(self, alert: Alert, stage: str | None = None) -> None:
        """Queue an alert; returns at once."""
        if _LEVELS.index(alert.level) < self._from:
            return
        if self._waiting.full():
            self._drop(self._waiting.get_nowait()[0], "too many waiting")
            self._waiting.task_done()
        self._waiting.put_nowait((alert, self._stage if stage is None else stage))

    def start(self) -> None:
        """Begin posting."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="autotrader alert webhook")

    async def stop(self, patience_s: float = 2.0) -> None:
        """Post what waits, for `patience_s` at most, and end."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._waiting.join(), patience_s)
        except TimeoutError:
            _log.warning("alerts left unposted", count=self._waiting.qsize())
        await end_tasks(self._task)
        self._task = None

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            while True:
                alert, stage = await self._waiting.get()
                try:
                    await self._post(client, alert, stage)
                finally:
                    self._waiting.task_done()

    async def _post(self, client: aiohttp.ClientSession, alert: Alert, stage: str) -> None:
        text = f"[{alert.level}] {self._session} {stage}: {alert.code} {alert.message}"
        body = {
            "session": self._session,
            "stage": stage,
            "level": alert.level,
            "code": alert.code,
            "message": alert.message,
            "text": text,
        }
        wait_s = 0.5
        for attempt in range(1, self._attempts + 1):
            try:
                async with client.post(self._url, json=body) as answer:
                    if answer.status < 400:
                        self.delivered += 1
                        return
                    trouble = f"HTTP {answer.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = type(error).__name__
            if attempt < self._attempts:
                await self._clock.sleep(wait_s)
                wait_s *= 2
        self._drop(alert, trouble)

    def _drop(self, alert: Alert, why: str) -> None:
        self.dropped += 1
        _log.warning("alert not posted", code=alert.code, why=why)
