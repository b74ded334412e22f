"""What FXCM takes for an order and what it refuses, in the words its public pages quote.

A limit order that waits (GTC, DAY) must not be worse than the market, one that does not (IOC, FOK) must reach it; a
stop keeps its distance; a market-range order's worst price must be beyond the market. Where FXCM's own text for a
refusal is not public, the text here says plainly what is wrong and carries no ORA number.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from autotrader_lab.sandbox.orders import OrderRequest, OrderType, Prevention, Side, TimeInForce
from autotrader_lab.sandbox.units import ONE
from autotrader_lab.sandbox.venues.fxcm.products import PRODUCTS, Product
from autotrader_lab.sandbox.venues.fxcm.wire import Incoming

__all__ = ["Declined", "ora", "read_amendment", "read_order"]

_TEXTS = {
    20008: "Failed to create order, primary validation",
    20102: "Access Violation",
    20105: "Order price did not pass validation",
    20112: "Limit price did not pass validation",
    20113: "Insufficient margin in session",
}
_TIMES = {"0": TimeInForce.GTC, "1": TimeInForce.GTC, "3": TimeInForce.IOC, "4": TimeInForce.FOK}


class Declined(Exception):
    """The venue says no; `reason` is the standard's number for it (tag 103)."""

    def __init__(self, text: str, reason: str = "99") -> None:
        super().__init__(text)
        self.text = text
        self.reason = reason


def ora(number: int) -> Declined:
    """A refusal of FXCM's database, as it comes in tag 58."""
    return Declined(f"19915;DAS 19915: ZDas Exception ORA-{number}: {_TEXTS[number]}")


def read_order(
    message: Incoming, account: str, market: Mapping[str, tuple[int, int]]
) -> tuple[Product, OrderRequest, str, str]:
    """A NewOrderSingle as product, request, order type and time in force (tags 40 and 59).

    Parameters
    ----------
    market : mapping
        Best bid and ask in e8 by the sandbox's symbol.

    Raises
    ------
    Declined
        In FXCM's words where they are known.
    """
    if not message[1]:
        raise Declined("No Account specified")
    if message[1] != account:
        raise ora(20102)
    product = PRODUCTS.get(message[55])
    if product is None:
        raise Declined(f"Unknown symbol {message[55]}", "1")
    kind, times = message[40], message[59] or "1"
    if kind not in ("1", "2", "3", "4") or times not in _TIMES or message[54] not in ("1", "2"):
        raise Declined("Unsupported order characteristic", "11")
    if not message[11]:
        raise Declined("ClOrdID is required")
    side = Side.BUY if message[54] == "1" else Side.SELL
    quantity = _quantity(message, product)
    price, stop = _price(message, 44, product), _price(message, 99, product)
    bid, ask = market[product.instrument.symbol]
    _check_prices(kind, times, side, price, stop, bid, ask, product)
    types = {"1": OrderType.MARKET, "2": OrderType.LIMIT, "3": OrderType.STOP_LOSS, "4": OrderType.LIMIT}
    request = OrderRequest(
        symbol=product.instrument.symbol,
        side=side,
        type=types[kind],
        client_order_id=message[11],
        time_in_force=_TIMES[times],
        quantity=quantity,
        price={"2": price, "4": stop}.get(kind, 0),
        stop_price=stop if kind == "3" else 0,
        prevention=Prevention.NONE,
        triggers_at_once=True,
    )
    return product, request, kind, times


def _check_prices(
    kind: str, times: str, side: Side, price: int, stop: int, bid: int, ask: int, product: Product
) -> None:
    is_buy = side is Side.BUY
    best = ask if is_buy else bid
    if kind == "2":
        if not price:
            raise ora(20112)
        reaches = price >= best if is_buy else price <= best
        is_better = price > best if is_buy else price < best
        if (times in "34" and not reaches) or (times in "01" and is_better):
            raise ora(20112)
    elif kind == "3":
        away = int(Decimal(product.stop_distance) * Decimal(product.pip) * ONE)
        near = stop < ask + away if is_buy else stop > bid - away
        if not stop or near or times in "34":
            raise ora(20105)
    elif kind == "4":
        beyond = stop >= ask if is_buy else 0 < stop <= bid
        if not beyond or times in "01":
            raise ora(20008)


def read_amendment(
    message: Incoming, product: Product, kind: str, times: str, side: Side, market: Mapping[str, tuple[int, int]]
) -> tuple[int, int, int]:
    """An OrderCancelReplaceRequest as quantity, price and stop price in e8.

    Raises
    ------
    Declined
        As for a new order.
    """
    quantity = _quantity(message, product)
    price, stop = _price(message, 44, product), _price(message, 99, product)
    bid, ask = market[product.instrument.symbol]
    _check_prices(kind, times, side, price, stop, bid, ask, product)
    return quantity, price if kind == "2" else 0, stop if kind == "3" else 0


def _quantity(message: Incoming, product: Product) -> int:
    amount = message.amount(38)
    instrument = product.instrument
    if amount is None or amount != int(amount) or int(amount) * ONE % instrument.step:
        raise ora(20008)
    quantity = int(amount) * ONE
    if not instrument.min_quantity <= quantity <= instrument.max_quantity:
        raise ora(20008)
    return quantity


def _price(message: Incoming, tag: int, product: Product) -> int:
    if not message[tag]:
        return 0
    value = message.amount(tag)
    if value is None or value < 0 or value * ONE != int(value * ONE) or int(value * ONE) % product.instrument.tick:
        raise ora(20105 if tag == 99 else 20112)
    return int(value * ONE)
