"""Coinbase's market data over REST; every operation is there twice, for everybody and for those who sign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autotrader_lab.sandbox.orders import Instrument, Side
from autotrader_lab.sandbox.tape import INTERVALS_MS
from autotrader_lab.sandbox.units import ONE, trim_e8
from autotrader_lab.sandbox.venues.coinbase import render
from autotrader_lab.sandbox.venues.coinbase.calls import Call, operation
from autotrader_lab.sandbox.venues.coinbase.errors import invalid

__all__ = ["GRANULARITIES"]

Json = dict[str, Any]

MOST_CANDLES = 350
GRANULARITIES = {
    "ONE_MINUTE": "1m",
    "FIVE_MINUTE": "5m",
    "FIFTEEN_MINUTE": "15m",
    "THIRTY_MINUTE": "30m",
    "ONE_HOUR": "1h",
    "TWO_HOUR": "2h",
    "FOUR_HOUR": "4h",
    "SIX_HOUR": "6h",
    "ONE_DAY": "1d",
}

_ROOT = "GET /api/v3/brokerage"


def _both(path: str) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    def register(run: Callable[[Call], Any]) -> Callable[[Call], Any]:
        operation(f"{_ROOT}/market{path}", private=False)(run)
        return operation(f"{_ROOT}{path}")(run)

    return register


@operation(f"{_ROOT}/time", private=False)
def _time(call: Call) -> Json:
    seconds, millis = call.now_ms // 1_000, call.now_ms
    return {"iso": render.time_text(millis), "epochSeconds": str(seconds), "epochMillis": str(millis)}


def _is_future(call: Call) -> bool:
    kind = call.one("product_type") or "SPOT"
    if kind not in ("SPOT", "FUTURE", "UNKNOWN_PRODUCT_TYPE"):
        raise invalid(f"product_type {kind} is not valid")
    return kind == "FUTURE"


@_both("/products")
def _products(call: Call) -> Json:
    wanted = call.many("product_ids")
    found = [] if _is_future(call) else [i for name, i in call.desk.by_id.items() if not wanted or name in wanted]
    start, limit = call.number("offset", 0), call.number("limit", len(found) or 1)
    rows = [render.product_row(call.desk, instrument, call.now_ms) for instrument in found[start : start + limit]]
    return {"products": rows, "num_products": len(rows), "pagination": None}


@_both("/products/{product_id}")
def _product(call: Call) -> Json:
    return render.product_row(call.desk, call.product(), call.now_ms)


def _book(call: Call, instrument: Instrument, count: int) -> Json:
    book = call.world.exchange.books[instrument.symbol]
    return {
        "product_id": f"{instrument.base}-{instrument.quote}",
        "bids": render.book_rows(book, Side.BUY, count),
        "asks": render.book_rows(book, Side.SELL, count),
        "time": render.time_text(call.now_ms),
    }


@_both("/product_book")
def _product_book(call: Call) -> Json:
    instrument = call.product(call.one("product_id") or "-")
    book = call.world.exchange.books[instrument.symbol]
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    answer: Json = {"pricebook": _book(call, instrument, call.number("limit", 1_000))}
    middle = (bid.price + ask.price) // 2 if bid and ask else 0
    spread = ask.price - bid.price if bid and ask else 0
    return answer | {
        "last": trim_e8(call.world.exchange.last_price[instrument.symbol]),
        "mid_market": trim_e8(middle),
        "spread_bps": trim_e8(spread * 10_000 * ONE // middle) if middle else "",
        "spread_absolute": trim_e8(spread),
    }


@operation(f"{_ROOT}/best_bid_ask")
def _best_bid_ask(call: Call) -> Json:
    names = call.many("product_ids") or list(call.desk.by_id)
    return {"pricebooks": [_book(call, call.product(name), 1) for name in names]}


@_both("/products/{product_id}/ticker")
def _trades(call: Call) -> Json:
    instrument = call.product()
    start, end = call.number("start", 0), call.number("end", call.now_ms // 1_000 + 1)
    trades = [t for t in call.world.tapes[instrument.symbol].trades if start * 1_000 <= t.time_ms <= end * 1_000]
    limit = max(1, min(call.number("limit", 100), 1_000))
    book = call.world.exchange.books[instrument.symbol]
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    rows = [render.trade_row(call.desk, trade) | {"bid": "", "ask": "", "exchange": ""} for trade in trades[-limit:]]
    return {
        "trades": rows[::-1],
        "best_bid": trim_e8(bid.price) if bid else "",
        "best_ask": trim_e8(ask.price) if ask else "",
    }


@_both("/products/{product_id}/candles")
def _candles(call: Call) -> Json:
    instrument = call.product()
    interval = GRANULARITIES.get(call.one("granularity") or "")
    if interval is None:
        raise invalid(f"granularity must be one of {', '.join(GRANULARITIES)}")
    if call.one("start") is None or call.one("end") is None:
        raise invalid("start and end are required")
    start_ms, end_ms = call.number("start", 0) * 1_000, call.number("end", 0) * 1_000
    if (end_ms - start_ms) // INTERVALS_MS[interval] > MOST_CANDLES:
        raise invalid(f"number of candles requested should be less than {MOST_CANDLES}")
    limit = max(1, min(call.number("limit", MOST_CANDLES), MOST_CANDLES))
    candles = call.world.tapes[instrument.symbol].candles(interval, call.now_ms)
    kept = [render.candle_row(candle) for candle in candles if start_ms <= candle.open_ms <= end_ms]
    return {"candles": kept[::-1][:limit]}


def _currencies(call: Call) -> list[str]:
    names: dict[str, None] = {}
    for instrument in call.desk.by_id.values():
        names[instrument.base] = names[instrument.quote] = None
    return list(names)


@operation("GET /v2/time", private=False)
def _old_time(call: Call) -> Json:
    return {"data": {"iso": render.time_text(call.now_ms), "epoch": call.now_ms // 1_000}}


@operation("GET /v2/currencies", private=False)
def _fiat(call: Call) -> Json:
    return {"data": [{"id": "USD", "name": "United States Dollar", "min_size": "0.01"}]}


@operation("GET /v2/currencies/crypto", private=False)
def _crypto(call: Call) -> Json:
    return {
        "data": [
            {
                "asset_id": call.desk.uuid("asset", name),
                "code": name,
                "name": render.NAMES.get(name, name),
                "color": "#000000",
                "sort_index": 100 + index,
                "exponent": 8,
                "type": "crypto",
                "address_regex": "",
            }
            for index, name in enumerate(_currencies(call))
            if name != "USD"
        ]
    }


@operation("GET /v2/exchange-rates", private=False)
def _rates(call: Call) -> Json:
    rates = {"USD": "1.0", "USDT": "1.0", "USDC": "1.0"}
    for instrument in call.desk.by_id.values():
        last = call.world.exchange.last_price[instrument.symbol]
        if instrument.quote.startswith("USD") and last:
            rates[instrument.base] = trim_e8(ONE * ONE // last)
    return {"data": {"currency": call.one("currency") or "USD", "rates": rates}}


@operation("GET /v2/prices/{product_id}/{kind}", private=False)
def _price(call: Call) -> Json:
    instrument = call.product()
    book = call.world.exchange.books[instrument.symbol]
    side = {"buy": Side.SELL, "sell": Side.BUY}.get(call.path["kind"])
    best = book.best(side) if side else None
    amount = best.price if best else call.world.exchange.last_price[instrument.symbol]
    return {"data": {"amount": trim_e8(amount), "base": instrument.base, "currency": instrument.quote}}


@operation("GET /v2/accounts")
def _old_accounts(call: Call) -> Json:
    rows = []
    for asset in sorted({*call.owner.free, *call.owner.locked}):
        fiat = asset == "USD"
        rows.append(
            {
                "id": call.desk.uuid("account", call.owner.name, asset),
                "name": f"{asset} Wallet",
                "primary": False,
                "type": "fiat" if fiat else "wallet",
                "currency": {
                    "code": asset,
                    "name": render.NAMES.get(asset, asset),
                    "color": "#000000",
                    "sort_index": 100,
                    "exponent": 2 if fiat else 8,
                    "type": "fiat" if fiat else "crypto",
                    "asset_id": call.desk.uuid("asset", asset),
                },
                "balance": {"amount": trim_e8(sum(call.owner.balance(asset)[1:])), "currency": asset},
                "created_at": "2021-05-31T09:59:59Z",
                "updated_at": render.time_text(call.owner.updated_ms),
                "resource": "account",
                "resource_path": f"/v2/accounts/{asset}",
                "allow_deposits": False,
                "allow_withdrawals": False,
            }
        )
    pagination = {
        "ending_before": None,
        "starting_after": None,
        "previous_ending_before": None,
        "next_starting_after": None,
        "limit": call.number("limit", 25),
        "order": "desc",
        "previous_uri": None,
        "next_uri": None,
    }
    return {"pagination": pagination, "data": rows}
