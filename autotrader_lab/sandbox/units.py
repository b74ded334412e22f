"""Money as integers, so that no balance of the sandbox is ever off by a rounding error.

Every price, quantity and amount inside the sandbox is a whole number of 1e-8 ("e8"). The product of a price and
a quantity is exact because an instrument's tick times its step is never finer than 1e-8.
"""

from __future__ import annotations

import re

__all__ = ["ONE", "TooPrecise", "notional", "parse_e8", "share", "text_e8", "trim_e8"]

ONE = 10**8
_DECIMAL = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?")


class TooPrecise(ValueError):
    """A decimal text with more than eight places."""


def parse_e8(text: str) -> int:
    """A decimal text as e8.

    Raises
    ------
    TooPrecise
        If there is something after the eighth decimal place.
    ValueError
        If `text` is not a plain non-negative decimal number.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"not a decimal number: {text!r}")
    whole, places = match.group(1), match.group(2) or ""
    if len(places.rstrip("0")) > 8:
        raise TooPrecise(f"more than eight decimal places: {text!r}")
    return int(whole) * ONE + int(places[:8].ljust(8, "0"))


def text_e8(amount: int) -> str:
    """e8 as the venues print it, with eight places."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), ONE)
    return f"{sign}{whole}.{rest:08d}"


def trim_e8(amount: int) -> str:
    """e8 without trailing zeros."""
    text = text_e8(amount).rstrip("0")
    return text.removesuffix(".")


def notional(price: int, quantity: int) -> int:
    """Price times quantity, in e8 of the quote asset."""
    return price * quantity // ONE


def share(amount: int, rate: int) -> int:
    """The part `rate` (e8, so 0.1 % is 100000) of an amount, rounded down as the venue does."""
    return amount * rate // ONE
