"""The real ccxt trades on the Coinbase sandbox over loopback, in both worlds."""

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
async def test_orders(coinbase: Sandbox, connect: Connect, live: bool) -> None:
    client = await connect(live)
    assert client.markets[SYMBOL]["precision"] == {"amount": 1e-05, "price": 0.01}
    assert (client.markets[SYMBOL]["taker"], client.markets[SYMBOL]["maker"]) == (0.012, 0.006)
    assert (await client.fetch_balance())["USDT"]["free"] == 100_000.0
    best = (await client.fetch_order_book(SYMBOL))["bids"][0][0]

    mine = {"client_order_id": "mine"}
    resting = await client.create_order(SYMBOL, "limit", "buy", 0.01, best - 500, mine)
    again = await client.create_order(SYMBOL, "limit", "buy", 0.01, best - 500, mine)
    assert again["id"] == resting["id"]
    assert [o["clientOrderId"] for o in await client.fetch_open_orders(SYMBOL)] == ["mine"]
    used = (await client.fetch_balance({"v3": True}))["USDT"]["used"]
    assert used == pytest.approx((best - 500) * 0.01 * 1.012)
    await client.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.02, best - 600)
    found = await client.fetch_order(resting["id"], SYMBOL)
    assert (found["amount"], found["price"], found["status"]) == (0.02, best - 600, "open")
    await client.cancel_order(resting["id"], SYMBOL)
    assert (await client.fetch_order(resting["id"], SYMBOL))["status"] == "canceled"

    bought = await client.create_order(SYMBOL, "market", "buy", 0.01, best)
    found = await client.fetch_order(bought["id"], SYMBOL)
    assert (found["status"], found["filled"], found["fee"]["currency"]) == ("closed", 0.00988, "USDT")
    sold = await client.create_order(SYMBOL, "limit", "sell", 0.005, best - 500, {"timeInForce": "IOC"})
    assert (await client.fetch_order(sold["id"], SYMBOL))["status"] == "closed"
    stop = await client.create_order(SYMBOL, "limit", "sell", 0.001, best - 900, {"stopLossPrice": best - 800})
    found = await client.fetch_order(stop["id"], SYMBOL)
    assert (found["status"], found["triggerPrice"]) == ("open", best - 800)
    assert {t["order"] for t in await client.fetch_my_trades(SYMBOL)} == {bought["id"], sold["id"]}
    assert {o["id"] for o in await client.fetch_closed_orders(SYMBOL)} == {bought["id"], sold["id"]}
    assert len(await client.fetch_ohlcv(SYMBOL, "1m", limit=100)) == 100
    assert (await client.fetch_ticker(SYMBOL))["last"] > 0
    other = coinbase.worlds["testnet" if live else "live"].exchange
    assert all(not account.orders for account in other.accounts.values()), "worlds are separate"


async def test_errors_arrive_as_ccxts_own_classes(coinbase: Sandbox, connect: Connect) -> None:
    client = await connect()
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(SYMBOL, "limit", "buy", 10, 50_000)
    with pytest.raises(ccxt.InvalidOrder, match="PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"):
        await client.create_order(SYMBOL, "limit", "sell", 0.01, 61_000, {"stopLossPrice": 61_000})
    with pytest.raises(ccxt.ExchangeError, match="INVALID_LIMIT_PRICE_POST_ONLY"):
        await client.create_order(SYMBOL, "limit", "buy", 0.01, 61_000, {"postOnly": True})
    with pytest.raises(ccxt.BadRequest):
        await client.cancel_order("4711", SYMBOL)
    with pytest.raises(ccxt.ExchangeError, match="NOT_FOUND"):
        await client.fetch_order("4711", SYMBOL)
    client.secret = coinbase.addresses["coinbase"]["live"]["pem"]
    with pytest.raises(ccxt.AuthenticationError):
        await client.fetch_balance()


async def test_user_data_and_market_data(coinbase: Sandbox, connect: Connect) -> None:
    client = await connect()
    seen: list[tuple[Any, ...]] = []
    done = asyncio.Event()

    async def orders() -> None:
        while True:
            for order in await client.watch_orders(SYMBOL):
                seen.append((order["clientOrderId"], order["status"], order["filled"]))
                if order["status"] == "closed":
                    done.set()

    watching = asyncio.create_task(orders())
    sockets = coinbase.sites["coinbase"].venues["testnet"].sockets  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        while not sockets.subscriber_count:
            await asyncio.sleep(0.01)
    best = (await client.fetch_order_book(SYMBOL))["bids"][0][0]
    price = round(best - 100, 2)
    await client.create_order(SYMBOL, "limit", "buy", 0.01, price, {"client_order_id": "w"})
    world = coinbase.worlds["testnet"]
    push_price(world, "BTCUSDT", parse_e8(f"{price - 50:.2f}"))
    world.publish()
    await asyncio.wait_for(done.wait(), 5)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert seen == [("w", "open", 0.0), ("w", "closed", 0.01)]

    await client.watch_order_book(SYMBOL)
    coinbase.driver.advance(2)
    trades, ticker = await client.watch_trades(SYMBOL), await client.watch_ticker(SYMBOL)
    assert (trades[-1]["symbol"], ticker["symbol"]) == (SYMBOL, SYMBOL)
    snapshot = await client.fetch_order_book(SYMBOL, 1_000)
    mine = client.orderbooks[SYMBOL]
    async with asyncio.timeout(5):
        while [list(row[:2]) for row in mine["bids"]] != snapshot["bids"]:
            await asyncio.sleep(0.02)
    assert [list(row[:2]) for row in mine["asks"]] == snapshot["asks"]
