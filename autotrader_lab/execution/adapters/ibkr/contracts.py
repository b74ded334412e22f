"""Universal symbols and IB's contracts: how they are written, looked up, and what grid their prices live on.

``AAPL`` is a stock and ``EUR/USD`` (or ``EUR.USD``) a pair of currencies. ``ES 202612`` (contract month) or
``ES 20261218`` (last trading day) is a future, ``AAPL 20270115 C 150`` an option, also in OCC's form
(``AAPL  270115C00150000``). What is not clear this way (a listing abroad, two contracts of one name) is written out
once, in the adapter's ``contracts`` argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.ibkr.decode import VENUE, ContractFacts, Security, plain
from autotrader_lab.execution.adapters.ibkr.hours import Hours, read_hours
from autotrader_lab.model.errors import ConfigError, InstrumentError
from autotrader_lab.model.instruments import Instrument

__all__ = ["FIELDS", "Catalogue", "Listing", "check_mapping", "choose", "make_listing", "read_symbol"]

FIELDS = {
    "conId",
    "symbol",
    "secType",
    "lastTradeDateOrContractMonth",
    "strike",
    "right",
    "multiplier",
    "exchange",
    "primaryExchange",
    "currency",
    "localSymbol",
    "tradingClass",
}
_KINDS = ("STK", "OPT", "FUT", "CASH")
_PAIR = re.compile(r"([A-Z]{3})[/.]([A-Z]{3})")
_OPTION = re.compile(r"(\S+) (\d{8}) ([CP]) (\d+(?:\.\d+)?)")
_OCC = re.compile(r"([A-Z0-9]{1,6}) +(\d{6})([CP])(\d{8})")
_FUTURE = re.compile(r"(\S+) (\d{6}|\d{8})")
# The exchange of IB's own algorithms for futures lists what CME lists.
_SHADOWS = {"QBALGO"}

Rule = tuple[tuple[Decimal, Decimal], ...]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A contract that was looked up: the instrument, its facts, and its prices' steps."""

    instrument: Instrument
    facts: ContractFacts
    rule: Rule

    @property
    def hours(self) -> Hours:
        """When it trades."""
        return read_hours(self.facts.trading_hours, self.facts.time_zone)

    def step_at(self, price: Decimal) -> Decimal:
        """The increment of prices about `price`."""
        return [step for edge, step in self.rule if edge <= max(price, self.rule[0][0])][-1]

    def check_price(self, price: float | Decimal, what: str = "price") -> Decimal:
        """`price` exact.

        Raises
        ------
        InstrumentError
            If it is off the steps; the message names the two nearest prices.
        """
        value = self.instrument.check_price(price, what)
        step = self.step_at(value)
        if value % step:
            low = value // step * step
            raise InstrumentError(
                f"{self.instrument.symbol}: {what} {price} is off the grid, which is {plain(step)} at this price; "
                f"nearest are {plain(low)} and {plain(low + step)}"
            )
        return value


def read_symbol(text: str, currency: str = "USD") -> tuple[str, dict[str, Any]]:
    """A symbol as people write it: its usual form, and the fields of the contract it means."""
    symbol = text.strip()
    if match := _PAIR.fullmatch(symbol):
        base, quote = match.groups()
        return f"{base}/{quote}", {"symbol": base, "secType": "CASH", "currency": quote, "exchange": "IDEALPRO"}
    if match := _OCC.fullmatch(symbol):
        name, day, right, thousandths = match.groups()
        symbol = f"{name} 20{day} {right} {plain(Decimal(thousandths) / 1000)}"
    if match := _OPTION.fullmatch(symbol):
        name, day, right, strike = match.groups()
        strike = plain(Decimal(strike))
        fields = {
            "symbol": name,
            "secType": "OPT",
            "lastTradeDateOrContractMonth": day,
            "right": right,
            "strike": float(strike),
            "currency": currency,
            "exchange": "SMART",
        }
        return f"{name} {day} {right} {strike}", fields
    if match := _FUTURE.fullmatch(symbol):
        name, day = match.groups()
        return symbol, {"symbol": name, "secType": "FUT", "lastTradeDateOrContractMonth": day, "currency": currency}
    return symbol, {"symbol": symbol, "secType": "STK", "currency": currency, "exchange": "SMART"}


def check_mapping(contracts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The adapter's ``contracts`` argument.

    Raises
    ------
    ConfigError
        Naming what is wrong with an entry.
    """
    checked: dict[str, dict[str, Any]] = {}
    for symbol, fields in contracts.items():
        unknown = sorted(set(fields) - FIELDS)
        if unknown:
            raise ConfigError(
                f"{VENUE}: contracts[{symbol!r}] has {unknown[0]!r}; fields are {', '.join(sorted(FIELDS))}"
            )
        if not fields.get("conId") and not (fields.get("symbol") or fields.get("localSymbol")):
            raise ConfigError(f"{VENUE}: contracts[{symbol!r}] needs a conId, a symbol or a localSymbol")
        kind = fields.get("secType", "STK")
        if kind not in _KINDS:
            raise ConfigError(f"{VENUE}: contracts[{symbol!r}] has secType {kind!r}; covered are {', '.join(_KINDS)}")
        checked[symbol] = {
            "secType": kind,
            **({"currency": "USD", "exchange": "SMART"} if kind == "STK" else {}),
            **fields,
        }
    return checked


def choose(symbol: str, found: Sequence[ContractFacts]) -> ContractFacts:
    """The one contract that `symbol` means.

    Raises
    ------
    InstrumentError
        If it is none of those covered, or more than one; the message lists them.
    """
    by_id: dict[int, ContractFacts] = {}
    for facts in found:
        known = by_id.get(facts.security.con_id)
        if known is None or known.security.exchange in _SHADOWS:
            by_id[facts.security.con_id] = facts
    if len(by_id) != 1:
        listed = "; ".join(
            f"conId {f.security.con_id} {f.security.local_symbol} on {f.primary_exchange or f.security.exchange} in "
            f"{f.security.currency}"
            for f in list(by_id.values())[:5]
        )
        raise InstrumentError(
            f"{VENUE}: {symbol!r} is ambiguous, {len(by_id)} contracts are called so ({listed}…); pick one with "
            f"contracts={{{symbol!r}: {{'conId': …}}}}"
        )
    (facts,) = by_id.values()
    if facts.security.kind not in _KINDS:
        raise InstrumentError(f"{VENUE}: {symbol!r} is a {facts.security.kind}; covered are {', '.join(_KINDS)}")
    return facts


def make_listing(symbol: str, facts: ContractFacts, rule: Rule) -> Listing:
    """The instrument of a contract; its tick is the smallest step, and :meth:`Listing.check_price` knows them all."""
    security = facts.security
    multiplier = Decimal(security.multiplier or 1) / facts.magnifier
    instrument = Instrument(
        symbol=symbol,
        tick_size=min(step for _, step in rule),
        # The API takes no fractions of a share, whatever the details say.
        lot_size=max(Decimal(1), facts.size_step),
        venue=VENUE,
        venue_symbol=security.local_symbol,
        base=security.symbol if security.kind == "CASH" else "",
        quote=security.currency,
        min_quantity=max(Decimal(1), facts.min_size),
        multiplier=multiplier,
        can_short=True,
    )
    return Listing(instrument=instrument, facts=facts, rule=rule)


class Catalogue:
    """The contracts that were looked up, by symbol and by IB's contract id."""

    def __init__(self) -> None:
        self.by_symbol: dict[str, Listing] = {}
        self._names: dict[int, str] = {}

    def add(self, listing: Listing) -> None:
        """List one.

        Raises
        ------
        InstrumentError
            If the contract is listed under another name: its positions could not be told apart.
        """
        symbol, con_id = listing.instrument.symbol, listing.facts.security.con_id
        known = self._names.setdefault(con_id, symbol)
        if known != symbol:
            raise InstrumentError(f"{VENUE}: {symbol!r} is the contract already called {known!r}; use one name for it")
        self.by_symbol[symbol] = listing

    def name_of(self, security: Security) -> str:
        """The symbol of a contract, listed or not."""
        return self._names.get(security.con_id, security.written)

    def route(self, listing: Listing, exchange: str) -> str:
        """Where an order for it goes: `exchange` where it trades there.

        Raises
        ------
        InstrumentError
            If it does not trade there.
        """
        if exchange in listing.facts.exchanges:
            return exchange
        raise InstrumentError(
            f"{VENUE}: {listing.instrument.symbol} does not trade on {exchange!r}; it does on "
            f"{', '.join(listing.facts.exchanges[:12])}"
        )
