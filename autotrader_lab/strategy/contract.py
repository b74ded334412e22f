"""The small contract a strategy meets, and the way any class or function is made to meet it.

A strategy is any object with at least one of ``on_bar``, ``on_quote``, ``on_trade``; each takes the event and a
:class:`Context` and returns an :class:`ExecutionDecision`, a list of them, or None. A plain function of
(event, context) is a strategy on bars. All other hooks are optional: see :class:`Strategy`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import Any, Protocol

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.market import Bar, Quote, Trade
from autotrader_lab.strategy.decision import CLOSE, LONG, SHORT, ExecutionDecision

__all__ = ["Context", "Decisions", "FunctionStrategy", "Strategy", "as_strategy", "fingerprint"]

Decisions = ExecutionDecision | Iterable[ExecutionDecision] | None


class Context(Protocol):
    """What a strategy may know of the account while it decides; the engine's, read-only."""

    @property
    def now(self) -> datetime:
        """Time of the event, UTC."""
        ...

    @property
    def equity(self) -> float:
        """Account equity at the last marks, account currency."""
        ...

    def position(self, symbol: str) -> float:
        """Units held, signed."""
        ...

    def instrument(self, symbol: str) -> Instrument:
        """Grid and limits of `symbol`."""
        ...


class Strategy:
    """Base class with every hook doing nothing; inheriting from it is a convenience, not a duty.

    Attributes
    ----------
    symbols : sequence of str
        What it wants data of; empty means whatever the session trades.
    """

    symbols: Sequence[str] = ()

    def on_start(self, context: Context) -> None:
        """Called once before the first event of a stage."""

    def on_bar(self, bar: Bar, context: Context) -> Decisions:
        """A bar is over."""
        return None

    def on_quote(self, quote: Quote, context: Context) -> Decisions:
        """Best bid or ask changed (the latest; what came in between is dropped)."""
        return None

    def on_trade(self, trade: Trade, context: Context) -> Decisions:
        """The market traded."""
        return None

    def record_execution(
        self,
        decision: ExecutionDecision,
        pnl: float,
        fees: float = 0.0,
        fill_price: float | None = None,
        quantity: float | None = None,
        timestamp: datetime | None = None,
    ) -> None:
        """One execution of an order that `decision` caused: realised P&L before fees, and fees, account currency."""

    def decision_closed(self, decision: ExecutionDecision) -> None:
        """Nothing more will come of `decision`: its order is filled, cancelled, rejected, expired or denied."""

    def parameters(self) -> Mapping[str, Any]:
        """What changes its behaviour, as plain values; part of the fingerprint that evidence is bound to."""
        return {name: value for name, value in sorted(vars(self).items()) if not name.startswith("_")}

    # The three ways to say something, so that a strategy reads as it is meant.

    @staticmethod
    def long(symbol: str, size: float, context: Context, **metadata: Any) -> ExecutionDecision:
        """Open, add to or flip to a long position of `size` units."""
        return ExecutionDecision(LONG, symbol, size, 1.0, context.now, metadata)

    @staticmethod
    def short(symbol: str, size: float, context: Context, **metadata: Any) -> ExecutionDecision:
        """Open, add to or flip to a short position of `size` units."""
        return ExecutionDecision(SHORT, symbol, size, 1.0, context.now, metadata)

    @staticmethod
    def close(symbol: str, context: Context, size: float = 0.0, **metadata: Any) -> ExecutionDecision:
        """Flatten `size` units of what is held; all of it when 0."""
        return ExecutionDecision(CLOSE, symbol, size, 1.0, context.now, metadata)


class FunctionStrategy(Strategy):
    """A plain function of (bar, context) as a strategy."""

    def __init__(self, function: Callable[[Bar, Context], Decisions]) -> None:
        self.function = function

    def on_bar(self, bar: Bar, context: Context) -> Decisions:
        return self.function(bar, context)

    def parameters(self) -> Mapping[str, Any]:
        return {"function": getattr(self.function, "__qualname__", repr(type(self.function)))}


_HOOKS = ("on_bar", "on_quote", "on_trade")
_OPTIONAL = ("on_start", "record_execution", "decision_closed", "parameters")


class _Adapted(Strategy):
    """An object that has only some of the hooks; a bare ``TradingStrategy`` has none and still learns of its fills."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.symbols = tuple(getattr(inner, "symbols", ()))
        for hook in (*_HOOKS, *_OPTIONAL):
            method = getattr(inner, hook, None)
            if method is not None:
                setattr(self, hook, method)

    def parameters(self) -> Mapping[str, Any]:
        return {name: value for name, value in sorted(vars(self.inner).items()) if not name.startswith("_")}


def as_strategy(candidate: Any) -> Strategy:
    """`candidate` as a :class:`Strategy`: an instance, an object with some of the hooks, or a function.

    Raises
    ------
    StrategyError
        If it is a class instead of an instance, or has no hook to call.
    """
    if isinstance(candidate, Strategy):
        return candidate
    if isinstance(candidate, type):
        raise StrategyError(f"{candidate.__name__} is a class; give an instance: {candidate.__name__}(...)")
    if any(callable(getattr(candidate, hook, None)) for hook in (*_HOOKS, "process_signal")):
        return _Adapted(candidate)
    if callable(candidate):
        return FunctionStrategy(candidate)
    raise StrategyError(
        f"{candidate!r} is no strategy: give a function of (bar, context), or an object with {', '.join(_HOOKS)}"
    )


def fingerprint(strategy: Any, *extra: Any) -> str:
    """Hash of a strategy's code, its parameters and whatever else evidence is to be bound to (risk limits).

    Code is the source of its class and of its bases outside the standard library, or of its function; where there is no
    source, the compiled code. Running state does not count: take the fingerprint before the strategy runs.

    Returns
    -------
    str
        The first 16 hex digits of a SHA-256.
    """
    subject = as_strategy(strategy)
    parts: list[str] = []
    inner: Any = getattr(subject, "inner", None) or getattr(subject, "function", None) or subject
    if inspect.isroutine(inner):
        parts.append(_code_of(inner))
    else:
        parts.extend(_code_of(cls) for cls in type(inner).__mro__ if cls not in (object, Strategy))
    parts.append(_plain(subject.parameters()))
    parts.extend(_plain(value) for value in extra)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _code_of(thing: Any) -> str:
    """Source of a class or function, with what a function closes over; compiled code where there is no source."""
    code = getattr(thing, "__code__", None)
    try:
        source = inspect.getsource(thing)
    except (OSError, TypeError):
        source = ""
    if code is None:
        if source or not isinstance(thing, type):
            return source
        return "".join(_code_of(member) for _, member in sorted(vars(thing).items()) if inspect.isfunction(member))
    if not source or code.co_name == "<lambda>":  # several lambdas may stand on one line
        constants = [constant for constant in code.co_consts if not inspect.iscode(constant)]
        source += f"{code.co_code.hex()}{constants!r}{code.co_names!r}"
    bound = inspect.getclosurevars(thing).nonlocals
    values = {name: value for name, value in bound.items() if not isinstance(value, (type, ModuleType))}
    return f"{source}{_plain(values)}{_plain(thing.__defaults__)}"


def _plain(value: Any) -> str:
    def fallback(thing: Any) -> Any:
        if inspect.isroutine(thing):
            return _code_of(thing)
        if hasattr(thing, "parameters"):
            return [_code_of(type(thing)), thing.parameters()]
        if hasattr(thing, "model_dump"):
            return thing.model_dump(mode="json")
        return [_code_of(type(thing)), sorted(vars(thing).items())] if hasattr(thing, "__dict__") else repr(thing)

    return json.dumps(value, sort_keys=True, default=fallback)
