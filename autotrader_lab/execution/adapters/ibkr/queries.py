"""What is asked of IB: contracts and their price steps, orders, executions, positions, cash, bars of the past."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from autotrader_lab.execution.adapters.ibkr import decode
from autotrader_lab.execution.adapters.ibkr.account import IBKRAccount
from autotrader_lab.execution.adapters.ibkr.asking import NoAnswer, Refused
from autotrader_lab.execution.adapters.ibkr.books import NOT_SEEN
from autotrader_lab.execution.adapters.ibkr.contracts import Listing, Rule, choose, make_listing, read_symbol
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, ContractFacts, Execution, Phase, Terms
from autotrader_lab.execution.adapters.ibkr.hours import Hours
from autotrader_lab.model.clock import from_ns, to_ns
from autotrader_lab.model.errors import DataError, InstrumentError, OrderNotFound, VenueUnavailable
from autotrader_lab.model.instruments import Instruments, exact
from autotrader_lab.model.market import Bar
from autotrader_lab.model.orders import Fill, Order

__all__ = ["IBKRQueries"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_FORGOTTEN_AFTER = timedelta(hours=12)
_BAR_SIZES = {
    1: "1 secs",
    5: "5 secs",
    10: "10 secs",
    15: "15 secs",
    30: "30 secs",
    60: "1 min",
    120: "2 mins",
    180: "3 mins",
    300: "5 mins",
    600: "10 mins",
    900: "15 mins",
    1_200: "20 mins",
    1_800: "30 mins",
    3_600: "1 hour",
    7_200: "2 hours",
    10_800: "3 hours",
    14_400: "4 hours",
    28_800: "8 hours",
    86_400: "1 day",
}


class IBKRQueries(IBKRAccount):
    """The adapter's questions."""

    async def _answer(self, what: str, asked: Awaitable[T]) -> T:
        """An answer, or what a query raises where there is none.

        Raises
        ------
        VenueUnavailable
            If there is no answer, or it is an error.
        """
        try:
            return await asked
        except (NoAnswer, Refused) as error:
            raise VenueUnavailable(f"{VENUE} {self.environment}: {what}: {error}") from error

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

    async def _listing(self, symbol: str) -> Listing:
        """The contract of a symbol, looked up once."""
        known = self.instruments.get(symbol) if len(self.instruments) else None
        if known is not None:
            return self._catalogue.by_symbol[known.symbol]
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
        return decode_hours(facts, liquid=liquid)

    # --- orders -----------------------------------------------------------------------------------------------

    async def get_order_status(self, order_id: str) -> Order:
        await self._ready()
        view = self._find_view(order_id)
        if view is not None:
            found = await self._look_up(view)
            if found is None:
                raise OrderNotFound(f"{VENUE} {self.environment}: the venue shows nothing of order {order_id}")
            return found
        return await self._foreign(order_id)

    async def _look_up(self, view: Order) -> Order | None:
        """Bring our view up to the venue's; None if the venue shows nothing of it anywhere."""
        name = view.client_order_id or view.order_id
        handle = self._handle(view)
        for key in await self._answer(f"order {name}", self._ask_open()):
            if self._ours(self._terms[key]) is handle and view.is_open:
                if handle.shown > view._filled:
                    await self._answer(f"order {name}", self._ask_executions())
                return view.copy()
        if view.status in NOT_SEEN or view.is_open or handle.shown > view._filled:
            await self._answer(f"order {name}", self._ask_executions())
        if view.is_open:
            completed = await self._answer(f"order {name}", self._ask_completed())
            if view.status in NOT_SEEN and not any(self._ours(terms) is handle for terms in completed):
                self._check_memory(view, name)
                return None
            if view.is_open and not any(self._ours(terms) is handle for terms in completed):
                log.warning("%s: %s is %s here and nowhere at the venue", VENUE, name, view.status.value)
                return None
        return view.copy()

    def _check_memory(self, view: Order, name: str) -> None:
        """Refuse to call an order absent that TWS may have forgotten: it tells of one day only."""
        sent = view.submitted_at or view.created_at
        if sent is not None and self._clock.now() - sent > _FORGOTTEN_AFTER:
            raise VenueUnavailable(
                f"{VENUE} {self.environment}: order {name} was sent at {sent:%Y-%m-%d %H:%M} UTC, and TWS tells of "
                "today's orders only; look it up in the account's statement and discard or adopt it by hand"
            )

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        await self._ready()
        view = self.orders.get(client_order_id)
        if view is not None:
            return await self._look_up(view)
        # References may repeat: what executed is looked at first.
        executed = [
            each
            for each in await self._answer(f"order {client_order_id}", self._ask_executions())
            if each.reference == client_order_id
        ]
        for terms in await self._everything(f"order {client_order_id}"):
            if terms.reference == client_order_id:
                return self._seen(terms, executed)
        return self._pieced(client_order_id, executed) if executed else None

    async def _foreign(self, order_id: str) -> Order:
        """An order that was not sent or adopted here."""
        for terms in await self._everything(f"order {order_id}"):
            if order_id in (str(terms.perm_id), terms.reference):
                return self._seen(terms, [])
        raise OrderNotFound(f"{VENUE} {self.environment}: there is no order {order_id!r}, working or completed today")

    async def _everything(self, what: str) -> list[Terms]:
        keys = await self._answer(what, self._ask_open())
        working = [self._terms[key] for key in keys]
        return working + await self._answer(what, self._ask_completed())

    def _seen(self, terms: Terms, executed: list[Execution]) -> Order:
        standing = self._standings.get(terms.perm_id or (terms.client_id, terms.order_id))
        total = sum((each.quantity for each in executed), Decimal(0))
        if total:
            average = float(sum((each.quantity * each.price for each in executed), Decimal(0)) / total)
        else:
            total = terms.filled or (standing.filled if standing is not None else Decimal(0))
            average = standing.average if standing is not None else 0.0
        return self._snapshot(terms, total, average)

    def _pieced(self, client_order_id: str, executed: list[Execution]) -> Order:
        """An order of which only its executions tell."""
        total = sum((each.quantity for each in executed), Decimal(0))
        first = executed[0]
        terms = Terms(
            order_id=first.order_id,
            client_id=first.client_id,
            perm_id=first.perm_id,
            account=first.account,
            reference=client_order_id,
            security=first.security,
            side=first.side,
            type_name="MKT",
            order_type=None,
            time_in_force="DAY",
            quantity=total,
            limit=Decimal(0),
            stop=Decimal(0),
            status="Filled",
            phase=Phase.FILLED,
        )
        return self._seen(terms, executed)

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        await self._ready()
        wanted = (await self._listing(symbol)).instrument.symbol if symbol is not None else None
        orders = []
        for key in await self._answer("open orders", self._ask_open()):
            handle = self._ours(self._terms[key])
            if handle is None:
                orders.append(self._seen(self._terms[key], []))
            elif handle.view.is_open:
                orders.append(handle.view.copy())
        return [order for order in orders if wanted in (None, order.symbol)]

    async def get_fills(self, symbol: str, since_ns: int) -> list[Fill]:
        """Executions of the account since then, of the same day as far as TWS keeps them, oldest first."""
        await self._ready()
        name = (await self._listing(symbol)).instrument.symbol
        await self._answer(f"executions of {name}", self._ask_executions())
        # TWS tells whole seconds.
        since_ns = since_ns // 1_000_000_000 * 1_000_000_000
        fills = [fill for _, fill in self._ledger.values()]
        found = [fill for fill in fills if fill.symbol == name and to_ns(fill.timestamp) >= since_ns]
        return sorted(found, key=lambda fill: fill.timestamp)

    # --- the account ------------------------------------------------------------------------------------------

    async def get_positions(self) -> dict[str, float]:
        await self._ready()
        client = await self._send("query", "positions")
        rows = await self._answer("positions", self._questions.by_kind("positions", client.reqPositions))
        net = {view.symbol: Decimal(0) for view in self.orders.values()}
        # A row may come twice, as an answer and as an event: the last one counts.
        net.update({self._name(security): size for security, size in rows})
        return {symbol: float(size) for symbol, size in net.items()}

    async def get_account_balance(self) -> dict[str, float]:
        """Cash by currency, as the account's ledger has it; what is held is not in it."""
        rows = await self._summary("$LEDGER:ALL")
        cash = {currency: value for tag, value, currency in rows if tag == "CashBalance" and currency != "BASE"}
        return {currency: float(decode.number(value, "CashBalance") or 0) for currency, value in cash.items()}

    async def get_account_values(self) -> dict[str, float]:
        """NetLiquidation, AvailableFunds, BuyingPower and the like, in the account's base currency."""
        tags = (
            "NetLiquidation,TotalCashValue,AvailableFunds,BuyingPower,InitMarginReq,MaintMarginReq,GrossPositionValue"
        )
        rows = await self._summary(tags)
        return {tag: float(decode.number(value, tag) or 0) for tag, value, _ in rows}

    async def _summary(self, tags: str) -> list[tuple[str, str, str]]:
        await self._ready()
        client = await self._send("query", "account summary")
        asked: list[int] = []

        def send(key: int) -> None:
            asked.append(key)
            client.reqAccountSummary(key, "All", tags)

        try:
            rows = await self._answer("account summary", self._questions.by_id(send))
        finally:
            # TWS keeps at most two of these subscriptions.
            if asked and self._link.is_up:
                self._pace.count()
                client.cancelAccountSummary(asked[0])
        return [(tag, value, currency) for account, tag, value, currency in rows if account == self.account]

    # --- bars -------------------------------------------------------------------------------------------------

    async def get_bars(
        self,
        symbol: str,
        interval_s: int = 60,
        count: int = 300,
        *,
        what: str = "",
        regular_hours: bool = True,
        timeout_s: float = 30.0,
    ) -> list[Bar]:
        """Bars of the past, oldest first; the running one is left out.

        Parameters
        ----------
        symbol : str
        interval_s : int
            Seconds of a bar; one of those that IB has.
        count : int
            About how many.
        what : str
            IB's ``whatToShow``; trades, and the middle of bid and ask for currencies, if left out.
        regular_hours : bool
            Without what trades before and after.
        timeout_s : float
            Longest wait. IB leaves some wrong requests for history without any answer.

        Raises
        ------
        DataError
            If IB has no such interval, or no data.
        RateLimited, VenueUnavailable
            If it has had enough questions (60 in ten minutes), or does not answer.
        """
        if interval_s not in _BAR_SIZES:
            raise DataError(f"{VENUE}: interval_s {interval_s} is none of IB's: {', '.join(map(str, _BAR_SIZES))}")
        if count < 1:
            raise DataError(f"{VENUE}: count {count} must be 1 or more")
        listing = await self._listing(symbol)
        span_s = interval_s * (count + 1)
        duration = f"{span_s} S" if span_s <= 86_400 else f"{min(365, -(-span_s // 86_400))} D"
        shown = what or ("MIDPOINT" if listing.facts.security.kind == "CASH" else "TRADES")
        client = await self._send("query", f"bars of {symbol}")
        contract = self._contract(listing, self._way(listing))

        def send(key: int) -> None:
            client.reqHistoricalData(
                key, contract, "", duration, _BAR_SIZES[interval_s], shown, regular_hours, 2, False, []
            )

        try:
            rows = await self._questions.by_id(send, timeout_s)
        except Refused as refused:
            raise history_error(symbol, refused) from refused
        except NoAnswer as silence:
            raise VenueUnavailable(f"{VENUE}: bars of {symbol}: {silence}") from silence
        now_ns = self._clock.now_ns()
        bars = [decode_bar(listing.instrument.symbol, row, interval_s) for row in rows]
        return [bar for bar in bars if bar.timestamp_ns <= now_ns][-count:]

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


def decode_hours(facts: ContractFacts, *, liquid: bool = False) -> Hours:
    """A contract's trading hours, or its regular ones."""
    from autotrader_lab.execution.adapters.ibkr.hours import read_hours

    return read_hours(facts.liquid_hours if liquid else facts.trading_hours, facts.time_zone)


def decode_bar(symbol: str, row: Any, interval_s: int) -> Bar:
    """One bar; it is known when its interval is over.

    Raises
    ------
    DataError
        If its time is none.
    """
    text = str(row.date)
    try:
        if isinstance(row.date, datetime):
            start = row.date if row.date.tzinfo else row.date.replace(tzinfo=UTC)
        elif isinstance(row.date, date):
            start = datetime(row.date.year, row.date.month, row.date.day, tzinfo=UTC)
        elif len(text) == 8:
            start = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
        else:
            start = from_ns(int(text) * 1_000_000_000)
    except ValueError as error:
        raise DataError(f"{VENUE}: a bar of {symbol} has time {text!r}, which is none") from error
    prices = [float(exact(value, "bar price")) for value in (row.open, row.high, row.low, row.close)]
    opened, high, low, close = prices
    end_ns = to_ns(start) + interval_s * 1_000_000_000
    return Bar(symbol, end_ns, opened, high, low, close, max(0.0, float(row.volume)))


def history_error(symbol: str, refused: Refused) -> Exception:
    """What a refusal to tell the past means."""
    from autotrader_lab.model.errors import RateLimited

    text = f"{VENUE}: bars of {symbol}: {refused}"
    if refused.code == 162 and "pacing" in str(refused).lower():
        return RateLimited(text, 15.0)
    if refused.code in (162, 200, 321, 354, 366, 10090, 10197):
        return DataError(text)
    return VenueUnavailable(text)
