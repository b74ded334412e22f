"""What the sandbox trades by default, and what a customer starts with."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Mapping
from random import Random

from autotrader_lab.sandbox.orders import Instrument
from autotrader_lab.sandbox.units import parse_e8

__all__ = ["CATALOGUE", "DEFAULT_BALANCES", "choose_instruments", "new_secret"]

CATALOGUE: Mapping[str, Instrument] = {
    "BTCUSDT": Instrument(symbol="BTCUSDT", base="BTC", quote="USDT"),
    "ETHUSDT": Instrument(
        symbol="ETHUSDT",
        base="ETH",
        quote="USDT",
        step=parse_e8("0.0001"),
        min_quantity=parse_e8("0.0001"),
        max_market_quantity=parse_e8("2000"),
        start_price=parse_e8("3000"),
        typical_size=parse_e8("6"),
    ),
    "ETHBTC": Instrument(
        symbol="ETHBTC",
        base="ETH",
        quote="BTC",
        tick=parse_e8("0.0001"),
        step=parse_e8("0.0001"),
        min_price=parse_e8("0.0001"),
        max_price=parse_e8("1000"),
        min_quantity=parse_e8("0.0001"),
        max_market_quantity=parse_e8("2000"),
        min_notional=parse_e8("0.0001"),
        start_price=parse_e8("0.05"),
        typical_size=parse_e8("6"),
    ),
    "SOLUSDT": Instrument(
        symbol="SOLUSDT",
        base="SOL",
        quote="USDT",
        step=parse_e8("0.001"),
        min_quantity=parse_e8("0.001"),
        max_quantity=parse_e8("90000"),
        max_market_quantity=parse_e8("20000"),
        start_price=parse_e8("150"),
        typical_size=parse_e8("80"),
    ),
    "BNBUSDT": Instrument(
        symbol="BNBUSDT",
        base="BNB",
        quote="USDT",
        step=parse_e8("0.001"),
        min_quantity=parse_e8("0.001"),
        start_price=parse_e8("600"),
        typical_size=parse_e8("15"),
    ),
}

DEFAULT_BALANCES: Mapping[str, int] = {
    "USDT": parse_e8("100000"),
    "BTC": parse_e8("1"),
    "ETH": parse_e8("10"),
}


def choose_instruments(symbols: Iterable[str]) -> list[Instrument]:
    """The instruments named.

    Raises
    ------
    ValueError
        For none, or for one the sandbox does not have.
    """
    names = [symbol.strip().upper().replace("/", "") for symbol in symbols if symbol.strip()]
    unknown = [name for name in names if name not in CATALOGUE]
    if unknown or not names:
        wrong = f"the sandbox has no {', '.join(unknown)}" if unknown else "no symbol was given"
        raise ValueError(f"{wrong}; choose from {', '.join(CATALOGUE)}")
    return [CATALOGUE[name] for name in dict.fromkeys(names)]


def new_secret(source: Random | None, length: int = 64) -> str:
    """A random alphanumeric text, repeatable when `source` is seeded."""
    alphabet = string.ascii_letters + string.digits
    choose = source.choice if source is not None else secrets.choice
    return "".join(choose(alphabet) for _ in range(length))
