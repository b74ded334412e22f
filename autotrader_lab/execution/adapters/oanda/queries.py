"""What is asked of Oanda: orders, executions, positions, money, candles."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from autotrader_lab.execution.adapters.base import NOT_SEEN
from autotrader_lab.execution.adapters.oanda import decode, figures
from autotrader_lab.execution.adapters.oanda.account import OandaAccount
from autotrader_lab.execution.adapters.oanda.books import fill_of
from autotrader_lab.execution.adapters.oanda.decode import (
    VENUE,
    Created,
    Ended,
    Executed,
    Refusal,
    Ticket,
)
from autotrader_lab.execution.adapters.oanda.figures import AccountState
from autotrader_lab.execution.adapters.oanda.values import items, number_of, record
from autotrader_lab.model.clock import from_ns, to_ns
from autotrader_lab.model.errors import DataError, OrderNotFound, VenueUnavailable
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.market import Bar
from autotrader_lab.model.orders import Fill, Order, OrderStatus

__all__ = ["OandaQueries"]

log = logging.getLogger(__name__)

_PAGE = 1_000
_LONGEST_CHAIN = 50
_DAY_NS = 86_400_000_000_000
_MARGIN_NS = 60_000_000_000


class OandaQueries(OandaAccount):
    """Questions; none of them changes anything."""

    # --- one order --------------------------------------------------------------------------------------------

    async def get_order_status(self, order_id: str) -> Order:
        self._connected()
        view = self._find_view(order_id)
        if view is not None:
            found = await self._look_up(view)
            if found is None:
                raise OrderNotFound(f"{VENUE} {self.environment}: the venue shows nothing of order {order_id}")
            return found
        return await self._as_foreign(await self._ticket(specifier(order_id)))

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        self._connected()
        view = self.orders.get(client_order_id)
        if view is not None:
            return await self._look_up(view)
        try:
            return await self._as_foreign(await self._ticket(f"@{quote(client_order_id, safe='')}"))
        except OrderNotFound:
            # Whether finished orders are still known by our id is not documented; their transactions are kept.
            async for told in self._told_since(self._clock.now_ns() - _DAY_NS):
                if isinstance(told, Created) and told.client_id == client_order_id:
                    return await self._as_foreign(await self._ticket(told.order_id))
            return None

    async def _look_up(self, view: Order) -> Order | None:
        by_name = f"@{quote(view.client_order_id, safe='')}" if view.client_order_id else ""
        try:
            ticket = await self._ticket(view.order_id or by_name)
        except OrderNotFound:
            return await self._search(view)
        if view.status in NOT_SEEN and ticket.state != "PENDING" and self._was_before(view, ticket.order_id):
            return await self._search(view)
        if view.status is OrderStatus.REJECTED:
            # Given up as never arrived, and there it is.
            return await self._as_foreign(ticket)
        self._synchronise(view, ticket, self._clock.now_ns())
        if ticket.state != "PENDING" and ticket.ended_by and view.is_open:
            self._take(await self._transaction(ticket.ended_by))
        return view.copy()

    async def _search(self, view: Order) -> Order | None:
        """An order that the venue does not know by its name: whatever its transactions tell."""
        known = self._known_at_sending.get(view.client_order_id)
        if known is not None:
            async for rows, _ in self._listed_since(known):
                for told in self._understood(rows):
                    self._take_if(view, told)
        else:
            sent_ns = to_ns(view.submitted_at or view.created_at or from_ns(self._clock.now_ns() - _DAY_NS))
            async for told in self._told_since(sent_ns - _MARGIN_NS):
                self._take_if(view, told)
        return None if view.status in NOT_SEEN else view.copy()

    def _take_if(self, view: Order, told: Any) -> None:
        names = {getattr(told, "client_id", ""), getattr(told, "order_id", "")} - {""}
        if names & {view.client_order_id, view.order_id}:
            self._take(told)

    def _was_before(self, view: Order, number: str) -> bool:
        """Whether a transaction was there before the order was sent: an earlier order's, under the same id."""
        known = self._known_at_sending.get(view.client_order_id)
        return known is not None and 0 < number_of(number) <= known

    async def _ticket(self, named: str) -> Ticket:
        """An order, or the one it was replaced by in the end.

        Raises
        ------
        OrderNotFound
            If the venue answers that it has none.
        """
        from oandapyV20.endpoints.orders import OrderDetails

        name = f"{VENUE} {self.environment}: order {named}"
        for _ in range(_LONGEST_CHAIN):
            body = await self._ask(OrderDetails(self.account_id, named), name)
            try:
                ticket = decode.decode_ticket(body.get("order"))
            except DataError as error:
                raise VenueUnavailable(f"{name}: not understood: {error}") from error
            if ticket is None:
                raise OrderNotFound(f"{name} is attached to a trade and has no size of its own")
            if not ticket.replaced_by:
                return ticket
            named = ticket.replaced_by
        raise VenueUnavailable(f"{name}: replaced more than {_LONGEST_CHAIN} times")

    async def _transaction(self, number: str) -> Any:
        from oandapyV20.endpoints.transactions import TransactionDetails

        name = f"{VENUE} {self.environment}: transaction {number}"
        body = await self._ask(TransactionDetails(self.account_id, number), name)
        try:
            return decode.decode_transaction(body.get("transaction"))
        except DataError as error:
            raise VenueUnavailable(f"{name}: not understood: {error}") from error

    async def _as_foreign(self, ticket: Ticket) -> Order:
        ended = await self._transaction(ticket.ended_by) if ticket.ended_by else None
        reason = ended.reason if isinstance(ended, (Ended, Executed)) and ticket.state == "CANCELLED" else ""
        return self._order_of(ticket, ended if isinstance(ended, Executed) else None, reason)

    # --- many -------------------------------------------------------------------------------------------------

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """Orders waiting at the venue, ours and foreign; those attached to trades (take profit, stop loss) are not."""
        from oandapyV20.endpoints.orders import OrdersPending

        self._connected()
        wanted = self.instruments.find(symbol).symbol if symbol is not None else None
        name = f"{VENUE} {self.environment}: open orders"
        body = await self._ask(OrdersPending(self.account_id), name)
        orders = []
        try:
            tickets = [decode.decode_ticket(row) for row in items(body, "orders")]
        except DataError as error:
            raise VenueUnavailable(f"{name}: not understood: {error}") from error
        for ticket in tickets:
            if ticket is None:
                continue
            view = self._view_of(ticket.client_id, ticket.order_id, ticket.replaces)
            if view is not None and view.is_open:
                self._synchronise(view, ticket, self._clock.now_ns())
                found = view.copy()
            else:
                found = self._order_of(ticket)
            if wanted in (None, found.symbol):
                orders.append(found)
        return orders

    async def get_fills(self, symbol: str, since_ns: int) -> list[Fill]:
        self._connected()
        instrument = self.instruments.find(symbol)
        fills = []
        async for told in self._told_since(since_ns, "ORDER_FILL"):
            if isinstance(told, Executed) and told.instrument == instrument.venue_symbol:
                view = self._view_of(told.client_id, told.order_id)
                name = view.client_order_id if view is not None else told.client_id
                fills.append(fill_of(told, self.home, instrument.symbol, name))
        return sorted(fills, key=lambda fill: fill.timestamp)

    async def _told_since(self, since_ns: int, kinds: str = "") -> AsyncIterator[Any]:
        """Transactions at or after a time, oldest first; the ones not understood are left out."""
        from oandapyV20.endpoints.transactions import TransactionIDRange, TransactionList

        name = f"{VENUE} {self.environment}: transactions"
        params = {"pageSize": str(_PAGE)}
        if self.state is None or since_ns > self.state.created_ns:
            # A time that is yet to come there may be refused.
            params["from"] = _rfc3339(min(since_ns, self._clock.now_ns() - _MARGIN_NS))
        first, last = _span(await self._ask(TransactionList(self.account_id, params=params), name), name)
        # In helpings of our own: one of the venue's that holds certain kinds only may span more than it gives at once.
        for begin in range(first, last + 1, _PAGE):
            ids = {"from": str(begin), "to": str(min(begin + _PAGE - 1, last))}
            if kinds:
                ids["type"] = kinds
            answer = await self._ask(TransactionIDRange(self.account_id, params=ids), name)
            try:
                rows = items(answer, "transactions")
            except DataError as error:
                raise VenueUnavailable(f"{name}: not understood: {error}") from error
            for told in self._understood(rows):
                if told.timestamp_ns >= since_ns:
                    yield told

    @staticmethod
    def _understood(rows: list[Mapping[str, Any]]) -> list[Created | Executed | Ended | Refusal]:
        found = []
        for row in rows:
            try:
                told = decode.decode_transaction(row)
            except DataError as error:
                log.warning("%s: a transaction was not understood: %s", VENUE, error)
                continue
            if not isinstance(told, decode.Other):
                found.append(told)
        return found

    # --- the account ------------------------------------------------------------------------------------------

    async def get_positions(self) -> dict[str, float]:
        from oandapyV20.endpoints.positions import OpenPositions

        self._connected()
        name = f"{VENUE} {self.environment}: positions"
        try:
            held = figures.decode_positions(await self._ask(OpenPositions(self.account_id), name))
        except DataError as error:
            raise VenueUnavailable(f"{name}: not understood: {error}") from error
        net = {view.symbol: 0.0 for view in self.orders.values()}
        return net | {self._universal(instrument): float(units) for instrument, units in held.items()}

    async def get_account(self) -> AccountState:
        """The account as it stands: balance, net asset value, realised and unrealised profit, margin; home currency.

        Raises
        ------
        VenueUnavailable
            If it cannot be asked now.
        """
        from oandapyV20.endpoints.accounts import AccountSummary

        self._connected()
        name = f"{VENUE} {self.environment}: the account"
        try:
            self.state = figures.decode_account(await self._ask(AccountSummary(self.account_id), name))
        except DataError as error:
            raise VenueUnavailable(f"{name}: not understood: {error}") from error
        return self.state

    async def get_account_balance(self) -> dict[str, float]:
        """The balance in the account's home currency: deposits and realised profit, open positions left out."""
        state = await self.get_account()
        return {state.currency: float(state.balance)}

    async def load_instruments(self, symbols: Iterable[str] = ()) -> Instruments:
        self._connected()
        return await super().load_instruments(symbols)

    async def get_bars(self, symbol: str, granularity: str = "M1", count: int = 500) -> list[Bar]:
        """The newest finished candles of the middle price, oldest first; spans without a price have none.

        Parameters
        ----------
        symbol : str
        granularity : str
            Oanda's: S5 … S30, M1 … M30, H1 … H12, D, W, M.
        count : int
            1 to 5000.

        Raises
        ------
        DataError
            For a granularity or count that Oanda does not have.
        InstrumentError, VenueUnavailable
        """
        from oandapyV20.endpoints.instruments import InstrumentsCandles

        if not 1 <= count <= 5_000:
            raise DataError(f"{VENUE}: count {count} must be 1 to 5000")
        figures.granularity_ns(granularity)
        self._connected()
        instrument = self.instruments.find(symbol)
        params = {"granularity": granularity, "count": str(count), "price": "M"}
        name = f"{VENUE} {self.environment}: candles of {instrument.symbol}"
        body = await self._ask(InstrumentsCandles(instrument.venue_symbol, params=params), name)
        try:
            return figures.decode_bars(record(body, "the candles"))
        except DataError as error:
            raise VenueUnavailable(f"{name}: not understood: {error}") from error


def specifier(order_id: str) -> str:
    """How Oanda names an order: by its own number, or by ``@`` and ours."""
    return order_id if number_of(order_id) else f"@{quote(order_id, safe='')}"


def _span(body: Mapping[str, Any], name: str) -> tuple[int, int]:
    """The first and last transaction that a list's pages speak of; (1, 0) where there is none."""
    pages = body.get("pages")
    if not isinstance(pages, list) or not all(isinstance(page, str) for page in pages):
        raise VenueUnavailable(f"{name}: the list of pages was not understood")
    numbers = []
    for page in pages:
        # The numbers are what is wanted of it; where to ask is our own business.
        query = parse_qs(urlsplit(page).query)
        found = [number_of(query[key][0]) for key in ("from", "to") if key in query]
        if len(found) != 2 or not all(found):
            raise VenueUnavailable(f"{name}: a page without from and to")
        numbers += found
    return (min(numbers), max(numbers)) if numbers else (1, 0)


def _rfc3339(at_ns: int) -> str:
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return f"{from_ns(seconds * 1_000_000_000):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
