"""python-okx, the venue's own client, trades on the sandbox in both worlds.

Run in an environment that has python-okx, with the sandbox's addresses (TLS) as JSON on standard input; prints one line
of JSON with what it saw. It knows nothing of this repository.
"""

import asyncio
import itertools
import json
import os
import sys
import tempfile
from decimal import Decimal

NAME = "BTC-USDT"


def trade_over_rest(entry, flag):
    """Every kind of call of the synchronous client."""
    from okx.Account import AccountAPI
    from okx.MarketData import MarketAPI
    from okx.PublicData import PublicAPI
    from okx.Trade import TradeAPI

    keys = (entry["api_key"], entry["api_secret"], entry["passphrase"], None, flag, entry["rest"])
    account, trade = AccountAPI(*keys), TradeAPI(*keys)
    market, public = MarketAPI(flag=flag, domain=entry["rest"]), PublicAPI(flag=flag, domain=entry["rest"])
    instrument = public.get_instruments(instType="SPOT", instId=NAME)["data"][0]
    best = Decimal(market.get_orderbook(NAME)["data"][0]["bids"][0][0])
    low = str((best * Decimal("0.95")).quantize(Decimal(instrument["tickSz"])))
    balance = account.get_account_balance("USDT")["data"][0]["details"][0]
    seen = {
        "balance": balance["availBal"],
        "config": account.get_account_config()["data"][0]["acctLv"],
        "fee": account.get_fee_rates("SPOT", NAME)["data"][0]["taker"],
        "ticker": market.get_ticker(NAME)["data"][0]["instId"],
        "tickers": len(market.get_tickers("SPOT")["data"]),
        "candles": len(market.get_candlesticks(NAME, bar="1m", limit="60")["data"]),
        "trades": len(market.get_trades(NAME, "5")["data"]),
        "time": public.get_system_time()["code"],
    }
    cash = {"instId": NAME, "tdMode": "cash"}
    resting = trade.place_order(**cash, side="buy", ordType="limit", sz="0.01", px=low, clOrdId="witness1")["data"][0]
    seen["open"] = [order["clOrdId"] for order in trade.get_order_list(instType="SPOT")["data"]]
    amended = trade.amend_order(NAME, ordId=resting["ordId"], newSz="0.02")["data"][0]["sCode"]
    seen["amended"] = [amended, trade.get_order(NAME, clOrdId="witness1")["data"][0]["sz"]]
    seen["frozen"] = account.get_account_balance("USDT")["data"][0]["details"][0]["frozenBal"] != "0"
    seen["canceled"] = [
        trade.cancel_order(NAME, ordId=resting["ordId"])["data"][0]["sCode"],
        trade.get_order(NAME, ordId=resting["ordId"])["data"][0]["state"],
    ]
    bought = trade.place_order(**cash, side="buy", ordType="market", sz="600")["data"][0]
    sold = trade.place_order(**cash, side="sell", ordType="market", sz="0.005")["data"][0]
    batch = [
        {**cash, "side": "buy", "ordType": "post_only", "sz": "0.01", "px": low, "clOrdId": f"batch{n}"} for n in (1, 2)
    ]
    seen["batch"] = [row["sCode"] for row in trade.place_multiple_orders(batch)["data"]]
    named = [{"instId": NAME, "clOrdId": f"batch{n}"} for n in (1, 2)]
    seen["batch_canceled"] = [row["sCode"] for row in trade.cancel_multiple_orders(named)["data"]]
    orders = [trade.get_order(NAME, ordId=row["ordId"])["data"][0] for row in (bought, sold)]
    seen["filled"] = [[order["state"], order["feeCcy"], order["fee"].startswith("-")] for order in orders]
    fills = trade.get_fills(instType="SPOT")["data"]
    total = sum(Decimal(fill["fillSz"]) for fill in fills)
    seen["fills_agree"] = total == sum(Decimal(order["accFillSz"]) for order in orders)
    seen["history"] = len(trade.get_orders_history("SPOT")["data"])
    stop = {**cash, "side": "sell", "ordType": "conditional", "sz": "0.001", "slTriggerPx": low, "slOrdPx": "-1"}
    algo = trade.place_algo_order(**stop)["data"][0]
    seen["algos"] = len(trade.order_algos_list(ordType="conditional")["data"])
    ended = trade.cancel_algo_order([{"instId": NAME, "algoId": algo["algoId"]}])
    seen["algo_canceled"] = ended["data"][0]["sCode"]
    seen["errors"] = [
        trade.place_order(**cash, side=side, ordType="limit", sz=sz, px=px)["data"][0]["sCode"]
        for side, sz, px in (("buy", "100", low), ("buy", "0.000001", low), ("buy", "0.01", "0.001"))
    ]
    seen["unknown"] = trade.cancel_order(NAME, ordId="1")["data"][0]["sCode"]
    wrong = AccountAPI(entry["api_key"], "no secret", entry["passphrase"], None, flag, entry["rest"])
    seen["wrong_secret"] = wrong.get_account_balance()["code"]
    elsewhere = AccountAPI(*keys[:4], "1" if flag == "0" else "0", entry["rest"])
    seen["wrong_world"] = elsewhere.get_account_balance()["code"]
    return seen


async def trade_over_websockets(entry, low):
    """Market data, and orders sent and followed on one private connection."""
    from okx.websocket.WsPrivateAsync import WsPrivateAsync
    from okx.websocket.WsPublicAsync import WsPublicAsync

    told = []
    public = WsPublicAsync(f"{entry['ws']}/ws/v5/public")
    await public.start()
    channels = [{"channel": name, "instId": NAME} for name in ("books", "tickers", "trades")]
    await public.subscribe(channels, lambda text: told.append(json.loads(text)))
    heard = []
    private = WsPrivateAsync(entry["api_key"], entry["passphrase"], entry["api_secret"], f"{entry['ws']}/ws/v5/private")
    await private.start()
    mine = [{"channel": "orders", "instType": "SPOT"}, {"channel": "account"}]
    await private.subscribe(mine, lambda text: heard.append(json.loads(text)))
    order = {"instId": NAME, "tdMode": "cash", "side": "buy", "ordType": "market", "sz": "300", "clOrdId": "overws"}
    await private.place_order([order], id="1")
    for _ in range(300):
        updates = [row["data"][0] for row in heard if row.get("arg", {}).get("channel") == "orders" and "data" in row]
        if any(update["state"] == "filled" for update in updates):
            break
        await asyncio.sleep(0.02)
    books = [row for row in told if row.get("arg", {}).get("channel") == "books" and "data" in row]
    chained = all(
        later["data"][0]["prevSeqId"] == earlier["data"][0]["seqId"] for earlier, later in itertools.pairwise(books)
    )
    answers = [row for row in heard if row.get("op") == "order"]
    accounts = [row["data"][0] for row in heard if row.get("arg", {}).get("channel") == "account" and "data" in row]
    await public.stop()
    await private.stop()
    return {
        "channels": sorted({row["arg"]["channel"] for row in told if "data" in row}),
        "book": [books[0]["action"], len(books) > 5, chained],
        "login": [row["code"] for row in heard if row.get("event") == "login"],
        "answer": [answers[0]["code"], answers[0]["data"][0]["sCode"]],
        "states": [updates[0]["state"], updates[-1]["state"], updates[-1]["clOrdId"]],
        "balances_moved": len({row["details"][0]["cashBal"] for row in accounts}) > 1,
    }


async def both_over_websockets(worlds):
    """Both worlds at once: this client waits five seconds after its login."""
    return await asyncio.gather(*(trade_over_websockets(entry, None) for entry, _ in worlds))


def main():
    """Both worlds."""
    addresses = json.load(sys.stdin)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as trusted:
        trusted.write(addresses["tls"]["certificate"])
        trusted.flush()
        os.environ["SSL_CERT_FILE"] = trusted.name
        venue = addresses["okx"]
        worlds = [(venue, "1"), (venue["live"], "0")]
        rest = [trade_over_rest(*world) for world in worlds]
        websockets = asyncio.run(both_over_websockets(worlds))
    names = ("testnet", "live")
    seen = zip(names, rest, websockets, strict=True)
    sys.stdout.write(json.dumps({name: {"rest": r, "ws": w} for name, r, w in seen}))


if __name__ == "__main__":
    main()
