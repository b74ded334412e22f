"""Coinbase Advanced Trade over real sockets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox_control import SandboxControl

from autotrader_lab.execution.adapters.coinbase import CoinbaseAdapter
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import OrderSide
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.testing import AdapterConformance, Harness

BTC = Instrument(
    "BTC/USDT", Decimal("0.01"), Decimal("0.00001"), "coinbase", "BTC-USDT", "BTC", "USDT", min_notional=Decimal(1)
)

BAD_EVENTS = (
    "{}",
    "[]",
    '{"channel": "user", "timestamp": "2024-01-01T00:00:00Z", "events": [{"orders": [{"status": "SIDEWAYS"}]}]}',
    '{"channel": "user", "timestamp": "soon", "events": []}',
    '{"channel": "user", "timestamp": "2024-01-01T00:00:00Z", "events": null}',
    '{"type": "error", "message": "something"}',
    "no JSON",
    '{"channel": "us',
)


class CoinbaseControl(SandboxControl):
    """The venue keeps a ticket of every order."""

    @property
    def _desk(self) -> Any:
        return self._box.sites[self._venue].venues[self._world_name].api.desk

    async def foreign_order(self, side: OrderSide, quantity: float, price: float) -> str:
        size = {"base_size": f"{quantity:.5f}", "limit_price": f"{price:.2f}"}
        body = {
            "client_order_id": "theirs",
            "product_id": "BTC-USDT",
            "side": side.name,
            "order_configuration": {"limit_limit_gtc": size},
        }
        answer = self._desk.create(self._account, body)
        self._world.publish()
        return str(answer["success_response"]["order_id"])


async def coinbase_harness() -> Harness:
    box = Sandbox(seed=7, speed=0, venues=["coinbase"])
    await box.start()
    at = box.addresses["coinbase"]

    def make() -> CoinbaseAdapter:
        return CoinbaseAdapter(at["api_key"], at["pem"], testnet=True, addresses=at, timeout_s=1.2, paced=False)

    control = CoinbaseControl(box, "coinbase", BTC, make, BAD_EVENTS)
    secret = at["pem"].splitlines()[1]
    return Harness(make(), control, BTC, SystemClock(), settle_s=0.1, secrets=(at["pem"], secret))


class TestCoinbase(AdapterConformance):
    async def make(self) -> Harness:
        return await coinbase_harness()
