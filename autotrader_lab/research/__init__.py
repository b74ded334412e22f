"""Trying a strategy on history: checked data, replay through the live core, figures and plots."""

from autotrader_lab.research.data import MarketData, load
from autotrader_lab.research.replay import replay
from autotrader_lab.research.result import ReplayResult
from autotrader_lab.research.run import ReplayStopped

__all__ = ["MarketData", "ReplayResult", "ReplayStopped", "load", "replay"]
