"""The hands on paper: controls and harnesses for ``PaperTradingAdapter`` alone and behind a line that can fail.

They are also the shortest examples of a control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.market import Quote, Trade
from autotrader_lab.model.orders import Order, OrderSide, OrderType
from autotrader_lab.testing.fakes import Line, UnreliableAdapter
from autotrader_lab.testing.harness import Fault, Harness, Request, VenueControl

__all__ = ["BTC", "LineControl", "PaperControl", "line_harness", "paper_harness"]

BTC = Instrument(
    symbol="BTC/USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    venue="paper",
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    min_quantity=Decimal("0.00001"),
    max_quantity=Decimal(9000),
    min_notional=Decimal(5),
    can_short=False,
)
_T0 = datetime(2024, 8, 9, 12, 0, tzinfo=UTC)
_NO_WIRE = "it runs in this process, there is no line"


class PaperControl(VenueControl):
    """A hand on a paper venue.

    Parameters
    ----------
    venue : PaperTradingAdapter
    instrument : Instrument
    price : float
        Where the market starts, quote currency.
    """

    faults: ClassVar[frozenset[Fault]] = frozenset({Fault.PARTIAL, Fault.TIME})
    cannot: ClassVar[Mapping[Fault, str]] = {
        **dict.fromkeys(set(Fault) - {Fault.PARTIAL, Fault.TIME}, _NO_WIRE),
        Fault.VENUE_CANCEL: "paper cancels nothing by itself but what the adapter told it to",
        Fault.FOREIGN: "nobody else has this account",
        Fault.RESTART: "the account is gone with its process; PaperTradingAdapter.restore rebuilds it",
    }

    def __init__(self, venue: PaperTradingAdapter, instrument: Instrument = BTC, price: float = 50_000.0) -> None:
        self.remote = venue
        self._instrument = instrument
        self._price = price
        venue.set_price(instrument.symbol, price)

    async def price(self) -> float:
        return self._price

    async def set_price(self, price: float) -> None:
        self._price = price
        now_ns = self.remote.clock.now_ns()
        self.remote.on_market(Quote(self._instrument.symbol, now_ns, price, price))
        self.remote.on_market(Trade(self._instrument.symbol, now_ns, price, float(self._instrument.lot_size)))

    async def trade(self, side: OrderSide, price: float, quantity: float) -> None:
        now_ns = self.remote.clock.now_ns()
        self.remote.on_market(Trade(self._instrument.symbol, now_ns, price, quantity))
        self.remote.set_price(self._instrument.symbol, self._price)

    async def taken(self) -> list[str]:
        return [name for name, order in self.remote.orders.items() if order.submitted_at is not None]

    async def pass_time(self, seconds: float) -> None:
        clock = self.remote.clock
        assert isinstance(clock, SimulatedClock), "time passes on a simulated clock only"
        await clock.advance(seconds)
        self.remote.set_price(self._instrument.symbol, self._price)

    async def close(self) -> None:
        """Nothing is open."""


class LineControl(PaperControl):
    """A hand on a paper venue and on the line to it.

    Parameters
    ----------
    venue : PaperTradingAdapter
    line : Line
    """

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault) - {Fault.BAD_EVENT}
    cannot: ClassVar[Mapping[Fault, str]] = {Fault.BAD_EVENT: "it carries values, not messages that could be spoiled"}

    def __init__(self, venue: PaperTradingAdapter, line: Line) -> None:
        super().__init__(venue)
        self.line = line

    async def provoke(self, fault: Fault, on: Request = "submit") -> None:
        self.line.provoke(fault, on)

    async def calm(self) -> None:
        self.line.calm()

    async def cancel(self, client_order_id: str) -> None:
        await self.remote.cancel_order(client_order_id)

    async def foreign_order(self, side: OrderSide, quantity: float, price: float) -> str:
        order = Order("", BTC.symbol, side, OrderType.LIMIT, quantity, price)
        return (await self.remote.submit_order(order)).order_id

    def successor(self) -> BaseBrokerAdapter:
        return UnreliableAdapter(self.remote, self.line)


def _paper(clock: SimulatedClock, latency_ms: float) -> PaperTradingAdapter:
    return PaperTradingAdapter(
        100_000,
        latency_ms=latency_ms,
        slippage_bps=2,
        commission_bps=10,
        clock=clock,
        seed=1,
        instruments=Instruments([BTC], venue="paper"),
        currency="USDT",
        holdings={BTC.symbol: 1},
    )


def paper_harness(latency_ms: float = 5.0) -> Harness:
    """Paper alone, on a stepped clock."""
    clock = SimulatedClock(_T0)
    adapter = _paper(clock, latency_ms)
    return Harness(adapter, PaperControl(adapter), BTC, clock)


def line_harness(amend: bool = True) -> Harness:
    """Paper behind a line that can fail, on a stepped clock; without `amend` a change is a cancel and a new order."""
    clock = SimulatedClock(_T0)
    venue = _paper(clock, 0.0)
    line = Line(clock)
    adapter = UnreliableAdapter(venue, line)
    adapter.capabilities = replace(adapter.capabilities, amend=amend)
    return Harness(adapter, LineControl(venue, line), BTC, clock)
