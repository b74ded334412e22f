"""Market data: feeds, books and bars."""

from autotrader_lab.execution.market_data.feeds import Feed, LocalFeed

__all__ = ["Feed", "LocalFeed"]
