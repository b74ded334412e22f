"""IB's commissions (fixed pricing), charged per order as its executions come in."""

from __future__ import annotations

from autotrader_lab.sandbox.orders import Instrument, Order
from autotrader_lab.sandbox.units import ONE, parse_e8, share

__all__ = ["commission"]

_PER_SHARE, _SHARE_MINIMUM, _SHARE_MOST = parse_e8("0.005"), parse_e8("1"), parse_e8("0.005")
_FX_RATE, _FX_MINIMUM = parse_e8("0.00002"), parse_e8("2")
_PER_FUTURE = parse_e8("2.25")
_PER_OPTION, _OPTION_MINIMUM = parse_e8("0.65"), parse_e8("1")


def commission(instrument: Instrument, order: Order, price: int, quantity: int) -> int:
    """What one more fill of an order costs: the whole order's commission less what it has been charged already."""
    charged = sum(fill.fee for fill in order.fills)
    amount = order.amount + instrument.amount(price, quantity)
    return max(0, _total(instrument, order.executed + quantity, amount) - charged)


def _total(instrument: Instrument, quantity: int, amount: int) -> int:
    if instrument.base == "EUR":
        return max(share(amount, _FX_RATE), _FX_MINIMUM)
    if instrument.multiplier == 100:
        return max(quantity * _PER_OPTION // ONE, _OPTION_MINIMUM)
    if instrument.multiplier > 1:
        return quantity * _PER_FUTURE // ONE
    most = share(amount, _SHARE_MOST)
    asked = quantity * _PER_SHARE // ONE
    return _SHARE_MINIMUM if asked < _SHARE_MINIMUM else min(asked, most)
