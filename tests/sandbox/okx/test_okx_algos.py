"""Orders that wait for a price."""

import pytest
from okx_kit import NAME, Json, Wire
from test_okx_orders import move

from autotrader_lab.sandbox import Sandbox

WAITING: Json = {"instId": NAME, "tdMode": "cash", "side": "sell", "sz": "0.01"}
STOP: Json = {**WAITING, "ordType": "conditional", "slTriggerPx": "59000", "slOrdPx": "-1"}


async def algo(wire: Wire, row: Json) -> Json:
    found: Json = (await wire.rows(f"trade/order-algo?algoId={row['algoId']}"))[0]
    return found


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ordType": "iceberg"}, "51000"),
        ({"instId": "BTC-EUR"}, "51001"),
        ({"side": "both"}, "51000"),
        ({"tdMode": "isolated"}, "51000"),
        ({"sz": "0.000001"}, "51020"),
        ({"algoClOrdId": "no no"}, "51000"),
        ({"slTriggerPx": "61000"}, "51280"),
        ({"slTriggerPx": "", "tpTriggerPx": "59000", "tpOrdPx": "-1"}, "51279"),
        ({"side": "buy"}, "51278"),
        ({"side": "buy", "slTriggerPx": "", "tpTriggerPx": "61000", "tpOrdPx": "-1"}, "51277"),
        ({"slTriggerPx": ""}, "50015"),
        ({"ordType": "oco"}, "51000"),
        ({"ordType": "trigger", "triggerPx": "0"}, "51000"),
        ({"slOrdPx": "58999.999"}, "51000"),
    ],
)
async def test_refused(wire: Wire, change: Json, code: str) -> None:
    answer = await wire.post("order-algo", {**STOP, **change})
    assert (answer["code"], answer["data"][0]["sCode"]) == ("1", code)


async def test_a_stop_loss_becomes_an_order_when_the_price_falls(okx: Sandbox, wire: Wire) -> None:
    placed = (await wire.post("order-algo", {**STOP, "algoClOrdId": "mine"}))["data"][0]
    assert (await wire.post("order-algo", {**STOP, "algoClOrdId": "mine"}))["data"][0]["sCode"] == "51065"
    pending = await wire.rows("trade/orders-algo-pending?ordType=conditional")
    assert [(row["algoId"], row["state"], row["slTriggerPx"]) for row in pending] == [
        (placed["algoId"], "live", "59000")
    ]
    move(okx, "59500")
    assert (await algo(wire, placed))["state"] == "live"
    move(okx, "59000")
    found = await algo(wire, placed)
    assert (found["state"], found["actualSide"]) == ("effective", "sl")
    order = await wire.look(found)
    assert (order["state"], order["side"], order["accFillSz"]) == ("filled", "sell", "0.01")
    assert (order["algoId"], order["algoClOrdId"], order["source"]) == (placed["algoId"], "mine", "7")
    history = await wire.rows("trade/orders-algo-history?ordType=conditional&state=effective")
    assert [row["algoId"] for row in history] == [placed["algoId"]]
    answer = await wire.post("cancel-algos", [{"instId": NAME, "algoId": placed["algoId"]}])
    assert answer["data"][0]["sCode"] == "51400"


async def test_a_trigger_order_waits_from_the_side_it_was_placed_on(okx: Sandbox, wire: Wire) -> None:
    rising = {**WAITING, "side": "buy", "ordType": "trigger", "triggerPx": "60500", "orderPx": "60400"}
    falling = {**rising, "triggerPx": "59500", "orderPx": "-1"}
    up, down = [(await wire.post("order-algo", row))["data"][0] for row in (rising, falling)]
    move(okx, "60500")
    found = await wire.look(await algo(wire, up))
    assert (found["ordType"], found["px"], found["state"], found["source"]) == ("limit", "60400", "live", "6")
    assert (await algo(wire, down))["state"] == "live"
    move(okx, "59400")
    assert (await wire.look(await algo(wire, down)))["state"] == "filled"


async def test_of_two_legs_one_is_done(okx: Sandbox, wire: Wire) -> None:
    legs = {"tpTriggerPx": "61000", "tpOrdPx": "61000", "slTriggerPx": "59000", "slOrdPx": "-1"}
    placed = (await wire.post("order-algo", {**WAITING, "ordType": "oco", **legs}))["data"][0]
    move(okx, "61000.01")
    found = await algo(wire, placed)
    assert (found["state"], found["actualSide"]) == ("effective", "tp")
    move(okx, "58000")
    assert len(await wire.rows("trade/fills?instType=SPOT")) == 1


async def test_what_cannot_be_paid_for_fails_when_it_is_due(okx: Sandbox, wire: Wire) -> None:
    placed = (await wire.post("order-algo", {**STOP, "sz": "5"}))["data"][0]
    assert placed["sCode"] == "0", "nothing is held back for a waiting order"
    move(okx, "58000")
    found = await algo(wire, placed)
    assert (found["state"], found["failCode"], found["ordId"]) == ("order_failed", "51008", "")


async def test_amended_and_canceled(okx: Sandbox, wire: Wire) -> None:
    placed = (await wire.post("order-algo", STOP))["data"][0]
    fields = {"instId": NAME, "algoId": placed["algoId"], "newSlTriggerPx": "57000", "newSz": "0.02"}
    assert (await wire.post("amend-algos", fields))["data"][0]["sCode"] == "0"
    found = await algo(wire, placed)
    assert (found["slTriggerPx"], found["sz"]) == ("57000", "0.02")
    move(okx, "58000")
    assert (await algo(wire, placed))["state"] == "live"
    rows = [{"instId": NAME, "algoId": placed["algoId"]}, {"instId": NAME, "algoId": "1"}]
    answer = await wire.post("cancel-algos", rows)
    assert (answer["code"], [row["sCode"] for row in answer["data"]]) == ("2", ["0", "51400"])
    assert (await algo(wire, placed))["state"] == "canceled"
    assert (await wire.get("trade/order-algo?algoId=1"))["code"] == "51603"
