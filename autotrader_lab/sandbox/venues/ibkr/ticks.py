"""Market data of one session: quotes and trades as ticks, tick by tick, depth, five-second bars.

Ticks go out as the exchange's events come in, and only what changed; a subscription remembers what it sent last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autotrader_lab.sandbox.orders import Side, TradeEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.tape import Candle, Tape
from autotrader_lab.sandbox.units import ONE
from autotrader_lab.sandbox.venues.ibkr.contracts import Contract
from autotrader_lab.sandbox.venues.ibkr.wire import number
from autotrader_lab.sandbox.world import World

__all__ = ["Bars", "Depth", "Subscription", "TickByTick", "Ticks"]

Report = list[str]
Send = Callable[[Report], None]

BID, ASK, LAST, HIGH, LOW, VOLUME, CLOSE, OPEN = 1, 2, 4, 6, 7, 8, 9, 14
BID_SIZE, ASK_SIZE, LAST_SIZE = 0, 3, 5
LAST_TIMESTAMP = 45


class Subscription:
    """Something a session listens to under a request id.

    Parameters
    ----------
    world : World
        Whose market.
    request_id : int
        The client's.
    contract : Contract
        What of.
    send : callable
        Sends one message.
    """

    kind = ""

    def __init__(self, world: World, request_id: int, contract: Contract, send: Send) -> None:
        self.world = world
        self.request_id = request_id
        self.contract = contract
        self.symbol = contract.instrument.symbol
        self._send = send

    def start(self) -> None:
        """Send how things stand."""

    def on_events(self, events: Sequence[Event]) -> None:
        """Send what follows from the exchange's events."""

    def on_tick(self, now_ms: int) -> None:
        """Send what goes by the clock; called several times a second."""

    def _top(self) -> tuple[int, int, int, int]:
        """Best bid, its size, best ask, its size; e8, 0 where there is none."""
        book = self.world.exchange.books[self.symbol]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        return (
            bid.price if bid else 0,
            bid.total if bid else 0,
            ask.price if ask else 0,
            ask.total if ask else 0,
        )

    def _day(self) -> Candle | None:
        return self.world.tapes[self.symbol].since(self.world.now_ms() // 86_400_000 * 86_400_000)


class Ticks(Subscription):
    """``reqMktData``."""

    kind = "ticks"

    def __init__(self, world: World, request_id: int, contract: Contract, send: Send, data_type: int = 1) -> None:
        super().__init__(world, request_id, contract, send)
        self._data_type = data_type
        self._sent: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._high = self._low = 0

    def _price(self, tick: int, price: int, size: int) -> None:
        mask = "1" if tick in (BID, ASK) else "0"
        self._send(["1", "6", str(self.request_id), str(tick), number(price), number(size), mask])

    def _size(self, tick: int, size: int) -> None:
        self._send(["2", "6", str(self.request_id), str(tick), number(size)])

    def start(self) -> None:
        group = "" if self.contract.kind == "CASH" else "9c0001"
        self._send(["81", str(self.request_id), self.contract.min_tick, group, "3"])
        self._send(["58", "1", str(self.request_id), str(self._data_type)])
        self._quotes()
        day = self._day()
        last = self.world.exchange.last_price[self.symbol]
        if self.contract.kind != "CASH" and last:
            trades = self.world.tapes[self.symbol].trades
            self._price(LAST, last, trades[-1].quantity if trades else ONE)
            self._send(["46", "6", str(self.request_id), str(LAST_TIMESTAMP), str(self.world.now_ms() // 1_000)])
            if day is not None:
                self._size(VOLUME, day.volume // ONE * ONE)
        if day is not None:
            self._high, self._low = day.high, day.low
            for tick, price in ((HIGH, day.high), (LOW, day.low), (CLOSE, day.open), (OPEN, day.open)):
                self._price(tick, price, 0)

    def _quotes(self) -> None:
        top = self._top()
        before, self._sent = self._sent, top
        for price, size, tick, size_tick in ((0, 1, BID, BID_SIZE), (2, 3, ASK, ASK_SIZE)):
            if top[price] != before[price]:
                self._price(tick, top[price], top[size])
            elif top[size] != before[size]:
                self._size(size_tick, top[size])

    def on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if not isinstance(event, TradeEvent) or event.symbol != self.symbol:
                continue
            if self.contract.kind != "CASH":
                self._price(LAST, event.price, event.quantity)
                self._size(LAST_SIZE, event.quantity)
            if event.price > self._high:
                self._high = event.price
                self._price(HIGH, event.price, 0)
            if not self._low or event.price < self._low:
                self._low = event.price
                self._price(LOW, event.price, 0)
        self._quotes()


class TickByTick(Subscription):
    """``reqTickByTickData``; `what` is Last, AllLast, BidAsk or MidPoint."""

    kind = "tick by tick"
    TYPES: Mapping[str, str] = {"Last": "1", "AllLast": "2", "BidAsk": "3", "MidPoint": "4"}

    def __init__(self, world: World, request_id: int, contract: Contract, send: Send, what: str) -> None:
        super().__init__(world, request_id, contract, send)
        self._what = what
        self._sent: tuple[int, ...] = ()

    def _tick(self, *fields: str) -> None:
        now_s = str(self.world.now_ms() // 1_000)
        self._send(["99", str(self.request_id), self.TYPES[self._what], now_s, *fields])

    def start(self) -> None:
        self.on_events(())

    def on_events(self, events: Sequence[Event]) -> None:
        if self._what in ("Last", "AllLast"):
            for event in events:
                if isinstance(event, TradeEvent) and event.symbol == self.symbol:
                    place = "ISLAND" if self.contract.kind == "STK" else self.contract.exchange
                    self._tick(number(event.price), number(event.quantity), "0", place, "")
            return
        bid, bid_size, ask, ask_size = self._top()
        now = (bid, ask, bid_size, ask_size) if self._what == "BidAsk" else ((bid + ask) // 2,)
        if now != self._sent:
            self._sent = now
            self._tick(*(number(value) for value in now), *(["0"] if self._what == "BidAsk" else []))


class Depth(Subscription):
    """``reqMktDepth``: rows by position; with `is_smart` each names the venue it stands at."""

    kind = "depth"

    def __init__(
        self, world: World, request_id: int, contract: Contract, send: Send, rows: int, is_smart: bool
    ) -> None:
        super().__init__(world, request_id, contract, send)
        self._rows = max(1, min(rows, 20))
        self._is_smart = is_smart
        self._sent: dict[Side, list[tuple[int, int]]] = {Side.BUY: [], Side.SELL: []}

    def start(self) -> None:
        self.on_events(())

    def on_events(self, events: Sequence[Event]) -> None:
        book = self.world.exchange.books[self.symbol]
        for side, code in ((Side.SELL, "0"), (Side.BUY, "1")):
            now, before = book.depth(side, self._rows), self._sent[side]
            for position, row in enumerate(now):
                if position >= len(before):
                    self._row(position, "0", code, row)
                elif row != before[position]:
                    self._row(position, "1", code, row)
            for position in range(len(before) - 1, len(now) - 1, -1):
                self._row(position, "2", code, (0, 0))
            self._sent[side] = now

    def _row(self, position: int, operation: str, side: str, row: tuple[int, int]) -> None:
        price, size = number(row[0]), number(row[1])
        if self._is_smart:
            place = "ISLAND" if self.contract.kind == "STK" else self.contract.exchange
            head = ["13", "1", str(self.request_id), str(position), place, operation, side]
            self._send([*head, price, size, "1"])
        else:
            self._send(["12", "1", str(self.request_id), str(position), operation, side, price, size])


class Bars(Subscription):
    """``reqRealTimeBars``: a bar every five seconds."""

    kind = "bars"
    LENGTH_MS = 5_000

    def __init__(self, world: World, request_id: int, contract: Contract, send: Send) -> None:
        super().__init__(world, request_id, contract, send)
        self._next_ms = self.world.now_ms() // self.LENGTH_MS * self.LENGTH_MS + self.LENGTH_MS

    def on_tick(self, now_ms: int) -> None:
        while now_ms >= self._next_ms:
            start_ms, self._next_ms = self._next_ms - self.LENGTH_MS, self._next_ms + self.LENGTH_MS
            bar = bar_between(self.world.tapes[self.symbol], start_ms, start_ms + self.LENGTH_MS)
            if bar is not None:
                self._send(["50", "3", str(self.request_id), str(start_ms // 1_000), *_columns(bar)])


def bar_between(tape: Tape, start_ms: int, end_ms: int) -> Candle | None:
    """The trades of a span as one bar, flat at the last price before it if there were none."""
    bar: Candle | None = None
    for second in reversed(tape.seconds):
        if second.open_ms >= end_ms:
            continue
        if second.open_ms < start_ms:
            if bar is None:
                bar = Candle(start_ms, second.close, second.close, second.close, second.close)
            break
        piece = Candle(start_ms, second.open, second.high, second.low, second.close, second.volume, second.amount)
        piece.count = second.count
        if bar is not None:
            piece.add(bar)
        bar = piece
    return bar


def _columns(bar: Candle) -> list[str]:
    mean = bar.amount * ONE // bar.volume if bar.volume else bar.close
    prices = [number(price) for price in (bar.open, bar.high, bar.low, bar.close)]
    return [*prices, number(bar.volume // ONE * ONE), number(mean), str(bar.count)]
