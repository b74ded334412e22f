"""Orders at Interactive Brokers with the real ib_async: placed, changed, filled, refused, found again."""

from typing import Any

import pytest
from ib_async import Forex, Future, LimitOrder, MarketOrder, Option, Order, Stock, StopLimitOrder, StopOrder
from tws_wire import Tws, until

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


def codes(ib: Any) -> list[int]:
    """Collect the error codes a client hears."""
    heard: list[int] = []
    ib.errorEvent += lambda request, code, text, contract: heard.append(code)
    return heard


async def test_everything_a_client_asks_at_connect_is_answered(tws: Tws, connect: Any) -> None:
    ib = await connect()
    assert ib.client.serverVersion() == 178
    assert ib.managedAccounts() == [tws.account]
    assert tws.account.startswith("DU")
    values = {(row.tag, row.currency): row.value for row in ib.accountValues()}
    assert values["NetLiquidation", "USD"] == "1000000.00"
    assert values["TotalCashBalance", "BASE"] == "1000000.00"
    assert (ib.positions(), ib.openTrades(), ib.fills()) == ([], [], [])


async def test_the_live_gateway_is_another_one(tws: Tws, connect: Any) -> None:
    paper, live = await connect(), await connect(live=True)
    assert live.managedAccounts()[0].startswith("U")
    assert tws.address() != tws.address(live=True)
    trade = paper.placeOrder(AAPL, MarketOrder("BUY", 10))
    await until(trade.isDone)
    assert live.positions() == []
    assert await live.reqExecutionsAsync() == []


async def test_a_limit_order_rests_is_changed_and_canceled(connect: Any) -> None:
    ib = await connect()
    heard = codes(ib)
    order = LimitOrder("BUY", 100, 180, orderRef="mine", tif="GTC")
    trade = ib.placeOrder(AAPL, order)
    await until(lambda: trade.orderStatus.status == "Submitted")
    assert trade.order.permId > 0
    order.lmtPrice, order.totalQuantity = 181, 50
    ib.placeOrder(AAPL, order)
    await until(lambda: trade.orderStatus.remaining == 50)
    found = await ib.reqAllOpenOrdersAsync()
    assert [(t.order.lmtPrice, t.order.totalQuantity, t.order.orderRef) for t in found] == [(181, 50, "mine")]
    ib.cancelOrder(order)
    await until(lambda: trade.orderStatus.status == "Cancelled")
    await until(lambda: 202 in heard)
    done = await ib.reqCompletedOrdersAsync(False)
    assert [(t.orderStatus.status, t.order.permId, t.order.orderRef) for t in done] == [
        ("Cancelled", order.permId, "mine")
    ]


async def test_a_market_order_is_filled_with_executions_and_commissions(tws: Tws, connect: Any) -> None:
    ib = await connect()
    tws.book("AAPL", [("189.99", "500")], [("190.00", "60"), ("190.01", "1000")])
    trade = ib.placeOrder(AAPL, MarketOrder("BUY", 1000, orderRef="mine"))
    await until(lambda: trade.isDone() and len(trade.fills) == 2 and trade.fills[-1].commissionReport.execId)
    assert [(f.execution.shares, f.execution.price, f.execution.cumQty) for f in trade.fills] == [
        (60, 190.00, 60),
        (940, 190.01, 1000),
    ]
    assert [f.commissionReport.commission for f in trade.fills] == [1.0, 4.0]
    assert {f.execution.orderRef for f in trade.fills} == {"mine"}
    assert len({f.execution.execId for f in trade.fills}) == 2
    statuses = [entry.status for entry in trade.log]
    assert statuses[:2] == ["PendingSubmit", "PreSubmitted"]
    assert statuses[-1] == "Filled"
    assert trade.orderStatus.avgFillPrice == pytest.approx(190.0094)
    await until(lambda: ib.positions())
    assert [(p.position, p.avgCost) for p in ib.positions()] == [(1000, 190.0144)]


async def test_short_then_closed_with_realised_profit(tws: Tws, connect: Any) -> None:
    ib = await connect()
    tws.book("AAPL", [("190", "500")], [("190.01", "500")])
    sold = ib.placeOrder(AAPL, MarketOrder("SELL", 100))
    await until(lambda: sold.isDone() and sold.fills[0].commissionReport.execId)
    assert sold.fills[0].commissionReport.realizedPNL == 0
    await until(lambda: [p.position for p in ib.positions()] == [-100])
    profit = ib.reqPnL(tws.account)
    single = ib.reqPnLSingle(tws.account, "", 265598)
    await until(lambda: profit.unrealizedPnL == -1.5 and single.position == -100)
    tws.book("AAPL", [("188.99", "500")], [("189", "500")])
    bought = ib.placeOrder(AAPL, MarketOrder("BUY", 100))
    await until(lambda: bought.isDone() and bought.fills[0].commissionReport.execId)
    assert bought.fills[0].commissionReport.realizedPNL == 98
    await until(lambda: (profit.realizedPnL, profit.unrealizedPnL, profit.dailyPnL) == (98, 0, 98))
    await until(lambda: ib.positions() == [])
    values = {(row.tag, row.currency): row.value for row in await ib.accountSummaryAsync()}
    assert values["NetLiquidation", "USD"] == "1000098.00"


async def test_a_partly_filled_order_keeps_its_rest_when_changed(tws: Tws, connect: Any) -> None:
    ib = await connect()
    tws.book("AAPL", [("189", "500")], [("190", "30")])
    order = LimitOrder("BUY", 100, 190)
    trade = ib.placeOrder(AAPL, order)
    await until(lambda: trade.orderStatus.filled == 30)
    assert (trade.orderStatus.status, trade.orderStatus.remaining) == ("Submitted", 70)
    order.totalQuantity = 50
    ib.placeOrder(AAPL, order)
    await until(lambda: trade.orderStatus.remaining == 20)
    order.totalQuantity = 30
    ib.placeOrder(AAPL, order)
    await until(lambda: any(entry.errorCode == 105 for entry in trade.log))
    assert [t.order.totalQuantity for t in await ib.reqOpenOrdersAsync()] == [50]


async def test_stops_wait_and_trigger(tws: Tws, connect: Any) -> None:
    ib = await connect()
    eurusd = Forex("EURUSD")
    tws.book("EUR.USD", [("1.10000", "1000000")], [("1.10005", "1000000")])
    stop = ib.placeOrder(eurusd, StopOrder("SELL", 20000, 1.0990))
    limit = ib.placeOrder(eurusd, StopLimitOrder("SELL", 20000, 1.0995, 1.0990))
    await until(lambda: {stop.orderStatus.status, limit.orderStatus.status} == {"PreSubmitted"})
    tws.book("EUR.USD", [("1.09900", "1000000")], [("1.09905", "1000000")])
    await until(stop.isDone)
    await until(lambda: limit.orderStatus.status == "Submitted")
    assert (stop.fills[0].execution.price, stop.fills[0].execution.side) == (1.099, "SLD")
    await until(lambda: stop.fills[0].commissionReport.commission == 2.0)
    await until(lambda: ("EUR", -20000.0) in [(p.contract.symbol, p.position) for p in ib.positions()])


async def test_futures_and_options_have_their_multipliers_and_fees(tws: Tws, connect: Any) -> None:
    ib = await connect()
    (es,) = await ib.qualifyContractsAsync(Future("ES", exchange="CME"))
    options = await ib.reqContractDetailsAsync(Option("AAPL", exchange="SMART", right="C"))
    call = options[0].contract
    tws.book("ES", [("5199.75", "50")], [("5200", "50")])
    tws.book(call.localSymbol, [("6.40", "50")], [("6.50", "50")])
    bought = [ib.placeOrder(contract, MarketOrder("BUY", 2)) for contract in (es, call)]
    await until(lambda: all(t.isDone() and t.fills[0].commissionReport.execId for t in bought))
    assert [t.fills[0].commissionReport.commission for t in bought] == [4.5, 1.3]
    await until(lambda: len(ib.positions()) == 2)
    costs = {p.contract.secType: (p.avgCost, p.contract.multiplier) for p in ib.positions()}
    assert costs == {"FUT": (260002.25, "50"), "OPT": (650.65, "100")}
    rows = {(row.tag, row.currency): row.value for row in await ib.accountSummaryAsync()}
    assert rows["TotalCashValue", "USD"] == "998681.70", "futures are settled by difference, at the middle"


@pytest.mark.parametrize(("tif", "status", "filled"), [("IOC", "Cancelled", 30), ("FOK", "Cancelled", 0)])
async def test_what_cannot_wait_is_canceled(tws: Tws, connect: Any, tif: str, status: str, filled: int) -> None:
    ib = await connect()
    tws.book("AAPL", [("189", "500")], [("190", "30")])
    trade = ib.placeOrder(AAPL, LimitOrder("BUY", 100, 190, tif=tif))
    await until(trade.isDone)
    assert (trade.orderStatus.status, trade.orderStatus.filled) == (status, filled)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (LimitOrder("BUY", 10, 180.005), 110),
        (LimitOrder("BUY", 0, 180), 434),
        (LimitOrder("BUY", 0.5, 180), 10243),
        (LimitOrder("BUY", 10, 0), 321),
        (LimitOrder("BUY", 10_000_000, 180), 201),
        (LimitOrder("BUY", 10, 180, account="DU1"), 321),
        (LimitOrder("BUY", 10, 180, tif="OPG"), 10052),
        (LimitOrder("BUY", 10, 180, ocaGroup="group"), 321),
        (Order(action="BUY", totalQuantity=10, orderType="TRAIL", auxPrice=1), 387),
    ],
)
async def test_refusals_carry_their_code_and_leave_nothing(connect: Any, order: Order, code: int) -> None:
    ib = await connect()
    trade = ib.placeOrder(AAPL, order)
    await until(lambda: any(entry.errorCode for entry in trade.log))
    assert [entry.errorCode for entry in trade.log if entry.errorCode] == [code]
    assert await ib.reqAllOpenOrdersAsync() == []


async def test_ids_that_cannot_be_used(tws: Tws, connect: Any) -> None:
    ib = await connect()
    heard = codes(ib)
    order = MarketOrder("BUY", 10)
    filled = ib.placeOrder(AAPL, order)
    await until(filled.isDone)
    ib.client.placeOrder(order.orderId, AAPL, LimitOrder("BUY", 20, 180))
    await until(lambda: 104 in heard)
    ib.client.cancelOrder(order.orderId)
    await until(lambda: 10148 in heard)
    ib.client.cancelOrder(4711)
    await until(lambda: 10147 in heard)
    resting = LimitOrder("BUY", 10, 180)
    trade = ib.placeOrder(AAPL, resting)
    await until(lambda: trade.orderStatus.status == "Submitted")
    ib.client.placeOrder(resting.orderId, AAPL, LimitOrder("SELL", 10, 180))
    await until(lambda: 105 in heard)
    ib.client.placeOrder(resting.orderId, AAPL, MarketOrder("BUY", 10))
    await until(lambda: 329 in heard)
    assert len(await ib.reqOpenOrdersAsync()) == 1
    ib.cancelOrder(resting)
    await until(lambda: 202 in heard)
    ib.client.placeOrder(resting.orderId, AAPL, LimitOrder("BUY", 10, 180))
    await until(lambda: 103 in heard)


async def test_a_reference_may_repeat_and_an_order_may_meet_its_owner(tws: Tws, connect: Any) -> None:
    ib = await connect()
    tws.book("AAPL", [("189", "500")], [("191", "500")])
    first = ib.placeOrder(AAPL, LimitOrder("SELL", 10, 190, orderRef="same"))
    second = ib.placeOrder(AAPL, LimitOrder("BUY", 10, 190, orderRef="same"))
    await until(lambda: first.isDone() and second.isDone())
    assert first.fills[0].execution.execId != second.fills[0].execution.execId
    assert (first.fills[0].execution.lastLiquidity, second.fills[0].execution.lastLiquidity) == (1, 2)


async def test_what_if_tells_margin_and_commission_and_places_nothing(connect: Any) -> None:
    ib = await connect()
    state = await ib.whatIfOrderAsync(AAPL, MarketOrder("BUY", 100))
    assert (float(state.initMarginChange), state.commission) == (pytest.approx(4750), 1.0)
    assert await ib.reqAllOpenOrdersAsync() == []


async def test_read_only_and_closed_markets(tws: Tws, connect: Any) -> None:
    ib = await connect()
    heard = codes(ib)
    resting = LimitOrder("BUY", 10, 180)
    trade = ib.placeOrder(AAPL, resting)
    await until(lambda: trade.orderStatus.status == "Submitted")
    tws.command("market", symbol="AAPL", open=False)
    ib.placeOrder(AAPL, MarketOrder("BUY", 10))
    await until(lambda: 201 in heard)
    tws.command("market", symbol="AAPL", open=True)
    tws.command("read_only", on=True)
    ib.placeOrder(AAPL, MarketOrder("BUY", 10))
    await until(lambda: heard.count(321) == 1)
    ib.client.cancelOrder(resting.orderId)
    await until(lambda: heard.count(321) == 2)
    tws.command("read_only", on=False)
    ib.reqGlobalCancel()
    await until(lambda: 202 in heard)


async def test_orders_outlive_a_connection_and_another_client_sees_them(tws: Tws, connect: Any) -> None:
    first = await connect(client_id=11)
    resting = first.placeOrder(AAPL, LimitOrder("BUY", 10, 180, orderRef="resting"))
    done = first.placeOrder(AAPL, MarketOrder("BUY", 5, orderRef="done"))
    await until(lambda: done.isDone() and resting.orderStatus.status == "Submitted")
    first.disconnect()
    tws.book("AAPL", [("179", "500")], [("180", "4")])
    again = await connect(client_id=11)
    assert [(t.order.orderRef, t.orderStatus.filled) for t in again.openTrades()] == [("resting", 4.0)]
    fills = sorted((f.execution.orderRef, f.execution.shares) for f in again.fills())
    assert fills == [("done", 5.0), ("resting", 4.0)]
    assert again.client.getReqId() > done.order.orderId
    other = await connect(client_id=12)
    assert other.openTrades() == []
    assert [t.order.orderRef for t in await other.reqAllOpenOrdersAsync()] == ["resting"]
    assert len(await other.reqExecutionsAsync()) == 2
    assert len(other.positions()) == 1
