"""Orders at Oanda with the real oandapyV20."""

from decimal import Decimal
from typing import Any

import pytest
from oanda_wire import Oanda


async def test_a_market_order_opens_a_trade(oanda: Oanda, client: Any) -> None:
    api = client()
    oanda.quote("EUR_USD", "1.10000", "1.10010")
    answer = await api.order("MARKET", "1000", clientExtensions={"id": "mine", "tag": "strategy"})
    created, filled = answer["orderCreateTransaction"], answer["orderFillTransaction"]
    assert (created["type"], created["reason"], created["clientExtensions"]["id"]) == (
        "MARKET_ORDER",
        "CLIENT_ORDER",
        "mine",
    )
    assert (filled["orderID"], filled["clientOrderID"], filled["units"]) == (created["id"], "mine", "1000")
    assert (filled["price"], filled["accountBalance"], filled["pl"]) == ("1.10010", "100000.0000", "0.0000")
    assert filled["tradeOpened"]["tradeID"] == filled["id"]
    assert answer["relatedTransactionIDs"] == [created["id"], filled["id"]]
    assert created["batchID"] == filled["batchID"] == created["id"]
    order = (await api.ask("OrderDetails", "@mine"))["order"]
    assert (order["state"], order["fillingTransactionID"]) == ("FILLED", filled["id"])
    (trade,) = (await api.ask("OpenTrades"))["trades"]
    assert (trade["currentUnits"], trade["price"], trade["unrealizedPL"]) == ("1000", "1.10010", "-0.1000")
    summary = (await api.ask("AccountSummary"))["account"]
    assert (summary["NAV"], summary["marginUsed"], summary["openTradeCount"]) == ("99999.9000", "22.0010", 1)


async def test_trades_are_netted_first_in_first_out(oanda: Oanda, client: Any) -> None:
    api = client()
    oanda.quote("EUR_USD", "1.10000", "1.10010")
    first = (await api.order("MARKET", "100"))["orderFillTransaction"]["id"]
    oanda.quote("EUR_USD", "1.10100", "1.10110")
    second = (await api.order("MARKET", "100"))["orderFillTransaction"]["id"]
    oanda.quote("EUR_USD", "1.10200", "1.10210")
    filled = (await api.order("MARKET", "-150"))["orderFillTransaction"]
    assert [(row["tradeID"], row["units"], row["realizedPL"]) for row in filled["tradesClosed"]] == [
        (first, "-100", "0.1900")
    ]
    assert (filled["tradeReduced"]["tradeID"], filled["tradeReduced"]["realizedPL"]) == (second, "0.0450")
    assert (filled["pl"], filled["accountBalance"]) == ("0.2350", "100000.2350")
    turned = (await api.order("MARKET", "-80"))["orderFillTransaction"]
    assert (turned["tradesClosed"][0]["units"], turned["tradeOpened"]["units"]) == ("-50", "-30")
    (position,) = (await api.ask("OpenPositions"))["positions"]
    assert (position["short"]["units"], position["short"]["averagePrice"]) == ("-30", "1.10200")
    closed = (await api.ask("TradeDetails", first))["trade"]
    assert (closed["state"], closed["averageClosePrice"], closed["realizedPL"]) == ("CLOSED", "1.10200", "0.1900")


async def test_yen_profit_comes_home_and_money_is_conserved(oanda: Oanda, client: Any) -> None:
    api = client()
    oanda.quote("USD_JPY", "150.000", "150.010")
    await api.order("MARKET", "-10000", instrument="USD_JPY")
    oanda.quote("USD_JPY", "149.000", "149.010")
    answer = await api.ask("PositionClose", "USD_JPY", {"shortUnits": "ALL"})
    filled = answer["shortOrderFillTransaction"]
    assert filled["reason"] == "MARKET_ORDER_POSITION_CLOSEOUT"
    expected = (Decimal("150.000") - Decimal("149.010")) * 10000 * Decimal(filled["gainQuoteHomeConversionFactor"])
    assert abs(Decimal(filled["pl"]) - expected) <= Decimal("0.0001")
    summary = (await api.ask("AccountSummary"))["account"]
    assert Decimal(summary["balance"]) == 100000 + Decimal(filled["pl"]) == Decimal(summary["NAV"])
    world = oanda.site.worlds["testnet"]
    account = world.exchange.accounts[oanda.account]
    assert account.free["USD"] == Decimal(summary["balance"]) * 10**8
    assert account.free["JPY"] == 0
    for asset in ("USD", "JPY"):
        assert account.free[asset] + world.exchange.market_flow[asset] == world.exchange.deposits.get(asset, 0)


@pytest.mark.parametrize(
    ("type_", "units", "price", "moved_to"),
    [
        ("LIMIT", "100", "1.09000", ("1.08980", "1.08990")),
        ("LIMIT", "-100", "1.11000", ("1.11010", "1.11020")),
        ("STOP", "100", "1.11000", ("1.10990", "1.11000")),
        ("STOP", "-100", "1.09000", ("1.09000", "1.09010")),
        ("MARKET_IF_TOUCHED", "100", "1.09000", ("1.08980", "1.08990")),
        ("MARKET_IF_TOUCHED", "100", "1.11000", ("1.11000", "1.11010")),
        ("MARKET_IF_TOUCHED", "-100", "1.09000", ("1.08990", "1.09000")),
    ],
)
async def test_pending_orders_wait_for_their_price(
    oanda: Oanda, client: Any, type_: str, units: str, price: str, moved_to: tuple[str, str]
) -> None:
    api = client()
    oanda.quote("EUR_USD", "1.10000", "1.10010")
    answer = await api.order(type_, units, price)
    assert set(answer) == {"orderCreateTransaction", "relatedTransactionIDs", "lastTransactionID"}
    number = answer["orderCreateTransaction"]["id"]
    (pending,) = (await api.ask("OrdersPending"))["orders"]
    assert (pending["id"], pending["state"], pending["price"]) == (number, "PENDING", price)
    oanda.quote("EUR_USD", *moved_to)
    order = (await api.ask("OrderDetails", number))["order"]
    assert order["state"] == "FILLED"
    filled = (await api.ask("TransactionDetails", order["fillingTransactionID"]))["transaction"]
    assert filled["reason"] == f"{type_}_ORDER"
    assert filled["price"] == (moved_to[1] if units == "100" else moved_to[0])


async def test_a_limit_that_can_trade_trades_at_the_better_price(oanda: Oanda, client: Any) -> None:
    api = client()
    oanda.quote("EUR_USD", "1.10000", "1.10010")
    answer = await api.order("LIMIT", "100", "1.20000")
    assert answer["orderFillTransaction"]["price"] == "1.10010"


async def test_replace_cancels_and_makes_a_new_one(oanda: Oanda, client: Any) -> None:
    api = client()
    old = (await api.order("LIMIT", "100", "1.00000", clientExtensions={"id": "mine"}))["orderCreateTransaction"]
    terms = {"type": "LIMIT", "instrument": "EUR_USD", "units": "200", "price": "1.01000"}
    answer = await api.ask("OrderReplace", "@mine", {"order": terms})
    canceled, created = answer["orderCancelTransaction"], answer["orderCreateTransaction"]
    assert (canceled["reason"], canceled["replacedByOrderID"]) == ("CLIENT_REQUEST_REPLACED", created["id"])
    assert (created["reason"], created["replacesOrderID"], created["clientExtensions"]) == (
        "REPLACEMENT",
        old["id"],
        {"id": "mine"},
    )
    assert (await api.ask("OrderDetails", old["id"]))["order"]["replacedByOrderID"] == created["id"]
    assert (await api.ask("OrderDetails", "@mine"))["order"]["units"] == "200"
    status, refused = await api.ask("OrderReplace", "@mine", {"order": {**terms, "type": "STOP"}})
    assert (status, refused["errorCode"]) == (400, "REPLACING_ORDER_INVALID")
    assert (await api.ask("OrderDetails", "@mine"))["order"]["state"] == "PENDING"
    status, refused = await api.ask("OrderReplace", old["id"], {"order": terms})
    assert (status, refused["errorCode"]) == (404, "ORDER_DOESNT_EXIST")


async def test_a_client_id_is_unique_among_pending_orders_only(oanda: Oanda, client: Any) -> None:
    api = client()
    await api.order("LIMIT", "100", "1.00000", clientExtensions={"id": "mine"})
    status, refused = await api.order("LIMIT", "100", "1.00000", clientExtensions={"id": "mine"})
    assert (status, refused["errorCode"]) == (400, "CLIENT_ORDER_ID_ALREADY_EXISTS")
    assert refused["orderRejectTransaction"]["type"] == "LIMIT_ORDER_REJECT"
    assert (await api.ask("OrderCancel", "@mine"))["orderCancelTransaction"]["reason"] == "CLIENT_REQUEST"
    status, refused = await api.ask("OrderCancel", "@mine")
    assert (status, refused["orderCancelRejectTransaction"]["rejectReason"]) == (404, "ORDER_DOESNT_EXIST")
    assert "orderCreateTransaction" in await api.order("LIMIT", "100", "1.00000", clientExtensions={"id": "mine"})
    await api.order("MARKET", "1", clientExtensions={"id": "filled"})
    twice = await api.order("MARKET", "1", clientExtensions={"id": "filled"})
    assert twice["orderFillTransaction"]["clientOrderID"] == "filled", "finished orders do not count, as documented"


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"units": "1.5"}, "UNITS_PRECISION_EXCEEDED"),
        ({"units": "0"}, "UNITS_INVALID"),
        ({"units": "many"}, "UNITS_INVALID"),
        ({"units": "100000001"}, "UNITS_LIMIT_EXCEEDED"),
        ({"price": "1.000001"}, "PRICE_PRECISION_EXCEEDED"),
        ({"price": "-1"}, "PRICE_INVALID"),
        ({"price": ""}, "PRICE_MISSING"),
        ({"instrument": "USD_JPY", "price": "110.79999999999999"}, "PRICE_PRECISION_EXCEEDED"),
        ({"instrument": "XXX_YYY"}, "INSTRUMENT_UNKNOWN"),
        ({"timeInForce": "GTD"}, "TIME_IN_FORCE_GTD_TIMESTAMP_MISSING"),
        ({"timeInForce": "GTD", "gtdTime": "2001-01-01T00:00:00Z"}, "TIME_IN_FORCE_GTD_TIMESTAMP_IN_PAST"),
        ({"type": "MARKET", "timeInForce": "GTC"}, "TIME_IN_FORCE_INVALID"),
        ({"priceBound": "1.0000001"}, "PRICE_BOUND_PRECISION_EXCEEDED"),
        ({"clientExtensions": {"id": "x" * 129}}, "CLIENT_ORDER_ID_INVALID"),
    ],
)
async def test_refusals_are_reject_transactions(oanda: Oanda, client: Any, terms: Any, reason: str) -> None:
    api = client()
    status, body = await api.ask(
        "OrderCreate", {"order": {"type": "LIMIT", "instrument": "EUR_USD", "units": "1", "price": "1.00000", **terms}}
    )
    assert (status, body["errorCode"]) == (400, reason)
    rejected = body["orderRejectTransaction"]
    assert (rejected["rejectReason"], body["lastTransactionID"]) == (reason, rejected["id"])
    assert body["errorMessage"]
    assert (await api.ask("OrdersPending"))["orders"] == []


@pytest.mark.parametrize(
    "order",
    [
        None,
        {"type": "DANCE", "instrument": "EUR_USD", "units": "1"},
        {"type": "MARKET", "instrument": ["EUR_USD"], "units": "1"},
        {"type": "MARKET", "instrument": "EUR_USD", "units": "1", "positionFill": "MAYBE"},
        {"type": "MARKET", "instrument": "EUR_USD", "units": "1", "clientExtensions": {"colour": "red"}},
        {"type": "MARKET", "instrument": "EUR_USD", "units": "1", "stopLossOnFill": {"price": "1.0"}},
    ],
)
async def test_malformed_orders_are_plain_errors(client: Any, order: Any) -> None:
    status, body = await client().ask("OrderCreate", {"order": order})
    assert (status, set(body)) == (400, {"errorMessage"})


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"units": "20000000"}, "INSUFFICIENT_LIQUIDITY"),
        ({"units": "9000000"}, "INSUFFICIENT_MARGIN"),
        ({"units": "100", "priceBound": "1.10000"}, "BOUNDS_VIOLATION"),
        ({"units": "100", "positionFill": "REDUCE_ONLY"}, "POSITION_CLOSEOUT_FAILED"),
        ({"type": "LIMIT", "units": "100", "price": "1.00000", "timeInForce": "FOK"}, "TIME_IN_FORCE_EXPIRED"),
        ({"type": "LIMIT", "units": "100", "price": "1.00000", "timeInForce": "IOC"}, "TIME_IN_FORCE_EXPIRED"),
    ],
)
async def test_orders_that_cannot_be_filled_are_created_and_canceled(
    oanda: Oanda, client: Any, terms: Any, reason: str
) -> None:
    oanda.quote("EUR_USD", "1.10000", "1.10010")
    answer = await client().order(**{"type_": terms.pop("type", "MARKET"), **terms})
    assert answer["orderCancelTransaction"]["reason"] == reason
    assert answer["orderCancelTransaction"]["orderID"] == answer["orderCreateTransaction"]["id"]


async def test_an_immediate_order_takes_what_there_is(oanda: Oanda, client: Any) -> None:
    oanda.quote("EUR_USD", "1.10000", "1.10010", size="60")
    filled = (await client().order("MARKET", "100", timeInForce="IOC"))["orderFillTransaction"]
    assert (filled["units"], filled["requestedUnits"]) == ("60", "100")


async def test_reduce_only_and_open_only(oanda: Oanda, client: Any) -> None:
    api = client()
    oanda.quote("EUR_USD", "1.10000", "1.10010")
    await api.order("MARKET", "100")
    refused = await api.order("MARKET", "-50", positionFill="OPEN_ONLY")
    assert refused["orderCancelTransaction"]["reason"] == "FIFO_VIOLATION"
    reduced = await api.order("MARKET", "-500", positionFill="REDUCE_ONLY")
    assert (reduced["orderFillTransaction"]["units"], reduced["orderFillTransaction"]["requestedUnits"]) == (
        "-100",
        "-500",
    )
    assert (await api.ask("OpenTrades"))["trades"] == []


async def test_closing_a_trade_that_is_not_the_oldest(oanda: Oanda, client: Any) -> None:
    api = client()
    numbers = [(await api.order("MARKET", "100"))["orderFillTransaction"]["id"] for _ in range(2)]
    answer = await api.ask("TradeClose", numbers[1], {"units": "40"})
    assert answer["orderFillTransaction"]["tradeReduced"]["tradeID"] == numbers[1]
    assert answer["orderCreateTransaction"]["tradeClose"] == {"tradeID": numbers[1], "units": "40"}
    assert [t["currentUnits"] for t in (await api.ask("OpenTrades"))["trades"]] == ["60", "100"]
    status, body = await api.ask("TradeClose", numbers[1], {"units": "61"})
    assert (status, body["errorCode"]) == (400, "CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE")
    status, body = await api.ask("TradeClose", "999999", {"units": "ALL"})
    assert (status, body["orderRejectTransaction"]["rejectReason"]) == (404, "TRADE_DOESNT_EXIST")


async def test_positions_that_cannot_be_closed(oanda: Oanda, client: Any) -> None:
    api = client()
    status, body = await api.ask("PositionClose", "EUR_USD", {"longUnits": "ALL"})
    assert (status, body["errorCode"]) == (404, "CLOSEOUT_POSITION_DOESNT_EXIST")
    assert body["longOrderRejectTransaction"]["rejectReason"] == "CLOSEOUT_POSITION_DOESNT_EXIST"
    await api.order("MARKET", "10")
    status, body = await api.ask("PositionClose", "EUR_USD", {"longUnits": "11"})
    assert (status, body["errorCode"]) == (400, "CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE")
    status, body = await api.ask("PositionClose", "EUR_USD", {"longUnits": "NONE"})
    assert (status, body["errorCode"]) == (400, "CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION")


async def test_a_halted_market(oanda: Oanda, client: Any) -> None:
    api = client()
    await api.order("LIMIT", "100", "1.09000")
    oanda.command("market", symbol="EUR_USD", open=False)
    halted = await api.order("MARKET", "100")
    assert halted["orderCancelTransaction"]["reason"] == "MARKET_HALTED"
    oanda.quote("EUR_USD", "1.08000", "1.08010")
    assert len((await api.ask("OrdersPending"))["orders"]) == 1
    (price,) = (await api.ask("PricingInfo", params={"instruments": "EUR_USD"}))["prices"]
    assert (price["tradeable"], price["status"]) == (False, "non-tradeable")
    oanda.command("market", symbol="EUR_USD", open=True)
    oanda.quote("EUR_USD", "1.08010", "1.08020")
    assert (await api.ask("OrdersPending"))["orders"] == []


async def test_client_extensions_can_be_changed_while_pending(oanda: Oanda, client: Any) -> None:
    api = client()
    number = (await api.order("LIMIT", "100", "1.00000"))["orderCreateTransaction"]["id"]
    answer = await api.ask("OrderClientExtensions", number, {"clientExtensions": {"id": "named", "comment": "hello"}})
    assert answer["orderClientExtensionsModifyTransaction"]["clientExtensionsModify"]["id"] == "named"
    assert (await api.ask("OrderDetails", "@named"))["order"]["id"] == number
    await api.ask("OrderCancel", number)
    status, body = await api.ask("OrderClientExtensions", number, {"clientExtensions": {"id": "late"}})
    assert (status, body["errorCode"]) == (404, "ORDER_DOESNT_EXIST")
