"""Our orders in OKX's words, and what the venue would refuse for its form.

No I/O and no state. Numbers are written from Decimals, never from floats.
"""

from __future__ import annotations

from autotrader_lab.execution.adapters.ccxt_names import encode_name
from autotrader_lab.execution.adapters.ccxt_okx import VENUE, Rules
from autotrader_lab.execution.adapters.ccxt_send import check_in_force
from autotrader_lab.model.errors import InstrumentError, OrderError
from autotrader_lab.model.instruments import Instrument, exact, plain_text
from autotrader_lab.model.orders import Order, OrderType, check_order

__all__ = ["check", "encode_algo", "encode_order", "is_algo"]

_TYPES = {OrderType.MARKET: "market", OrderType.LIMIT: "limit", OrderType.IOC: "ioc", OrderType.FOK: "fok"}


def check(order: Order, instrument: Instrument, rules: Rules) -> None:
    """Refuse, before any I/O, what OKX would refuse for its form.

    Raises
    ------
    OrderError
        A type, time in force or client id the venue does not take.
    InstrumentError
        A symbol that does not trade now; a price or quantity off the grid or outside the limits.
    """
    check_order(order)
    name = f"{VENUE} {instrument.symbol}"
    if rules.state != "live":
        raise InstrumentError(f"{name}: is listed but not trading (state {rules.state})")
    encode_name(order.client_order_id)
    check_in_force(order, name)
    if is_algo(order) and order.effective_time_in_force != "GTC":
        raise OrderError(f"{name}: a {order.order_type.value} order waits until it is cancelled; use GTC")
    instrument.check_quantity(order.quantity)
    if order.limit_price is not None:
        instrument.check_price(order.limit_price)
    if is_algo(order):
        instrument.check_price(order.stop_price or 0, "stop_price")


def is_algo(order: Order) -> bool:
    """Whether the order stands in the venue's list of algo orders until its stop is reached."""
    return order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)


def _venue_type(order: Order) -> str:
    if order.post_only:
        return "post_only"
    in_force = order.effective_time_in_force
    if order.order_type is OrderType.LIMIT and in_force in ("IOC", "FOK"):
        return in_force.lower()
    return _TYPES[order.order_type]


def encode_order(order: Order, instrument: Instrument, trade_mode: str = "cash") -> dict[str, str]:
    """Parameters of a new order that :func:`check` let pass.

    Parameters
    ----------
    trade_mode : str
        ``cash``, or ``cross`` where the account is in a margin mode.
    """
    kind = _venue_type(order)
    params = {
        "instId": instrument.venue_symbol,
        "tdMode": trade_mode,
        "side": order.side.value,
        "ordType": kind,
        "sz": plain_text(exact(order.quantity)),
        "clOrdId": encode_name(order.client_order_id),
    }
    if kind == "market":
        # Left out, the size of a market buy counts the quote currency.
        params["tgtCcy"] = "base_ccy"
    if order.limit_price is not None:
        params["px"] = plain_text(exact(order.limit_price))
    return params


def encode_algo(order: Order, instrument: Instrument, trade_mode: str = "cash") -> dict[str, str]:
    """Parameters of a new stop that :func:`check` let pass.

    Sent as a stop-loss, not as a plain trigger: a stop on the wrong side of the market is refused then, where a
    trigger would wait and execute as its opposite.
    """
    limit = order.limit_price
    params = {
        "instId": instrument.venue_symbol,
        "tdMode": trade_mode,
        "side": order.side.value,
        "ordType": "conditional",
        "sz": plain_text(exact(order.quantity)),
        "slTriggerPx": plain_text(exact(order.stop_price or 0)),
        "slTriggerPxType": "last",
        "slOrdPx": "-1" if limit is None else plain_text(exact(limit)),
        "algoClOrdId": encode_name(order.client_order_id),
        # Left out, ccxt makes one up and adds a label of its own.
        "clOrdId": encode_name(order.client_order_id),
    }
    if limit is None:
        params["tgtCcy"] = "base_ccy"
    return params
