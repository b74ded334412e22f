"""The real ccxt trades on the sandbox over loopback, in both worlds."""

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
async def test_orders_over_rest_and_websocket(box: Sandbox, connect: Connect, live: bool) -> None:
    client = await connect(live)
    assert client.markets[SYMBOL]["precision"] == {"amount": 1e-05, "price": 0.01, "base": 1e-08, "quote": 1e-08}
    assert (await client.fetch_balance())["USDT"] == {"free": 100_000.0, "used": 0.0, "total": 100_000.0}
    best = (await client.fetch_order_book(SYMBOL))["bids"][0][0]

    resting = await client.create_order(SYMBOL, "limit", "buy", 0.01, best - 500, {"clientOrderId": "mine-1"})
    assert resting["status"] == "open"
    assert [o["clientOrderId"] for o in await client.fetch_open_orders(SYMBOL)] == ["mine-1"]
    assert (await client.fetch_balance())["USDT"]["used"] == pytest.approx((best - 500) * 0.01)
    edited = await client.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.02, best - 600)
    assert edited["id"] != resting["id"]
    assert (await client.fetch_order(resting["id"], SYMBOL))["status"] == "canceled"
    assert (await client.cancel_order(edited["id"], SYMBOL))["status"] == "canceled"

    bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
    assert (bought["status"], bought["filled"]) == ("closed", 0.01)
    assert bought["fees"] == [{"currency": "BTC", "cost": 1e-05}]
    sold = await client.create_order_ws(SYMBOL, "limit", "sell", 0.005, best - 500)
    assert sold["status"] == "closed"
    stop = await client.create_order(SYMBOL, "limit", "sell", 0.001, best - 900, {"stopLossPrice": best - 800})
    assert (await client.fetch_order(stop["id"], SYMBOL))["stopPrice"] == best - 800
    await client.cancel_all_orders(SYMBOL)
    trades = await client.fetch_my_trades(SYMBOL)
    assert [trade["order"] for trade in trades] == [bought["id"], sold["id"]]
    assert len(await client.fetch_ohlcv(SYMBOL, "1m", limit=100)) == 100
    other = box.worlds["testnet" if live else "live"].exchange
    assert all(not account.orders for account in other.accounts.values()), "worlds are separate"


async def test_errors_arrive_as_ccxts_own_classes(connect: Connect) -> None:
    client = await connect()
    await client.create_order(SYMBOL, "limit", "buy", 0.01, 40_000, {"clientOrderId": "twice"})
    for error, order in (
        (ccxt.InsufficientFunds, ("limit", "buy", 10, 50_000)),
        (ccxt.InvalidOrder, ("limit", "buy", 0.01, 40_000, {"clientOrderId": "twice"})),
        (ccxt.OrderImmediatelyFillable, ("limit", "buy", 0.01, 80_000, {"postOnly": True})),
        (ccxt.BadRequest, ("limit", "buy", 0.00001, 40_000)),
    ):
        with pytest.raises(error):
            await client.create_order(SYMBOL, *order)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order("4711", SYMBOL)
    with pytest.raises(ccxt.OrderNotFound):
        await client.fetch_order("4711", SYMBOL)
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        await client.fetch_balance()


async def test_user_data_arrives_in_order(box: Sandbox, connect: Connect) -> None:
    client = await connect()
    seen: list[tuple[Any, ...]] = []
    done = asyncio.Event()

    async def orders() -> None:
        while True:
            for order in await client.watch_orders(SYMBOL):
                seen.append(("order", order["clientOrderId"], order["status"], order["filled"]))
                if order["status"] == "closed":
                    done.set()

    async def trades() -> None:
        while True:
            seen.extend(("trade", t["amount"], t["takerOrMaker"]) for t in await client.watch_my_trades(SYMBOL))

    async def balances() -> None:
        while True:
            seen.append(("balance", (await client.watch_balance())["USDT"]["used"]))

    loops = [asyncio.create_task(loop()) for loop in (orders, trades, balances)]
    while not box.venues["testnet"].websocket_api.subscriber_count:
        await asyncio.sleep(0.01)
    best = (await client.fetch_order_book(SYMBOL))["bids"][0][0]
    price = round(best - 100, 2)
    await client.create_order(SYMBOL, "limit", "buy", 0.01, price, {"clientOrderId": "w"})
    world = box.worlds["testnet"]
    push_price(world, "BTCUSDT", parse_e8(f"{price - 50:.2f}"))
    world.publish()
    await asyncio.wait_for(done.wait(), 5)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    assert [row for row in seen if row[0] == "order"] == [("order", "w", "open", 0.0), ("order", "w", "closed", 0.01)]
    assert ("trade", 0.01, "maker") in seen
    assert ("balance", pytest.approx(price * 0.01)) in seen


async def test_order_book_kept_by_ccxt_equals_the_exchanges(box: Sandbox, connect: Connect) -> None:
    client = await connect()
    await client.watch_order_book(SYMBOL)
    for _ in range(5):
        box.driver.advance(2)
        mine = await client.watch_order_book(SYMBOL)
    snapshot = await client.fetch_order_book(SYMBOL, 1_000)
    while mine["nonce"] < snapshot["nonce"]:
        mine = await client.watch_order_book(SYMBOL)
    assert mine["nonce"] == snapshot["nonce"]
    assert [list(row[:2]) for row in mine["bids"]] == snapshot["bids"]
    assert [list(row[:2]) for row in mine["asks"]] == snapshot["asks"]


async def test_public_streams(box: Sandbox, connect: Connect) -> None:
    client = await connect()

    async def market() -> None:
        while True:
            box.driver.advance(1)
            await asyncio.sleep(0.02)

    moving = asyncio.create_task(market())
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
