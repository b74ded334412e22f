"""The risk gate: the last word before an order leaves, outside the strategy's reach. Pure.

A refusal is a :class:`Denied` with a code and figures and costs no I/O. Exits that only shrink a position pass
everything but the checks that concern the order itself; cancels never come here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from autotrader_lab.execution.book import OrderBook
from autotrader_lab.model.clock import NS, from_ns
from autotrader_lab.model.errors import InstrumentError, OrderError
from autotrader_lab.model.instruments import Instrument, exact
from autotrader_lab.model.orders import Denied, Order, OrderSide, OrderType, check_order

__all__ = ["DENIAL_CODES", "RiskGate", "RiskLimits", "TradingState"]

DENIAL_CODES: dict[str, str] = {
    "INVALID_ORDER": "the order makes no sense on its face",
    "UNKNOWN_INSTRUMENT": "the venue lists no such symbol",
    "PRICE_OFF_GRID": "limit or stop price is no whole number of ticks",
    "QUANTITY_BELOW_LOT": "less than one lot, or than the venue's smallest order",
    "QUANTITY_OVER_MAXIMUM": "more than the venue takes in one order",
    "NOTIONAL_UNDER_MINIMUM": "worth less than the venue's smallest order",
    "TRADING_HALTED": "trading is halted until a person re-arms",
    "REDUCING_ONLY": "only exits are allowed now",
    "NOT_REDUCING": "a reduce-only order that would open or add",
    "SHORT_NOT_SUPPORTED": "selling more than is held where that is impossible",
    "DUPLICATE_DECISION": "this decision was executed before",
    "DUPLICATE_ORDER": "the same order was sent a moment ago",
    "QUANTITY_OVER_LIMIT": "more units than one order may have",
    "NOTIONAL_OVER_LIMIT": "worth more than one order may be",
    "PRICE_OUTSIDE_COLLAR": "limit price too far through the market",
    "POSITION_OVER_LIMIT": "the position would be over its cap",
    "GROSS_EXPOSURE_OVER_LIMIT": "gross exposure would be over its cap",
    "NET_EXPOSURE_OVER_LIMIT": "net exposure would be over its cap",
    "INSUFFICIENT_BALANCE": "more than the free balance",
    "TOO_MANY_OPEN_ORDERS": "as many orders open as allowed",
    "ORDER_RATE_OVER_LIMIT": "as many orders a minute as allowed",
    "DAILY_LOSS_OVER_LIMIT": "the day's loss reached its limit",
    "DRAWDOWN_OVER_LIMIT": "drawdown from the session's peak reached its limit",
    "STALE_MARKET_DATA": "the last price is too old, or there is none",
    "CLOCK_SKEW": "our clock and the venue's differ too much",
}
"""Every code a denial can carry, and what it means."""


class TradingState(Enum):
    """ACTIVE: all; REDUCING: exits only; HALTED: nothing but cancels until re-armed."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class RiskLimits(BaseModel):
    """Limits of one session; money in account currency, quantities in units. None switches a check off.

    Attributes
    ----------
    max_order_quantity, max_order_notional : float or None
        Of one order.
    price_collar_pct : float or None
        How far a limit price may be *through* the market, as a fraction (0.05 = 5 %); a fat-finger guard.
    max_position, default_max_position : dict, float or None
        Cap on the position after the trade, working orders included; by symbol, and for all others.
    max_gross_exposure, max_net_exposure : float or None
        Sum of the positions' notionals, unsigned and signed, after the trade.
    max_open_orders : int
        Orders that may be open at once, those in doubt included.
    max_orders_per_minute : int or None
        Orders let through within any 60 seconds.
    duplicate_window_s : float
        Same symbol, side, quantity and price within this many seconds is a duplicate; 0 checks decision ids only.
    max_daily_loss : float or None
        Loss since 00:00 UTC, fees included.
    max_drawdown : float or None
        Fraction of the session's peak equity.
    stale_data_s : float or None
        Age of the last price beyond which entries are denied, where a feed runs.
    max_clock_skew_ms : float or None
        Difference between our clock and the venue's beyond which entries are denied.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_order_quantity: float | None = Field(default=None, gt=0)
    max_order_notional: float | None = Field(default=None, gt=0)
    price_collar_pct: float | None = Field(default=0.05, gt=0)
    max_position: dict[str, float] = Field(default_factory=dict)
    default_max_position: float | None = Field(default=None, gt=0)
    max_gross_exposure: float | None = Field(default=None, gt=0)
    max_net_exposure: float | None = Field(default=None, gt=0)
    max_open_orders: int = Field(default=100, gt=0)
    max_orders_per_minute: int | None = Field(default=600, gt=0)
    duplicate_window_s: float = Field(default=0.1, ge=0)
    max_daily_loss: float | None = Field(default=10_000.0, gt=0)
    max_drawdown: float | None = Field(default=0.20, gt=0, le=1)
    stale_data_s: float | None = Field(default=30.0, gt=0)
    max_clock_skew_ms: float | None = Field(default=1_000.0, gt=0)

    @classmethod
    def from_strategy(cls, strategy: object, **overrides: Any) -> RiskLimits:
        """The limits of a Phase 8 strategy, enforced again at the gate; for any other strategy the defaults.

        Parameters
        ----------
        strategy : object
            One whose ``config.risk`` is a ``RiskConfig``, itself or one level down (``strategy.trading``).
        **overrides
            Fields to set on top.
        """
        config = getattr(strategy, "config", None) or getattr(getattr(strategy, "trading", None), "config", None)
        risk = getattr(config, "risk", None)
        found: dict[str, Any] = {}
        if risk is not None:
            finite = {
                "default_max_position": risk.default_max_position,
                "max_gross_exposure": risk.max_gross_exposure,
                "max_net_exposure": risk.max_net_exposure,
            }
            found = {name: value for name, value in finite.items() if value != float("inf")}
            found["max_position"] = dict(risk.max_position_per_symbol)
            found["max_daily_loss"] = risk.max_daily_loss
            found["max_drawdown"] = risk.max_drawdown
        return cls(**{**found, **overrides})

    def looser_than(self, other: RiskLimits) -> list[str]:
        """Names of the limits that allow more here than in `other`."""

        def allows(value: float | None) -> float:
            return float("inf") if value is None else value

        names = [
            name
            for name in type(self).model_fields
            if name not in ("max_position", "duplicate_window_s")
            and allows(getattr(self, name)) > allows(getattr(other, name))
        ]
        if self.duplicate_window_s < other.duplicate_window_s:
            names.append("duplicate_window_s")
        for symbol in sorted({*self.max_position, *other.max_position}):
            here = self.max_position.get(symbol, self.default_max_position)
            there = other.max_position.get(symbol, other.default_max_position)
            if allows(here) > allows(there):
                names.append(f"max_position[{symbol}]")
        return names


class RiskGate:
    """Checks every order against the limits and the books.

    Parameters
    ----------
    limits : RiskLimits
    book : OrderBook
        Positions, open orders, marks and balances; read only.
    expects_market_data : bool, default False
        True where a feed runs: then a missing or old price is a reason to deny.
    shorting : bool, default True
        Whether the account may be short at all; each instrument may still forbid it.

    Attributes
    ----------
    state : TradingState
    flattening : bool
        Lets exits pass while HALTED: the kill switch is flattening.
    clock_offset_ms : float or None
        Venue clock minus ours, where it was measured.
    """

    def __init__(
        self, limits: RiskLimits, book: OrderBook, expects_market_data: bool = False, shorting: bool = True
    ) -> None:
        self.limits = limits
        self.book = book
        self.expects_market_data = expects_market_data
        self.shorting = shorting
        self.state = TradingState.ACTIVE
        self.flattening = False
        self.clock_offset_ms: float | None = None
        self.peak_equity = book.starting_equity
        self._sent_ns: deque[int] = deque()
        self._decisions: set[str] = set()
        self._recent: deque[tuple[int, str, tuple[object, ...]]] = deque()
        self._day = ""
        self._day_start_equity = book.starting_equity

    def check(self, order: Order, now_ns: int) -> Denied | None:
        """Judge `order`; None lets it pass. Nothing is remembered: see :meth:`passed`."""
        try:
            check_order(order)
            instrument = self.book.instruments.find(order.symbol)
        except OrderError as error:
            return self._deny(order, now_ns, "INVALID_ORDER", reason=str(error))
        except InstrumentError as error:
            return self._deny(order, now_ns, "UNKNOWN_INSTRUMENT", order.symbol, reason=str(error))
        return (
            self._grid(order, instrument, now_ns)
            or self._states(order, instrument, now_ns)
            or (None if order.reduce_only else self._entry(order, instrument, now_ns))
        )

    def passed(self, order: Order, now_ns: int) -> None:
        """Remember that `order` was let through: it counts for the rate and as a duplicate."""
        self._sent_ns.append(now_ns)
        if order.decision_id:
            self._decisions.add(order.decision_id)
        if self.limits.duplicate_window_s:
            self._recent.append((now_ns, order.client_order_id, _shape(order)))

    def remember(self, decision_ids: Iterable[str]) -> None:
        """Decisions an earlier process executed: none is executed again."""
        self._decisions.update(decision_ids)

    def breach(self, now_ns: int) -> Denied | None:
        """Whether the session as a whole is over a limit (daily loss, drawdown); for the engine's timer."""
        return self._losses(Order("", "", OrderSide.BUY, OrderType.MARKET, 0.0), now_ns)

    def restore_day(self, day: str, start_equity: float) -> None:
        """Go on with a day that began before this process did (``YYYY-MM-DD``, equity at 00:00 UTC)."""
        self._day, self._day_start_equity = day, start_equity

    def day_result(self, now_ns: int) -> float:
        """Profit since 00:00 UTC, fees included, account currency."""
        return self._roll_day(now_ns) - self._day_start_equity

    @staticmethod
    def _deny(
        order: Order,
        now_ns: int,
        code: str,
        asked: float | str | None = None,
        limit: float | None = None,
        reason: str = "",
    ) -> Denied:
        return Denied(order.client_order_id, now_ns, code, asked, limit, reason or DENIAL_CODES[code])

    def _grid(self, order: Order, instrument: Instrument, now_ns: int) -> Denied | None:
        for what in ("price", "stop_price"):
            value = getattr(order, what)
            if value is not None:
                try:
                    instrument.check_price(value, what)
                except InstrumentError as error:
                    return self._deny(order, now_ns, "PRICE_OFF_GRID", value, reason=str(error))
        quantity = exact(order.quantity)
        smallest = max(instrument.lot_size, instrument.min_quantity)
        if quantity < smallest or quantity % instrument.lot_size:
            reason = f"{order.quantity} {order.symbol} must be whole lots of {instrument.lot_size}, at least {smallest}"
            return self._deny(order, now_ns, "QUANTITY_BELOW_LOT", order.quantity, float(smallest), reason)
        if instrument.max_quantity is not None and quantity > instrument.max_quantity:
            return self._deny(order, now_ns, "QUANTITY_OVER_MAXIMUM", order.quantity, float(instrument.max_quantity))
        price = self.book.reference_price(order)
        if price is not None and instrument.min_notional:
            notional = instrument.notional(quantity, price)
            if notional < instrument.min_notional:
                return self._deny(
                    order, now_ns, "NOTIONAL_UNDER_MINIMUM", float(notional), float(instrument.min_notional)
                )
        return None

    def _states(self, order: Order, instrument: Instrument, now_ns: int) -> Denied | None:
        if self.state is TradingState.HALTED and not (self.flattening and order.reduce_only):
            return self._deny(order, now_ns, "TRADING_HALTED")
        if self.state is TradingState.REDUCING and not order.reduce_only:
            return self._deny(order, now_ns, "REDUCING_ONLY")
        if order.decision_id and order.decision_id in self._decisions:
            return self._deny(order, now_ns, "DUPLICATE_DECISION", order.decision_id)
        held = self.book.position(order.symbol)
        exits = self.book.working(order.symbol, order.side)
        closable = max(-held * order.side.sign, Decimal(0)) - exits
        quantity = exact(order.quantity)
        if order.reduce_only and quantity > closable:
            return self._deny(order, now_ns, "NOT_REDUCING", order.quantity, float(max(closable, Decimal(0))))
        can_short = self.shorting and instrument.can_short
        if order.side is OrderSide.SELL and not can_short and quantity > closable:
            return self._deny(order, now_ns, "SHORT_NOT_SUPPORTED", order.quantity, float(max(closable, Decimal(0))))
        return None

    def _entry(self, order: Order, instrument: Instrument, now_ns: int) -> Denied | None:
        return (
            self._market(order, now_ns)
            or self._size(order, instrument, now_ns)
            or self._position(order, instrument, now_ns)
            or self._pace(order, now_ns)
            or self._losses(order, now_ns)
        )

    def _market(self, order: Order, now_ns: int) -> Denied | None:
        limits = self.limits
        if self.expects_market_data and limits.stale_data_s is not None:
            seen_ns = self.book.mark_times_ns.get(order.symbol)
            age_s = (now_ns - seen_ns) / NS if seen_ns is not None else float("inf")
            if age_s > limits.stale_data_s:
                return self._deny(order, now_ns, "STALE_MARKET_DATA", round(age_s, 3), limits.stale_data_s)
        skew_ms = self.clock_offset_ms
        if limits.max_clock_skew_ms is not None and skew_ms is not None and abs(skew_ms) > limits.max_clock_skew_ms:
            return self._deny(order, now_ns, "CLOCK_SKEW", skew_ms, limits.max_clock_skew_ms)
        mark = self.book.marks.get(order.symbol)
        price = order.limit_price
        if limits.price_collar_pct is not None and price is not None and mark:
            through = (price / mark - 1) * order.side.sign
            if through > limits.price_collar_pct:
                return self._deny(
                    order,
                    now_ns,
                    "PRICE_OUTSIDE_COLLAR",
                    price,
                    round(mark * (1 + order.side.sign * limits.price_collar_pct), 10),
                )
        return None

    def _size(self, order: Order, instrument: Instrument, now_ns: int) -> Denied | None:
        limits = self.limits
        if limits.max_order_quantity is not None and order.quantity > limits.max_order_quantity:
            return self._deny(order, now_ns, "QUANTITY_OVER_LIMIT", order.quantity, limits.max_order_quantity)
        price = self.book.reference_price(order)
        if price is None:
            return None
        notional = instrument.notional(order.quantity, price)
        if limits.max_order_notional is not None and notional > exact(limits.max_order_notional):
            return self._deny(order, now_ns, "NOTIONAL_OVER_LIMIT", float(notional), limits.max_order_notional)
        balances = self.book.balances
        if balances is not None and order.side is OrderSide.BUY and not (self.shorting and instrument.can_short):
            free = balances.get(instrument.quote, Decimal(0)) - self.book.reserved(instrument.quote, ignoring=order)
            if notional > free:
                return self._deny(order, now_ns, "INSUFFICIENT_BALANCE", float(notional), float(free))
        return None

    def _position(self, order: Order, instrument: Instrument, now_ns: int) -> Denied | None:
        limits, book = self.limits, self.book
        cap = limits.max_position.get(order.symbol, limits.default_max_position)
        signed = exact(order.quantity) * order.side.sign
        after = book.position(order.symbol) + signed + book.working(order.symbol, order.side) * order.side.sign
        if cap is not None and abs(after) > exact(cap):
            return self._deny(order, now_ns, "POSITION_OVER_LIMIT", float(after), cap)
        if limits.max_gross_exposure is None and limits.max_net_exposure is None:
            return None
        price = book.reference_price(order) or 0.0
        gross, net = book.exposure()
        held_value = float(book.position(order.symbol) * instrument.multiplier) * book.marks.get(order.symbol, price)
        after_value = float(after * instrument.multiplier) * price
        gross += abs(after_value) - abs(held_value)
        net += after_value - held_value
        if limits.max_gross_exposure is not None and gross > limits.max_gross_exposure:
            return self._deny(order, now_ns, "GROSS_EXPOSURE_OVER_LIMIT", gross, limits.max_gross_exposure)
        if limits.max_net_exposure is not None and abs(net) > limits.max_net_exposure:
            return self._deny(order, now_ns, "NET_EXPOSURE_OVER_LIMIT", net, limits.max_net_exposure)
        return None

    def _pace(self, order: Order, now_ns: int) -> Denied | None:
        limits = self.limits
        if len(self.book.open) >= limits.max_open_orders:
            return self._deny(order, now_ns, "TOO_MANY_OPEN_ORDERS", len(self.book.open), limits.max_open_orders)
        while self._sent_ns and now_ns - self._sent_ns[0] > 60 * NS:
            self._sent_ns.popleft()
        if limits.max_orders_per_minute is not None and len(self._sent_ns) >= limits.max_orders_per_minute:
            return self._deny(order, now_ns, "ORDER_RATE_OVER_LIMIT", len(self._sent_ns), limits.max_orders_per_minute)
        window_ns = limits.duplicate_window_s * NS
        while self._recent and now_ns - self._recent[0][0] >= window_ns:
            self._recent.popleft()
        if any(shape == _shape(order) for _, sent, shape in self._recent if sent != order.client_order_id):
            return self._deny(order, now_ns, "DUPLICATE_ORDER", order.quantity)
        return None

    def _losses(self, order: Order, now_ns: int) -> Denied | None:
        limits = self.limits
        equity = self._roll_day(now_ns)
        loss = self._day_start_equity - equity
        if limits.max_daily_loss is not None and loss >= limits.max_daily_loss:
            return self._deny(order, now_ns, "DAILY_LOSS_OVER_LIMIT", loss, limits.max_daily_loss)
        self.peak_equity = max(self.peak_equity, equity)
        drawdown = 1 - equity / self.peak_equity if self.peak_equity > 0 else 0.0
        if limits.max_drawdown is not None and drawdown >= limits.max_drawdown:
            return self._deny(order, now_ns, "DRAWDOWN_OVER_LIMIT", drawdown, limits.max_drawdown)
        return None

    def _roll_day(self, now_ns: int) -> float:
        """Equity now; starts a new day's count when the UTC date changed."""
        equity = self.book.equity()
        day = from_ns(now_ns).astimezone(UTC).date().isoformat()
        if day != self._day:
            if self._day:
                self._day_start_equity = equity
            self._day = day
        return equity


def _shape(order: Order) -> tuple[object, ...]:
    return (order.symbol, order.side, order.quantity, order.price, order.stop_price)
