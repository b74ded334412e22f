"""The matching core: orders and market events in, reports out, nothing else.

No clock is read and nothing is awaited, so that replay and paper trading drive the very same object and the same
events always give the same reports. The rules:

- A market that is known at every moment (quotes, books, trades, or a price set by hand) is *live*: an order meets the
  state that prevails when it arrives; see :mod:`.live`.
- A market of bars is known only when a bar is over: an order that arrives after bar N meets bar N+1; see
  :mod:`.bars`. A symbol that ever had a quote, book or trade is live and its bars are not matched.
- IOC and FOK remainders end as Expired, as venues call it. A market order with either takes visible levels only.
- Stops trigger on the last trade where trades are known, else on the side they would execute on.
- DAY ends at 00:00 UTC after the order's arrival.
- Slippage moves market and stop orders only; limits are never worse than their price.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from decimal import Decimal

from autotrader_lab.execution.adapters.matching.account import PaperAccount, rate_of
from autotrader_lab.execution.adapters.matching.admission import equity, refusal
from autotrader_lab.execution.adapters.matching.bars import match_bar
from autotrader_lab.execution.adapters.matching.live import match_live, take
from autotrader_lab.execution.adapters.matching.market import MarketState, Working
from autotrader_lab.model.clock import from_ns, to_ns
from autotrader_lab.model.errors import ConfigError, InstrumentError, OrderError, OrderNotFound, OrderRefused
from autotrader_lab.model.instruments import Instrument, Instruments, Number, exact, is_number
from autotrader_lab.model.market import Bar, Book, Quote, Trade
from autotrader_lab.model.orders import (
    Accepted,
    Amended,
    Cancelled,
    Expired,
    Fill,
    Filled,
    Order,
    OrderStatus,
    Rejected,
    Report,
    check_order,
)

__all__ = ["PaperMatching"]

_ZERO = Decimal(0)
_ONE = Decimal(1)


class PaperMatching:
    """A venue without wires: one account, any number of symbols.

    Parameters
    ----------
    initial_balance : number, default 100000
        Cash at the start, account currency.
    slippage_bps, commission_bps : number
        Of the price of market and stop orders; of each execution's notional.
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
        self.account = PaperAccount(
            initial_balance,
            commission_bps,
            currency=currency,
            allow_short=allow_short,
            leverage=leverage,
            balances=balances,
            holdings=holdings,
        )
        self.slippage = rate_of("slippage_bps", slippage_bps)
        if max_participation is not None and not 0 < max_participation <= 1:
            raise ConfigError(f"max_participation {max_participation} must be above 0 and at most 1 (0.1 is 10 %)")
        self.max_participation = None if max_participation is None else exact(max_participation)
        self.instruments = instruments if instruments is not None else Instruments(venue=venue, complete=False)
        self.venue = venue
        self.working = 0
        self.now_ns = 0
        self.order_counter = 0
        self._id_prefix = id_prefix
        self._sequence = 0
        self._markets: dict[str, MarketState] = {}
        self.states: list[MarketState] = []
        self._orders: dict[str, Working] = {}
        self._arrivals: list[tuple[int, int, Working]] = []
        self._ids: set[str] = set()
        self._day_orders = 0

    # --- market -----------------------------------------------------------------------------------------------

    def on_market(self, event: Quote | Trade | Bar | Book, now_ns: int = 0) -> list[Report]:
        """Let orders meet `event`.

        Parameters
        ----------
        event : Quote, Trade, Bar or Book
        now_ns : int, optional
            When it is known here; the event's own time if 0. Reports carry it.
        """
        market = self._markets.get(event.symbol) or self._market(event.symbol)
        now = now_ns or event.timestamp_ns
        if not self.working:
            market.note(event)
            if now > self.now_ns:
                self.now_ns = now
            return []
        out: list[Report] = []
        if now > self.now_ns:
            self._arrive_until(now - 1, out)
            # A bar covers the time before it is over: a day that ends with it is still met.
            self._expire(now - 1 if isinstance(event, Bar) else now, out)
            self.now_ns = now
        now = self.now_ns
        market.note(event)
        if market.orders:
            if not isinstance(event, Bar):
                match_live(self, market, event, now, out)
            elif not market.live:
                match_bar(self, market, event, now, out)
        self._arrive_until(now, out)
        self._expire(now, out)
        return out

    def set_price(self, symbol: str, price: float, now_ns: int) -> list[Report]:
        """A market of any size at `price`, known at once; it holds until the symbol's next event.

        Raises
        ------
        InstrumentError
            If `price` is not a positive number.
        """
        if not is_number(price) or price <= 0:
            raise InstrumentError(f"{symbol}: price {price!r} must be a positive number")
        out = self.advance(now_ns)
        market = self._market(symbol)
        market.set_price(float(price), self.now_ns)
        if market.orders and market.top is not None:
            match_live(self, market, market.top, self.now_ns, out)
        return out

    def advance(self, now_ns: int) -> list[Report]:
        """Let time pass without an event: orders under way arrive, DAY orders expire."""
        out: list[Report] = []
        if now_ns >= self.now_ns:
            if self.working:
                self._arrive_until(now_ns, out)
                self._expire(now_ns, out)
            self.now_ns = now_ns
        return out

    @property
    def next_arrival_ns(self) -> int | None:
        """When the next order under way arrives; None if none is."""
        return self._arrivals[0][0] if self._arrivals else None

    def equity(self) -> Decimal:
        """Cash and holdings at the marks, account currency; what has no known price counts nothing."""
        return equity(self)

    def price(self, symbol: str) -> float | None:
        """What a unit is worth now: mid, last trade or last close; None for what was never heard of."""
        market = self._markets.get(symbol)
        return market.mark() if market is not None else None

    def prices(self) -> dict[str, float]:
        """All known prices by universal symbol."""
        return {state.symbol: mark for state in self.states if (mark := state.mark()) is not None}

    def _market(self, symbol: str) -> MarketState:
        found = self._markets.get(symbol)
        if found is not None:
            return found
        try:
            instrument = self.instruments.find(symbol)
        except InstrumentError:
            # Data of something that cannot be traded here does no harm; an order in it is refused.
            instrument = Instrument.guess(symbol)
        else:
            self.account.settle_currency(instrument.quote)
        state = self._markets.get(instrument.symbol)
        if state is None:
            state = self._markets[instrument.symbol] = MarketState(instrument)
            self.states.append(state)
        self._markets[symbol] = state
        return state

    # --- orders -----------------------------------------------------------------------------------------------

    def submit(self, order: Order, arrival_ns: int) -> list[Report]:
        """Take `order`, which reaches the venue at `arrival_ns`; in the future of :attr:`now_ns` it is under way.

        Raises
        ------
        OrderError, InstrumentError
            If it makes no sense on its face, names no client order id, or is off the instrument's grid.
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
        working = self._new(order, f"{self._id_prefix}{self.order_counter + 1}", arrival_ns)
        self.order_counter += 1
        out: list[Report] = []
        if arrival_ns > self.now_ns:
            heapq.heappush(self._arrivals, (arrival_ns, working.sequence, working))
        else:
            self._arrive(working, self.now_ns, out)
        return out

    def _new(self, order: Order, order_id: str, arrival_ns: int) -> Working:
        self._sequence += 1
        working = Working(order, self._market(order.symbol), order_id, self._sequence, arrival_ns)
        self._ids.add(order.client_order_id)
        self.working += 1
        return working

    def cancel(self, client_order_id: str, now_ns: int) -> list[Report]:
        """Cancel a working order; nothing to report if it is done, under way or unknown."""
        out = self.advance(now_ns)
        working = self._orders.get(client_order_id)
        if working is not None:
            self._end(working)
            out.append(Cancelled(client_order_id, self.now_ns, "cancelled on request"))
        return out

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
        out = self.advance(now_ns)
        working = self._orders.get(client_order_id)
        if working is None:
            raise OrderNotFound(f"no order {client_order_id!r} is working: it is done, under way or was never sent")
        instrument = working.market.instrument
        total = working.quantity
        limit = working.limit
        if quantity is not None:
            total = exact(quantity, f"{instrument.symbol} quantity")
            filled = working.quantity - working.left
            if not instrument.on_quantity_grid(total) or total <= filled:
                raise OrderRefused(
                    f"order {client_order_id}: new total {quantity} must be whole lots of {instrument.lot_size} "
                    f"and more than the {filled} already executed; cancel it to stop here",
                    "AMEND_QUANTITY",
                )
        if price is not None:
            if limit is None:
                raise OrderRefused(
                    f"order {client_order_id}: a {working.type.value} order has no limit price to change; "
                    f"cancel it and send a new one",
                    "AMEND_PRICE",
                )
            limit = instrument.check_price(price, "limit price")
        before = (working.quantity, working.left, working.limit, working.limit_f, working.unit, working.held)
        self._release(working)
        working.left += total - working.quantity
        working.quantity = total
        working.limit, working.limit_f = limit, float(limit) if limit is not None else 0.0
        refused = refusal(self, working)
        if refused is not None:
            working.quantity, working.left, working.limit, working.limit_f, working.unit, held = before
            self._hold(working, held)
            raise OrderRefused(f"order {client_order_id}: {refused[1]}", refused[0])
        self._reserve(working)
        if price is not None or total > before[0]:
            self._sequence += 1
            working.sequence = self._sequence
        new_price = float(limit) if price is not None and limit is not None else None
        out.append(Amended(client_order_id, self.now_ns, None if quantity is None else float(total), new_price))
        if working.market.live and working.triggered and not working.at_market:
            take(self, working, self.now_ns, out)
        return out

    def open_orders(self) -> list[str]:
        """Client order ids that are working, oldest first."""
        return list(self._orders)

    def is_open(self, client_order_id: str) -> bool:
        """Whether the order is working here."""
        return client_order_id in self._orders

    def knows(self, client_order_id: str) -> bool:
        """Whether the id was ever submitted here."""
        return client_order_id in self._ids

    def restore(self, fills: Iterable[Fill], orders: Iterable[Order] = ()) -> None:
        """Rebuild the account of an earlier process: book its executions and let its open orders work on.

        To be called before anything else, on the balances that the earlier process started with.

        Raises
        ------
        OrderRefused
            If an open order does not fit the account that the fills give.
        """
        for fill in fills:
            instrument = self.instruments.find(fill.symbol)
            self.account.settle_currency(instrument.quote)
            self.account.book(
                instrument,
                exact(fill.quantity) * fill.side.sign,
                exact(fill.price),
                exact(fill.commission),
            )
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
            refused = refusal(self, working)
            if refused is not None:
                self.working -= 1
                raise OrderRefused(f"order {order.client_order_id} cannot work on: {refused[1]}", refused[0])
            self._reserve(working)
            self._rest(working)

    def _skip_id(self, order_id: str) -> None:
        number = order_id.removeprefix(self._id_prefix)
        if number.isdigit():
            self.order_counter = max(self.order_counter, int(number))

    # --- the life of an order ---------------------------------------------------------------------------------

    def _arrive_until(self, until_ns: int, out: list[Report]) -> None:
        while self._arrivals and self._arrivals[0][0] <= until_ns:
            arrival_ns, _, working = heapq.heappop(self._arrivals)
            if arrival_ns > self.now_ns:
                self._expire(arrival_ns, out)
                self.now_ns = arrival_ns
            self._arrive(working, arrival_ns, out)

    def _arrive(self, working: Working, now: int, out: list[Report]) -> None:
        refused = refusal(self, working)
        if refused is not None:
            self.working -= 1
            out.append(Rejected(working.client_order_id, now, refused[1], refused[0]))
            return
        out.append(Accepted(working.client_order_id, now, working.order_id))
        market = working.market
        live = market.live
        if not (live and working.triggered and working.at_market):
            self._reserve(working)
        self._rest(working)
        if not live:
            return
        if not working.triggered and working.stopped_at(market.trigger_price(working.sign)):
            working.triggered = True
        if working.triggered:
            take(self, working, now, out)

    def _rest(self, working: Working) -> None:
        self._orders[working.client_order_id] = working
        working.market.orders.append(working)
        if working.day_end_ns:
            self._day_orders += 1

    def _end(self, working: Working) -> None:
        self._release(working)
        del self._orders[working.client_order_id]
        working.market.orders.remove(working)
        self.working -= 1
        if working.day_end_ns:
            self._day_orders -= 1

    def _expire(self, now: int, out: list[Report]) -> None:
        if not self._day_orders:
            return
        for working in list(self._orders.values()):
            if working.day_end_ns and working.day_end_ns <= now:
                self._end(working)
                out.append(Expired(working.client_order_id, now, "the UTC day is over (DAY)"))

    def _reserve(self, working: Working) -> None:
        if self.account.allow_short:
            return
        if working.sign < 0:
            units = working.left
            if working.reduce_only:
                units = min(units, max(self.account.free_units(working.market.symbol), _ZERO))
            self._hold(working, units)
            return
        working.unit = self.unit_cost(working)
        self._hold(working, working.left * working.unit)

    def unit_cost(self, working: Working) -> Decimal:
        """What a unit may cost a buyer at worst, commission included, as far as that is known now."""
        price = working.limit or working.stop
        if price is None:
            mark = working.market.mark()
            price = exact(mark) if mark is not None else _ZERO
        if working.limit is None:
            price = self.slipped(working, price, 1)
        return price * working.market.instrument.multiplier * (_ONE + self.account.commission_rate)

    def _hold(self, working: Working, amount: Decimal) -> None:
        change = amount - working.held
        working.held = amount
        if working.sign > 0:
            self.account.hold_cash(working.market.instrument.quote, change)
        else:
            self.account.hold_units(working.market.symbol, change)

    def _release(self, working: Working) -> None:
        if working.held:
            self._hold(working, _ZERO)
        working.unit = _ZERO

    # --- executing --------------------------------------------------------------------------------------------

    def slipped(self, working: Working, price: Decimal, times: int) -> Decimal:
        """`price` moved against the trader and onto the grid, against the trader."""
        instrument = working.market.instrument
        moved = price * (_ONE + self.slippage * times * working.sign)
        return max(instrument.round_price(moved, "up" if working.sign > 0 else "down"), instrument.tick_size)

    def wanted(self, working: Working) -> Decimal:
        """What may execute now: what is left, and of an exit no more than there is to exit."""
        if not working.reduce_only:
            return working.left
        return min(working.left, self.reducible(working))

    def reducible(self, working: Working) -> Decimal:
        """Units a reduce-only order could close now."""
        return max(self.account.holdings.get(working.market.symbol, _ZERO) * -working.sign, _ZERO)

    def afford(self, working: Working, plan: list[tuple[Decimal, Decimal]], now: int, out: list[Report]) -> bool:
        """Whether a cash account can pay for `plan`; if not, the order is ended.

        Its own reservation is given up first: it was an estimate, and this is the price.
        """
        self._release_estimate(working)
        if self.account.allow_short or working.sign < 0:
            return True
        instrument = working.market.instrument
        cost = _ZERO
        for price, quantity in plan:
            notional = price * quantity * instrument.multiplier
            cost += notional + self.account.commission(notional)
        free = self.account.free_cash(instrument.quote)
        if cost <= free:
            return True
        reason = f"not enough balance: needs {cost.normalize():f} {instrument.quote}, free {free.normalize():f}"
        self._end(working)
        if working.fills:
            out.append(Cancelled(working.client_order_id, now, f"INSUFFICIENT_BALANCE: {reason}"))
        else:
            out.append(Rejected(working.client_order_id, now, reason, "INSUFFICIENT_BALANCE"))
        return False

    def _release_estimate(self, working: Working) -> None:
        if working.sign > 0:
            self._release(working)

    def fill(
        self, working: Working, price: Decimal, quantity: Decimal, now: int, liquidity: str, out: list[Report]
    ) -> None:
        """Execute `quantity` at `price` and end the order when nothing is left."""
        account, instrument = self.account, working.market.instrument
        fee = account.commission(price * quantity * instrument.multiplier)
        working.left -= quantity
        working.fills += 1
        account.book(instrument, quantity * working.sign, price, fee)
        if working.held:
            rest = working.left * working.unit if working.sign > 0 else max(working.held - quantity, _ZERO)
            self._hold(working, rest)
        fill = Fill(
            order_id=working.order_id,
            symbol=working.symbol,
            side=working.side,
            quantity=float(quantity),
            price=float(price),
            commission=float(fee),
            timestamp=from_ns(now),
            execution_id=f"FILL_{working.client_order_id}_{working.fills}",
            client_order_id=working.client_order_id,
            fee_currency=instrument.quote,
            liquidity=liquidity,
            venue=self.venue,
        )
        out.append(Filled(working.client_order_id, now, fill))
        if not working.left:
            self._end(working)

    def _expire_now(self, working: Working, now: int, out: list[Report], reason: str) -> None:
        self._end(working)
        out.append(Expired(working.client_order_id, now, reason))

    def expire_remainder(self, working: Working, now: int, out: list[Report]) -> None:
        """End what is left of an IOC or FOK order."""
        self._expire_now(working, now, out, f"nothing more could be executed at once ({working.tif})")

    def cancel_exit(self, working: Working, now: int, out: list[Report]) -> None:
        """End a reduce-only order that has nothing left to close."""
        self._end(working)
        out.append(Cancelled(working.client_order_id, now, "reduce_only: nothing is left to close"))

    def reject(self, working: Working, code: str, reason: str, now: int, out: list[Report]) -> None:
        """Refuse an order after it was taken in."""
        self._end(working)
        out.append(Rejected(working.client_order_id, now, reason, code))
