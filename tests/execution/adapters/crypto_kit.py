"""An OKX or Coinbase adapter on a sandbox whose market stands still, over real sockets."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.ccxt_venue import CcxtAdapter
from autotrader_lab.execution.adapters.coinbase import CoinbaseAdapter
from autotrader_lab.execution.adapters.okx import OKXAdapter
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderType, Report
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.units import parse_e8
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo

BTC = "BTC/USDT"
_numbers = itertools.count(1)


class Spoil(Hooks):
    """Answers chosen requests itself, or lets something happen after them.

    Attributes
    ----------
    answers : dict of str to list of Answer
        By operation; used up one by one.
    asked : list of str
        Every operation that came.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.replace: dict[str, Any] = {}
        self.asked: list[str] = []

    async def before(self, request: RequestInfo) -> Answer | None:
        self.asked.append(request.operation)
        waiting = self.answers.get(request.operation)
        return waiting.pop(0) if waiting else None

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        change = self.replace.get(request.operation)
        return answer if change is None else change(answer)


@dataclass
class CryptoDesk:
    """What a test holds."""

    box: Sandbox
    adapter: Any
    venue: str
    world_name: str
    hooks: Spoil
    reports: list[Report] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def world(self) -> Any:
        return self.box.sites[self.venue].worlds[self.world_name]

    @property
    def face(self) -> Any:
        """The venue's own side of the wire."""
        return self.box.sites[self.venue].venues[self.world_name]

    @property
    def symbol(self) -> str:
        return next(name for name in self.world.exchange.instruments if name.replace("-", "") == "BTCUSDT")

    @property
    def account(self) -> Any:
        return next(iter(self.world.exchange.accounts.values()))

    @property
    def price(self) -> float:
        return float(self.world.exchange.last_price[self.symbol] / 1e8)

    def near(self, factor: float) -> float:
        """A price on the grid, `factor` times the market's."""
        return float(self.adapter.instruments.find(BTC).round_price(self.price * factor))

    def order(
        self, side: str = "buy", kind: OrderType = OrderType.LIMIT, quantity: float = 0.01, **fields: Any
    ) -> Order:
        fields.setdefault("client_order_id", f"t-{next(_numbers)}")
        return Order("", BTC, OrderSide(side), kind, quantity, **fields)

    def move(self, price: float) -> None:
        """The market goes to `price` and fills whoever stands in its way."""
        push_price(self.world, self.symbol, parse_e8(f"{price:.2f}"))
        self.world.publish()

    def hit(self, side: str, price: float, quantity: float) -> None:
        """The outside market trades; `side` is its own."""
        taker = Side.BUY if side == "buy" else Side.SELL
        now_ms = self.world.now_ms()
        self.world.exchange.market_trade(self.symbol, taker, parse_e8(f"{price:.2f}"), parse_e8(str(quantity)), now_ms)
        self.world.publish()

    def kinds(self, order: Order) -> list[str]:
        return [type(r).__name__ for r in self.reports if r.client_order_id == order.client_order_id]

    def filled(self, order: Order) -> Decimal:
        return sum((exact(f.quantity) for f in self.fills if f.client_order_id == order.client_order_id), Decimal(0))

    def again(self) -> Any:
        """A later process's adapter on the same account, heard by this desk too."""
        later = make_adapter(self.venue, self.box.addresses[self.venue], self.world_name == "live")
        later.subscribe_reports(self.reports.append)
        later.subscribe_fills(self.fills.append)
        return later


def make_adapter(venue: str, addresses: Any, live: bool = False, **options: Any) -> CcxtAdapter:
    """An adapter for the sandbox at `addresses`; `options` replace what they say."""
    at = addresses["live"] if live else addresses
    common = {"testnet": not live, "addresses": addresses, "paced": False}
    if venue == "okx":
        given = {name: at[name] for name in ("api_key", "api_secret", "passphrase")}
        return OKXAdapter(**{**given, **common, **options})
    return CoinbaseAdapter(**{"api_key": at["api_key"], "api_secret": at["pem"], **common, **options})


@asynccontextmanager
async def crypto_desk(
    venue: str, *, live: bool = False, connect: bool = True, sandbox: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[CryptoDesk]:
    """A sandbox whose market stands still, and a connected adapter on it."""
    hooks = Spoil()
    async with Sandbox(seed=7, speed=0, venues=[venue], hooks=hooks, **(sandbox or {})) as box:
        adapter = make_adapter(venue, box.addresses[venue], live, **options)
        held = CryptoDesk(box, adapter, venue, "live" if live else "testnet", hooks)
        adapter.subscribe_reports(held.reports.append)
        adapter.subscribe_fills(held.fills.append)
        adapter.subscribe_connection(lambda state, reason: held.states.append(state))
        try:
            if connect:
                await adapter.connect()
            yield held
        finally:
            await adapter.disconnect()
