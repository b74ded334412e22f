"""How a strategy travels from the notebook into the engine host, and what is said when it cannot.

A strategy is pickled with cloudpickle, so that a class or function typed into a notebook cell goes along by value,
code and all. What cannot travel (an open connection, a lock, a generator) is named by its path inside the strategy,
before anything starts.
"""

from __future__ import annotations

import sys
from typing import Any

import cloudpickle

from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy.contract import Strategy, as_strategy

__all__ = ["pack", "strategy_name", "unpack"]

_DEPTH = 6


def strategy_name(strategy: Any) -> str:
    """The name people know it by: its configured name, its function's or its class's."""
    config = getattr(strategy, "config", None)
    for name in (getattr(config, "strategy_name", None), getattr(strategy, "name", None)):
        if isinstance(name, str) and name:
            return name
    own = getattr(strategy, "__name__", None) or type(strategy).__name__
    return str(own)


def pack(strategy: Any) -> bytes:
    """The strategy as bytes that another Python process can load.

    Raises
    ------
    StrategyError
        If it is no strategy, or holds something that cannot travel; the message names the attribute.
    """
    as_strategy(strategy)
    try:
        return bytes(cloudpickle.dumps(strategy))
    except Exception as error:  # pickling calls foreign __reduce__ methods
        where, value = _culprit(strategy, strategy_name(strategy))
        raise StrategyError(
            f"the strategy cannot travel to the engine host: {where} is {_described(value)} and cannot be pickled "
            f"({type(error).__name__}: {error}). Make it in on_start(), which runs in the host, or leave it out with "
            "__getstate__"
        ) from error


def unpack(packed: bytes) -> Strategy:
    """The strategy that :func:`pack` packed, made anew.

    Raises
    ------
    StrategyError
        If it does not load here: a module that is only importable in the notebook, or no strategy at all.
    """
    try:
        loaded = cloudpickle.loads(packed)
    except ModuleNotFoundError as error:
        raise StrategyError(
            f"the strategy does not load in the engine host: module {error.name!r} cannot be imported there. Define "
            "the strategy in the notebook, install the module, or send it by value: "
            f"cloudpickle.register_pickle_by_value({error.name or 'module'})"
        ) from error
    except Exception as error:  # unpickling runs the strategy's own code
        raise StrategyError(
            f"the strategy does not load in the engine host: {type(error).__name__}: {error}. Check its __setstate__ "
            "and what its class needs at import"
        ) from error
    return as_strategy(loaded)


def _culprit(value: Any, path: str, depth: int = 0) -> tuple[str, Any]:
    """The innermost part of `value` that cannot be pickled, and the way to it."""
    if depth < _DEPTH:
        for name, part in _parts(value):
            if not _travels(part):
                return _culprit(part, f"{path}{name}", depth + 1)
    return path, value


def _parts(value: Any) -> list[tuple[str, Any]]:
    parts: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        parts += [(f"[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, (list, tuple)):
        parts += [(f"[{index}]", part) for index, part in enumerate(value)]
    parts += [(f".{name}", part) for name, part in getattr(value, "__dict__", {}).items()]
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                parts.append((f".{name}", getattr(value, name)))
    closure = getattr(value, "__closure__", None)
    if closure:
        names = value.__code__.co_freevars
        parts += [(f" (variable {name})", cell.cell_contents) for name, cell in zip(names, closure, strict=True)]
    if getattr(value, "__module__", "") == "__main__" and hasattr(value, "__globals__"):
        used = value.__code__.co_names
        parts += [(f" (global {name})", value.__globals__[name]) for name in used if name in value.__globals__]
    if type(value).__module__ == "__main__" and not isinstance(value, type):
        parts += [(f".{name}", part) for name, part in vars(type(value)).items() if callable(part)]
    return parts


def _travels(value: Any) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 - the answer is all that is wanted
        return False
    return True


def _described(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    text = f"a {module}{kind.__qualname__}"
    return text if sys.getsizeof(value) > 200 or len(repr(value)) > 60 else f"{text} ({value!r})"
