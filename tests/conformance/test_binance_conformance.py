"""Binance over real sockets, by both ways of sending orders."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from sandbox_control import SandboxControl

from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.testing import AdapterConformance, Harness

BTC = Instrument(
    "BTC/USDT", Decimal("0.01"), Decimal("0.00001"), "binance", "BTCUSDT", "BTC", "USDT", min_notional=Decimal(5)
)


async def binance_harness(websocket_orders: bool = False) -> Harness:
    box = Sandbox(seed=7, speed=0)
    await box.start()
    at = box.addresses["binance"]

    def make() -> BinanceAdapter:
        return BinanceAdapter(
            at["api_key"],
            at["api_secret"],
            testnet=True,
            addresses=at,
            websocket_orders=websocket_orders,
            timeout_s=1.2,
            order_window_s=1.0,
        )

    control = SandboxControl(box, "binance", BTC, make)
    return Harness(make(), control, BTC, SystemClock(), settle_s=0.05, secrets=(at["api_secret"],))


class TestBinance(AdapterConformance):
    websocket_orders: ClassVar[bool] = False

    async def make(self) -> Harness:
        return await binance_harness(self.websocket_orders)


class TestBinanceOverWebSocket(TestBinance):
    websocket_orders = True
