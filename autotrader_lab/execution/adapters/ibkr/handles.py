"""What is known of one of our orders beyond its view: TWS's numbers for it, what was sent, and what was said last."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from decimal import Decimal

from autotrader_lab.execution.adapters.ibkr.codes import Meaning
from autotrader_lab.execution.adapters.ibkr.decode import Phase
from autotrader_lab.model.orders import Order, OrderStatus

__all__ = ["WORKING", "Handle", "Pair", "Word"]

WORKING = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL})

_REASON = re.compile(r"reason:\s*(.*)", re.IGNORECASE | re.DOTALL)

Pair = tuple[Decimal, float | None]


@dataclass(slots=True)
class Word:
    """An error that TWS told about an order."""

    meaning: Meaning
    code: int
    text: str

    @property
    def reason(self) -> str:
        """What stands after ``reason:``, where that is all there is to say."""
        match = _REASON.search(self.text)
        return match.group(1).strip() if match else self.text.strip()


@dataclass(slots=True)
class Handle:
    """What is known of one of our orders beyond its view.

    Attributes
    ----------
    order_id, client_id, perm_id : int
        TWS's numbers; 0 where not known yet.
    awaits : str
        What was sent and not answered: ``submit``, ``amend``, ``cancel`` or nothing.
    wanted : pair or None
        Quantity and price that a change asked for and that nobody confirmed.
    seen : set of pairs
        Quantities and prices it had, so that an old message is not taken for a change.
    word : Word or None
        The last error about it since something was sent.
    ending : Phase or None
        That its status says it is over, while the cause is not known.
    shown : Decimal
        The executed quantity that its status told.
    """

    view: Order
    order_id: int = 0
    client_id: int = 0
    perm_id: int = 0
    awaits: str = ""
    wanted: Pair | None = None
    cancelling: bool = False
    word: Word | None = None
    ending: Phase | None = None
    shown: Decimal = Decimal(0)
    seen: set[Pair] = field(default_factory=set)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def begin(self, awaits: str, wanted: Pair | None = None) -> None:
        """Take note that something is sent now: what was told before is no answer to it."""
        self.word, self.awaits = None, awaits
        self.wanted = wanted or self.wanted
        self.cancelling = self.cancelling or awaits == "cancel"

    def wake(self) -> None:
        """Let whoever waits for this order look again."""
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
