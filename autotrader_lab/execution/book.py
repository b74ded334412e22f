"""The books of one session: orders, positions, balances and marks, as a fold of reports. Pure.

Nothing here sends, waits or reads a clock. What is open reserves what it could still cost: an order in doubt too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from autotrader_lab.model.errors import OrderError
from autotrader_lab.model.instruments import Instrument, Instruments, exact
from autotrader_lab.model.orders import Accepted, Fill, Filled, Order, OrderSide, OrderStatus, Report
from autotrader_lab.model.positions import Booked, Positions

__all__ = ["Change", "OrderBook"]

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Change:
    """What one report did.

    Attributes
    ----------
    order : Order
        After the report.
    booked : Booked or None
        The effect on the position, for a fill.
    finished : bool
        Whether the order went from open to done by this report.
    """

    order: Order
    report: Report
    booked: Booked | None = None
    finished: bool = False


class OrderBook:
    """Orders by client order id, and what followed from them.

    Parameters
    ----------
    instruments : Instruments, optional
        What may be traded; without it any symbol is guessed.
    starting_equity : float
        Account equity before the first fill, account currency.
    """

    def __init__(self, instruments: Instruments | None = None, starting_equity: float = 0.0) -> None:
        self.instruments = instruments if instruments is not None else Instruments(complete=False)
        self.starting_equity = starting_equity
        self.orders: dict[str, Order] = {}
        self.open: dict[str, Order] = {}
        self.positions = Positions(self.instruments)
        self.fills: list[Fill] = []
        self.booked: list[Booked] = []
        self.marks: dict[str, float] = {}
        self.mark_times_ns: dict[str, int] = {}
        self.bid_ask: dict[str, tuple[float, float]] = {}
        self.balances: dict[str, Decimal] | None = None
        self.turnover = _ZERO
        self.commission = _ZERO
        self._client_ids: dict[str, str] = {}
        self._orphans: dict[str, list[Filled]] = defaultdict(list)

    # --- orders -----------------------------------------------------------------------------------------------

    def add(self, order: Order) -> None:
        """Take `order` into the book.

        Raises
        ------
        OrderError
            If its client order id is empty or already in use.
        """
        if not order.client_order_id:
            raise OrderError(f"order for {order.symbol} has no client_order_id")
        if order.client_order_id in self.orders:
            raise OrderError(f"client_order_id {order.client_order_id!r} is already in the book")
        self.orders[order.client_order_id] = order
        if order.is_open:
            self.open[order.client_order_id] = order
        if order.order_id:
            self._client_ids[order.order_id] = order.client_order_id

    def find(self, order_id: str) -> Order | None:
        """An order by client order id or by the venue's id."""
        return self.orders.get(order_id) or self.orders.get(self._client_ids.get(order_id, ""))

    def apply(self, report: Report) -> list[Change]:
        """Apply one report; empty if it changed nothing or is about nobody's order.

        A fill for an id the venue has not told us yet is kept until it has, and then booked.

        Raises
        ------
        IllegalTransition
            From :meth:`Order.apply`.
        """
        order = self.find(report.client_order_id) if report.client_order_id else None
        if order is None and isinstance(report, Filled):
            order = self.find(report.fill.order_id)
            if order is None:
                self._orphans[report.fill.order_id].append(report)
                return []
        if order is None:
            return []
        was_open = order.is_open
        if not order.apply(report):
            return []
        booked = self._book(order, report.fill) if isinstance(report, Filled) else None
        if order.is_open:
            self.open[order.client_order_id] = order
        else:
            self.open.pop(order.client_order_id, None)
        changes = [Change(order, report, booked, was_open and not order.is_open)]
        if order.order_id and order.order_id not in self._client_ids:
            self._client_ids[order.order_id] = order.client_order_id
        if isinstance(report, Accepted):
            for orphan in self._orphans.pop(order.order_id, ()):
                changes += self.apply(orphan)
        return changes

    def use(self, instruments: Instruments) -> None:
        """Look symbols up in `instruments` from now on: a venue tells its grid only once connected."""
        self.instruments = instruments
        self.positions.use(instruments)

    @property
    def orphans(self) -> list[Fill]:
        """Fills of orders this book does not know."""
        return [report.fill for reports in self._orphans.values() for report in reports]

    def _book(self, order: Order, fill: Fill) -> Booked | None:
        if fill.symbol != order.symbol:
            fill.symbol = order.symbol  # the venue's own name for it
        booked = self.positions.apply(fill)
        if booked is None:
            return None
        self.fills.append(fill)
        self.booked.append(booked)
        instrument = self.positions[order.symbol].instrument
        notional = instrument.notional(fill.quantity, fill.price)
        self.turnover += notional
        self.commission += booked.fee
        self._move_balances(instrument, fill, notional)
        return booked

    def _move_balances(self, instrument: Instrument, fill: Fill, notional: Decimal) -> None:
        if self.balances is None:
            return
        moves = [(instrument.quote, -notional * fill.side.sign)]
        if instrument.base:
            moves.append((instrument.base, exact(fill.quantity) * fill.side.sign))
        moves.append((fill.fee_currency or instrument.quote, -exact(fill.commission)))
        for currency, amount in moves:
            self.balances[currency] = self.balances.get(currency, _ZERO) + amount

    # --- what is held, reserved and worth ---------------------------------------------------------------------

    def mark(self, symbol: str, price: float, timestamp_ns: int) -> None:
        """Remember the last price of `symbol` (quote currency)."""
        self.marks[symbol] = price
        self.mark_times_ns[symbol] = timestamp_ns

    def position(self, symbol: str) -> Decimal:
        """Units held, signed."""
        return self.positions.quantity(symbol)

    def working(self, symbol: str, side: OrderSide | None = None, reduce_only: bool | None = None) -> Decimal:
        """Units that open orders could still execute; orders in doubt count."""
        return sum(
            (
                order.leaves
                for order in self.open.values()
                if order.symbol == symbol and side in (None, order.side) and reduce_only in (None, order.reduce_only)
            ),
            _ZERO,
        )

    def reference_price(self, order: Order) -> float | None:
        """What `order` would roughly execute at: its limit or stop, else the far side of the market, else the mark."""
        if order.price is not None or order.stop_price is not None:
            return order.price if order.price is not None else order.stop_price
        quoted = self.bid_ask.get(order.symbol)
        if quoted is not None:
            return quoted[1] if order.side is OrderSide.BUY else quoted[0]
        return self.marks.get(order.symbol)

    def reserved(self, currency: str, ignoring: Order | None = None) -> Decimal:
        """How much of `currency` open orders could still spend."""
        total = _ZERO
        for order in self.open.values():
            if order is ignoring:
                continue
            instrument = self.instruments.find(order.symbol)
            if order.side is OrderSide.SELL:
                total += order.leaves if instrument.base == currency else _ZERO
            elif instrument.quote == currency:
                price = self.reference_price(order)
                total += instrument.notional(order.leaves, price) if price is not None else _ZERO
        return total

    def in_doubt(self) -> list[Order]:
        """Orders whose outcome is unknown."""
        return [order for order in self.open.values() if order.status is OrderStatus.UNKNOWN]

    def profit(self) -> tuple[Decimal, Decimal, Decimal]:
        """Realised P&L before fees, unrealised P&L at the marks, and fees; quote currency.

        A fee in a third currency counts at that currency's mark where one is known.
        """
        realised = unrealised = fees = _ZERO
        for symbol, position in self.positions.items():
            realised += position.realised
            fees += position.fees
            if position.quantity:
                mark = self.marks.get(symbol)
                unrealised += position.unrealised(mark) if mark is not None else _ZERO
            for currency, amount in position.other_fees.items():
                mark = self.marks.get(f"{currency}/{position.instrument.quote}")
                fees += amount * exact(mark) if mark is not None else _ZERO
        return realised, unrealised, fees

    def equity(self) -> float:
        """Starting equity plus all profit at the marks, account currency."""
        realised, unrealised, fees = self.profit()
        return self.starting_equity + float(realised + unrealised - fees)

    def exposure(self) -> tuple[float, float]:
        """Gross and net notional of the positions at the marks, account currency."""
        gross = net = 0.0
        for symbol, position in self.positions.items():
            value = float(position.quantity * position.instrument.multiplier) * self.marks.get(symbol, 0.0)
            gross += abs(value)
            net += value
        return gross, net

    def restore(self, orders: Iterable[Order], fills: Iterable[Fill]) -> None:
        """Start from what a journal says: orders as they were, positions folded from the fills."""
        for order in orders:
            self.add(order)
        for fill in fills:
            filled = self.find(fill.client_order_id or fill.order_id)
            if filled is not None:
                self._book(filled, fill)
