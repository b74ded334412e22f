"""Oanda's messages have the fields and kinds of values of recorded ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from oanda_wire import Oanda

Differences = list[str]


def differences(theirs: Any, ours: Any, where: str = "") -> Differences:
    """What recorded messages have and ours have not, by field; lists are compared by their first element."""
    if isinstance(theirs, dict):
        if not isinstance(ours, dict):
            return [f"{where} is no object"]
        missing = [f"{where}.{name} is missing" for name in theirs if name not in ours]
        return missing + [
            line for name in theirs if name in ours for line in differences(theirs[name], ours[name], f"{where}.{name}")
        ]
    if isinstance(theirs, list):
        if not isinstance(ours, list):
            return [f"{where} is no list"]
        return differences(theirs[0], ours[0], f"{where}[0]") if theirs and ours else []
    is_text = isinstance(theirs, str)
    return [] if is_text == isinstance(ours, str) else [f"{where} is {type(ours).__name__}"]


@pytest.fixture
def theirs(recorded: Callable[[str], Path]) -> Callable[[str], Any]:
    return lambda name: json.loads(recorded(f"payloads/oanda/{name}.json").read_text())


async def test_every_recorded_answer(oanda: Oanda, client: Any, theirs: Callable[[str], Any]) -> None:
    api = client()
    oanda.quote("EUR_USD", "1.10000", "1.10010")
    terms = {"type": "LIMIT", "instrument": "EUR_USD", "units": "-100", "price": "1.20000"}
    pairs: list[tuple[str, Any, set[str]]] = []

    async def compare(name: str, *asked: Any, but: set[str] | None = None, **more: Any) -> Any:
        answer = await api.ask(*asked, **more)
        body = answer[1] if isinstance(answer, tuple) else answer
        pairs.append((name, body, but or set()))
        return body

    created = await compare("py_orders_create", "OrderCreate", {"order": terms}, but={"stopLossOnFill"})
    number = created["orderCreateTransaction"]["id"]
    await compare("py_orders_list", "OrderList", but={"stopLossOnFill"})
    await compare("py_orders_order_details", "OrderDetails", number, but={"stopLossOnFill"})
    extensions = {"clientExtensions": {"id": "myID", "comment": "myComment"}}
    await compare("py_orders_order_clientextensions", "OrderClientExtensions", number, extensions)
    await compare(
        "php_order_client_extensions", "OrderClientExtensions", number, {"clientExtensions": {"tag": "testing"}}
    )
    await compare("py_orders_pending", "OrdersPending", but={"stopLossOnFill"})
    replaced = await compare("py_orders_order_replace", "OrderReplace", number, {"order": terms})
    number = replaced["orderCreateTransaction"]["id"]
    await compare("php_cancel_order", "OrderCancel", number)
    touched = {"type": "MARKET_IF_TOUCHED", "instrument": "GBP_USD", "units": "100", "price": "1.00000"}
    first = await api.ask("OrderCreate", {"order": touched})
    number = first["orderCreateTransaction"]["id"]
    await compare("php_order_replace", "OrderReplace", number, {"order": touched})
    precise = {**touched, "instrument": "USD_JPY", "price": "110.79999999999999"}
    await compare("err_mit_price_precision_usdjpy", "OrderCreate", {"order": precise})
    await api.order("MARKET", "100")
    await compare("py_accounts", "AccountDetails", but={"tradeIDs", "averagePrice", "orders"})
    await compare("py_accounts_summary", "AccountSummary")
    await compare("py_accounts_accounts", "AccountList")
    await compare("py_accounts_instruments", "AccountInstruments")
    await compare("php_instruments_2019", "AccountInstruments", but={"marginRate"})
    await compare("py_accounts_account_changes", "AccountChanges", {"sinceTransactionID": 3}, but={"stopLossOnFill"})
    await compare("py_accounts_account_config", "AccountConfiguration", {"marginRate": "0.05"})
    await compare("py_positions_positions", "PositionList")
    await compare("av_positions", "PositionList")
    await compare("py_trades_opentrades", "OpenTrades")
    await compare("py_trades_trades", "TradesList")
    await compare("php_pricing", "PricingInfo", params={"instruments": "EUR_USD"})
    await compare("php_close_position", "PositionClose", "EUR_USD", {"longUnits": "ALL"})
    await compare("php_tx_create", "TransactionDetails", "1")
    await compare("php_tx_pages", "TransactionList")
    await compare("py_transactions_transaction_details", "TransactionDetails", "4", but={"stopLossOnFill"})
    await compare("err_missing_instruments_param", "PricingInfo", params={})
    await compare("av_candles_s5", "InstrumentsCandles", "EUR_USD", {"granularity": "M1", "count": 3})
    found = {
        name: [line for line in differences(theirs(name), ours) if not any(word in line for word in but)]
        for name, ours, but in pairs
    }
    assert found == {name: [] for name, _, _ in pairs}


async def test_recorded_streams_and_transactions(oanda: Oanda, client: Any, theirs: Callable[[str], Any]) -> None:
    api = client()
    (price,) = await api.stream("PricingStream", 1, params={"instruments": "EUR_USD"})
    assert differences(theirs("av_price_stream"), price) == []
    (beat,) = await api.stream("TransactionsStream", 1)
    assert differences(theirs("av_stream_transaction_heartbeat"), beat) == []
    created = await api.order("MARKET", "1")
    assert differences(theirs("av_stream_transaction"), created["orderCreateTransaction"]) == []
    oanda.command("market", symbol="EUR_USD", open=False)
    halted = await api.order("MARKET", "1")
    assert differences(theirs("av_order_cancel_market_halted"), halted["orderCancelTransaction"]) == []
    _, refused = await api.ask("PositionClose", "GBP_USD", {"shortUnits": "ALL"})
    assert differences(theirs("av_market_order_reject"), refused["shortOrderRejectTransaction"]) == []


def test_every_word_used_is_in_the_published_enumerations(theirs: Callable[[str], Any]) -> None:
    from autotrader_lab.sandbox.venues.oanda import desk, errors, reading

    words = theirs("enum_catalogue")
    assert set(errors.MESSAGES) <= set(words["TransactionRejectReason"])
    assert set(desk.FILL_REASONS.values()) <= set(words["OrderFillReason"])
    assert set(reading.ORDER_TYPES) <= set(words["OrderType"])
    assert {tif for tifs in reading.ORDER_TYPES.values() for tif in tifs} == set(words["TimeInForce"])
