"""What is asked of IB: orders, executions, positions, cash."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from autotrader_lab.execution.adapters.base import NOT_SEEN
from autotrader_lab.execution.adapters.ibkr import decode
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, Execution, Phase, Terms
from autotrader_lab.execution.adapters.ibkr.lookup import IBKRLookup
from autotrader_lab.execution.adapters.ibkr.views import foreign_order
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import OrderNotFound, VenueUnavailable
from autotrader_lab.model.orders import Fill, Order, OrderStatus

__all__ = ["IBKRQueries"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_FORGOTTEN_AFTER = timedelta(hours=12)


class IBKRQueries(IBKRLookup):
    """The adapter's questions."""

    # --- orders -----------------------------------------------------------------------------------------------

    async def get_order_status(self, order_id: str) -> Order:
        await self._ready()
        view = self._find_view(order_id)
        if view is not None:
            found = await self._look_up(view)
            if found is None:
                raise OrderNotFound(f"{VENUE} {self.environment}: the venue shows nothing of order {order_id}")
            return found
        return await self._foreign(order_id)

    async def _look_up(self, view: Order) -> Order | None:
        """Bring our view up to the venue's; None if the venue shows nothing of it anywhere."""
        name = view.client_order_id or view.order_id
        handle = self._handle(view)
        for key in await self._answer(f"order {name}", self._ask_open()):
            if self._ours(self._terms[key]) is handle and view.is_open:
                if handle.shown > view._filled:
                    await self._answer(f"order {name}", self._ask_executions())
                return view.copy()
        if view.leaves:
            await self._answer(f"order {name}", self._ask_executions())
        if view.is_open:
            completed = await self._answer(f"order {name}", self._ask_completed())
            if view.status in NOT_SEEN and not any(self._ours(terms) is handle for terms in completed):
                self._check_memory(view, name)
                return None
            if view.is_open and not any(self._ours(terms) is handle for terms in completed):
                log.warning("%s: %s is %s here and nowhere at the venue", VENUE, name, view.status.value)
                return None
        return view.copy()

    def _check_memory(self, view: Order, name: str) -> None:
        """Refuse to call an order absent that TWS may have forgotten: it tells of one day only."""
        sent = view.submitted_at or view.created_at
        if sent is not None and self._clock.now() - sent > _FORGOTTEN_AFTER:
            raise VenueUnavailable(
                f"{VENUE} {self.environment}: order {name} was sent at {sent:%Y-%m-%d %H:%M} UTC, and TWS tells of "
                "today's orders only; look it up in the account's statement and discard or adopt it by hand"
            )

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        await self._ready()
        view = self.orders.get(client_order_id)
        if view is not None:
            return await self._look_up(view)
        # References may repeat: what executed is looked at first.
        executed = [
            each
            for each in await self._answer(f"order {client_order_id}", self._ask_executions())
            if each.reference == client_order_id
        ]
        for terms in await self._everything(f"order {client_order_id}"):
            if terms.reference == client_order_id:
                return self._seen(terms, executed)
        return self._pieced(client_order_id, executed) if executed else None

    async def _foreign(self, order_id: str) -> Order:
        """An order that was not sent or adopted here."""
        for terms in await self._everything(f"order {order_id}"):
            if order_id in (str(terms.perm_id), terms.reference):
                return self._seen(terms, [])
        raise OrderNotFound(f"{VENUE} {self.environment}: there is no order {order_id!r}, working or completed today")

    async def _everything(self, what: str) -> list[Terms]:
        keys = await self._answer(what, self._ask_open())
        working = [self._terms[key] for key in keys]
        return working + await self._answer(what, self._ask_completed())

    def _seen(self, terms: Terms, executed: list[Execution]) -> Order:
        standing = self._standings.get(terms.perm_id or (terms.client_id, terms.order_id))
        total = sum((each.quantity for each in executed), Decimal(0))
        if total:
            average = float(sum((each.quantity * each.price for each in executed), Decimal(0)) / total)
        else:
            total = terms.filled or (standing.filled if standing is not None else Decimal(0))
            average = standing.average if standing is not None else 0.0
        return foreign_order(terms, self._name(terms.security), total, average, self._clock.now())

    def _pieced(self, client_order_id: str, executed: list[Execution]) -> Order:
        """An order of which only its executions tell."""
        total = sum((each.quantity for each in executed), Decimal(0))
        first = executed[0]
        terms = Terms(
            order_id=first.order_id,
            client_id=first.client_id,
            perm_id=first.perm_id,
            account=first.account,
            reference=client_order_id,
            security=first.security,
            side=first.side,
            type_name="MKT",
            order_type=None,
            time_in_force="DAY",
            quantity=total,
            limit=Decimal(0),
            stop=Decimal(0),
            status="Filled",
            phase=Phase.FILLED,
        )
        return self._seen(terms, executed)

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        await self._ready()
        wanted = (await self._listing(symbol)).instrument.symbol if symbol is not None else None
        orders = []
        for key in await self._answer("open orders", self._ask_open()):
            handle = self._ours(self._terms[key])
            if handle is None or handle.view.status is OrderStatus.REJECTED:
                orders.append(self._seen(self._terms[key], []))
            elif handle.view.is_open:
                orders.append(handle.view.copy())
        return [order for order in orders if wanted in (None, order.symbol)]

    async def get_fills(self, symbol: str, since_ns: int) -> list[Fill]:
        """Executions of the account since then, of the same day as far as TWS keeps them, oldest first."""
        await self._ready()
        name = (await self._listing(symbol)).instrument.symbol
        await self._answer(f"executions of {name}", self._ask_executions())
        # TWS tells whole seconds.
        since_ns = since_ns // 1_000_000_000 * 1_000_000_000
        fills = [fill for _, fill in self._ledger.values()]
        found = [fill for fill in fills if fill.symbol == name and to_ns(fill.timestamp) >= since_ns]
        return sorted(found, key=lambda fill: fill.timestamp)

    # --- the account ------------------------------------------------------------------------------------------

    async def get_positions(self) -> dict[str, float]:
        await self._ready()
        client = await self._send("query", "positions")
        rows = await self._answer("positions", self._questions.by_kind("positions", client.reqPositions))
        net = {view.symbol: Decimal(0) for view in self.orders.values()}
        # A row may come twice, as an answer and as an event: the last one counts.
        net.update({self._name(security): size for security, size in rows})
        return {symbol: float(size) for symbol, size in net.items()}

    async def get_account_balance(self) -> dict[str, float]:
        """Cash by currency, as the account's ledger has it; what is held is not in it."""
        rows = await self._summary("$LEDGER:ALL")
        cash = {currency: value for tag, value, currency in rows if tag == "CashBalance" and currency != "BASE"}
        return {currency: float(decode.number(value, "CashBalance") or 0) for currency, value in cash.items()}

    async def get_account_values(self) -> dict[str, float]:
        """NetLiquidation, AvailableFunds, BuyingPower and the like, in the account's base currency."""
        tags = (
            "NetLiquidation,TotalCashValue,AvailableFunds,BuyingPower,InitMarginReq,MaintMarginReq,GrossPositionValue"
        )
        rows = await self._summary(tags)
        return {tag: float(decode.number(value, tag) or 0) for tag, value, _ in rows}

    async def _summary(self, tags: str) -> list[tuple[str, str, str]]:
        await self._ready()
        # TWS keeps at most two of these subscriptions.
        async with self._summaries:
            return await self._ask_summary(tags)

    async def _ask_summary(self, tags: str) -> list[tuple[str, str, str]]:
        client = await self._send("query", "account summary")
        asked: list[int] = []

        def send(key: int) -> None:
            asked.append(key)
            client.reqAccountSummary(key, "All", tags)

        try:
            rows = await self._answer("account summary", self._questions.by_id(send))
        finally:
            if asked and self._link.is_up:
                await self._pace.turn("cancel", "end of account summary")
                client.cancelAccountSummary(asked[0])
        return [(tag, value, currency) for account, tag, value, currency in rows if account == self.account]
