"""A world's order desk: what OKX keeps of an order beyond the exchange's own record, and how orders come and go.

REST and WebSocket operations meet here. Every action works on one object of a request ("row") and either returns the
row of the answer or raises ``RowError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from autotrader_lab.sandbox.orders import (
    Account,
    Execution,
    ExecutionKind,
    Instrument,
    Order,
    OrderEvent,
    OrderRequest,
    OrderType,
    Refused,
    Side,
    Status,
)
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.spot import SpotExchange
from autotrader_lab.sandbox.tape import Candle
from autotrader_lab.sandbox.units import TooPrecise, notional, parse_e8
from autotrader_lab.sandbox.venues.okx.algos import Algos, Deadlines
from autotrader_lab.sandbox.venues.okx.errors import TOO_LATE, ApiError, RowError, refused_order, wrong
from autotrader_lab.sandbox.venues.okx.rules import read_order
from autotrader_lab.sandbox.world import World

__all__ = ["FIRST_CODE", "Desk", "FillRow", "Ticket", "inst_id", "order_number", "wire_id"]

Json = dict[str, Any]

ID_BASE = 680_000_000_000_000_000
FIRST_CODE = 10_459
MOST_OPEN = 500
_CLIENT_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_NOT_THERE = "51400", "Cancellation failed as the order has been filled, canceled or does not exist."


class Ticket(msgspec.Struct, kw_only=True):
    """What OKX keeps of an order beyond the exchange's record; `size` is ``sz`` in e8 of what it counts."""

    ord_type: str
    size: int
    client_id: str
    tgt_ccy: str = ""
    tag: str = ""
    stp_mode: str = "cancel_maker"
    source: str = ""
    algo_id: str = ""
    algo_client_id: str = ""
    cancel_source: str = ""
    cancel_reason: str = ""
    req_id: str = ""


class FillRow(msgspec.Struct, frozen=True):
    """A fill with its place in the account's bills."""

    bill_id: int
    fill: Execution
    order: Order


def inst_id(instrument: Instrument) -> str:
    """``BTC-USDT``."""
    return f"{instrument.base}-{instrument.quote}"


def wire_id(order_id: int) -> str:
    """An order's (or bill's) number as OKX prints it."""
    return str(ID_BASE + order_id)


def order_number(text: str) -> int:
    """The exchange's number of an ``ordId``, -1 if it is none."""
    return int(text) - ID_BASE if text.isascii() and text.isdigit() and len(text) < 25 else -1


class Desk:
    """The orders of one world.

    Parameters
    ----------
    world : World
        Where they trade; its exchange is a SpotExchange.
    """

    def __init__(self, world: World) -> None:
        exchange = world.exchange
        assert isinstance(exchange, SpotExchange), "OKX revises orders"
        self.world = world
        self.exchange: SpotExchange = exchange
        self.tickets: dict[int, Ticket] = {}
        self.fills: list[FillRow] = []
        self.by_id = {inst_id(instrument): instrument for instrument in exchange.instruments.values()}
        self.codes = {name: FIRST_CODE + index for index, name in enumerate(self.by_id)}
        self._by_code = {str(code): name for name, code in self.codes.items()}
        self.days: dict[str, tuple[int, tuple[Candle, int, int] | None]] = {}
        self.algos = Algos(self)
        self.deadlines = Deadlines(self)
        self._unnamed = 0
        world.listeners.append(self._on_events)

    def instrument(self, name: str) -> Instrument:
        """The instrument of an ``instId``.

        Raises
        ------
        ApiError
            51001.
        """
        found = self.by_id.get(name)
        if found is None:
            raise ApiError("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
        return found

    def ticket(self, order: Order) -> Ticket:
        """What OKX keeps of an order."""
        return self.tickets[order.order_id]

    def orders(self, account: Account) -> list[Order]:
        """Every order of an account, oldest first."""
        return sorted((o for rows in account.orders.values() for o in rows.values()), key=lambda o: o.order_id)

    def find(self, account: Account, row: Mapping[str, Any]) -> Order | None:
        """The order that ``ordId`` or, without one, ``clOrdId`` names; of several with one name the latest."""
        symbol = self._named(row).symbol
        if row.get("ordId"):
            return account.orders.get(symbol, {}).get(order_number(str(row["ordId"])))
        if not row.get("clOrdId"):
            raise RowError("51000", "Either parameter ordId or clOrdId is required ")
        return account.latest_by_client_id.get((symbol, str(row["clOrdId"])))

    def named(self, row: Mapping[str, Any]) -> str:
        """The instrument a row names, by id or by code; empty if it names none that is known."""
        return str(row.get("instId") or self._by_code.get(str(row.get("instIdCode", "")), ""))

    def _named(self, row: Mapping[str, Any]) -> Instrument:
        name = self.named(row)
        if not name and not row.get("instIdCode"):
            raise wrong("instId")
        try:
            return self.instrument(name)
        except ApiError as error:
            raise RowError(error.code, error.message) from error

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if not isinstance(event, OrderEvent):
                continue
            if event.fill is not None:
                self.fills.append(FillRow(event.execution_id, event.fill, event.order))

    # Actions

    def place(self, account: Account, row: Mapping[str, Any], **origin: str) -> Json:
        """Place an order.

        Raises
        ------
        RowError
            With the venue's code.
        """
        order = self.enter(account, row, **origin)
        return self._accepted(row, order, tag=self.ticket(order).tag)

    def enter(self, account: Account, row: Mapping[str, Any], **origin: str) -> Order:
        """Place an order; `origin` fills in the ticket of one that an algo order leads to.

        Raises
        ------
        RowError
            With the venue's code.
        """
        instrument = self._named(row)
        client_id = str(row.get("clOrdId") or "")
        if client_id and not _CLIENT_ID.fullmatch(client_id):
            raise wrong("clOrdId")
        if not client_id:
            self._unnamed += 1
        request, size, tgt_ccy = read_order(
            row, instrument, client_id or f"~{self._unnamed}", self.exchange.last_price[instrument.symbol]
        )
        if client_id and any(order.client_order_id == client_id for order in account.open.values()):
            raise RowError("51016", "Client order ID already exists.")
        if sum(1 for order in account.open.values() if order.symbol == instrument.symbol) >= MOST_OPEN:
            raise RowError("51025", f"Order count exceeds the limit {MOST_OPEN}")
        order = self._enter(account, request, instrument)
        self.tickets[order.order_id] = Ticket(
            ord_type=str(row["ordType"]),
            size=size,
            client_id=client_id,
            tgt_ccy=tgt_ccy,
            tag=str(row.get("tag") or ""),
            stp_mode=str(row.get("stpMode") or "cancel_maker"),
            **origin,
        )
        return order

    def _enter(self, account: Account, request: OrderRequest, instrument: Instrument) -> Order:
        now_ms = self.world.now_ms()
        try:
            return self.exchange.place(account.name, request, now_ms)
        except Refused as refusal:
            if refusal.reason == "WOULD_TAKE":
                return self._enter_dead(account, request, instrument)
            raise refused_order(refusal, _paid_with(instrument, request.side)) from refusal

    def _enter_dead(self, account: Account, request: OrderRequest, instrument: Instrument) -> Order:
        """A post-only order that would take: accepted, and canceled at once."""
        asset = _paid_with(instrument, request.side)
        needed = request.quantity if request.side is Side.SELL else notional(request.price, request.quantity)
        if needed > account.free.get(asset, 0):
            raise refused_order(Refused("INSUFFICIENT_BALANCE"), asset)
        return self.exchange.accept_dead(account.name, request, self.world.now_ms())

    def cancel(self, account: Account, row: Mapping[str, Any]) -> Json:
        """Cancel an order.

        Raises
        ------
        RowError
            51400 to 51402.
        """
        order = self.find(account, row)
        if order is None:
            raise RowError(*_NOT_THERE)
        if order.status is Status.FILLED:
            raise RowError("51402", "Cancellation failed as the order is already completed.")
        if not order.status.is_open:
            raise RowError("51401", "Cancellation failed as the order is already canceled.")
        self.end(account, order, "1", "Order canceled by user")
        return self._accepted(row, order)

    def end(self, account: Account, order: Order, source: str, reason: str) -> None:
        """Cancel an open order for a reason of the venue's list."""
        ticket = self.ticket(order)
        ticket.cancel_source, ticket.cancel_reason = source, reason
        self.exchange.cancel(account.name, order, self.world.now_ms())

    def amend(self, account: Account, row: Mapping[str, Any]) -> Json:
        """Change an order's size or price under its own id.

        Raises
        ------
        RowError
            51500 to 51511, or as for a new order.
        """
        order = self.find(account, row)
        if order is None:
            raise RowError("51503", "Your order has already been filled or canceled.")
        if order.status is Status.FILLED:
            raise RowError("51510", "Modification failed as the order has been completed.")
        if not order.status.is_open:
            raise RowError("51509", "Modification failed as the order has been canceled.")
        if not row.get("newSz") and not row.get("newPx"):
            raise RowError("51500", "You must enter a price, quantity, or TP/SL.")
        instrument = self.exchange.instruments[order.symbol]
        quantity = _new_size(row, order, instrument)
        price = _new_price(row, order, instrument)
        ticket = self.ticket(order)
        ticket.req_id = str(row.get("reqId") or "")
        try:
            if quantity <= order.executed:
                self.exchange.complete(account.name, order, self.world.now_ms())
            else:
                self.exchange.revise(account.name, order, quantity, price, self.world.now_ms(), ticket.req_id)
        except Refused as refusal:
            if str(row.get("cxlOnFail", "")).lower() == "true":
                self.end(account, order, "1", "Order canceled by user")
            raise refused_order(refusal, _paid_with(instrument, order.side)) from refusal
        ticket.size = order.quantity
        return self._accepted(row, order, reqId=ticket.req_id)

    def _accepted(self, row: Mapping[str, Any], order: Order, **more: str) -> Json:
        client_id = self.ticket(order).client_id
        stamp = str(self.world.now_ms())
        return {"clOrdId": client_id, "ordId": wire_id(order.order_id), **more, "ts": stamp, "sCode": "0", "sMsg": ""}

    def run_rows(
        self,
        action: Callable[[Account, Mapping[str, Any]], Json],
        account: Account,
        rows: Sequence[Mapping[str, Any]],
        deadline: str = "",
    ) -> Json:
        """Run an action on every row: ``code`` 0 if all went well, 1 if none did, 2 in between.

        `deadline` is the request's ``expTime``, ms since the epoch: after it nothing new is done.
        """
        data: list[Json] = []
        is_late = deadline.isdigit() and int(deadline) < self.world.now_ms() and action != self.cancel
        for row in rows:
            try:
                if is_late:
                    raise RowError(*TOO_LATE)
                data.append(action(account, row))
            except RowError as error:
                data.append(self._failed(action, row, error))
        failed = sum(1 for answer in data if answer["sCode"] != "0")
        code = "0" if not failed else "1" if failed == len(data) else "2"
        message = {"0": "", "1": "All operations failed", "2": "Bulk operation partially succeeded."}[code]
        return {"code": code, "data": data, "msg": message}

    def _failed(self, action: Callable[..., Json], row: Mapping[str, Any], error: RowError) -> Json:
        answer: Json = {
            "clOrdId": str(row.get("clOrdId") or ""),
            "ordId": "" if action == self.place else str(row.get("ordId") or ""),
        }
        if action == self.place:
            answer["tag"] = str(row.get("tag") or "")
        elif action == self.amend:
            answer["reqId"] = str(row.get("reqId") or "")
        return answer | {"ts": str(self.world.now_ms()), "sCode": error.code, "sMsg": error.message}

    def why_ended(self, order: Order, kind: ExecutionKind) -> tuple[str, str]:
        """``cancelSource`` and its reason."""
        ticket = self.ticket(order)
        if ticket.cancel_source:
            return ticket.cancel_source, ticket.cancel_reason
        if kind is ExecutionKind.TRADE_PREVENTION or order.status is Status.EXPIRED_IN_MATCH:
            return "32", "The order was canceled due to self trade prevention"
        if order.status is not Status.EXPIRED:
            return "", ""
        if order.type is OrderType.LIMIT_MAKER:
            return "31", "The post-only order will take liquidity in maker orders"
        if ticket.ord_type == "fok":
            return "13", "FOK order was canceled due to incompletely filled"
        return "14", "IOC order was partially canceled due to incompletely filled"


def _paid_with(instrument: Instrument, side: Side) -> str:
    return instrument.quote if side is Side.BUY else instrument.base


def _new_size(row: Mapping[str, Any], order: Order, instrument: Instrument) -> int:
    if not row.get("newSz"):
        return order.quantity
    try:
        size = parse_e8(str(row["newSz"]))
    except TooPrecise:
        raise RowError("51121", "Order quantity must be a multiple of the lot size.") from None
    except ValueError:
        raise wrong("newSz") from None
    if size < instrument.min_quantity:
        raise RowError("51020", "Your order should meet or exceed the minimum order amount.")
    if size % instrument.step:
        raise RowError("51121", "Order quantity must be a multiple of the lot size.")
    return size


def _new_price(row: Mapping[str, Any], order: Order, instrument: Instrument) -> int:
    if not row.get("newPx"):
        return order.price
    try:
        price = parse_e8(str(row["newPx"]))
    except ValueError:
        raise wrong("newPx") from None
    if not price or price % instrument.tick:
        raise wrong("newPx")
    return price
