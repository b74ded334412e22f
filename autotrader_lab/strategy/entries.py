"""From an entry signal to units: portfolio constraints, size, correlation and drawdown scaling, risk limits.

Every step leaves its findings for the decision's metadata, so that a HOLD can be understood as well as a trade.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy import sizing
from autotrader_lab.strategy.book import SymbolState
from autotrader_lab.strategy.checks import is_scalar, positive
from autotrader_lab.strategy.ledger import Ledger
from autotrader_lab.strategy.limits import Exposure, Refusal, drawdown_factor
from autotrader_lab.strategy.portfolio import require_groups
from autotrader_lab.strategy.signals import EntrySignal
from autotrader_lab.strategy.statistics import as_series, ewma_volatility, parkinson_volatility, std_volatility

__all__ = ["EntryPlan", "EntryRequest", "plan_entry"]


@dataclass(slots=True)
class EntryRequest:
    """One entry asked for, with what the caller of ``process_signal`` gave along."""

    state: SymbolState
    signal: EntrySignal
    returns: Any = None
    high: Any = None
    low: Any = None
    returns_data: Any = None
    limit_price: float | None = None
    win_rate: float | None = None
    avg_win: float | None = None
    avg_loss: float | None = None


@dataclass(slots=True)
class EntryPlan:
    """What becomes of it: units to trade, or a refusal; findings either way."""

    units: float = 0.0
    refusal: Refusal | None = None
    findings: dict[str, Any] = field(default_factory=dict)


def plan_entry(ledger: Ledger, request: EntryRequest) -> EntryPlan:
    """Run an entry through every step.

    Raises
    ------
    StrategyError
        If an input that the configuration needs is missing or no finite number.
    """
    config, risk, portfolio = ledger.config, ledger.risk, ledger.portfolio
    state, signal = request.state, request.signal
    others = ledger.others(state.symbol)
    findings: dict[str, Any] = {"signal": signal.findings()}
    require_groups(state.symbol, state.sector, state.venue, config.portfolio, config.risk)

    refusal = portfolio.check_entry(state.sector, state.venue, others, ledger.now_ns)
    about_book: dict[str, Any] = {"open_positions": len(others), "sector": state.sector, "venue": state.venue}
    findings["portfolio"] = about_book
    if refusal is not None:
        return EntryPlan(0.0, refusal, findings)

    capital = max(0.0, risk.equity)
    volatility = _volatility(ledger, request)
    notional = sizing.clamp_notional(_notional(ledger, request, capital, volatility, others), capital, config.sizing)
    correlation = portfolio.correlation(
        state.symbol, (item.symbol for item in others), request.returns_data, state.bars
    )
    scale = drawdown_factor(risk.drawdown, config.risk)
    scaled = notional * correlation.factor * scale
    about_book["correlation"] = correlation.mean_abs
    about_book["correlation_unmeasured"] = correlation.unmeasured
    findings["sizing"] = {
        "method": config.sizing.method,
        "capital": capital,
        "volatility_per_bar": volatility,
        "notional_unscaled": notional,
        "correlation_factor": correlation.factor,
        "drawdown_factor": scale,
        "notional": scaled,
    }
    findings["risk"] = {
        "drawdown": risk.drawdown,
        "daily_loss": risk.daily_loss,
        "daily_loss_state": risk.daily_state.value,
        "consecutive_losses": risk.loss_streak,
    }
    # the halts come before "too small": a drawdown that scales to nothing is a halt, and is called so
    refusal = risk.halted(ledger.now_ns) or _too_small(scaled, notional, correlation.factor, config.sizing.min_position)
    if refusal is not None:
        return EntryPlan(0.0, refusal, findings)

    quantity = sizing.units(scaled, state.price)
    after = Exposure(state.symbol, signal.side * quantity, signal.side * scaled, state.sector, state.venue)
    refusal = risk.check_exposure(after, others) or portfolio.check_concentration(after, others)
    if refusal is not None:
        return EntryPlan(0.0, refusal, findings)
    if request.limit_price is not None:
        findings["limit_price"] = positive(request.limit_price, "limit_price", state.symbol)
    return EntryPlan(quantity, None, findings)


def _too_small(scaled: float, notional: float, correlation: float, minimum: float) -> Refusal | None:
    if correlation <= 0.0 < notional:
        return Refusal("CORRELATION", "too much correlated with what is held: the size factor is 0")
    if scaled <= 0.0:
        return Refusal("NO_SIZE", "the sizer gives nothing: no capital, or no edge", scaled, 0.0)
    if scaled < minimum:
        return Refusal("MIN_POSITION", f"notional {scaled:.6g} is under min_position {minimum:.6g}", scaled, minimum)
    return None


def _notional(
    ledger: Ledger, request: EntryRequest, capital: float, volatility: float | None, others: list[Exposure]
) -> float:
    config, symbol = ledger.config.sizing, request.state.symbol
    if config.method == "volatility_scaled":
        return sizing.volatility_scaled(capital, config, volatility)
    if config.method == "fixed_fractional":
        return sizing.fixed_fractional(capital, config)
    if config.method == "risk_parity":
        held = [ledger.symbols[item.symbol].volatility.value for item in others]
        return sizing.risk_parity(capital, config, volatility, held)
    averages = ledger.config.signal
    win_rate = _first(request.win_rate, config.win_rate, request.signal.confidence)
    if not 0.0 <= win_rate <= 1.0:
        raise StrategyError(f"{symbol}: win_rate is {win_rate!r}; it must lie between 0 and 1")
    win = positive(_first(request.avg_win, config.avg_win, averages.avg_win), "avg_win", symbol)
    loss = positive(_first(request.avg_loss, config.avg_loss, averages.avg_loss), "avg_loss", symbol)
    return sizing.kelly(capital, config, win_rate, win, loss)


def _first(given: float | None, configured: float | None, fallback: float) -> float:
    if given is not None:
        return given
    return configured if configured is not None else fallback


def _volatility(ledger: Ledger, request: EntryRequest) -> float | None:
    """Volatility per bar from the caller's series, else the running estimate; None while that is not known."""
    config, state = ledger.config.sizing, request.state
    if config.method not in ("volatility_scaled", "risk_parity"):
        return None
    symbol = state.symbol
    if config.vol_method == "parkinson":
        if request.high is not None and request.low is not None and not is_scalar(request.high):
            return _parkinson(request, config.lookback)
        if state.volatility.count == 0:
            raise StrategyError(
                f"{symbol}: vol_method parkinson needs high and low; pass high=... and low=... to process_signal, "
                "or set sizing.vol_method to ewma"
            )
        return state.volatility.value
    if request.returns is None or is_scalar(request.returns):
        return state.volatility.value
    returns = as_series(request.returns, "returns", symbol)
    if returns.size < 2:
        raise StrategyError(f"{symbol}: returns holds {returns.size} values; a volatility needs two or more")
    if config.vol_method == "ewma":
        return ewma_volatility(returns, config.lookback)
    return std_volatility(returns[-config.lookback :])


def _parkinson(request: EntryRequest, lookback: int) -> float:
    symbol = request.state.symbol
    high, low = as_series(request.high, "high", symbol), as_series(request.low, "low", symbol)
    if high.size != low.size or high.size == 0:
        raise StrategyError(
            f"{symbol}: high and low hold {high.size} and {low.size} values; give both for the same bars"
        )
    high, low = high[-lookback:], low[-lookback:]
    wrong = np.flatnonzero((low <= 0.0) | (high < low))
    if wrong.size:
        at = int(wrong[0])
        raise StrategyError(
            f"{symbol}: high {high[at]} and low {low[at]} make no bar; low must be above zero, high not under it"
        )
    return parkinson_volatility(high, low)
