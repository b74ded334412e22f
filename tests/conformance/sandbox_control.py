"""A hand on any crypto venue of the sandbox, in this process: the venue's exchange moves, its fault plan spoils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import OrderSide
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.fault_plan import read_plan, read_rule
from autotrader_lab.sandbox.orders import OrderRequest, OrderType, Side, TimeInForce
from autotrader_lab.sandbox.units import parse_e8
from autotrader_lab.testing import Fault, Request, VenueControl

SILENCE_S = 1.2
"""How long the sandbox keeps an answer back; adapters under test give up well before."""

_RULES: dict[Fault, dict[str, Any]] = {
    Fault.LOSE_REQUEST: {"do": "drop_before"},
    Fault.LOSE_ANSWER: {"do": "drop_after"},
    Fault.SILENCE: {"do": "delay", "seconds": SILENCE_S, "point": "answer"},
    Fault.SERVER_ERROR: {"do": "error", "point": "answer"},
    Fault.RUBBISH: {"do": "rubbish"},
    Fault.RATE_LIMIT: {"do": "rate_limit", "retry_after_s": 1},
}


class SandboxControl(VenueControl):
    """A hand on one world of one venue.

    Parameters
    ----------
    box : Sandbox
        Started, with ``speed=0``.
    venue : str
        Its name in the sandbox.
    instrument : Instrument
    successor : callable
        Makes a further adapter on the same account.
    bad_events : sequence of str
        Frames of the private stream that make no sense.
    world : str
    """

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault) - {Fault.TIME}
    cannot: ClassVar[dict[Fault, str]] = {Fault.TIME: "the sandbox runs on the machine's clock here"}

    def __init__(
        self,
        box: Sandbox,
        venue: str,
        instrument: Instrument,
        successor: Callable[[], BaseBrokerAdapter],
        bad_events: Sequence[str] = ("{}", '{"event": {"e": 1}}', "no JSON", "[]", '{"event": {"e": "exec'),
        world: str = "testnet",
    ) -> None:
        self._box = box
        self._venue = venue
        self._world_name = world
        self._world = box.sites[venue].worlds[world]
        self._exchange = self._world.exchange
        self._symbol = self._exchange_symbol(instrument)
        self._account = next(iter(self._exchange.accounts.values()))
        self._successor = successor
        self._bad_events = bad_events
        self._lines: list[Any] = []
        self._is_mute = False
        self._is_doubling = False
        self._held: list[tuple[Any, str]] | None = None
        self._plan_outgoing = box.faults.outgoing
        # Every private frame of every venue passes here.
        box.faults.outgoing = self._outgoing  # type: ignore[method-assign]
        plan_minds = box.faults.minds
        box.faults.minds = lambda channel: channel == "user" or plan_minds(channel)  # type: ignore[method-assign]

    def _exchange_symbol(self, instrument: Instrument) -> str:
        names = {name.replace("-", "").replace("/", ""): name for name in self._exchange.instruments}
        return names[instrument.base + instrument.quote]

    # --- the market -------------------------------------------------------------------------------------------

    async def price(self) -> float:
        return float(self._exchange.last_price[self._symbol] / 1e8)

    async def set_price(self, price: float) -> None:
        push_price(self._world, self._symbol, _e8(price))
        self._world.publish()

    async def trade(self, side: OrderSide, price: float, quantity: float) -> None:
        taker = Side.BUY if side is OrderSide.BUY else Side.SELL
        self._exchange.market_trade(self._symbol, taker, _e8(price), _e8(quantity), self._world.now_ms())
        self._world.publish()

    async def taken(self) -> list[str]:
        orders = [order for orders in self._account.orders.values() for order in orders.values()]
        return [order.client_order_id for order in sorted(orders, key=lambda order: order.order_id)]

    async def cancel(self, client_order_id: str) -> None:
        order = self._account.open_by_client_id[self._symbol, client_order_id]
        self._exchange.cancel(self._account.name, order, self._world.now_ms())
        self._world.publish()

    async def foreign_order(self, side: OrderSide, quantity: float, price: float) -> str:
        request = OrderRequest(
            symbol=self._symbol,
            side=Side.BUY if side is OrderSide.BUY else Side.SELL,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=_e8(quantity),
            price=_e8(price),
            client_order_id="theirs",
        )
        order = self._exchange.place(self._account.name, request, self._world.now_ms())
        self._world.publish()
        return str(order.order_id)

    def successor(self) -> BaseBrokerAdapter:
        return self._successor()

    # --- the line ---------------------------------------------------------------------------------------------

    async def provoke(self, fault: Fault, on: Request = "submit") -> None:
        where = {"venue": self._venue, "world": self._world_name}
        if fault in _RULES:
            self._box.faults.once(read_rule({**_RULES[fault], "where": {**where, "kind": on}}))
        elif fault is Fault.DOWN:
            self._box.faults.replace(read_plan({"rules": [{"do": "error", "where": where}]}))
        elif fault is Fault.CUT:
            self._box.sites[self._venue].venues[self._world_name].drop()
        elif fault is Fault.MUTE:
            self._is_mute = True
        elif fault is Fault.DUPLICATE:
            self._is_doubling = True
        elif fault is Fault.REORDER:
            self._held = []
        elif fault is Fault.BAD_EVENT:
            for line in self._lines:
                for text in self._bad_events:
                    line.put(text)
        else:
            raise AssertionError(f"{fault} is no fault of the line")

    async def calm(self) -> None:
        self._box.faults.replace(read_plan({}))
        self._is_mute = self._is_doubling = False
        held, self._held = self._held or [], None
        for line, text in reversed(held):
            line.put(text)

    def _outgoing(self, passing: Any, text: str, line: Any, notice: Callable[[], str]) -> None:
        if passing.channel != "user" or (passing.venue, passing.world) != (self._venue, self._world_name):
            self._plan_outgoing(passing, text, line, notice)
            return
        if line not in self._lines:
            self._lines.append(line)
        if self._held is not None:
            self._held.append((line, text))
        elif not self._is_mute:
            for _ in range(2 if self._is_doubling else 1):
                self._plan_outgoing(passing, text, line, notice)

    async def close(self) -> None:
        await self._box.stop()


def _e8(value: float) -> int:
    return parse_e8(f"{value:.8f}")
