"""How each venue's ccxt instance is set up: options, its address table for the local sandbox, what ccxt gets wrong.

Adapter and public feed of a venue must not differ here, so both read it from this one table.
"""

from __future__ import annotations

import math
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
        From the sandbox's origins (``rest``, ``ws``, …) to ccxt's address table.
    used_weight_header : str
        Response header that tells the request weight used in this minute; empty where there is none.
    has_test_mode : bool
        Whether ccxt has a test world for the venue to switch to.
    also : tuple of str
        WebSocket origins beside ``ws``.
    mixins : tuple of type
        Mixed in front of ccxt's class: what it gets wrong.
    has_candle_stream : bool
        Whether candles of a minute can be streamed; else they are asked for.
    """

    options: Mapping[str, Any]
    local_urls: Callable[[Mapping[str, str]], dict[str, Any]]
    used_weight_header: str = ""
    has_test_mode: bool = True
    also: tuple[str, ...] = ()
    mixins: tuple[type, ...] = ()
    has_candle_stream: bool = True


def _binance_urls(local: Mapping[str, str]) -> dict[str, Any]:
    rest, ws = local["rest"], local["ws"]
    return {
        "public": f"{rest}/api/v3",
        "private": f"{rest}/api/v3",
        "v1": f"{rest}/api/v1",
        # ccxt recognises spot streams by "/stream" in their address.
        "ws": {"spot": f"{ws}/stream/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}},
    }


def _okx_urls(local: Mapping[str, str]) -> dict[str, Any]:
    return {"rest": local["rest"], "ws": f"{local['ws']}/ws/v5"}


def _coinbase_urls(local: Mapping[str, str]) -> dict[str, Any]:
    return {"rest": local["rest"], "ws": local["ws"], "ws_user": local["ws_user"]}


class _Okx:
    """What ccxt's OKX lacks: an end to how long an order may be under way."""

    options: dict[str, Any]

    def sign(self, path: str, *how: Any) -> dict[str, Any]:
        """A signed request; one for an order or change is refused by the venue when it arrives too late."""
        signed: dict[str, Any] = super().sign(path, *how)  # type: ignore[misc]
        if path in _ORDER_PATHS and signed["headers"]:
            signed["headers"]["expTime"] = self.deadline_ms()
        return signed

    def deadline_ms(self) -> str:
        """Until when the venue may take what is sent now."""
        return str(int(self.nonce()) + int(self.options.get("orderWindowMs", 2_000)))  # type: ignore[attr-defined]


_COINBASE_ORDERS = ("/brokerage/orders", "/brokerage/orders/edit")
_ORDER_PATHS = frozenset({"trade/order", "trade/amend-order"})


class _Coinbase:
    """What ccxt's Coinbase lacks: exact time, tokens by the venue's clock, and nothing asked beside the market."""

    options: dict[str, Any]

    def handle_message(self, client: Any, message: Any) -> None:
        """Pass a message on once, unless the venue's numbers say that one before it is missing: then the line ends.

        Nothing else tells of it, and a book that missed a change stays wrong.
        """
        number = message.get("sequence_num") if isinstance(message, Mapping) else None
        if isinstance(number, int):
            expected = vars(client).get("next_sequence_num", number)
            if number < expected:
                return
            if number > expected:
                client.on_error(ConnectionError(f"message {expected} is missing, {number} came"))
                return
            client.next_sequence_num = number + 1
        super().handle_message(client, message)  # type: ignore[misc]

    def seconds(self) -> int:
        """Now by the venue's clock; ccxt stamps tokens with the machine's."""
        machine_ms = int(self.milliseconds())  # type: ignore[attr-defined]
        return (machine_ms - int(self.options.get("timeDifference") or 0)) // 1000

    async def fetch_time(self, params: Mapping[str, Any] | None = None) -> int:
        """The venue's clock, ms; ccxt reads whole seconds."""
        raw = await self.v3PublicGetBrokerageTime(dict(params or {}))  # type: ignore[attr-defined]
        return int(raw["epochMillis"])

    def create_auth_token(
        self, seconds: int, method: str | None = None, url: str | None = None, eddsa: bool = False
    ) -> str:
        """A token for one request; one for an order or change ends with the order window.

        ccxt takes only https off its address, and its tokens live for two minutes: so long could a lost order arrive.
        """
        key, secret = str(getattr(self, "apiKey", "")), str(getattr(self, "secret", ""))
        is_order = url is not None and url.endswith(_COINBASE_ORDERS)
        life_ms = self.options.get("orderWindowMs", 120_000) if is_order else 120_000
        claims = {
            "aud": ["cdp_service" if eddsa else "retail_rest_api_proxy"],
            "iss": "cdp" if eddsa else "coinbase-cloud",
            "nbf": seconds,
            "iat": seconds,
            "exp": seconds + math.ceil(life_ms / 1000),
            "sub": key,
        }
        if url is not None:
            uri = f"{method} {url.partition('://')[2].partition('?')[0]}"
            claims |= {"uris": [uri]} if eddsa else {"uri": uri}
        nonce = self.random_bytes(16)  # type: ignore[attr-defined]
        header = {"kid": key, "nonce": nonce, "alg": "EdDSA" if eddsa else "ES256"}
        signer = self.base64_to_binary(secret)[:32] if eddsa else secret.encode()  # type: ignore[attr-defined]
        return str(self.jwt(claims, signer, "sha256", False, header))  # type: ignore[attr-defined]

    async def fetch_markets(self, params: Mapping[str, Any] | None = None) -> list[Any]:
        """Spot products, without the fee tiers and futures ccxt asks for as well."""
        query = {"product_type": "SPOT", **(params or {})}
        raw = await self.v3PublicGetBrokerageMarketProducts(query)  # type: ignore[attr-defined]
        return [self.parse_spot_market(product, {}) for product in raw["products"]]  # type: ignore[attr-defined]

    async def fetch_currencies(self, params: Mapping[str, Any] | None = None) -> None:
        """Nothing: they are asked of another service."""
        return


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
    "okx": Setup(
        options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False},
        local_urls=_okx_urls,
        mixins=(_Okx,),
    ),
    "coinbase": Setup(
        options={"defaultType": "spot"},
        local_urls=_coinbase_urls,
        has_test_mode=False,
        also=("ws_user",),
        mixins=(_Coinbase,),
        has_candle_stream=False,
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
