"""Paper matching: the pure core that replay and paper trading share."""

from autotrader_lab.execution.adapters.matching.account import PaperAccount
from autotrader_lab.execution.adapters.matching.core import PaperMatching
from autotrader_lab.execution.adapters.matching.latency import Latency

__all__ = ["Latency", "PaperAccount", "PaperMatching"]
