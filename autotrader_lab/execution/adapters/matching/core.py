"""The matching core: orders and market events in, reports out, nothing else.

No clock is read and nothing is awaited, so that replay and paper trading drive the very same object, and the same
events always give the same reports. The rules:

- A market that is known at every moment (quotes, books, trades, or a price set by hand) is *live*: an order meets the
  state that prevails when it arrives; see :mod:`.live`.
- A market of bars is known only when a bar is over: an order that arrives after bar N meets bar N+1; see
  :mod:`.bars`. A symbol that ever had a quote, book or trade is live and its bars are not matched.
- IOC and FOK remainders end as Expired, as venues call it. A market order with either takes visible levels only.
- Stops trigger on the last trade where trades are known, else on the side they would execute on. A stop that the market
  has passed when it arrives triggers at once.
- DAY ends at 00:00 UTC after the order's arrival.
- Slippage moves market and stop orders only; limits are never worse than their price.
- An event and an arrival at the same moment: the event came first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from decimal import Decimal

from autotrader_lab.execution.adapters.matching.account import PaperAccount, rate_of
from autotrader_lab.execution.adapters.matching.admission import equity, refusal
from autotrader_lab.execution.adapters.matching.bars import match_bar
from autotrader_lab.execution.adapters.matching.desk import Desk
from autotrader_lab.execution.adapters.matching.live import match_live, take
from autotrader_lab.execution.adapters.matching.market import Working
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import ConfigError, InstrumentError, OrderError, OrderNotFound, OrderRefused
from autotrader_lab.model.instruments import Instruments, Number, exact, is_number
from autotrader_lab.model.market import Bar, Book, Quote, Trade
from autotrader_lab.model.orders import Amended, Fill, Order, OrderStatus, Report, check_order

__all__ = ["PaperMatching"]


class PaperMatching(Desk):
    """A venue without wires: one account, any number of symbols.

    Parameters
    ----------
    initial_balance : number, default 100000
        Cash at the start, account currency.
    slippage_bps, commission_bps : number
        Of the price of market and stop orders; of each execution's notional. Basis points.
    instruments : Instruments, optional
        What may be traded; without it any symbol is guessed.
    allow_short : bool, default False
        A margin account; see :mod:`.account`.
    currency, leverage, balances, holdings
        See :class:`PaperAccount`.
    max_participation : float, optional
        Bars: the part of a bar's volume that our orders together may take; None is no limit.
    id_prefix : str
        Of order ids: ``PAPER_1``, ``PAPER_2``.

    Attributes
    ----------
    working : int
        Orders that are working or under way. **While it is 0 a caller in a hurry may skip** :meth:`on_market`, if the
        newest event of a symbol is handed over before the next order in it is submitted.
    now_ns : int
        The newest time it was told.
    account : PaperAccount
    order_counter : int
        How many orders were submitted.

    Raises
    ------
    ConfigError, InstrumentError
        If a parameter is out of range; the message names it.
    """

    def __init__(
        self,
        initial_balance: Number = 100_000,
        slippage_bps: Number = 5,
        commission_bps: Number = 10,
        *,
        instruments: Instruments | None = None,
        allow_short: bool = False,
        currency: str | None = None,
        leverage: Number = 1,
        balances: Mapping[str, Number] | None = None,
        holdings: Mapping[str, Number] | None = None,
        max_participation: float | None = None,
        id_prefix: str = "PAPER_",
        venue: str = "paper",
    ) -> None:
        if max_participation is not None and not 0 < max_participation <= 1:
            raise ConfigError(f"max_participation {max_participation} must be above 0 and at most 1 (0.1 is 10 %)")
        super().__init__(
            PaperAccount(
                initial_balance,
                commission_bps,
                currency=currency,
                allow_short=allow_short,
                leverage=leverage,
                balances=balances,
                holdings=holdings,
            ),
            instruments if instruments is not None else Instruments(venue=venue, complete=False),
            rate_of("slippage_bps", slippage_bps),
            None if max_participation is None else exact(max_participation),
            venue,
        )
        self.order_counter = 0
        self._id_prefix = id_prefix
        self._sequence = 0
        self._arrivals: list[tuple[int, int, Working]] = []
        self._ids: set[str] = set()

    # --- market and time --------------------------------------------------------------------------------------

    def on_market(self, event: Quote | Trade | Bar | Book, now_ns: int = 0) -> list[Report]:
        """Let orders meet `event`.

        Parameters
        ----------
        event : Quote, Trade, Bar or Book
            The same bar handed over once more changes nothing.
        now_ns : int, optional
            When it is known here; the event's own time if 0. Reports carry it.
        """
        market = self._markets.get(event.symbol) or self.market(event.symbol)
        now_ns = now_ns or event.timestamp_ns
        if not self.working:
            market.note(event)
            if now_ns > self.now_ns:
                self.now_ns = now_ns
            return []
        if now_ns > self.now_ns:
            self._arrive_until(now_ns - 1)
            # A bar covers the time before it is over: an order whose day ends with it still meets it.
            self.expire_day_orders(now_ns - 1 if isinstance(event, Bar) else now_ns)
            self.now_ns = now_ns
        told_before = market.bar is event
        market.note(event)
        if market.orders:
            if not isinstance(event, Bar):
                match_live(self, market, event)
            elif not market.live and not told_before:
                match_bar(self, market, event)
        self._arrive_until(self.now_ns)
        self.expire_day_orders(self.now_ns)
        return self._drain()

    def set_price(self, symbol: str, price: float, now_ns: int) -> list[Report]:
        """A market of any size at `price`, known at once; it holds until the symbol's next event.

        Raises
        ------
        InstrumentError
            If `price` is not a positive number.
        """
        if not is_number(price) or price <= 0:
            raise InstrumentError(f"{symbol}: price {price!r} must be a positive number")
        self._advance(now_ns)
        market = self.market(symbol)
        top = market.set_price(float(price), self.now_ns)
        if market.orders:
            match_live(self, market, top)
        return self._drain()

    def advance(self, now_ns: int) -> list[Report]:
        """Let time pass without an event: orders under way arrive, DAY orders expire."""
        self._advance(now_ns)
        return self._drain()

    @property
    def next_arrival_ns(self) -> int | None:
        """When the next order under way arrives; None if none is."""
        return self._arrivals[0][0] if self._arrivals else None

    def equity(self) -> Decimal:
        """Cash and holdings at the marks, account currency; what has no known price counts nothing."""
        return equity(self)

    def _advance(self, now_ns: int) -> None:
        if now_ns > self.now_ns:
            if self.working:
                self._arrive_until(now_ns)
                self.expire_day_orders(now_ns)
            self.now_ns = now_ns

    # --- orders -----------------------------------------------------------------------------------------------

    def submit(self, order: Order, arrival_ns: int) -> list[Report]:
        """Take `order`, which reaches the venue at `arrival_ns`; in the future of :attr:`now_ns` it is under way.

        Raises
        ------
        OrderError, InstrumentError
            If it makes no sense on its face, has no client order id, or is off the instrument's grid.
        OrderRefused
            If the client order id was used before: one id never makes two orders.
        """
        check_order(order)
        if not order.client_order_id:
            raise OrderError(f"order {order.symbol}: client_order_id is empty; give every order an id of its own")
        if order.client_order_id in self._ids:
            raise OrderRefused(
                f"client order id {order.client_order_id!r} was used before: look that order up, or take a new id",
                "DUPLICATE_CLIENT_ORDER_ID",
            )
        self.account.settle_currency(self.instruments.find(order.symbol).quote)
        working = self._new(order, f"{self._id_prefix}{self.order_counter + 1}", max(arrival_ns, self.now_ns))
        self.order_counter += 1
        if arrival_ns > self.now_ns:
            heapq.heappush(self._arrivals, (arrival_ns, working.sequence, working))
            return []
        self._arrive(working)
        return self._drain()

    def cancel(self, client_order_id: str, now_ns: int) -> list[Report]:
        """Cancel a working order; nothing is reported of one that is done, under way or unknown."""
        self._advance(now_ns)
        working = self._orders.get(client_order_id)
        if working is not None:
            self.withdraw(working, "cancelled on request")
        return self._drain()

    def amend(
        self, client_order_id: str, now_ns: int, quantity: float | None = None, price: float | None = None
    ) -> list[Report]:
        """Change a working order in place; `quantity` is the new total, filled part included.

        Less quantity keeps its place in the queue; anything else goes to the back.

        Raises
        ------
        OrderNotFound
            If no such order is working.
        OrderRefused, InstrumentError
            If it cannot be changed so; it then works on as it was.
        """
        self._advance(now_ns)
        working = self._orders.get(client_order_id)
        if working is None:
            raise OrderNotFound(f"no order {client_order_id!r} is working: it is done, under way or was never sent")
        total = working.quantity if quantity is None else _new_total(working, quantity)
        limit = working.limit if price is None else _new_limit(working, price)
        before = (working.quantity, working.limit)
        self.release(working)
        working.change(total, limit)
        refused = refusal(self, working)
        if refused is not None:
            working.change(*before)
            self.reserve(working)
            raise OrderRefused(f"order {client_order_id}: {refused[1]}", refused[0])
        self.reserve(working)
        if limit != before[1] or total > before[0]:
            self._sequence += 1
            working.sequence = self._sequence
        self._reports.append(Amended(client_order_id, self.now_ns, quantity, price))
        if working.market.live and working.triggered:
            take(self, working)
        return self._drain()

    def knows(self, client_order_id: str) -> bool:
        """Whether the id was ever submitted or restored here."""
        return client_order_id in self._ids

    def restore(self, fills: Iterable[Fill], orders: Iterable[Order] = ()) -> None:
        """Rebuild the account of an earlier process: book its executions and let its open orders work on.

        To be called before anything else, on the balances that the earlier process started with. An order that was
        never acknowledged and never executed did not arrive, and is not taken over.

        Raises
        ------
        OrderRefused
            If an open order does not fit the account that the fills give.
        """
        for fill in fills:
            instrument = self.instruments.find(fill.symbol)
            self.account.settle_currency(instrument.quote)
            signed = exact(fill.quantity) * fill.side.sign
            self.account.book(instrument, signed, exact(fill.price), exact(fill.commission))
            self._ids.add(fill.client_order_id)
            self._skip_id(fill.order_id)
        for order in orders:
            self._skip_id(order.order_id)
            if order.status in (OrderStatus.PENDING, OrderStatus.UNKNOWN) and not order.filled_quantity:
                continue
            submitted_ns = to_ns(order.submitted_at) if order.submitted_at is not None else self.now_ns
            working = self._new(order, order.order_id, submitted_ns)
            working.left = order.leaves
            working.fills = len(order.execution_ids)
            working.triggered = working.triggered or working.fills > 0
            working.fresh = False
            refused = None if working.type.value == "market" else refusal(self, working)
            if refused is not None:
                self.working -= 1
                raise OrderRefused(f"order {order.client_order_id} cannot work on: {refused[1]}", refused[0])
            self.reserve(working)
            self.rest(working)

    def _new(self, order: Order, order_id: str, arrival_ns: int) -> Working:
        self._sequence += 1
        working = Working(order, self.market(order.symbol), order_id, self._sequence, arrival_ns)
        self._ids.add(order.client_order_id)
        self.working += 1
        return working

    def _skip_id(self, order_id: str) -> None:
        number = order_id.removeprefix(self._id_prefix)
        if number.isdigit():
            self.order_counter = max(self.order_counter, int(number))

    def _arrive_until(self, until_ns: int) -> None:
        while self._arrivals and self._arrivals[0][0] <= until_ns:
            arrival_ns, _, working = heapq.heappop(self._arrivals)
            if arrival_ns > self.now_ns:
                self.expire_day_orders(arrival_ns)
                self.now_ns = arrival_ns
            self._arrive(working)

    def _arrive(self, working: Working) -> None:
        refused = refusal(self, working)
        if refused is not None:
            self.reject(working, *refused)
            return
        self.accept(working)
        market = working.market
        if market.live:
            if not working.triggered and working.stopped_at(market.trigger_price(working.sign)):
                working.triggered = True
            if working.triggered:
                take(self, working)


def _new_total(working: Working, quantity: float) -> Decimal:
    instrument = working.market.instrument
    total = exact(quantity, f"{instrument.symbol} quantity")
    filled = working.quantity - working.left
    if not instrument.on_quantity_grid(total) or total <= filled:
        raise OrderRefused(
            f"order {working.client_order_id}: new total {quantity} must be whole lots of {instrument.lot_size} and "
            f"more than the {filled} already executed; cancel it to stop here",
            "AMEND_QUANTITY",
        )
    return total


def _new_limit(working: Working, price: float) -> Decimal:
    if working.limit is None:
        raise OrderRefused(
            f"order {working.client_order_id}: a {working.type.value} order has no limit price to change; cancel it "
            f"and send a new one",
            "AMEND_PRICE",
        )
    return working.market.instrument.check_price(price, "limit price")
