"""How each venue's ccxt instance is set up: options, and its address table for the local sandbox.

Adapter and public feed of a venue must not differ here, so both read it from this one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autotrader_lab.model.errors import ConfigError

__all__ = ["SETUPS", "Setup", "setup_of"]


@dataclass(frozen=True, slots=True)
class Setup:
    """One venue's.

    Attributes
    ----------
    options : mapping
        ccxt's options.
    local_urls : callable
        From the sandbox's origins (``rest``, ``ws``) to ccxt's address table.
    used_weight_header : str
        Response header that tells the request weight used in this minute; empty where there is none.
    """

    options: Mapping[str, Any]
    local_urls: Callable[[Mapping[str, str]], dict[str, Any]]
    used_weight_header: str = ""


def _binance_urls(local: Mapping[str, str]) -> dict[str, Any]:
    rest, ws = local["rest"], local["ws"]
    return {
        "public": f"{rest}/api/v3",
        "private": f"{rest}/api/v3",
        "v1": f"{rest}/api/v1",
        # ccxt recognises spot streams by "/stream" in their address.
        "ws": {"spot": f"{ws}/stream/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}},
    }


SETUPS: dict[str, Setup] = {
    "binance": Setup(
        options={
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            # Both would ask other hosts than the spot API, with the account's keys.
            "fetchCurrencies": False,
            "fetchMargins": False,
            "recvWindow": 5000,
        },
        local_urls=_binance_urls,
        used_weight_header="X-MBX-USED-WEIGHT-1M",
    ),
}


def setup_of(exchange_id: str) -> Setup:
    """The setup of ccxt's venue `exchange_id`.

    Raises
    ------
    ConfigError
        If there is none.
    """
    try:
        return SETUPS[exchange_id]
    except KeyError:
        raise ConfigError(f"no crypto venue {exchange_id!r} is set up here; there are {', '.join(SETUPS)}") from None
