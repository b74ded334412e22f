"""One request, whichever way it came, and the registry of what can be asked.

REST and the WebSocket API are two wrappings of the same operations: a path and verb or a method name lead to the
same function here, which gets a ``Call`` and returns plain JSON values.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec

from autotrader_lab.sandbox.orders import Account
from autotrader_lab.sandbox.venues.binance.errors import ApiError
from autotrader_lab.sandbox.venues.binance.limits import Meter
from autotrader_lab.sandbox.venues.binance.params import Params
from autotrader_lab.sandbox.venues.hooks import Answer
from autotrader_lab.sandbox.world import World

__all__ = ["OPERATIONS", "Access", "Answer", "Call", "Operation", "operation"]


class Access(enum.Enum):
    """What a request must prove."""

    OPEN = "NONE"
    KEY = "MARKET_DATA"
    SIGNED = "USER_DATA"


class Call:
    """A request on its way through the venue.

    Parameters
    ----------
    world : World
        Where it acts.
    meter : Meter
        The world's rate limits.
    params : Params
        What was sent, without signature.
    account : Account, optional
        Who asks, when it was proven.
    """

    def __init__(self, world: World, meter: Meter, params: Params, account: Account | None = None) -> None:
        self.world = world
        self.meter = meter
        self.params = params
        self.account = account
        self.now_ms = world.now_ms()

    @property
    def owner(self) -> Account:
        """Who asks, for operations that need to know."""
        assert self.account is not None, "a signed operation has an account"
        return self.account

    def symbol(self) -> str:
        """The mandatory symbol.

        Raises
        ------
        ApiError
            -1121 if it does not trade here.
        """
        return self.known(self.params.symbol_text())

    def known(self, symbol: str) -> str:
        """A symbol that trades here.

        Raises
        ------
        ApiError
            -1121.
        """
        if symbol not in self.world.exchange.instruments:
            raise ApiError(-1121, "Invalid symbol.")
        return symbol

    def average_price(self, symbol: str) -> int:
        """Volume-weighted price of the last five minutes (e8), or the last price."""
        total = self.world.tapes[symbol].since(self.now_ms - 300_000)
        if total is None or not total.volume:
            return self.world.exchange.last_price[symbol]
        return total.amount * 10**8 // total.volume


class Operation(msgspec.Struct, frozen=True):
    """Something that can be asked."""

    name: str
    run: Callable[[Call], Any]
    access: Access
    weight: Callable[[Params], int]


OPERATIONS: dict[str, Operation] = {}


def operation(
    *names: str, access: Access = Access.OPEN, weight: int | Callable[[Params], int] = 1
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Register a function under its names: ``"GET /api/v3/time"`` for REST, ``"time"`` for the WebSocket API."""

    def register(run: Callable[[Call], Any]) -> Callable[[Call], Any]:
        cost = weight if callable(weight) else (lambda _params, _weight=weight: _weight)
        for name in names:
            OPERATIONS[name] = Operation(name, run, access, cost)
        return run

    return register
