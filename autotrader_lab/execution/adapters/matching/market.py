"""What the matching core knows of one symbol's market, and the working orders that wait in it.

Events are only noted when they come, because replay hands over one per bar; what a taker would meet is worked out
when an order asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.market import Bar, Book, Quote, Trade
from autotrader_lab.model.orders import Order, OrderSide, OrderType

__all__ = ["Level", "MarketState", "Working", "by_priority"]

Level = tuple[float, float]
"""Price and size."""

DAY_NS = 86_400 * 1_000_000_000
_ZERO = Decimal(0)
_AT_MARKET = (OrderType.MARKET, OrderType.STOP)


class MarketState:
    """The newest market of one symbol.

    `top` is the newest quote or book, `trade` the last trade, `bar` the last bar. A market with a quote, book or trade
    is *live*: it is known at every moment. A market of bars alone is known only when a bar is over.

    Our own executions take nothing from a recorded or remote market, so what was taken of a level is remembered and not
    taken again until its size changes.
    """

    __slots__ = ("bar", "by_hand", "instrument", "orders", "symbol", "top", "trade", "used")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.top: Quote | Book | None = None
        self.trade: Trade | None = None
        self.bar: Bar | None = None
        self.by_hand = False
        self.orders: list[Working] = []
        self.used: dict[tuple[int, float], tuple[float, Decimal]] = {}

    def note(self, event: Quote | Trade | Bar | Book) -> None:
        """Remember `event`; a price set by hand holds until the market speaks."""
        if self.by_hand:
            self.by_hand = False
            self.top = None
        kind = event.__class__
        if kind is Bar:
            self.bar = event  # type: ignore[assignment]
        elif kind is Trade:
            self.trade = event  # type: ignore[assignment]
        else:
            self.top = event  # type: ignore[assignment]
            if self.used:
                self._forget_gone_levels()

    def set_price(self, price: float, now_ns: int) -> Quote:
        """A market of any size at `price`, until the next event."""
        self.top = top = Quote(self.symbol, now_ns, price, price)
        self.trade = None
        self.by_hand = True
        self.used.clear()
        return top

    @property
    def live(self) -> bool:
        """Whether there is a market to meet right now."""
        return self.top is not None or self.trade is not None

    @property
    def known(self) -> bool:
        """Whether anything was ever heard of this market."""
        return self.top is not None or self.trade is not None or self.bar is not None

    def levels(self, sign: int) -> tuple[Level, ...]:
        """Prices and sizes that a buyer (`sign` +1) or seller (-1) would meet, best first; size 0 is unlimited."""
        top = self.top
        if isinstance(top, Quote):
            found = ((top.ask, top.ask_size) if sign > 0 else (top.bid, top.bid_size),)
        elif top is not None:
            # A level of a book with size 0 is an empty one, not an unlimited one.
            return tuple(level for level in (top.asks if sign > 0 else top.bids) if level[0] > 0 and level[1] > 0)
        elif self.trade is not None:
            found = ((self.trade.price, 0.0),)
        else:
            return ()
        return found if found[0][0] > 0 else ()

    def trigger_price(self, sign: int) -> float | None:
        """The price stops look at: the last trade where trades are known, else the side they would execute on."""
        if self.trade is not None:
            return self.trade.price
        levels = self.levels(sign)
        return levels[0][0] if levels else None

    def mark(self) -> float | None:
        """What a unit is worth: mid, else last trade, else the bar's close."""
        top = self.top
        if top is not None:
            bids, asks = self.levels(-1), self.levels(1)
            if bids and asks:
                return (bids[0][0] + asks[0][0]) / 2
            if bids or asks:
                return (bids or asks)[0][0]
        if self.trade is not None:
            return self.trade.price
        return self.bar.close if self.bar is not None else None

    def available(self, sign: int, level: Level) -> Decimal | None:
        """Whole lots left at `level` for us; None is unlimited."""
        price, size = level
        if size <= 0:
            return None
        seen, used = self.used.get((sign, price), (size, _ZERO))
        lots = self.instrument.round_quantity(size)
        return lots if seen != size else max(lots - used, _ZERO)

    def use(self, sign: int, level: Level, quantity: Decimal) -> None:
        """Remember that `quantity` of `level` is ours now."""
        price, size = level
        if size > 0:
            seen, used = self.used.get((sign, price), (size, _ZERO))
            self.used[sign, price] = (size, quantity if seen != size else used + quantity)

    def _forget_gone_levels(self) -> None:
        shown = {(sign, *level) for sign in (1, -1) for level in self.levels(sign)}
        self.used = {
            (sign, price): (size, used)
            for (sign, price), (size, used) in self.used.items()
            if (sign, price, size) in shown
        }


class Working:
    """One order inside the matching core: the fixed part of it exact, and what is left.

    Attributes
    ----------
    limit, stop : Decimal or None
        Quote currency, on the grid; `limit_f` and `stop_f` are the same as floats, for comparing with the market.
    left : Decimal
        Units not executed yet.
    unit : Decimal
        Quote currency reserved for each unit left of a buy; 0 where nothing is reserved.
    held : Decimal
        What is reserved now: quote currency for a buy, units for a sell.
    fresh : bool
        It has not met a market yet.
    """

    __slots__ = (
        "client_order_id",
        "day_end_ns",
        "fills",
        "fresh",
        "held",
        "left",
        "limit",
        "limit_f",
        "market",
        "order_id",
        "post_only",
        "quantity",
        "reduce_only",
        "sequence",
        "side",
        "sign",
        "stop",
        "stop_f",
        "symbol",
        "tif",
        "triggered",
        "type",
        "unit",
    )

    def __init__(self, order: Order, market: MarketState, order_id: str, sequence: int, arrival_ns: int) -> None:
        instrument = market.instrument
        self.client_order_id = order.client_order_id
        self.order_id = order_id
        self.symbol = order.symbol
        self.market = market
        self.side = order.side
        self.sign = 1 if order.side is OrderSide.BUY else -1
        self.type = order.order_type
        self.tif = order.effective_time_in_force
        self.quantity = self.left = instrument.whole_lots(order.quantity)
        self.limit: Decimal | None = None
        self.stop: Decimal | None = None
        self.limit_f = self.stop_f = 0.0
        limit = order.limit_price
        if limit is not None:
            self.limit = instrument.check_price(limit, "limit price")
            self.limit_f = float(self.limit)
        if order.stop_price is not None and order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
            self.stop = instrument.check_price(order.stop_price, "stop price")
            self.stop_f = float(self.stop)
        self.triggered = self.stop is None
        self.post_only = order.post_only
        self.reduce_only = order.reduce_only
        self.sequence = sequence
        self.unit = _ZERO
        self.held = _ZERO
        self.fills = 0
        self.fresh = True
        self.day_end_ns = (arrival_ns // DAY_NS + 1) * DAY_NS if self.tif == "DAY" else 0

    def change(self, quantity: Decimal, limit: Decimal | None) -> None:
        """A new total quantity and limit."""
        self.left += quantity - self.quantity
        self.quantity = quantity
        self.limit = limit
        self.limit_f = float(limit) if limit is not None else 0.0

    @property
    def at_market(self) -> bool:
        """Whether it executes at any price once it acts."""
        return self.type in _AT_MARKET

    @property
    def immediate(self) -> bool:
        """Whether what does not execute at once is ended."""
        return self.tif in ("IOC", "FOK")

    def reaches(self, price: float) -> bool:
        """Whether its limit allows executing at `price`."""
        return self.limit is None or (price - self.limit_f) * self.sign <= 0

    def stopped_at(self, price: float | None) -> bool:
        """Whether a market at `price` triggers it."""
        return price is not None and (price - self.stop_f) * self.sign >= 0


def by_priority(orders: Iterable[Working]) -> list[Working]:
    """Orders as a venue serves them: at any price first, then best price, then who came first."""
    return sorted(orders, key=lambda order: (order.limit is not None, -order.sign * order.limit_f, order.sequence))
