"""OKX over real sockets, by both ways of sending orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from sandbox_control import SandboxControl

from autotrader_lab.execution.adapters.ccxt_names import decode_name, encode_name
from autotrader_lab.execution.adapters.okx import OKXAdapter
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import OrderSide
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.testing import AdapterConformance, Harness, conforms
from autotrader_lab.testing.bench import Bench

BTC = Instrument("BTC/USDT", Decimal("0.01"), Decimal("0.00001"), "okx", "BTC-USDT", "BTC", "USDT")

BAD_EVENTS = (
    "{}",
    "[]",
    '{"arg": {"channel": "orders"}, "data": [{"instId": "BTC-USDT", "ordId": "1", "state": "sideways"}]}',
    '{"arg": {"channel": "orders"}, "data": [{"instId": "BTC-USDT", "state": "filled", "fillSz": "x"}]}',
    '{"arg": {"channel": "orders"}, "data": null}',
    '{"event": "error", "code": "60012", "msg": "Illegal request"}',
    "no JSON",
    '{"arg": {"channel": "ord',
)


class OkxControl(SandboxControl):
    """The venue writes our ids in letters and digits, and keeps a ticket of every order."""

    @property
    def _desk(self) -> Any:
        return self._box.sites[self._venue].venues[self._world_name].api.desk

    async def taken(self) -> list[str]:
        return [decode_name(name) for name in await super().taken()]

    async def cancel(self, client_order_id: str) -> None:
        await super().cancel(encode_name(client_order_id))

    async def foreign_order(self, side: OrderSide, quantity: float, price: float) -> str:
        row = {
            "instId": "BTC-USDT",
            "tdMode": "cash",
            "side": side.value,
            "ordType": "limit",
            "sz": f"{quantity:.5f}",
            "px": f"{price:.2f}",
            "clOrdId": "theirs",
        }
        answer = self._desk.place(self._account, row)
        self._world.publish()
        return str(answer["ordId"])


async def okx_harness(websocket_orders: bool = False) -> Harness:
    box = Sandbox(seed=7, speed=0, venues=["okx"])
    await box.start()
    at = box.addresses["okx"]

    def make() -> OKXAdapter:
        return OKXAdapter(
            at["api_key"],
            at["api_secret"],
            at["passphrase"],
            testnet=True,
            addresses=at,
            websocket_orders=websocket_orders,
            timeout_s=1.2,
            paced=False,
        )

    control = OkxControl(box, "okx", BTC, make, BAD_EVENTS)
    secrets = (at["api_secret"], at["passphrase"])
    return Harness(make(), control, BTC, SystemClock(), away=0.04, settle_s=0.05, secrets=secrets)


class TestOkx(AdapterConformance):
    websocket_orders: ClassVar[bool] = False

    async def make(self) -> Harness:
        return await okx_harness(self.websocket_orders)

    @conforms("native_dead_man_switch")
    async def test_the_venue_cancels_when_we_fall_silent(self, bench: Bench) -> None:
        order = await bench.rest()
        adapter = bench.adapter
        await adapter.arm_dead_man_switch(60)
        await adapter.arm_dead_man_switch(0)
        await adapter.arm_dead_man_switch(10)
        desk = bench.venue._desk  # type: ignore[attr-defined]
        # Ten seconds later by the venue's own clock.
        desk.deadlines.check(desk.world.now_ms() + 10_001)
        desk.world.publish()
        await bench.until(lambda: not order.is_open, "the venue's cancel")


class TestOkxOverWebSocket(TestOkx):
    websocket_orders = True
