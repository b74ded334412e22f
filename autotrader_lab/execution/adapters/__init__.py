"""Venues, each behind one interface. Venue modules are imported on demand: their client libraries are optional."""

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter, Capabilities
from autotrader_lab.model.orders import Fill, Order, OrderSide, OrderStatus, OrderType

__all__ = ["BaseBrokerAdapter", "Capabilities", "Fill", "Order", "OrderSide", "OrderStatus", "OrderType"]
