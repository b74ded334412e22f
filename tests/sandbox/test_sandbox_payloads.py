"""The sandbox's messages have the fields and types of the venue's own, recorded or printed in its documentation."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sandbox_wire import LIMIT, S, Socket, Wire

from autotrader_lab.sandbox import Sandbox

Recorded = Callable[[str], Path]

SINCE_REMOVED = {
    # Fields of older messages that the venue's present documentation no longer has, or of features not served.
    "v": "a prevented match's id, only on orders that have one",
}


def differences(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """Fields of theirs that ours lacks or has as another type."""
    if isinstance(theirs, dict):
        if not isinstance(ours, dict):
            return [f"{where}: not an object"]
        found = [f"{where}.{name}: missing" for name in theirs if name not in ours and name not in SINCE_REMOVED]
        for name in theirs.keys() & ours.keys():
            found += differences(theirs[name], ours[name], f"{where}.{name}")
        return found
    if isinstance(theirs, list):
        if not isinstance(ours, list):
            return [f"{where}: not a list"]
        return differences(theirs[0], ours[0], f"{where}[0]") if theirs and ours else []
    if where == ".id" or theirs is None or ours is None or type(theirs) is type(ours):
        return []
    return [f"{where}: {type(ours).__name__} instead of {type(theirs).__name__}"]


@pytest.fixture
def theirs(recorded: Recorded) -> Callable[[str], Any]:
    """One of the recorded messages."""
    return lambda name: json.loads(recorded(f"payloads/binance/{name}.json").read_text())


async def test_rest_answers(box: Sandbox, theirs: Callable[[str], Any]) -> None:
    box.driver.advance(5)
    async with aiohttp.ClientSession() as session:
        wire = Wire(session, box.addresses["binance"])
        full = (await wire.order(symbol=S, side="BUY", type="MARKET", quantity="0.01"))[1]
        ack = (await wire.order(**LIMIT, newOrderRespType="ACK"))[1]
        await wire.order(**LIMIT)
        pairs = [
            ("doc_order_full", full),
            ("doc_order_ack", ack),
            ("doc_cancel_all_with_order_list", (await wire.signed("DELETE", "/api/v3/openOrders", symbol=S))[1]),
            ("doc_commission_rates", (await wire.signed("GET", "/api/v3/account/commission", symbol=S))[1]),
            ("rest_account_info", (await wire.signed("GET", "/api/v3/account"))[1]),
            ("rest_exchange_info_btcusdt", (await wire.send("GET", "/api/v3/exchangeInfo", f"symbol={S}"))[1]),
            ("rest_historical_trades", (await wire.send("GET", "/api/v3/historicalTrades", f"symbol={S}"))[1]),
            ("rest_agg_trades", (await wire.send("GET", "/api/v3/aggTrades", f"symbol={S}"))[1]),
            ("rest_avg_price", (await wire.send("GET", "/api/v3/avgPrice", f"symbol={S}"))[1]),
            ("rest_ticker_24hr_btcusdt", (await wire.send("GET", "/api/v3/ticker/24hr", f"symbol={S}"))[1]),
        ]
        order = (await wire.order(**LIMIT))[1]
        amend = {"symbol": S, "orderId": order["orderId"], "newQty": "0.005"}
        pairs.append(
            ("doc_order_amend_single", (await wire.signed("PUT", "/api/v3/order/amend/keepPriority", **amend))[1])
        )
        replace = {**LIMIT, "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": "999", "newOrderRespType": "ACK"}
        pairs.append(
            (
                "doc_cancel_replace_stop_on_failure",
                (await wire.signed("POST", "/api/v3/order/cancelReplace", **replace))[1],
            )
        )
    assert {name: differences(theirs(name), ours) for name, ours in pairs} == {name: [] for name, _ in pairs}


async def test_a_prevented_self_trade(box: Sandbox, theirs: Callable[[str], Any]) -> None:
    async with aiohttp.ClientSession() as session:
        wire = Wire(session, box.addresses["binance"])
        inside = {**LIMIT, "price": "60000"}
        _, maker = await wire.order(**inside)
        _, taker = await wire.order(**{**inside, "side": "SELL"}, selfTradePreventionMode="EXPIRE_BOTH")
        assert taker["status"] == "EXPIRED_IN_MATCH"
        _, found = await wire.signed("GET", "/api/v3/order", symbol=S, orderId=maker["orderId"])
        assert found["status"] == "EXPIRED_IN_MATCH"
        assert differences(theirs("doc_stp_example_11"), found) == []
        _, matches = await wire.signed("GET", "/api/v3/myPreventedMatches", symbol=S, orderId=maker["orderId"])
        assert matches[0]["takerOrderId"] == taker["orderId"]
        assert matches[0]["preventedMatchId"] == found["preventedMatchId"]


async def test_user_data_events(box: Sandbox, theirs: Callable[[str], Any]) -> None:
    async with aiohttp.ClientSession() as session:
        wire = Wire(session, box.addresses["binance"])
        async with session.ws_connect(f"{wire.entry['ws']}/ws-api/v3") as raw:
            socket = Socket(raw)
            subscribed = await socket.call("userDataStream.subscribe.signature", wire.ws_params())
            assert differences(theirs("wsapi_subscribe_user_stream_ok"), subscribed) == []
            await socket.call("order.place", wire.ws_params(**{**LIMIT, "price": "70000"}))
            fok = {**LIMIT, "timeInForce": "FOK"}
            await socket.call("order.place", wire.ws_params(**fok))
            resting = (await socket.call("order.place", wire.ws_params(**LIMIT)))["result"]
            replace = {**LIMIT, "quantity": "100", "cancelReplaceMode": "STOP_ON_FAILURE"}
            failed = await socket.call(
                "order.cancelReplace", wire.ws_params(**replace, cancelOrderId=resting["orderId"])
            )
            assert differences(theirs("doc_wsapi_cancel_replace_fail"), failed) == []
            refused = await socket.call("order.place", wire.ws_params(**{**LIMIT, "quantity": "100"}))
            assert differences(theirs("doc_wsapi_error_response"), refused) == []
            box.worlds["testnet"].exchange.deposit("testnet-customer", "BTC", 100, box.worlds["testnet"].now_ms())
            box.worlds["testnet"].publish()
            while not any(row["event"]["e"] == "balanceUpdate" for row in socket.other):
                socket.other.append(await socket.next())
    reports = [row for row in socket.other if row["event"]["e"] == "executionReport"]
    positions = [row for row in socket.other if row["event"]["e"] == "outboundAccountPosition"]
    updates = [row for row in socket.other if row["event"]["e"] == "balanceUpdate"]
    assert [(row["event"]["x"], row["event"]["X"]) for row in reports] == [
        ("NEW", "NEW"),
        ("TRADE", "FILLED"),
        ("NEW", "NEW"),
        ("EXPIRED", "EXPIRED"),
        ("NEW", "NEW"),
        ("CANCELED", "CANCELED"),
        ("REJECTED", "REJECTED"),
    ]
    assert reports[6]["event"]["r"] == "INSUFFICIENT_BALANCE"
    filled, expired = theirs("seq_spot_limit_filled"), theirs("seq_spot_fok_expired")
    assert differences(theirs("doc_execution_report_new"), reports[0]) == []
    for recorded_row, ours in zip([*filled, *expired], reports[:4], strict=True):
        assert differences(recorded_row, ours) == []
        for same in ("x", "X", "w", "m", "M", "r", "f", "o", "C", "g"):
            assert ours["event"][same] == recorded_row["event"][same], same
    assert differences(theirs("ws_outbound_account_position_2021")["data"], positions[0]["event"]) == []
    assert differences(theirs("doc_balance_update"), updates[0]) == []


async def test_market_streams(box: Sandbox, theirs: Callable[[str], Any]) -> None:
    names = {
        "aggTrade": "doc_ws_agg_trade",
        "depth@100ms": "doc_ws_diff_depth",
        "bookTicker": "ws_book_ticker",
        "kline_1m": "ws_kline_1m",
    }
    url = f"{box.addresses['binance']['ws']}/stream?streams=" + "/".join(f"btcusdt@{name}" for name in names)
    seen: dict[str, Any] = {}
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as raw:
        box.driver.advance(5)
        while len(seen) < len(names):
            row = json.loads(await asyncio.wait_for(raw.receive_str(), 5))
            seen[row["stream"].partition("@")[2]] = row
    for stream, name in names.items():
        recorded_message = theirs(name)
        recorded_row = recorded_message[0] if isinstance(recorded_message, list) else recorded_message
        ours = seen[stream] if "stream" in recorded_row else seen[stream]["data"]
        assert differences(recorded_row, ours) == [], stream
