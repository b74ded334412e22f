"""Who is not tested: capabilities that are declared and proven by nothing, adapters without a conformance class."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from dataclasses import fields
from types import ModuleType

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter, Capabilities
from autotrader_lab.model.orders import TIMES_IN_FORCE, OrderType
from autotrader_lab.testing.harness import Harness
from autotrader_lab.testing.running import needs_of, why_not

__all__ = ["adapter_classes", "conformance_gaps"]

_SETS = {"order_types": frozenset(OrderType), "times_in_force": frozenset(TIMES_IN_FORCE)}
"""Capabilities that are sets, and what of each the suite goes through one by one."""


def conformance_gaps(suite: type, harness: Harness) -> list[str]:
    """What the adapter declares and no test of `suite` proves on this harness; also tests that were switched off.

    A test proves a capability that it names among its needs, if it runs. A subclass proves more by tests of its own,
    marked with :func:`~autotrader_lab.testing.conforms`.
    """
    tests = {name: needs_of(test) for name, test in inspect.getmembers(suite) if name.startswith("test")}
    switched_off = sorted(
        name
        for each in suite.__mro__
        for name, test in vars(each).items()
        if needs_of(test) is not None and tests.get(name) is None
    )
    gaps = [f"{name} is overridden by what is no conformance test" for name in dict.fromkeys(switched_off)]
    declared = harness.adapter.capabilities
    running = [needs for needs in tests.values() if needs is not None and why_not(needs, harness) is None]
    proven = {need for needs in running for need in needs if isinstance(need, str)}
    adapter = type(harness.adapter).__name__
    for field in fields(Capabilities):
        value = getattr(declared, field.name)
        if field.name in _SETS:
            odd = sorted(str(each) for each in value - _SETS[field.name])
            gaps += [f"{adapter} declares {field.name} {each}, which no test sends" for each in odd]
        elif value and field.name not in proven:
            gaps.append(
                f"{adapter} declares {field.name}, and no test that runs here proves it: add one to {suite.__name__} "
                f"marked @conforms({field.name!r}), or let the venue's control provoke what the suite's own need"
            )
    return gaps


def adapter_classes(package: ModuleType) -> set[type[BaseBrokerAdapter]]:
    """Every adapter a person can make that is defined in `package`, its private and abstract bases left out.

    Raises
    ------
    ImportError
        If a module of the package cannot be imported.
    """
    found: set[type[BaseBrokerAdapter]] = set()
    for module in _modules(package):
        for _, each in inspect.getmembers(module, inspect.isclass):
            is_public = each.__module__.startswith(package.__name__) and not each.__name__.startswith("_")
            if is_public and issubclass(each, BaseBrokerAdapter) and not inspect.isabstract(each):
                found.add(each)
    return found


def _modules(package: ModuleType) -> Iterable[ModuleType]:
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(info.name)
