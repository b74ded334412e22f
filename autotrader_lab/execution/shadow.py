"""The paper book beside a real one: it is given every order that goes out, on the same market, at the same moment.

What it makes of them is journaled, and :mod:`autotrader_lab.ladder.parity` splits the difference between the two. It
sends nothing and holds nothing up: an order is taken over after it has left, and should the shadow fail, it ends with
an alert while the real book goes on. It does not outlive its process; what rested in it then counts as missed fills.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from autotrader_lab.execution.adapters.matching import Latency, PaperMatching
from autotrader_lab.execution.book import Change
from autotrader_lab.execution.oms.desk import Desk
from autotrader_lab.journal import records
from autotrader_lab.model.clock import NS
from autotrader_lab.model.errors import AutoTraderError, OrderNotFound, OrderRefused
from autotrader_lab.model.market import MarketEvent
from autotrader_lab.model.orders import Accepted, Amended, Filled, Order, Report

__all__ = ["ShadowBook"]

_ENDLESS = 1e12
"""The account's size: whether money is enough is the real account's business, and the gate's."""


class ShadowBook:
    """See the module.

    Parameters
    ----------
    desk : Desk
        Of the real book: whose orders, changes, instruments, market, clock, journal and stage it takes.
    latency_ms, slippage_bps, commission_bps
        What paper trading assumes; see :class:`PaperTradingAdapter`.
    failed : callable, optional
        Told the reason if the shadow ends early.
    """

    def __init__(
        self,
        desk: Desk,
        latency_ms: float | tuple[float, float] = (10, 50),
        slippage_bps: float = 5,
        commission_bps: float = 10,
        failed: Callable[[str], None] | None = None,
    ) -> None:
        self._desk = desk
        self._assumptions = (slippage_bps, commission_bps)
        self._latency = Latency(latency_ms)
        self._failed = failed
        self._matching: PaperMatching | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        desk.subscribe_intents(self._on_intent)
        desk.subscribe(self._on_change)

    def open(self) -> None:
        """Begin, on the instruments that the venue has told by now."""
        slippage_bps, commission_bps = self._assumptions
        self._matching = PaperMatching(
            _ENDLESS,
            slippage_bps,
            commission_bps,
            instruments=self._desk.book.instruments,
            allow_short=True,
            leverage=_ENDLESS,
            id_prefix="SHADOW_",
            venue="shadow",
        )
        self._matching.advance(self._desk.clock.now_ns())

    def close(self) -> None:
        """End. Twice is quiet."""
        self._matching = None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    # --- what it is told --------------------------------------------------------------------------------------

    def on_market(self, event: MarketEvent) -> None:
        """Let the shadow's orders meet `event`; subscribe it to the feed before the engine."""
        self._do(lambda matching: matching.on_market(event, self._desk.clock.now_ns()))

    def _on_intent(self, order: Order) -> None:
        if self._matching is not None and order.decision_id:
            bid, ask = self._touch(order.symbol)
            # After this turn of the loop: the order is on its way by then.
            asyncio.get_running_loop().call_soon(self._take, order, bid, ask, self._desk.clock.now_ns())

    def _take(self, order: Order, bid: float, ask: float, decided_ns: int) -> None:
        known = Order(
            "",
            order.symbol,
            order.side,
            order.order_type,
            order.quantity,
            order.price,
            order.stop_price,
            order.time_in_force,
            decision_id=order.decision_id,
            client_order_id=order.client_order_id,
            post_only=order.post_only,
        )
        latency_ns = self._latency.draw_ns()

        def submit(matching: PaperMatching) -> list[Report]:
            if matching.knows(known.client_order_id):
                return []
            self._write(
                records.SHADOW_ORDER,
                records.ShadowOrder(
                    known.client_order_id, known.decision_id, known.symbol, known.side, known.quantity, bid, ask
                ),
                known,
            )
            self._later(latency_ns / NS, lambda: self._do(lambda m: m.advance(self._desk.clock.now_ns())))
            return matching.submit(known, decided_ns + latency_ns)

        self._do(submit)

    def _on_change(self, change: Change) -> None:
        """What becomes of the real order: its market is noted, and what ended or changed there does so here."""
        order, report = change.order, change.report
        if self._matching is None or not order.decision_id:
            return
        if isinstance(report, Accepted):
            self._note_touch("real", order)
        elif isinstance(report, Amended):
            self._do(lambda m: m.amend(order.client_order_id, m.now_ns, report.quantity, report.price))
        elif change.finished and not isinstance(report, Filled):
            self._do(lambda m: m.cancel(order.client_order_id, self._desk.clock.now_ns()))

    # --- what it says -----------------------------------------------------------------------------------------

    def _do(self, action: Callable[[PaperMatching], list[Report]]) -> None:
        if self._matching is None:
            return
        try:
            self._tell(action(self._matching))
        except (OrderNotFound, OrderRefused):
            return  # it is done here, or cannot be changed here as it was there: the parity report shows it
        except AutoTraderError as error:
            self.close()
            if self._failed is not None:
                self._failed(f"{type(error).__name__}: {error}")

    def _tell(self, reports: list[Report]) -> None:
        for report in reports:
            order = self._desk.book.find(report.client_order_id)
            if order is None:
                continue
            if isinstance(report, Accepted):
                self._note_touch("shadow", order)
            elif isinstance(report, Filled):
                self._write(records.SHADOW_FILL, report, order)

    def _note_touch(self, book: Any, order: Order) -> None:
        bid, ask = self._touch(order.symbol)
        if ask:
            self._write(records.TOUCH, records.TouchRecord(order.client_order_id, book, bid, ask), order)

    def _write(self, kind: str, record: Any, order: Order) -> None:
        self._desk.journal.append(
            kind,
            record,
            stage=self._desk.stage,
            decision_id=order.decision_id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
        )

    def _touch(self, symbol: str) -> tuple[float, float]:
        """Best bid and ask; the last price for both where no quotes are known, 0 where nothing is."""
        mark = self._desk.book.marks.get(symbol, 0.0)
        return self._desk.book.bid_ask.get(symbol, (mark, mark))

    def _later(self, after_s: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(after_s, run)
        self._timers.add(timer)
