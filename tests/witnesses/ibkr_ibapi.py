"""Interactive Brokers' own ibapi, which shares nothing with ours, trades on the sandbox's paper and live gateways.

Run in an environment that has ibapi, with the sandbox's addresses as JSON on standard input; prints one line of JSON
with what it saw. It knows nothing of this repository.
"""

import json
import sys
import threading
import time

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper


class App(EWrapper, EClient):
    """Notes what it is told."""

    def __init__(self):
        EClient.__init__(self, self)
        self.told = {}
        self.errors = []
        self.statuses = {}

    def note(self, name, value):
        self.told.setdefault(name, []).append(value)

    def wait(self, name, seconds=10):
        """The first value under a name, once there is one."""
        for _ in range(round(seconds * 100)):
            if name in self.told:
                return self.told[name][0]
            time.sleep(0.01)
        raise TimeoutError(f"nothing was told under {name}; errors {self.errors}")

    def error(self, reqId, errorCode, errorString):
        self.errors.append(errorCode)

    def nextValidId(self, orderId):
        self.note("id", orderId)

    def managedAccounts(self, accountsList):
        self.note("accounts", accountsList)

    def contractDetails(self, reqId, contractDetails):
        self.note("details", contractDetails)

    def contractDetailsEnd(self, reqId):
        self.note("details end", reqId)

    def marketRule(self, marketRuleId, priceIncrements):
        self.note("rule", [marketRuleId, priceIncrements[0].increment])

    def tickPrice(self, reqId, tickType, price, attrib):
        self.note(f"price {tickType}", price)

    def tickSize(self, reqId, tickType, size):
        self.note(f"size {tickType}", size)

    def tickByTickBidAsk(self, reqId, time, bidPrice, askPrice, bidSize, askSize, tickAttribBidAsk):
        self.note("tick by tick", [bidPrice, askPrice])

    def updateMktDepth(self, reqId, position, operation, side, price, size):
        self.note("depth", [position, operation, side, price, size])

    def historicalData(self, reqId, bar):
        self.note("bars", bar.close)

    def historicalDataEnd(self, reqId, start, end):
        self.note("bars end", reqId)

    def openOrder(self, orderId, contract, order, orderState):
        self.note("open", [orderId, contract.symbol, order.orderType, order.orderRef, orderState.status])

    def openOrderEnd(self):
        self.note("open end", True)

    def completedOrder(self, contract, order, orderState):
        self.note("completed", [order.orderRef, orderState.status])

    def completedOrdersEnd(self):
        self.note("completed end", True)

    def orderStatus(self, orderId, status, filled, remaining, *rest):
        self.statuses.setdefault(orderId, []).append(status)
        self.note(f"{status} {orderId}", [filled, remaining])

    def execDetails(self, reqId, contract, execution):
        self.note("executions", [reqId, contract.symbol, execution.side, execution.shares, execution.orderRef])

    def execDetailsEnd(self, reqId):
        self.note("executions end", reqId)

    def commissionReport(self, commissionReport):
        self.note("commissions", [commissionReport.commission, commissionReport.currency])

    def updateAccountValue(self, key, val, currency, accountName):
        self.note(f"value {key} {currency}", val)

    def updatePortfolio(self, contract, position, marketPrice, marketValue, averageCost, *rest):
        self.note("portfolio", [contract.symbol, position])

    def accountDownloadEnd(self, accountName):
        self.note("account end", accountName)

    def accountSummary(self, reqId, account, tag, value, currency):
        self.note(f"summary {tag}", value)

    def accountSummaryEnd(self, reqId):
        self.note("summary end", reqId)

    def position(self, account, contract, position, avgCost):
        self.note(f"position {contract.symbol}", position)

    def positionEnd(self):
        self.note("position end", True)

    def pnl(self, reqId, dailyPnL, unrealizedPnL, realizedPnL):
        self.note("pnl", dailyPnL)

    def currentTime(self, time):
        self.note("time", time)


def stock(symbol):
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = symbol, "STK", "SMART", "USD"
    return contract


def order(action, quantity, type_="MKT", price=0.0, reference=""):
    made = Order()
    made.action, made.totalQuantity, made.orderType, made.orderRef = action, quantity, type_, reference
    if price:
        made.lmtPrice = price
    return made


def trade(entry):
    """Connect, look around, rest an order, see it, change it, cancel it, buy, see fills and balances move."""
    host, port = entry["address"].split(":")
    app = App()
    app.connect(host, int(port), clientId=4)
    thread = threading.Thread(target=app.run, daemon=True)
    thread.start()
    number = app.wait("id")
    seen = {"version": app.serverVersion(), "account": app.wait("accounts") == entry["account"]}
    app.reqCurrentTime()
    seen["time"] = app.wait("time") > 0

    aapl = stock("AAPL")
    app.reqContractDetails(1, aapl)
    app.wait("details end")
    details = app.wait("details")
    seen["contract"] = [details.contract.conId, details.contract.primaryExchange, details.minTick, details.stockType]
    app.reqMarketRule(int(details.marketRuleIds.split(",")[0]))
    seen["rule"] = app.wait("rule")
    app.reqMktData(2, aapl, "", False, False, [])
    bid, ask = app.wait("price 1"), app.wait("price 2")
    seen["quote"] = [0 < bid < ask, app.wait("size 0") > 0]
    app.reqTickByTickData(3, aapl, "BidAsk", 0, False)
    seen["tick_by_tick"] = len(app.wait("tick by tick"))
    app.reqMktDepth(4, aapl, 3, False, [])
    seen["depth"] = app.wait("depth")[:3]
    app.reqHistoricalData(5, aapl, "", "3600 S", "1 min", "TRADES", 0, 1, False, [])
    app.wait("bars end")
    seen["bars"] = len(app.told["bars"]) in (60, 61)
    app.cancelMktData(2)
    app.cancelTickByTickData(3)
    app.cancelMktDepth(4, False)

    app.reqAccountUpdates(True, entry["account"])
    app.wait("account end")
    seen["cash"] = app.wait("value TotalCashValue USD")
    app.placeOrder(number, aapl, order("BUY", 10, "LMT", round(bid * 0.9, 2), "resting"))
    app.wait(f"Submitted {number}")
    app.told.pop("open")
    app.reqOpenOrders()
    app.wait("open end")
    seen["open"] = [row[1:] for row in app.told["open"]]
    app.placeOrder(number, aapl, order("BUY", 20, "LMT", round(bid * 0.9, 2), "resting"))
    for _ in range(500):
        if [0.0, 20.0] in app.told[f"Submitted {number}"]:
            break
        time.sleep(0.01)
    seen["changed"] = app.told[f"Submitted {number}"][-1]
    app.cancelOrder(number)
    app.wait(f"Cancelled {number}")
    app.placeOrder(number + 1, aapl, order("BUY", 100, reference="bought"))
    seen["filled"] = app.wait(f"Filled {number + 1}")
    seen["commission"] = app.wait("commissions")
    app.reqPositions()
    app.wait("position end")
    seen["position"] = app.told["position AAPL"][-1]
    app.reqPnL(6, entry["account"], "")
    seen["pnl"] = app.wait("pnl") < 0
    app.told.pop("executions")
    app.reqExecutions(7, ExecutionFilter())
    app.wait("executions end")
    mine = [row for row in app.told["executions"] if row[4] == "bought"]
    seen["executions"] = [mine[0][1], mine[0][2], sum(row[3] for row in mine)]
    app.reqCompletedOrders(False)
    app.wait("completed end")
    seen["completed"] = sorted(app.told["completed"])
    app.reqAccountSummary(8, "All", "NetLiquidation,TotalCashValue")
    app.wait("summary end")
    seen["cash_moved"] = float(app.wait("summary TotalCashValue")) < float(seen["cash"])
    app.placeOrder(number + 2, aapl, order("BUY", 10, "LMT", 100.001))
    app.placeOrder(number + 3, stock("NOPE"), order("BUY", 10))
    app.cancelOrder(number + 9)
    for _ in range(500):
        if {110, 200, 10147} <= set(app.errors):
            break
        time.sleep(0.01)
    seen["errors"] = sorted(code for code in app.errors if not 2100 <= code < 2200)
    app.disconnect()
    thread.join(5)
    return seen


def main():
    """Both gateways."""
    addresses = json.load(sys.stdin)["ibkr"]
    sys.stdout.write(json.dumps({"testnet": trade(addresses), "live": trade(addresses["live"])}))


if __name__ == "__main__":
    main()
