"""One request, whichever way it came, and the registry of what can be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from autotrader_lab.sandbox.orders import Account, Instrument
from autotrader_lab.sandbox.venues.okx.errors import ApiError, missing

if TYPE_CHECKING:
    from autotrader_lab.sandbox.venues.okx.desk import Desk
    from autotrader_lab.sandbox.world import World

__all__ = ["OPERATIONS", "Call", "Operation", "operation"]

Rows = list[Any]


class Call:
    """A request on its way through the venue.

    Parameters
    ----------
    desk : Desk
        The world's orders.
    params : mapping
        Query parameters or the body's fields, every value a text; empty ones are gone.
    rows : list of dict
        The body's objects when it is a list, else the one body.
    account : Account, optional
        Who asks, when it was proven.
    deadline : str, default ""
        The request's ``expTime``.
    """

    def __init__(
        self,
        desk: Desk,
        params: Mapping[str, Any],
        rows: list[dict[str, Any]],
        account: Account | None = None,
        deadline: str = "",
    ) -> None:
        self.desk = desk
        self.world: World = desk.world
        self.params = params
        self.rows = rows
        self.account = account
        self.deadline = deadline
        self.now_ms = self.world.now_ms()

    @property
    def owner(self) -> Account:
        """Who asks, for operations that need to know."""
        assert self.account is not None, "a signed operation has an account"
        return self.account

    def text(self, name: str) -> str:
        """A parameter that must be there.

        Raises
        ------
        ApiError
            50014.
        """
        value = self.params.get(name)
        if not value:
            raise missing(name)
        return str(value)

    def instrument(self) -> Instrument:
        """The instrument that ``instId`` names.

        Raises
        ------
        ApiError
            50014 or 51001.
        """
        return self.desk.instrument(self.text("instId"))

    def limit(self, default: int, most: int) -> int:
        """``limit``, within bounds.

        Raises
        ------
        ApiError
            51000 if it is no number.
        """
        value = self.number("limit")
        return default if value is None else max(1, min(value, most))

    def number(self, name: str) -> int | None:
        """A whole number.

        Raises
        ------
        ApiError
            51000 if it is none.
        """
        value = self.params.get(name)
        if not value:
            return None
        try:
            return int(str(value))
        except ValueError:
            raise ApiError("51000", f"Parameter {name} error ", 400) from None


class Operation(msgspec.Struct, frozen=True):
    """Something that can be asked: what runs it, whether it must be signed, and how often it may be per 2 s."""

    name: str
    run: Callable[[Call], Any]
    is_private: bool
    per_2s: int


OPERATIONS: dict[str, Operation] = {}


def operation(
    name: str, *, private: bool = False, per_2s: int = 20
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Register a function under verb and path; it returns ``data``, or a whole answer as a dict."""

    def register(run: Callable[[Call], Any]) -> Callable[[Call], Any]:
        OPERATIONS[name] = Operation(name, run, private, per_2s)
        return run

    return register
