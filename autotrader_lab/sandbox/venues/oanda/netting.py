"""Trades, first in, first out: what a fill opens, reduces and closes, and what that earned in the home currency."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.margin import MarginAccount, MarginExchange
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.units import ONE, share, trim_e8
from autotrader_lab.sandbox.venues.oanda.instruments import CATALOGUE, HOME, Pair, money, units_text
from autotrader_lab.sandbox.venues.oanda.record import Record
from autotrader_lab.sandbox.venues.oanda.times import Instant
from autotrader_lab.sandbox.venues.oanda.values import DealOrder, Trade

__all__ = ["Netting"]

Json = dict[str, Any]

QUOTED_LEVELS = 3


class Netting:
    """One account's trades.

    Parameters
    ----------
    exchange : MarginExchange
        Where it trades.
    account : MarginAccount
        Whose ledger.
    record : Record
        Where fills are recorded.
    """

    def __init__(self, exchange: MarginExchange, account: MarginAccount, record: Record) -> None:
        self._exchange = exchange
        self._account = account
        self._record = record
        self.trades: dict[int, Trade] = {}
        self.realised = 0
        self.realised_by_side: dict[tuple[str, str], int] = {}

    # Prices

    def quote(self, pair: Pair) -> tuple[int, int]:
        """Bid and ask, e8."""
        book, last = self._exchange.books[pair.name], self._exchange.last_price[pair.name]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        return bid.price if bid else last, ask.price if ask else last

    def full_price(self, pair: Pair, liquidity_as_text: bool = True) -> Json:
        """Bids, asks and closeout prices."""
        book = self._exchange.books[pair.name]
        bid, ask = self.quote(pair)

        def bucket(row: tuple[int, int]) -> Json:
            size = row[1] // ONE
            return {"price": pair.price(row[0]), "liquidity": str(size) if liquidity_as_text else size}

        return {
            "bids": [bucket(row) for row in book.depth(Side.BUY, QUOTED_LEVELS)],
            "asks": [bucket(row) for row in book.depth(Side.SELL, QUOTED_LEVELS)],
            "closeoutBid": pair.price(bid - pair.instrument.tick * 15),
            "closeoutAsk": pair.price(ask + pair.instrument.tick * 15),
        }

    def available(self, pair: Pair, units: int, limit: int) -> int:
        """How many units could be traded now, no worse than `limit` (0: at any price), e8."""
        side, found = Side.SELL if units > 0 else Side.BUY, 0
        for price, quantity in self._exchange.books[pair.name].depth(side, 1_000):
            if limit and (price > limit if units > 0 else price < limit):
                break
            found += quantity
        return found

    def factors(self, currency: str) -> tuple[int, int]:
        """What a gain and a loss of 1 in a currency are worth at home, e8."""
        if currency == HOME:
            return ONE, ONE
        for pair in CATALOGUE.values():
            bid, ask = self.quote(pair)
            if (pair.instrument.base, pair.instrument.quote) == (HOME, currency):
                return ONE * ONE // ask, ONE * ONE // bid
            if (pair.instrument.base, pair.instrument.quote) == (currency, HOME):
                return bid, ask
        raise AssertionError(f"the catalogue has no pair of {currency} and {HOME}")

    def at_home(self, amount: int, currency: str) -> int:
        """A gain or loss in the home currency, in whole ten-thousandths, e8."""
        gain, loss = self.factors(currency)
        converted = share(abs(amount), gain if amount >= 0 else loss)
        unit = ONE // 10_000
        rounded = (converted + unit // 2) // unit * unit
        return rounded if amount >= 0 else -rounded

    # How the account stands

    @property
    def balance(self) -> int:
        """Deposits and realised profit, e8 of the home currency."""
        return self._exchange.deposits.get(HOME, 0) + self.realised

    def open_trades(self, pair: Pair | None = None) -> list[Trade]:
        """Open trades, the oldest first."""
        return [trade for trade in self.trades.values() if trade.is_open and pair in (None, trade.pair)]

    def unrealised(self, trade: Trade) -> int:
        """What closing a trade now would earn, e8 of the home currency."""
        if not trade.units:
            return 0
        price = self.quote(trade.pair)[0 if trade.units > 0 else 1]
        worth = trade.pair.instrument.amount(price, abs(trade.units))
        earned = worth - trade.amount if trade.units > 0 else trade.amount - worth
        return self.at_home(earned, trade.pair.instrument.quote)

    def margin(self, pair: Pair, units: int) -> int:
        """What a position needs, e8 of the home currency."""
        value = self.value(pair, units)
        return share(value, pair.instrument.margin_rate)

    def value(self, pair: Pair, units: int) -> int:
        """What a position is worth, unsigned, e8 of the home currency."""
        amount = pair.instrument.amount(self._exchange.mid(pair.name), abs(units))
        return self._exchange.to_home(amount, pair.instrument.quote)

    # Fills

    def fill(self, order: DealOrder, units: int, amount: int, quote: Json, batch: str, only: Trade | None) -> Json:
        """Book a fill of signed `units` for `amount` of the quote currency (both e8) and record it."""
        pair, currency = order.pair, order.pair.instrument.quote
        bid, ask = self.quote(pair)
        gain, loss = self.factors(currency)
        number, now = self._record.next_id, self._record.now()
        vwap = amount * ONE // abs(units)
        half_spread = share((ask - bid) * abs(units) // ONE // 2, gain)
        closed, reduced, earned, left, used = [], None, 0, abs(units), 0
        opposite = [only] if only else [trade for trade in self.open_trades(pair) if trade.units * units < 0]
        for trade in opposite:
            part = min(left, abs(trade.units))
            if not part:
                break
            left -= part
            paid = amount * (abs(units) - left) // abs(units) - used
            used += paid
            profit = self._close(trade, part, paid, number, now)
            earned += profit
            row = {
                "tradeID": str(trade.trade_id),
                "units": units_text(part if units > 0 else -part),
                "realizedPL": money(profit),
                "financing": "0.0000",
                "price": pair.price(vwap),
                "guaranteedExecutionFee": "0.0000",
                "halfSpreadCost": money(half_spread * part // abs(units)),
            }
            if trade.is_open:
                reduced = row
            else:
                closed.append(row)
        body: Json = {"orderID": str(order.order_id)}
        if order.client_id:
            body["clientOrderID"] = order.client_id
        body |= {
            "instrument": pair.name,
            "units": units_text(units),
            "requestedUnits": units_text(order.units),
            "price": pair.price(vwap),
            "fullVWAP": pair.price(vwap) if vwap % pair.instrument.tick == 0 else trim_e8(vwap),
            "fullPrice": {**quote, "timestamp": now},
            "reason": order.fill_reason,
            "pl": money(earned),
            "financing": "0.0000",
            "commission": "0.0000",
            "guaranteedExecutionFee": "0.0000",
            "accountBalance": money(self.balance),
            "halfSpreadCost": money(half_spread),
            "gainQuoteHomeConversionFactor": trim_e8(gain),
            "lossQuoteHomeConversionFactor": trim_e8(loss),
        }
        details: Json = {}
        if left:
            opened = self._open(order, left if units > 0 else -left, amount - used, number, now)
            body["tradeOpened"] = {
                "price": pair.price(opened.price),
                "tradeID": str(number),
                "units": units_text(opened.units),
                "guaranteedExecutionFee": "0.0000",
                "halfSpreadCost": money(half_spread * left // abs(units)),
                "initialMarginRequired": money(opened.initial_margin),
            }
            if opened.extensions:
                body["tradeOpened"]["clientExtensions"] = opened.extensions
            details["tradeOpenedID"] = str(number)
        if closed:
            body["tradesClosed"] = closed
            details["tradeClosedIDs"] = [row["tradeID"] for row in closed]
        if reduced is not None:
            body["tradeReduced"] = reduced
            details["tradeReducedID"] = reduced["tradeID"]
        filled = self._record.add("ORDER_FILL", body, batch)
        order.state = "FILLED"
        order.details |= {"fillingTransactionID": filled["id"], "filledTime": filled["time"], **details}
        return filled

    def _close(self, trade: Trade, part: int, amount: int, number: int, now: Instant) -> int:
        """Close a part (e8) of a trade for `amount` of the quote currency; returns the profit at home."""
        is_long = trade.units > 0
        cost = trade.amount * part // abs(trade.units)
        earned = amount - cost if is_long else cost - amount
        currency = trade.pair.instrument.quote
        profit = self.at_home(earned, currency)
        trade.units += -part if is_long else part
        trade.amount -= cost
        trade.realised += profit
        trade.closed_units += part
        trade.closed_amount += amount
        trade.closing_ids = [*trade.closing_ids, str(number)]
        if not trade.units:
            trade.closed = now
        self._exchange.turn(self._account.name, (currency, earned), (HOME, profit))
        self.realised += profit
        side = trade.pair.name, "long" if is_long else "short"
        self.realised_by_side[side] = self.realised_by_side.get(side, 0) + profit
        return profit

    def _open(self, order: DealOrder, units: int, amount: int, number: int, now: Instant) -> Trade:
        pair = order.pair
        trade = self.trades[number] = Trade(
            trade_id=number,
            pair=pair,
            opened=now,
            initial=units,
            units=units,
            price=amount * ONE // abs(units),
            amount=amount,
            initial_margin=self.margin(pair, units),
            extensions=order.wish.trade_extensions,
        )
        return trade
