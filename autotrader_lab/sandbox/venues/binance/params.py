"""Request parameters, read strictly and with the venue's complaints."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from typing import TypeVar

from autotrader_lab.sandbox.units import TooPrecise, parse_e8
from autotrader_lab.sandbox.venues.binance.errors import ApiError

__all__ = ["Params"]

E = TypeVar("E", bound=enum.StrEnum)

_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_LONG = re.compile(r"[0-9]{1,20}")
_DECIMAL_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_ENUM_CODES = {
    "side": (-1117, "Invalid side."),
    "type": (-1116, "Invalid orderType."),
    "timeInForce": (-1115, "Invalid timeInForce."),
}


class Params:
    """Named texts, with a record of which were read.

    Parameters
    ----------
    values : mapping of str to str
        As sent.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether it was sent."""
        self._read.add(name)
        return name in self.values

    def text(self, name: str) -> str:
        """A mandatory text.

        Raises
        ------
        ApiError
            -1102 if it is missing or empty.
        """
        value = self.optional_text(name)
        if value is None:
            raise missing(name)
        return value

    def optional_text(self, name: str) -> str | None:
        """A text or None.

        Raises
        ------
        ApiError
            -1105 if it is empty.
        """
        self._read.add(name)
        value = self.values.get(name)
        if value == "":
            raise ApiError(-1105, f"Parameter '{name}' was empty.")
        return value

    def symbol_text(self, name: str = "symbol") -> str:
        """A mandatory symbol in capitals.

        Raises
        ------
        ApiError
            -1102 or -1100.
        """
        value = self.text(name)
        if not _SYMBOL.fullmatch(value):
            raise illegal(name, r"^[A-Z0-9-_.]{1,20}$")
        return value

    def client_id(self, name: str) -> str | None:
        """A client order id or None.

        Raises
        ------
        ApiError
            -1100 for characters or a length the venue does not take.
        """
        value = self.optional_text(name)
        if value is not None and not _CLIENT_ID.fullmatch(value):
            raise illegal(name, r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
        return value

    def integer(self, name: str) -> int | None:
        """A whole number or None.

        Raises
        ------
        ApiError
            -1100 if it is not one.
        """
        value = self.optional_text(name)
        if value is None:
            return None
        if not _LONG.fullmatch(value):
            raise illegal(name, "^[0-9]{1,20}$")
        return int(value)

    def number(self, name: str, default: int, highest: int) -> int:
        """A count such as ``limit``, cut to `highest` as the venue does.

        Raises
        ------
        ApiError
            -1100 or -1130.
        """
        value = self.integer(name)
        if value is None:
            return default
        if value < 1:
            raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return min(value, highest)

    def decimal(self, name: str) -> int | None:
        """A decimal in e8 or None.

        Raises
        ------
        ApiError
            -1100 or -1111.
        """
        value = self.optional_text(name)
        if value is None:
            return None
        try:
            return parse_e8(value)
        except TooPrecise:
            raise ApiError(-1111, f"Parameter '{name}' has too much precision.") from None
        except ValueError:
            raise illegal(name, _DECIMAL_RANGE) from None

    def choice(self, name: str, kind: type[E]) -> E | None:
        """A member of an enumeration or None.

        Raises
        ------
        ApiError
            With the parameter's own code, else -1130.
        """
        value = self.optional_text(name)
        if value is None:
            return None
        try:
            return kind(value)
        except ValueError:
            code, message = _ENUM_CODES.get(name, (-1130, f"Data sent for parameter '{name}' is not valid."))
            raise ApiError(code, message) from None

    def flag(self, name: str) -> bool:
        """A boolean, false when absent."""
        value = self.optional_text(name)
        return value is not None and value.lower() == "true"

    def names(self, name: str) -> list[str] | None:
        """A JSON list of texts or None.

        Raises
        ------
        ApiError
            -1100 if it is not such a list.
        """
        value = self.optional_text(name)
        if value is None:
            return None
        try:
            found = json.loads(value)
        except json.JSONDecodeError:
            found = None
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise illegal(name, r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$')
        return found

    def require_all_read(self) -> None:
        """Complain about parameters nobody asked for.

        Raises
        ------
        ApiError
            -1104.
        """
        read = len(self._read & set(self.values))
        if read != len(self.values):
            raise ApiError(
                -1104,
                f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(self.values)}'.",
            )


def missing(name: str) -> ApiError:
    """-1102 for one parameter."""
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, legal: str) -> ApiError:
    """-1100 for one parameter."""
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")
