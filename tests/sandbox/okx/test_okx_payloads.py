"""The OKX sandbox's messages have the fields and types of the venue's own, recorded or printed in its documentation."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from okx_kit import LIMIT, NAME, Socket, Wire
from test_okx_orders import move
from test_sandbox_payloads import differences

from autotrader_lab.sandbox import Sandbox

Theirs = Callable[[str], Any]
Dial = Callable[[str], Awaitable[Socket]]


@pytest.fixture
def theirs(recorded: Callable[[str], Path]) -> Theirs:
    """One of the recorded messages; of a sequence the first."""

    def read(name: str) -> Any:
        value = json.loads(recorded(f"payloads/okx/{name}.json").read_text())
        return value[0] if isinstance(value, list) else value

    return read


async def test_rest_answers(okx: Sandbox, wire: Wire, theirs: Theirs) -> None:
    okx.driver.advance(3)
    row = await wire.order(clOrdId="a")
    batch = await wire.post("batch-orders", [{**LIMIT, "clOrdId": "b"}])
    amended = await wire.post("amend-order", {"instId": NAME, "clOrdId": "a", "newSz": "0.02"})
    pending = await wire.get("trade/orders-pending")
    canceled = await wire.post("cancel-order", {"instId": NAME, "ordId": row["ordId"]})
    market = await wire.order(ordType="market", px="", sz="100")
    pairs = [
        ("doc_place_batch", batch),
        ("doc_amend_order", amended),
        ("doc_cancel_order", canceled),
        ("rest_orders_pending", pending),
        ("doc_order_details", await wire.get(f"trade/order?instId={NAME}&ordId={market['ordId']}")),
        ("err_51008_insufficient_margin", await wire.post("order", {**LIMIT, "sz": "5"})),
        ("rest_instruments_spot", await wire.get("public/instruments?instType=SPOT")),
        ("rest_order_book", await wire.get(f"market/books?instId={NAME}&sz=3")),
        ("rest_account_balance", await wire.get("account/balance?ccy=USDT")),
        ("rest_trade_fee_response", await wire.get("account/trade-fee?instType=SPOT")),
        ("doc_account_rate_limit", await wire.get("trade/account-rate-limit")),
    ]
    fill = (await wire.rows("trade/fills"))[0]
    pairs.append(("rest_transaction_detail_empty_fee", fill))
    for name, ours in pairs:
        assert differences(theirs(name), ours) == [], name


async def test_pushes(okx: Sandbox, wire: Wire, dial: Dial, theirs: Theirs) -> None:
    public, private = await dial("public"), await dial("private")
    await public.subscribe({"channel": "nothing"})
    assert differences(theirs("ws_error_60012"), await public.next()) == []
    await public.subscribe(*({"channel": name, "instId": NAME} for name in ("books", "tickers", "trades")))
    assert differences(theirs("ws_subscribe_acks"), await public.next()) == []
    first = await public.until(channel="books")
    assert differences(theirs("seq_books_btc_usdt")["msg"], first) == []
    assert differences(theirs("ws_tickers"), await public.until(channel="tickers")) == []
    okx.driver.advance(3)
    trade = await public.until(channel="trades")
    assert differences(theirs("ws_trades"), trade) == []
    assert differences(theirs("ws_all_trades"), trade) == []
    assert differences(theirs("ws_books_update"), await public.until(channel="books", action="update")) == []
    await private.log_in(wire)
    await private.subscribe(
        {"channel": "orders", "instType": "SPOT"}, {"channel": "account"}, {"channel": "balance_and_position"}
    )
    assert differences(theirs("ws_account"), await private.until(channel="account")) == []
    theirs_balance = theirs("ws_balance_and_position")
    theirs_balance["data"][0]["posData"] = []
    assert differences(theirs_balance, await private.until(channel="balance_and_position")) == []
    await wire.order(px="59900")
    await private.until(channel="orders")
    move(okx, "59800")
    assert differences(theirs("ws_orders_ioc"), await private.until(channel="orders")) == []


async def test_algo_pushes(wire: Wire, dial: Dial, theirs: Theirs) -> None:
    business = await dial("business")
    await business.log_in(wire)
    await business.subscribe({"channel": "orders-algo", "instType": "SPOT"})
    order = {"instId": NAME, "tdMode": "cash", "side": "sell", "sz": "0.01", "ordType": "trigger"}
    await wire.post("order-algo", {**order, "triggerPx": "57000", "orderPx": "-1"})
    assert differences(theirs("ws_orders_algo"), await business.until(channel="orders-algo")) == []
