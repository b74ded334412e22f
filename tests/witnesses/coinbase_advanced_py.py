"""coinbase-advanced-py, the venue's own client, trades on the sandbox in both worlds.

Run in an environment that has coinbase-advanced-py, with the sandbox's addresses (TLS) as JSON on standard input;
prints one line of JSON with what it saw. It knows nothing of this repository.
"""

import json
import os
import sys
import tempfile
import time
from decimal import Decimal

NAME = "BTC-USD"


def trade_over_rest(entry):
    """Every kind of call of the REST client."""
    from coinbase.rest import RESTClient
    from requests.exceptions import HTTPError

    host = entry["rest"].removeprefix("https://")
    client = RESTClient(api_key=entry["api_key"], api_secret=entry["pem"], base_url=host)
    product = client.get_product(NAME)
    bids = client.get_product_book(NAME, limit=5).pricebook.bids
    best = Decimal(bids[0].price)
    low = str((best * Decimal("0.95")).quantize(Decimal(product.price_increment)))
    accounts = {row.currency: row for row in client.get_accounts().accounts}
    now = int(time.time())
    seen = {
        "permissions": client.get_api_key_permissions().can_trade,
        "balance": accounts["USD"].available_balance["value"],
        "portfolio": client.get_portfolios().portfolios[0].uuid == accounts["USD"].retail_portfolio_id,
        "products": sorted(row.product_id for row in client.get_products().products),
        "public": client.get_public_product(NAME).product_id,
        "best": len(client.get_best_bid_ask([NAME]).pricebooks),
        "candles": len(client.get_candles(NAME, str(now - 3_600), str(now), "ONE_MINUTE").candles) >= 59,
        "trades": len(client.get_market_trades(NAME, 5).trades),
        "fees": client.get_transaction_summary().fee_tier["taker_fee_rate"],
        "time": abs(int(client.get_unix_time().epoch_seconds) - now) < 60,
    }
    resting = client.limit_order_gtc_buy("witness", NAME, "0.01", low)
    order_id = resting.success_response["order_id"]
    seen["same"] = client.limit_order_gtc_buy("witness", NAME, "0.01", low).success_response["order_id"] == order_id
    seen["open"] = [order.client_order_id for order in client.list_orders(order_status=["OPEN"]).orders]
    seen["edited"] = [client.edit_order(order_id, size="0.02", price=low).success, None]
    order = client.get_order(order_id).order
    seen["edited"][1] = order.order_configuration.limit_limit_gtc.base_size
    seen["held"] = order.outstanding_hold_amount != "0"
    seen["canceled"] = [client.cancel_orders([order_id]).results[0].success, client.get_order(order_id).order.status]
    bought = client.market_order_buy("buy", NAME, quote_size="600").success_response["order_id"]
    sold = client.market_order_sell("sell", NAME, base_size="0.005").success_response["order_id"]
    seen["filled"] = [client.get_order(number).order.status for number in (bought, sold)]
    fills = client.get_fills(order_ids=[bought, sold]).fills
    total = sum(Decimal(fill.size) for fill in fills)
    filled = sum(Decimal(client.get_order(number).order.filled_size) for number in (bought, sold))
    seen["fills_agree"] = total == filled
    spent = Decimal(100000) - Decimal(client.get_account(accounts["USD"].uuid).account.available_balance["value"])
    seen["spent"] = Decimal(200) < spent < Decimal(400)
    stop = str((best * Decimal("0.97")).quantize(Decimal(product.price_increment)))
    waiting = client.stop_limit_order_gtc_sell("stop", NAME, "0.001", low, stop, "STOP_DIRECTION_STOP_DOWN")
    waiting_id = waiting.success_response["order_id"]
    seen["stop"] = client.get_order(waiting_id).order.trigger_status
    client.cancel_orders([waiting_id])
    refused = [
        client.limit_order_gtc_buy("rich", NAME, "100", low),
        client.limit_order_gtc_buy("fine", NAME, "0.0000001", low),
        client.limit_order_gtc_buy("maker", NAME, "0.01", str(best + 1_000), post_only=True),
    ]
    seen["errors"] = [answer.error_response["preview_failure_reason"] for answer in refused]
    seen["unknown"] = client.cancel_orders(["1"]).results[0].failure_reason
    preview = client.preview_market_order_buy(NAME, quote_size="100")
    seen["preview"] = preview.errs
    stranger = RESTClient(api_key=entry["api_key"] + "x", api_secret=entry["pem"], base_url=host)
    try:
        stranger.get_accounts()
    except HTTPError as error:
        seen["stranger"] = error.response.status_code
    return seen


def trade_over_websockets(entry):
    """Market data, and orders followed on the user's own connection."""
    from coinbase.rest import RESTClient
    from coinbase.websocket import WSClient, WSUserClient

    told, heard = [], []
    market = WSClient(base_url=entry["ws"], on_message=lambda text: told.append(json.loads(text)))
    user = WSUserClient(
        api_key=entry["api_key"],
        api_secret=entry["pem"],
        base_url=entry["ws_user"],
        on_message=lambda text: heard.append(json.loads(text)),
    )
    market.open()
    market.subscribe([NAME], ["level2", "market_trades", "ticker", "candles", "heartbeats"])
    user.open()
    user.subscribe([NAME], ["user", "heartbeats"])
    host = entry["rest"].removeprefix("https://")
    client = RESTClient(api_key=entry["api_key"], api_secret=entry["pem"], base_url=host)
    wanted = {"l2_data", "market_trades", "ticker", "candles", "heartbeats"}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not wanted <= {row.get("channel") for row in told}:
        time.sleep(0.05)
    while time.monotonic() < deadline and not any(row.get("channel") == "user" for row in heard):
        time.sleep(0.05)
    client.market_order_buy("overws", NAME, quote_size="300")

    def updates():
        rows = [event for row in list(heard) if row.get("channel") == "user" for event in row["events"]]
        return [order for event in rows for order in event.get("orders", []) if order["client_order_id"] == "overws"]

    while time.monotonic() < deadline and not any(order["status"] == "FILLED" for order in updates()):
        time.sleep(0.05)
    market.close()
    user.close()
    books = [event for row in told if row.get("channel") == "l2_data" for event in row["events"]]
    return {
        "channels": sorted({row.get("channel") for row in told} & wanted),
        "sequence": [row["sequence_num"] for row in told] == list(range(len(told))),
        "book": [books[0]["type"], {event["type"] for event in books[1:]} <= {"update"}],
        "states": [updates()[0]["status"], updates()[-1]["status"]],
    }


def main():
    """Both worlds."""
    addresses = json.load(sys.stdin)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as trusted:
        trusted.write(addresses["tls"]["certificate"])
        trusted.flush()
        os.environ["REQUESTS_CA_BUNDLE"] = trusted.name
        worlds = {"testnet": addresses["coinbase"], "live": addresses["coinbase"]["live"]}
        seen = {
            name: {"rest": trade_over_rest(entry), "ws": trade_over_websockets(entry)} for name, entry in worlds.items()
        }
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
