"""The shadow paper book: same decisions, same market, its own assumptions, and no way to harm the real one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.execution.market_data.feeds import LocalFeed
from autotrader_lab.execution.shadow import ShadowBook
from autotrader_lab.journal import MemoryJournal, records
from autotrader_lab.ladder.shadow import parity_of
from autotrader_lab.model import Quote, SystemClock
from autotrader_lab.model.errors import JournalError
from autotrader_lab.strategy import Strategy

SYMBOL = "BTC/USDT"


class Says(Strategy):
    """One thing at each quote, in turn."""

    def __init__(self, *wishes: tuple[str, dict[str, Any]]) -> None:
        self.wishes = list(wishes)

    def on_quote(self, quote: Any, context: Any) -> Any:
        if not self.wishes:
            return None
        action, how = self.wishes.pop(0)
        if action == "close":
            return self.close(quote.symbol, context)
        return self.long(quote.symbol, 1.0, context, **how)


class Beside:
    """A paper account that plays the real one, and a shadow beside it."""

    def __init__(self, *wishes: tuple[str, dict[str, Any]], slippage_bps: float = 0, latency_ms: float = 0) -> None:
        self.feed = LocalFeed()
        self.adapter = PaperTradingAdapter(1e6, latency_ms=0, slippage_bps=0, commission_bps=0, allow_short=True)
        self.engine = ExecutionEngine(
            Says(*wishes), self.adapter, feed=self.feed, symbols=[SYMBOL], journal=MemoryJournal(), stage="testnet"
        )
        self.failures: list[str] = []
        self.shadow = ShadowBook(self.engine.trader.desk, latency_ms, slippage_bps, 0, self.failures.append)
        self.feed.subscribe(self.shadow.on_market)

    async def __aenter__(self) -> Beside:
        await self.engine.connect()
        self.shadow.open()
        await self.engine.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.engine.stop()
        self.shadow.close()

    async def quote(self, bid: float, ask: float) -> None:
        self.feed.push(Quote(SYMBOL, SystemClock().now_ns(), bid, ask, 10.0, 10.0))
        for _ in range(50):
            await asyncio.sleep(0)

    def entries(self, kind: str) -> list[Any]:
        return list(self.engine.journal.read(kinds=kind))


async def test_what_paper_assumes_is_told_from_what_the_venue_did() -> None:
    async with Beside(("long", {}), ("close", {}), slippage_bps=10) as beside:
        await beside.quote(999, 1001)
        await beside.quote(1009, 1011)
        found = parity_of(beside.engine.journal.read())
    assert len(found.rows) == 2
    # The shadow slips by 10 bp of each price, the real one not at all: it did better by just that.
    assert float(found.total) == pytest.approx(1001 * 0.001 + 1009 * 0.001, abs=0.02)
    assert found.parts["queue"] == pytest.approx(float(found.total))
    assert sum(found.parts.values()) == pytest.approx(float(found.total))
    assert found.unmatched == ()
    assert list(found.to_frame()["symbol"]) == [SYMBOL, SYMBOL]


async def test_it_takes_orders_after_they_have_left_and_with_its_own_latency() -> None:
    async with Beside(("long", {}), latency_ms=30) as beside:
        await beside.quote(999, 1001)
        kinds = [entry.kind for entry in beside.engine.journal.read(kinds=("intent", "report", "shadow_order"))]
        assert kinds.index("intent") < kinds.index("shadow_order")
        assert beside.entries(records.SHADOW_FILL) == []
        await beside.quote(1019, 1021)
        async with asyncio.timeout(5):
            while not beside.entries(records.SHADOW_FILL):
                await asyncio.sleep(0.005)
        found = parity_of(beside.engine.journal.read())
    # It bought 20 later and dearer; the spread was the same.
    assert found.parts["latency"] == pytest.approx(20)
    assert found.parts["spread"] == pytest.approx(0)


async def test_what_is_cancelled_there_is_cancelled_here_and_a_missed_fill_is_named() -> None:
    async with Beside(("long", {"limit_price": 990.0}), ("long", {"limit_price": 980.0})) as beside:
        await beside.quote(999, 1001)
        await beside.quote(999, 1001)
        first, second = beside.engine.oms.get_open_orders()
        await beside.engine.oms.cancel_order(first.client_order_id)
        # Only the shadow hears that the market comes down to the other one.
        beside.shadow.on_market(Quote(SYMBOL, SystemClock().now_ns(), 969, 971, 10.0, 10.0))
        fills = [entry.client_order_id for entry in beside.entries(records.SHADOW_FILL)]
        assert fills == [second.client_order_id]
        found = parity_of(beside.engine.journal.read())
        assert found.parts["missed_fills"] == pytest.approx(float(found.total))
        assert found.parts["missed_fills"] != 0


async def test_a_shadow_that_fails_ends_alone() -> None:
    async with Beside(("long", {}), ("close", {})) as beside:

        def broken(order: object, arrival_ns: int) -> list[Any]:
            raise JournalError("the disk is full")

        beside.shadow._matching.submit = broken  # type: ignore[union-attr,method-assign]
        await beside.quote(999, 1001)
        await beside.quote(1009, 1011)
        assert beside.failures == ["JournalError: the disk is full"]
        assert len(beside.engine.trader.book.fills) == 2
        assert beside.entries(records.SHADOW_FILL) == []


async def test_without_a_shadow_the_report_is_empty() -> None:
    assert parity_of([]).rows == ()
