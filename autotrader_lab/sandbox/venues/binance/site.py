"""Binance spot in the sandbox: one door for each world."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.doors import HttpDoor, Origins
from autotrader_lab.sandbox.instruments import DEFAULT_BALANCES, new_secret
from autotrader_lab.sandbox.sites import WORLDS, Plan
from autotrader_lab.sandbox.venues.binance.venue import BinanceVenue
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["BinanceSite", "make_site"]

FIRST_IDS = {"testnet": 1, "live": 5_000_000_001}


class BinanceSite:
    """The venue's two worlds.

    Parameters
    ----------
    plan : Plan
        What the sandbox asks for.
    """

    name = "binance"

    def __init__(self, plan: Plan) -> None:
        source = plan.source("keys")
        held = DEFAULT_BALANCES if plan.balances is None else plan.balances
        self.worlds: dict[str, World] = {}
        for name in WORLDS:
            key = ApiKey(new_secret(source), new_secret(source), f"{name}-customer")
            self.worlds[name] = World(name, plan.instruments, key, held, plan.clock, FIRST_IDS[name])
        self.venues = {name: BinanceVenue(world, plan.limits, plan.hooks) for name, world in self.worlds.items()}
        self.doors = {name: HttpDoor(venue.app) for name, venue in self.venues.items()}

    def addresses(self, origins: Origins) -> dict[str, Any]:
        """Where the venue is and the keys to it."""
        return self._entry("testnet", origins) | {"live": self._entry("live", origins)}

    def _entry(self, name: str, origins: Origins) -> dict[str, Any]:
        key = next(iter(self.worlds[name].keys.values()))
        return {"rest": origins.http(name), "ws": origins.ws(name), "api_key": key.key, "api_secret": key.secret}


def make_site(plan: Plan) -> BinanceSite:
    """The site, made as planned."""
    return BinanceSite(plan)
