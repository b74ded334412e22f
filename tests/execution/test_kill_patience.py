"""A venue that hangs does not keep the kill switch from telling a person that nothing is verified."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.execution import ExecutionEngine, KillSwitch, TradingState
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.market_data import LocalFeed
from autotrader_lab.model.orders import Order, OrderSide, OrderType
from autotrader_lab.strategy.contract import Strategy

SYMBOL = "BTC/USDT"


class Idle(Strategy):
    """Decides nothing."""


class Hanging(PaperTradingAdapter):
    """Paper, at a venue that takes requests and never answers while it hangs."""

    hangs: str = ""

    async def cancel_order(self, order_id: str) -> bool:
        if "cancel" in self.hangs:
            await asyncio.Event().wait()
        return await super().cancel_order(order_id)

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        if "ask" in self.hangs:
            await asyncio.Event().wait()
        return await super().get_open_orders(symbol)


@pytest.mark.parametrize("what", ["cancel", "ask", "cancel and ask"])
async def test_a_venue_that_hangs_is_not_waited_for(what: str) -> None:
    venue = Hanging(latency_ms=0, slippage_bps=0, commission_bps=0, currency="USDT")
    engine = ExecutionEngine(Idle(), venue, feed=LocalFeed(), symbols=(SYMBOL,))
    await engine.start()
    try:
        venue.set_price(SYMBOL, 50_000.0)
        engine.trader.book.mark(SYMBOL, 50_000.0, engine.clock.now_ns())
        order = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 0.1, OrderType.LIMIT, 45_000.0)
        assert order.is_open
        venue.hangs = what
        switch = KillSwitch(engine, attempts=2, retry_s=0.0, answer_s=0.05)
        async with asyncio.timeout(30):
            report = await switch.activate("hanging", disconnect=False)
        assert not report.verified
        assert engine.guard.state is TradingState.HALTED
        codes = {alert.code for _, alert in engine.guard.alerts}
        assert ("CANCEL_FAILED" in codes) is ("cancel" in what)
        assert ("KILL_UNVERIFIED" in codes) is ("ask" in what)
        venue.hangs = ""
        assert (await KillSwitch(engine).activate("again", disconnect=False)).verified
        assert not order.is_open
    finally:
        venue.hangs = ""
        await engine.stop()
