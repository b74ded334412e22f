"""Oanda in the sandbox: practice and live, each with its REST and its streams on ports of their own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from autotrader_lab.sandbox.doors import Door, HttpDoor, Origins
from autotrader_lab.sandbox.instruments import new_secret
from autotrader_lab.sandbox.margin import MarginExchange
from autotrader_lab.sandbox.sites import WORLDS, Plan
from autotrader_lab.sandbox.units import parse_e8
from autotrader_lab.sandbox.venues.oanda.instruments import CATALOGUE, HOME
from autotrader_lab.sandbox.venues.oanda.venue import OandaVenue
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["OandaSite", "make_site"]

FIRST_IDS = {"testnet": 1, "live": 5_000_001}
SITES = {"testnet": "101", "live": "001"}
OPENING_CASH: Mapping[str, int] = {HOME: parse_e8("100000")}


class OandaSite:
    """The venue's two worlds.

    Parameters
    ----------
    plan : Plan
        What the sandbox asks for; of its balances the dollars are taken.
    """

    name = "oanda"

    def __init__(self, plan: Plan) -> None:
        source, secrets = plan.source("oanda accounts") or random.SystemRandom(), plan.source("oanda tokens")
        asked = {asset: amount for asset, amount in (plan.balances or {}).items() if asset == HOME}
        instruments = [pair.instrument for pair in CATALOGUE.values()]
        self.worlds: dict[str, World] = {}
        self.venues: dict[str, OandaVenue] = {}
        self.doors: dict[str, Door] = {}
        for name in WORLDS:
            user_id = source.randint(1_000_000, 9_999_999)
            account = f"{SITES[name]}-001-{user_id}-001"
            token = f"{new_secret(secrets, 32).lower()}-{new_secret(secrets, 32).lower()}"
            exchange = MarginExchange(instruments, HOME, None, FIRST_IDS[name])
            key = ApiKey(token, "", account)
            world = World(name, instruments, key, asked or OPENING_CASH, plan.clock, exchange=exchange)
            venue = OandaVenue(world, token, user_id, FIRST_IDS[name], plan.hooks)
            self.worlds[name], self.venues[name] = world, venue
            self.doors[f"{name} rest"] = HttpDoor(venue.api.app)
            self.doors[f"{name} stream"] = HttpDoor(venue.streams.app)

    def addresses(self, origins: Origins) -> dict[str, Any]:
        """Where each environment is, its account and its token."""
        practice, live = (
            {
                "rest": origins.http(f"{name} rest"),
                "stream": origins.http(f"{name} stream"),
                "account": self.venues[name].desk.account.name,
                "token": self.venues[name].api.token,
            }
            for name in WORLDS
        )
        return {**practice, "live": live}


def make_site(plan: Plan) -> OandaSite:
    """The site, made as planned."""
    return OandaSite(plan)
