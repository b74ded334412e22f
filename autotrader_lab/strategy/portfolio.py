"""Portfolio constraints: what the rest of the book says about one more position.

Counting limits come before sizing, concentration after it, because it needs the size; correlation shrinks the size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy.config import PortfolioConfig, RiskConfig
from autotrader_lab.strategy.limits import MINUTE_NS, NS_PER_S, Exposure, Refusal, over, reached
from autotrader_lab.strategy.statistics import as_series, correlation

__all__ = ["CorrelationFinding", "PortfolioManager", "correlation_factor", "require_groups"]


def correlation_factor(mean_abs: float, maximum: float) -> float:
    """1 − mean|corr|/max, 0 at or above max."""
    return 0.0 if reached(mean_abs, maximum) else 1.0 - mean_abs / maximum


class CorrelationFinding:
    """The size factor, the mean |correlation| behind it (None: not measured), and whom it was not measured with."""

    __slots__ = ("factor", "mean_abs", "unmeasured")

    def __init__(self, factor: float, mean_abs: float | None, unmeasured: list[str]) -> None:
        self.factor = factor
        self.mean_abs = mean_abs
        self.unmeasured = unmeasured


class PortfolioManager:
    """Concurrency, sectors and venues, correlation, and the pause after losses.

    Parameters
    ----------
    config : PortfolioConfig
    """

    def __init__(self, config: PortfolioConfig) -> None:
        self.config = config
        self.loss_count = 0
        self.triggers = 0
        self.cooldown_until_ns: int | None = None
        # (candidate, held) -> (correlation or None, candidate's bar when it was measured)
        self._pairs: dict[tuple[str, str], tuple[float | None, int]] = {}

    # The pause after losses.

    def advance(self, now_ns: int) -> None:
        """Let time pass: a cooldown that is over ends."""
        if self.cooldown_until_ns is not None and now_ns >= self.cooldown_until_ns:
            self.cooldown_until_ns = None

    def record_outcome(self, net: float, now_ns: int) -> None:
        """A decision that closed something is done, with this P&L after fees."""
        if net > 0.0:
            self.loss_count = 0
            self.triggers = 0
        elif net < 0.0:
            self.loss_count += 1
            if self.loss_count >= self.config.cooldown_loss_count:
                self.cooldown_until_ns = now_ns + round(self.next_cooldown_minutes() * MINUTE_NS)
                self.triggers += 1
                self.loss_count = 0

    def next_cooldown_minutes(self) -> float:
        """How long the next pause will be."""
        config = self.config
        if not config.progressive_cooldown:
            return config.cooldown_minutes
        # 2**64 is beyond any maximum; more would only overflow
        return min(config.max_cooldown_minutes, config.cooldown_minutes * 2.0 ** min(self.triggers, 64))

    # Before the size is known.

    def check_entry(self, sector: str | None, venue: str | None, held: list[Exposure], now_ns: int) -> Refusal | None:
        """Whether one more position may be opened at all.

        Parameters
        ----------
        sector, venue : str or None
            Of the entry.
        held : list of Exposure
            The other symbols' positions, entries in flight included.
        now_ns : int
        """
        config = self.config
        if self.cooldown_until_ns is not None:
            left_s = (self.cooldown_until_ns - now_ns) / NS_PER_S
            return Refusal("COOLDOWN", f"pause after losses, over in {left_s:.6g} s")
        if len(held) >= config.max_concurrent_positions:
            return Refusal(
                "CONCURRENT_POSITIONS",
                f"{len(held)} positions are open; the limit is {config.max_concurrent_positions}",
                len(held) + 1,
                config.max_concurrent_positions,
            )
        return _too_many(
            "sector", sector, [item.sector for item in held], config.max_per_sector, config.min_sectors
        ) or (_too_many("venue", venue, [item.venue for item in held], config.max_per_venue, config.min_venues))

    # Once the size is known.

    def check_concentration(self, entry: Exposure, others: list[Exposure]) -> Refusal | None:
        """Share of the gross exposure that the entry's sector and venue have after the trade."""
        if not others:
            return None
        config = self.config
        if config.max_sector_concentration < 1.0:
            same = [item for item in others if item.sector == entry.sector]
            found = _too_concentrated("sector", entry.sector, entry, same, others, config.max_sector_concentration)
            if found is not None:
                return found
        if config.max_venue_concentration < 1.0:
            same = [item for item in others if item.venue == entry.venue]
            return _too_concentrated("venue", entry.venue, entry, same, others, config.max_venue_concentration)
        return None

    def correlation(self, symbol: str, held: Iterable[str], returns_data: Any, bar: int) -> CorrelationFinding:
        """Size factor of `symbol` against what is held.

        Parameters
        ----------
        symbol : str
        held : iterable of str
            Other symbols in the book.
        returns_data : mapping, pandas.DataFrame or None
            Returns per symbol, aligned at their last row, of the same period as the strategy's bars.
        bar : int
            The symbol's bar count: a pair is measured anew after `correlation_update_freq` bars.

        Raises
        ------
        StrategyError
            If a series in `returns_data` is not a sequence of finite numbers.
        """
        names = list(held)
        if not names or returns_data is None:
            return CorrelationFinding(1.0, None, names)
        measured: list[float] = []
        unmeasured: list[str] = []
        for other in names:
            value = self._pair(symbol, other, returns_data, bar)
            if value is None:
                unmeasured.append(other)
            else:
                measured.append(abs(value))
        if not measured:
            return CorrelationFinding(1.0, None, unmeasured)
        mean_abs = sum(measured) / len(measured)
        return CorrelationFinding(correlation_factor(mean_abs, self.config.max_correlation), mean_abs, unmeasured)

    def _pair(self, symbol: str, other: str, returns_data: Any, bar: int) -> float | None:
        known = self._pairs.get((symbol, other))
        if known is not None and bar - known[1] < self.config.correlation_update_freq:
            return known[0]
        if symbol not in returns_data or other not in returns_data:
            return None
        rows = self.config.correlation_lookback
        own = as_series(returns_data[symbol], "returns_data", symbol)[-rows:]
        value = correlation(own, as_series(returns_data[other], "returns_data", other)[-rows:])
        self._pairs[symbol, other] = value, bar
        return value

    # Going on elsewhere.

    def state(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "loss_count": self.loss_count,
            "triggers": self.triggers,
            "cooldown_until_ns": self.cooldown_until_ns,
            "pairs": [[*names, *known] for names, known in self._pairs.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.loss_count = state["loss_count"]
        self.triggers = state["triggers"]
        self.cooldown_until_ns = state["cooldown_until_ns"]
        self._pairs = {(symbol, other): (value, bar) for symbol, other, value, bar in state["pairs"]}


def require_groups(
    symbol: str, sector: str | None, venue: str | None, portfolio: PortfolioConfig, risk: RiskConfig
) -> None:
    """Refuse to judge limits by sector or venue blindly.

    Raises
    ------
    StrategyError
        If the configuration limits by one of them and the symbol's is not known.
    """
    by_sector = (
        portfolio.max_per_sector is not None
        or portfolio.min_sectors > 0
        or portfolio.max_sector_concentration < 1.0
        or bool(risk.max_sector_exposure)
    )
    by_venue = (
        portfolio.max_per_venue is not None or portfolio.min_venues > 0 or portfolio.max_venue_concentration < 1.0
    )
    for name, value, needed in (("sector", sector, by_sector), ("venue", venue, by_venue)):
        if needed and value is None:
            raise StrategyError(
                f"{symbol}: the configuration limits by {name}, and its {name} is not known; "
                f"pass {name}=... to process_signal"
            )


def _too_many(name: str, own: str | None, held: list[str | None], maximum: int | None, minimum: int) -> Refusal | None:
    if maximum is not None:
        count = held.count(own)
        if count >= maximum:
            return Refusal(
                f"PER_{name.upper()}", f"{count} positions in {name} {own}; the limit is {maximum}", count + 1, maximum
            )
    distinct = set(held)
    if len(distinct) < minimum and own in distinct:
        return Refusal(
            f"MIN_{name.upper()}S",
            f"the book spans {len(distinct)} {name}s of at least {minimum}; the next entry must be outside {own}",
            len(distinct),
            minimum,
        )
    return None


def _too_concentrated(
    name: str, own: str | None, entry: Exposure, same: list[Exposure], others: list[Exposure], maximum: float
) -> Refusal | None:
    gross = abs(entry.notional) + sum(abs(item.notional) for item in others)
    share = (abs(entry.notional) + sum(abs(item.notional) for item in same)) / gross
    if not over(share, maximum):
        return None
    return Refusal(
        f"{name.upper()}_CONCENTRATION",
        f"{name} {own} would be {share:.2%} of the gross exposure; the limit is {maximum:.2%}",
        share,
        maximum,
    )
