"""The pure core: one strategy, its books and its gate, driven by market events and reports.

:class:`Trader` is what replay, paper, testnet and live share. It never awaits: an event goes in, orders that may be
sent come out. Replay hands them to the paper matching in a plain loop; the engine hands them to an adapter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from autotrader_lab.execution.book import Change, OrderBook
from autotrader_lab.execution.oms.desk import Desk
from autotrader_lab.execution.risk import RiskGate, RiskLimits
from autotrader_lab.journal import Item
from autotrader_lab.model.clock import Clock, from_ns
from autotrader_lab.model.errors import AutoTraderError, StrategyError
from autotrader_lab.model.instruments import Instrument, Instruments, exact
from autotrader_lab.model.market import Bar, Book, MarketEvent, Quote, Trade
from autotrader_lab.model.orders import Denied, Fill, Filled, Order, OrderSide, OrderType, Report
from autotrader_lab.model.positions import Booked
from autotrader_lab.strategy.contract import Strategy, as_strategy
from autotrader_lab.strategy.decision import CLOSE, HOLD, LONG, ExecutionDecision, check_decision

if TYPE_CHECKING:
    from autotrader_lab.journal import Journal, MemoryJournal

__all__ = ["Trader", "order_for"]

_ZERO = Decimal(0)


def order_for(
    decision: ExecutionDecision,
    held: Decimal,
    exits_working: Decimal,
    instrument: Instrument,
    shorting: bool = True,
    price: float | None = None,
) -> Order | None:
    """Translate a decision into the order that carries it out, on the instrument's lot grid.

    Parameters
    ----------
    decision : ExecutionDecision
        Not HOLD.
    held : Decimal
        Position in the instrument, units, signed.
    exits_working : Decimal
        Units that open orders already close.
    instrument : Instrument
    shorting : bool
        Whether the account may be short at all.
    price : float, optional
        Of one unit now, quote currency: a CLOSE of a part that would leave less than the venue's smallest order
        closes all.

    Returns
    -------
    Order or None
        None when there is nothing to do: CLOSE of what is flat or already being closed. What was rounded or cut is
        in the order's metadata (``rounded_from``, ``cut_from``: units).
    """
    size = exact(decision.size, f"{decision.symbol} size")
    metadata: dict[str, Any] = {}
    if decision.action == CLOSE:
        side = OrderSide.SELL if held > 0 else OrderSide.BUY
        closable = max(abs(held) - exits_working, _ZERO)
        wanted = min(size, closable) if size else closable
        if _too_small_to_sell(closable - wanted, instrument, price):
            if wanted != closable:
                metadata["raised_from"] = float(wanted)
            wanted = closable  # what would be left could never be closed
        reduce_only = True
    else:
        side = OrderSide.BUY if decision.action == LONG else OrderSide.SELL
        against = max(-held * side.sign, _ZERO)
        wanted = size + against
        reduce_only = False
        if side is OrderSide.SELL and held > 0 and not (shorting and instrument.can_short):
            # Nothing can be short here: flipping towards SHORT ends flat.
            metadata["cut_from"] = float(wanted)
            wanted, reduce_only = max(held - exits_working, _ZERO), True
    quantity = instrument.round_quantity(wanted)
    if quantity == 0 and reduce_only:
        return None
    if quantity != wanted:
        metadata["rounded_from"] = float(wanted)
    how = decision.metadata
    limit, stop = how.get("limit_price"), how.get("stop_price")
    asked_type = how.get("order_type") or _TYPES[limit is not None, stop is not None]
    try:
        order_type = OrderType(asked_type)
    except ValueError:
        known = ", ".join(each.value for each in OrderType)
        raise StrategyError(f"{decision.symbol}: order_type {asked_type!r} is none of {known}") from None
    return Order(
        order_id="",
        symbol=instrument.symbol,
        side=side,
        order_type=order_type,
        quantity=float(quantity),
        price=limit,
        stop_price=stop,
        time_in_force=how.get("time_in_force", "GTC"),
        metadata=metadata,
        decision_id=decision.decision_id,
        post_only=bool(how.get("post_only", False)),
        reduce_only=reduce_only,
    )


def _too_small_to_sell(quantity: Decimal, instrument: Instrument, price: float | None) -> bool:
    """Whether an order for `quantity` units would be under one of the venue's minima."""
    if quantity < max(instrument.lot_size, instrument.min_quantity):
        return True
    return price is not None and instrument.notional(quantity, price) < instrument.min_notional


_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}


class Trader:
    """A strategy with its books, gate and desk. Also the :class:`Context` that the strategy sees.

    Parameters
    ----------
    strategy : Strategy, object or function
        See :mod:`autotrader_lab.strategy.contract`.
    clock : Clock
    instruments : Instruments, optional
        Without it any symbol is guessed, on the finest grid.
    limits : RiskLimits, optional
        By default the strategy's own risk limits, or the gate's defaults.
    journal : Journal, optional
    starting_equity : float
        Account currency.
    stage : str
    symbols : sequence of str
    id_prefix : str
        Of client order ids and decision ids.
    expects_market_data : bool
        Whether a missing or old price is a reason to deny.
    shorting : bool
        Whether the account may be short.
    """

    def __init__(
        self,
        strategy: Any,
        *,
        clock: Clock,
        instruments: Instruments | None = None,
        limits: RiskLimits | None = None,
        journal: Journal | MemoryJournal | None = None,
        starting_equity: float = 0.0,
        stage: str = "",
        symbols: Sequence[str] = (),
        id_prefix: str = "lab",
        expects_market_data: bool = False,
        shorting: bool = True,
    ) -> None:
        self.strategy: Strategy = as_strategy(strategy)
        self.clock = clock
        self.symbols = tuple(symbols)
        self.book = OrderBook(instruments, starting_equity)
        limits = limits if limits is not None else RiskLimits.from_strategy(strategy)
        self.gate = RiskGate(limits, self.book, expects_market_data, shorting)
        self.desk = Desk(self.book, self.gate, clock, journal, stage, id_prefix)
        self.desk.subscribe(self._on_change)
        self.decisions = 0
        self.holds = 0
        self._id_prefix = id_prefix
        self._decision_of: dict[str, ExecutionDecision] = {}
        self._now_ns = 0
        self._hears_bars = _overrides(self.strategy, "on_bar")
        self._hears_quotes = _overrides(self.strategy, "on_quote")
        self._hears_trades = _overrides(self.strategy, "on_trade")

    # --- what the strategy may know (Context) -----------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """Time of the event being handled, UTC."""
        return from_ns(self._now_ns or self.clock.now_ns())

    @property
    def equity(self) -> float:
        """Account equity at the last marks, account currency."""
        return self.book.equity()

    def position(self, symbol: str) -> float:
        """Units held, signed; 0 where what is left is less than a lot and cannot be traded away."""
        held = self.book.positions.get(symbol)
        return 0.0 if held is None or held.is_flat else float(held.quantity)

    def instrument(self, symbol: str) -> Instrument:
        """Grid and limits of `symbol`.

        Raises
        ------
        InstrumentError
            If the venue lacks it.
        """
        return self.book.instruments.find(symbol)

    # --- what drives it ---------------------------------------------------------------------------------------

    @property
    def hears(self) -> tuple[str, ...]:
        """Which kinds of market data the strategy reacts to: bars, quotes, trades."""
        heard = {"bars": self._hears_bars, "quotes": self._hears_quotes, "trades": self._hears_trades}
        return tuple(kind for kind, listens in heard.items() if listens)

    def start(self) -> None:
        """Tell the strategy that a stage begins."""
        self._ask(self.strategy.on_start, None)

    def on_market(self, event: MarketEvent) -> Sequence[Order]:
        """Take one market event; returns the orders that it led to and that may be sent."""
        if isinstance(event, Bar):
            return self.on_bar(event)
        if isinstance(event, Quote):
            return self.on_quote(event)
        if isinstance(event, Trade):
            return self.on_trade(event)
        return self.on_book(event)

    def on_bar(self, bar: Bar) -> Sequence[Order]:
        """Take one bar."""
        self._now_ns = bar.timestamp_ns
        self.book.marks[bar.symbol] = bar.close
        self.book.mark_times_ns[bar.symbol] = bar.timestamp_ns
        if not self._hears_bars:
            return ()
        return self._decide(self._ask(self.strategy.on_bar, bar))

    def on_quote(self, quote: Quote) -> Sequence[Order]:
        """Take one quote."""
        self._now_ns = quote.timestamp_ns
        self.book.mark(quote.symbol, (quote.bid + quote.ask) / 2, quote.timestamp_ns)
        self.book.bid_ask[quote.symbol] = (quote.bid, quote.ask)
        if not self._hears_quotes:
            return ()
        return self._decide(self._ask(self.strategy.on_quote, quote))

    def on_trade(self, trade: Trade) -> Sequence[Order]:
        """Take one trade of the market."""
        self._now_ns = trade.timestamp_ns
        if trade.symbol not in self.book.bid_ask:
            self.book.mark(trade.symbol, trade.price, trade.timestamp_ns)
        if not self._hears_trades:
            return ()
        return self._decide(self._ask(self.strategy.on_trade, trade))

    def on_book(self, book: Book) -> Sequence[Order]:
        """Take a book; it marks the position and is not passed on."""
        if book.bids and book.asks:
            bid, ask = book.bids[0][0], book.asks[0][0]
            self.book.mark(book.symbol, (bid + ask) / 2, book.timestamp_ns)
            self.book.bid_ask[book.symbol] = (bid, ask)
        return ()

    def on_report(self, report: Report) -> list[Change]:
        """Take what a venue says of an order."""
        return self.desk.on_report(report)

    def execute(self, decision: ExecutionDecision) -> tuple[Order | None, Denied | None]:
        """Turn one decision into an approved or denied order; (None, None) when there is nothing to do.

        Raises
        ------
        StrategyError
            If the decision is none that can be executed.
        InstrumentError
            If the venue lacks its symbol.
        """
        check_decision(decision)
        if decision.action == HOLD:
            self.holds += 1
            return None, None
        self.decisions += 1
        decision.decision_id = decision.decision_id or f"{self._id_prefix}-d{self.decisions}"
        now_ns = max(self._now_ns, self.clock.now_ns())  # replay moves its clock no further than it must
        record = Item(
            "decision",
            decision,
            stage=self.desk.stage,
            decision_id=decision.decision_id,
            symbol=decision.symbol,
            timestamp_ns=now_ns,
        )
        try:
            order = self._order_for(decision)
        except AutoTraderError:
            self.desk.journal.append_many([record])
            raise
        if order is None:
            self.desk.journal.append_many([record])
            self.tell_closed(decision)
            return None, None
        self.remember(decision)
        return order, self.desk.approve(order, now_ns, record)

    def _order_for(self, decision: ExecutionDecision) -> Order | None:
        instrument = self.instrument(decision.symbol)
        exits = self.book.working(instrument.symbol, reduce_only=True)
        held = self.book.position(instrument.symbol)
        mark = self.book.marks.get(instrument.symbol)
        return order_for(decision, held, exits, instrument, self.gate.shorting, mark)

    def remember(self, decision: ExecutionDecision) -> None:
        """Tell the strategy of what becomes of `decision`; for decisions an earlier process made."""
        self._decision_of[decision.decision_id] = decision

    def _decide(self, answer: Any) -> Sequence[Order]:
        if answer is None:
            return ()
        if isinstance(answer, ExecutionDecision):
            if answer.action == HOLD:
                self.holds += 1
                return ()
            order, denied = self.execute(answer)
            return (order,) if order is not None and denied is None else ()
        if not isinstance(answer, Iterable) or isinstance(answer, (str, bytes, dict)):
            check_decision(answer)
        approved = []
        decisions = [check_decision(decision) for decision in answer]
        for decision in decisions:  # all are sound before any is acted on
            if decision.action != HOLD:
                self.instrument(decision.symbol)
        for decision in decisions:
            order, denied = self.execute(decision)
            if order is not None and denied is None:
                approved.append(order)
        return approved

    def _ask(self, hook: Any, event: Any) -> Any:
        try:
            return hook(event, self) if event is not None else hook(self)
        except Exception as error:
            raise self._blame(hook, error) from error

    def _tell_strategy(self, hook: Any, *arguments: Any, **named: Any) -> None:
        try:
            hook(*arguments, **named)
        except Exception as error:
            raise self._blame(hook, error) from error

    def _blame(self, hook: Any, error: Exception) -> StrategyError:
        name = type(getattr(self.strategy, "inner", self.strategy)).__name__
        return StrategyError(
            f"{name}.{getattr(hook, '__name__', 'hook')} raised {type(error).__name__}: {error} "
            f"(event time {self.now.isoformat()}); mend the strategy and start the stage again"
        )

    def _on_change(self, change: Change) -> None:
        """Tell the strategy what became of its decision: real price, fee and realised P&L."""
        decision = self._decision_of.get(change.order.decision_id)
        if decision is None:
            return
        report = change.report
        if isinstance(report, Filled) and change.booked is not None:
            self.tell_execution(decision, report.fill, change.booked)
        if change.finished:
            self.tell_closed(decision)

    def tell_execution(self, decision: ExecutionDecision, fill: Fill, booked: Booked) -> None:
        """Tell the strategy of one execution: real price, fee and realised P&L.

        Raises
        ------
        StrategyError
            If it raises.
        """
        self._tell_strategy(
            self.strategy.record_execution,
            decision,
            float(booked.realised),
            float(booked.fee),
            fill.price,
            quantity=fill.quantity,
            timestamp=fill.timestamp,
        )

    def tell_closed(self, decision: ExecutionDecision) -> None:
        """Tell the strategy that nothing more will come of `decision`.

        Raises
        ------
        StrategyError
            If it raises.
        """
        self._tell_strategy(self.strategy.decision_closed, decision)


def _overrides(strategy: Strategy, hook: str) -> bool:
    """Whether `strategy` has its own `hook`."""
    method = getattr(strategy, hook)
    return getattr(method, "__func__", method) is not getattr(Strategy, hook)
