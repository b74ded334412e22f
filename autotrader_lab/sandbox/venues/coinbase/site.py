"""Coinbase in the sandbox: two worlds, each with one address for REST and market data and one for orders.

What trades against tether trades here against the US dollar as well, at the same prices: that is where most of this
venue's customers are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from autotrader_lab.sandbox.doors import Door, HttpDoor, Origins
from autotrader_lab.sandbox.instruments import DEFAULT_BALANCES, new_secret
from autotrader_lab.sandbox.orders import Fees, Instrument
from autotrader_lab.sandbox.sites import WORLDS, Plan
from autotrader_lab.sandbox.spot import SpotExchange
from autotrader_lab.sandbox.units import parse_e8
from autotrader_lab.sandbox.venues.coinbase.auth import make_key
from autotrader_lab.sandbox.venues.coinbase.venue import CoinbaseVenue
from autotrader_lab.sandbox.world import World

__all__ = ["CoinbaseSite", "make_site", "with_dollar_pairs"]

FIRST_IDS = {"testnet": 1, "live": 5_000_000_001}
FEES = Fees(maker=600_000, taker=1_200_000)
DOLLARS = parse_e8("100000")


def with_dollar_pairs(instruments: Iterable[Instrument]) -> list[Instrument]:
    """Instruments, and for each against USDT its twin against USD."""
    rows = list(instruments)
    known = {instrument.symbol for instrument in rows}
    twins = [
        msgspec.structs.replace(instrument, symbol=f"{instrument.base}USD", quote="USD", twin_of=instrument.symbol)
        for instrument in rows
        if instrument.quote == "USDT" and f"{instrument.base}USD" not in known
    ]
    return rows + twins


class CoinbaseSite:
    """The venue's two worlds.

    Parameters
    ----------
    plan : Plan
        What the sandbox asks for.

    Raises
    ------
    ValueError
        If the library that makes keys is not installed.
    """

    name = "coinbase"

    def __init__(self, plan: Plan) -> None:
        source = plan.source("coinbase keys")
        held = {**DEFAULT_BALANCES, "USD": DOLLARS} if plan.balances is None else plan.balances
        instruments = with_dollar_pairs(plan.instruments)
        self.worlds: dict[str, World] = {}
        self.venues: dict[str, CoinbaseVenue] = {}
        self.doors: dict[str, Door] = {}
        for name in WORLDS:
            bits = int.from_bytes(new_secret(source, 64).encode())
            exchange = SpotExchange(instruments, FIRST_IDS[name], fees_in_quote=True)
            key = make_key(bits, f"{name}-customer")
            self.worlds[name] = World(name, instruments, key, held, plan.clock, exchange=exchange, fees=FEES)
            venue = self.venues[name] = CoinbaseVenue(self.worlds[name], hooks=plan.hooks)
            self.doors[name] = HttpDoor(venue.app)
            self.doors[f"{name} user"] = HttpDoor(venue.user_app)

    def addresses(self, origins: Origins) -> dict[str, Any]:
        """Where the venue is and the keys to it."""
        return self._entry("testnet", origins) | {"live": self._entry("live", origins)}

    def _entry(self, name: str, origins: Origins) -> dict[str, Any]:
        key = next(iter(self.worlds[name].keys.values()))
        return {
            "rest": origins.http(name),
            "ws": origins.ws(name),
            "ws_user": origins.ws(f"{name} user"),
            "api_key": key.key,
            "pem": key.secret,
        }


def make_site(plan: Plan) -> CoinbaseSite:
    """The site, made as planned."""
    return CoinbaseSite(plan)
