"""An adapter that has the specification's nine methods and nothing else is proven by the same suite."""

from __future__ import annotations

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter, Capabilities
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.model.errors import OrderError
from autotrader_lab.model.orders import Order
from autotrader_lab.testing import AdapterConformance, Harness, PaperControl, paper_harness


class NineMethods(BaseBrokerAdapter):
    """Written as the specification writes adapters: fills through ``subscribe_fills``, everything else by asking."""

    venue = "nine"
    capabilities = Capabilities(shorting=False)

    def __init__(self, remote: PaperTradingAdapter) -> None:
        self.remote = remote
        self.instruments = remote.instruments
        remote.subscribe_fills(self._notify_fills)

    async def connect(self) -> bool:
        return await self.remote.connect()

    async def disconnect(self) -> None:
        await self.remote.disconnect()

    async def submit_order(self, order: Order) -> Order:
        if order.post_only:
            raise OrderError(f"order {order.client_order_id}: post_only does not exist here")
        answer = (await self.remote.submit_order(order.copy())).copy()
        self.orders[answer.order_id] = answer
        return answer

    async def cancel_order(self, order_id: str) -> bool:
        return await self.remote.cancel_order(order_id)

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        return await self.remote.modify_order(order_id, quantity, price)

    async def get_order_status(self, order_id: str) -> Order:
        return await self.remote.get_order_status(order_id)

    async def get_positions(self) -> dict[str, float]:
        return await self.remote.get_positions()

    async def get_account_balance(self) -> dict[str, float]:
        return await self.remote.get_account_balance()


class TestNineMethods(AdapterConformance):
    async def make(self) -> Harness:
        paper = paper_harness(latency_ms=0)
        remote = paper.adapter
        assert isinstance(remote, PaperTradingAdapter)
        return Harness(NineMethods(remote), PaperControl(remote), paper.instrument, paper.clock)
