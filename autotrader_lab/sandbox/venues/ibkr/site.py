"""Interactive Brokers in the sandbox: a paper gateway and a live one, each with its account and its port."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from autotrader_lab.sandbox.doors import Origins
from autotrader_lab.sandbox.margin import MarginExchange
from autotrader_lab.sandbox.sites import WORLDS, Plan
from autotrader_lab.sandbox.units import parse_e8
from autotrader_lab.sandbox.venues.ibkr.contracts import make_catalogue
from autotrader_lab.sandbox.venues.ibkr.fees import commission
from autotrader_lab.sandbox.venues.ibkr.venue import IbkrVenue
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["IbkrSite", "make_site"]

FIRST_IDS = {"testnet": 1, "live": 250_000_001}
PREFIXES = {"testnet": "DU", "live": "U"}
OPENING_CASH: Mapping[str, int] = {"USD": parse_e8("1000000")}


class IbkrSite:
    """The venue's two worlds.

    Parameters
    ----------
    plan : Plan
        What the sandbox asks for; its balances are taken as far as they are of USD and EUR.
    """

    name = "ibkr"

    def __init__(self, plan: Plan) -> None:
        source = plan.source("ibkr accounts") or random.SystemRandom()
        asked = {asset: amount for asset, amount in (plan.balances or {}).items() if asset in ("USD", "EUR")}
        catalogue = make_catalogue(plan.clock.now_ns() // 1_000_000)
        instruments = [contract.instrument for contract in catalogue]
        self.worlds: dict[str, World] = {}
        self.venues: dict[str, IbkrVenue] = {}
        for name in WORLDS:
            account = f"{PREFIXES[name]}{source.randint(1_000_000, 9_999_999)}"
            exchange = MarginExchange(instruments, "USD", commission, FIRST_IDS[name])
            key = ApiKey(account, "", account)
            world = World(name, instruments, key, asked or OPENING_CASH, plan.clock, exchange=exchange)
            self.worlds[name] = world
            self.venues[name] = IbkrVenue(world, catalogue, plan.hooks)
        self.doors = dict(self.venues)

    def addresses(self, origins: Origins) -> dict[str, Any]:
        """``host:port`` and account of each world."""
        paper, live = (
            {"address": origins.address(name), "account": self.venues[name].gateway.account.name} for name in WORLDS
        )
        return {**paper, "live": live}


def make_site(plan: Plan) -> IbkrSite:
    """The site, made as planned."""
    return IbkrSite(plan)
