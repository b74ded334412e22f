"""Prices, streams, candles, transactions and access at Oanda with the real oandapyV20."""

import asyncio
import itertools
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from oanda_wire import Oanda

from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.sandbox.sites import Plan
from autotrader_lab.sandbox.venues.oanda.errors import ApiError
from autotrader_lab.sandbox.venues.oanda.reading import read_order
from autotrader_lab.sandbox.venues.oanda.site import make_site
from autotrader_lab.sandbox.venues.oanda.times import Instant, end_of_day_ns, read_time


async def test_practice_and_live_are_apart(oanda: Oanda, client: Any) -> None:
    practice = client()
    await practice.order("MARKET", "100")
    live = client(live=True)
    assert (practice.account[:4], live.account[:4]) == ("101-", "001-")
    assert (await live.ask("OpenTrades"))["trades"] == []
    assert int((await live.ask("AccountSummary"))["lastTransactionID"]) > 5_000_000
    wrong = client(live=True, token=oanda.entry()["token"])
    assert (await wrong.ask("AccountSummary"))[0] == 401


async def test_access_is_checked(oanda: Oanda, client: Any) -> None:
    status, body = await client(token="wrong").ask("AccountList")
    assert (status, body) == (401, {"errorMessage": "Insufficient authorization to perform request."})
    api = client()
    assert (await api.ask("AccountList"))["accounts"][0]["id"] == api.account
    api.account = "101-001-1-001"
    assert (await api.ask("AccountSummary"))[0] == 403
    for url in (oanda.entry()["rest"], oanda.entry()["stream"]):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/v3/accounts/{api.account}/pricing") as answer,
        ):
            assert answer.status in (401, 404)


async def test_instruments_have_their_grids(client: Any) -> None:
    rows = {row["name"]: row for row in (await client().ask("AccountInstruments"))["instruments"]}
    assert {name: (row["displayPrecision"], row["pipLocation"]) for name, row in rows.items()} == {
        "EUR_USD": (5, -4),
        "USD_JPY": (3, -2),
        "GBP_USD": (5, -4),
    }
    assert (rows["EUR_USD"]["maximumOrderUnits"], rows["EUR_USD"]["marginRate"]) == ("100000000", "0.02")
    assert rows["EUR_USD"]["minimumTrailingStopDistance"] == "0.00050"


async def test_prices(oanda: Oanda, client: Any) -> None:
    api = client()
    oanda.quote("EUR_USD", "1.10000", "1.10010", size="2000000")
    answer = await api.ask("PricingInfo", params={"instruments": "EUR_USD,USD_JPY", "includeHomeConversions": "true"})
    eurusd, usdjpy = answer["prices"]
    assert eurusd["bids"] == [{"price": "1.10000", "liquidity": 2_000_000}]
    assert (eurusd["closeoutBid"], eurusd["closeoutAsk"]) == ("1.09985", "1.10025")
    assert eurusd["unitsAvailable"]["default"] == {"long": "4545247", "short": "4545247"}
    assert Decimal(usdjpy["quoteHomeConversionFactors"]["positiveUnits"]) < Decimal("0.0067")
    assert {row["currency"] for row in answer["homeConversions"]} == {"EUR", "USD", "JPY"}
    status, body = await api.ask("PricingInfo", params={"instruments": "XXX_YYY"})
    assert (status, body["errorMessage"]) == (400, "Invalid value specified for 'instruments': XXX_YYY")
    assert (await api.ask("PricingInfo", params={}))[1]["errorMessage"] == "Missing 'instruments' parameter"


async def test_the_price_stream(oanda: Oanda, client: Any) -> None:
    api = client()
    reading = asyncio.create_task(api.stream("PricingStream", 3, params={"instruments": "EUR_USD"}))
    streams = oanda.site.venues["testnet"].streams
    while not streams._readers:
        await asyncio.sleep(0.01)
    for bid in ("1.09000", "1.08000", "1.07000"):
        oanda.quote("EUR_USD", bid, "1.10000")
    await asyncio.sleep(0.3)
    rows = [row for row in await asyncio.wait_for(_unless_late(reading, oanda), 10) if row["type"] == "PRICE"]
    assert [row["bids"][0]["price"] for row in rows][-1] in ("1.07000", "1.06000"), "only the latest of a burst"
    assert "unitsAvailable" not in rows[0]


async def _unless_late(reading: "asyncio.Task[Any]", oanda: Oanda) -> Any:
    oanda.quote("EUR_USD", "1.06000", "1.10000")
    return await reading


async def test_the_transaction_stream(oanda: Oanda, client: Any) -> None:
    api = client()
    reading = asyncio.create_task(api.stream("TransactionsStream", 4))
    while not oanda.site.venues["testnet"].streams._readers:
        await asyncio.sleep(0.01)
    await api.order("MARKET", "100", clientExtensions={"id": "mine"})
    await api.order("LIMIT", "100", "1.00000")
    rows = await asyncio.wait_for(reading, 10)
    assert [row["type"] for row in rows] == ["HEARTBEAT", "MARKET_ORDER", "ORDER_FILL", "LIMIT_ORDER"]
    assert (rows[0]["lastTransactionID"], rows[2]["clientOrderID"]) == ("3", "mine")


async def test_streams_can_be_cut_and_stall(oanda: Oanda, client: Any) -> None:
    entry = oanda.entry()
    url = f"{entry['stream']}/v3/accounts/{entry['account']}/transactions/stream"
    headers = {"Authorization": f"Bearer {entry['token']}"}
    venue = oanda.site.venues["testnet"]
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(url) as answer:
            assert b"HEARTBEAT" in await answer.content.readline()
            oanda.command("stall", on=True)
            await client().order("MARKET", "1")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer.content.readline(), 0.2)
            oanda.command("stall", on=False)
            await client().order("MARKET", "2")
            assert b'"units":"2"' in await answer.content.readline()
            assert venue.drop() == 1
            with pytest.raises(aiohttp.ClientError):
                await answer.content.read()
        async with session.get(url, headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401


async def test_heartbeats_come_every_five_seconds() -> None:
    clock = SimulatedClock(datetime(2026, 1, 5, tzinfo=UTC))
    venue = make_site(Plan([], None, clock, seed=1)).venues["testnet"]
    beats: list[Any] = []
    reader: Any = type("Reader", (), {"kind": "transaction", "is_unix": False, "pairs": [], "next_heartbeat_ms": 0})()
    reader.put = beats.append
    venue.streams._readers[reader] = None  # type: ignore[assignment]
    for _ in range(23):
        venue.streams.tick()
        clock.set_ns(clock.now_ns() + 1_000_000_000)
    assert len(beats) == 5


async def test_candles(oanda: Oanda, client: Any) -> None:
    api = client()
    oanda.box.driver.advance(30)
    answer = await api.ask("InstrumentsCandles", "EUR_USD", {"granularity": "M5", "count": 10, "price": "MBA"})
    rows = answer["candles"]
    assert (answer["granularity"], len(rows)) == ("M5", 10)
    assert all(before["time"] < after["time"] for before, after in itertools.pairwise(rows))
    assert [row["complete"] for row in rows] == [True] * 9 + [False]
    for row in rows:
        assert row["bid"]["c"] < row["mid"]["c"] < row["ask"]["c"]
        assert row["mid"]["l"] <= row["mid"]["o"] <= row["mid"]["h"]
    since = await api.ask("InstrumentsCandles", "EUR_USD", {"granularity": "M5", "from": rows[3]["time"], "count": 2})
    assert [row["time"] for row in since["candles"]] == [rows[3]["time"], rows[4]["time"]]
    hours = await api.ask("InstrumentsCandles", "USD_JPY", {"granularity": "H1", "count": 5})
    assert len(hours["candles"]) == 5
    assert "." in hours["candles"][0]["mid"]["o"]
    for wrong in ({"granularity": "M7"}, {"count": "5001"}, {"price": "X"}, {"from": "then"}):
        assert (await api.ask("InstrumentsCandles", "EUR_USD", wrong))[0] == 400


async def test_times_as_asked_for(oanda: Oanda, client: Any) -> None:
    text = (await client().ask("AccountSummary"))["account"]["createdTime"]
    number = (await client(unix=True).ask("AccountSummary"))["account"]["createdTime"]
    assert read_time(text) == read_time(number)
    assert (text[-1], number.replace(".", "").isdigit()) == ("Z", True)


async def test_transactions_by_id_range_pages_and_since(oanda: Oanda, client: Any) -> None:
    api = client()
    for _ in range(3):
        await api.order("MARKET", "1")
    since = (await api.ask("TransactionsSinceID", {"id": 5}))["transactions"]
    assert [row["id"] for row in since] == ["6", "7", "8", "9"]
    fills = (await api.ask("TransactionIDRange", {"from": 1, "to": 9, "type": "ORDER_FILL"}))["transactions"]
    assert [row["id"] for row in fills] == ["5", "7", "9"]
    pages = await api.ask("TransactionList", {"pageSize": 4})
    assert (pages["count"], len(pages["pages"])) == (9, 3)
    headers = {"Authorization": f"Bearer {oanda.entry()['token']}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(pages["pages"][-1]) as answer:
        assert [row["id"] for row in (await answer.json())["transactions"]] == ["9"]
    assert (await api.ask("TransactionDetails", "1"))["transaction"]["homeCurrency"] == "USD"
    assert (await api.ask("TransactionDetails", "99"))[0] == 404
    assert (await api.ask("TransactionIDRange", {"from": 1, "to": 5000}))[0] == 400


async def test_changes_since_a_transaction(oanda: Oanda, client: Any) -> None:
    api = client()
    oanda.quote("EUR_USD", "1.10000", "1.10010")
    await api.order("MARKET", "100")
    await api.order("LIMIT", "100", "1.00000", clientExtensions={"id": "mine"})
    last = (await api.ask("AccountSummary"))["lastTransactionID"]
    await api.ask("OrderCancel", "@mine")
    await api.order("MARKET", "-40")
    answer = await api.ask("AccountChanges", {"sinceTransactionID": last})
    changes = answer["changes"]
    assert [row["state"] for row in changes["ordersCancelled"]] == ["CANCELLED"]
    assert [row["currentUnits"] for row in changes["tradesReduced"]] == ["60"]
    assert [row["long"]["units"] for row in changes["positions"]] == ["60"]
    assert (len(changes["transactions"]), len(changes["ordersFilled"])) == (3, 1)
    assert answer["state"]["trades"][0]["unrealizedPL"] == "-0.0060"


async def test_numbers_are_accepted_where_texts_are_due(oanda: Oanda, client: Any) -> None:
    answer = await client().ask(
        "OrderCreate", {"order": {"type": "LIMIT", "instrument": "EUR_USD", "units": 100, "price": 1.05}}
    )
    assert (answer["orderCreateTransaction"]["units"], answer["orderCreateTransaction"]["price"]) == ("100", "1.05")


async def test_the_pace_is_limited(oanda: Oanda, client: Any) -> None:
    oanda.command("pace", requests_1s=3)
    api = client()
    answers = [await api.ask("AccountList") for _ in range(5)]
    assert any(isinstance(answer, tuple) and answer[0] == 429 for answer in answers)


async def test_the_books_for_an_audit_have_every_order(oanda: Oanda, client: Any) -> None:
    api = client()
    await api.order("MARKET", "100", clientExtensions={"id": "filled"})
    await api.order("LIMIT", "100", "1.00000", clientExtensions={"id": "waiting"})
    control = oanda.box.addresses["control"]
    async with aiohttp.ClientSession(headers={"X-Sandbox-Token": control["token"]}) as session:
        async with session.get(f"{control['url']}/books?venue=oanda&world=testnet") as answer:
            (account,) = (await answer.json())["accounts"]
        body = {"venue": "oanda", "action": "market", "symbol": "EUR_USD", "open": False}
        async with session.post(f"{control['url']}/command", json=body) as answer:
            assert (await answer.json()) == {"answers": [{"done": "market"}] * 2}
        async with session.post(f"{control['url']}/command", json={**body, "action": "dance"}) as answer:
            assert answer.status == 400
    states = {order["clientOrderId"]: order["status"] for order in account["orders"]}
    assert states == {"filled": "FILLED", "waiting": "NEW"}
    assert [trade["qty"] for trade in account["trades"]] == ["100.00000000"]


def test_orders_end_when_their_time_is_over() -> None:
    clock = SimulatedClock(datetime(2026, 1, 5, 20, tzinfo=UTC))
    venue = make_site(Plan([], None, clock, seed=1)).venues["testnet"]
    desk = venue.desk
    for name in ("EUR_USD", "USD_JPY", "GBP_USD"):
        desk.exchange.market_depth(name, [(110_000_000, 10**15)], [(110_100_000, 10**15)], 0)
    terms = {"type": "LIMIT", "instrument": "EUR_USD", "units": "100", "price": "1.00000"}
    for more in ({"timeInForce": "GFD"}, {"timeInForce": "GTD", "gtdTime": "2026-01-05T21:00:00Z"}, {}):
        desk.create(read_order({**terms, **more}))
    clock.set_ns(int(read_time("2026-01-05T21:00:00Z")))
    desk.expire()
    assert [o.wish.time_in_force for o in desk.pending()] == ["GTC", "GFD"]
    clock.set_ns(int(read_time("2026-01-05T22:00:00Z")))
    desk.expire()
    assert [o.wish.time_in_force for o in desk.pending()] == ["GTC"]
    assert desk.record.transactions[-1]["reason"] == "TIME_IN_FORCE_EXPIRED"
    with pytest.raises(ApiError, match="ORDER_DOESNT_EXIST"):
        desk.cancel(desk.find_order("4"), "4")


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-01-05T12:00:00Z", "2026-01-05T22:00:00.000000000Z"),
        ("2026-01-05T22:00:00Z", "2026-01-06T22:00:00.000000000Z"),
        ("2026-07-06T12:00:00Z", "2026-07-06T21:00:00.000000000Z"),
    ],
)
def test_the_trading_day_ends_in_new_york(now: str, end: str) -> None:
    assert Instant(end_of_day_ns(read_time(now))).rfc3339() == end


@pytest.mark.parametrize(
    "text", ["2026-01-05T12:00:00.123456789Z", "1767614400.123456789", "2026-01-05T12:00:00.123456789+00:00"]
)
def test_times_are_read_to_the_nanosecond(text: str) -> None:
    assert read_time(text.replace("+00:00", "Z")).unix() == "1767614400.123456789"
