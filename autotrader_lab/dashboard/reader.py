"""What the page shows of a session: its journal, read while the host writes, and its host's word where it answers.

The journal is folded as it grows, so a look costs what is new. A session whose host has died is shown from the journal
alone. Reading never blocks the host and never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd

from autotrader_lab.host.runs import RunFolder
from autotrader_lab.host.snapshot import StageBooks, offline_snapshot
from autotrader_lab.journal import Books, Journal
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import AutoTraderError
from autotrader_lab.model.orders import Order

__all__ = ["BLOTTER_COLUMNS", "BLOTTER_ROWS", "Reading", "SessionReader", "blotter", "empty_blotter"]

BLOTTER_ROWS = 500
"""The blotter is a window on the newest orders: a table that grows for ever freezes the page."""
BLOTTER_COLUMNS = (
    "time",
    "symbol",
    "side",
    "type",
    "quantity",
    "filled",
    "price",
    "average",
    "status",
    "reason",
    "client_order_id",
)


class Reading(NamedTuple):
    """One look at a session.

    Attributes
    ----------
    session, stage : str
    snapshot : dict
        As the host gives it, or would.
    answering : bool
        Whether a host gave it.
    silence : str
        Why not, otherwise.
    anew : bool
        Whether this is another stage, or run of it, than at the last look: what was drawn is over.
    equity : list of tuple
        Marks since the last look: time (ms since the epoch), worth (account currency), drawdown (fraction).
    orders : DataFrame or None
        The blotter, newest first; None if nothing changed since the last look.
    """

    session: str
    stage: str
    snapshot: dict[str, Any]
    answering: bool
    silence: str
    anew: bool
    equity: list[tuple[float, float, float]]
    orders: pd.DataFrame | None


class SessionReader:
    """Looks at one session, again and again.

    Parameters
    ----------
    folder : RunFolder
    ask_host : callable
        Gives the snapshot of a folder's host, or raises one of our errors where it is silent.

    Raises
    ------
    JournalError
        If the session has no journal yet, or one that cannot be read.
    """

    def __init__(self, folder: RunFolder, ask_host: Callable[[RunFolder], Mapping[str, Any]]) -> None:
        self.session = folder.session
        self._folder = folder
        self._ask_host = ask_host
        self._journal = Journal.open(folder.journal_file, session=folder.session, read_only=True)
        self._stages = StageBooks(self._journal)
        self._offline: tuple[int, dict[str, Any]] = (-1, {})
        self._shown: Books | None = None
        self._shown_seq = 0
        self._marks_shown = 0

    def close(self) -> None:
        """Give the journal back."""
        self._journal.close()

    def look(self) -> Reading:
        """Read what is new and return the state."""
        self._stages.update()
        snapshot, silence = self._snapshot()
        stage = str(snapshot.get("stage") or "")
        books = self._stages.of(stage)
        anew = books is not self._shown
        grown = anew or books.last_seq != self._shown_seq
        first = 0 if anew else self._marks_shown
        equity = [(mark.timestamp_ns / 1e6, mark.equity, mark.drawdown) for _, mark in books.equity[first:]]
        self._shown, self._shown_seq, self._marks_shown = books, books.last_seq, len(books.equity)
        return Reading(
            session=self.session,
            stage=stage,
            snapshot=snapshot,
            answering=not silence,
            silence=silence,
            anew=anew,
            equity=equity,
            orders=blotter(books) if grown else None,
        )

    def _snapshot(self) -> tuple[dict[str, Any], str]:
        if self._folder.host_if_alive() is None:
            return self._from_journal(), "No host runs; this is what the journal says."
        try:
            return dict(self._ask_host(self._folder)), ""
        except AutoTraderError as error:
            return self._from_journal(), f"{error} This is what the journal says."

    def _from_journal(self) -> dict[str, Any]:
        seq = self._stages.last_seq
        if self._offline[0] != seq:
            self._offline = (seq, offline_snapshot(self._folder.read_session(), self._journal))
        return self._offline[1]


def blotter(books: Books, rows: int = BLOTTER_ROWS) -> pd.DataFrame:
    """The newest `rows` orders, newest first."""
    newest = islice(reversed(books.orders.values()), rows)
    table = [_row(order, books.origins[order.client_order_id].timestamp_ns) for order in newest]
    return pd.DataFrame(table, columns=list(BLOTTER_COLUMNS)) if table else empty_blotter()


def empty_blotter() -> pd.DataFrame:
    """A blotter without rows."""
    return pd.DataFrame({name: pd.Series(dtype="object") for name in BLOTTER_COLUMNS})


def _row(order: Order, intended_ns: int) -> tuple[Any, ...]:
    price = order.price if order.price is not None else order.stop_price
    return (
        (order.created_at or from_ns(intended_ns)).strftime("%m-%d %H:%M:%S"),
        order.symbol,
        order.side.value,
        order.order_type.value.replace("_", " "),
        order.quantity,
        order.filled_quantity,
        price,
        order.avg_fill_price or None,
        order.status.value.replace("_", " "),
        order.reason,
        order.client_order_id,
    )
