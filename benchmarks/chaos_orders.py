"""The load of the chaos benchmark: workers that place, change and cancel orders through a real engine, come what may.

They behave as a careful strategy does: they send while the engine lets them, and take errors as news.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from random import Random

from venue_kit import Kit

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.execution.risk import TradingState
from autotrader_lab.model.errors import (
    NotConnected,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    VenueUnavailable,
)
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType

__all__ = ["Load"]

EXPECTED = (VenueUnavailable, NotConnected, OutcomeUnknown, OrderRefused, OrderNotFound, OrderError)
"""What asking for something may end in while faults are on; anything else ends the benchmark."""

MOST_LEFT = 10
MIX = {"market": 3, "crossing": 3, "resting": 3, "touching": 2, "ioc": 2, "smaller": 1, "repriced": 2}


class Load:
    """Places orders until enough were sent.

    Parameters
    ----------
    engine : ExecutionEngine
        Started.
    wanted : int
        Orders to send, replacements included.
    seed : int
    kit : Kit
        How large orders are at the venue, and how far from the market.
    """

    def __init__(self, engine: ExecutionEngine, wanted: int, seed: int, kit: Kit) -> None:
        self.engine = engine
        self.wanted = wanted
        self.kit = kit
        # Most to hold of one symbol, and how much at least before some is sold, quote currency.
        self.max_value, self.min_value = 5_000.0 * kit.scale, 600.0 * kit.scale
        self.errors: Counter[str] = Counter()
        self.denied: Counter[str] = Counter()
        self._left: list[Order] = []
        self._next_s = 0.0
        self._random = Random(f"load/{seed}")

    @property
    def sent(self) -> int:
        """Orders on their way or gone, replacements included."""
        return self.engine.trader.desk.sent

    async def run(self, workers: int) -> None:
        """Let `workers` work at once until enough was sent."""
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(Random(self._random.random())), name=f"load {number}")

    async def _work(self, random: Random) -> None:
        while self.sent < self.wanted:
            if not self._may_send():
                await asyncio.sleep(0.02)
                continue
            if len(self._left) > MOST_LEFT:
                await self._end(self._left.pop(0))
            await self._turn()
            symbol = random.choice(self.engine.symbols)
            action = random.choices(list(MIX), list(MIX.values()))[0]
            try:
                await getattr(self, f"_{action}")(random, symbol)
            except EXPECTED as error:
                self.errors[f"{action}: {type(error).__name__}"] += 1
                await asyncio.sleep(0.01)

    async def _turn(self) -> None:
        """Wait until the venue's limits let somebody do something again."""
        if self.kit.orders_1s is not None:
            now_s = asyncio.get_running_loop().time()
            self._next_s = max(self._next_s + 1 / self.kit.orders_1s, now_s)
            await asyncio.sleep(self._next_s - now_s)

    def _may_send(self) -> bool:
        engine = self.engine
        quoted = all(symbol in engine.trader.book.bid_ask for symbol in engine.symbols)
        circuit_open = engine.resiliency is not None and engine.resiliency.circuit_open
        return quoted and not circuit_open and engine.guard.state is TradingState.ACTIVE

    # --- what they do -------------------------------------------------------------------------------------------

    async def _market(self, random: Random, symbol: str) -> None:
        side = self._side(random, symbol)
        await self._submit(random, symbol, side, OrderType.MARKET)

    async def _crossing(self, random: Random, symbol: str) -> None:
        side = self._side(random, symbol)
        kind = OrderType.LIMIT if self.kit.crosses else OrderType.FOK
        await self._submit(random, symbol, side, kind, self._price(symbol, side, 0.002))

    async def _ioc(self, random: Random, symbol: str) -> None:
        side = self._side(random, symbol)
        through = random.choice([0.001, 0.0, -0.0002])
        await self._submit(random, symbol, side, OrderType.IOC, self._price(symbol, side, through))

    async def _resting(self, random: Random, symbol: str) -> None:
        order = await self._submit(random, symbol, OrderSide.BUY, OrderType.LIMIT, self._away(random, symbol))
        await asyncio.sleep(random.uniform(0, 0.1))
        await self._end(order)

    async def _touching(self, random: Random, symbol: str) -> None:
        side = self._side(random, symbol)
        order = await self._submit(random, symbol, side, OrderType.LIMIT, self._price(symbol, side, -0.0001))
        await asyncio.sleep(random.uniform(0, 0.5))
        await self._end(order)

    async def _smaller(self, random: Random, symbol: str) -> None:
        order = await self._submit(random, symbol, OrderSide.BUY, OrderType.LIMIT, self._away(random, symbol), lots=4)
        if order.is_open:
            instrument = self.engine.trader.instrument(symbol)
            less = instrument.round_quantity(Decimal(str(order.quantity)) * 3 / 4)
            order = await self.engine.oms.modify_order(order.client_order_id, quantity=float(less))
        await self._end(order)

    async def _repriced(self, random: Random, symbol: str) -> None:
        order = await self._submit(random, symbol, OrderSide.BUY, OrderType.LIMIT, self._away(random, symbol))
        if order.is_open:
            near = 0.002 if self.kit.crosses else -0.0005
            price = random.choice([self._away(random, symbol), self._price(symbol, OrderSide.BUY, near)])
            order = await self.engine.oms.modify_order(order.client_order_id, price=price)
        await self._end(order)

    async def _submit(
        self, random: Random, symbol: str, side: OrderSide, kind: OrderType, price: float | None = None, lots: int = 1
    ) -> Order:
        quantity = self._quantity(random, symbol, side) * lots
        order = await self.engine.oms.submit_order(
            symbol, side, float(quantity), kind, price, metadata={"target": float(quantity)}
        )
        if order.status is OrderStatus.DENIED:
            self.denied[order.reason.split(" ")[0]] += 1
            await asyncio.sleep(0.2)
        return order

    async def _end(self, order: Order) -> None:
        """Cancel what still works; what does not want to, or is in doubt, is tried again later."""
        if order.is_open and order.status is not OrderStatus.UNKNOWN:
            try:
                await self.engine.oms.cancel_order(order.client_order_id)
            except EXPECTED as error:
                self.errors[f"cancel: {type(error).__name__}"] += 1
                await asyncio.sleep(0.05)
        if order.is_open:
            self._left.append(order)

    # --- sizes and prices ---------------------------------------------------------------------------------------

    def _side(self, random: Random, symbol: str) -> OrderSide:
        book = self.engine.trader.book
        held = book.position(symbol) - book.working(symbol, OrderSide.SELL)
        value = float(held) * book.bid_ask[symbol][0]
        if value < self.min_value:
            return OrderSide.BUY
        return random.choice([OrderSide.SELL, OrderSide.BUY]) if value < self.max_value else OrderSide.SELL

    def _quantity(self, random: Random, symbol: str, side: OrderSide) -> Decimal:
        book = self.engine.trader.book
        value = random.uniform(30, 180) * self.kit.scale
        instrument = self.engine.trader.instrument(symbol)
        return instrument.round_quantity(Decimal(str(value / book.bid_ask[symbol][0])))

    def _price(self, symbol: str, side: OrderSide, through: float) -> float:
        """A price so far through the market's other side (negative: short of our own side)."""
        bid, ask = self.engine.trader.book.bid_ask[symbol]
        touch = (ask if side is OrderSide.BUY else bid) if through >= 0 else (bid if side is OrderSide.BUY else ask)
        wanted = touch * (1 + side.sign * through * self.kit.calm)
        return float(self.engine.trader.instrument(symbol).round_price(wanted))

    def _away(self, random: Random, symbol: str) -> float:
        return self._price(symbol, OrderSide.BUY, -random.uniform(0.01, 0.03))
