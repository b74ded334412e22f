"""Short hands for tests of the matching core: one instrument, orders in one line, reports as words."""

from __future__ import annotations

import itertools
from typing import Any

from autotrader_lab.execution.adapters.matching import PaperMatching
from autotrader_lab.model import Bar, Book, Instrument, Instruments, Order, OrderSide, OrderType, Quote, Trade, exact
from autotrader_lab.model.orders import Accepted, Amended, Cancelled, Expired, Filled, Rejected, Report

SYMBOL = "BTC/USDT"
S = 1_000_000_000
DAY = 86_400 * S
T0 = 19_700 * DAY + 9 * 3600 * S  # nine in the morning, UTC

_ids = itertools.count(1)


def instruments(**changes: Any) -> Instruments:
    fields: dict[str, Any] = {
        "symbol": SYMBOL,
        "venue_symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "tick_size": exact("0.01"),
        "lot_size": exact("0.001"),
    }
    return Instruments([Instrument(**{**fields, **changes})], venue="paper")


def matching(**settings: Any) -> PaperMatching:
    """Free of slippage and commission unless told otherwise; 10 BTC and 100000 USDT."""
    settings = {
        "slippage_bps": 0,
        "commission_bps": 0,
        "instruments": instruments(),
        "holdings": {SYMBOL: 10},
        **settings,
    }
    return PaperMatching(settings.pop("initial_balance", 100_000), **settings)


def order(side: str, kind: str, quantity: float, **fields: Any) -> Order:
    fields.setdefault("client_order_id", f"o{next(_ids)}")
    fields.setdefault("symbol", SYMBOL)
    return Order(order_id="", side=OrderSide(side), order_type=OrderType(kind), quantity=quantity, **fields)


def quote(bid: float, ask: float, bid_size: float = 0.0, ask_size: float = 0.0, at: int = T0) -> Quote:
    return Quote(SYMBOL, at, bid, ask, bid_size, ask_size)


def trade(price: float, size: float = 0.0, at: int = T0) -> Trade:
    return Trade(SYMBOL, at, price, size)


def bar(open_: float, high: float, low: float, close: float, volume: float = 0.0, at: int = T0) -> Bar:
    return Bar(SYMBOL, at, open_, high, low, close, volume)


def book(bids: list[tuple[float, float]], asks: list[tuple[float, float]], at: int = T0) -> Book:
    return Book(SYMBOL, at, tuple(bids), tuple(asks))


def words(reports: list[Report]) -> list[Any]:
    """Reports as short values: "accepted", (quantity, price, liquidity) of a fill, the code of a rejection, …."""
    said: list[Any] = []
    for report in reports:
        if isinstance(report, Filled):
            said.append((report.fill.quantity, report.fill.price, report.fill.liquidity))
        elif isinstance(report, Rejected):
            said.append(report.code)
        else:
            names = {Accepted: "accepted", Cancelled: "cancelled", Expired: "expired", Amended: "amended"}
            said.append(names[type(report)])
    return said


def send(venue: PaperMatching, placed: Order) -> list[Any]:
    """Submit now, and the reports as words."""
    return words(venue.submit(placed, venue.now_ns))
