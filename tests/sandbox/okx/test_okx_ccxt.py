"""The real ccxt trades on the OKX sandbox over loopback, in both worlds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import pytest

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.units import parse_e8

SYMBOL = "BTC/USDT"
Connect = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("live", [False, True], ids=["testnet", "live"])
async def test_orders_over_rest_and_websocket(okx: Sandbox, connect: Connect, live: bool) -> None:
    client = await connect(live)
    assert client.markets[SYMBOL]["precision"] == {"amount": 1e-05, "price": 0.01}
    assert (await client.fetch_balance())["USDT"] == {"free": 100_000.0, "used": 0.0, "total": 100_000.0}
    best = (await client.fetch_order_book(SYMBOL))["bids"][0][0]

    resting = await client.create_order(SYMBOL, "limit", "buy", 0.01, best - 500, {"clientOrderId": "mine1"})
    assert [o["clientOrderId"] for o in await client.fetch_open_orders(SYMBOL)] == ["mine1"]
    assert (await client.fetch_balance())["USDT"]["used"] == pytest.approx((best - 500) * 0.01)
    edited = await client.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.02, best - 600)
    assert edited["id"] == resting["id"]
    found = await client.fetch_order(resting["id"], SYMBOL)
    assert (found["amount"], found["price"], found["status"]) == (0.02, best - 600, "open")
    assert (await client.cancel_order(resting["id"], SYMBOL))["id"] == resting["id"]
    assert (await client.fetch_order("", SYMBOL, {"clientOrderId": "mine1"}))["status"] == "canceled"

    bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
    found = await client.fetch_order(bought["id"], SYMBOL)
    assert (found["status"], found["filled"]) == ("closed", 0.01)
    assert found["fee"] == {"currency": "BTC", "cost": 1e-05}
    sold = await client.create_order_ws(SYMBOL, "limit", "sell", 0.005, best - 500)
    assert (await client.fetch_order(sold["id"], SYMBOL))["status"] == "closed"
    over_ws = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, best - 900)
    await client.edit_order_ws(over_ws["id"], SYMBOL, "limit", "buy", 0.02, best - 950)
    await client.cancel_order_ws(over_ws["id"], SYMBOL)
    found = await client.fetch_order(over_ws["id"], SYMBOL)
    assert (found["status"], found["amount"], found["price"]) == ("canceled", 0.02, best - 950)

    stop = await client.create_order(SYMBOL, "market", "sell", 0.001, None, {"stopLossPrice": best - 800})
    waiting = await client.fetch_open_orders(SYMBOL, params={"trigger": True, "ordType": "conditional"})
    assert [(order["id"], order["stopLossPrice"]) for order in waiting] == [(stop["id"], best - 800)]
    await client.cancel_order(stop["id"], SYMBOL, {"trigger": True})
    assert [trade["order"] for trade in await client.fetch_my_trades(SYMBOL)] == [bought["id"], sold["id"]]
    assert {o["id"] for o in await client.fetch_closed_orders(SYMBOL)} == {bought["id"], sold["id"]}
    assert len(await client.fetch_ohlcv(SYMBOL, "1m", limit=100)) == 100
    assert (await client.cancel_all_orders_after(15_000))["code"] == "0"
    other = okx.sites["okx"].worlds["testnet" if live else "live"].exchange
    assert all(not account.orders for account in other.accounts.values()), "worlds are separate"


async def test_errors_arrive_as_ccxts_own_classes(connect: Connect) -> None:
    client = await connect()
    await client.create_order(SYMBOL, "limit", "buy", 0.01, 58_000, {"clientOrderId": "twice"})
    for error, order in (
        (ccxt.InsufficientFunds, ("limit", "buy", 10, 58_000)),
        (ccxt.InvalidOrder, ("limit", "buy", 0.01, 58_000, {"clientOrderId": "twice"})),
        (ccxt.InvalidOrder, ("limit", "buy", 0.01, 90_000)),
        (ccxt.BadRequest, ("limit", "buy", 0.01, 58_000, {"clientOrderId": "not-alphanumeric"})),
    ):
        with pytest.raises(error):
            await client.create_order(SYMBOL, *order)
    for look in (client.cancel_order, client.fetch_order):
        with pytest.raises(ccxt.OrderNotFound):
            await look("4711", SYMBOL)
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        await client.fetch_balance()


async def test_user_data_arrives_in_order(okx: Sandbox, connect: Connect) -> None:
    client = await connect()
    seen: list[tuple[Any, ...]] = []
    done = asyncio.Event()

    async def orders() -> None:
        while True:
            for order in await client.watch_orders(SYMBOL):
                seen.append(("order", order["clientOrderId"], order["status"], order["filled"]))
                if order["status"] == "closed":
                    done.set()

    async def balances() -> None:
        while True:
            seen.append(("balance", (await client.watch_balance())["USDT"]["used"]))

    loops = [asyncio.create_task(loop()) for loop in (orders, balances)]
    sockets = okx.sites["okx"].venues["testnet"].sockets  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        while not sockets.subscriber_count:
            await asyncio.sleep(0.01)
    best = (await client.fetch_order_book(SYMBOL))["bids"][0][0]
    price = round(best - 100, 2)
    await client.create_order(SYMBOL, "limit", "buy", 0.01, price, {"clientOrderId": "w"})
    world = okx.worlds["testnet"]
    push_price(world, "BTCUSDT", parse_e8(f"{price - 50:.2f}"))
    world.publish()
    await asyncio.wait_for(done.wait(), 5)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    assert [row for row in seen if row[0] == "order"] == [("order", "w", "open", 0.0), ("order", "w", "closed", 0.01)]
    assert ("balance", pytest.approx(price * 0.01)) in seen


async def test_order_book_kept_by_ccxt_equals_the_exchanges(okx: Sandbox, connect: Connect) -> None:
    client = await connect()
    await client.watch_order_book(SYMBOL)
    for _ in range(5):
        okx.driver.advance(2)
        await asyncio.wait_for(client.watch_order_book(SYMBOL), 5)
    snapshot = await client.fetch_order_book(SYMBOL, 400)
    mine = client.orderbooks[SYMBOL]
    async with asyncio.timeout(5):
        while [list(row[:2]) for row in mine["bids"]] != [row[:2] for row in snapshot["bids"]]:
            await asyncio.sleep(0.02)
    assert [list(row[:2]) for row in mine["asks"]] == [row[:2] for row in snapshot["asks"]]


async def test_public_streams(okx: Sandbox, connect: Connect) -> None:
    client = await connect()

    async def market() -> None:
        while True:
            okx.driver.advance(1)
            await asyncio.sleep(0.02)

    moving = asyncio.create_task(market())
    async with asyncio.timeout(10):
        trades = await client.watch_trades(SYMBOL)
        ticker = await client.watch_ticker(SYMBOL)
        candles = await client.watch_ohlcv(SYMBOL, "1m")
        best = await client.watch_bids_asks([SYMBOL])
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)
    assert trades[-1]["symbol"] == SYMBOL
    assert ticker["last"] > 0
    assert candles[-1][4] > 0
    assert best[SYMBOL]["bid"] < best[SYMBOL]["ask"]
