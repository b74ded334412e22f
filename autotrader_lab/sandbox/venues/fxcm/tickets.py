"""Positions as FXCM keeps them: one ticket for every opening trade, closed first in first out, or by name.

On a netting account a trade closes opposite tickets, oldest first, before it opens one. On a hedging account it opens
one beside them, unless the order names the ticket it closes.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from autotrader_lab.sandbox.orders import Execution, Side

__all__ = ["Ticket", "TicketBook"]


class Ticket(msgspec.Struct, kw_only=True):
    """A position, open or closed; quantities and prices in e8, `profit` in e8 of the account's currency."""

    ticket_id: int
    symbol: str
    side: Side
    quantity: int
    open_price: int
    open_ms: int
    open_client_id: str
    open_order_id: int
    close_price: int = 0
    close_ms: int = 0
    close_client_id: str = ""
    close_order_id: int = 0
    profit: int = 0

    @property
    def is_closed(self) -> bool:
        return self.close_ms > 0


class TicketBook:
    """One account's tickets.

    Parameters
    ----------
    hedging : bool
        Whether opposite tickets stand side by side.
    profit : callable
        (symbol, price difference, quantity) to profit in e8 of the account's currency.
    first_id : int
        Number of the first ticket.
    """

    def __init__(self, hedging: bool, profit: Callable[[str, int, int], int], first_id: int) -> None:
        self.hedging = hedging
        self.open: dict[int, Ticket] = {}
        self.closed: list[Ticket] = []
        self.realised = 0
        self._profit = profit
        self._last_id = first_id - 1

    def take(self, fill: Execution, client_id: str, closes: int = 0) -> int:
        """Take in a trade; returns the ticket that it opened, or last closed.

        Parameters
        ----------
        closes : int
            The ticket that the order names; 0 for none.
        """
        side = Side.BUY if fill.is_buyer else Side.SELL
        left, touched = fill.quantity, 0
        for ticket in list(self.open.values()):
            wanted = ticket.ticket_id == closes if closes or self.hedging else ticket.side is not side
            if left and wanted and ticket.symbol == fill.symbol and ticket.side is not side:
                part = min(left, ticket.quantity)
                self._close(ticket, part, fill, client_id)
                left, touched = left - part, ticket.ticket_id
        if not left:
            return touched
        self._last_id += 1
        self.open[self._last_id] = Ticket(
            ticket_id=self._last_id,
            symbol=fill.symbol,
            side=side,
            quantity=left,
            open_price=fill.price,
            open_ms=fill.time_ms,
            open_client_id=client_id,
            open_order_id=fill.order_id,
        )
        return self._last_id

    def _close(self, ticket: Ticket, quantity: int, fill: Execution, client_id: str) -> None:
        difference = fill.price - ticket.open_price if ticket.side is Side.BUY else ticket.open_price - fill.price
        profit = self._profit(ticket.symbol, difference, quantity)
        self.realised += profit
        self.closed.append(
            msgspec.structs.replace(
                ticket,
                quantity=quantity,
                close_price=fill.price,
                close_ms=fill.time_ms,
                close_client_id=client_id,
                close_order_id=fill.order_id,
                profit=profit,
            )
        )
        ticket.quantity -= quantity
        if not ticket.quantity:
            del self.open[ticket.ticket_id]
