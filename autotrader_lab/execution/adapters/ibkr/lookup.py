"""Contracts of symbols, looked up once: which is meant, what it costs a step, when it trades, where it is sent."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from autotrader_lab.execution.adapters.ibkr.account import IBKRAccount
from autotrader_lab.execution.adapters.ibkr.asking import NoAnswer, Refused
from autotrader_lab.execution.adapters.ibkr.codes import Meaning, meaning
from autotrader_lab.execution.adapters.ibkr.contracts import Listing, Rule, choose, make_listing, read_symbol
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, ContractFacts
from autotrader_lab.execution.adapters.ibkr.hours import Hours, read_hours
from autotrader_lab.model.errors import InstrumentError, RateLimited, VenueUnavailable
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.orders import Order

__all__ = ["IBKRLookup"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class IBKRLookup(IBKRAccount):
    """The contracts that orders and market data are of."""

    async def _answer(self, what: str, asked: Awaitable[T]) -> T:
        """An answer, or what a query raises where there is none.

        Raises
        ------
        VenueUnavailable
            If there is no answer, or it is an error.
        """
        try:
            return await asked
        except Refused as refused:
            text = f"{VENUE} {self.environment}: {what}: {refused}"
            if meaning(refused.code) is Meaning.TOO_FAST:
                raise RateLimited(text, 1.0) from refused
            raise VenueUnavailable(text) from refused
        except NoAnswer as silence:
            raise VenueUnavailable(f"{VENUE} {self.environment}: {what}: {silence}") from silence

    async def connect(self) -> bool:
        """Connect, see which account is there, ask what became of our orders, look up the contracts written out.

        Raises
        ------
        AuthenticationFailed
            If the login lacks the account, or it is the other environment's.
        InstrumentError
            If IB does not know a contract written out, or knows several.
        VenueUnavailable
            If TWS cannot be reached, does not answer, or the client id is in use.
        """
        if "orders" not in self._users:
            await self._acquire("orders")
            try:
                for symbol in self._written:
                    await self._listing(symbol)
            except BaseException:
                await self._release_user("orders")
                raise
            self._connection("connected", f"{VENUE} {self.environment} {self.account}")
        return True

    # --- contracts --------------------------------------------------------------------------------------------

    async def load_instruments(self, symbols: Iterable[str] = ()) -> Instruments:
        """Look contracts up; without `symbols` those written out in ``contracts``. IB has no list of all.

        Raises
        ------
        InstrumentError
            If IB has none of that name, or several.
        """
        await self._ready()
        for symbol in symbols or self._written:
            await self._listing(symbol)
        return self.instruments

    def _known(self, symbol: str) -> Listing | None:
        instrument = self.instruments.get(symbol) if len(self.instruments) else None
        return self._catalogue.by_symbol[instrument.symbol] if instrument is not None else None

    async def _listing(self, symbol: str) -> Listing:
        """The contract of a symbol, looked up once."""
        known = self._known(symbol)
        if known is not None:
            return known
        if not isinstance(symbol, str) or not symbol.strip():
            raise InstrumentError(f"{VENUE}: symbol {symbol!r} is empty; name what to trade, e.g. 'AAPL' or 'EUR/USD'")
        if symbol in self._written:
            name, fields = symbol, self._written[symbol]
        else:
            name, fields = read_symbol(symbol, self.currency)
        await self._line_ready()
        facts = choose(name, await self._details(name, fields))
        listing = make_listing(name, facts, await self._rule(facts))
        self._catalogue.add(listing)
        self.instruments.add(listing.instrument)
        return listing

    async def _details(self, symbol: str, fields: Mapping[str, Any]) -> list[ContractFacts]:
        wanted = self._library.contract(**fields)
        client = await self._send("query", f"contract {symbol}")
        try:
            found: list[ContractFacts] = await self._questions.by_id(lambda key: client.reqContractDetails(key, wanted))
        except Refused as refused:
            if refused.code != 200:
                raise VenueUnavailable(f"{VENUE} {self.environment}: contract {symbol!r}: {refused}") from refused
            found = []
        except NoAnswer as silence:
            raise VenueUnavailable(f"{VENUE} {self.environment}: contract {symbol!r}: {silence}") from silence
        if not found:
            raise InstrumentError(
                f"{VENUE} has no symbol {symbol!r}; stocks are written AAPL, currencies EUR/USD, futures ES 202612, "
                f"options AAPL 20270115 C 150, and anything else with contracts={{{symbol!r}: {{…}}}}"
            )
        return found

    async def _rule(self, facts: ContractFacts) -> Rule:
        """The steps of a contract's prices where its orders go."""
        place = facts.exchanges.index(self.exchange) if self.exchange in facts.exchanges else 0
        if not facts.rules:
            return ((Decimal(0), facts.min_tick or Decimal("0.01")),)
        rule_id = facts.rules[min(place, len(facts.rules) - 1)]
        client = await self._send("query", f"market rule {rule_id}")
        asked = self._questions.by_kind(f"rule {rule_id}", lambda: client.reqMarketRule(rule_id))
        (rule,) = await self._answer(f"market rule {rule_id}", asked)
        found: Rule = rule
        return found

    async def trading_hours(self, symbol: str, *, liquid: bool = False) -> Hours:
        """When a contract trades in the coming days, UTC; with `liquid` its regular hours.

        Raises
        ------
        DataError
            If TWS tells them in a form that is not understood.
        """
        facts = (await self._listing(symbol)).facts
        return read_hours(facts.liquid_hours if liquid else facts.trading_hours, facts.time_zone)

    # --- contracts for orders and data ------------------------------------------------------------------------

    def _way(self, listing: Listing, order: Order | None = None) -> str:
        """The exchange an order or a question goes to: the order's own, the adapter's, else the contract's."""
        asked = order.metadata.get("exchange", "") if order is not None else ""
        if asked:
            return self._catalogue.route(listing, str(asked))
        return self.exchange if self.exchange in listing.facts.exchanges else listing.facts.security.exchange

    def _contract(self, listing: Listing, exchange: str) -> Any:
        security, facts = listing.facts.security, listing.facts
        return self._library.contract(
            conId=security.con_id,
            symbol=security.symbol,
            secType=security.kind,
            lastTradeDateOrContractMonth=security.expiry,
            strike=float(security.strike),
            right=security.right,
            multiplier=security.multiplier,
            exchange=exchange,
            primaryExchange=facts.primary_exchange,
            currency=security.currency,
            localSymbol=security.local_symbol,
            tradingClass=facts.trading_class,
        )
