"""What a replay leaves behind: frames, figures and pictures, made when they are asked for.

The frames have the columns of the journal's frames, so that a notebook reads replay, paper and live the same way.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autotrader_lab.execution.trader import Trader
from autotrader_lab.journal import Books, Entry, fold
from autotrader_lab.journal import frames as journal_frames
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.instruments import exact
from autotrader_lab.research import metrics, plots
from autotrader_lab.research.data import MarketData
from autotrader_lab.research.ledger import Accounts, Ledger
from autotrader_lab.research.summary import DESCRIPTIONS, summarise

__all__ = ["ReplayResult"]

_FORMAT = 1
_FRAMES = ("fills", "orders", "decisions", "equity", "positions", "round_trips", "prices")
_DTYPES: dict[str, Mapping[str, str]] = {
    "fills": journal_frames.FILL_COLUMNS,
    "orders": journal_frames.ORDER_COLUMNS,
    "decisions": journal_frames.DECISION_COLUMNS,
    "positions": journal_frames.POSITION_COLUMNS,
    "round_trips": metrics.TRIP_COLUMNS,
}


class ReplayResult:
    """One run.

    Attributes
    ----------
    strategy : object or None
        The object that ran, with the state it ended in; None after :meth:`load`.
    name : str
        The strategy's class or function.
    fingerprint : str
        Of the strategy's code, its parameters and its risk limits.
    settings : dict
        The arguments that shaped the run.
    stopped_by : str
        Why it ended early; empty if it ran to the end.
    """

    strategy: Any
    name: str
    fingerprint: str
    settings: dict[str, Any]
    stopped_by: str

    def __init__(
        self,
        *,
        name: str,
        fingerprint: str,
        settings: Mapping[str, Any],
        strategy: Any = None,
        stopped_by: str = "",
        frames: Mapping[str, pd.DataFrame] | None = None,
        stats: pd.Series | None = None,
        makers: Mapping[str, Callable[[], pd.DataFrame]] | None = None,
        make_stats: Callable[[], pd.Series] | None = None,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.settings = dict(settings)
        self.strategy = strategy
        self.stopped_by = stopped_by
        self._frames = dict(frames or {})
        self._stats = stats
        self._makers = dict(makers or {})
        self._make_stats = make_stats

    @property
    def fills(self) -> pd.DataFrame:
        """Executions, indexed by time: symbol, side, quantity, price, commission, realised, liquidity, ids."""
        return self._frame("fills")

    @property
    def orders(self) -> pd.DataFrame:
        """Orders as they ended, denied ones too, indexed by client order id."""
        return self._frame("orders")

    @property
    def decisions(self) -> pd.DataFrame:
        """What the strategy asked for, holds left out, indexed by time."""
        return self._frame("decisions")

    @property
    def equity(self) -> pd.DataFrame:
        """Equity (account currency) and drawdown (fraction below the highest so far) after every event."""
        return self._frame("equity")

    @property
    def positions(self) -> pd.DataFrame:
        """What is held at the end and what it earned, indexed by symbol."""
        return self._frame("positions")

    @property
    def round_trips(self) -> pd.DataFrame:
        """Completed round trips; see :func:`autotrader_lab.research.metrics.round_trips`."""
        return self._frame("round_trips")

    @property
    def prices(self) -> pd.DataFrame:
        """Marks after every event, a column for each symbol."""
        return self._frame("prices")

    @property
    def stats(self) -> pd.Series:
        """All figures; what each means stands in :data:`autotrader_lab.research.summary.DESCRIPTIONS`."""
        if self._stats is None:
            assert self._make_stats is not None
            self._stats = self._make_stats()
        return self._stats

    def plot(self, *, size: tuple[float, float] = (11.0, 7.0)) -> Any:
        """Price with fills, equity and drawdown as a matplotlib figure; `size` in inches."""
        return plots.figure(self, size=size)

    def hvplot(self, *, width: int = 900) -> Any:
        """The same to zoom and hover, with hvplot; `width` in pixels."""
        return plots.interactive(self, width=width)

    def save(self, folder: str | Path) -> Path:
        """Write frames (parquet) and figures (JSON) into `folder`, which is made; returns it."""
        target = Path(folder).expanduser()
        target.mkdir(parents=True, exist_ok=True)
        for name in _FRAMES:
            frame = self._frame(name)
            frame = frame if name == "round_trips" else frame.reset_index()
            if name == "decisions":
                frame["metadata"] = [json.dumps(value) for value in frame["metadata"]]
            frame.to_parquet(target / f"{name}.parquet")
        record = {
            "format": _FORMAT,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "stopped_by": self.stopped_by,
            "stats": {str(name): _to_json(value) for name, value in self.stats.items()},
        }
        (target / "result.json").write_text(json.dumps(record, indent=1, allow_nan=False))
        return target

    @classmethod
    def load(cls, folder: str | Path) -> ReplayResult:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            If `folder` holds no saved result, or one of a newer version.
        """
        source = Path(folder).expanduser()
        try:
            record = json.loads((source / "result.json").read_text())
            if record["format"] > _FORMAT:
                raise DataError(
                    f"{source} was saved by a newer version (format {record['format']}); upgrade to read it"
                )
            frames = {name: _restored(name, pd.read_parquet(source / f"{name}.parquet")) for name in _FRAMES}
        except (OSError, KeyError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{source} holds no saved replay ({error}); give the folder that save() wrote") from error
        stats = pd.Series({name: _from_json(value) for name, value in record["stats"].items()}, dtype="object")
        return cls(
            name=record["name"],
            fingerprint=record["fingerprint"],
            settings=record["settings"],
            stopped_by=record["stopped_by"],
            frames=frames,
            stats=stats.rename("stats"),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Everything made, and nothing that makes: a result can travel to another process."""
        for name in _FRAMES:
            self._frame(name)
        return {**vars(self), "_stats": self.stats, "_makers": {}, "_make_stats": None}

    def __repr__(self) -> str:
        stats = self.stats
        return (
            f"<ReplayResult {self.name}: {stats['events']} events, {stats['trades']} fills, "
            f"return {100 * stats['total_return']:+.2f} %, max drawdown {100 * stats['max_drawdown']:.2f} %"
            f"{', stopped early' if self.stopped_by else ''}>"
        )

    def _repr_html_(self) -> str:
        stats = self.stats
        rows = "".join(
            f'<tr title="{html.escape(meaning)}"><td style="text-align:left">{name.replace("_", " ")}</td>'
            f'<td style="text-align:right">{html.escape(shown(name, stats[name]))}</td></tr>'
            for name, meaning in DESCRIPTIONS.items()
        )
        early = f'<p style="color:#c4432b">stopped early: {html.escape(self.stopped_by)}</p>' if self.stopped_by else ""
        symbols = html.escape(", ".join(self.prices.columns))
        return (
            f"<div><b>{html.escape(self.name)}</b> on {symbols}{early}"
            f"{plots.sparkline(self.equity['equity'])}<table>{rows}</table></div>"
        )

    def _frame(self, name: str) -> pd.DataFrame:
        if name not in self._frames:
            self._frames[name] = self._makers[name]()
        return self._frames[name]


def from_run(
    *,
    trader: Trader,
    ledger: Ledger,
    accounts: Accounts,
    data: MarketData,
    rows: int,
    decisions: list[Entry],
    strategy: Any,
    name: str,
    fingerprint: str,
    settings: Mapping[str, Any],
    stopped_by: str = "",
) -> ReplayResult:
    """The result of a run over the first `rows` rows of `data`; frames are made when asked for."""
    book, desk = trader.book, trader.desk
    books = Books(
        positions=book.positions,
        orders=book.orders,
        fills=ledger.fills,
        booked=ledger.booked,
        fill_origins=ledger.origins,
        origins=ledger.order_origins(),
    )
    index = data.index[:rows]

    def make_trips() -> pd.DataFrame:
        return metrics.round_trips(ledger.fills, book.instruments)

    def make_equity() -> pd.DataFrame:
        fallen = metrics.drawdown(accounts.equity, book.starting_equity)
        return pd.DataFrame({"equity": accounts.equity, "drawdown": fallen}, index=index)

    def make_stats() -> pd.Series:
        prices = result.prices.iloc[[0, -1]] if len(data.symbols) == 1 and rows else result.prices
        moves = [known.iloc[-1] / known.iloc[0] - 1 for _, column in prices.items() if len(known := column.dropna())]
        return summarise(
            times_ns=data.timestamps_ns[:rows],
            equity=accounts.equity,
            holding=accounts.holding,
            start_equity=book.starting_equity,
            trips=result.round_trips,
            traded_notional=float(book.turnover),
            fees=float(book.commission),
            counts={
                "decisions": trader.decisions,
                "orders": desk.sent,
                "trades": len(ledger.fills),
                "denied": desk.denied,
                "rejected": desk.rejected,
            },
            buy_and_hold=float(np.mean(moves)) if moves else math.nan,
            bars=data.kind == "bars",
        )

    result = ReplayResult(
        name=name,
        fingerprint=fingerprint,
        settings=settings,
        strategy=strategy,
        stopped_by=stopped_by,
        makers={
            "fills": lambda: journal_frames.fills_frame(books),
            "orders": lambda: journal_frames.orders_frame(books),
            "decisions": lambda: journal_frames.decisions_frame(fold(decisions)),
            "equity": make_equity,
            "positions": lambda: _positions(trader),
            "round_trips": make_trips,
            "prices": lambda: data.prices().iloc[:rows],
        },
        make_stats=make_stats,
    )
    return result


def _positions(trader: Trader) -> pd.DataFrame:
    rows = []
    for symbol, position in trader.book.positions.items():
        mark = trader.book.marks[symbol]
        rows.append(
            {
                "stage": trader.desk.stage,
                "symbol": symbol,
                "quantity": float(position.quantity),
                "average_price": float(position.average_price),
                "mark": mark,
                "unrealised": float(position.unrealised(exact(mark))),
                "realised": float(position.realised),
                "fees": float(position.fees),
                "bought": float(position.bought),
                "sold": float(position.sold),
                "round_trips": position.round_trips,
            }
        )
    columns = journal_frames.POSITION_COLUMNS
    return pd.DataFrame(rows, columns=list(columns)).astype(dict(columns)).set_index("symbol")


def shown(name: str, value: Any) -> str:
    """A figure as people read it."""
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        if name in _PERCENT:
            return f"{100 * value:,.2f} %"
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


_PERCENT = frozenset({"total_return", "buy_and_hold", "cagr", "volatility", "max_drawdown", "win_rate", "exposure"})


def _restored(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """A frame as it was before it went through parquet: text columns as objects, the index back in its place."""
    if name == "decisions":
        frame["metadata"] = pd.Series([json.loads(text) for text in frame["metadata"]], dtype="object")
    dtypes = _DTYPES.get(name)
    if dtypes is not None:
        frame = frame.astype({column: dtypes[column] for column in frame.columns if column in dtypes})
    return frame if name == "round_trips" else frame.set_index(str(frame.columns[0]))


def _to_json(value: Any) -> Any:
    if isinstance(value, pd.Timedelta):
        return {"timedelta_ns": int(value.as_unit("ns").value)}
    if isinstance(value, pd.Timestamp):
        return {"utc_ns": int(value.as_unit("ns").value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        kind, inner = next(iter(value.items()))
        if kind == "timedelta_ns":
            return pd.Timedelta(inner, unit="ns")
        return pd.Timestamp(inner, tz="UTC") if kind == "utc_ns" else float(inner)
    return value
