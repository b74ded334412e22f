"""The journal as pandas frames, for notebooks and pages.

Every frame keeps its columns and dtypes when there is nothing in it. Times are UTC with nanosecond resolution. Prices,
money and quantities are floats here: a frame is for looking and computing, the books stay exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from autotrader_lab.journal import records
from autotrader_lab.journal.fold import Books, Origin, fold
from autotrader_lab.journal.store import Entry
from autotrader_lab.model.instruments import Instruments

__all__ = [
    "ALERT_COLUMNS",
    "DECISION_COLUMNS",
    "EQUITY_COLUMNS",
    "FILL_COLUMNS",
    "ORDER_COLUMNS",
    "POSITION_COLUMNS",
    "alerts_frame",
    "decisions_frame",
    "equity_frame",
    "fills_frame",
    "orders_frame",
    "positions_frame",
]

TIME = "datetime64[ns, UTC]"

ORDER_COLUMNS: dict[str, str] = {
    "client_order_id": "object",
    "created_at": TIME,
    "updated_at": TIME,
    "session": "object",
    "stage": "object",
    "symbol": "object",
    "side": "object",
    "type": "object",
    "quantity": "float64",
    "price": "float64",
    "stop_price": "float64",
    "time_in_force": "object",
    "status": "object",
    "filled": "float64",
    "average_price": "float64",
    "commission": "float64",
    "reason": "object",
    "order_id": "object",
    "decision_id": "object",
}
FILL_COLUMNS: dict[str, str] = {
    "timestamp": TIME,
    "session": "object",
    "stage": "object",
    "symbol": "object",
    "side": "object",
    "quantity": "float64",
    "price": "float64",
    "commission": "float64",
    "fee_currency": "object",
    "realised": "float64",
    "liquidity": "object",
    "venue": "object",
    "client_order_id": "object",
    "order_id": "object",
    "decision_id": "object",
    "execution_id": "object",
}
DECISION_COLUMNS: dict[str, str] = {
    "timestamp": TIME,
    "session": "object",
    "stage": "object",
    "symbol": "object",
    "action": "object",
    "size": "float64",
    "confidence": "float64",
    "limit_price": "float64",
    "decision_id": "object",
    "metadata": "object",
}
EQUITY_COLUMNS: dict[str, str] = {
    "timestamp": TIME,
    "session": "object",
    "stage": "object",
    "equity": "float64",
    "cash": "float64",
    "realised": "float64",
    "unrealised": "float64",
    "fees": "float64",
    "drawdown": "float64",
}
POSITION_COLUMNS: dict[str, str] = {
    "stage": "object",
    "symbol": "object",
    "quantity": "float64",
    "average_price": "float64",
    "mark": "float64",
    "unrealised": "float64",
    "realised": "float64",
    "fees": "float64",
    "bought": "float64",
    "sold": "float64",
    "round_trips": "int64",
}
ALERT_COLUMNS: dict[str, str] = {
    "timestamp": TIME,
    "session": "object",
    "stage": "object",
    "level": "object",
    "code": "object",
    "message": "object",
    "symbol": "object",
    "client_order_id": "object",
}


def orders_frame(entries: Iterable[Entry] | Books) -> pd.DataFrame:
    """Orders as they stand, indexed by `client_order_id`, in the order they were intended; see ``ORDER_COLUMNS``."""
    books = _books(entries)
    rows = [
        {
            "client_order_id": key,
            "created_at": order.created_at or _moment(books.origins[key]),
            "updated_at": order.updated_at,
            **_place(books.origins[key]),
            "symbol": order.symbol,
            "side": order.side.value,
            "type": order.order_type.value,
            "quantity": order.quantity,
            "price": order.price,
            "stop_price": order.stop_price,
            "time_in_force": order.time_in_force,
            "status": order.status.value,
            "filled": order.filled_quantity,
            "average_price": order.avg_fill_price,
            "commission": order.commission,
            "reason": order.reason,
            "order_id": order.order_id,
            "decision_id": order.decision_id,
        }
        for key, order in books.orders.items()
    ]
    return _frame(rows, ORDER_COLUMNS, "client_order_id")


def fills_frame(entries: Iterable[Entry] | Books) -> pd.DataFrame:
    """Executions, each once, indexed by the venue's `timestamp`; see ``FILL_COLUMNS``.

    `realised` is the profit the fill realised, quote currency, before fees.
    """
    books = _books(entries)
    rows = []
    for fill, booked, origin in zip(books.fills, books.booked, books.fill_origins, strict=True):
        order = books.orders.get(fill.client_order_id)
        rows.append(
            {
                "timestamp": fill.timestamp,
                **_place(origin),
                "symbol": fill.symbol,
                "side": fill.side.value,
                "quantity": fill.quantity,
                "price": fill.price,
                "commission": fill.commission,
                "fee_currency": fill.fee_currency,
                "realised": float(booked.realised),
                "liquidity": fill.liquidity,
                "venue": fill.venue,
                "client_order_id": fill.client_order_id,
                "order_id": fill.order_id,
                "decision_id": order.decision_id if order is not None else "",
                "execution_id": fill.execution_id,
            }
        )
    return _frame(rows, FILL_COLUMNS, "timestamp")


def decisions_frame(entries: Iterable[Entry] | Books) -> pd.DataFrame:
    """What the strategy said, indexed by `timestamp`; see ``DECISION_COLUMNS``."""
    books = _books(entries)
    rows = [
        {
            "timestamp": decision.timestamp,
            **_place(books.origins[key]),
            "symbol": decision.symbol,
            "action": decision.action,
            "size": decision.size,
            "confidence": decision.confidence,
            "limit_price": decision.metadata.get("limit_price"),
            "decision_id": key,
            "metadata": decision.metadata,
        }
        for key, decision in books.decisions.items()
    ]
    return _frame(rows, DECISION_COLUMNS, "timestamp")


def equity_frame(entries: Iterable[Entry] | Books) -> pd.DataFrame:
    """The account's worth over time, indexed by `timestamp`, account currency; see ``EQUITY_COLUMNS``."""
    rows = [
        {
            "timestamp": pd.Timestamp(mark.timestamp_ns, tz="UTC"),
            **_place(origin),
            "equity": mark.equity,
            "cash": mark.cash,
            "realised": mark.realised,
            "unrealised": mark.unrealised,
            "fees": mark.fees,
            "drawdown": mark.drawdown,
        }
        for origin, mark in _books(entries).equity
    ]
    return _frame(rows, EQUITY_COLUMNS, "timestamp")


def alerts_frame(entries: Iterable[Entry] | Books) -> pd.DataFrame:
    """What a person should have seen, indexed by `timestamp`; see ``ALERT_COLUMNS``."""
    rows = [
        {
            "timestamp": _moment(origin),
            **_place(origin),
            "level": alert.level,
            "code": alert.code,
            "message": alert.message,
            "symbol": alert.symbol,
            "client_order_id": alert.client_order_id,
        }
        for origin, alert in _books(entries).alerts
    ]
    return _frame(rows, ALERT_COLUMNS, "timestamp")


def positions_frame(
    entries: Iterable[Entry], instruments: Instruments | None = None, marks: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """What is held, per stage, indexed by `symbol`; see ``POSITION_COLUMNS``.

    Parameters
    ----------
    entries : iterable of Entry
    instruments : Instruments, optional
        For multipliers and currencies.
    marks : mapping of str to float, optional
        Prices to value at; where one is missing, the last the journal has: a mark, else an execution.
    """
    stages: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind in (records.REPORT, records.MARK):
            stages.setdefault(entry.stage, []).append(entry)
    rows = []
    for stage, own in stages.items():
        books = fold(own, instruments)
        known = {**books.marks, **(marks or {})}
        rows += [
            {
                "stage": stage,
                "symbol": symbol,
                "quantity": float(position.quantity),
                "average_price": float(position.average_price),
                "mark": known[symbol],
                "unrealised": float(position.unrealised(known[symbol])),
                "realised": float(position.realised),
                "fees": float(position.fees),
                "bought": float(position.bought),
                "sold": float(position.sold),
                "round_trips": position.round_trips,
            }
            for symbol, position in books.positions.items()
        ]
    return _frame(rows, POSITION_COLUMNS, "symbol")


def _books(entries: Iterable[Entry] | Books) -> Books:
    return entries if isinstance(entries, Books) else fold(entries)


def _place(origin: Origin) -> dict[str, str]:
    return {"session": origin.session, "stage": origin.stage}


def _moment(origin: Origin) -> datetime:
    return pd.Timestamp(origin.timestamp_ns, tz="UTC")


def _frame(rows: list[dict[str, Any]], columns: dict[str, str], index: str) -> pd.DataFrame:
    data = {}
    for name, dtype in columns.items():
        values = [row[name] for row in rows]
        if dtype == TIME:
            data[name] = pd.Series(pd.to_datetime(values, utc=True), dtype=TIME)
        else:
            data[name] = pd.Series(values, dtype=dtype)
    frame = pd.DataFrame(data).set_index(index)
    if columns[index] != TIME:
        frame.index = pd.Index(frame.index, dtype=columns[index], name=index)
    return frame
