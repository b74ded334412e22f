"""Every transaction of one Oanda account, on its way in: from answers, from the stream, and from closing gaps.

The stream has a thread of its own. What it may have missed, while it was down or although it was up, is asked for since
the last transaction that is known to have come; numbers have no holes, so a missing one is seen.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any

from autotrader_lab.execution.adapters.base import ConnectionState
from autotrader_lab.execution.adapters.oanda import decode
from autotrader_lab.execution.adapters.oanda.decode import VENUE
from autotrader_lab.execution.adapters.oanda.line import OandaLine
from autotrader_lab.execution.adapters.oanda.values import identifier, items, number_of, word
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.errors import DataError, VenueError, VenueUnavailable
from autotrader_lab.model.orders import Order

__all__ = ["OandaAccount"]

log = logging.getLogger(__name__)

_GAP_S = 0.5


class OandaAccount(OandaLine):
    """One account; see :class:`~.adapter.OandaAdapter` for the parameters."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._life = asyncio.Lock()
        self._stream: Any = None
        self._cursor: int | None = None
        self._ahead: set[int] = set()
        self._newest = 0
        self._gap_task: asyncio.Task[None] | None = None
        self._adopted: set[str] = set()
        self._known_at_sending: dict[str, int] = {}

    # --- life -------------------------------------------------------------------------------------------------

    async def connect(self) -> bool:
        """Check account and environment, learn what is listed, open the transaction stream and close every gap.

        Raises
        ------
        AuthenticationFailed
            If Oanda does not accept the token, or the account is not the token's or the other environment's.
        VenueUnavailable
            If it cannot be reached, or does not answer.
        """
        async with self._life:
            if "orders" in self._users:
                return True
            await self._acquire("orders")
            try:
                await self._open_stream()
            except BaseException:
                await self._release("orders")
                raise
        self._connection("connected", f"{VENUE} {self.environment}, account {self.account_id}")
        return True

    async def disconnect(self) -> None:
        async with self._life:
            if "orders" not in self._users:
                return
            stream, self._stream = self._stream, None
            try:
                if self._gap_task is not None:
                    await end_tasks(self._gap_task)
                if stream is not None:
                    await stream.stop()
            finally:
                self._gap_task = None
                await self._release("orders")
        self._connection("closed", "disconnect was called")

    # --- transactions -----------------------------------------------------------------------------------------

    async def _open_stream(self) -> None:
        from oandapyV20.endpoints.transactions import TransactionsStream

        from autotrader_lab.execution.adapters.oanda.stream import KeptStream

        stream = KeptStream(
            f"{VENUE}-transactions",
            self._make_wire,
            lambda: TransactionsStream(self.account_id),
            self._clock,
            self._silence_s,
            on_open=self._close_gap,
            on_message=self._on_message,
            on_change=self._line_changed,
        )
        await stream.start()
        self._stream = stream

    def _line_changed(self, state: str, reason: str) -> None:
        named: ConnectionState = "lost" if state == "lost" else "restored"
        self._connection(named, reason)

    def _on_message(self, message: Mapping[str, Any]) -> None:
        """One object of the transaction stream."""
        try:
            if message.get("type") == "HEARTBEAT":
                self._suspect(number_of(identifier(message, "lastTransactionID", "0")))
            else:
                self._receive(message)
        except DataError as error:
            log.warning("%s: something on the transaction stream was not understood: %s", VENUE, error)

    def _receive(self, body: Mapping[str, Any]) -> None:
        """One transaction, from wherever; each is looked at once.

        Raises
        ------
        DataError
            If it is not understood; it counts as seen all the same, it would not be understood the next time.
        """
        name = identifier(body, "id")
        if word(body, "accountID", self.account_id) != self.account_id:
            return
        number = number_of(name)
        if number and not self._is_new(number):
            return
        try:
            self._take(decode.decode_transaction(body))
        finally:
            if number:
                self._note(number)

    @property
    def _known(self) -> int:
        """The highest transaction number that has come so far: whatever is sent now gets a higher one."""
        return max(self._ahead, default=self._cursor or 0)

    def _is_new(self, number: int) -> bool:
        return self._cursor is None or (number > self._cursor and number not in self._ahead)

    def _note(self, number: int) -> None:
        """It has come: the cursor stands where none before it is missing."""
        if self._cursor is None:
            return
        self._ahead.add(number)
        while self._cursor + 1 in self._ahead:
            self._cursor += 1
            self._ahead.discard(self._cursor)
        if self._ahead:
            self._suspect(number)

    def _suspect(self, number: int) -> None:
        """The venue is at this number: if nothing up to it is heard soon, it is asked for."""
        self._newest = max(self._newest, number)
        if self._cursor is not None and self._newest > self._cursor and self._gap_task is None and self._stream:
            self._gap_task = asyncio.create_task(self._mind_the_gap(), name=f"{VENUE}-gap")

    async def _mind_the_gap(self) -> None:
        try:
            await self._clock.sleep(_GAP_S)
            if self._cursor is not None and self._newest > self._cursor:
                await self._since(self._cursor)
        except VenueError as error:
            log.info("%s: missing transactions could not be asked for yet: %s", VENUE, error)
        finally:
            self._gap_task = None

    async def _close_gap(self) -> None:
        """Hear everything that happened while nobody listened."""
        if self._cursor is None:
            assert self.state is not None, "the account is checked before its stream is opened"
            self._cursor = number_of(self.state.last_id)
        await self._since(self._cursor)
        views = [self.orders[name] for name in sorted(self._adopted) if name in self.orders]
        for view in views:
            if view.is_open:
                await self._look_up(view)
        self._adopted.clear()

    async def _since(self, number: int) -> None:
        """Take every transaction after this number, in their order."""
        reached = number
        async for rows, highest in self._listed_since(number):
            reached = highest
            for row in rows:
                try:
                    self._receive(row)
                except DataError as error:
                    log.warning("%s: a transaction was not understood: %s", VENUE, error)
        # What has no number between was never there.
        if self._cursor is not None:
            self._cursor = max(self._cursor, reached)
            self._ahead = {each for each in self._ahead if each > self._cursor}

    async def _listed_since(self, number: int) -> AsyncIterator[tuple[list[Mapping[str, Any]], int]]:
        """The transactions after this number in helpings, each with the highest number in it."""
        from oandapyV20.endpoints.transactions import TransactionsSinceID

        name = f"{VENUE} {self.environment}: transactions since {number}"
        last = number + 1
        while number < last:
            body = await self._ask(TransactionsSinceID(self.account_id, params={"id": str(number)}), name)
            try:
                rows, last = items(body, "transactions"), number_of(identifier(body, "lastTransactionID"))
                reached = max((number_of(identifier(row, "id")) for row in rows), default=number)
            except DataError as error:
                raise VenueUnavailable(f"{name}: not understood: {error}") from error
            if reached <= number:
                return
            yield rows, reached
            number = reached

    def adopt(self, order: Order) -> None:
        super().adopt(order)
        self._adopted.add(order.client_order_id or order.order_id)

    @abstractmethod
    async def _look_up(self, view: Order) -> Order | None:
        """Bring our view up to the venue's; None if the venue shows nothing of it anywhere."""
