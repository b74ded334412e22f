"""Orders by hand: what is refused and how, what happens to those that are not, and what the fills cost."""

from typing import Any

import pytest
from okx_kit import LIMIT, NAME, Json, Wire

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.units import parse_e8

SYMBOL = "BTCUSDT"


def move(okx: Sandbox, price: str) -> None:
    """Let the outside market trade at a price."""
    world = okx.worlds["testnet"]
    push_price(world, SYMBOL, parse_e8(price))
    world.publish()


async def held(wire: Wire, asset: str) -> tuple[str, str]:
    """Free and frozen."""
    rows = (await wire.rows(f"account/balance?ccy={asset}"))[0]["details"]
    return (rows[0]["availBal"], rows[0]["frozenBal"]) if rows else ("0", "0")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"instId": None}, "51000"),
        ({"instId": "BTC-EUR"}, "51001"),
        ({"tdMode": None}, "51000"),
        ({"tdMode": "cross"}, "51010"),
        ({"side": "up"}, "51000"),
        ({"ordType": "stop"}, "51000"),
        ({"sz": None}, "51000"),
        ({"sz": "0"}, "51000"),
        ({"sz": "-1"}, "51000"),
        ({"sz": "0.000001"}, "51020"),
        ({"sz": "0.000015"}, "51121"),
        ({"sz": "0.0100000001"}, "51121"),
        ({"sz": "9999"}, "51005"),
        ({"sz": "5"}, "51008"),
        ({"side": "sell", "sz": "5", "px": "61000"}, "51008"),
        ({"px": None}, "51000"),
        ({"px": "58000.001"}, "51000"),
        ({"px": "90000"}, "51006"),
        ({"side": "sell", "px": "10000"}, "51006"),
        ({"clOrdId": "with-dash"}, "51000"),
        ({"stpMode": "fight"}, "51000"),
        ({"attachAlgoOrds": [{"slTriggerPx": "1"}]}, "51000"),
        ({"ordType": "market", "tgtCcy": "third", "sz": "100"}, "51000"),
        ({"ordType": "market", "sz": "2000000"}, "51201"),
    ],
)
async def test_refused_orders(wire: Wire, change: Json, code: str) -> None:
    body = {name: value for name, value in {**LIMIT, **change}.items() if value is not None}
    answer = await wire.post("order", body)
    row = answer["data"][0]
    assert (answer["code"], answer["msg"]) == ("1", "All operations failed")
    assert (row["sCode"], row["ordId"]) == (code, "")
    assert row["sMsg"]
    assert await held(wire, "USDT") == ("100000", "0")


async def test_a_request_that_is_none(wire: Wire) -> None:
    assert (await wire.post("order", ""))["code"] == "50000"
    assert (await wire.post("order", "{"))["code"] == "50002"
    assert (await wire.post("batch-orders", [LIMIT] * 21))["code"] == "51111"
    assert (await wire.get("trade/order"))["code"] == "50014"
    assert (await wire.get("market/books?instId=BTC-EUR"))["code"] == "51001"
    assert (await wire.send("GET", "trade/nothing"))[0] == 404


async def test_a_client_order_id_is_unique_among_open_orders(wire: Wire) -> None:
    first = await wire.order(clOrdId="once")
    assert (await wire.order(clOrdId="once"))["sCode"] == "51016"
    await wire.post("cancel-order", {"instId": NAME, "clOrdId": "once"})
    second = await wire.order(clOrdId="once")
    assert second["sCode"] == "0"
    found = await wire.rows(f"trade/order?instId={NAME}&clOrdId=once")
    assert [row["ordId"] for row in found] == [second["ordId"]] != [first["ordId"]], "the latest one"


@pytest.mark.parametrize(
    ("order", "source", "filled"),
    [
        ({"ordType": "post_only", "px": "61000"}, "31", "0"),
        ({"ordType": "fok", "px": "60000.60", "sz": "1"}, "13", "0"),
        ({"ordType": "ioc", "px": "60000.60", "sz": "1"}, "14", "0.65139"),
    ],
)
async def test_accepted_and_canceled(wire: Wire, order: Json, source: str, filled: str) -> None:
    row = await wire.order(**order)
    assert row["sCode"] == "0"
    found = await wire.look(row)
    assert (found["state"], found["cancelSource"], found["accFillSz"]) == ("canceled", source, filled)
    assert found["cancelSourceReason"]
    assert (await held(wire, "USDT"))[1] == "0"


async def test_market_orders_count_what_they_say(wire: Wire) -> None:
    market = {"ordType": "market", "px": ""}
    by_quote = await wire.look(await wire.order(**market, sz="600"))
    assert (by_quote["sz"], by_quote["tgtCcy"], by_quote["state"]) == ("600", "quote_ccy", "filled")
    assert (by_quote["accFillSz"], by_quote["avgPx"], by_quote["fee"]) == ("0.00999", "60000.6", "-0.00000999")
    by_base = await wire.look(await wire.order(**market, sz="0.01", tgtCcy="base_ccy"))
    assert (by_base["accFillSz"], by_base["feeCcy"]) == ("0.01", "BTC")
    sold = await wire.look(await wire.order(**market, side="sell", sz="0.01"))
    assert (sold["accFillSz"], sold["tgtCcy"], sold["feeCcy"]) == ("0.01", "base_ccy", "USDT")
    assert sold["fee"] == "-0.599994"
    sold = await wire.look(await wire.order(**market, side="sell", sz="300", tgtCcy="quote_ccy"))
    assert sold["accFillSz"] == "0.005"


async def test_a_resting_order_pays_the_makers_rate_from_what_it_receives(okx: Sandbox, wire: Wire) -> None:
    row = await wire.order(px="59000", sz="0.1")
    assert await held(wire, "USDT") == ("94100", "5900")
    move(okx, "58900")
    found = await wire.look(row)
    assert (found["state"], found["avgPx"], found["fee"], found["feeCcy"]) == ("filled", "59000", "-0.00008", "BTC")
    assert await held(wire, "BTC") == ("1.09992", "0")
    assert await held(wire, "USDT") == ("94100", "0")
    fill = (await wire.rows("trade/fills?instType=SPOT"))[0]
    assert (fill["execType"], fill["fee"], fill["feeRate"]) == ("M", "-0.00008", "-0.0008")
    bills = await wire.rows("account/bills")
    assert {(bill["ccy"], bill["balChg"]) for bill in bills} == {("BTC", "0.09992"), ("USDT", "-5900")}
    assert await wire.rows("account/bills?ccy=BTC") == [bill for bill in bills if bill["ccy"] == "BTC"]


async def test_cancels_say_what_became_of_the_order(wire: Wire) -> None:
    resting = await wire.order()
    filled = await wire.order(ordType="market", sz="100", px="")
    codes = []
    for row in (resting, resting, filled, {"ordId": "1"}):
        answer = await wire.post("cancel-order", {"instId": NAME, "ordId": row["ordId"]})
        codes.append((answer["code"], answer["data"][0]["sCode"]))
    assert codes == [("0", "0"), ("1", "51401"), ("1", "51402"), ("1", "51400")]
    assert (await wire.post("cancel-order", {"instId": NAME}))["data"][0]["sCode"] == "51000"
    found = await wire.look(resting)
    assert (found["state"], found["cancelSource"]) == ("canceled", "1")


async def test_batches_may_succeed_in_part(wire: Wire) -> None:
    answer = await wire.post("batch-orders", [{**LIMIT, "clOrdId": "a"}, {**LIMIT, "sz": "0"}])
    assert (answer["code"], [row["sCode"] for row in answer["data"]]) == ("2", ["0", "51000"])
    assert answer["msg"] == "Bulk operation partially succeeded."
    rows = [{"instId": NAME, "clOrdId": "a", "newSz": "0.02"}, {"instId": NAME, "clOrdId": "b", "newSz": "0.02"}]
    answer = await wire.post("amend-batch-orders", rows)
    assert (answer["code"], [row["sCode"] for row in answer["data"]]) == ("2", ["0", "51503"])
    answer = await wire.post("cancel-batch-orders", [{"instId": NAME, "clOrdId": name} for name in "ab"])
    assert (answer["code"], [row["sCode"] for row in answer["data"]]) == ("2", ["0", "51400"])


async def test_amendments(okx: Sandbox, wire: Wire) -> None:
    row = await wire.order(sz="0.1")

    async def amend(**fields: Any) -> str:
        code: str = (await wire.post("amend-order", {"instId": NAME, "ordId": row["ordId"], **fields}))["data"][0][
            "sCode"
        ]
        return code

    assert await amend() == "51500"
    assert await amend(newSz="0.000001") == "51020"
    assert await amend(newSz="0.100001") == "51121"
    assert await amend(newPx="58000.001") == "51000"
    assert await amend(newSz="5") == "51008"
    assert await amend(newSz="0.2", newPx="57000") == "0"
    found = await wire.look(row)
    assert (found["sz"], found["px"], found["state"]) == ("0.2", "57000", "live")
    assert await held(wire, "USDT") == ("88600", "11400")
    world = okx.worlds["testnet"]
    assert await amend(newPx="60000.6") == "0", "an amended price trades at once"
    assert (await wire.look(row))["state"] == "filled"
    assert await amend(newSz="0.3") == "51510"
    assert world.exchange.accounts["testnet-customer"].locked["USDT"] == 0


async def test_an_amendment_below_what_has_traded_completes_the_order(wire: Wire) -> None:
    row = await wire.order(px="60000.6", sz="1")
    assert (await wire.look(row))["accFillSz"] == "0.65139"
    await wire.post("amend-order", {"instId": NAME, "ordId": row["ordId"], "newSz": "0.5"})
    found = await wire.look(row)
    assert (found["state"], found["sz"], found["accFillSz"]) == ("filled", "0.65139", "0.65139")
    assert (await held(wire, "USDT"))[1] == "0"


async def test_an_amendment_may_cancel_when_it_fails(wire: Wire) -> None:
    row = await wire.order()
    fields = {"instId": NAME, "ordId": row["ordId"], "newSz": "5", "cxlOnFail": True}
    assert (await wire.post("amend-order", fields))["data"][0]["sCode"] == "51008"
    assert (await wire.look(row))["state"] == "canceled"
    maker = await wire.order(ordType="post_only")
    fields = {"instId": NAME, "ordId": maker["ordId"], "newPx": "61000"}
    assert (await wire.post("amend-order", fields))["data"][0]["sCode"] == "51511"


@pytest.mark.parametrize(
    ("mode", "states"),
    [
        ("cancel_maker", ("canceled", "live")),
        ("cancel_taker", ("live", "canceled")),
        ("cancel_both", ("canceled", "canceled")),
    ],
)
async def test_nobody_trades_with_himself(wire: Wire, mode: str, states: tuple[str, str]) -> None:
    maker = await wire.order(px="60000.1")
    taker = await wire.order(side="sell", px="60000.1", stpMode=mode)
    found = [await wire.look(row) for row in (maker, taker)]
    assert tuple(order["state"] for order in found) == states
    assert all(order["cancelSource"] == "32" for order in found if order["state"] == "canceled")


async def test_lists_are_filtered_and_paged(wire: Wire) -> None:
    rows = [await wire.order(clOrdId=f"n{number}") for number in range(5)]
    await wire.post("cancel-order", {"instId": NAME, "clOrdId": "n0"})
    pending = await wire.rows("trade/orders-pending?instType=SPOT")
    assert [row["clOrdId"] for row in pending] == ["n4", "n3", "n2", "n1"]
    page = await wire.rows(f"trade/orders-pending?limit=2&after={pending[1]['ordId']}")
    assert [row["clOrdId"] for row in page] == ["n2", "n1"]
    assert [row["clOrdId"] for row in await wire.rows("trade/orders-history?instType=SPOT")] == ["n0"]
    assert await wire.rows("trade/orders-history?instType=SPOT&state=filled") == []
    assert await wire.rows("trade/orders-pending?ordType=post_only") == []
    assert await wire.rows("trade/orders-pending?instType=SWAP") == []
    for _ in range(3):
        await wire.order(ordType="market", sz="100", px="")
    fills = await wire.rows("trade/fills-history?instType=SPOT")
    assert len(fills) == 3
    assert await wire.rows(f"trade/fills?after={fills[0]['billId']}") == fills[1:]
    assert await wire.rows(f"trade/fills?before={fills[2]['billId']}") == fills[:2]
    assert await wire.rows(f"trade/fills?ordId={rows[1]['ordId']}") == []


async def test_the_dead_mans_switch(okx: Sandbox, wire: Wire) -> None:
    tagged = await wire.order(tag="strategy1")
    other = await wire.order()
    assert (await wire.post("cancel-all-after", {"timeOut": "5"}))["code"] == "51000"
    answer = await wire.post("cancel-all-after", {"timeOut": "10", "tag": "strategy1"})
    due_ms = int(answer["data"][0]["triggerTime"])
    deadlines = okx.sites["okx"].venues["testnet"].api.desk.deadlines  # type: ignore[attr-defined]
    deadlines.check(due_ms - 1)
    assert (await wire.look(tagged))["state"] == "live"
    deadlines.check(due_ms)
    found = await wire.look(tagged)
    assert (found["state"], found["cancelSource"]) == ("canceled", "20")
    assert (await wire.look(other))["state"] == "live", "another tag"
    await wire.post("cancel-all-after", {"timeOut": "10"})
    answer = await wire.post("cancel-all-after", {"timeOut": "0"})
    assert answer["data"][0]["triggerTime"] == "0"
    deadlines.check(due_ms + 60_000)
    assert (await wire.look(other))["state"] == "live", "lifted"


async def test_what_an_account_has_to_show(wire: Wire) -> None:
    config = (await wire.rows("account/config"))[0]
    assert (config["acctLv"], config["perm"]) == ("1", "read_only,trade")
    assert await wire.rows("account/positions") == []
    size = (await wire.rows(f"account/max-size?instId={NAME}"))[0]
    assert (size["maxSell"], size["availBuy"]) == ("1", "100000")
    assert float(size["maxBuy"]) == pytest.approx(100_000 / 60_000.6, rel=1e-4)
    assert {row["ccy"] for row in await wire.rows("asset/currencies")} == {"BTC", "USDT"}
    assert await wire.rows("asset/balances?ccy=BTC") == []
    names = ",".join(f"C{number}" for number in range(21))
    assert (await wire.get(f"account/balance?ccy={names}"))["code"] == "50025"
    assert await wire.rows("account/instruments?instType=SPOT") == await wire.rows("public/instruments?instType=SPOT")


async def test_what_the_market_has_to_show(okx: Sandbox, wire: Wire) -> None:
    okx.driver.advance(5)
    assert await wire.rows("system/status") == []
    assert await wire.rows("public/instruments?instType=SWAP") == []
    assert (await wire.get("public/instruments?instType=BONDS"))["code"] == "51000"
    assert (await wire.get("public/instruments?instType=SPOT&instId=BTC-EUR"))["code"] == "51001"
    assert await wire.rows("market/tickers?instType=SWAP") == []
    (ticker,) = await wire.rows("market/tickers?instType=SPOT")
    last = float(ticker["last"])
    assert float(ticker["bidPx"]) < float(ticker["askPx"])
    assert float(ticker["low24h"]) <= last <= float(ticker["high24h"])
    limit = (await wire.rows(f"public/price-limit?instId={NAME}"))[0]
    assert float(limit["sellLmt"]) == pytest.approx(last * 0.9)
    assert float(limit["buyLmt"]) == pytest.approx(last * 1.1)
    full = (await wire.rows(f"market/books-full?instId={NAME}&sz=3"))[0]
    assert [len(row) for row in full["bids"]] == [3, 3, 3]
    trades = await wire.rows(f"market/trades?instId={NAME}&limit=9")
    older = await wire.rows(f"market/history-trades?instId={NAME}&after={trades[3]['tradeId']}")
    assert older[:5] == trades[4:9]
    assert (await wire.get(f"market/trades?instId={NAME}&limit=many"))["code"] == "51000"
    assert (await wire.rows(f"market/history-trades?instId={NAME}&type=2&after=1")) == []
