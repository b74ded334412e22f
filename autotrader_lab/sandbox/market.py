"""The outside market: where prices come from, and the driver that plays it into every world's exchange.

A *script* is an endless iterator of timed steps; it knows nothing of customers. The driver applies each step to
the same instrument in every world, so that testnet and live see one market, and each world's customers meet it in
their own book. Market time runs at a chosen speed; what is stamped is always wall time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from autotrader_lab.model.clock import Clock
from autotrader_lab.sandbox.exchange import Exchange
from autotrader_lab.sandbox.orders import Side

__all__ = ["Depth", "MarketDriver", "Picture", "Print", "Script", "Step", "TwinScript"]

Rows = tuple[tuple[int, int], ...]

NS = 1_000_000_000
MAX_SLICE = 100


class Depth(msgspec.Struct, frozen=True):
    """New absolute sizes of some levels, (price, quantity) in e8; 0 removes."""

    bids: Rows
    asks: Rows


class Picture(msgspec.Struct, frozen=True):
    """The whole book; levels not named are gone."""

    bids: Rows
    asks: Rows


class Print(msgspec.Struct, frozen=True):
    """A trade of the outside market; `taker` is the side that came later."""

    taker: Side
    price: int
    quantity: int


Step = Depth | Picture | Print


class Script(Protocol):
    """An instrument's market as timed steps, never ending; the time is in ns of market time from the start."""

    symbol: str

    def steps(self) -> Iterator[tuple[int, Step]]:
        """Steps in order of time."""
        ...


class TwinScript:
    """Another instrument's market under a second symbol.

    Parameters
    ----------
    script : Script
        The market.
    symbol : str
        What it is played as.
    """

    def __init__(self, script: Script, symbol: str) -> None:
        self.symbol = symbol
        self._script = script

    def steps(self) -> Iterator[tuple[int, Step]]:
        """The other's steps."""
        return self._script.steps()


class MarketDriver:
    """Plays scripts into exchanges.

    Parameters
    ----------
    scripts : sequence of Script
        One per instrument.
    exchanges : sequence of Exchange
        The worlds' exchanges; each takes part in what it trades.
    clock : Clock
        Paces the market and stamps what happens.
    speed : float, default 1.0
        Market seconds per wall second.
    published : callable
        Called after each slice of steps, so that the worlds publish what happened.

    Raises
    ------
    ValueError
        If `speed` is negative or not finite.
    """

    def __init__(
        self,
        scripts: Sequence[Script],
        exchanges: Sequence[Exchange],
        clock: Clock,
        speed: float,
        published: Callable[[], None],
    ) -> None:
        if not 0 <= speed < float("inf"):
            raise ValueError(f"speed {speed} is not usable: give market seconds per second, 0 or more (0 stands still)")
        self.speed = speed
        self.paused = speed == 0
        self.market_ns = 0
        self._trading = {s.symbol: [e for e in exchanges if s.symbol in e.instruments] for s in scripts}
        self._clock = clock
        self._published = published
        self._queue: list[tuple[int, int, str, Step, Iterator[tuple[int, Step]]]] = []
        for rank, script in enumerate(scripts):
            self._push(rank, script.symbol, script.steps())

    def _push(self, rank: int, symbol: str, steps: Iterator[tuple[int, Step]]) -> None:
        at_ns, step = next(steps)
        heapq.heappush(self._queue, (at_ns, rank, symbol, step, steps))

    def _play_one(self) -> None:
        at_ns, rank, symbol, step, steps = heapq.heappop(self._queue)
        self.market_ns = max(self.market_ns, at_ns)
        now_ms = self._clock.now_ns() // 1_000_000
        for exchange in self._trading[symbol]:
            apply_step(exchange, symbol, step, now_ms + exchange.skew_ms())
        self._push(rank, symbol, steps)

    def prime(self) -> None:
        """Play until every instrument has both sides of a book."""
        waiting = {symbol for _, _, symbol, _, _ in self._queue}
        while waiting:
            self._play_one()
            waiting = {symbol for symbol in waiting if not self._has_both_sides(symbol)}
        for symbol, exchanges in self._trading.items():
            for exchange in exchanges:
                bid, ask = exchange.books[symbol].best(Side.BUY), exchange.books[symbol].best(Side.SELL)
                if bid and ask and not exchange.last_price[symbol]:
                    exchange.last_price[symbol] = bid.price
        self._published()

    def _has_both_sides(self, symbol: str) -> bool:
        books = [exchange.books[symbol] for exchange in self._trading[symbol]]
        return all(book.best(Side.BUY) and book.best(Side.SELL) for book in books)

    def advance(self, seconds: float) -> None:
        """Play `seconds` of market time at once.

        Raises
        ------
        ValueError
            If `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance by {seconds} s: the market does not run backwards")
        until_ns = self.market_ns + round(seconds * NS)
        played = 0
        while self._queue and self._queue[0][0] <= until_ns:
            self._play_one()
            played += 1
            if played % MAX_SLICE == 0:
                self._published()
        self.market_ns = until_ns
        self._published()

    async def run(self) -> None:
        """Play for ever at the chosen speed."""
        last_ns = self._clock.monotonic_ns()
        while True:
            now_ns = self._clock.monotonic_ns()
            if not self.paused:
                target_ns = self.market_ns + round((now_ns - last_ns) * self.speed)
                played = 0
                while self._queue[0][0] <= target_ns and played < MAX_SLICE:
                    self._play_one()
                    played += 1
                if played < MAX_SLICE:
                    self.market_ns = target_ns
                if played:
                    self._published()
            last_ns = now_ns
            await self._clock.sleep(self._pause_s())

    def _pause_s(self) -> float:
        if self.paused:
            return 0.02
        wait_s = (self._queue[0][0] - self.market_ns) / NS / self.speed
        return min(max(wait_s, 0.001), 0.05)


def apply_step(exchange: Exchange, symbol: str, step: Step, now_ms: int) -> None:
    """Play one step into one exchange."""
    match step:
        case Depth(bids, asks):
            exchange.market_depth(symbol, bids, asks, now_ms)
        case Picture(bids, asks):
            exchange.market_picture(symbol, bids, asks, now_ms)
        case Print(taker, price, quantity):
            exchange.market_trade(symbol, taker, price, quantity, now_ms)
