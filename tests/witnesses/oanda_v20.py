"""Oanda's own v20 client, which shares nothing with ours, trades on the sandbox in both environments.

Run in an environment that has v20, with the sandbox's addresses as JSON on standard input; prints one line of JSON
with what it saw. It knows nothing of this repository.
"""

import json
import sys
from urllib.parse import urlparse

import v20
from v20.errors import V20Timeout

PAIR = "EUR_USD"


def connect(entry, which):
    """A context for REST or for streams."""
    url = urlparse(entry[which])
    return v20.Context(url.hostname, url.port, ssl=False, token=entry["token"], stream_timeout=20, poll_timeout=10)


def trade(entry):
    """Connect, look around, rest an order, see it, change it, cancel it, buy, sell, see the balance move."""
    api, streams, account = connect(entry, "rest"), connect(entry, "stream"), entry["account"]
    seen = {"accounts": [row.id == account for row in api.account.list().get("accounts", 200)]}
    seen["instruments"] = [row.name for row in api.account.instruments(account).get("instruments", 200)]
    before = api.account.summary(account).get("account", 200)
    seen["balance"] = before.balance
    (price,) = api.pricing.get(account, instruments=PAIR).get("prices", 200)
    bid, ask = price.bids[0].price, price.asks[0].price
    seen["quote"] = 0 < bid < ask
    candles = api.instrument.candles(PAIR, granularity="M1", count=60).get("candles", 200)
    seen["candles"] = [len(candles), candles[0].mid.c > 0]
    low = round(bid * 0.9, 5)
    resting = api.order.limit(
        account, instrument=PAIR, units=100, price=low, clientExtensions={"id": "witness", "tag": "t"}
    )
    number = resting.get("orderCreateTransaction", 201).id
    seen["pending"] = [row.clientExtensions.id for row in api.order.list_pending(account).get("orders", 200)]
    replaced = api.order.limit_replace(account, number, instrument=PAIR, units=200, price=low)
    seen["replaced"] = replaced.get("orderCancelTransaction", 201).reason
    again = api.order.get(account, "@witness").get("order", 200)
    seen["found"] = [again.units, again.state, again.price == low]
    seen["canceled"] = api.order.cancel(account, "@witness").get("orderCancelTransaction", 200).reason
    stop = api.order.stop(account, instrument=PAIR, units=-100, price=low).get("orderCreateTransaction", 201)
    touched = api.order.market_if_touched(account, instrument=PAIR, units=100, price=low)
    seen["types"] = [stop.type, touched.get("orderCreateTransaction", 201).type]
    for row in api.order.list_pending(account).get("orders", 200):
        api.order.cancel(account, row.id)

    stream = streams.transaction.stream(account)
    parts = stream.parts()
    kind, _ = next(parts)
    seen["stream"] = [kind]
    bought = api.order.market(account, instrument=PAIR, units=1000, clientExtensions={"id": "bought"})
    fill = bought.get("orderFillTransaction", 201)
    seen["filled"] = [fill.units, fill.reason, fill.tradeOpened.units, fill.clientOrderID]
    for _, row in parts:
        seen["stream"].append(row.type)
        if row.type == "ORDER_FILL":
            break
    (open_trade,) = api.trade.list_open(account).get("trades", 200)
    seen["trade"] = [open_trade.currentUnits, open_trade.state]
    position = api.position.get(account, PAIR).get("position", 200)
    seen["position"] = [position.long.units, position.short.units]
    closed = api.position.close(account, PAIR, longUnits="ALL").get("longOrderFillTransaction", 200)
    after = api.account.summary(account).get("account", 200)
    seen["balance_moved"] = abs(after.balance - before.balance - closed.pl) < 1e-9 and closed.pl < 0
    since = api.transaction.since(account, id=int(before.lastTransactionID)).get("transactions", 200)
    seen["since"] = [row.type for row in since][:2]
    refused = api.order.market(account, instrument=PAIR, units=0.5)
    seen["refused"] = [refused.status, refused.get("errorCode", 400)]
    stray = v20.Context(api.hostname, api.port, ssl=False, token="wrong")
    seen["wrong_token"] = stray.account.summary(account).status

    prices = []
    try:
        for kind, _ in streams.pricing.stream(account, snapshot=True, instruments=PAIR).parts():
            prices.append(kind)
            if prices.count("pricing.ClientPrice") == 3:
                break
    except V20Timeout:
        pass
    seen["prices"] = prices.count("pricing.ClientPrice")
    return seen


def main():
    """Both environments."""
    addresses = json.load(sys.stdin)["oanda"]
    sys.stdout.write(json.dumps({"testnet": trade(addresses), "live": trade(addresses["live"])}))


if __name__ == "__main__":
    main()
