"""ib_insync, the archived ancestor of ib_async, trades on the sandbox's gateways, in an environment of its own.

Run in an environment that has ib_insync, with the sandbox's addresses as JSON on standard input; prints one line of
JSON with what it saw. It knows nothing of this repository.
"""

import json
import logging
import sys

from ib_insync import IB, Future, LimitOrder, MarketOrder, Stock


def trade(entry):
    """Connect, look around, rest an order, change it, cancel it, buy, see fills, positions and profit."""
    logging.disable(logging.CRITICAL)
    host, port = entry["address"].split(":")
    ib = IB()
    ib.connect(host, int(port), clientId=6, timeout=5)
    seen = {"version": ib.client.serverVersion(), "account": ib.managedAccounts() == [entry["account"]]}
    aapl, es = ib.qualifyContracts(Stock("AAPL", "SMART", "USD"), Future("ES", exchange="CME"))
    seen["contracts"] = [aapl.conId, es.multiplier]
    ticker = ib.reqMktData(aapl)
    while not ticker.bid > 0 or not ticker.ask > 0:
        ib.sleep(0.01)
    seen["quote"] = 0 < ticker.bid < ticker.ask
    seen["bars"] = len(ib.reqHistoricalData(aapl, "", "3600 S", "1 min", "TRADES", False)) in (60, 61)
    terms = LimitOrder("BUY", 10, round(ticker.bid * 0.9, 2), orderRef="resting")
    resting = ib.placeOrder(aapl, terms)
    while resting.orderStatus.status != "Submitted":
        ib.sleep(0.01)
    terms.totalQuantity = 20
    ib.placeOrder(aapl, terms)
    while resting.orderStatus.remaining != 20:
        ib.sleep(0.01)
    seen["open"] = [trade.order.orderRef for trade in ib.reqAllOpenOrders()]
    ib.cancelOrder(terms)
    while not resting.isDone():
        ib.sleep(0.01)
    seen["canceled"] = resting.orderStatus.status
    bought = ib.placeOrder(aapl, MarketOrder("BUY", 100, orderRef="bought"))
    while not bought.isDone() or not bought.fills[-1].commissionReport.execId:
        ib.sleep(0.01)
    seen["filled"] = [sum(fill.execution.shares for fill in bought.fills), bought.orderStatus.filled]
    seen["commission"] = sum(fill.commissionReport.commission for fill in bought.fills)
    while not ib.positions():
        ib.sleep(0.01)
    seen["positions"] = [[position.contract.symbol, position.position] for position in ib.positions()]
    profit = ib.reqPnL(entry["account"])
    while profit.dailyPnL != profit.dailyPnL:
        ib.sleep(0.01)
    state = ib.whatIfOrder(aapl, MarketOrder("BUY", 10))
    seen["what_if"] = [float(state.initMarginChange) > 0, state.commission]
    refused = ib.placeOrder(aapl, LimitOrder("BUY", 10_000_000, 100))
    while not refused.isDone():
        ib.sleep(0.01)
    seen["refused"] = [refused.orderStatus.status, refused.log[-1].errorCode]
    ib.disconnect()
    ib.connect(host, int(port), clientId=6, timeout=5)
    seen["again"] = [len(ib.fills()) == len(bought.fills), len(ib.openTrades())]
    ib.disconnect()
    return seen


def main():
    """Both gateways."""
    addresses = json.load(sys.stdin)["ibkr"]
    sys.stdout.write(json.dumps({"testnet": trade(addresses), "live": trade(addresses["live"])}))


if __name__ == "__main__":
    main()
