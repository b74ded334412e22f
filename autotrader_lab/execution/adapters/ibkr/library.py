"""Which of the two client libraries speaks to TWS: ib_async where it is installed, else ib_insync, its ancestor.

Only their socket client, their messages and their decoder are used, which the two share. Their ``IB`` object is not: it
keeps books of its own, calls refusals cancels, and tells some failures to a log and to nobody else. Neither is their
patch of asyncio, which nests event loops.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

from autotrader_lab.model.errors import ConfigError

__all__ = ["LIBRARIES", "Library", "load_library"]

LIBRARIES = ("ib_async", "ib_insync")


@dataclass(frozen=True, slots=True)
class Library:
    """What is used of a client library; its classes are as untyped as it is."""

    name: str
    client: Any
    decoder: Any
    contract: Any
    order: Any
    execution_filter: Any


def load_library(name: str = "") -> Library:
    """The library called `name`, or the first that is installed.

    Raises
    ------
    ConfigError
        If it is none of the two, or not installed.
    """
    if name not in ("", *LIBRARIES):
        raise ConfigError(f"ibkr: library {name!r} is none of {', '.join(LIBRARIES)}")
    for each in (name,) if name else LIBRARIES:
        if importlib.util.find_spec(each) is None:
            continue
        parts = {part: importlib.import_module(f"{each}.{part}") for part in ("client", "decoder", "contract", "order")}
        objects = importlib.import_module(f"{each}.objects")
        return Library(
            each,
            parts["client"].Client,
            parts["decoder"].Decoder,
            parts["contract"].Contract,
            parts["order"].Order,
            objects.ExecutionFilter,
        )
    wanted = name or "neither ib_async nor ib_insync"
    raise ConfigError(f"ibkr: {wanted} is {'not ' if name else ''}installed; pip install 'autotrader-lab[ibkr]'")
