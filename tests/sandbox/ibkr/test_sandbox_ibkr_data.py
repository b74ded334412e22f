"""Contracts and market data of Interactive Brokers with the real ib_async."""

import itertools
import math
from typing import Any

import pytest
from ib_async import Contract, Forex, Future, Option, Stock
from tws_wire import Tws, until

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)
EURUSD = Forex("EURUSD", conId=12087792)


async def test_contracts_are_found_by_what_describes_them(connect: Any) -> None:
    ib = await connect()
    stock, pair, future = await ib.qualifyContractsAsync(
        Stock("MSFT", "SMART", "USD"), Forex("EURUSD"), Future("ES", exchange="CME")
    )
    assert (stock.conId, stock.primaryExchange, stock.tradingClass) == (272093, "NASDAQ", "NMS")
    assert (pair.conId, pair.localSymbol) == (12087792, "EUR.USD")
    assert (future.multiplier, future.localSymbol[:2]) == ("50", "ES")
    by_id = await ib.reqContractDetailsAsync(Contract(conId=265598, exchange="ARCA"))
    assert [(d.contract.symbol, d.contract.exchange, d.longName) for d in by_id] == [("AAPL", "ARCA", "APPLE INC")]
    calls = await ib.reqContractDetailsAsync(Option("AAPL", right="C", exchange="SMART"))
    assert [(d.contract.strike, d.contract.multiplier, d.underConId) for d in calls] == [(190.0, "100", 265598)]


async def test_a_contract_that_does_not_exist_is_error_200(connect: Any) -> None:
    ib = await connect()
    heard: list[int] = []
    ib.errorEvent += lambda request, code, text, contract: heard.append(code)
    assert await ib.reqContractDetailsAsync(Stock("NOPE", "SMART", "USD")) == []
    assert await ib.reqContractDetailsAsync(Stock("AAPL", "MARS", "USD")) == []
    ib.reqMktData(Stock("NOPE", "SMART", "USD", conId=1))
    await until(lambda: heard == [200, 200, 200])


@pytest.mark.parametrize(
    ("contract", "increment"), [(AAPL, 0.01), (EURUSD, 0.00005), (Future("ES", exchange="CME"), 0.25)]
)
async def test_prices_follow_the_market_rules(connect: Any, contract: Contract, increment: float) -> None:
    ib = await connect()
    (details,) = await ib.reqContractDetailsAsync(contract)
    rules, places = details.marketRuleIds.split(","), details.validExchanges.split(",")
    assert len(rules) == len(places)
    rule = await ib.reqMarketRuleAsync(int(rules[places.index(details.contract.exchange)]))
    assert [(step.lowEdge, step.increment) for step in rule] == [(0, increment)]
    assert details.minTick == increment
    assert details.tradingHours.count(";") == 5


async def test_options_and_symbols_can_be_searched(connect: Any) -> None:
    ib = await connect()
    chains = await ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598)
    assert {"SMART", "CBOE"} <= {chain.exchange for chain in chains}
    assert (chains[0].strikes, chains[0].multiplier, len(chains[0].expirations)) == ([190.0], "100", 1)
    found = await ib.reqMatchingSymbolsAsync("apple")
    assert [(d.contract.symbol, d.contract.secType, d.derivativeSecTypes) for d in found] == [("AAPL", "STK", ["OPT"])]


async def test_ticks(tws: Tws, connect: Any) -> None:
    ib = await connect()
    tws.book("AAPL", [("189.98", "300")], [("190.02", "200")])
    ticker = ib.reqMktData(AAPL)
    await until(lambda: ticker.ask == 190.02)
    assert (ticker.bid, ticker.bidSize, ticker.askSize, ticker.minTick) == (189.98, 300, 200, 0.01)
    tws.book("AAPL", [("189.98", "250")], [("190.03", "200")])
    await until(lambda: (ticker.bidSize, ticker.ask) == (250, 190.03))
    tws.box.driver.advance(10)
    await until(lambda: ticker.lastSize > 0 and not math.isnan(ticker.volume))
    assert ticker.low <= ticker.last <= ticker.high
    assert ib.cancelMktData(AAPL)


async def test_a_snapshot_ends_by_itself(tws: Tws, connect: Any) -> None:
    ib = await connect()
    (ticker,) = await ib.reqTickersAsync(EURUSD)
    assert 1 < ticker.bid < ticker.ask < 1.2
    assert math.isnan(ticker.last), "currencies have no trades to show"
    assert tws.site.venues["testnet"]._started[0].subscriptions == {}


async def test_tick_by_tick(tws: Tws, connect: Any) -> None:
    ib = await connect()
    quotes = ib.reqTickByTickData(EURUSD, "BidAsk")
    await until(lambda: quotes.bid > 0)
    tws.book("EUR.USD", [("1.09990", "2000000")], [("1.10010", "1000000")])
    await until(lambda: (quotes.bid, quotes.ask, quotes.bidSize) == (1.0999, 1.1001, 2_000_000))
    trades = ib.reqTickByTickData(AAPL, "AllLast")
    await ib.reqCurrentTimeAsync()
    tws.box.driver.advance(10)
    await until(lambda: trades.last > 0 and trades.lastSize > 0)
    heard: list[int] = []
    ib.errorEvent += lambda request, code, text, contract: heard.append(code)
    ib.client.reqTickByTickData(900, EURUSD, "Last", 0, False)
    await until(lambda: heard == [10189])


async def test_depth(tws: Tws, connect: Any) -> None:
    ib = await connect()
    tws.book("EUR.USD", [("1.09990", "2"), ("1.09985", "3")], [("1.10000", "4"), ("1.10005", "5")])
    ticker = ib.reqMktDepth(EURUSD, 5)
    await until(lambda: len(ticker.domAsks) == 2 and len(ticker.domBids) == 2)
    assert [(row.price, row.size) for row in ticker.domBids] == [(1.0999, 2), (1.09985, 3)]
    tws.book("EUR.USD", [("1.09990", "7")], [("1.10000", "4"), ("1.10005", "5")])
    await until(lambda: [(row.price, row.size) for row in ticker.domBids] == [(1.0999, 7)])
    smart = ib.reqMktDepth(AAPL, 3, isSmartDepth=True)
    await until(lambda: len(smart.domAsks) == 3)
    assert smart.domAsks[0].marketMaker == "ISLAND"


async def test_history(tws: Tws, connect: Any) -> None:
    ib = await connect()
    tws.box.driver.advance(30)
    bars = await ib.reqHistoricalDataAsync(AAPL, "", "1 D", "1 hour", "TRADES", False)
    assert 24 <= len(bars) <= 26
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
    assert all(before.date < after.date for before, after in itertools.pairwise(bars))
    middle = await ib.reqHistoricalDataAsync(EURUSD, "", "1800 S", "1 min", "MIDPOINT", False, formatDate=2)
    assert 30 <= len(middle) <= 31
    assert middle[-1].volume == -1
    days = await ib.reqHistoricalDataAsync(AAPL, "", "2 D", "1 day", "TRADES", True)
    assert len(days) >= 2
    head = await ib.reqHeadTimeStampAsync(AAPL, "TRADES", True, 1)
    assert head < bars[0].date


async def test_bars_that_are_kept_up_to_date(tws: Tws, connect: Any) -> None:
    ib = await connect()
    bars = await ib.reqHistoricalDataAsync(AAPL, "", "600 S", "1 min", "TRADES", False, keepUpToDate=True)
    updates: list[float] = []
    bars.updateEvent += lambda changed, has_new: updates.append(changed[-1].close)
    tws.box.driver.advance(20)
    await until(lambda: updates)
    exchange = tws.site.worlds["testnet"].exchange
    await until(lambda: updates[-1] == exchange.last_price["AAPL"] / 1e8)


@pytest.mark.parametrize(
    ("end", "duration", "size", "what"),
    [
        ("yesterday", "1 D", "1 min", "TRADES"),
        ("", "1 fortnight", "1 min", "TRADES"),
        ("", "1 D", "7 mins", "TRADES"),
        ("", "1 D", "1 min", "FEELINGS"),
    ],
)
async def test_history_that_cannot_be_had(connect: Any, end: str, duration: str, size: str, what: str) -> None:
    ib = await connect()
    heard: list[int] = []
    ib.errorEvent += lambda request, code, text, contract: heard.append(code)
    await ib.reqHistoricalDataAsync(AAPL, end, duration, size, what, True, timeout=0.2)  # the client goes on waiting
    assert heard[0] == 321


async def test_too_much_history_is_a_pacing_violation(tws: Tws, connect: Any) -> None:
    tws.command("pace", history_10min=2)
    ib = await connect()
    heard: list[int] = []
    ib.errorEvent += lambda request, code, text, contract: heard.append(code)
    sizes = [len(await ib.reqHistoricalDataAsync(AAPL, "", "600 S", "1 min", "TRADES", True)) for _ in range(3)]
    assert (sizes[0] > 0, sizes[2], heard) == (True, 0, [162])


async def test_the_time(connect: Any) -> None:
    ib = await connect()
    assert (await ib.reqCurrentTimeAsync()).tzinfo is not None
