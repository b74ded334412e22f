"""Values and rules: what everything else is made of. Pure; no I/O and no wall clock but in :mod:`.clock`."""

from autotrader_lab.model.clock import Clock, SimulatedClock, SystemClock, from_ns, to_ns
from autotrader_lab.model.instruments import Instrument, Instruments, exact
from autotrader_lab.model.market import Bar, Book, MarketEvent, Quote, Trade
from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.model.positions import Position, Positions

__all__ = [
    "Bar",
    "Book",
    "Clock",
    "Fill",
    "Instrument",
    "Instruments",
    "MarketEvent",
    "Order",
    "OrderSide",
    "OrderStatus",
    "OrderType",
    "Position",
    "Positions",
    "Quote",
    "SimulatedClock",
    "SystemClock",
    "Trade",
    "exact",
    "from_ns",
    "to_ns",
]
