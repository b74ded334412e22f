"""Order management: the books, the desk that approves and writes down, the manager that sends."""

from autotrader_lab.execution.book import Change, OrderBook
from autotrader_lab.execution.oms.desk import Desk
from autotrader_lab.execution.oms.manager import OrderManager

__all__ = ["Change", "Desk", "OrderBook", "OrderManager"]
