"""The wire itself: signatures, times, parameters, filters, limits and answers, in the venue's own words."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sandbox_wire import LIMIT, Json, S, Socket, Wire, now_ms

from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.venues import channel
from autotrader_lab.sandbox.venues.binance.calls import Answer
from autotrader_lab.sandbox.venues.binance.hooks import Hooks, RequestInfo
from autotrader_lab.sandbox.venues.binance.limits import Limits


@pytest_asyncio.fixture
async def wire(box: Sandbox) -> AsyncIterator[Wire]:
    async with aiohttp.ClientSession() as session:
        yield Wire(session, box.addresses["binance"])


async def test_query_form_and_both_may_carry_a_signed_order(wire: Wire) -> None:
    order = urlencode({**LIMIT, "timestamp": now_ms()})
    signature = wire.sign(order)
    assert (await wire.send("POST", "/api/v3/order", f"{order}&signature={signature}"))[0] == 200
    assert (await wire.send("POST", "/api/v3/order", body=f"{order}&signature={signature}"))[0] == 200
    half = f"timestamp={now_ms()}&recvWindow=5000"
    rest = urlencode(LIMIT)
    mixed = f"{rest}&signature={wire.sign(half + rest)}"
    assert (await wire.send("POST", "/api/v3/order", half, mixed))[0] == 200


async def test_who_and_when_are_checked(wire: Wire) -> None:
    account = "/api/v3/account"
    assert await wire.send("GET", account, key="short") == (401, {"code": -2014, "msg": "API-key format invalid."})
    status, answer = await wire.send("GET", account, key="x" * 64)
    assert (status, answer["code"]) == (401, -2015)
    status, answer = await wire.send("GET", account, f"timestamp={now_ms()}")
    assert answer["msg"] == "Mandatory parameter 'signature' was not sent, was empty/null, or malformed."
    status, answer = await wire.send("GET", account, f"timestamp={now_ms()}&signature={'0' * 64}")
    assert (status, answer) == (400, {"code": -1022, "msg": "Signature for this request is not valid."})
    late, early = now_ms() - 6_000, now_ms() + 5_000
    _, answer = await wire.signed("GET", account, timestamp=late)
    assert answer == {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
    assert (await wire.signed("GET", account, timestamp=late, recvWindow=30_000))[0] == 200
    _, answer = await wire.signed("GET", account, timestamp=early)
    assert answer == {"code": -1021, "msg": "Timestamp for this request was 1000ms ahead of the server's time."}
    assert (await wire.signed("GET", account, recvWindow=60_001))[1]["code"] == -1131
    unsigned = urlencode({"recvWindow": 5000})
    assert (await wire.send("GET", account, f"{unsigned}&signature={wire.sign(unsigned)}"))[1]["code"] == -1102


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"symbol": None}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ({"symbol": "XYZUSDT"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "PEGGED"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"timeInForce": None}, -1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed."),
        ({"quantity": ""}, -1105, "Parameter 'quantity' was empty."),
        ({"quantity": "-1"}, -1100, "Illegal characters found in parameter 'quantity'; legal range is"),
        ({"quantity": "0.123456789"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"quantity": "0"}, -1013, "Invalid quantity."),
        ({"stopPrice": "40000"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"surprise": "1"}, -1104, "Not all sent parameters were read; read '7' parameter(s) but was sent '8'."),
        ({"newClientOrderId": "no spaces"}, -1100, "Illegal characters found in parameter 'newClientOrderId'"),
        ({"strategyType": "5"}, -1134, "`strategyType` was less than 1000000."),
        ({"price": "50000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "500000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "0.000011"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00009"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "10000"}, -1013, "Filter failure: LOT_SIZE"),
        ({"icebergQty": "0.0001"}, -1013, "Filter failure: ICEBERG_PARTS"),
        ({"quantity": "10"}, -2010, "Account has insufficient balance for requested action."),
        (
            {"type": "LIMIT_MAKER", "timeInForce": None, "price": "70000"},
            -2010,
            "Order would immediately match and take.",
        ),
        ({"type": "MARKET", "price": None}, -1106, "Parameter 'timeInForce' sent when not required."),
        (
            {"type": "MARKET", "price": None, "timeInForce": None, "quantity": None},
            -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
        ),
        (
            {"type": "MARKET", "price": None, "timeInForce": None, "quantity": "101"},
            -1013,
            "Filter failure: MARKET_LOT_SIZE",
        ),
        (
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "50000"},
            -2010,
            "Stop price would trigger immediately.",
        ),
        ({"trailingDelta": "100"}, -2010, "Trailing stop orders are not supported for this symbol."),
    ],
)
async def test_wrong_orders_are_refused_in_the_venues_words(wire: Wire, change: Json, code: int, message: str) -> None:
    if change.get("type") == "STOP_LOSS_LIMIT":
        change = {**change, "stopPrice": "40000", "side": "BUY"}
    _, answer = await wire.order(**{**LIMIT, **change})
    assert (answer["code"], answer["msg"][: len(message)]) == (code, message)
    assert (await wire.signed("GET", "/api/v3/openOrders"))[1] == []


async def test_an_order_is_answered_as_asked(wire: Wire) -> None:
    _, ack = await wire.order(**LIMIT, newOrderRespType="ACK")
    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    _, result = await wire.order(**LIMIT, newOrderRespType="RESULT", newClientOrderId="r")
    assert (result["status"], result["workingTime"], result["selfTradePreventionMode"]) == (
        "NEW",
        result["transactTime"],
        "EXPIRE_MAKER",
    )
    _, full = await wire.order(symbol=S, side="BUY", type="MARKET", quoteOrderQty="1000")
    assert full["status"] == "FILLED"
    assert full["origQuoteOrderQty"] == "1000.00000000"
    assert set(full["fills"][0]) == {"price", "qty", "commission", "commissionAsset", "tradeId"}
    assert wire.headers["X-MBX-ORDER-COUNT-10S"] == "2", "a filled order gives its count back"
    assert int(wire.headers["X-MBX-USED-WEIGHT-1M"]) >= 3
    _, trades = await wire.signed("GET", "/api/v3/myTrades", symbol=S, orderId=full["orderId"])
    assert [trade["id"] for trade in trades] == [fill["tradeId"] for fill in full["fills"]]
    _, later = await wire.signed("GET", "/api/v3/myTrades", symbol=S, fromId=trades[-1]["id"] + 1)
    assert later == []


async def test_client_ids_are_unique_only_while_open(wire: Wire) -> None:
    _, first = await wire.order(**LIMIT, newClientOrderId="same")
    _, refused = await wire.order(**LIMIT, newClientOrderId="same")
    assert refused == {"code": -2010, "msg": "Duplicate order sent."}
    _, canceled = await wire.signed("DELETE", "/api/v3/order", symbol=S, origClientOrderId="same", newClientOrderId="c")
    assert (canceled["status"], canceled["origClientOrderId"], canceled["clientOrderId"]) == ("CANCELED", "same", "c")
    _, second = await wire.order(**LIMIT, newClientOrderId="same")
    assert second["orderId"] > first["orderId"]
    _, found = await wire.signed("GET", "/api/v3/order", symbol=S, origClientOrderId="same")
    assert found["orderId"] == second["orderId"]
    _, everything = await wire.signed("GET", "/api/v3/allOrders", symbol=S)
    assert [order["status"] for order in everything] == ["CANCELED", "NEW"]


async def test_cancels_and_queries_of_what_is_not_there(wire: Wire) -> None:
    assert (await wire.signed("GET", "/api/v3/order", symbol=S, orderId=99))[1] == {
        "code": -2013,
        "msg": "Order does not exist.",
    }
    unknown = {"code": -2011, "msg": "Unknown order sent."}
    assert (await wire.signed("DELETE", "/api/v3/order", symbol=S, orderId=99))[1] == unknown
    assert (await wire.signed("DELETE", "/api/v3/openOrders", symbol=S))[1] == unknown
    _, order = await wire.order(**LIMIT)
    _, answer = await wire.signed(
        "DELETE", "/api/v3/order", symbol=S, orderId=order["orderId"], cancelRestrictions="ONLY_PARTIALLY_FILLED"
    )
    assert answer == {"code": -2011, "msg": "Order was not canceled due to cancel restrictions."}
    assert (await wire.signed("DELETE", "/api/v3/order", symbol=S))[1]["code"] == -1102


async def test_cancel_replace_in_all_its_outcomes(wire: Wire) -> None:
    _, order = await wire.order(**LIMIT)
    path = "/api/v3/order/cancelReplace"
    replace = {**LIMIT, "price": "49000", "cancelReplaceMode": "STOP_ON_FAILURE"}
    status, both = await wire.signed("POST", path, **replace, cancelOrderId=order["orderId"])
    assert (status, both["cancelResult"], both["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    status, none = await wire.signed("POST", path, **replace, cancelOrderId=order["orderId"])
    assert (status, none["code"], none["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    assert none["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    allowed = {**replace, "cancelReplaceMode": "ALLOW_FAILURE"}
    status, half = await wire.signed("POST", path, **allowed, cancelOrderId=order["orderId"])
    assert (status, half["code"], half["data"]["newOrderResult"]) == (409, -2021, "SUCCESS")
    status, lost = await wire.signed(
        "POST", path, **{**replace, "quantity": "100"}, cancelOrderId=both["newOrderResponse"]["orderId"]
    )
    assert (status, lost["code"]) == (409, -2021)
    assert (lost["data"]["cancelResult"], lost["data"]["newOrderResponse"]["code"]) == ("SUCCESS", -2010)


async def test_amend_keeps_priority(wire: Wire) -> None:
    _, order = await wire.order(**LIMIT, newClientOrderId="before")
    path = "/api/v3/order/amend/keepPriority"
    _, answer = await wire.signed(
        "PUT", path, symbol=S, orderId=order["orderId"], newQty="0.005", newClientOrderId="after"
    )
    amended = answer["amendedOrder"]
    assert (amended["origClientOrderId"], amended["clientOrderId"], amended["qty"]) == ("before", "after", "0.00500000")
    _, refused = await wire.signed("PUT", path, symbol=S, orderId=order["orderId"], newQty="0.02")
    assert refused == {"code": -2038, "msg": "Order amend (quantity increase) is not supported."}


async def test_open_order_limit_is_a_filter(wire: Wire) -> None:
    for _ in range(5):
        await wire.order(symbol=S, side="SELL", type="STOP_LOSS", quantity="0.001", stopPrice="40000")
    _, answer = await wire.order(symbol=S, side="SELL", type="STOP_LOSS", quantity="0.001", stopPrice="40000")
    assert answer == {"code": -1013, "msg": "Filter failure: MAX_NUM_ALGO_ORDERS"}


async def test_too_many_requests_are_told_when_to_come_back() -> None:
    async with (
        Sandbox(seed=1, speed=0, limits=Limits(weight_1m=45, orders_10s=2)) as box,
        aiohttp.ClientSession() as http,
    ):
        wire = Wire(http, box.addresses["binance"])
        answers = [await wire.order(**LIMIT) for _ in range(3)]
        assert answers[2] == (
            429,
            {"code": -1015, "msg": "Too many new orders; current limit is 2 orders per 10 SECOND."},
        )
        await wire.send("GET", "/api/v3/exchangeInfo")
        await wire.send("GET", "/api/v3/exchangeInfo")
        status, answer = await wire.send("GET", "/api/v3/exchangeInfo")
        assert (status, answer["code"]) == (429, -1003)
        assert 1 <= int(wire.headers["Retry-After"]) <= 60


async def test_market_data_answers(wire: Wire, box: Sandbox) -> None:
    box.driver.advance(30)

    async def get(path: str) -> Any:
        return (await wire.send("GET", f"/api/v3/{path}"))[1]

    depth = await get(f"depth?symbol={S}&limit=5")
    assert (len(depth["bids"]), len(depth["asks"])) == (5, 5)
    assert float(depth["bids"][0][0]) < float(depth["asks"][0][0])
    trades = await get(f"trades?symbol={S}&limit=10")
    ids = [trade["id"] for trade in trades]
    assert ids == list(range(ids[0], ids[0] + 10))
    assert (await get(f"historicalTrades?symbol={S}&fromId={ids[3]}&limit=2"))[0] == trades[3]
    aggregates = await get(f"aggTrades?symbol={S}&limit=3")
    assert aggregates[-1]["l"] == ids[-1]
    candles = await get(f"klines?symbol={S}&interval=1m&limit=3")
    assert [row[0] for row in candles] == [candles[0][0] + minute * 60_000 for minute in range(3)]
    assert candles[0][4] == candles[1][1] or candles[1][8]
    hours = await get(f"uiKlines?symbol={S}&interval=1h&limit=2")
    assert hours[1][0] - hours[0][0] == 3_600_000
    assert await get(f"klines?symbol={S}&interval=7m") == {"code": -1120, "msg": "Invalid interval."}
    assert {row["symbol"] for row in await get("ticker/price")} == {S, "ETHUSDT"}
    assert (await get(f'ticker/bookTicker?symbols=["{S}"]'))[0]["bidPrice"] == depth["bids"][0][0]
    assert (await get(f"ticker/24hr?symbol={S}"))["lastId"] == ids[-1]
    assert set(await get(f"ticker/24hr?symbol={S}&type=MINI")) >= {"openPrice", "count"}
    info = await get(f"exchangeInfo?symbol={S}")
    assert [symbol["symbol"] for symbol in info["symbols"]] == [S]
    assert await get("exchangeInfo?symbol=NOPE") == {"code": -1121, "msg": "Invalid symbol."}
    assert (await get("depth?symbol=btcusdt"))["code"] == -1100


async def test_websocket_api_trades_and_reports(wire: Wire) -> None:
    async with wire.session.ws_connect(f"{wire.entry['ws']}/ws-api/v3") as raw:
        socket = Socket(raw)
        assert (await socket.call("ping"))["result"] == {}
        assert (await socket.call("time"))["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
        assert (await socket.call("no.such"))["error"]["code"] == -1020
        assert (await socket.call("session.logon", wire.ws_params()))["error"]["code"] == -4056
        assert (await socket.call("userDataStream.subscribe"))["error"]["code"] == -1002
        subscribed = await socket.call("userDataStream.subscribe.signature", wire.ws_params())
        assert subscribed["result"] == {"subscriptionId": 0}
        again = await socket.call("userDataStream.subscribe.signature", wire.ws_params())
        assert again["error"]["code"] == -2035

        placed = await socket.call("order.place", wire.ws_params(**LIMIT, newClientOrderId="ws"))
        assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
        status = await socket.call("order.status", wire.ws_params(symbol=S, origClientOrderId="ws"))
        assert status["result"]["isWorking"]
        open_orders = await socket.call("openOrders.status", wire.ws_params(symbol=S))
        assert len(open_orders["result"]) == 1
        amended = await socket.call(
            "order.amend.keepPriority",
            wire.ws_params(symbol=S, origClientOrderId="ws", newQty="0.005", newClientOrderId="w2"),
        )
        assert amended["result"]["amendedOrder"]["qty"] == "0.00500000"
        canceled = await socket.call("openOrders.cancelAll", wire.ws_params(symbol=S))
        assert canceled["result"][0]["status"] == "CANCELED"
        bought = await socket.call("order.place", wire.ws_params(symbol=S, side="BUY", type="MARKET", quantity="0.01"))
        assert bought["result"]["status"] == "FILLED"
        assert len((await socket.call("myTrades", wire.ws_params(symbol=S)))["result"]) == 1
        assert (await socket.call("account.status", wire.ws_params(omitZeroBalances="true")))["result"]["balances"]
        bad = await socket.call("order.place", {**wire.ws_params(**LIMIT), "signature": "0" * 64})
        assert (bad["status"], bad["error"]["code"]) == (400, -1022)

        events = [row["event"] for row in socket.other]
        reports = [event for event in events if event["e"] == "executionReport"]
        assert [(r["x"], r["X"]) for r in reports] == [
            ("NEW", "NEW"),
            ("REPLACED", "NEW"),
            ("CANCELED", "CANCELED"),
            ("NEW", "NEW"),
            ("TRADE", "FILLED"),
        ]
        assert (reports[1]["c"], reports[1]["C"]) == ("w2", "ws")
        assert reports[2]["C"] == "w2"
        assert (reports[4]["N"], reports[4]["n"], reports[4]["m"]) == ("BTC", "0.00001000", False)
        assert any(event["e"] == "outboundAccountPosition" for event in events)
        assert (await socket.call("userDataStream.unsubscribe"))["result"] == {}
        assert (await socket.call("userDataStream.unsubscribe"))["error"]["code"] == -2036


async def test_documented_book_sync_holds(wire: Wire, box: Sandbox) -> None:
    async with wire.session.ws_connect(f"{wire.entry['ws']}/ws/{S.lower()}@depth@100ms") as raw:
        socket = Socket(raw)
        box.driver.advance(1)
        buffered = [await socket.next()]
        box.driver.advance(1)
        _, snapshot = await wire.send("GET", f"/api/v3/depth?symbol={S}&limit=5000")
        book = {side: {row[0]: row[1] for row in snapshot[side]} for side in ("bids", "asks")}
        last = snapshot["lastUpdateId"]
        applied = 0
        while applied < 5:
            event = buffered.pop(0) if buffered else await socket.next()
            box.driver.advance(0.5)
            if event["u"] <= last:
                continue
            assert event["U"] <= last + 1 if not applied else event["U"] == last + 1
            for side, rows in (("bids", event["b"]), ("asks", event["a"])):
                for price, quantity in rows:
                    book[side][price] = quantity
                    if float(quantity) == 0:
                        del book[side][price]
            last, applied = event["u"], applied + 1
        box.driver.paused = True
        while True:
            _, fresh = await wire.send("GET", f"/api/v3/depth?symbol={S}&limit=5000")
            if fresh["lastUpdateId"] == last:
                break
            event = await socket.next()
            for side, rows in (("bids", event["b"]), ("asks", event["a"])):
                book[side].update(dict(rows))
            last = event["u"]
        for side in ("bids", "asks"):
            mine = {price: quantity for price, quantity in book[side].items() if float(quantity)}
            assert mine == {row[0]: row[1] for row in fresh[side]}


async def test_subscriptions_on_a_combined_stream(wire: Wire, box: Sandbox) -> None:
    async with wire.session.ws_connect(f"{wire.entry['ws']}/stream?streams={S.lower()}@trade") as raw:
        socket = Socket(raw)
        names = [f"{S.lower()}@{kind}" for kind in ("bookTicker", "aggTrade", "depth5@100ms", "ticker", "miniTicker")]
        assert await socket.call("SUBSCRIBE", [*names, "!miniTicker@arr"]) == {"result": None, "id": 1}
        assert len((await socket.call("LIST_SUBSCRIPTIONS"))["result"]) == 7
        box.driver.advance(5)
        seen: dict[str, Any] = {row["stream"]: row["data"] for row in socket.other}
        while len(seen) < 7:
            row = await socket.next()
            seen[row["stream"]] = row["data"]
        assert seen[f"{S.lower()}@trade"]["e"] == "trade"
        assert seen[f"{S.lower()}@aggTrade"]["l"] >= seen[f"{S.lower()}@aggTrade"]["f"]
        assert len(seen[f"{S.lower()}@depth5@100ms"]["bids"]) == 5
        assert {row["s"] for row in seen["!miniTicker@arr"]} == {S, "ETHUSDT"}
        assert (await socket.call("UNSUBSCRIBE", names))["result"] is None
        assert len((await socket.call("LIST_SUBSCRIPTIONS"))["result"]) == 2
        assert (await socket.call("JUMP"))["error"]["code"] == 2


class LosesTheAnswer(Hooks):
    """Executes orders and says nothing."""

    def __init__(self) -> None:
        self.seen: list[RequestInfo] = []

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        self.seen.append(request)
        return None if request.operation in ("POST /api/v3/order", "order.place") else answer


async def test_the_seam_can_lose_an_answer_after_the_exchange_has_acted() -> None:
    hooks = LosesTheAnswer()
    async with Sandbox(seed=1, speed=0, hooks=hooks) as box, aiohttp.ClientSession() as http:
        wire = Wire(http, box.addresses["binance"])
        with pytest.raises(aiohttp.ClientError):
            await wire.order(**LIMIT, newClientOrderId="lost")
        _, found = await wire.signed("GET", "/api/v3/order", symbol=S, origClientOrderId="lost")
        assert found["status"] == "NEW"
        assert hooks.seen[0].params["newClientOrderId"] == "lost"
        async with http.ws_connect(f"{wire.entry['ws']}/ws-api/v3") as raw:
            await raw.send_json({"id": 1, "method": "order.place", "params": wire.ws_params(**LIMIT)})
            message = await asyncio.wait_for(raw.receive(), 5)
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
        assert len((await wire.signed("GET", "/api/v3/openOrders"))[1]) == 2


async def test_an_ed25519_session_logs_on_once(wire: Wire, box: Sandbox) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    control = box.addresses["control"]
    async with wire.session.post(
        f"{control['url']}/key",
        json={"world": "testnet", "public_key": public},
        headers={"X-Sandbox-Token": control["token"]},
    ) as response:
        key = (await response.json())["api_key"]
    async with wire.session.ws_connect(f"{wire.entry['ws']}/ws-api/v3") as raw:
        socket = Socket(raw)
        stamp = now_ms()
        signature = base64.b64encode(private.sign(f"apiKey={key}&timestamp={stamp}".encode())).decode()
        wrong = await socket.call("session.logon", {"apiKey": key, "timestamp": stamp + 1, "signature": signature})
        assert wrong["error"]["code"] == -1022
        logon = await socket.call("session.logon", {"apiKey": key, "timestamp": stamp, "signature": signature})
        assert logon["result"]["apiKey"] == key
        assert (await socket.call("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
        placed = await socket.call("order.place", {**LIMIT, "timestamp": now_ms()})
        assert placed["result"]["status"] == "NEW"
        assert {row["event"]["e"] for row in socket.other} == {"executionReport", "outboundAccountPosition"}
        assert (await socket.call("session.logout"))["result"]["apiKey"] is None
        assert (await socket.call("account.status", {"timestamp": now_ms()}))["error"]["code"] == -2014


async def test_a_candle_is_streamed_once_more_when_it_has_closed() -> None:
    clock = SimulatedClock(datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC))
    async with Sandbox(seed=1, speed=0, clock=clock) as box, aiohttp.ClientSession() as http:
        entry = box.addresses["binance"]
        async with http.ws_connect(f"{entry['ws']}/ws/{S.lower()}@kline_1m") as raw:
            socket = Socket(raw)
            streams = box.venues["testnet"].streams
            box.driver.advance(5)
            streams.tick(slow=True)
            running = (await socket.next())["k"]
            await clock.advance(40)
            streams.tick(slow=True)
            closed = running
            while not closed["x"]:
                closed = (await socket.next())["k"]
            following = (await socket.next())["k"]
        assert not running["x"]
        assert (closed["t"], closed["c"], closed["n"]) == (running["t"], running["c"], running["n"])
        assert (following["t"], following["x"], following["n"]) == (running["t"] + 60_000, False, 0)
        assert following["o"] == closed["c"]


async def test_test_orders_place_nothing_and_can_tell_the_commission(wire: Wire) -> None:
    assert (await wire.signed("POST", "/api/v3/order/test", **LIMIT)) == (200, {})
    _, rates = await wire.signed("POST", "/api/v3/order/test", **LIMIT, computeCommissionRates="true")
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    _, refused = await wire.signed("POST", "/api/v3/order/test", **{**LIMIT, "quantity": "100"})
    assert refused["code"] == -2010
    assert (await wire.signed("GET", "/api/v3/allOrders", symbol=S))[1] == []


async def test_windows_of_tickers_trades_and_orders(wire: Wire, box: Sandbox) -> None:
    box.driver.advance(5)
    for path in (f"ticker?symbol={S}&windowSize=4h", f"ticker/tradingDay?symbol={S}"):
        answer = (await wire.send("GET", f"/api/v3/{path}"))[1]
        assert answer["lowPrice"] <= answer["lastPrice"] <= answer["highPrice"]
    assert (await wire.send("GET", f"/api/v3/ticker?symbol={S}&windowSize=9y"))[1]["code"] == -1100
    assert (await wire.send("GET", "/api/v3/ticker"))[1]["code"] == -1102
    _, both = await wire.send("GET", f'/api/v3/ticker/price?symbol={S}&symbols=["{S}"]')
    assert both["code"] == -1128
    assert (await wire.send("GET", f'/api/v3/ticker/price?symbols=["{S}","{S}"]'))[1]["code"] == -1151
    assert (await wire.send("GET", "/api/v3/ticker/price?symbols=BTC"))[1]["code"] == -1100
    await wire.order(symbol=S, side="BUY", type="MARKET", quantity="0.01")
    start = now_ms() - 60_000
    for path in ("myTrades", "allOrders"):
        assert len((await wire.signed("GET", f"/api/v3/{path}", symbol=S, startTime=start))[1]) == 1
        assert (await wire.signed("GET", f"/api/v3/{path}", symbol=S, endTime=start))[1] == []
        _, far = await wire.signed("GET", f"/api/v3/{path}", symbol=S, startTime=1, endTime=start)
        assert far["code"] == -1127
    assert (await wire.signed("GET", "/api/v3/myTrades", symbol=S, startTime=start, fromId=1))[1]["code"] == -1128
    assert len((await wire.send("GET", f"/api/v3/aggTrades?symbol={S}&startTime={start}"))[1]) > 1
    _, counts = await wire.signed("GET", "/api/v3/rateLimit/order")
    assert [row["interval"] for row in counts] == ["SECOND", "DAY"]


async def test_what_the_venue_has_retired_and_malformed_socket_requests(wire: Wire) -> None:
    url = f"{wire.entry['rest']}/api/v3/userDataStream"
    async with wire.session.post(url) as response:
        assert response.status == 410
    assert (await wire.send("GET", "/api/v3/depth", f"symbol={S}&symbol={S}"))[1]["code"] == -1101
    for path, wrong, expected in (
        ("/ws-api/v3", "{", {"code": -1135, "msg": "Invalid JSON Request"}),
        ("/ws-api/v3", '{"method": "ping", "params": [1]}', {"code": -1135, "msg": "Invalid JSON Request"}),
        ("/ws-api/v3", "[]", {"code": -1135, "msg": "Invalid JSON Request"}),
    ):
        async with wire.session.ws_connect(f"{wire.entry['ws']}{path}") as raw:
            await raw.send_str(wrong)
            assert (await Socket(raw).next())["error"] == expected
    async with wire.session.ws_connect(f"{wire.entry['ws']}/ws") as raw:
        await raw.send_str("{")
        assert (await Socket(raw).next())["error"]["code"] == 3
        await raw.send_str("{}")
        assert (await Socket(raw).next())["error"]["code"] == 2


async def test_a_reader_that_does_not_read_is_dropped(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MOST_WAITING", 50)
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{box.addresses['binance']['ws']}/ws/btcusdt@trade") as raw:
            while not box.venues["testnet"].streams.reader_count:
                await asyncio.sleep(0.01)
            box.driver.advance(60)
            kinds = [(await asyncio.wait_for(raw.receive(), 5)).type for _ in range(51)]
        assert kinds == [aiohttp.WSMsgType.TEXT] * 50 + [aiohttp.WSMsgType.CLOSE]
