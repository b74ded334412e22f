"""One world's gateway: the orders of the account, who placed them, and who hears of what happens to them.

Sessions come and go; orders stay. Events of the exchange go to the session whose client placed the order, as with the
real gateway; balances and positions go to everyone who subscribed to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from autotrader_lab.sandbox.margin import MarginAccount, MarginExchange
from autotrader_lab.sandbox.orders import (
    Execution,
    ExecutionKind,
    Order,
    OrderEvent,
    OrderRequest,
    OrderType,
    Prevention,
    Refused,
)
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.venues.ibkr import reports
from autotrader_lab.sandbox.venues.ibkr.contracts import Contract, find
from autotrader_lab.sandbox.venues.ibkr.fees import commission
from autotrader_lab.sandbox.venues.ibkr.placing import ORDER_TYPES, TIMES_IN_FORCE, Ticket
from autotrader_lab.sandbox.venues.ibkr.portfolio import Portfolio
from autotrader_lab.sandbox.venues.ibkr.reports import ApiOrder, Figures
from autotrader_lab.sandbox.world import World

__all__ = ["Gateway", "Problem"]

Key = tuple[int, int]
Report = list[str]


class Problem(Exception):
    """A request that TWS answers with an error.

    Parameters
    ----------
    code : int
        TWS's number.
    message : str
        TWS's words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Gateway:
    """The account of a world as the API sees it.

    Parameters
    ----------
    world : World
        Whose exchange is a margin exchange.
    catalogue : sequence of Contract
        What trades.

    Attributes
    ----------
    is_read_only : bool
        Whether orders are refused because the API is set to read-only.
    closed : set of str
        Instruments whose market is closed.
    """

    def __init__(self, world: World, catalogue: Sequence[Contract]) -> None:
        assert isinstance(world.exchange, MarginExchange), "the site makes one"
        self.world = world
        self.exchange: MarginExchange = world.exchange
        self.catalogue = catalogue
        self.contracts = {contract.instrument.symbol: contract for contract in catalogue}
        account = next(iter(self.exchange.accounts.values()))
        assert isinstance(account, MarginAccount), "a margin exchange's accounts are"
        self.account: MarginAccount = account
        self.portfolio = Portfolio(self.exchange, account, self.contracts)
        self.is_read_only = False
        self.closed: set[str] = set()
        self.orders: dict[Key, ApiOrder] = {}
        self.on_order: list[Callable[[ApiOrder, OrderEvent], None]] = []
        self.on_position: list[Callable[[Contract], None]] = []
        self._by_number: dict[int, ApiOrder] = {}
        self._next_ids: dict[int, int] = {}
        self._day = self._today()
        world.listeners.append(self._on_events)

    # Contracts and ids

    def contract(self, ticket: Ticket) -> Contract:
        """The contract an order means.

        Raises
        ------
        Problem
            200 if there is none, or more than one.
        """
        found = find(self.catalogue, ticket.query)
        if len(found) != 1:
            raise Problem(200, "No security definition has been found for the request")
        return found[0]

    def next_id(self, client_id: int) -> int:
        """The next order id a client may use."""
        return self._next_ids.get(client_id, 1)

    # Orders

    def place(self, client_id: int, ticket: Ticket) -> ApiOrder:
        """Accept a new order, or change the open one that has its id.

        Raises
        ------
        Problem
            In TWS's words.
        """
        contract = self.contract(ticket)
        self._check(ticket, contract)
        known = self.orders.get((client_id, ticket.order_id))
        if known is not None:
            return self._modify(known, ticket, contract)
        if ticket.order_id <= 0:
            raise Problem(103, "Duplicate order id")
        request = OrderRequest(
            symbol=contract.instrument.symbol,
            side=ticket.side,
            type=ORDER_TYPES[ticket.type_name],
            client_order_id=ticket.reference or f"{client_id}/{ticket.order_id}",
            time_in_force=TIMES_IN_FORCE[ticket.time_in_force],
            quantity=ticket.quantity,
            price=ticket.limit if "LMT" in ticket.type_name else 0,
            stop_price=ticket.stop if ticket.type_name.startswith("STP") else 0,
            prevention=Prevention.NONE,
            triggers_at_once=True,
        )
        try:
            order = self.exchange.place(self.account.name, request, self.world.now_ms())
        except Refused as refusal:
            raise self._refusal(refusal) from refusal
        api = ApiOrder(
            client_id=client_id,
            order_id=ticket.order_id,
            perm_id=1_400_000_000 + order.order_id % 500_000_000,
            contract=contract,
            ticket=ticket,
            order=order,
        )
        self.orders[client_id, ticket.order_id] = self._by_number[order.order_id] = api
        self._next_ids[client_id] = max(self.next_id(client_id), ticket.order_id + 1)
        return api

    def _check(self, ticket: Ticket, contract: Contract) -> None:
        instrument = contract.instrument
        if self.is_read_only:
            raise Problem(
                321, "Error validating request.-'bW' : cause - The API interface is currently in Read-Only mode."
            )
        if ticket.account not in ("", self.account.name):
            raise Problem(321, f"Error validating request.-'bW' : cause - Invalid account code '{ticket.account}'.")
        if ticket.type_name not in ORDER_TYPES:
            raise Problem(387, "Unsupported order type for this exchange and security type.")
        if ticket.time_in_force not in TIMES_IN_FORCE:
            raise Problem(10052, f"Invalid time in force:{ticket.time_in_force}")
        if ticket.quantity == 0:
            raise Problem(434, "The order size cannot be zero.")
        if ticket.quantity % instrument.step:
            raise Problem(
                10243, "Fractional-sized order cannot be placed via API. Please make sure your size is whole."
            )
        prices = []
        if "LMT" in ticket.type_name:
            prices.append(ticket.limit)
        if ticket.type_name.startswith("STP"):
            prices.append(ticket.stop)
        if any(price <= 0 for price in prices):
            raise Problem(321, "Error validating request.-'bW' : cause - The price must be greater than zero.")
        if any(price % instrument.tick for price in prices):
            raise Problem(110, "The price does not conform to the minimum price variation for this contract.")
        if instrument.symbol in self.closed:
            raise Problem(201, "Order rejected - reason:The exchange is closed.")

    @staticmethod
    def _refusal(refusal: Refused) -> Problem:
        if refusal.reason == "INSUFFICIENT_MARGIN":
            return Problem(
                201,
                "Order rejected - reason:We are unable to accept your order. Your Available Funds are insufficient to "
                "cover the change in margin requirements caused by this order.",
            )
        return Problem(201, f"Order rejected - reason:{refusal.reason}")

    def _modify(self, api: ApiOrder, ticket: Ticket, contract: Contract) -> ApiOrder:
        if not api.is_open:
            if api.status == "Filled":
                raise Problem(104, "Cannot modify a filled order.")
            raise Problem(103, "Duplicate order id")
        if (contract, ticket.side) != (api.contract, api.ticket.side):
            raise Problem(105, "Order being modified does not match original order.")
        if ticket.type_name != api.ticket.type_name:
            raise Problem(329, "Order modify failed. Cannot change to the new order type.")
        before, api.ticket = api.ticket, ticket
        try:
            self.exchange.revise(
                self.account.name,
                api.order,
                self.world.now_ms(),
                type_=ORDER_TYPES[ticket.type_name],
                time_in_force=TIMES_IN_FORCE[ticket.time_in_force],
                quantity=ticket.quantity,
                price=ticket.limit if "LMT" in ticket.type_name else 0,
                stop_price=ticket.stop if ticket.type_name.startswith("STP") else 0,
            )
        except Refused as refusal:
            api.ticket = before
            if refusal.reason == "ALREADY_FILLED":
                raise Problem(
                    105, "Order being modified does not match original order. Less than what is filled."
                ) from refusal
            raise self._refusal(refusal) from refusal
        return api

    def what_if(self, ticket: Ticket) -> tuple[ApiOrder, Figures]:
        """What an order would do to margin and equity, without placing it.

        Raises
        ------
        Problem
            In TWS's words.
        """
        contract = self.contract(ticket)
        self._check(ticket, contract)
        exchange, symbol = self.exchange, contract.instrument.symbol
        order = Order(
            account=self.account.name,
            symbol=symbol,
            order_id=0,
            client_order_id="",
            side=ticket.side,
            type=ORDER_TYPES[ticket.type_name],
            time_in_force=TIMES_IN_FORCE[ticket.time_in_force],
            price=ticket.limit,
            quantity=ticket.quantity,
            quote_quantity=0,
            stop_price=ticket.stop,
            iceberg=0,
            prevention=Prevention.NONE,
            created_ms=0,
            updated_ms=0,
        )
        price = ticket.limit if order.type is OrderType.LIMIT else exchange.mid(symbol)
        cost, equity = commission(contract.instrument, order, price, ticket.quantity), exchange.equity(self.account)
        figures = Figures(
            exchange.margin(self.account),
            exchange.margin(self.account, symbol, ticket.side, ticket.quantity),
            equity,
            equity - cost,
            cost,
        )
        api = ApiOrder(client_id=0, order_id=ticket.order_id, perm_id=0, contract=contract, ticket=ticket, order=order)
        return api, figures

    def cancel(self, client_id: int, order_id: int) -> None:
        """Cancel a client's order.

        Raises
        ------
        Problem
            10147 if it is unknown, 10148 if it is done.
        """
        if self.is_read_only:
            raise Problem(
                321, "Error validating request.-'bI' : cause - The API interface is currently in Read-Only mode."
            )
        api = self.orders.get((client_id, order_id))
        if api is None:
            raise Problem(10147, f"OrderId {order_id} that needs to be cancelled is not found.")
        if not api.is_open:
            raise Problem(
                10148, f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {api.status}."
            )
        self.exchange.cancel(self.account.name, api.order, self.world.now_ms())

    def cancel_everything(self) -> None:
        """Cancel every open order, whoever placed it."""
        for api in self.open_orders():
            self.exchange.cancel(self.account.name, api.order, self.world.now_ms())

    def expire(self) -> None:
        """End the DAY orders of yesterday and GTD orders whose time is over; called from time to time."""
        today, now = self._today(), datetime.fromtimestamp(self.world.now_ms() / 1_000, UTC)
        ended = [] if today == self._day else [api for api in self.open_orders() if api.ticket.time_in_force == "DAY"]
        self._day = today
        ended += [
            api
            for api in self.open_orders()
            if api.ticket.time_in_force == "GTD" and f"{now:%Y%m%d %H:%M:%S}" >= api.ticket.good_till[:17]
        ]
        for api in ended:
            api.reason = "Expired"
            self.exchange.cancel(self.account.name, api.order, self.world.now_ms())
        if ended:
            self.world.publish()

    def _today(self) -> str:
        return f"{datetime.fromtimestamp(self.world.now_ms() / 1_000, UTC):%Y%m%d}"

    def open_orders(self, client_id: int | None = None) -> list[ApiOrder]:
        """Open orders, of one client if given."""
        return [api for api in self.orders.values() if api.is_open and client_id in (None, api.client_id)]

    def completed_orders(self) -> list[ApiOrder]:
        """Finished orders, the newest last."""
        done = [api for api in self.orders.values() if not api.is_open]
        return sorted(done, key=lambda api: api.order.updated_ms)

    def executions(self) -> list[tuple[ApiOrder, Execution]]:
        """Every execution of the account, in order."""
        rows = [(api, fill) for api in self.orders.values() for fill in api.order.fills]
        return sorted(rows, key=lambda row: row[1].time_ms)

    # Events

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if not isinstance(event, OrderEvent):
                continue
            api = self._by_number.get(event.order.order_id)
            if api is None:
                continue
            for tell in self.on_order:
                tell(api, event)
            if event.kind is ExecutionKind.TRADE:
                for tell_position in self.on_position:
                    tell_position(api.contract)

    def describe(self, api: ApiOrder, event: OrderEvent, version: int) -> list[Report]:
        """What the owner of an order hears about an event."""
        account = self.account.name
        shown = ApiOrder(
            client_id=api.client_id,
            order_id=api.order_id,
            perm_id=api.perm_id,
            contract=api.contract,
            ticket=api.ticket,
            order=event.order,
        )
        fill = event.fill
        if fill is not None:
            charged = 0
            for earlier in event.order.fills:
                charged += earlier.fee
                if earlier is fill:
                    break
            return [
                reports.execution(shown, fill, account, version),
                reports.open_order(shown, account, version),
                reports.order_status(shown, fill.price),
                reports.open_order(shown, account, version, commission=charged),
                reports.commission_report(shown, fill),
            ]
        rows = [reports.order_status(shown)]
        if event.order.status.is_open:
            return [reports.open_order(shown, account, version), *rows]
        reason = f"Order Canceled - reason:{api.reason}"
        return [*rows, reports.error(version, api.order_id, 202, reason)]
