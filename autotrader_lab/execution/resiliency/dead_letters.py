"""Orders that could not be delivered: kept, written down, and handed to a person.

Only an order that certainly never reached the venue is a dead letter. One whose outcome is unknown is not: it is still
in the book, in doubt, and reserves what it could cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from autotrader_lab.model.clock import Clock
from autotrader_lab.model.orders import Order

__all__ = ["DeadLetter", "DeadLetters", "Settled"]

Settled = str
"""How a dead letter ended: ``resubmitted``, ``adopted`` or ``discarded``."""


@dataclass(slots=True)
class DeadLetter:
    """An order that could not be delivered, for a person to decide about.

    Attributes
    ----------
    reason : str
        The last error, in words.
    attempts : int
        How often it was tried.
    at : datetime
        When it was given up, UTC.
    """

    order: Order
    error: Exception
    reason: str
    attempts: int
    at: datetime


class DeadLetters:
    """The queue of undelivered orders, newest last.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._letters: dict[str, DeadLetter] = {}
        self._callbacks: list[Callable[[DeadLetter, Settled], None]] = []

    def subscribe(self, callback: Callable[[DeadLetter, Settled], None]) -> None:
        """Call `callback` with each letter and ``dead``, or how it was settled."""
        self._callbacks.append(callback)

    def bury(self, order: Order, error: Exception, attempts: int) -> DeadLetter:
        """Keep `order`; one that is here already is kept once, with the newest error."""
        letter = DeadLetter(order, error, f"{type(error).__name__}: {error}", attempts, self._clock.now())
        self._letters[_key(order)] = letter
        self._tell(letter, "dead")
        return letter

    def restore(self, letter: DeadLetter) -> None:
        """Put back what a journal says is still unsettled; tells nobody."""
        self._letters[_key(letter.order)] = letter

    def settle(self, letter: DeadLetter, how: Settled) -> None:
        """Take `letter` out of the queue."""
        if self._letters.pop(_key(letter.order), None) is not None:
            self._tell(letter, how)

    def find(self, client_order_id: str) -> DeadLetter | None:
        """The letter of an order by our id."""
        return self._letters.get(client_order_id)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(list(self._letters.values()))

    def __len__(self) -> int:
        return len(self._letters)

    def _tell(self, letter: DeadLetter, what: Settled) -> None:
        for callback in self._callbacks:
            callback(letter, what)


def _key(order: Order) -> str:
    return order.client_order_id or f"unnamed-{id(order)}"
