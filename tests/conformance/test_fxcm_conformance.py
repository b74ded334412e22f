"""FXCM over real sockets, in the suite that every venue's adapter passes."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from conformance.sandbox_control import SandboxControl

from autotrader_lab.execution.adapters.fxcm import FXCMAdapter
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.testing import AdapterConformance, Fault, Harness

EURUSD = Instrument(
    "EUR/USD",
    Decimal("0.00001"),
    Decimal(1000),
    "fxcm",
    "EUR/USD",
    "EUR",
    "USD",
    min_quantity=Decimal(1000),
    max_quantity=Decimal(50_000_000),
)
NONSENSE = (
    "no FIX at all",
    "35=8\x0137=1",
    "35=8\x0137=1\x0139=Z\x0154=1\x0155=EUR/USD",
    "35=8\x0137=1\x0139=0\x0154=1\x0155=EUR/USD\x0114=many",
    "35=W\x0155=EUR/USD\x01268=7",
    "35=AP\x019041=1\x0155=EUR/USD",
    "35=BA\x011=somebody",
    "35=zz\x0158=what is this",
    "35=3\x0145=first",
)


class FxcmControl(SandboxControl):
    faults: ClassVar[frozenset[Fault]] = SandboxControl.faults - {Fault.RATE_LIMIT}
    cannot: ClassVar[dict[Fault, str]] = {
        **SandboxControl.cannot,
        Fault.RATE_LIMIT: "FXCM publishes no message by which it asks to wait",
    }


class TestFxcm(AdapterConformance):
    async def make(self) -> Harness:
        box = Sandbox(seed=7, speed=0, venues=("fxcm",))
        await box.start()
        at = box.addresses["fxcm"]

        def make() -> FXCMAdapter:
            return FXCMAdapter.on_sandbox(at, timeout_s=1.0)

        control = FxcmControl(box, "fxcm", EURUSD, make, NONSENSE)
        await control.set_price(1.1)
        # FXCM takes no waiting limit order that is better for the market than the market: through means to it.
        return Harness(
            make(),
            control,
            EURUSD,
            SystemClock(),
            through=0.0000091,
            settle_s=0.05,
            secrets=(at["password"], at["live"]["password"]),
        )
