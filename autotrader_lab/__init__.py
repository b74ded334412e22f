"""AutoTrader Lab."""
