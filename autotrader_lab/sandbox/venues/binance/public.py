"""Binance's market-data and general operations."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.orders import Instrument, OrderType, Prevention, Side
from autotrader_lab.sandbox.tape import DAY_MS, INTERVALS_MS, Candle, interval_end
from autotrader_lab.sandbox.units import ONE, text_e8
from autotrader_lab.sandbox.venues.binance import render
from autotrader_lab.sandbox.venues.binance.calls import Access, Call, operation
from autotrader_lab.sandbox.venues.binance.errors import ApiError
from autotrader_lab.sandbox.venues.binance.params import Params, missing
from autotrader_lab.sandbox.venues.binance.rules import filters

__all__ = ["day_ticker"]

Json = dict[str, Any]


def _depth_weight(params: Params) -> int:
    limit = params.number("limit", 100, 5_000)
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1_000 else 250


@operation("GET /api/v3/ping", "ping")
def _ping(call: Call) -> Json:
    return {}


@operation("GET /api/v3/time", "time")
def _time(call: Call) -> Json:
    return {"serverTime": call.now_ms}


@operation("GET /api/v3/exchangeInfo", "exchangeInfo", weight=20)
def _exchange_info(call: Call) -> Json:
    for name in ("permissions", "showPermissionSets", "symbolStatus"):
        call.params.has(name)
    instruments = call.world.exchange.instruments
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": call.meter.rules(),
        "exchangeFilters": [],
        "symbols": [_symbol_info(instruments[symbol]) for symbol in _asked_symbols(call)],
    }


def _symbol_info(instrument: Instrument) -> Json:
    return {
        "symbol": instrument.symbol,
        "status": "TRADING",
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [str(type_) for type_ in OrderType],
        "icebergAllowed": True,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters(instrument),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": str(Prevention.EXPIRE_MAKER),
        "allowedSelfTradePreventionModes": [str(mode) for mode in Prevention],
    }


def _asked_symbols(call: Call) -> list[str]:
    """The symbols asked for by ``symbol`` or ``symbols``; all when neither is sent."""
    names = call.params.names("symbols")
    if call.params.has("symbol"):
        if names is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        return [call.symbol()]
    if names is None:
        return list(call.world.exchange.instruments)
    if len(set(names)) != len(names):
        raise ApiError(-1151, "Symbol is present multiple times in the list.")
    return [call.known(name) for name in names]


def _one_or_many(call: Call, rows: list[Json]) -> Json | list[Json]:
    return rows[0] if call.params.has("symbol") else rows


@operation("GET /api/v3/depth", "depth", weight=_depth_weight)
def _depth(call: Call) -> Json:
    book = call.world.exchange.books[call.symbol()]
    limit = call.params.number("limit", 100, 5_000)
    call.params.has("symbolStatus")
    return {
        "lastUpdateId": book.update_id,
        "bids": render.levels(book.depth(Side.BUY, limit)),
        "asks": render.levels(book.depth(Side.SELL, limit)),
    }


@operation("GET /api/v3/trades", "trades.recent", weight=25)
def _trades(call: Call) -> list[Json]:
    tape = call.world.tapes[call.symbol()]
    limit = call.params.number("limit", 500, 1_000)
    return [render.trade_row(trade) for trade in list(tape.trades)[-limit:]]


@operation("GET /api/v3/historicalTrades", "trades.historical", weight=25)
def _historical_trades(call: Call) -> list[Json]:
    trades = list(call.world.tapes[call.symbol()].trades)
    limit = call.params.number("limit", 500, 1_000)
    first = call.params.integer("fromId")
    if first is None:
        return [render.trade_row(trade) for trade in trades[-limit:]]
    return [render.trade_row(trade) for trade in trades if trade.trade_id >= first][:limit]


@operation("GET /api/v3/aggTrades", "trades.aggregate", weight=4)
def _aggregate_trades(call: Call) -> list[Json]:
    trades = list(call.world.tapes[call.symbol()].aggregates)
    limit = call.params.number("limit", 500, 1_000)
    first, start_ms, end_ms = (call.params.integer(name) for name in ("fromId", "startTime", "endTime"))
    if first is not None:
        return [render.aggregate_row(t) for t in trades if t.aggregate_id >= first][:limit]
    if start_ms is None and end_ms is None:
        return [render.aggregate_row(t) for t in trades[-limit:]]
    kept = [t for t in trades if (start_ms or 0) <= t.time_ms <= (end_ms if end_ms is not None else call.now_ms)]
    return [render.aggregate_row(t) for t in (kept[:limit] if start_ms is not None else kept[-limit:])]


@operation("GET /api/v3/klines", "klines", weight=2)
@operation("GET /api/v3/uiKlines", "uiKlines", weight=2)
def _klines(call: Call) -> list[list[Any]]:
    tape = call.world.tapes[call.symbol()]
    interval = call.params.text("interval")
    if interval not in INTERVALS_MS:
        raise ApiError(-1120, "Invalid interval.")
    limit = call.params.number("limit", 500, 1_000)
    start_ms, end_ms = call.params.integer("startTime"), call.params.integer("endTime")
    call.params.has("timeZone")
    candles = tape.candles(interval, call.now_ms)
    if start_ms is not None:
        candles = [c for c in candles if c.open_ms >= start_ms]
    if end_ms is not None:
        candles = [c for c in candles if c.open_ms <= end_ms]
    kept = candles[:limit] if start_ms is not None else candles[-limit:]
    return [render.kline_row(candle, interval_end(candle.open_ms, interval)) for candle in kept]


@operation("GET /api/v3/avgPrice", "avgPrice", weight=2)
def _average_price(call: Call) -> Json:
    symbol = call.symbol()
    trades = call.world.tapes[symbol].trades
    closed_ms = trades[-1].time_ms if trades else call.now_ms
    return {"mins": 5, "price": text_e8(call.average_price(symbol)), "closeTime": closed_ms}


@operation("GET /api/v3/ticker/24hr", "ticker.24hr", weight=lambda p: 2 if "symbol" in p.values else 80)
def _ticker_day(call: Call) -> Json | list[Json]:
    mini = call.params.optional_text("type") == "MINI"
    call.params.has("symbolStatus")
    return _one_or_many(call, [day_ticker(call, symbol, DAY_MS, mini) for symbol in _asked_symbols(call)])


@operation("GET /api/v3/ticker/tradingDay", "ticker.tradingDay", weight=4)
def _ticker_trading_day(call: Call) -> Json | list[Json]:
    mini = call.params.optional_text("type") == "MINI"
    call.params.has("timeZone")
    window_ms = call.now_ms % DAY_MS
    return _one_or_many(call, [day_ticker(call, symbol, window_ms, mini) for symbol in _asked_symbols(call)])


@operation("GET /api/v3/ticker", "ticker", weight=4)
def _ticker_window(call: Call) -> Json | list[Json]:
    size = call.params.optional_text("windowSize") or "1d"
    units = {"m": 60_000, "h": 3_600_000, "d": DAY_MS}
    if not size[:-1].isdigit() or size[-1] not in units:
        raise ApiError(
            -1100, "Illegal characters found in parameter 'windowSize'; legal range is '^[1-9][0-9]?[mhd]$'."
        )
    mini = call.params.optional_text("type") == "MINI"
    window_ms = int(size[:-1]) * units[size[-1]]
    symbols = _asked_symbols(call)
    if "symbol" not in call.params.values and "symbols" not in call.params.values:
        raise missing("symbol")
    return _one_or_many(call, [day_ticker(call, symbol, window_ms, mini) for symbol in symbols])


def day_ticker(call: Call, symbol: str, window_ms: int, mini: bool = False) -> Json:
    """Statistics of a rolling window, as ``ticker/24hr`` shows them."""
    world = call.world
    book, tape = world.exchange.books[symbol], world.tapes[symbol]
    last = world.exchange.last_price[symbol]
    total = tape.since(call.now_ms - window_ms) or Candle(call.now_ms, last, last, last, last)
    change = last - total.open
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    basic = {
        "symbol": symbol,
        "openPrice": text_e8(total.open),
        "highPrice": text_e8(total.high),
        "lowPrice": text_e8(total.low),
        "lastPrice": text_e8(last),
        "volume": text_e8(total.volume),
        "quoteVolume": text_e8(total.amount),
        "openTime": call.now_ms - window_ms,
        "closeTime": call.now_ms,
        "firstId": total.first_id,
        "lastId": total.last_id,
        "count": total.count,
    }
    if mini:
        return basic
    percent = change * 100_000 // total.open if total.open else 0
    sign = "-" if percent < 0 else ""
    average = total.amount * ONE // total.volume if total.volume else last
    trades = tape.trades
    return {
        **basic,
        "priceChange": text_e8(change),
        "priceChangePercent": f"{sign}{abs(percent) // 1_000}.{abs(percent) % 1_000:03d}",
        "weightedAvgPrice": text_e8(average),
        "prevClosePrice": text_e8(total.open),
        "lastQty": text_e8(trades[-1].quantity if trades else 0),
        "bidPrice": text_e8(bid.price if bid else 0),
        "bidQty": text_e8(bid.total if bid else 0),
        "askPrice": text_e8(ask.price if ask else 0),
        "askQty": text_e8(ask.total if ask else 0),
    }


@operation("GET /api/v3/ticker/price", "ticker.price", weight=2)
def _ticker_price(call: Call) -> Json | list[Json]:
    prices = call.world.exchange.last_price
    call.params.has("symbolStatus")
    return _one_or_many(call, [{"symbol": s, "price": text_e8(prices[s])} for s in _asked_symbols(call)])


@operation("GET /api/v3/ticker/bookTicker", "ticker.book", weight=2)
def _ticker_book(call: Call) -> Json | list[Json]:
    call.params.has("symbolStatus")
    rows = []
    for symbol in _asked_symbols(call):
        book = call.world.exchange.books[symbol]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        rows.append(
            {
                "symbol": symbol,
                "bidPrice": text_e8(bid.price if bid else 0),
                "bidQty": text_e8(bid.total if bid else 0),
                "askPrice": text_e8(ask.price if ask else 0),
                "askQty": text_e8(ask.total if ask else 0),
            }
        )
    return _one_or_many(call, rows)


@operation("GET /sapi/v1/capital/config/getall", access=Access.SIGNED, weight=10)
def _coins(call: Call) -> list[Json]:
    rows = []
    for asset in _assets(call):
        _, free, locked = call.owner.balance(asset)
        rows.append(
            {
                "coin": asset,
                "depositAllEnable": True,
                "withdrawAllEnable": True,
                "name": asset,
                "free": text_e8(free),
                "locked": text_e8(locked),
                "freeze": "0",
                "withdrawing": "0",
                "ipoing": "0",
                "ipoable": "0",
                "storage": "0",
                "isLegalMoney": False,
                "trading": True,
                "networkList": [],
            }
        )
    return rows


@operation("GET /sapi/v1/system/status")
def _system_status(call: Call) -> Json:
    return {"status": 0, "msg": "normal"}


@operation("GET /sapi/v1/margin/allPairs", "GET /sapi/v1/margin/isolated/allPairs", access=Access.KEY)
def _margin_pairs(call: Call) -> list[Json]:
    return []


@operation("GET /sapi/v1/asset/tradeFee", access=Access.SIGNED)
def _trade_fee(call: Call) -> list[Json]:
    fees = call.owner.fees
    return [
        {"symbol": symbol, "makerCommission": text_e8(fees.maker), "takerCommission": text_e8(fees.taker)}
        for symbol in _asked_symbols(call)
    ]


def _assets(call: Call) -> list[str]:
    names: dict[str, None] = {}
    for instrument in call.world.exchange.instruments.values():
        names[instrument.base] = names[instrument.quote] = None
    for asset in (*call.owner.free, *call.owner.locked):
        names[asset] = None
    return list(names)
