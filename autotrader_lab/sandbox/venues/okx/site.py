"""OKX in the sandbox: the demo and the live environment, one door each."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from autotrader_lab.sandbox.doors import HttpDoor, Origins
from autotrader_lab.sandbox.instruments import DEFAULT_BALANCES, new_secret
from autotrader_lab.sandbox.orders import Fees
from autotrader_lab.sandbox.sites import WORLDS, Plan
from autotrader_lab.sandbox.spot import SpotExchange
from autotrader_lab.sandbox.venues.okx.venue import OkxVenue
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["OkxSite", "make_site"]

FIRST_IDS = {"testnet": 1, "live": 5_000_000_001}
FEES = Fees(maker=80_000, taker=100_000)


class OkxSite:
    """The venue's two worlds; "testnet" is what OKX calls demo trading.

    Parameters
    ----------
    plan : Plan
        What the sandbox asks for.
    """

    name = "okx"

    def __init__(self, plan: Plan) -> None:
        source = plan.source("okx keys")
        held = DEFAULT_BALANCES if plan.balances is None else plan.balances
        self.worlds: dict[str, World] = {}
        for name in WORLDS:
            bits = int(new_secret(source, 24).encode().hex(), 16) % 2**128
            key = ApiKey(
                str(UUID(int=bits, version=4)),
                new_secret(source, 32).upper(),
                f"{name}-customer",
                passphrase=new_secret(source, 16),
            )
            exchange = SpotExchange(plan.instruments, FIRST_IDS[name])
            self.worlds[name] = World(name, plan.instruments, key, held, plan.clock, exchange=exchange, fees=FEES)
        others = {"testnet": "live", "live": "testnet"}
        self.venues = {
            name: OkxVenue(world, self.worlds[others[name]].keys, name == "testnet", hooks=plan.hooks)
            for name, world in self.worlds.items()
        }
        self.doors = {name: HttpDoor(venue.app) for name, venue in self.venues.items()}

    def addresses(self, origins: Origins) -> dict[str, Any]:
        """Where the venue is and the keys to it."""
        return self._entry("testnet", origins) | {"live": self._entry("live", origins)}

    def _entry(self, name: str, origins: Origins) -> dict[str, Any]:
        key = next(iter(self.worlds[name].keys.values()))
        return {
            "rest": origins.http(name),
            "ws": origins.ws(name),
            "api_key": key.key,
            "api_secret": key.secret,
            "passphrase": key.passphrase,
        }


def make_site(plan: Plan) -> OkxSite:
    """The site, made as planned."""
    return OkxSite(plan)
