"""Binance spot: REST, WebSocket API and streams."""
