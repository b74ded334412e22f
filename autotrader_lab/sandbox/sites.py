"""What a venue brings to the sandbox: two worlds, their protocol's face, the doors to them, and what is printed.

Each package under ``venues`` has a module ``site`` with ``make_site(plan)``; naming the package in ``VENUES`` is all
that is needed for the sandbox to serve it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, Protocol

from autotrader_lab.model.clock import Clock
from autotrader_lab.sandbox.doors import Door, Origins
from autotrader_lab.sandbox.orders import Instrument
from autotrader_lab.sandbox.venues.binance.limits import Limits
from autotrader_lab.sandbox.venues.hooks import Hooks
from autotrader_lab.sandbox.world import World

__all__ = ["PORTS", "SLOTS", "VENUES", "WORLDS", "Plan", "Site", "Venue", "choose_venues", "make_site"]

WORLDS = ("testnet", "live")
VENUES = (
    "binance",
    "okx",
    "coinbase",
    "oanda",
    "ibkr",
    "fxcm",
)
SLOTS = {"binance": 0, "control": 2, "okx": 3, "coinbase": 5, "oanda": 9, "ibkr": 13, "fxcm": 15}
PORTS = 17


class Plan:
    """What the sandbox asks of every venue.

    Parameters
    ----------
    instruments : sequence of Instrument
        The crypto pairs that were asked for; venues of other markets bring their own.
    balances : mapping of str to int or None
        What each world's customer starts with, e8 by asset; the venue's default when None.
    clock : Clock
        Stamps everything.
    seed : int or None
        Makes keys repeatable.
    limits : Limits, optional
        Binance's rate limits.
    hooks : Hooks, optional
        Where faults are put in.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        balances: Mapping[str, int] | None,
        clock: Clock,
        seed: int | None = None,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.instruments = list(instruments)
        self.balances = balances
        self.clock = clock
        self.seed = seed
        self.limits = limits
        self.hooks = hooks

    def source(self, purpose: str) -> Random | None:
        """Randomness that repeats for the same seed and purpose; None when there is no seed."""
        return None if self.seed is None else Random(f"{purpose}/{self.seed}")


class Venue(Protocol):
    """A world's face in one venue's protocol."""

    world: World

    async def run(self) -> None:
        """Send what goes by the clock, for ever."""
        ...

    def drop(self, kind: str | None = None) -> int:
        """Cut connections without a goodbye, all or of one kind ("stream", "ws-api"); returns how many."""
        ...


class Site(Protocol):
    """One venue in the sandbox."""

    name: str
    worlds: Mapping[str, World]
    venues: Mapping[str, Venue]
    doors: Mapping[str, Door]

    def addresses(self, origins: Origins) -> dict[str, Any]:
        """Where the venue is and the keys to it, as ``--json`` prints them under the venue's name."""
        ...


def choose_venues(names: Iterable[str]) -> list[str]:
    """The venues named, each once.

    Raises
    ------
    ValueError
        For none, or for one the sandbox does not have.
    """
    chosen = list(dict.fromkeys(name.strip().lower() for name in names if name.strip()))
    unknown = [name for name in chosen if name not in VENUES]
    if unknown or not chosen:
        wrong = f"the sandbox has no venue {', '.join(unknown)}" if unknown else "no venue was given"
        raise ValueError(f"{wrong}; choose from {', '.join(VENUES)}")
    return chosen


def make_site(name: str, plan: Plan) -> Site:
    """One venue's site, made as planned."""
    module = importlib.import_module(f"autotrader_lab.sandbox.venues.{name}.site")
    site: Site = module.make_site(plan)
    return site
