"""Phase 8: from a prediction to a risk-checked decision, and the small contract that any strategy can meet."""

from autotrader_lab.strategy.config import PortfolioConfig, RiskConfig, SignalConfig, SizingConfig, StrategyConfig
from autotrader_lab.strategy.contract import Context, Strategy, as_strategy, fingerprint
from autotrader_lab.strategy.decision import CLOSE, HOLD, LONG, SHORT, ExecutionDecision
from autotrader_lab.strategy.limits import Status
from autotrader_lab.strategy.model_strategy import ModelStrategy
from autotrader_lab.strategy.models import History, Model, MomentumModel, OnlineLogisticModel
from autotrader_lab.strategy.trading import TradingStrategy

__all__ = [
    "CLOSE",
    "HOLD",
    "LONG",
    "SHORT",
    "Context",
    "ExecutionDecision",
    "History",
    "Model",
    "ModelStrategy",
    "MomentumModel",
    "OnlineLogisticModel",
    "PortfolioConfig",
    "RiskConfig",
    "SignalConfig",
    "SizingConfig",
    "Status",
    "Strategy",
    "StrategyConfig",
    "TradingStrategy",
    "as_strategy",
    "fingerprint",
]
