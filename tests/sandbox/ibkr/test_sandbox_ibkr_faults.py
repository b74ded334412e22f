"""Faults at Interactive Brokers: what a client lives through, and what the exchange's books say."""

from typing import Any

import pytest
import pytest_asyncio
from ib_async import IB, LimitOrder, MarketOrder, Stock
from tws_wire import Tws, until

from autotrader_lab.sandbox import Sandbox

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


@pytest_asyncio.fixture
async def faulty(request: Any) -> Any:
    """A client at a gateway with one fault rule."""
    plan = {"seed": 1, "rules": [request.param]}
    async with Sandbox(seed=7, speed=0, venues=("ibkr",), faults=plan) as box:
        tws, ib = Tws(box), IB()
        await ib.connectAsync(*tws.address(), clientId=1, timeout=5)
        yield tws, ib
        ib.disconnect()


def books(tws: Tws) -> list[tuple[str, str]]:
    account = tws.site.venues["testnet"].gateway.account
    return [(o.client_order_id, str(o.status)) for orders in account.orders.values() for o in orders.values()]


@pytest.mark.parametrize(
    ("faulty", "reached"),
    [
        ({"do": "drop_before", "where": {"kind": "submit"}, "when": {"count": 1}}, []),
        ({"do": "drop_after", "where": {"request": "placeOrder"}, "when": {"count": 1}}, [("mine", "FILLED")]),
    ],
    indirect=["faulty"],
)
async def test_a_cut_around_an_order(faulty: tuple[Tws, IB], reached: list[tuple[str, str]]) -> None:
    tws, ib = faulty
    trade = ib.placeOrder(AAPL, MarketOrder("BUY", 5, orderRef="mine"))
    await until(lambda: not ib.isConnected())
    assert books(tws) == reached
    assert (trade.fills, trade.isDone()) == ([], False)
    await ib.connectAsync(*tws.address(), clientId=1, timeout=5)
    assert [fill.execution.orderRef for fill in ib.fills()] == [name for name, _ in reached]


@pytest.mark.parametrize(
    "faulty", [{"do": "lose", "where": {"event": "execDetails"}, "when": {"count": 1}}], indirect=True
)
async def test_a_lost_execution_is_found_by_asking(faulty: tuple[Tws, IB]) -> None:
    _, ib = faulty
    trade = ib.placeOrder(AAPL, MarketOrder("BUY", 5))
    await until(lambda: trade.orderStatus.status == "Filled")
    assert trade.fills == []
    assert [fill.execution.shares for fill in await ib.reqExecutionsAsync()] == [5]


@pytest.mark.parametrize("faulty", [{"do": "duplicate", "where": {"kind": "fill"}}], indirect=True)
async def test_an_execution_may_come_twice(faulty: tuple[Tws, IB]) -> None:
    _, ib = faulty
    heard: list[str] = []
    ib.wrapper.execDetails = _noting(ib.wrapper.execDetails, heard)
    trade = ib.placeOrder(AAPL, MarketOrder("BUY", 5))
    await until(lambda: trade.orderStatus.status == "Filled" and len(heard) == 2)
    assert len(trade.fills) == 1


def _noting(callback: Any, heard: list[str]) -> Any:
    def note(request_id: int, contract: Any, execution: Any) -> None:
        heard.append(execution.execId)
        callback(request_id, contract, execution)

    return note


@pytest.mark.parametrize(
    ("faulty", "code"),
    [
        ({"do": "rate_limit", "where": {"kind": "submit"}, "when": {"count": 1}}, 100),
        ({"do": "error", "where": {"kind": "submit"}, "when": {"count": 1}}, 504),
        ({"do": "maintenance", "where": {"kind": "submit"}, "when": {"count": 1}}, 2110),
    ],
    indirect=["faulty"],
)
async def test_refusals_that_are_no_refusals(faulty: tuple[Tws, IB], code: int) -> None:
    tws, ib = faulty
    heard: list[int] = []
    ib.errorEvent += lambda request, number, text, contract: heard.append(number)
    ib.placeOrder(AAPL, LimitOrder("BUY", 5, 180))
    await until(lambda: heard == [code])
    assert books(tws) == []


@pytest.mark.parametrize("faulty", [{"do": "partial_fill", "fraction": 0.5, "when": {"count": 1}}], indirect=True)
async def test_fills_come_in_parts(faulty: tuple[Tws, IB]) -> None:
    tws, ib = faulty
    tws.book("AAPL", [("189", "500")], [("190", "500")])
    trade = ib.placeOrder(AAPL, LimitOrder("BUY", 100, 190))
    await until(lambda: trade.orderStatus.filled == 50)
    tws.book("AAPL", [("189", "500")], [("190", "400")])
    await until(trade.isDone)
    assert sum(fill.execution.shares for fill in trade.fills) == 100
