"""FXCM's messages as its recorded ones look: fields in the order of their tags, then the groups."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from autotrader_lab.sandbox.orders import Order, Side
from autotrader_lab.sandbox.units import ONE, text_e8, trim_e8
from autotrader_lab.sandbox.venues.fxcm.products import LOT, Product
from autotrader_lab.sandbox.venues.fxcm.tickets import Ticket
from autotrader_lab.sandbox.venues.fxcm.wire import Tags, stamp

__all__ = [
    "Customer",
    "Placed",
    "account_report",
    "execution",
    "no_positions",
    "position",
    "quote",
    "rejected",
    "session_status",
]


class Customer(msgspec.Struct, frozen=True):
    """Who trades in a world, and where its session is."""

    user: str
    password: str
    account: str
    sender: str
    session_id: str
    hedging: bool = False

    def __repr__(self) -> str:
        return f"Customer({self.user}, account={self.account})"


class Placed(msgspec.Struct, kw_only=True):
    """What FXCM knows of an order beyond what matching needs: tags as the client sent them."""

    product: Product
    order_type: str
    time_in_force: str
    client_id: str
    order: Order | None = None
    closes: int = 0
    ticket: int = 0
    is_stopped: bool = False
    cancel_id: str = ""
    original_id: str = ""

    @property
    def kind(self) -> str:
        """Tag 9050: open or close, market or entry."""
        if self.order_type == "1":
            return "CM" if self.closes else "OM"
        return {"2": "LE", "3": "SE", "4": "OR"}[self.order_type]


def _parties(customer: Customer, *, maintenance: bool = False) -> Tags:
    ids = [(customer.account.lstrip("0"), "10"), (customer.user, "2"), ("sandbox", "22"), ("32", "26")]
    if maintenance:
        ids.append(("Y" if customer.hedging else "N", "4000"))
    tags: Tags = [(453, "1"), (448, "FXCM ID"), (447, "D"), (452, "3"), (802, str(len(ids)))]
    for name, kind in ids:
        tags += [(523, name), (803, kind)]
    return tags


def _sorted(tags: Iterable[tuple[int, str]]) -> Tags:
    return sorted(((tag, text) for tag, text in tags if text), key=lambda pair: pair[0])


def execution(
    customer: Customer,
    placed: Placed,
    order: Order,
    now_ms: int,
    number: int,
    status: str,
    exec_type: str,
    *,
    last_price: int = 0,
    last_quantity: int = 0,
    market_price: int = 0,
    text: str = "",
    leaves: int | None = None,
    client_id: str = "",
    original_id: str = "",
    extra: Tags | None = None,
) -> Tags:
    """An ExecutionReport about an order as it stands in `order`; prices and quantities in e8."""
    average = order.amount * ONE // order.executed if order.executed else 0
    shown = last_price or market_price or order.price or order.stop_price
    waiting = order.price or order.stop_price or shown
    rest = order.remaining if order.status.is_open else 0
    detail = {"0": "W" if placed.order_type in "23" else "P", "1": "U", "2": "F", "4": "C", "7": "U", "8": "R"}
    fields: Tags = [
        (1, customer.account),
        (6, trim_e8(_rounded(average, placed.product) or waiting)),
        (11, client_id or placed.client_id),
        (14, trim_e8(order.executed)),
        (15, placed.product.currency),
        (17, str(number)),
        (31, trim_e8(shown)),
        (32, trim_e8(last_quantity)),
        (37, str(order.order_id)),
        (38, trim_e8(order.quantity)),
        (39, status),
        (40, placed.order_type),
        (41, original_id),
        (44, trim_e8(waiting)),
        (54, "1" if order.side is Side.BUY else "2"),
        (55, placed.product.name),
        (58, text),
        (59, placed.time_in_force),
        (60, stamp(now_ms, with_ms=False)),
        (99, trim_e8(order.stop_price)),
        (150, exec_type),
        (151, trim_e8(rest if leaves is None else leaves)),
        (211, "0"),
        (336, "FXCM"),
        (625, customer.session_id),
        (835, "0"),
        (836, "0"),
        (1094, "0"),
        (9000, str(placed.product.number)),
        (9041, str(placed.ticket) if placed.ticket else ""),
        (9050, placed.kind),
        (9051, detail.get(status, "P")),
        (9061, "0"),
        *(extra or []),
    ]
    return _sorted(fields) + _parties(customer)


def _rounded(price: int, product: Product) -> int:
    """A price with at most one digit more than the instrument has."""
    step = max(product.instrument.tick // 10, 1)
    return (price + step // 2) // step * step


def rejected(
    customer: Customer, tags: dict[int, str], now_ms: int, text: str, reason: str = "99", extra: Tags | None = None
) -> Tags:
    """The ExecutionReport of an order that never came to be: no order id, and the reason as text."""
    fields: Tags = [
        (1, tags.get(1) or customer.account),
        (6, "0"),
        (11, tags.get(11, "")),
        (14, "0"),
        (17, "0"),
        (31, "0"),
        (32, "0"),
        (37, "NONE"),
        (38, tags.get(38, "0")),
        (39, "8"),
        (40, tags.get(40, "1")),
        (44, tags.get(44, "0")),
        (54, tags.get(54, "1")),
        (55, tags.get(55, "NONE")),
        (58, text),
        (59, tags.get(59, "1")),
        (60, stamp(now_ms, with_ms=False)),
        (99, tags.get(99, "0")),
        (103, reason),
        (150, "8"),
        (151, "0"),
        (336, "FXCM"),
        (625, customer.session_id),
        (9025, "0"),
        (9029, text),
        (9051, "R"),
    ]
    kept = [pair for pair in fields if pair[0] not in {tag for tag, _ in extra or []}]
    return _sorted([*kept, *(extra or [])]) + _parties(customer)


def session_status(
    customer: Customer, products: Iterable[Product], request_id: str, parameters: dict[str, str], *, is_open: bool
) -> Tags:
    """TradingSessionStatus (h) with system parameters and the security list."""
    listed = list(products)
    tags: Tags = [(325, "N"), (335, request_id), (336, "FXCM"), (340, "2" if is_open else "3")]
    tags += [(625, customer.session_id), (9016, str(len(parameters)))]
    for name, value in parameters.items():
        tags += [(9017, name), (9018, value)]
    tags.append((146, str(len(listed))))
    for product in listed:
        tags += [(55, product.name), *_facts(product, is_open=is_open), (15, product.currency)]
    return [pair for pair in tags if pair[1]]


def _facts(product: Product, *, is_open: bool) -> Tags:
    return [
        (228, "1"),
        (231, str(product.contract)),
        (460, "4" if product.kind == 1 else "12"),
        (9000, str(product.number)),
        (9001, str(product.digits)),
        (9002, product.pip),
        (9003, "0"),
        (9004, "0"),
        (9080, str(product.kind)),
        (9090, product.stop_distance),
        (9091, product.stop_distance),
        (9092, product.stop_distance),
        (9093, product.stop_distance),
        (9094, trim_e8(product.instrument.max_quantity)),
        (9095, "1"),
        (9096, "O" if is_open else "C"),
    ]


def quote(
    customer: Customer,
    product: Product,
    bid: int,
    ask: int,
    high: int,
    low: int,
    now_ms: int,
    request: str,
    number: int,
) -> Tags:
    """MarketDataSnapshotFullRefresh (W): best bid and ask, the day's high and low."""
    day, time = stamp(now_ms).split("-")
    facts: Tags = [(55, product.name), (262, request), *_facts(product, is_open=True)]
    tags = [*_sorted(facts), (268, "4")]
    for kind, price in (("0", bid), ("1", ask)):
        tags += [(269, kind), (270, trim_e8(price)), (271, "0"), (272, day), (273, time), (336, "FXCM")]
        tags += [(625, customer.session_id), (276, "A"), (282, "DESK"), (299, f"FXCM-{number}"), (537, "1")]
    return [*tags, (269, "7"), (270, trim_e8(high)), (269, "8"), (270, trim_e8(low))]


def account_report(
    customer: Customer, request_id: str, balance: int, day_start: int, used_margin: int, equity: int
) -> Tags:
    """CollateralReport (BA), amounts in e8 of the account's currency."""

    def cents(amount: int) -> str:
        return text_e8(amount)[:-6]

    fields: Tags = [
        (1, customer.account),
        (15, "USD"),
        (53, str(LOT)),
        (336, "FXCM"),
        (625, customer.session_id),
        (898, "0"),
        (901, cents(balance)),
        (908, f"{customer.account}{request_id}"),
        (909, request_id),
        (910, "0"),
        (911, "1"),
        (912, "Y"),
        (921, cents(day_start)),
        (922, cents(balance)),
        (9038, cents(used_margin)),
        (9045, "N" if equity > used_margin else "Y"),
        (9046, cents(used_margin)),
        (9047, "0"),
    ]
    return _sorted(fields) + _parties(customer, maintenance=True)


def position(
    customer: Customer, product: Product, ticket: Ticket, request_id: str, now_ms: int, at: int, total: int, margin: int
) -> Tags:
    """PositionReport (AP); `at` is its place among the `total` of an answer, counted from 1."""
    fields: Tags = [
        (1, customer.account),
        (11, ticket.open_client_id),
        (15, product.currency),
        (37, str(ticket.open_order_id)),
        (55, product.name),
        (60, stamp(ticket.close_ms or ticket.open_ms, with_ms=False)),
        (325, "N"),
        (336, "FXCM"),
        (581, "6"),
        (625, customer.session_id),
        (710, request_id),
        (715, stamp(now_ms)[:8]),
        (721, f"{ticket.ticket_id}{now_ms}"),
        (724, "1" if ticket.is_closed else "0"),
        (727, str(total)),
        (728, "0"),
        (730, trim_e8(ticket.open_price)),
        (731, "1"),
        (734, "0"),
        (912, "Y" if at == total else "N"),
        (9000, str(product.number)),
        (9040, "0"),
        (9041, str(ticket.ticket_id)),
        (9042, stamp(ticket.open_ms, with_ms=False)),
        (9053, "0"),
    ]
    if ticket.is_closed:
        fields += [
            (9043, trim_e8(ticket.close_price)),
            (9044, stamp(ticket.close_ms, with_ms=False)),
            (9048, ticket.close_client_id),
            (9049, "FXTS"),
            (9052, text_e8(ticket.profit)[:-6]),
            (9054, str(ticket.close_order_id)),
        ]
    else:
        fields.append((9038, text_e8(margin)[:-6]))
    side = 704 if ticket.side is Side.BUY else 705
    tags = _sorted(fields) + _parties(customer)
    return [*tags, (702, "1"), (703, "TQ"), (side, trim_e8(ticket.quantity)), (753, "1"), (707, "CASH"), (708, "0")]


def no_positions(customer: Customer, request_id: str, now_ms: int, *, closed: bool) -> Tags:
    """RequestForPositionsAck (AO): there are none."""
    fields: Tags = [
        (1, customer.account),
        (58, "No closed positions" if closed else "No open positions"),
        (581, "6"),
        (710, request_id),
        (715, stamp(now_ms)[:8]),
        (721, request_id),
        (727, "0"),
        (728, "2"),
        (729, "0"),
    ]
    return _sorted(fields) + _parties(customer)
