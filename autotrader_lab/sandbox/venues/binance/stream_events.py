"""The market streams' messages, one function per stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autotrader_lab.sandbox.book import Book
from autotrader_lab.sandbox.orders import Side, TradeEvent
from autotrader_lab.sandbox.tape import DAY_MS, AggregateTrade, interval_end
from autotrader_lab.sandbox.units import text_e8
from autotrader_lab.sandbox.venues.binance import render
from autotrader_lab.sandbox.venues.binance.api import Api
from autotrader_lab.sandbox.venues.binance.calls import Call
from autotrader_lab.sandbox.venues.binance.params import Params
from autotrader_lab.sandbox.venues.binance.public import day_ticker
from autotrader_lab.sandbox.world import World

__all__ = [
    "aggregate",
    "average_price",
    "book_ticker",
    "diff",
    "kline",
    "partial_depth",
    "ticker",
    "trade",
]

Json = dict[str, Any]


def trade(event: TradeEvent, now_ms: int) -> Json:
    """``<symbol>@trade``."""
    return {
        "e": "trade",
        "E": now_ms,
        "s": event.symbol,
        "t": event.trade_id,
        "p": text_e8(event.price),
        "q": text_e8(event.quantity),
        "T": event.time_ms,
        "m": event.buyer_is_maker,
        "M": True,
    }


def aggregate(symbol: str, aggregate: AggregateTrade, now_ms: int) -> Json:
    """``<symbol>@aggTrade``."""
    return {"e": "aggTrade", "E": now_ms, "s": symbol, **render.aggregate_row(aggregate)}


def book_ticker(symbol: str, update_id: int, top: tuple[int, int, int, int]) -> Json:
    """``<symbol>@bookTicker``: bid, its size, ask, its size."""
    return {
        "u": update_id,
        "s": symbol,
        "b": text_e8(top[0]),
        "B": text_e8(top[1]),
        "a": text_e8(top[2]),
        "A": text_e8(top[3]),
    }


def diff(symbol: str, book: Book, first_id: int, touched: Iterable[tuple[Side, int]], now_ms: int) -> Json:
    """``<symbol>@depth``: the present size of every level touched since the last one."""
    sides: dict[Side, list[tuple[int, int]]] = {Side.BUY: [], Side.SELL: []}
    for side, price in touched:
        sides[side].append((price, book.total(side, price)))
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "s": symbol,
        "U": first_id,
        "u": book.update_id,
        "b": render.levels(sides[Side.BUY][::-1]),
        "a": render.levels(sides[Side.SELL]),
    }


def partial_depth(world: World, symbol: str, count: int) -> Json:
    """``<symbol>@depth<levels>``."""
    book = world.exchange.books[symbol]
    return {
        "lastUpdateId": book.update_id,
        "bids": render.levels(book.depth(Side.BUY, count)),
        "asks": render.levels(book.depth(Side.SELL, count)),
    }


def kline(world: World, symbol: str, interval: str, at_ms: int) -> Json | None:
    """``<symbol>@kline_<interval>``, of the candle that holds `at_ms`."""
    now_ms = world.now_ms()
    candle = world.tapes[symbol].candle(interval, at_ms)
    if candle is None:
        return None
    end_ms = interval_end(candle.open_ms, interval)
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": candle.open_ms,
            "T": end_ms - 1,
            "s": symbol,
            "i": interval,
            "f": candle.first_id,
            "L": candle.last_id,
            "o": text_e8(candle.open),
            "c": text_e8(candle.close),
            "h": text_e8(candle.high),
            "l": text_e8(candle.low),
            "v": text_e8(candle.volume),
            "n": candle.count,
            "x": now_ms >= end_ms,
            "q": text_e8(candle.amount),
            "V": text_e8(candle.taker_volume),
            "Q": text_e8(candle.taker_amount),
            "B": "0",
        },
    }


def ticker(api: Api, symbol: str, mini: bool) -> Json:
    """``<symbol>@ticker`` and ``<symbol>@miniTicker``."""
    row = day_ticker(Call(api.world, api.meter, Params({})), symbol, DAY_MS)
    event: Json = {
        "e": "24hrMiniTicker" if mini else "24hrTicker",
        "E": api.world.now_ms(),
        "s": symbol,
        "c": row["lastPrice"],
        "o": row["openPrice"],
        "h": row["highPrice"],
        "l": row["lowPrice"],
        "v": row["volume"],
        "q": row["quoteVolume"],
    }
    if mini:
        return event
    return event | {
        "p": row["priceChange"],
        "P": row["priceChangePercent"],
        "w": row["weightedAvgPrice"],
        "x": row["prevClosePrice"],
        "Q": row["lastQty"],
        "b": row["bidPrice"],
        "B": row["bidQty"],
        "a": row["askPrice"],
        "A": row["askQty"],
        "O": row["openTime"],
        "C": row["closeTime"],
        "F": row["firstId"],
        "L": row["lastId"],
        "n": row["count"],
    }


def average_price(api: Api, symbol: str) -> Json:
    """``<symbol>@avgPrice``."""
    call = Call(api.world, api.meter, Params({}))
    return {
        "e": "avgPrice",
        "E": call.now_ms,
        "s": symbol,
        "i": "5m",
        "w": text_e8(call.average_price(symbol)),
        "T": call.now_ms,
    }
