"""One REST request and the registry of what can be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from autotrader_lab.sandbox.orders import Account, Instrument
from autotrader_lab.sandbox.venues.coinbase.errors import invalid

if TYPE_CHECKING:
    from autotrader_lab.sandbox.venues.coinbase.desk import Desk
    from autotrader_lab.sandbox.world import World

__all__ = ["OPERATIONS", "Call", "Operation", "operation"]

Json = dict[str, Any]


class Call:
    """A request on its way through the venue.

    Parameters
    ----------
    desk : Desk
        The world's orders.
    path : mapping
        The path's variable parts.
    query : mapping of str to list of str
        Query parameters; some are repeated.
    body : dict
        The JSON body, empty when there is none.
    account : Account, optional
        Who asks, when it was proven.
    """

    def __init__(
        self,
        desk: Desk,
        path: Mapping[str, str],
        query: Mapping[str, list[str]],
        body: Json,
        account: Account | None = None,
    ) -> None:
        self.desk = desk
        self.world: World = desk.world
        self.path = path
        self.query = query
        self.body = body
        self.account = account
        self.now_ms = self.world.now_ms()

    @property
    def owner(self) -> Account:
        """Who asks, for operations that need to know."""
        assert self.account is not None, "a signed operation has an account"
        return self.account

    def one(self, name: str) -> str | None:
        """A query parameter, None when it was not sent."""
        values = self.query.get(name)
        return values[0] if values and values[0] else None

    def many(self, *names: str) -> list[str]:
        """Everything that was sent under some names."""
        return [value for name in names for value in self.query.get(name, []) if value]

    def number(self, name: str, default: int) -> int:
        """A whole number.

        Raises
        ------
        ApiError
            400 if it is none.
        """
        text = self.one(name)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError:
            raise invalid(f"{name} must be a whole number") from None

    def product(self, name: str | None = None) -> Instrument:
        """The instrument of a product id, by default the path's.

        Raises
        ------
        ApiError
            400 if there is none.
        """
        found = self.desk.by_id.get(name or self.path.get("product_id", ""))
        if found is None:
            raise invalid("valid product_id is required")
        return found

    def page(self, rows: list[Json], default: int, most: int) -> tuple[list[Json], str, bool]:
        """One page of rows, the cursor of the next and whether there is one.

        Raises
        ------
        ApiError
            400 for a cursor that is none.
        """
        limit = max(1, min(self.number("limit", default), most))
        start = self.number("cursor", 0)
        after = start + limit
        return rows[start:after], str(after) if after < len(rows) else "", after < len(rows)


class Operation(msgspec.Struct, frozen=True):
    """Something that can be asked."""

    name: str
    run: Callable[[Call], Any]
    is_private: bool


OPERATIONS: dict[str, Operation] = {}


def operation(*names: str, private: bool = True) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Register a function under verbs and paths; it returns the whole body."""

    def register(run: Callable[[Call], Any]) -> Callable[[Call], Any]:
        for name in names:
            OPERATIONS[name] = Operation(name, run, private)
        return run

    return register
