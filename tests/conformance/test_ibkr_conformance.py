"""Interactive Brokers over real sockets, in the suite that every venue's adapter passes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from conformance.sandbox_control import SandboxControl

from autotrader_lab.execution.adapters.ibkr import IBKRAdapter
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import OrderSide
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.fault_plan import read_rule
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.venues.ibkr.contracts import Query
from autotrader_lab.sandbox.venues.ibkr.placing import Ticket
from autotrader_lab.sandbox.venues.ibkr.venue import IbkrVenue
from autotrader_lab.testing import AdapterConformance, Fault, Harness, Request

AAPL = Instrument(
    "AAPL", Decimal("0.01"), Decimal(1), "ibkr", "AAPL", "", "USD", min_quantity=Decimal(1), can_short=True
)
TIMEOUT_S = 0.4
SILENCE_S = 0.6
"""TWS answers in order: while an answer is kept back, so are those to what is asked after it."""

NONSENSE = (
    "no TWS at all",
    "5\x00",
    "5\x0013\x00265598\x00AAPL\x00",
    "3\x001\x00Dancing\x001\x000\x000\x007\x000\x000\x000\x00\x000\x00",
    "3\x00one\x00Submitted\x00",
    "11\x00-1\x001\x00265598\x00",
    "59\x001\x00x\x00much\x00USD\x00\x00\x00\x00",
    "9999\x00what is this\x00",
    "4\x002\x00-1\x00four\x00text\x00",
)


class IbkrControl(SandboxControl):
    faults: ClassVar[frozenset[Fault]] = SandboxControl.faults

    def _exchange_symbol(self, instrument: Instrument) -> str:
        return instrument.symbol

    @property
    def _door(self) -> IbkrVenue:
        door = self._box.sites["ibkr"].venues[self._world_name]
        assert isinstance(door, IbkrVenue)
        return door

    async def provoke(self, fault: Fault, on: Request = "submit") -> None:
        # A change is an order under the same number.
        kind = "submit" if on == "amend" else on
        if fault is Fault.SILENCE:
            where = {"venue": "ibkr", "world": self._world_name, "kind": kind}
            rule: dict[str, Any] = {"do": "delay", "seconds": SILENCE_S, "point": "answer", "where": where}
            self._box.faults.once(read_rule(rule))
            return
        await super().provoke(fault, kind)

    async def foreign_order(self, side: OrderSide, quantity: float, price: float) -> str:
        ticket = Ticket(
            order_id=1,
            query=Query(con_id=265598, exchange="SMART"),
            side=Side.BUY if side is OrderSide.BUY else Side.SELL,
            quantity=round(quantity) * 10**8,
            type_name="LMT",
            limit=round(price * 100) * 10**6,
            stop=0,
            time_in_force="GTC",
            account="",
            reference="theirs",
            good_till="",
            outside_hours=False,
            what_if=False,
        )
        api = self._door.gateway.place(77, ticket)
        self._world.publish()
        return str(api.perm_id)


async def ibkr_harness() -> Harness:
    """The paper gateway, without its pace: the suite asks faster than any strategy would."""
    box = Sandbox(seed=7, speed=0, venues=("ibkr",))
    await box.start()
    at = box.addresses["ibkr"]

    def make() -> IBKRAdapter:
        return IBKRAdapter.on_sandbox(
            at, timeout_s=TIMEOUT_S, commission_wait_s=0.1, messages_1s=0, contracts={"AAPL": {"symbol": "AAPL"}}
        )

    control = IbkrControl(box, "ibkr", AAPL, make, NONSENSE)
    control._door.pace.messages_1s = 0
    await control.set_price(190.0)
    return Harness(make(), control, AAPL, SystemClock(), settle_s=0.05)


class TestIbkr(AdapterConformance):
    async def make(self) -> Harness:
        return await ibkr_harness()
