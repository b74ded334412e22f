"""python-binance, a client that shares nothing with ours, trades on the sandbox in both worlds.

Run in an environment that has python-binance, with the sandbox's addresses as JSON on standard input; prints one
line of JSON with what it saw. It knows nothing of this repository.
"""

import asyncio
import json
import sys
from decimal import Decimal

from binance import AsyncClient, BinanceSocketManager, Client, DepthCacheManager
from binance.exceptions import BinanceAPIException

SYMBOL = "BTCUSDT"


def point_at(entry, testnet):
    """Replace the venue's hosts by the sandbox's."""
    prefix = "TESTNET_" if testnet else ""
    for client in (Client, AsyncClient):
        setattr(client, f"API_{prefix}URL", f"{entry['rest']}/api")
        client.MARGIN_API_URL = f"{entry['rest']}/sapi"
        setattr(client, f"WS_API_{prefix}URL", f"{entry['ws']}/ws-api/v3")
    setattr(BinanceSocketManager, f"STREAM_{prefix}URL", f"{entry['ws']}/")


def trade_over_rest(entry, testnet):
    """Every kind of call of the synchronous client."""
    client = Client(entry["api_key"], entry["api_secret"], testnet=testnet)
    info = client.get_symbol_info(SYMBOL)
    tick = next(f for f in info["filters"] if f["filterType"] == "PRICE_FILTER")["tickSize"]
    best = Decimal(client.get_orderbook_ticker(symbol=SYMBOL)["bidPrice"])
    low = str((best * Decimal("0.9")).quantize(Decimal(tick).normalize()))
    seen = {
        "status": client.get_system_status() if not testnet else {"status": 0},
        "balance": client.get_asset_balance("USDT")["free"],
        "klines": len(client.get_klines(symbol=SYMBOL, interval=Client.KLINE_INTERVAL_1MINUTE, limit=60)),
        "average": float(client.get_avg_price(symbol=SYMBOL)["price"]) > 0,
        "tickers": len(client.get_all_tickers()),
        "day": float(client.get_ticker(symbol=SYMBOL)["lastPrice"]) > 0,
        "trades": len(client.get_recent_trades(symbol=SYMBOL, limit=5)),
        "aggregates": len(client.get_aggregate_trades(symbol=SYMBOL, limit=5)),
    }
    client.create_test_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.01")
    resting = client.order_limit_buy(symbol=SYMBOL, quantity="0.01", price=low, newClientOrderId="witness")
    seen["open"] = [order["clientOrderId"] for order in client.get_open_orders(symbol=SYMBOL)]
    replaced = client.cancel_replace_order(
        symbol=SYMBOL,
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.02",
        price=low,
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrderId=resting["orderId"],
    )
    seen["replaced"] = [replaced["cancelResult"], replaced["newOrderResult"]]
    seen["canceled"] = client.cancel_order(symbol=SYMBOL, orderId=replaced["newOrderResponse"]["orderId"])["status"]
    bought = client.order_market_buy(symbol=SYMBOL, quantity="0.01")
    by_amount = client.order_market_buy(symbol=SYMBOL, quoteOrderQty="100")
    sold = client.order_market_sell(symbol=SYMBOL, quantity="0.005")
    orders = (bought, by_amount, sold)
    seen["filled"] = [order["status"] for order in orders]
    mine = client.get_my_trades(symbol=SYMBOL)
    seen["fills_agree"] = sum(len(order["fills"]) for order in orders) == len(mine)
    seen["all_orders"] = len(client.get_all_orders(symbol=SYMBOL))
    seen["commission"] = client.get_account()["commissionRates"]["taker"]
    seen["errors"] = []
    for wrong in (
        {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "100", "price": low},
        {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.000001", "price": low},
    ):
        try:
            client.create_order(symbol=SYMBOL, **wrong)
        except BinanceAPIException as error:
            seen["errors"].append(error.code)
    client.close_connection()
    return seen


async def trade_over_websockets(entry, testnet):
    """Streams, user data and orders of the asynchronous client."""
    client = await AsyncClient.create(entry["api_key"], entry["api_secret"], testnet=testnet)
    sockets = BinanceSocketManager(client)
    seen = {}
    async with sockets.multiplex_socket([f"{SYMBOL.lower()}@bookTicker", f"{SYMBOL.lower()}@trade"]) as stream:
        message = await asyncio.wait_for(stream.recv(), 10)
        seen["stream"] = message["stream"].split("@")[0]
    async with sockets.kline_socket(SYMBOL, interval="1m") as stream:
        seen["kline"] = (await asyncio.wait_for(stream.recv(), 10))["e"]
    async with DepthCacheManager(client, SYMBOL) as depth:
        seen["depth_cache"] = False
        for _ in range(5):
            # Its snapshot may be older than its stream; then it takes a new one, and applies the old event to it.
            book = await asyncio.wait_for(depth.recv(), 10)
            bid, ask = book.get_bids()[0][0], book.get_asks()[0][0]
            seen["depth_cache"] = seen["depth_cache"] or 0 < bid < ask
    async with sockets.user_socket() as user:
        order = await client.ws_create_order(
            symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.003", newClientOrderId="over-ws"
        )
        seen["ws_order"] = order["status"]
        events = []
        while not any(event.get("X") == "FILLED" for event in events):
            events.append(await asyncio.wait_for(user.recv(), 10))
        reports = [event for event in events if event["e"] == "executionReport"]
        seen["user_events"] = [[event["x"], event["c"]] for event in (reports[0], reports[-1])]
        seen["ws_status"] = (await client.ws_get_order(symbol=SYMBOL, orderId=order["orderId"]))["status"]
    await client.close_connection()
    return seen


async def both_over_websockets(worlds):
    """Both worlds at once: closing its connection takes this client ten seconds."""
    return await asyncio.gather(*(trade_over_websockets(entry, testnet) for entry, testnet in worlds))


def main():
    """Both worlds."""
    addresses = json.load(sys.stdin)["binance"]
    worlds = [(addresses, True), (addresses["live"], False)]
    for world in worlds:
        point_at(*world)
    rest = [trade_over_rest(*world) for world in worlds]
    websockets = asyncio.run(both_over_websockets(worlds))
    names = ("testnet", "live")
    seen = zip(names, rest, websockets, strict=True)
    sys.stdout.write(json.dumps({name: {"rest": r, "ws": w} for name, r, w in seen}))


if __name__ == "__main__":
    main()
