"""Oanda v20 through oandapyV20: REST by a crew of threads, prices and transactions by streams that are watched."""

from autotrader_lab.execution.adapters.oanda.adapter import OandaAdapter
from autotrader_lab.execution.adapters.oanda.feed import OandaFeed

__all__ = ["OandaAdapter", "OandaFeed"]
