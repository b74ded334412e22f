"""The paper account: cash, holdings and what open orders have reserved of them, exact.

Two kinds. A *cash* account pays for what it buys and sells only what it holds; neither cash nor holdings can go below
what is reserved. A *margin* account (``allow_short``) may sell what it lacks and owe cash: an order is let in while
the gross exposure of positions and open orders, at the marks, stays within equity times leverage.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal

from autotrader_lab.model.errors import ConfigError
from autotrader_lab.model.instruments import Instrument, Number, exact

__all__ = ["PaperAccount"]

_ZERO = Decimal(0)
_FEE_STEP = Decimal("1e-8")


class PaperAccount:
    """Balances of one account.

    Parameters
    ----------
    initial_balance : number
        Cash at the start, account currency.
    commission_bps : number
        Of each execution's notional, charged in the quote currency; floored to 1e-8 of it.
    currency : str or None
        Account currency; None takes the quote currency of the first symbol that is traded here.
    allow_short : bool
        A margin account instead of a cash account.
    leverage : number
        Of a margin account: gross exposure allowed per unit of equity.
    balances, holdings : mapping, optional
        Further cash by currency and units by symbol that the account starts with.

    Attributes
    ----------
    cash, held_cash : dict of str to Decimal
        Total and reserved cash by currency.
    holdings, held_units : dict of str to Decimal
        Total (signed) and reserved units by universal symbol.
    """

    def __init__(
        self,
        initial_balance: Number = 100_000,
        commission_bps: Number = 10,
        *,
        currency: str | None = None,
        allow_short: bool = False,
        leverage: Number = 1,
        balances: Mapping[str, Number] | None = None,
        holdings: Mapping[str, Number] | None = None,
    ) -> None:
        self.initial_balance = exact(initial_balance, "initial_balance")
        if self.initial_balance < 0:
            raise ConfigError(f"initial_balance {initial_balance} is negative: give what the account starts with")
        self.commission_rate = rate_of("commission_bps", commission_bps)
        self.leverage = exact(leverage, "leverage")
        if self.leverage <= 0:
            raise ConfigError(f"leverage {leverage} must be positive; 1 is none")
        self.allow_short = allow_short
        self.cash: dict[str, Decimal] = {name: exact(value, name) for name, value in (balances or {}).items()}
        self.holdings: dict[str, Decimal] = {name: exact(value, name) for name, value in (holdings or {}).items()}
        self.held_cash: dict[str, Decimal] = {}
        self.held_units: dict[str, Decimal] = {}
        self._currency = currency
        if currency is not None:
            self._credit_initial(currency)

    @property
    def currency(self) -> str:
        """Account currency; USD while nothing was traded and none was given."""
        return self._currency or "USD"

    def settle_currency(self, quote: str) -> None:
        """Take `quote` as the account currency if none is settled yet."""
        if self._currency is None:
            self._currency = quote or "USD"
            self._credit_initial(self._currency)

    def _credit_initial(self, currency: str) -> None:
        self.cash[currency] = self.cash.get(currency, _ZERO) + self.initial_balance

    @property
    def balance(self) -> Decimal:
        """Total cash in the account currency."""
        if self._currency is None:
            return self.initial_balance
        return self.cash.get(self._currency, _ZERO)

    def free_cash(self, currency: str) -> Decimal:
        """Cash no open order has reserved."""
        return self.cash.get(currency, _ZERO) - self.held_cash.get(currency, _ZERO)

    def free_units(self, symbol: str) -> Decimal:
        """Units held that no open order has reserved."""
        return self.holdings.get(symbol, _ZERO) - self.held_units.get(symbol, _ZERO)

    def hold_cash(self, currency: str, change: Decimal) -> None:
        """Reserve `change` more (or less) cash."""
        self.held_cash[currency] = self.held_cash.get(currency, _ZERO) + change

    def hold_units(self, symbol: str, change: Decimal) -> None:
        """Reserve `change` more (or fewer) units."""
        self.held_units[symbol] = self.held_units.get(symbol, _ZERO) + change

    def commission(self, notional: Decimal) -> Decimal:
        """Commission on `notional`, quote currency."""
        return (notional * self.commission_rate).quantize(_FEE_STEP, ROUND_FLOOR)

    def book(self, instrument: Instrument, signed: Decimal, price: Decimal, fee: Decimal) -> None:
        """Move cash and holdings by one execution of `signed` units."""
        symbol, currency = instrument.symbol, instrument.quote
        self.holdings[symbol] = self.holdings.get(symbol, _ZERO) + signed
        self.cash[currency] = self.cash.get(currency, _ZERO) - signed * price * instrument.multiplier - fee


def rate_of(name: str, bps: Number) -> Decimal:
    """Basis points as a fraction.

    Raises
    ------
    ConfigError
        If negative, or 100 % and more.
    """
    value = exact(bps, name)
    if not 0 <= value < 10_000:
        raise ConfigError(f"{name} {bps} must be at least 0 and below 10000 basis points (5 is 0.05 %)")
    return value / 10_000
