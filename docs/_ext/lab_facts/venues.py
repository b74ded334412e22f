"""What each venue's adapter really does."""

from __future__ import annotations

import importlib
from dataclasses import fields

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter, Capabilities
from autotrader_lab.execution.config import BROKERS
from autotrader_lab.model.orders import OrderType
from autotrader_lab.testing.harness import Fault
from lab_facts.markdown import code, documented, table

__all__ = ["adapters", "binance_table", "capability_matrix", "fault_table"]


def adapters() -> dict[str, type[BaseBrokerAdapter]]:
    """The adapter class of every broker that has one, in the order of the configuration."""
    found = {}
    for broker in BROKERS:
        name = f"autotrader_lab.execution.adapters.{broker}"
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:  # not written yet, or its client library is not installed here
            continue
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseBrokerAdapter) and value.venue == broker:
                found[broker] = value
    return found


def capability_matrix() -> str:
    """Capabilities down, venues across."""
    known = adapters()
    rows = []
    for kind in OrderType:
        cells = (_yes(kind in adapter.capabilities.order_types) for adapter in known.values())
        rows.append((f"order type {code(kind.value)}", *cells))
    times = sorted({time for adapter in known.values() for time in adapter.capabilities.times_in_force})
    for time in times:
        cells = (_yes(time in adapter.capabilities.times_in_force) for adapter in known.values())
        rows.append((f"time in force {code(time)}", *cells))
    for field in fields(Capabilities):
        if field.name not in ("order_types", "times_in_force"):
            values = [getattr(adapter.capabilities, field.name) for adapter in known.values()]
            rows.append((code(field.name), *(_yes(value) for value in values)))
    missing = [broker for broker in BROKERS if broker not in known]
    told = f"\nNot in this table, because their adapters cannot be loaded here: {', '.join(missing)}.\n"
    return table(("", *known), rows) + (told if missing else "")


def binance_table() -> str:
    """Binance's capabilities, with what each means."""
    capabilities = adapters()["binance"].capabilities
    meanings = documented(Capabilities)
    rows = [
        ("order types", ", ".join(code(kind.value) for kind in OrderType if kind in capabilities.order_types), ""),
        ("times in force", ", ".join(code(time) for time in sorted(capabilities.times_in_force)), ""),
    ]
    for field in fields(Capabilities):
        if field.name not in ("order_types", "times_in_force"):
            value = getattr(capabilities, field.name)
            rows.append((code(field.name), _yes(value), meanings.get(field.name, "")))
    return table(("", "Binance spot", "meaning"), rows)


def fault_table() -> str:
    """What the conformance suite provokes at a venue."""
    return table(("fault", "the venue is made to"), ((code(fault.name), fault.value) for fault in Fault))


def _yes(value: object) -> str:
    return "yes" if value is True else "–" if value is False else str(value)
