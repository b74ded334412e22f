"""Interactive Brokers through TWS or IB Gateway, over ib_async (or ib_insync where that alone is installed)."""

from autotrader_lab.execution.adapters.ibkr.adapter import IBKRAdapter
from autotrader_lab.execution.adapters.ibkr.feed import IBKRFeed
from autotrader_lab.execution.adapters.ibkr.listener import AccountProfit

__all__ = ["AccountProfit", "IBKRAdapter", "IBKRFeed"]
