"""What we say to FXCM, as fields of FIX messages; and what is refused before it is said.

FXCM's order types: market, limit and stop. Its stop-limit type is a market order with a worst price, not a stop that
becomes a limit order, so ours is not offered. A limit order that waits must not be better for the market than the
market itself, one that does not wait must be: FXCM refuses the others, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from autotrader_lab.execution.adapters.fix.messages import Field, fix_time
from autotrader_lab.execution.adapters.fxcm.decode import VENUE, Ticket
from autotrader_lab.model.errors import OrderError
from autotrader_lab.model.instruments import Instrument, exact
from autotrader_lab.model.orders import Order, OrderSide, OrderType, check_order

__all__ = [
    "account_request",
    "amend_request",
    "cancel_request",
    "check",
    "closing_ticket",
    "login_request",
    "mass_status_request",
    "new_order",
    "positions_request",
    "quotes_request",
    "session_request",
    "status_request",
    "text",
]

_SIDES = {OrderSide.BUY: "1", OrderSide.SELL: "2"}
_TYPES = {
    OrderType.MARKET: "1",
    OrderType.LIMIT: "2",
    OrderType.IOC: "2",
    OrderType.FOK: "2",
    OrderType.STOP: "3",
}
_TIMES = {"DAY": "0", "GTC": "1", "IOC": "3", "FOK": "4"}
_LONGEST_ID = 50
_DAY_NS = 86_400_000_000_000


def text(value: Decimal) -> str:
    """A number without exponent and without idle zeros."""
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def check(order: Order, instrument: Instrument) -> None:
    """Refuse what FXCM would refuse for its form.

    Raises
    ------
    OrderError
        A type, time in force or id that FXCM does not know.
    InstrumentError
        A price or quantity off the grid or beyond the limits.
    """
    check_order(order)
    name = f"{VENUE}: order {order.client_order_id}"
    if order.order_type not in _TYPES:
        raise OrderError(
            f"{name}: FXCM has no {order.order_type.value} order (its stop-limit is a market order with a worst "
            "price); send a stop, or an ioc limit"
        )
    if order.order_type is OrderType.STOP and order.effective_time_in_force in ("IOC", "FOK"):
        raise OrderError(f"{name}: a stop waits, {order.effective_time_in_force} does not; use GTC or DAY")
    if order.post_only:
        raise OrderError(f"{name}: FXCM has no post-only orders; a GTC limit never takes beyond its price")
    if not order.client_order_id.isascii() or len(order.client_order_id) > _LONGEST_ID:
        raise OrderError(f"{name}: a client order id is at most {_LONGEST_ID} ASCII characters at FXCM")
    instrument.check_quantity(order.quantity)
    if order.limit_price is not None:
        instrument.check_price(order.limit_price)
    if order.stop_price is not None and order.order_type is OrderType.STOP:
        instrument.check_price(order.stop_price, "stop_price")


def new_order(order: Order, instrument: Instrument, account: str, now_ns: int, closes: str = "") -> list[Field]:
    """NewOrderSingle (D); `closes` is the position it closes on a hedging account."""
    fields: list[Field] = [
        (1, account),
        (11, order.client_order_id),
        (38, text(exact(order.quantity))),
        (40, _TYPES[order.order_type]),
    ]
    if order.limit_price is not None:
        fields.append((44, text(exact(order.limit_price))))
    fields += [(54, _SIDES[order.side]), (55, instrument.venue_symbol), (59, _TIMES[order.effective_time_in_force])]
    fields.append((60, fix_time(now_ns)))
    if order.order_type is OrderType.STOP and order.stop_price is not None:
        fields.append((99, text(exact(order.stop_price))))
    if closes:
        fields.append((9041, closes))
    return fields


def cancel_request(order: Order, venue_symbol: str, account: str, request_id: str, now_ns: int) -> list[Field]:
    """OrderCancelRequest (F)."""
    fields = _about(order, account, request_id)
    fields += [(38, text(exact(order.quantity))), (54, _SIDES[order.side]), (55, venue_symbol)]
    return [*fields, (60, fix_time(now_ns))]


def amend_request(
    order: Order, venue_symbol: str, account: str, request_id: str, now_ns: int, quantity: Decimal, price: Decimal
) -> list[Field]:
    """OrderCancelReplaceRequest (G): the new total, executed part included, and the new price (0: none)."""
    fields = _about(order, account, request_id)
    fields += [(38, text(quantity)), (40, _TYPES[order.order_type])]
    if price:
        fields.append((44, text(price)))
    fields += [(54, _SIDES[order.side]), (55, venue_symbol), (59, _TIMES[order.effective_time_in_force])]
    fields.append((60, fix_time(now_ns)))
    if order.order_type is OrderType.STOP and order.stop_price is not None:
        fields.append((99, text(exact(order.stop_price))))
    return fields


def _about(order: Order, account: str, request_id: str) -> list[Field]:
    fields: list[Field] = [(1, account), (11, request_id)]
    if order.order_id:
        fields.append((37, order.order_id))
    if order.client_order_id:
        fields.append((41, order.client_order_id))
    return fields


def status_request(
    order: Order, venue_symbol: str, account: str, request_id: str, client_order_id: str = ""
) -> list[Field]:
    """OrderStatusRequest (H)."""
    fields: list[Field] = [(1, account)]
    name = client_order_id or order.client_order_id
    if name:
        fields.append((11, name))
    if order.order_id:
        fields.append((37, order.order_id))
    return [*fields, (54, _SIDES[order.side]), (55, venue_symbol), (790, request_id)]


def mass_status_request(account: str, request_id: str) -> list[Field]:
    """OrderMassStatusRequest (AF) for all orders of the account."""
    return [(1, account), (584, request_id), (585, "7")]


def login_request(user: str, password: str, request_id: str) -> list[Field]:
    """UserRequest (BE): the other way to log on."""
    return [(553, user), (554, password), (923, request_id), (924, "1")]


def session_request(request_id: str) -> list[Field]:
    """TradingSessionStatusRequest (g), with updates."""
    return [(263, "1"), (335, request_id)]


def account_request(request_id: str) -> list[Field]:
    """CollateralInquiry (BB)."""
    return [(263, "1"), (909, request_id)]


def quotes_request(request_id: str, venue_symbols: Sequence[str], *, on: bool = True) -> list[Field]:
    """MarketDataRequest (V) for best bid and ask; `on` False ends a subscription."""
    fields: list[Field] = [(262, request_id), (263, "1" if on else "2"), (264, "1"), (265, "0")]
    fields += [(146, str(len(venue_symbols))), *((55, symbol) for symbol in venue_symbols)]
    return [*fields, (267, "2"), (269, "0"), (269, "1")]


def positions_request(account: str, request_id: str, now_ns: int, closed_since_ns: int | None = None) -> list[Field]:
    """RequestForPositions (AN): the open positions, or those closed since a day."""
    fields: list[Field] = [(1, account), (60, fix_time(now_ns)), (263, "0"), (581, "6"), (710, request_id)]
    fields += [(715, fix_time(now_ns)[:8]), (724, "0" if closed_since_ns is None else "1")]
    if closed_since_ns is not None:
        fields += [(9012, fix_time(closed_since_ns)[:8]), (9014, fix_time(now_ns + _DAY_NS)[:8])]
    return fields


def closing_ticket(order: Order, tickets: Iterable[Ticket]) -> str:
    """The oldest position that a reducing order of a hedging account can close; empty where none is large enough."""
    quantity = exact(order.quantity)
    for ticket in sorted(tickets, key=lambda one: (one.opened_ns, one.position_id)):
        opposite = (ticket.quantity > 0) is (order.side is OrderSide.SELL)
        if ticket.symbol == order.symbol and opposite and abs(ticket.quantity) >= quantity:
            return ticket.position_id
    return ""
