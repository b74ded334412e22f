"""A session's journal as frames: read from the file alone, so they are there whether or not a host lives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from autotrader_lab.host import gates
from autotrader_lab.host.runs import RunFolder
from autotrader_lab.journal import Journal, MemoryJournal, frames
from autotrader_lab.ladder.parity import Parity
from autotrader_lab.ladder.shadow import parity_of
from autotrader_lab.ladder.stages import Stage
from autotrader_lab.model.errors import DataError

if TYPE_CHECKING:
    from autotrader_lab.research.result import ReplayResult

__all__ = ["Tables"]


class Tables:
    """What a lab shows of its journal."""

    _folder: RunFolder

    def orders(self, stage: str | None = None) -> pd.DataFrame:
        """Orders of a stage, by default the one the session is in; see :mod:`autotrader_lab.journal.frames`."""
        with self._entries(stage) as entries:
            return frames.orders_frame(entries)

    def fills(self, stage: str | None = None) -> pd.DataFrame:
        """Executions, each once."""
        with self._entries(stage) as entries:
            return frames.fills_frame(entries)

    def positions(self, stage: str | None = None) -> pd.DataFrame:
        """What is held and what it earned."""
        with self._entries(stage) as entries:
            return frames.positions_frame(entries)

    def equity(self, stage: str | None = None) -> pd.DataFrame:
        """The account's worth over time, account currency."""
        with self._entries(stage) as entries:
            return frames.equity_frame(entries)

    def decisions(self, stage: str | None = None) -> pd.DataFrame:
        """What the strategy said."""
        with self._entries(stage) as entries:
            return frames.decisions_frame(entries)

    def parity(self, stage: str | None = None) -> Parity:
        """Why the venue's fills and those of the shadow paper book, given the same decisions, are not worth the same.

        Testnet and live have a shadow book; elsewhere the report is empty. ``parity.to_frame()`` has a row for each
        decision, ``parity.parts`` the sums: latency, spread, queue, fees, rounding and missed fills, quote currency.
        """
        with self._entries(stage) as entries:
            return parity_of(entries)

    def alerts(self, stage: str | None = None) -> pd.DataFrame:
        """What a person should have seen."""
        with self._entries(stage) as entries:
            return frames.alerts_frame(entries)

    @property
    def result(self) -> ReplayResult:
        """The last replay's result: frames, figures, plots.

        Raises
        ------
        DataError
            If there is none yet.
        """
        from autotrader_lab.research.result import ReplayResult

        if not self._folder.result_folder.exists():
            raise DataError("no replay has ended in this session: await lab.start('replay', data=frame)")
        return ReplayResult.load(self._folder.result_folder)

    @contextlib.contextmanager
    def _journal(self) -> Iterator[Journal]:
        if not self._folder.journal_file.exists():
            yield MemoryJournal(self._folder.session)
            return
        journal = Journal.open(self._folder.journal_file, read_only=True)
        try:
            yield journal
        finally:
            journal.close()

    @contextlib.contextmanager
    def _entries(self, stage: str | None) -> Iterator[Any]:
        with self._journal() as journal:
            chosen = Stage.of(stage).value if stage is not None else gates.last_state(journal).stage
            yield gates.stage_entries(journal, chosen) if chosen else []
