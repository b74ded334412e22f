"""Hypothesis strategies for what travels through the package: instruments, orders, fills and market events.

Everything they make is sound: on the instrument's grid, inside its limits, with UTC times. What is unsound is a test's
own business.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.market import Bar, Book, MarketEvent, Quote, Trade
from autotrader_lab.model.orders import TIMES_IN_FORCE, Fill, Order, OrderSide, OrderType

__all__ = ["books", "events", "fills", "instruments", "orders", "prices", "quantities", "times_ns"]

_BASES = ("BTC", "ETH", "EUR", "GBP", "XAU")
_QUOTES = ("USDT", "USD", "JPY")
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)
_FIRST_NS = int(_FIRST.timestamp()) * 1_000_000_000
_TEN_YEARS_NS = 3650 * 86_400 * 1_000_000_000


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    """A pair, a share or a future, with any grid from 1e-8 to 100 and the limits a venue may set."""
    tick, lot = (Decimal(1).scaleb(draw(st.integers(-low, 2))) for low in (6, 8))
    base, quote = draw(st.sampled_from(_BASES)), draw(st.sampled_from(_QUOTES))
    is_pair = draw(st.booleans())
    return Instrument(
        symbol=f"{base}/{quote}" if is_pair else base,
        tick_size=tick,
        lot_size=lot,
        venue="generated",
        venue_symbol=base + quote if is_pair else base,
        base=base if is_pair else "",
        quote=quote,
        min_quantity=lot * draw(st.integers(0, 3)),
        min_notional=Decimal(draw(st.sampled_from([0, 5, 10]))),
        multiplier=Decimal(1 if is_pair else draw(st.sampled_from([1, 1, 50]))),
        can_short=draw(st.booleans()),
    )


def prices(instrument: Instrument, most_ticks: int = 1_000_000) -> st.SearchStrategy[float]:
    """Prices on the grid, from one tick on."""
    return st.integers(1, most_ticks).map(lambda ticks: float(instrument.tick_size * ticks))


def quantities(instrument: Instrument, most_lots: int = 10_000) -> st.SearchStrategy[float]:
    """Quantities on the grid, not below the least."""
    least = max(1, int(instrument.min_quantity / instrument.lot_size))
    return st.integers(least, least + most_lots).map(lambda lots: float(instrument.lot_size * lots))


def times_ns() -> st.SearchStrategy[int]:
    """Nanoseconds since the epoch, in the 2020s, on the whole microsecond that a datetime keeps."""
    return st.integers(0, _TEN_YEARS_NS // 1000).map(lambda us: _FIRST_NS + us * 1000)


@st.composite
def orders(draw: st.DrawFn, instrument: Instrument | None = None) -> Order:
    """An order of any type that makes sense, not sent yet."""
    of = instrument if instrument is not None else draw(instruments())
    kind = draw(st.sampled_from(OrderType))
    limit = draw(prices(of)) if kind not in (OrderType.MARKET, OrderType.STOP) else None
    stop = draw(prices(of)) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None
    tif = "GTC" if kind in (OrderType.IOC, OrderType.FOK) else draw(st.sampled_from(TIMES_IN_FORCE))
    name = draw(st.integers(0, 10**9))
    return Order(
        order_id="",
        symbol=of.symbol,
        side=draw(st.sampled_from(OrderSide)),
        order_type=kind,
        quantity=draw(quantities(of)),
        price=limit,
        stop_price=stop,
        time_in_force=tif,
        client_order_id=f"generated-{name}",
        created_at=from_ns(draw(times_ns())),
        post_only=kind is OrderType.LIMIT and tif == "GTC" and draw(st.booleans()),
    )


@st.composite
def fills(draw: st.DrawFn, order: Order, instrument: Instrument) -> Sequence[Fill]:
    """Executions of `order`: parts that sum up to at most its quantity, each with an id and a fee of its own."""
    lots = int(Decimal(repr(order.quantity)) / instrument.lot_size)
    cuts = sorted(draw(st.sets(st.integers(1, lots), max_size=4))) if lots else []
    currencies = [instrument.quote, *([instrument.base] if instrument.base else []), "BNB"]
    made, before = [], 0
    for number, cut in enumerate(cuts):
        price = order.limit_price if order.limit_price is not None else draw(prices(instrument))
        made.append(
            Fill(
                order_id=order.order_id or "generated",
                symbol=order.symbol,
                side=order.side,
                quantity=float(instrument.lot_size * (cut - before)),
                price=price,
                commission=draw(st.sampled_from([0.0, 0.001, 0.25, -0.01])),
                timestamp=from_ns(draw(times_ns())),
                execution_id=f"{order.client_order_id}-{number}",
                client_order_id=order.client_order_id,
                fee_currency=draw(st.sampled_from(currencies)),
                liquidity=draw(st.sampled_from(["", "maker", "taker"])),
                venue=instrument.venue,
            )
        )
        before = cut
    return made


@st.composite
def books(draw: st.DrawFn, instrument: Instrument, timestamp_ns: int = 0) -> Book:
    """A book whose best bid is below its best ask; either side may be empty."""
    ticks = sorted(draw(st.sets(st.integers(1, 5000), max_size=10)))
    middle = draw(st.integers(0, len(ticks)))
    sizes = quantities(instrument)

    def level(tick: int) -> tuple[float, float]:
        return float(instrument.tick_size * tick), draw(sizes)

    bids, asks = tuple(map(level, reversed(ticks[:middle]))), tuple(map(level, ticks[middle:]))
    return Book(instrument.symbol, timestamp_ns, bids, asks)


@st.composite
def events(draw: st.DrawFn, instrument: Instrument, most: int = 30) -> list[MarketEvent]:
    """Market events of every kind in the order of their times."""
    times = sorted(draw(st.lists(times_ns(), max_size=most)))
    return [_event(draw, instrument, timestamp_ns) for timestamp_ns in times]


def _event(draw: st.DrawFn, instrument: Instrument, timestamp_ns: int) -> MarketEvent:
    symbol, price, size = instrument.symbol, prices(instrument), quantities(instrument)
    kind: Any = draw(st.sampled_from([Quote, Trade, Bar, Book]))
    if kind is Book:
        return draw(books(instrument, timestamp_ns))
    if kind is Trade:
        return Trade(symbol, timestamp_ns, draw(price), draw(size), draw(st.sampled_from(["buy", "sell", ""])))
    if kind is Quote:
        bid, ask = sorted((draw(price), draw(price)))
        return Quote(symbol, timestamp_ns, bid, ask, draw(size), draw(size))
    low, first, last, high = sorted(draw(price) for _ in range(4))
    open_, close = draw(st.permutations((first, last)))
    return Bar(symbol, timestamp_ns, open_, high, low, close, draw(size))
