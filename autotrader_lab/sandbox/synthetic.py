"""A made-up market that behaves enough like a real one to trade against, the same for the same seed.

The mid price is a random walk with a drift that wanders and reverts (so that trends exist and end) and a weak pull
to its anchor. Around it stands a ladder of levels on both sides that follows the mid, thins and refills, and takers
arrive as a Poisson stream, more of them on the side the price moves to. The model works in floats; everything that
leaves it is on the instrument's grid.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from autotrader_lab.sandbox.market import Depth, Picture, Print, Step
from autotrader_lab.sandbox.orders import Instrument, Side

__all__ = ["Ladder", "SyntheticScript"]

NS = 1_000_000_000


class Ladder:
    """Levels around a mid price that follow it.

    Parameters
    ----------
    instrument : Instrument
        The grid, and the typical size of a level.
    random_source : random.Random
        Where sizes and gaps come from.
    levels : int, default 30
        Levels kept on each side.
    half_spread : float, default 0.00001
        Half the spread as a fraction of the mid.
    """

    def __init__(
        self, instrument: Instrument, random_source: random.Random, levels: int = 30, half_spread: float = 0.00001
    ) -> None:
        self._instrument = instrument
        self._random = random_source
        self._count = levels
        self._half_spread = half_spread
        self._sides: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self._hit: dict[Side, set[int]] = {Side.BUY: set(), Side.SELL: set()}

    def size(self, scale: float = 1.0) -> int:
        """A random quantity on the step, log-normal around the typical size."""
        step = self._instrument.step
        wanted = self._instrument.typical_size * scale * math.exp(self._random.gauss(-0.3, 0.9))
        return max(step, round(wanted) // step * step)

    def touch(self, mid: float) -> tuple[int, int]:
        """Best bid and ask (e8) that a mid (e8) calls for."""
        tick = self._instrument.tick
        half = max(mid * self._half_spread * self._random.uniform(0.5, 1.8), tick / 2)
        bid = math.floor((mid - half) / tick) * tick
        return bid, max(bid + tick, math.ceil((mid + half) / tick) * tick)

    def follow(self, mid: float) -> Depth:
        """Move the ladder to a mid (e8) and say what changed."""
        return self.stand(*self.touch(mid))

    def stand(self, bid: int, ask: int) -> Depth:
        """Move the ladder to a best bid and ask (e8) and say what changed."""
        changes: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        for side, best in ((Side.BUY, bid), (Side.SELL, ask)):
            self._move(side, best, changes[side])
            changes[side].update({price: self._sides[side].get(price, 0) for price in sorted(self._hit[side])})
            self._hit[side].clear()
        return Depth(tuple(changes[Side.BUY].items()), tuple(changes[Side.SELL].items()))

    def picture(self) -> Picture:
        """The whole ladder."""
        return Picture(tuple(self._sides[Side.BUY].items()), tuple(self._sides[Side.SELL].items()))

    def trade(self, taker: Side, quantity: int) -> Print | None:
        """Let a taker hit the best level for at most what it shows."""
        levels = self._sides[taker.opposite]
        if not levels:
            return None
        price = max(levels) if taker is Side.SELL else min(levels)
        part = min(quantity, levels[price])
        levels[price] -= part
        if not levels[price]:
            del levels[price]
        self._hit[taker.opposite].add(price)
        return Print(taker, price, part)

    def sweep(self, taker: Side, to_price: int, chance: float) -> list[Print]:
        """Trade through the levels that a move to `to_price` (e8) runs over, each with a chance."""
        levels = self._sides[taker.opposite]
        run_over = sorted(p for p in levels if (p < to_price if taker is Side.BUY else p > to_price))
        if taker is Side.SELL:
            run_over.reverse()
        prints = []
        for price in run_over:
            if self._random.random() < chance:
                prints.append(Print(taker, price, levels.pop(price)))
                self._hit[taker.opposite].add(price)
        return prints

    def _move(self, side: Side, best: int, changes: dict[int, int]) -> None:
        levels, sign, tick = self._sides[side], -1 if side is Side.BUY else 1, self._instrument.tick
        for price in [p for p in levels if (p > best if side is Side.BUY else p < best)]:
            del levels[price]
            changes[price] = 0
        if best not in levels:
            levels[best] = changes[best] = self.size(0.8)
        farthest = (min if side is Side.BUY else max)(levels)
        while len(levels) < self._count:
            gap = 1 + int(self._random.expovariate(1.0) * max(1.0, best * 0.00002 / tick) * (1 + len(levels) / 6))
            farthest += sign * gap * tick
            if farthest <= 0:
                break
            levels[farthest] = changes[farthest] = self.size(1 + len(levels) / 10)
        ranked = sorted(levels, reverse=side is Side.BUY)
        for price in ranked[self._count :]:
            del levels[price]
            changes[price] = 0
        for _ in range(2):
            price = ranked[min(int(self._random.expovariate(0.3)), self._count - 1, len(ranked) - 1)]
            if price in levels:
                levels[price] = changes[price] = self.size()
        if best + sign * tick * 2 not in levels and self._random.random() < 0.3:
            near = best + sign * tick * self._random.randint(2, 40)
            if near > 0:
                levels[near] = changes[near] = self.size()


class SyntheticScript:
    """An endless seeded market for one instrument.

    Parameters
    ----------
    instrument : Instrument
        Grid, starting price, volatility and typical size.
    seed : int
        The same seed gives the same market.
    step_s : float, default 0.1
        Market time between moves.
    """

    def __init__(self, instrument: Instrument, seed: int, step_s: float = 0.1) -> None:
        self.symbol = instrument.symbol
        self._instrument = instrument
        self._seed = seed
        self._step_s = step_s
        self._sigma = instrument.volatility * math.sqrt(step_s / (365 * 86_400))

    def steps(self) -> Iterator[tuple[int, Step]]:
        """The market's steps, from the first picture on."""
        source = random.Random(f"{self._seed}/{self.symbol}")
        ladder = Ladder(self._instrument, source)
        anchor = float(self._instrument.start_price)
        log_offset, drift = 0.0, 0.0
        ladder.follow(anchor)
        yield 0, ladder.picture()
        step_ns = round(self._step_s * NS)
        at_ns = 0
        while True:
            at_ns += step_ns
            drift += -0.01 * drift + self._sigma * 0.012 * source.gauss(0, 1)
            log_offset += drift + self._sigma * source.gauss(0, 1) - 0.00002 * self._step_s * log_offset
            mid = anchor * math.exp(log_offset)
            for print_ in self._takers(ladder, source, mid, drift):
                yield at_ns, print_
            yield at_ns, ladder.follow(mid)

    def _takers(self, ladder: Ladder, source: random.Random, mid: float, drift: float) -> Iterator[Print]:
        bid, ask = round(mid - 1), round(mid + 1)
        yield from ladder.sweep(Side.BUY, bid, 0.5)
        yield from ladder.sweep(Side.SELL, ask, 0.5)
        lean = 0.5 + max(-0.3, min(0.3, drift / (self._sigma or 1) * 0.5))
        while source.random() < 1 - math.exp(-2.5 * self._step_s):
            taker = Side.BUY if source.random() < lean else Side.SELL
            print_ = ladder.trade(taker, ladder.size(0.15))
            if print_ is not None:
                yield print_
