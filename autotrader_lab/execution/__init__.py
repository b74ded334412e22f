"""Engine, order management, risk, resiliency, adapters. Plain asyncio; knows nothing of hosts or notebooks."""

from autotrader_lab.execution.engine import ExecutionEngine
from autotrader_lab.execution.kill import KillReport, KillSwitch
from autotrader_lab.execution.oms import OrderManager
from autotrader_lab.execution.resiliency import ResiliencyManager
from autotrader_lab.execution.risk import RiskGate, RiskLimits, TradingState
from autotrader_lab.execution.trader import Trader

__all__ = [
    "ExecutionEngine",
    "KillReport",
    "KillSwitch",
    "OrderManager",
    "ResiliencyManager",
    "RiskGate",
    "RiskLimits",
    "Trader",
    "TradingState",
]
