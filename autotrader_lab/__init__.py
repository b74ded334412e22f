"""AutoTrader Lab: one strategy climbs from replay to paper, testnet and live inside one notebook session.

The names here are what a researcher needs; each is imported when it is first used, so that ``import autotrader_lab``
costs nothing and optional libraries stay optional.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from autotrader_lab._version import __version__

if TYPE_CHECKING:
    from autotrader_lab.execution.risk import RiskLimits
    from autotrader_lab.lab import Lab
    from autotrader_lab.model.instruments import Instrument
    from autotrader_lab.model.market import Bar, Quote, Trade
    from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderStatus, OrderType
    from autotrader_lab.research.replay import replay
    from autotrader_lab.research.samples import stocks
    from autotrader_lab.strategy import (
        ExecutionDecision,
        ModelStrategy,
        MomentumModel,
        Strategy,
        StrategyConfig,
        TradingStrategy,
    )

__all__ = [
    "Bar",
    "ExecutionDecision",
    "Fill",
    "Instrument",
    "Lab",
    "ModelStrategy",
    "MomentumModel",
    "Order",
    "OrderSide",
    "OrderStatus",
    "OrderType",
    "Quote",
    "RiskLimits",
    "Strategy",
    "StrategyConfig",
    "Trade",
    "TradingStrategy",
    "__version__",
    "replay",
    "stocks",
]

_HOMES = {
    "execution.risk": ("RiskLimits",),
    "lab": ("Lab",),
    "model.instruments": ("Instrument",),
    "model.market": ("Bar", "Quote", "Trade"),
    "model.orders": ("Fill", "Order", "OrderSide", "OrderStatus", "OrderType"),
    "research.replay": ("replay",),
    "research.samples": ("stocks",),
    "strategy": (
        "ExecutionDecision",
        "ModelStrategy",
        "MomentumModel",
        "Strategy",
        "StrategyConfig",
        "TradingStrategy",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'autotrader_lab' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"autotrader_lab.{home}"), name)
    globals()[name] = value
    if name == "Lab":
        _show_labs_as_panels()
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _show_labs_as_panels() -> None:
    """Where the notebook widgets are installed, a lab in a cell shows its live panel."""
    if importlib.util.find_spec("anywidget") is not None:
        importlib.import_module("autotrader_lab.widgets")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext autotrader_lab``: the magics %stage, %positions, %orders and %kill."""
    importlib.import_module("autotrader_lab.ipython").load_ipython_extension(shell)
