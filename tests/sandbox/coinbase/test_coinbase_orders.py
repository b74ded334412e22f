"""Orders by hand: every configuration, what is refused and how, edits, expiry, fees in the quote currency."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from coinbase_kit import LIMIT, NAME, ROOT, Json, Wire

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.units import parse_e8


def move(coinbase: Sandbox, price: str) -> None:
    """Let the outside market trade at a price."""
    world = coinbase.worlds["testnet"]
    push_price(world, "BTCUSD", parse_e8(price))
    world.publish()


def later(seconds: int = 60) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("kind", "side", "fields", "preview"),
    [
        ("limit_limit_gtc", "UP", {}, "PREVIEW_INVALID_SIDE"),
        ("trigger_bracket_gtc", "BUY", {}, "PREVIEW_INVALID_ORDER_CONFIG"),
        ("limit_limit_gtc", "BUY", {"base_size": None}, "PREVIEW_INVALID_ORDER_CONFIG"),
        ("limit_limit_gtc", "BUY", {"base_size": "much"}, "PREVIEW_INVALID_ORDER_CONFIG"),
        ("limit_limit_gtc", "BUY", {"base_size": "0.000015"}, "PREVIEW_INVALID_SIZE_PRECISION"),
        ("limit_limit_gtc", "BUY", {"base_size": "0.0100000001"}, "PREVIEW_INVALID_SIZE_PRECISION"),
        ("limit_limit_gtc", "BUY", {"base_size": "0"}, "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"),
        ("limit_limit_gtc", "BUY", {"base_size": "9001"}, "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"),
        ("limit_limit_gtc", "BUY", {"base_size": "1.71"}, "PREVIEW_INSUFFICIENT_FUND"),
        ("limit_limit_gtc", "SELL", {"base_size": "2", "limit_price": "61000"}, "PREVIEW_INSUFFICIENT_FUND"),
        ("limit_limit_gtc", "BUY", {"limit_price": "58000.001"}, "PREVIEW_INVALID_PRICE_PRECISION"),
        ("limit_limit_gtc", "BUY", {"limit_price": "0"}, "PREVIEW_INVALID_LIMIT_PRICE"),
        ("limit_limit_gtc", "BUY", {"limit_price": "2000000"}, "PREVIEW_INVALID_PRICE_TOO_LARGE"),
        (
            "limit_limit_gtc",
            "BUY",
            {"limit_price": "61000", "post_only": True},
            "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY",
        ),
        ("limit_limit_gtd", "BUY", {}, "PREVIEW_INVALID_ORDER_CONFIG"),
        ("limit_limit_gtd", "BUY", {"end_time": "2020-01-01T00:00:00Z"}, "PREVIEW_INVALID_ORDER_CONFIG"),
        ("market_market_ioc", "BUY", {"quote_size": "0.5"}, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
        ("market_market_ioc", "BUY", {"quote_size": "10.001"}, "PREVIEW_INVALID_QUOTE_SIZE_PRECISION"),
        ("market_market_ioc", "BUY", {}, "PREVIEW_INVALID_ORDER_CONFIG"),
        (
            "stop_limit_stop_limit_gtc",
            "BUY",
            {"stop_price": "59000", "limit_price": "59500", "stop_direction": "STOP_DIRECTION_STOP_UP"},
            "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE",
        ),
        (
            "stop_limit_stop_limit_gtc",
            "SELL",
            {"stop_price": "61000", "stop_direction": "STOP_DIRECTION_STOP_DOWN"},
            "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE",
        ),
        (
            "stop_limit_stop_limit_gtc",
            "BUY",
            {"stop_price": "61000", "limit_price": "60900"},
            "PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE",
        ),
        (
            "stop_limit_stop_limit_gtc",
            "SELL",
            {"stop_price": "57000"},
            "PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE",
        ),
        ("stop_limit_stop_limit_gtc", "BUY", {"stop_price": "61000", "stop_direction": "UP"},
         "PREVIEW_INVALID_ORDER_CONFIG"),
    ],
)  # fmt: skip
async def test_refused_orders(wire: Wire, kind: str, side: str, fields: Json, preview: str) -> None:
    answer = await wire.create(kind, side, **fields)
    assert answer["success"] is False
    error = answer["error_response"]
    assert error["preview_failure_reason"] == preview
    assert error["error"] == error["new_order_failure_reason"] != ""
    assert "success_response" not in answer
    assert kind in answer["order_configuration"]
    order = {"product_id": NAME, "side": side, "order_configuration": answer["order_configuration"]}
    assert (await wire.post("orders/preview", order))["errs"] == [preview], "the preview says the same"
    assert await wire.balance("USD") == ("100000", "0")


async def test_a_request_that_is_none(wire: Wire) -> None:
    for body in ("{", "[]", "", {"product_id": NAME}):
        code, answer = await wire.send("POST", f"{ROOT}/orders", body)
        assert (code, answer["error"]) == (400, "INVALID_ARGUMENT")
    refused = await wire.post("orders", {"client_order_id": "x", "product_id": "BTC-EUR", "side": "BUY"})
    assert refused["error_response"]["error"] == "INVALID_PRODUCT_ID"
    for path, query in (
        ("products/BTC-EUR", ""),
        ("product_book", "product_id=BTC-EUR"),
        (f"products/{NAME}/candles", "granularity=ONE_EON&start=1&end=2"),
        (f"products/{NAME}/candles", "granularity=ONE_MINUTE"),
        (f"products/{NAME}/candles", "granularity=ONE_MINUTE&start=1&end=200000"),
        ("products", "product_type=OPTION"),
        ("orders/historical/batch", "start_date=yesterday"),
        ("orders/historical/batch", "limit=many"),
    ):
        code, answer = await wire.send("GET", f"{ROOT}/{path}", query=query)
        assert (code, answer["error"]) == (400, "INVALID_ARGUMENT"), path
    assert (await wire.send("GET", f"{ROOT}/accounts/1"))[0] == 404
    assert (await wire.send("GET", f"{ROOT}/portfolios/1"))[0] == 404


async def test_a_client_order_id_names_one_order_for_ever(wire: Wire) -> None:
    first = await wire.create(client_id="once")
    assert await wire.create(client_id="once", base_size="0.5") == first, "whatever the second request says"
    number = first["success_response"]["order_id"]
    await wire.post("orders/batch_cancel", {"order_ids": [number]})
    assert (await wire.create(client_id="once"))["success_response"]["order_id"] == number, "even when it is done"
    assert len((await wire.get("orders/historical/batch"))["orders"]) == 1


@pytest.mark.parametrize(
    ("kind", "fields", "status", "filled", "force"),
    [
        ("limit_limit_gtc", {}, "OPEN", "0", "GOOD_UNTIL_CANCELLED"),
        ("limit_limit_fok", {"limit_price": "60000.60", "base_size": "1"}, "CANCELLED", "0", "FILL_OR_KILL"),
        ("limit_limit_fok", {"limit_price": "60000.60"}, "FILLED", "0.01", "FILL_OR_KILL"),
        ("sor_limit_ioc", {"limit_price": "60000.60", "base_size": "1"}, "CANCELLED", "0.65139", "IMMEDIATE_OR_CANCEL"),
        ("market_market_ioc", {"base_size": "0.01"}, "FILLED", "0.01", "IMMEDIATE_OR_CANCEL"),
        ("market_market_fok", {"base_size": "0.01"}, "FILLED", "0.01", "FILL_OR_KILL"),
    ],
)
async def test_what_becomes_of_an_order(
    wire: Wire, kind: str, fields: Json, status: str, filled: str, force: str
) -> None:
    order = await wire.look(await wire.place(kind, **fields))
    assert (order["status"], order["filled_size"], order["time_in_force"]) == (status, filled, force)
    held = order["outstanding_hold_amount"]
    assert held == ("586.96" if status == "OPEN" else "0"), "the price and 1.2 % of it"


async def test_commissions_are_in_the_quote_currency(coinbase: Sandbox, wire: Wire) -> None:
    bought = await wire.look(await wire.place("market_market_ioc", quote_size="600"))
    assert (bought["filled_size"], bought["average_filled_price"]) == ("0.00988", "60000.6")
    assert (bought["total_fees"], bought["total_value_after_fees"]) == ("7.11367113", "599.91959913")
    assert (bought["size_in_quote"], bought["size_inclusive_of_fees"], bought["settled"]) == (True, True, True)
    assert await wire.balance("USD") == ("99400.08040087", "0")
    assert await wire.balance("BTC") == ("1.00988", "0")
    sold = await wire.look(await wire.place("market_market_ioc", "SELL", base_size="0.00988"))
    assert sold["total_value_after_fees"] == "585.68054314"
    assert await wire.balance("USD") == ("99985.76094401", "0")
    maker = await wire.place(limit_price="59000")
    move(coinbase, "58900")
    fill = (await wire.get("orders/historical/fills", f"order_ids={maker}"))["fills"][0]
    assert (fill["commission"], fill["liquidity_indicator"], fill["price"]) == ("3.54", "MAKER", "59000")
    summary = await wire.get("transaction_summary")
    assert summary["total_fees"] == pytest.approx(7.11367113 + 7.11352886 + 3.54)


async def test_cancels(wire: Wire) -> None:
    resting, filled = await wire.place(), await wire.place("market_market_ioc", quote_size="100")
    for _ in range(2):
        answer = await wire.post("orders/batch_cancel", {"order_ids": [resting, filled, "1"]})
        reasons = [(row["success"], row["failure_reason"]) for row in answer["results"]]
    assert reasons == [
        (False, "INVALID_CANCEL_REQUEST"),
        (False, "INVALID_CANCEL_REQUEST"),
        (False, "UNKNOWN_CANCEL_ORDER"),
    ]
    order = await wire.look(resting)
    assert (order["status"], order["cancel_message"]) == ("CANCELLED", "User requested cancel")
    assert (await wire.send("POST", f"{ROOT}/orders/batch_cancel", {"order_ids": []}))[0] == 400
    assert (await wire.send("POST", f"{ROOT}/orders/batch_cancel", {"order_ids": ["x"] * 101}))[0] == 400


async def test_edits(wire: Wire) -> None:
    order_id = await wire.place(base_size="0.1")

    async def edit(**fields: Any) -> str:
        body = {"order_id": order_id, **fields}
        preview = (await wire.post("orders/edit_preview", body))["errors"]
        answer = await wire.post("orders/edit", body)
        if answer["success"]:
            assert answer["success_response"] == {"order_id": order_id}
            return ""
        reason: str = answer["errors"][0]["edit_failure_reason"]
        assert preview in ([], answer["errors"])
        return reason

    assert await edit() == "INVALID_EDITED_PRICE"
    assert await edit(price="58000.001") == "INVALID_EDITED_PRICE"
    assert await edit(size="0.000001") == "INVALID_EDITED_SIZE"
    assert await edit(order_id="1", size="1") == "ORDER_NOT_FOUND"
    assert await edit(size="100", price="58000") == "UNKNOWN_EDIT_ORDER_FAILURE_REASON"
    assert await edit(size="0.2", price="57000") == ""
    order = await wire.look(order_id)
    configuration = {"base_size": "0.2", "limit_price": "57000", "post_only": False}
    assert order["order_configuration"] == {"limit_limit_gtc": configuration}
    assert [(row["price"], row["size"]) for row in order["edit_history"]] == [("57000", "0.2")]
    assert order["outstanding_hold_amount"] == "11536.8"
    assert await edit(size="1", price="60000.60") == ""
    assert (await wire.look(order_id))["filled_size"] == "0.65139"
    assert await edit(size="0.5", price="60000.60") == "CANNOT_EDIT_TO_BELOW_FILLED_SIZE"
    await wire.post("orders/batch_cancel", {"order_ids": [order_id]})
    assert await edit(size="2") == "ONLY_OPEN_ORDERS_CAN_BE_EDITED"
    assert await wire.balance("USD") != ("100000", "0")
    order_id = await wire.place(post_only=True)
    assert await edit(price="61000") == "INVALID_EDITED_PRICE"
    order_id = await wire.place("limit_limit_gtd", end_time=later())
    assert await edit(price="57000") == "ONLY_LIMIT_ORDER_EDITS_SUPPORTED"


async def test_an_order_ends_at_its_time(coinbase: Sandbox, wire: Wire) -> None:
    order_id = await wire.place("limit_limit_gtd", end_time=later())
    desk = coinbase.sites["coinbase"].venues["testnet"].api.desk  # type: ignore[attr-defined]
    ends_ms = desk.find(coinbase.worlds["testnet"].exchange.accounts["testnet-customer"], order_id)
    ends_ms = desk.ticket(ends_ms).ends_ms
    desk.expire(ends_ms - 1)
    assert (await wire.look(order_id))["status"] == "OPEN"
    desk.expire(ends_ms)
    assert (await wire.look(order_id))["status"] == "EXPIRED"
    assert await wire.balance("USD") == ("100000", "0")


@pytest.mark.parametrize(
    ("side", "stop", "limit", "direction", "wakes"),
    [
        ("BUY", "60500", "60600", "STOP_DIRECTION_STOP_UP", "60500"),
        ("SELL", "59500", "59400", "STOP_DIRECTION_STOP_DOWN", "59500"),
        ("BUY", "59500", "59600", "STOP_DIRECTION_STOP_DOWN", "59500"),
        ("SELL", "60500", "60400", "STOP_DIRECTION_STOP_UP", "60500"),
    ],
)
async def test_stop_limit_orders(
    coinbase: Sandbox, wire: Wire, side: str, stop: str, limit: str, direction: str, wakes: str
) -> None:
    fields = {"stop_price": stop, "limit_price": limit, "stop_direction": direction}
    order_id = await wire.place("stop_limit_stop_limit_gtc", side, **fields)
    assert (await wire.look(order_id))["trigger_status"] == "STOP_PENDING"
    assert (await wire.balance("USD" if side == "BUY" else "BTC"))[1] != "0"
    move(coinbase, wakes)
    order = await wire.look(order_id)
    assert (order["trigger_status"], order["status"], order["order_type"]) == ("STOP_TRIGGERED", "FILLED", "STOP_LIMIT")


async def test_lists_are_filtered_and_paged(wire: Wire) -> None:
    numbers = [await wire.place(client_id=f"n{number}") for number in range(4)]
    await wire.post("orders/batch_cancel", {"order_ids": numbers[:1]})
    await wire.place("market_market_ioc", quote_size="100")

    async def ids(query: str) -> list[str]:
        return [order["order_id"] for order in (await wire.get("orders/historical/batch", query))["orders"]]

    assert await ids("order_status=OPEN") == numbers[:0:-1]
    assert await ids("order_status=OPEN&order_status=CANCELLED&limit=3") == numbers[:0:-1]
    assert await ids(f"order_ids={numbers[1]}&order_ids={numbers[2]}") == [numbers[2], numbers[1]]
    assert await ids("product_ids=BTC-USDT") == []
    assert len(await ids("order_types=MARKET")) == 1
    assert await ids("order_side=SELL") == []
    assert await ids("end_date=2020-01-01T00:00:00Z") == []
    page = await wire.get("orders/historical/batch", "limit=3")
    assert page["has_next"]
    rest = await wire.get("orders/historical/batch", f"limit=3&cursor={page['cursor']}")
    assert (len(rest["orders"]), rest["has_next"], rest["cursor"]) == (2, False, "")
    fills = (await wire.get("orders/historical/fills"))["fills"]
    assert await wire.get("orders/historical/fills", f"trade_ids={fills[0]['trade_id']}") == {
        "fills": fills,
        "cursor": "",
    }


async def test_nobody_trades_with_himself(wire: Wire) -> None:
    maker = await wire.place(limit_price="60000.10")
    await wire.place(side="SELL", limit_price="60000.10")
    assert (await wire.look(maker))["status"] == "CANCELLED"


async def test_what_there_is_besides(wire: Wire) -> None:
    assert (await wire.get("payment_methods")) == {"payment_methods": []}
    assert (await wire.get("cfm/positions")) == {"positions": []}
    portfolio = (await wire.get("portfolios"))["portfolios"][0]
    breakdown = (await wire.get(f"portfolios/{portfolio['uuid']}"))["breakdown"]
    assert {row["asset"] for row in breakdown["spot_positions"]} == {"BTC", "ETH", "USD", "USDT"}
    account = (await wire.get("accounts"))["accounts"][0]
    assert (await wire.get(f"accounts/{account['uuid']}"))["account"] == account
    assert len((await wire.get("best_bid_ask"))["pricebooks"]) == 2
    assert (await wire.get("products", "product_type=FUTURE"))["products"] == []
    order = {"product_id": NAME, "side": "BUY", "order_configuration": {"limit_limit_gtc": LIMIT}}
    assert (await wire.post("orders/preview", order))["errs"] == []
    for kind in ("spot", "buy", "sell"):
        assert float((await wire.send("GET", f"/v2/prices/{NAME}/{kind}"))[1]["data"]["amount"]) > 0
