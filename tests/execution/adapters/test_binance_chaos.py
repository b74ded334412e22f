"""Lost answers, refusals, duplicated, delayed and swallowed events and cut lines together: the books still agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from binance_kit import BTC, desk, until

from autotrader_lab.model.errors import OrderNotFound, OutcomeUnknown, VenueUnavailable
from autotrader_lab.model.orders import Order, OrderStatus, OrderType
from autotrader_lab.sandbox.venues.binance.calls import Answer
from autotrader_lab.sandbox.venues.binance.hooks import Hooks, RequestInfo


class Chaos(Hooks):
    """Spoils a share of everything, the same way for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._late: list[str] = []
        self.on = True
        self.done: Counter[str] = Counter()

    def _strikes(self, what: str, share: float) -> bool:
        struck = self.on and self._random.random() < share
        self.done[what] += struck
        return struck

    async def before(self, request: RequestInfo) -> Answer | None:
        if self._strikes("unavailable", 0.03):
            return Answer(503, {"code": -1008, "msg": "Server is currently overloaded with other requests."})
        return None

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        return None if self._strikes("lost answer", 0.05) else answer

    def outgoing(self, world: str, channel: str, text: str) -> tuple[str, ...]:
        if channel != "user":
            return (text,)
        if self._strikes("delayed", 0.15):
            self._late.append(text)
            return ()
        late, self._late = self._late, []
        return (text, text, *late) if self._strikes("doubled", 0.1) else (text, *late)


@pytest.mark.parametrize("websocket_orders", [False, True], ids=["rest", "websocket"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_after_any_chaos_every_order_and_fill_is_the_venues(seed: int, websocket_orders: bool) -> None:
    chaos, random = Chaos(seed), Random(seed)
    chaos.on = False
    async with desk(sandbox={"hooks": chaos}, websocket_orders=websocket_orders, timeout_s=1) as held:
        chaos.on = True
        orders: list[Order] = []
        for number in range(120):
            await one_step(held, orders, random)
            if number % 30 == 29:
                held.box.venues["testnet"].websocket_api.drop()
        chaos.on = False
        await until(lambda: held.adapter._stream.is_live)
        # What the last delayed events would have said is asked for, as it is after every cut.
        held.box.venues["testnet"].websocket_api.drop()
        cuts = held.states.count("restored")
        await until(lambda: held.states.count("restored") > cuts)

        assert min(chaos.done[what] for what in ("unavailable", "lost answer", "delayed", "doubled")) > 0
        venue = {order.client_order_id: order for order in held.venue_orders()}
        assert len(venue) == len(held.venue_orders()), "no client id was used twice"
        assert set(venue) <= {order.client_order_id for order in orders}
        for order in orders:
            theirs = venue.get(order.client_order_id)
            if theirs is None:
                assert order.status in (OrderStatus.UNKNOWN, OrderStatus.REJECTED)
                assert await held.adapter.find_order(order.client_order_id, BTC) is None
                continue
            assert exactly(order.filled_quantity) == Decimal(theirs.executed).scaleb(-8), order
            assert order.is_open == (order.order_id != "" and int(order.order_id) in held.account.open), order
        told = [fill.execution_id for fill in held.fills]
        assert len(told) == len(set(told)), "no fill twice"
        assert set(told) == {str(trade.trade_id) for trade in held.account.executions.get("BTCUSDT", ())}


async def one_step(held, orders: list[Order], random: Random) -> None:
    """Send, cancel or move the market; errors are what they are."""
    choice = random.random()
    working = [order for order in orders if order.is_open]
    try:
        if choice < 0.6 or not working:
            kind = random.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET, OrderType.IOC])
            side = random.choice(["buy", "sell"])
            factor = 1 + random.choice([0.001, 0.002, -0.001]) * (1 if side == "sell" else -1)
            price = None if kind is OrderType.MARKET else held.near(factor)
            order = held.order(side, kind, 0.001 * random.randint(1, 3), price=price)
            orders.append(order)
            await held.adapter.submit_order(order)
        elif choice < 0.75:
            await held.adapter.cancel_order(random.choice(working).client_order_id)
        else:
            held.move(held.near(1 + random.uniform(-0.002, 0.002)))
    except (OutcomeUnknown, VenueUnavailable, OrderNotFound):
        await asyncio.sleep(0)


def exactly(value: float) -> Decimal:
    return Decimal(repr(value))
