"""What FXCM does with each application message of one account, and what it reports of the account's orders.

Every execution is reported as FXCM does: the order *stopped* (7) when it is being executed, each part partially filled
(1), the last part as stopped but filled (7 with 150=F), and once more as filled (2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import structs

from autotrader_lab.sandbox.margin import MarginExchange
from autotrader_lab.sandbox.orders import ExecutionKind, Order, OrderEvent, OrderRequest, Refused, Side, TimeInForce
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.units import ONE, notional
from autotrader_lab.sandbox.venues.fxcm import render
from autotrader_lab.sandbox.venues.fxcm.products import LOT, PRODUCTS, Product
from autotrader_lab.sandbox.venues.fxcm.render import Customer, Placed
from autotrader_lab.sandbox.venues.fxcm.rules import Declined, ora, read_amendment, read_order
from autotrader_lab.sandbox.venues.fxcm.tickets import Ticket, TicketBook
from autotrader_lab.sandbox.venues.fxcm.wire import Incoming, Tags, stamp
from autotrader_lab.sandbox.world import World

__all__ = ["Desk", "Said", "business_reject"]

Said = tuple[str, Tags]
"""A message to send: its type and its tags."""


class Desk:
    """One account of one world.

    Parameters
    ----------
    world : World
    customer : Customer
    first_id : int, default 1
        Where position and execution numbers start.
    """

    def __init__(self, world: World, customer: Customer, first_id: int = 1) -> None:
        exchange = world.exchange
        assert isinstance(exchange, MarginExchange), "FXCM's accounts trade on margin"
        self.world = world
        self.customer = customer
        self.exchange: MarginExchange = exchange
        self._account = exchange.accounts[customer.account]
        self._deposit = self._account.free.get("USD", 0)
        self.tickets = TicketBook(customer.hedging, self._profit, first_id)
        self._by_client: dict[str, Placed] = {}
        self._by_order: dict[int, Placed] = {}
        self._number = first_id
        self._day: dict[str, tuple[int, int]] = {}
        self._answers: dict[str, Callable[[Incoming], Iterator[Said]]] = {
            "g": self._session,
            "BB": self._collateral,
            "AN": self._positions,
            "AF": self._mass_status,
            "H": self._status,
            "D": self._new,
            "F": self._cancel,
            "G": self._replace,
        }

    @property
    def products(self) -> Iterable[Product]:
        """What is listed."""
        return PRODUCTS.values()

    def quote(self, product: Product, request_id: str) -> Said:
        """A market data snapshot of one product."""
        symbol = product.instrument.symbol
        bid, ask = self.touch(symbol)
        low, high = self._day.get(symbol, (bid, ask))
        self._day[symbol] = low, high = min(low, bid), max(high, ask)
        self._number += 1
        now_ms = self.world.now_ms()
        return "W", render.quote(self.customer, product, bid, ask, high, low, now_ms, request_id, self._number)

    @property
    def kinds(self) -> frozenset[str]:
        """The message types that are understood."""
        return frozenset(self._answers)

    def handle(self, message: Incoming) -> list[Said]:
        """Do what a message asks; what is said at once. What the exchange does is reported when it is published."""
        return list(self._answers[message.kind](message))

    def touch(self, symbol: str) -> tuple[int, int]:
        """Best bid and ask in e8; 0 where there is none."""
        book = self.exchange.books[symbol]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        return (bid.price if bid else 0, ask.price if ask else 0)

    @property
    def balance(self) -> int:
        """Cash in e8: what was deposited and what closing earned."""
        return self._deposit + self.tickets.realised

    def _profit(self, symbol: str, difference: int, quantity: int) -> int:
        instrument = self.exchange.instruments[symbol]
        amount = notional(abs(difference), quantity) * (1 if difference >= 0 else -1)
        return self.exchange.to_home(amount, instrument.quote)

    def _market(self) -> dict[str, tuple[int, int]]:
        return {symbol: self.touch(symbol) for symbol in self.exchange.instruments}

    # --- about the venue and the account --------------------------------------------------------------------------

    def _session(self, message: Incoming) -> Iterator[Said]:
        parameters = {
            "BASE_CRNCY": "USD",
            "BASE_TIME_ZONE": "America/New_York",
            "BASE_UNIT_SIZE": str(LOT),
            "COND_DIST": "0.10",
            "COND_DIST_ENTRY": "0.10",
            "END_TRADING_DAY": "21:00:00",
            "SERVER_TIME_UTC": "UTC",
        }
        yield "h", render.session_status(self.customer, PRODUCTS.values(), message[335], parameters, is_open=True)

    def _collateral(self, message: Incoming) -> Iterator[Said]:
        margin = self.exchange.margin(self._account)
        equity = self.exchange.equity(self._account)
        yield "BA", render.account_report(self.customer, message[909], self.balance, self._deposit, margin, equity)

    def _positions(self, message: Incoming) -> Iterator[Said]:
        now_ms, closed = self.world.now_ms(), message[724] == "1"
        if message[1] and message[1] != self.customer.account:
            yield "j", business_reject(message, ora(20102).text)
            return
        found: Sequence[Ticket] = list(self.tickets.open.values())
        if closed:
            first, last = message[9012] or message[715], message[9014] or "99991231"
            found = [t for t in self.tickets.closed if first <= stamp(t.close_ms)[:8] <= last]
        if not found:
            yield "AO", render.no_positions(self.customer, message[710], now_ms, closed=closed)
        products = {product.instrument.symbol: product for product in PRODUCTS.values()}
        for at, ticket in enumerate(found, 1):
            product = products[ticket.symbol]
            value = self.exchange.to_home(notional(ticket.open_price, ticket.quantity), product.instrument.quote)
            margin = value * product.instrument.margin_rate // ONE
            yield (
                "AP",
                render.position(self.customer, product, ticket, message[710], now_ms, at, len(found), margin),
            )

    # --- about orders ---------------------------------------------------------------------------------------------

    def _find(self, message: Incoming, client_tag: int) -> Placed | None:
        order_id = message[37]
        if order_id.isdigit() and int(order_id) in self._by_order:
            return self._by_order[int(order_id)]
        return self._by_client.get(message[client_tag])

    def _new(self, message: Incoming) -> Iterator[Said]:
        tags = {tag: message[tag] for tag in (1, 11, 38, 40, 44, 54, 55, 59, 99) if tag in message}
        now_ms = self.world.now_ms()
        try:
            product, request, kind, times = read_order(message, self.customer.account, self._market())
            if message[11] in self._by_client:
                raise Declined("Duplicate ClOrdID", "6")
            closes = self._named_ticket(message, request.symbol, request.side, request.quantity)
            order = self._place(request)
        except Declined as refusal:
            yield "8", render.rejected(self.customer, tags, now_ms, refusal.text, refusal.reason)
            return
        placed = Placed(
            product=product, order_type=kind, time_in_force=times, client_id=message[11], order=order, closes=closes
        )
        self._by_client[message[11]] = self._by_order[order.order_id] = placed

    def _known(self, order: Order) -> Placed:
        """What we know of an order; one that came over no connection of ours is a person's, by telephone."""
        found = self._by_order.get(order.order_id)
        if found is None:
            product = next(p for p in PRODUCTS.values() if p.instrument.symbol == order.symbol)
            kind = "3" if order.type.has_stop else "2" if order.type.has_limit else "1"
            times = {TimeInForce.IOC: "3", TimeInForce.FOK: "4"}.get(order.time_in_force, "1")
            mine = self._account.orders[order.symbol][order.order_id]
            found = Placed(
                product=product, order_type=kind, time_in_force=times, client_id=order.client_order_id, order=mine
            )
            self._by_order[order.order_id] = found
            self._by_client.setdefault(order.client_order_id, found)
        return found

    def _place(self, request: OrderRequest) -> Order:
        try:
            return self.exchange.place(self.customer.account, request, self.world.now_ms())
        except Refused as refusal:
            raise (ora(20113) if refusal.reason == "INSUFFICIENT_MARGIN" else ora(20008)) from refusal

    def _named_ticket(self, message: Incoming, symbol: str, side: Side, quantity: int) -> int:
        """The ticket that an order closes, if it names one."""
        name = message[9041]
        if not name:
            return 0
        ticket = self.tickets.open.get(int(name)) if name.isdigit() else None
        if ticket is None or ticket.symbol != symbol or ticket.side is side or ticket.quantity < quantity:
            raise Declined(f"There is no position {name} of that size to close")
        return ticket.ticket_id

    def _cancel(self, message: Incoming) -> Iterator[Said]:
        placed = self._find(message, 41)
        if placed is None or placed.order is None:
            yield "9", self._cancel_reject(message, None, "1", "Unknown order", "1")
            return
        placed.cancel_id, placed.original_id = message[11], message[41] or placed.client_id
        try:
            self.exchange.cancel(self.customer.account, placed.order, self.world.now_ms(), message[11])
        except Refused:
            placed.cancel_id = ""
            yield "9", self._cancel_reject(message, placed, "0", "Too late to cancel", "1")

    def _replace(self, message: Incoming) -> Iterator[Said]:
        placed = self._find(message, 41)
        if placed is None or placed.order is None:
            yield "9", self._cancel_reject(message, None, "1", "Unknown order", "2")
            return
        order = placed.order
        kind, times = placed.order_type, placed.time_in_force
        try:
            if message[40] != kind:
                raise Declined("The order type cannot be changed")
            quantity, price, stop = read_amendment(message, placed.product, kind, times, order.side, self._market())
            placed.original_id = placed.client_id
            self.exchange.revise(
                self.customer.account,
                order,
                self.world.now_ms(),
                type_=order.type,
                time_in_force=order.time_in_force,
                quantity=quantity,
                price=price,
                stop_price=stop,
            )
        except Declined as refusal:
            yield "9", self._cancel_reject(message, placed, "2", refusal.text, "2")
        except Refused as refusal:
            text = ora(20113).text if refusal.reason == "INSUFFICIENT_MARGIN" else "Too late to change the order"
            yield "9", self._cancel_reject(message, placed, "0", text, "2")
        else:
            placed.client_id = message[11]
            self._by_client[message[11]] = placed

    def _cancel_reject(
        self, message: Incoming, placed: Placed | None, reason: str, text: str, response_to: str
    ) -> Tags:
        order = placed.order if placed is not None else None
        status = "8" if order is None else self._status_of(order)
        tags: Tags = [
            (1, self.customer.account),
            (11, message[11]),
            (37, str(order.order_id) if order is not None else "NONE"),
            (39, status),
            (41, message[41] or "NONE"),
            (58, text),
            (60, stamp(self.world.now_ms(), with_ms=False)),
            (102, reason),
            (434, response_to),
        ]
        return [pair for pair in tags if pair[1]]

    @staticmethod
    def _status_of(order: Order) -> str:
        if order.status.is_open:
            return "1" if order.executed else "0"
        return "2" if order.executed == order.quantity else "4"

    def _status(self, message: Incoming) -> Iterator[Said]:
        placed = self._find(message, 11)
        extra: Tags = [(790, message[790])] if message[790] else []
        if placed is None or placed.order is None:
            tags = {tag: message[tag] for tag in (1, 11, 54, 55) if tag in message}
            now_ms = self.world.now_ms()
            told = render.rejected(self.customer, tags, now_ms, "Unknown order", "5", [(150, "I"), *extra])
            yield "8", told
            return
        yield "8", self._snapshot(placed, extra)

    def _mass_status(self, message: Incoming) -> Iterator[Said]:
        working = [self._known(order) for order in self._account.open.values()]
        if not working:
            extra: Tags = [(150, "I"), (584, message[584]), (911, "0"), (912, "Y")]
            yield "8", render.rejected(self.customer, {}, self.world.now_ms(), "No orders found", "5", extra)
        for at, placed in enumerate(working, 1):
            last = "Y" if at == len(working) else "N"
            yield "8", self._snapshot(placed, [(584, message[584]), (911, str(len(working))), (912, last)])

    def _snapshot(self, placed: Placed, extra: Tags) -> Tags:
        order = placed.order
        assert order is not None, "it was placed"
        return self._report(placed, order, self._status_of(order), "I", extra=extra)

    # --- what the exchange did ------------------------------------------------------------------------------------

    def reports(self, events: Sequence[Event]) -> Iterator[Said]:
        """Execution reports about what happened to this account's orders."""
        for event in events:
            if isinstance(event, OrderEvent) and event.order.account == self.customer.account:
                yield from (("8", tags) for tags in self._event(self._known(event.order), event))

    def _event(self, placed: Placed, event: OrderEvent) -> Iterator[Tags]:
        order = event.order
        if event.kind is ExecutionKind.NEW:
            if placed.order_type == "3" and order.is_working:
                yield from self._stop(placed, order)
            else:
                yield self._report(placed, order, "0", "0")
        elif event.kind is ExecutionKind.TRADE and event.fill is not None:
            yield from self._stop(placed, order, before=event.fill.quantity)
            fill = event.fill
            placed.ticket = self.tickets.take(fill, placed.client_id, placed.closes)
            is_last = order.executed == order.quantity
            price, size = fill.price, fill.quantity
            yield self._report(placed, order, "7" if is_last else "1", "F", last_price=price, last_quantity=size)
            if is_last:
                yield self._report(placed, order, "2", "F", "Executed", last_price=price, last_quantity=size)
        elif event.kind is ExecutionKind.CANCELED:
            original = placed.original_id if placed.cancel_id else ""
            yield self._report(placed, order, "4", "4", "Cancelled", client_id=placed.cancel_id, original_id=original)
        elif event.kind is ExecutionKind.REPLACED:
            status = "1" if order.executed else "0"
            yield self._report(placed, order, status, "5", original_id=placed.original_id)
        elif event.kind is ExecutionKind.EXPIRED:
            yield self._report(placed, order, "4", "4", "Cancelled", leaves=order.quantity - order.executed)

    def _stop(self, placed: Placed, order: Order, before: int = 0) -> Iterator[Tags]:
        """The order is being executed; said once, without any execution yet."""
        if placed.is_stopped:
            return
        placed.is_stopped = True
        if before == order.executed:
            plain = structs.replace(order, executed=0, amount=0)
            yield self._report(placed, plain, "7", "7", leaves=order.quantity)

    def _report(
        self,
        placed: Placed,
        order: Order,
        status: str,
        exec_type: str,
        text: str = "",
        *,
        last_price: int = 0,
        last_quantity: int = 0,
        leaves: int | None = None,
        client_id: str = "",
        original_id: str = "",
        extra: Tags | None = None,
    ) -> Tags:
        self._number += 1
        bid, ask = self.touch(order.symbol)
        return render.execution(
            self.customer,
            placed,
            order,
            self.world.now_ms(),
            self._number,
            status,
            exec_type,
            last_price=last_price,
            last_quantity=last_quantity,
            market_price=ask if order.side is Side.BUY else bid,
            text=text,
            leaves=leaves,
            client_id=client_id,
            original_id=original_id,
            extra=extra,
        )


def business_reject(message: Incoming, text: str, reason: str = "0") -> Tags:
    """BusinessMessageReject (j)."""
    tags: Tags = [(45, str(message.number)), (58, text), (372, message.kind)]
    name = message[11] or message[262] or message[335] or message[710] or message[909]
    return [*tags, *([(379, name)] if name else []), (380, reason)]
