"""The account's transactions: numbered, in order, never changed; everything else follows from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autotrader_lab.sandbox.venues.oanda.times import Instant

__all__ = ["Record"]

Json = dict[str, Any]


class Record:
    """Transactions of one account.

    Parameters
    ----------
    account_id : str
        Named in each.
    user_id : int
        Named in each.
    first_id : int
        The first one's number.
    now_ns : callable
        The time.
    """

    def __init__(self, account_id: str, user_id: int, first_id: int, now_ns: Callable[[], int]) -> None:
        self.account_id = account_id
        self.user_id = user_id
        self.transactions: list[Json] = []
        self.listeners: list[Callable[[Json], None]] = []
        self._first_id = first_id
        self._now_ns = now_ns

    def now(self) -> Instant:
        """The time, ready to be printed."""
        return Instant(self._now_ns())

    @property
    def next_id(self) -> int:
        """The number of the next transaction."""
        return self._first_id + len(self.transactions)

    @property
    def last_id(self) -> str:
        """The number of the last one."""
        return str(self.next_id - 1)

    def add(self, type_: str, body: Json, batch: str = "") -> Json:
        """Record one; `batch` is the number of the first that belongs to the same request."""
        number = str(self.next_id)
        transaction = {
            "type": type_,
            **body,
            "id": number,
            "accountID": self.account_id,
            "userID": self.user_id,
            "batchID": batch or number,
            "requestID": str(78_000_000_000_000_000 + int(batch or number) * 1_009),
            "time": self.now(),
        }
        self.transactions.append(transaction)
        for tell in self.listeners:
            tell(transaction)
        return transaction

    def get(self, number: int) -> Json | None:
        """One transaction, or None."""
        index = number - self._first_id
        return self.transactions[index] if 0 <= index < len(self.transactions) else None

    def between(self, first: int, last: int) -> list[Json]:
        """Those from `first` to `last`, both included."""
        return self.transactions[max(0, first - self._first_id) : max(0, last - self._first_id + 1)]
