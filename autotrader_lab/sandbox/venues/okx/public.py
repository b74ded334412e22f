"""OKX's public and market-data operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autotrader_lab.sandbox.book import Book
from autotrader_lab.sandbox.orders import Instrument, Side, TradeEvent
from autotrader_lab.sandbox.tape import DAY_MS, INTERVALS_MS, Candle, interval_end, interval_start
from autotrader_lab.sandbox.units import trim_e8
from autotrader_lab.sandbox.venues.okx import render
from autotrader_lab.sandbox.venues.okx.calls import Call, operation
from autotrader_lab.sandbox.venues.okx.desk import Desk, inst_id
from autotrader_lab.sandbox.venues.okx.errors import ApiError
from autotrader_lab.sandbox.venues.okx.rules import price_limits

__all__ = ["BARS", "candle_row", "candles", "levels", "price_limit_row", "ticker_row", "trade_row"]

Json = dict[str, Any]

HONG_KONG_MS = 8 * 3_600_000
_BY_HOUR = {"1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1H": "1h", "2H": "2h", "4H": "4h"}
_BY_DAY = {"6H": "6h", "12H": "12h", "1D": "1d", "3D": "3d", "1W": "1w", "1M": "1M"}
BARS: dict[str, tuple[str, int]] = {
    "1s": ("1s", 0),
    **{bar: (interval, 0) for bar, interval in _BY_HOUR.items()},
    **{bar: (interval, HONG_KONG_MS) for bar, interval in _BY_DAY.items()},
    **{f"{bar}utc": (interval, 0) for bar, interval in _BY_DAY.items()},
}
"""By ``bar``: the tape's interval and how much earlier than UTC its day begins, ms."""


@operation("GET /api/v5/public/time", per_2s=10)
def _time(call: Call) -> list[Json]:
    return [{"ts": str(call.now_ms)}]


@operation("GET /api/v5/system/status", per_2s=1)
def _status(call: Call) -> list[Json]:
    return []


@operation("GET /api/v5/public/instruments")
@operation("GET /api/v5/account/instruments", private=True)
def instruments(call: Call) -> list[Json]:
    """``public/instruments``: only spot has any."""
    kind = call.text("instType")
    if kind not in ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "EVENTS"):
        raise ApiError("51000", "Parameter instType error ", 400)
    if kind != "SPOT":
        return []
    wanted = call.params.get("instId")
    if wanted:
        call.desk.instrument(str(wanted))
    rows = call.desk.by_id.items()
    return [render.instrument_row(i, call.desk.codes[name]) for name, i in rows if wanted in (None, name)]


@operation("GET /api/v5/public/price-limit")
def _price_limit(call: Call) -> list[Json]:
    return [price_limit_row(call.desk, call.instrument(), call.now_ms)]


def price_limit_row(desk: Desk, instrument: Instrument, now_ms: int) -> Json:
    """``public/price-limit``, and its channel."""
    highest, lowest = price_limits(instrument, desk.exchange.last_price[instrument.symbol])
    return {
        "instType": "SPOT",
        "instId": inst_id(instrument),
        "buyLmt": trim_e8(highest),
        "sellLmt": trim_e8(lowest),
        "ts": str(now_ms),
        "enabled": True,
    }


@operation("GET /api/v5/market/tickers")
def _tickers(call: Call) -> list[Json]:
    if call.text("instType") != "SPOT":
        return []
    return [ticker_row(call.desk, instrument, call.now_ms) for instrument in call.desk.by_id.values()]


@operation("GET /api/v5/market/ticker")
def _ticker(call: Call) -> list[Json]:
    return [ticker_row(call.desk, call.instrument(), call.now_ms)]


def ticker_row(desk: Desk, instrument: Instrument, now_ms: int) -> Json:
    """``market/ticker``, and the channel ``tickers``."""
    exchange, tape = desk.exchange, desk.world.tapes[instrument.symbol]
    book, last = exchange.books[instrument.symbol], exchange.last_price[instrument.symbol]
    total, open_utc, open_hong_kong = _day(desk, instrument, now_ms)
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    return {
        "instType": "SPOT",
        "instId": inst_id(instrument),
        "last": trim_e8(last),
        "lastSz": trim_e8(tape.trades[-1].quantity) if tape.trades else "0",
        "askPx": trim_e8(ask.price) if ask else "",
        "askSz": trim_e8(ask.total) if ask else "",
        "bidPx": trim_e8(bid.price) if bid else "",
        "bidSz": trim_e8(bid.total) if bid else "",
        "open24h": trim_e8(total.open),
        "high24h": trim_e8(total.high),
        "low24h": trim_e8(total.low),
        "volCcy24h": trim_e8(total.amount),
        "vol24h": trim_e8(total.volume),
        "ts": str(now_ms),
        "sodUtc0": trim_e8(open_utc),
        "sodUtc8": trim_e8(open_hong_kong),
    }


def _day(desk: Desk, instrument: Instrument, now_ms: int) -> tuple[Candle, int, int]:
    """The last 24 hours and the day's opening prices in UTC and Hong Kong, at most a second old."""
    at_s, found = desk.days.get(instrument.symbol, (0, None))
    if found is not None and at_s == now_ms // 1_000:
        return found
    tape, last = desk.world.tapes[instrument.symbol], desk.exchange.last_price[instrument.symbol]
    total = tape.since(now_ms - DAY_MS) or Candle(now_ms, last, last, last, last)
    utc = tape.since(interval_start(now_ms, "1d"))
    hong_kong = tape.since(interval_start(now_ms + HONG_KONG_MS, "1d") - HONG_KONG_MS)
    found = total, utc.open if utc else last, hong_kong.open if hong_kong else last
    desk.days[instrument.symbol] = (now_ms // 1_000, found)
    return found


def levels(book: Book, side: Side, count: int) -> list[list[str]]:
    """Rows of a book: price, size, a retired field, number of orders."""
    rows: list[list[str]] = []
    for level in book.walk(side):
        if len(rows) == count:
            break
        rows.append([trim_e8(level.price), trim_e8(level.total), "0", str(len(level.queue))])
    return rows


@operation("GET /api/v5/market/books", per_2s=40)
def _books(call: Call) -> list[Json]:
    book = call.world.exchange.books[call.instrument().symbol]
    count = call.number("sz") or 1
    count = max(1, min(count, 400))
    return [
        {
            "asks": levels(book, Side.SELL, count),
            "bids": levels(book, Side.BUY, count),
            "ts": str(call.now_ms),
            "seqId": book.update_id,
        }
    ]


@operation("GET /api/v5/market/books-full", per_2s=10)
def _books_full(call: Call) -> list[Json]:
    book = call.world.exchange.books[call.instrument().symbol]
    count = max(1, min(call.number("sz") or 1, 5_000))
    asks = [[row[0], row[1], row[3]] for row in levels(book, Side.SELL, count)]
    bids = [[row[0], row[1], row[3]] for row in levels(book, Side.BUY, count)]
    return [{"asks": asks, "bids": bids, "ts": str(call.now_ms)}]


def trade_row(desk: Desk, trade: TradeEvent) -> Json:
    """One of ``market/trades``."""
    return {
        "instId": inst_id(desk.exchange.instruments[trade.symbol]),
        "tradeId": str(trade.trade_id),
        "px": trim_e8(trade.price),
        "sz": trim_e8(trade.quantity),
        "side": "sell" if trade.buyer_is_maker else "buy",
        "source": "0",
        "ts": str(trade.time_ms),
    }


@operation("GET /api/v5/market/trades", per_2s=100)
def _trades(call: Call) -> list[Json]:
    trades = list(call.world.tapes[call.instrument().symbol].trades)[-call.limit(100, 500) :]
    return [trade_row(call.desk, trade) for trade in reversed(trades)]


@operation("GET /api/v5/market/history-trades")
def _history_trades(call: Call) -> list[Json]:
    trades: Iterable[TradeEvent] = reversed(call.world.tapes[call.instrument().symbol].trades)
    after, before = call.number("after"), call.number("before")
    by_time = call.params.get("type") == "2"
    kept = []
    for trade in trades:
        mark = trade.time_ms if by_time else trade.trade_id
        if (after is None or mark < after) and (before is None or mark > before):
            kept.append(trade)
    return [trade_row(call.desk, trade) for trade in kept[: call.limit(100, 100)]]


@operation("GET /api/v5/market/candles", per_2s=40)
@operation("GET /api/v5/market/history-candles")
def _candles(call: Call) -> list[list[str]]:
    instrument = call.instrument()
    bar = str(call.params.get("bar") or "1m")
    if bar not in BARS:
        raise ApiError("51000", "Parameter bar error ", 400)
    after, before = call.number("after"), call.number("before")
    rows = [
        candle_row(candle, end_ms, call.now_ms)
        for candle, end_ms in candles(call.desk, instrument, bar, call.now_ms)
        if (after is None or candle.open_ms < after) and (before is None or candle.open_ms > before)
    ]
    return rows[::-1][: call.limit(100, 300)]


def candles(desk: Desk, instrument: Instrument, bar: str, now_ms: int) -> list[tuple[Candle, int]]:
    """Candles of a ``bar``, oldest first, each with its end (ms)."""
    tape = desk.world.tapes[instrument.symbol]
    interval, shift_ms = BARS[bar]
    if not shift_ms:
        return [(candle, interval_end(candle.open_ms, interval)) for candle in tape.candles(interval, now_ms)]
    folded: dict[int, Candle] = {}
    for piece in tape.candles("1h" if INTERVALS_MS[interval] >= INTERVALS_MS["1h"] else "1m", now_ms):
        open_ms = interval_start(piece.open_ms + shift_ms, interval) - shift_ms
        if open_ms in folded:
            folded[open_ms].add(piece)
        else:
            piece.open_ms = open_ms
            folded[open_ms] = piece
    return [(c, interval_end(c.open_ms + shift_ms, interval) - shift_ms) for c in folded.values()]


def candle_row(candle: Candle, end_ms: int, now_ms: int) -> list[str]:
    """One of ``market/candles``, and the candle channels."""
    return [
        str(candle.open_ms),
        trim_e8(candle.open),
        trim_e8(candle.high),
        trim_e8(candle.low),
        trim_e8(candle.close),
        trim_e8(candle.volume),
        trim_e8(candle.amount),
        trim_e8(candle.amount),
        "1" if now_ms >= end_ms else "0",
    ]
