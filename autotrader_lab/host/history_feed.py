"""History played as if it happened now: a market for the paper stage where no venue is configured."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from autotrader_lab.execution.market_data.feeds import MarketCallback
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import InstrumentError
from autotrader_lab.research.data import MarketData, load

__all__ = ["HistoryFeed"]


class HistoryFeed:
    """Pushes the rows of a file one by one, stamped with the time they are pushed.

    Parameters
    ----------
    source : Path
        Parquet or CSV, as :func:`autotrader_lab.research.data.load` takes it.
    symbol : str or None
        What it is of, where it has no symbol column.
    interval_s : float
        Seconds between two rows.
    clock : Clock
    """

    def __init__(self, source: Path, symbol: str | None, interval_s: float, clock: Clock) -> None:
        self._source = source
        self._symbol = symbol
        self._interval_s = interval_s
        self._clock = clock
        self._callbacks: list[MarketCallback] = []
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, callback: MarketCallback) -> None:
        self._callbacks.append(callback)

    async def open(self, symbols: Iterable[str], kinds: Iterable[str] = ("quotes", "trades")) -> None:
        if self._task is not None:
            return
        data = await asyncio.to_thread(load, self._source, symbol=self._symbol)
        missing = set(symbols) - set(data.symbols)
        if missing:
            raise InstrumentError(f"{min(missing)} is not in the data, which has {', '.join(data.symbols)}")
        self._task = asyncio.create_task(self._play(data), name="history feed")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await end_tasks(task)

    async def _play(self, data: MarketData) -> None:
        for event in data.block(0, len(data)):
            now = replace(event, timestamp_ns=self._clock.now_ns())
            for callback in self._callbacks:
                callback(now)
            await self._clock.sleep(self._interval_s)
