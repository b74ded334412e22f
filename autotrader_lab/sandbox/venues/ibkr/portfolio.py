"""An account as TWS reports it: values, portfolio rows, positions and profit, all from the exchange's own books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from autotrader_lab.sandbox.margin import Holding, MarginAccount, MarginExchange
from autotrader_lab.sandbox.units import ONE, text_e8
from autotrader_lab.sandbox.venues.ibkr.contracts import Contract
from autotrader_lab.sandbox.venues.ibkr.wire import number

__all__ = ["Portfolio", "Profit", "cents"]


_NEVER_HELD = (
    "FutureOptionValue",
    "FuturesPNL",
    "FundValue",
    "NetDividend",
    "Cryptocurrency",
    "MutualFundValue",
    "MoneyMarketFundValue",
    "CorporateBondValue",
    "TBondValue",
    "TBillValue",
    "WarrantValue",
    "IssuerOptionValue",
    "FxCashBalance",
)


def cents(amount: int) -> str:
    """Money with two places, rounded half up, as account values print it."""
    sign = "-" if amount < 0 else ""
    return sign + text_e8((abs(amount) + ONE // 200) // (ONE // 100) * (ONE // 100))[:-6]


class Profit(msgspec.Struct, frozen=True):
    """Profit of an account or a position in e8 of the home currency; `value` is what the position is worth."""

    daily: int
    unrealised: int
    realised: int
    quantity: int = 0
    value: int = 0


class Portfolio:
    """One account's books in IB's terms.

    Parameters
    ----------
    exchange : MarginExchange
        Where it trades.
    account : MarginAccount
        Whose books.
    contracts : mapping of str to Contract
        By the instrument's symbol.
    """

    def __init__(self, exchange: MarginExchange, account: MarginAccount, contracts: Mapping[str, Contract]) -> None:
        self._exchange = exchange
        self._account = account
        self._contracts = contracts

    # Positions

    def _held(self) -> list[tuple[Contract, Holding]]:
        return [(self._contracts[symbol], held) for symbol, held in self._account.holdings.items()]

    def _value(self, contract: Contract, holding: Holding) -> int:
        symbol = contract.instrument.symbol
        return contract.instrument.amount(self._exchange.mid(symbol), holding.quantity)

    def _average_cost(self, contract: Contract) -> int:
        held = self._account.holding(contract.instrument.symbol)
        return held.cost * ONE // held.quantity if held.quantity else 0

    def position(self, contract: Contract) -> list[str]:
        """Message 61 for one contract, flat or not."""
        held = self._account.holding(contract.instrument.symbol)
        return [
            "61",
            "3",
            self._account.name,
            *self._row(contract),
            number(held.quantity),
            number(self._average_cost(contract)),
        ]

    def positions(self) -> list[list[str]]:
        """Message 61 for everything held."""
        return [self.position(contract) for contract, held in self._held() if held.quantity]

    def position_multi(self, request_id: int) -> list[list[str]]:
        """Message 71 for everything held."""
        return [["71", "3", str(request_id), *row[2:], ""] for row in self.positions()]

    @staticmethod
    def _row(contract: Contract) -> list[str]:
        exchange = contract.primary_exchange or ("" if contract.kind == "FUT" else contract.exchange)
        row = contract.fields(exchange)
        row[4] = f"{float(contract.strike):.1f}"
        return row

    def portfolio_row(self, contract: Contract) -> list[str]:
        """Message 7 for one contract."""
        held = self._account.holding(contract.instrument.symbol)
        value = self._value(contract, held)
        row = contract.fields(contract.primary_exchange or contract.exchange)
        return [
            "7",
            "8",
            *row,
            number(held.quantity),
            number(self._exchange.mid(contract.instrument.symbol)),
            cents(value),
            number(self._average_cost(contract)),
            cents(value - held.cost),
            cents(held.realised),
            self._account.name,
        ]

    def portfolio(self) -> list[list[str]]:
        """Message 7 for everything held."""
        return [self.portfolio_row(contract) for contract, held in self._held() if held.quantity]

    # Profit

    def profit(self, contract: Contract | None = None) -> Profit:
        """Today's, unrealised and realised profit, of one contract if given. The sandbox lives one day."""
        unrealised = realised = quantity = total = 0
        for held_contract, held in self._held():
            if contract is None or held_contract is contract:
                value = self._value(held_contract, held)
                unrealised += value - held.cost
                realised += held.realised
                quantity, total = held.quantity, total + value
        return Profit(unrealised + realised, unrealised, realised, quantity, total)

    # Values

    def values(self, *, with_parts: bool = True) -> list[tuple[str, str, str]]:
        """(key, value, currency) rows of an account update."""
        totals = self._totals()
        home = self._exchange.home
        free, equity = totals["AvailableFunds"], totals["NetLiquidation"]
        rows = [
            ("AccountCode", self._account.name, ""),
            ("AccountReady", "true", ""),
            ("AccountType", "INDIVIDUAL", ""),
            ("Cushion", f"{free / equity:.6f}" if equity > 0 else "0", ""),
            ("DayTradesRemaining", "-1", ""),
            ("LookAheadNextChange", "0", ""),
        ]
        rows += [(key, cents(value), home) for key, value in totals.items()]
        if with_parts:
            rows += self._ledger()
        return rows

    def _totals(self) -> dict[str, int]:
        exchange, account = self._exchange, self._account
        equity, margin = exchange.equity(account), exchange.margin(account)
        gross = sum(abs(self._value(c, held)) for c, held in self._held() if c.kind in ("STK", "OPT"))
        cash = sum(exchange.to_home(amount, currency) for currency, amount in self._cash().items())
        profit = self.profit()
        free = equity - margin
        return {
            "AccruedCash": 0,
            "AvailableFunds": free,
            "BuyingPower": max(0, free) * 4,
            "EquityWithLoanValue": equity,
            "ExcessLiquidity": free,
            "FullAvailableFunds": free,
            "FullExcessLiquidity": free,
            "FullInitMarginReq": margin,
            "FullMaintMarginReq": margin,
            "GrossPositionValue": gross,
            "InitMarginReq": margin,
            "LookAheadAvailableFunds": free,
            "LookAheadExcessLiquidity": free,
            "LookAheadInitMarginReq": margin,
            "LookAheadMaintMarginReq": margin,
            "MaintMarginReq": margin,
            "NetLiquidation": equity,
            "PreviousDayEquityWithLoanValue": exchange.deposits.get(exchange.home, 0),
            "RealizedPnL": profit.realised,
            "TotalCashValue": cash,
            "UnrealizedPnL": profit.unrealised,
        }

    def _cash(self) -> dict[str, int]:
        """Cash by currency: the ledger without what is held, futures being settled by difference."""
        cash: dict[str, int] = dict(self._account.free)
        for contract, held in self._held():
            if contract.kind != "CASH":
                cash.pop(contract.instrument.base, None)
            if contract.kind == "FUT":
                quote = contract.instrument.quote
                cash[quote] = cash.get(quote, 0) + self._value(contract, held)
        return cash

    def _ledger(self) -> list[tuple[str, str, str]]:
        exchange, account = self._exchange, self._account
        profit, cash, home = self.profit(), self._cash(), exchange.home
        total = sum(exchange.to_home(amount, currency) for currency, amount in cash.items())
        parts: Sequence[tuple[str, str]] = (("StockMarketValue", "STK"), ("OptionMarketValue", "OPT"))
        rows: list[tuple[str, str, str]] = []
        for currency in ["BASE", *(c for c in cash if cash[c] or c == home)]:
            is_base = currency == "BASE"
            at_home = is_base or currency == home
            held = total if is_base else cash[currency]
            rate = ONE if at_home else exchange.to_home(ONE, currency)
            rows += [("Currency", currency, currency), ("CashBalance", cents(held), currency)]
            rows += [("TotalCashBalance", cents(held), currency), ("AccruedCash", "0.00", currency)]
            worth = 0
            for key, kind in parts:
                value = sum(self._value(c, h) for c, h in self._held() if c.kind == kind) if at_home else 0
                worth += value
                rows.append((key, cents(value), currency))
            rows += [(key, "0.00", currency) for key in _NEVER_HELD]
            net = exchange.equity(account) if is_base else held + worth
            rows += [
                ("NetLiquidationByCurrency", cents(net), currency),
                ("UnrealizedPnL", cents(profit.unrealised if at_home else 0), currency),
                ("RealizedPnL", cents(profit.realised if at_home else 0), currency),
                ("ExchangeRate", f"{rate / ONE:.2f}" if at_home else number(rate), currency),
                ("AccountOrGroup", "All" if is_base else account.name, currency),
                ("RealCurrency", home if is_base else currency, currency),
            ]
        return rows

    def summary(self, tags: str) -> list[tuple[str, str, str]]:
        """(tag, value, currency) rows of an account summary for the tags asked for, separated by commas."""
        asked = [tag.strip() for tag in tags.split(",") if tag.strip()]
        if asked[:1] == ["$LEDGER:ALL"] or asked[:1] == ["$LEDGER"]:
            return self._ledger()
        rows = {key: (value, currency) for key, value, currency in self.values(with_parts=False)}
        rows["Leverage"] = (f"{self._leverage():.2f}", "")
        wanted = list(rows) if asked[:1] == ["All"] else asked
        return [(tag, *rows[tag]) for tag in wanted if tag in rows]

    def _leverage(self) -> float:
        totals = self._totals()
        equity = totals["NetLiquidation"]
        return totals["GrossPositionValue"] / equity if equity > 0 else 0.0
