"""What a person can do about an order in doubt, or one that could not be delivered: four buttons.

``query`` asks the venue again, ``adopt`` ties it to an order the venue has, ``resubmit`` sends it anew after the venue
said that it has none, ``discard`` gives it up after the venue said so. None of them guesses: a venue that does not
answer ends none of the doubt.
"""

from __future__ import annotations

from autotrader_lab.execution.oms.manager import OrderManager
from autotrader_lab.execution.resiliency.dead_letters import DeadLetters
from autotrader_lab.model.clock import NS, to_ns
from autotrader_lab.model.errors import OrderError, OrderNotFound, OrderRefused, VenueUnavailable
from autotrader_lab.model.orders import Accepted, Order, OrderStatus, Rejected

__all__ = ["Settlement"]


class Settlement:
    """The four buttons, and the automatic second chance of dead letters.

    Parameters
    ----------
    oms : OrderManager
    dead_letters : DeadLetters
    """

    def __init__(self, oms: OrderManager, dead_letters: DeadLetters) -> None:
        self._oms = oms
        self._dead_letters = dead_letters

    async def query(self, order_id: str) -> Order:
        """Ask the venue about an order and book what it says; returns the order.

        Raises
        ------
        OrderError
            If there is no such order here.
        VenueUnavailable
            If nobody answers now.
        """
        order = self._find(order_id)
        await self._oms.learn(order)
        return order

    async def adopt(self, order_id: str, venue_order_id: str) -> Order:
        """Declare that the venue's order `venue_order_id` is this one, and book its fills.

        Raises
        ------
        OrderError
            If ours is not in doubt, or theirs is for something else.
        OrderNotFound
            If the venue has no such order.
        """
        order = self._find(order_id)
        async with self._oms.deciding(order):
            return await self._adopt(order, venue_order_id)

    async def _adopt(self, order: Order, venue_order_id: str) -> Order:
        self._require_doubt(order)
        theirs = await self._oms.adapter.get_order_status(venue_order_id)
        if (theirs.symbol, theirs.side) != (order.symbol, order.side):
            raise OrderError(
                f"order {venue_order_id} at the venue is {theirs.side.value} {theirs.symbol}, ours is "
                f"{order.side.value} {order.symbol}; adopt only what it really is"
            )
        self._oms.take(Accepted(order.client_order_id, self._now_ns(), theirs.order_id or venue_order_id))
        self._oms.adapter.adopt(order)
        await self._oms.learn(order)
        return order

    async def resubmit(self, order_id: str) -> Order:
        """Send an order again that the venue says it has not; a person's word stands for its freshness, not for risk.

        One in doubt goes out under the same client order id. A dead letter is over and goes out as a new order with
        ``metadata['resubmits']``.

        Raises
        ------
        OrderError
            If the venue has it after all (it is adopted then), or it is neither in doubt nor a dead letter.
        """
        order = self._find(order_id)
        async with self._oms.deciding(order):
            return await self._resubmit(order)

    async def _resubmit(self, order: Order) -> Order:
        name = order.client_order_id
        letter = self._dead_letters.find(name)
        if order.status is not OrderStatus.UNKNOWN and letter is None:
            raise OrderError(f"order {name} is {order.status.value}: neither in doubt nor a dead letter")
        if await self._known_to_the_venue(order):
            if letter is not None:
                self._dead_letters.settle(letter, "adopted")
            raise OrderError(f"order {name}: the venue has it ({order.status.value}); adopted, not sent again")
        if letter is None:
            return await self._oms.send_again(order)
        again = Order(
            "",
            order.symbol,
            order.side,
            order.order_type,
            order.quantity,
            order.price,
            order.stop_price,
            order.time_in_force,
            metadata={**order.metadata, "resubmits": order.client_order_id},
            post_only=order.post_only,
            reduce_only=order.reduce_only,
        )
        if self._oms.desk.approve(again) is None:
            await self._oms.send(again)
            if again.status is not OrderStatus.REJECTED:
                self._dead_letters.settle(letter, "resubmitted")
        return again

    async def discard(self, order_id: str, why: str = "discarded by a person") -> Order:
        """Give an order up that the venue says it has not.

        Raises
        ------
        OrderError
            If the venue has it: then it is adopted and must be cancelled instead.
        VenueUnavailable
            If the venue does not answer: doubt is not ended by giving up.
        """
        order = self._find(order_id)
        async with self._oms.deciding(order):
            return await self._discard(order, why)

    async def _discard(self, order: Order, why: str) -> Order:
        letter = self._dead_letters.find(order.client_order_id)
        if letter is not None:
            self._dead_letters.settle(letter, "discarded")
            return order
        self._require_doubt(order)
        if await self._known_to_the_venue(order):
            raise OrderError(
                f"order {order.client_order_id}: the venue has it ({order.status.value}); cancel it instead"
            )
        self._oms.give_up(Rejected(order.client_order_id, self._now_ns(), why, "DISCARDED"))
        return order

    async def reprocess(self, fresh_s: float = 30.0, price_band: float = 0.005) -> list[Order]:
        """Give every dead letter its second chance: still fresh, still inside the price band, still inside risk.

        Parameters
        ----------
        fresh_s : float
            Seconds since its decision after which it stays for a person.
        price_band : float
            How far the market may have moved from its limit price, as a fraction.

        Returns
        -------
        list of Order
            What was sent.
        """
        sent = []
        for letter in self._dead_letters:
            order = letter.order
            age_s = (self._now_ns() - to_ns(order.created_at)) / NS if order.created_at else float("inf")
            mark = self._oms.book.marks.get(order.symbol)
            moved = abs(order.price / mark - 1) if order.price and mark else 0.0
            if age_s > fresh_s or moved > price_band:
                continue
            try:
                again = await self.resubmit(order.client_order_id)
            except (OrderError, VenueUnavailable) as error:
                letter.reason = str(error)
                continue
            if again.order_id:
                sent.append(again)
        return sent

    async def _known_to_the_venue(self, order: Order) -> bool:
        adapter = self._oms.adapter
        if not adapter.capabilities.client_order_ids:
            raise OrderRefused(
                f"{adapter.venue or 'this venue'} keeps no client order ids, so it cannot say whether it has "
                f"{order.client_order_id}; look at its own screen, then adopt the venue's order id",
                "NO_CLIENT_ORDER_IDS",
            )
        wait_s = self._oms.may_arrive_for_s(order) if order.status is OrderStatus.UNKNOWN else 0.0
        try:
            is_known = await self._oms.learn(order)
        except OrderNotFound:
            is_known = False
        if not is_known and wait_s:
            raise OrderError(
                f"order {order.client_order_id}: the venue has none yet, but it may still arrive for {wait_s:.1f} s; "
                "ask again then"
            )
        return is_known

    def _find(self, order_id: str) -> Order:
        order = self._oms.book.find(order_id)
        if order is None:
            raise OrderError(f"no order {order_id!r} in this session")
        return order

    @staticmethod
    def _require_doubt(order: Order) -> None:
        if order.status is not OrderStatus.UNKNOWN:
            raise OrderError(f"order {order.client_order_id} is {order.status.value}, not in doubt")

    def _now_ns(self) -> int:
        return self._oms.clock.now_ns()
