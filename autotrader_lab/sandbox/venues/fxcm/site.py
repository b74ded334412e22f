"""FXCM in the sandbox: a demo server and a live one, each with its own login."""

from __future__ import annotations

from random import Random
from typing import Any

from autotrader_lab.sandbox.doors import Origins
from autotrader_lab.sandbox.instruments import new_secret
from autotrader_lab.sandbox.margin import MarginExchange
from autotrader_lab.sandbox.sites import WORLDS, Plan
from autotrader_lab.sandbox.units import parse_e8
from autotrader_lab.sandbox.venues.fxcm.gateway import COMP_ID
from autotrader_lab.sandbox.venues.fxcm.products import PRODUCTS
from autotrader_lab.sandbox.venues.fxcm.render import Customer
from autotrader_lab.sandbox.venues.fxcm.venue import FxcmVenue
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["FxcmSite", "make_site"]

FIRST_IDS = {"testnet": 200_000_001, "live": 700_000_001}
SESSIONS = {"testnet": "U100D1", "live": "MINIREAL"}
DEPOSIT = parse_e8("100000")


class FxcmSite:
    """The venue's two worlds.

    Parameters
    ----------
    plan : Plan
        What the sandbox asks for; of its balances, USD.
    hedging : bool, default False
        Accounts that hold opposite positions side by side.
    """

    name = "fxcm"

    def __init__(self, plan: Plan, hedging: bool = False) -> None:
        source = plan.source("fxcm")
        instruments = [product.instrument for product in PRODUCTS.values()]
        deposit = DEPOSIT if plan.balances is None else plan.balances.get("USD", DEPOSIT)
        self.worlds: dict[str, World] = {}
        self.venues: dict[str, FxcmVenue] = {}
        for name in WORLDS:
            customer = _customer(name, source, hedging)
            exchange = MarginExchange(instruments, "USD", first_id=FIRST_IDS[name])
            key = ApiKey(customer.user, customer.password, customer.account)
            world = World(name, instruments, key, {"USD": deposit}, plan.clock, exchange=exchange)
            self.worlds[name] = world
            self.venues[name] = FxcmVenue(world, customer, plan.hooks, FIRST_IDS[name])
        self.doors = {name: venue.door for name, venue in self.venues.items()}

    def addresses(self, origins: Origins) -> dict[str, Any]:
        """Where the venue is and what a client logs on with."""
        return self._entry("testnet", origins) | {"live": self._entry("live", origins)}

    def _entry(self, name: str, origins: Origins) -> dict[str, Any]:
        customer = self.venues[name].customer
        return {
            "address": origins.address(name),
            "user": customer.user,
            "password": customer.password,
            "account": customer.account,
            "sender": customer.sender,
            "target": COMP_ID,
            "target_sub": customer.session_id,
        }


def _customer(name: str, source: Random | None, hedging: bool) -> Customer:
    digits = "".join(str(ord(letter) % 10) for letter in new_secret(source, 7))
    user = ("D10" if name == "testnet" else "10") + digits
    return Customer(
        user=user,
        password=new_secret(source, 16),
        account=("0" if name == "testnet" else "5") + digits,
        sender=f"{user}_client1",
        session_id=SESSIONS[name],
        hedging=hedging,
    )


def make_site(plan: Plan) -> FxcmSite:
    """The site, made as planned."""
    return FxcmSite(plan)
