"""Oanda over real sockets, in the suite that every venue's adapter passes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from sandbox_control import SandboxControl

from autotrader_lab.execution.adapters.oanda import OandaAdapter
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import Order, OrderSide
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.venues.oanda.reading import read_order
from autotrader_lab.testing import AdapterConformance, Bench, Fault, Harness

EURUSD = Instrument(
    "EUR/USD", Decimal("0.00001"), Decimal(1), "oanda", "EUR_USD", "EUR", "USD", Decimal(1), Decimal(100_000_000)
)
NONSENSE = (
    "no JSON",
    "{}",
    "[]",
    '{"type": "ORDER_FILL"}',
    '{"type": "ORDER_FILL", "id": "999999001", "time": "never", "orderID": "1"}',
    '{"type": "ORDER_FILL", "id": "x", "time": "1", "orderID": "1", "units": "many", "instrument": "EUR_USD"}',
    '{"type": "SOMETHING_NEW", "id": null, "time": "1"}',
    '{"type": "HEARTBEAT", "lastTransactionID": "soon"}',
    '{"type": "LIMIT_ORD',
)


class OandaControl(SandboxControl):
    """The dealer's desk has every order; nobody but the dealer meets them."""

    faults: ClassVar[frozenset[Fault]] = SandboxControl.faults - {Fault.PARTIAL}
    cannot: ClassVar[dict[Fault, str]] = {
        **SandboxControl.cannot,
        Fault.PARTIAL: "Oanda is a dealer: it fills an order with one transaction, whole or as much as there will be",
    }

    def _exchange_symbol(self, instrument: Instrument) -> str:
        return instrument.venue_symbol

    @property
    def _desk(self) -> Any:
        return self._box.sites[self._venue].venues[self._world_name].desk

    async def taken(self) -> list[str]:
        made = (order for order in self._desk.orders.values() if "replacesOrderID" not in order.details)
        return [order.client_id or str(order.order_id) for order in made]

    async def cancel(self, client_order_id: str) -> None:
        self._desk._cancel(self._desk.find_order(f"@{client_order_id}"), "MIGRATION")
        self._world.publish()

    async def foreign_order(self, side: OrderSide, quantity: float, price: float) -> str:
        return self.rest_foreign(side, quantity, price, "theirs")

    def rest_foreign(self, side: OrderSide, quantity: float, price: float, name: str = "") -> str:
        wish = {
            "type": "LIMIT",
            "instrument": "EUR_USD",
            "units": f"{quantity * side.sign:.0f}",
            "price": f"{price:.5f}",
            "clientExtensions": {"id": name} if name else {},
        }
        answer = self._desk.create(read_order(wish))
        self._world.publish()
        return str(answer["orderCreateTransaction"]["id"])


async def oanda_harness() -> Harness:
    box = Sandbox(seed=7, speed=0, venues=["oanda"])
    await box.start()
    at = box.addresses["oanda"]

    def make() -> OandaAdapter:
        return OandaAdapter.on_sandbox(at, timeout_s=0.9, arrival_window_s=0.3, paced=False)

    control = OandaControl(box, "oanda", EURUSD, make, NONSENSE)
    secrets = (at["token"], at["live"]["token"])
    return Harness(make(), control, EURUSD, SystemClock(), away=0.04, settle_s=0.05, secrets=secrets)


class TestOanda(AdapterConformance):
    async def make(self) -> Harness:
        return await oanda_harness()

    async def _too_big(self, bench: Bench) -> Order:
        """Oanda looks at the margin when it fills; what it refuses is one pending order more than it allows."""
        control: OandaControl = bench.venue  # type: ignore[assignment]
        for _ in range(1_000):
            control.rest_foreign(OrderSide.BUY, 1, 0.5)
        return bench.order()
