"""Risk limits: what stops or shrinks an entry because of what has been lost, traded or is held already.

Time comes in with each call, from the market's events, so that a replay sees days end and cooldowns pass. Exits are
counted here and never refused.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autotrader_lab.strategy.config import RiskConfig

__all__ = ["DailyLoss", "Exposure", "Refusal", "RiskManager", "Status", "TradeWindow", "drawdown_factor"]

NS_PER_S = 1_000_000_000
DAY_NS = 86_400 * NS_PER_S
MINUTE_NS = 60 * NS_PER_S
# a limit met exactly in decimal figures must not be missed, nor one kept exactly be broken, by a float's last digit
TOLERANCE = 1e-9


def reached(value: float, limit: float) -> bool:
    """`value` is at `limit` or beyond."""
    return value >= limit * (1.0 - TOLERANCE)


def over(value: float, limit: float) -> bool:
    """`value` is beyond `limit`."""
    return value > limit * (1.0 + TOLERANCE)


class Status(StrEnum):
    """What state the strategy is in, worst first: only ACTIVE lets entries through."""

    DRAWDOWN_HALT = "DRAWDOWN_HALT"
    RISK_HALT = "RISK_HALT"
    CIRCUIT_BREAKER = "CIRCUIT_BREAKER"
    COOLDOWN = "COOLDOWN"
    ACTIVE = "ACTIVE"


class DailyLoss(StrEnum):
    """How much of the day's loss limit is used up."""

    OK = "OK"
    WARNING = "WARNING"
    BREACHED = "BREACHED"


@dataclass(slots=True, frozen=True)
class Refusal:
    """Why an entry is not made.

    Attributes
    ----------
    code : str
    reason : str
        In words, with the figures.
    asked, limit : float or None
        What the entry would have come to, and what is allowed.
    """

    code: str
    reason: str
    asked: float | None = None
    limit: float | None = None


@dataclass(slots=True)
class Exposure:
    """One symbol's part of the book: signed units, signed notional in account currency, and where it belongs."""

    symbol: str
    units: float
    notional: float
    sector: str | None = None
    venue: str | None = None


class TradeWindow:
    """How many trades lie within the last `span_ns`."""

    __slots__ = ("_times", "limit", "name", "span_ns")

    def __init__(self, name: str, span_ns: int, limit: int) -> None:
        self.name = name
        self.span_ns = span_ns
        self.limit = limit
        self._times: deque[int] = deque()

    def add(self, now_ns: int) -> None:
        """Count a trade."""
        self._times.append(now_ns)

    def count(self, now_ns: int) -> int:
        """Trades younger than the span; one exactly as old as the span has left it."""
        times = self._times
        oldest = now_ns - self.span_ns
        while times and times[0] <= oldest:
            times.popleft()
        return len(times)

    @property
    def times(self) -> list[int]:
        """Times of the trades last counted, ns."""
        return list(self._times)


def drawdown_factor(drawdown: float, config: RiskConfig) -> float:
    """1 up to `scale_start_drawdown`, then falling linearly to 0 at `max_drawdown` (shares of the peak equity)."""
    if reached(drawdown, config.max_drawdown):
        return 0.0
    if drawdown <= config.scale_start_drawdown:
        return 1.0
    return (config.max_drawdown - drawdown) / (config.max_drawdown - config.scale_start_drawdown)


class RiskManager:
    """Daily loss, trade rates, losing streaks, drawdown, inventory and exposure.

    Parameters
    ----------
    config : RiskConfig
    initial_equity : float
        Account currency; the first peak.
    """

    def __init__(self, config: RiskConfig, initial_equity: float) -> None:
        self.config = config
        self.peak_equity = initial_equity
        self.equity = initial_equity
        self.day: int | None = None
        self.daily_loss = 0.0
        self.loss_streak = 0
        self.broken_until_ns: int | None = None
        self.windows = (
            TradeWindow("day", DAY_NS, config.max_trades_per_day),
            TradeWindow("hour", 60 * MINUTE_NS, config.max_trades_per_hour),
            TradeWindow("minute", MINUTE_NS, config.max_trades_per_minute),
        )

    # What happened.

    def advance(self, now_ns: int) -> None:
        """Let time pass: a new UTC day starts its loss at zero, a cooldown that is over ends."""
        day = now_ns // DAY_NS
        if self.day is None or day > self.day:
            self.day = day
            self.daily_loss = 0.0
        if self.broken_until_ns is not None and now_ns >= self.broken_until_ns:
            self.broken_until_ns = None
            self.loss_streak = 0

    def record_cash(self, net: float, at_ns: int) -> None:
        """P&L after fees of one execution. Losses add up over the UTC day; gains do not buy them back."""
        if net < 0.0 and at_ns // DAY_NS == self.day:
            self.daily_loss -= net

    def record_outcome(self, net: float, now_ns: int) -> None:
        """A decision that closed something is done, with this P&L after fees."""
        if net > 0.0:
            self.loss_streak = 0
            self.broken_until_ns = None
        elif net < 0.0:
            self.loss_streak += 1
            if self.loss_streak >= self.config.consecutive_loss_limit:
                self.broken_until_ns = now_ns + round(self.config.cooldown_minutes * MINUTE_NS)

    def record_equity(self, equity: float) -> None:
        """Equity at the last marks, account currency."""
        self.equity = equity
        if equity > self.peak_equity:
            self.peak_equity = equity

    def count_trade(self, now_ns: int) -> None:
        """An order goes out."""
        for window in self.windows:
            window.add(now_ns)

    def restore_daily_loss(self, amount: float, day: int) -> None:
        """Losses that another process had on `day` (days since the epoch); those of a day that is over do not count."""
        if self.day is None or day > self.day:
            self.day = day
            self.daily_loss = amount
        elif day == self.day:
            self.daily_loss = max(self.daily_loss, amount)

    # What follows from it.

    @property
    def drawdown(self) -> float:
        """Share of the peak equity that is lost."""
        return max(0.0, (self.peak_equity - self.equity) / self.peak_equity)

    @property
    def daily_state(self) -> DailyLoss:
        """OK, WARNING or BREACHED."""
        limit = self.config.max_daily_loss
        if reached(self.daily_loss, limit):
            return DailyLoss.BREACHED
        warned = reached(self.daily_loss, limit * self.config.daily_loss_warning)
        return DailyLoss.WARNING if warned else DailyLoss.OK

    def status(self) -> Status:
        """The worst halt in force at the time last advanced to."""
        if reached(self.drawdown, self.config.max_drawdown):
            return Status.DRAWDOWN_HALT
        if self.daily_state is DailyLoss.BREACHED:
            return Status.RISK_HALT
        if self.broken_until_ns is not None:
            return Status.CIRCUIT_BREAKER
        return Status.ACTIVE

    def halted(self, now_ns: int) -> Refusal | None:
        """Why no entry at all may be made now."""
        config = self.config
        drawdown = self.drawdown
        if reached(drawdown, config.max_drawdown):
            return Refusal(
                "DRAWDOWN_HALT",
                f"equity is {drawdown:.2%} under its peak {self.peak_equity:.6g}; "
                f"the limit is {config.max_drawdown:.2%}",
                drawdown,
                config.max_drawdown,
            )
        if reached(self.daily_loss, config.max_daily_loss):
            return Refusal(
                "DAILY_LOSS",
                f"lost {self.daily_loss:.6g} today; the limit is {config.max_daily_loss:.6g}, until the next UTC day",
                self.daily_loss,
                config.max_daily_loss,
            )
        if self.broken_until_ns is not None:
            left_s = (self.broken_until_ns - now_ns) / NS_PER_S
            return Refusal(
                "CONSECUTIVE_LOSSES",
                f"{self.loss_streak} losses in a row; over in {left_s:.6g} s, or with a win",
                self.loss_streak,
                config.consecutive_loss_limit,
            )
        for window in self.windows:
            count = window.count(now_ns)
            if count >= window.limit:
                return Refusal(
                    "TRADE_RATE",
                    f"{count} trades within the last {window.name}; the limit is {window.limit}",
                    count,
                    window.limit,
                )
        return None

    def check_exposure(self, entry: Exposure, others: list[Exposure]) -> Refusal | None:
        """Caps on the book as it stands after the trade.

        Parameters
        ----------
        entry : Exposure
            The entered symbol, after the trade.
        others : list of Exposure
            The rest of the book, entries in flight included.
        """
        config = self.config
        cap = config.max_position_per_symbol.get(entry.symbol, config.default_max_position)
        if over(abs(entry.units), cap):
            return Refusal(
                "POSITION_LIMIT",
                f"{entry.symbol} would hold {abs(entry.units):.6g} units; the limit is {cap:.6g}",
                abs(entry.units),
                cap,
            )
        gross = abs(entry.notional) + sum(abs(item.notional) for item in others)
        if over(gross, config.max_gross_exposure):
            return Refusal(
                "GROSS_EXPOSURE",
                f"gross exposure would be {gross:.6g}; the limit is {config.max_gross_exposure:.6g}",
                gross,
                config.max_gross_exposure,
            )
        net = abs(entry.notional + sum(item.notional for item in others))
        if over(net, config.max_net_exposure):
            return Refusal(
                "NET_EXPOSURE",
                f"net exposure would be {net:.6g}; the limit is {config.max_net_exposure:.6g}",
                net,
                config.max_net_exposure,
            )
        if entry.sector is not None and entry.sector in config.max_sector_exposure:
            limit = config.max_sector_exposure[entry.sector]
            sector = abs(entry.notional) + sum(abs(item.notional) for item in others if item.sector == entry.sector)
            if over(sector, limit):
                return Refusal(
                    "SECTOR_EXPOSURE",
                    f"exposure to sector {entry.sector} would be {sector:.6g}; the limit is {limit:.6g}",
                    sector,
                    limit,
                )
        return None

    # Going on elsewhere.

    def state(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "peak_equity": self.peak_equity,
            "equity": self.equity,
            "day": self.day,
            "daily_loss": self.daily_loss,
            "loss_streak": self.loss_streak,
            "broken_until_ns": self.broken_until_ns,
            "trades_ns": self.windows[0].times,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.peak_equity = state["peak_equity"]
        self.equity = state["equity"]
        self.day = state["day"]
        self.daily_loss = state["daily_loss"]
        self.loss_streak = state["loss_streak"]
        self.broken_until_ns = state["broken_until_ns"]
        for at_ns in state["trades_ns"]:
            self.count_trade(at_ns)
