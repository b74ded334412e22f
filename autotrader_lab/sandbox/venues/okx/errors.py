"""OKX's error codes and wording: one kind for a whole request, one for a single order within it."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.orders import Refused

__all__ = ["TOO_LATE", "ApiError", "RowError", "missing", "refused_order", "wrong"]


class ApiError(Exception):
    """A request that fails as a whole.

    Parameters
    ----------
    code : str
        OKX's code.
    message : str
        OKX's text.
    status : int, default 200
        HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> dict[str, Any]:
        """The JSON object."""
        return {"code": self.code, "data": [], "msg": self.message}


class RowError(Exception):
    """An order that fails within a request: its ``sCode`` and ``sMsg``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


def missing(name: str) -> ApiError:
    """A parameter that must be sent was not."""
    return ApiError("50014", f"Parameter {name} can not be empty.", 400)


def wrong(name: str) -> RowError:
    """A parameter of an order is unusable; the blank at the end is the venue's."""
    return RowError("51000", f"Parameter {name} error ")


TOO_LATE = (
    "50036",
    "The expTime can't be earlier than the current system time. Please adjust the expTime and try again.",
)
"""What is said to an order or change that arrives after its ``expTime``."""

_REFUSALS = {
    "DUPLICATE_ORDER": ("51016", "Client order ID already exists."),
    "NO_LIQUIDITY": ("51109", "No available offer."),
    "UNKNOWN_ORDER": ("51400", "Cancellation failed as the order has been filled, canceled or does not exist."),
    "ALREADY_FILLED": ("51510", "Modification failed as the order has been completed."),
    "NOT_AMENDABLE": ("51506", "Order modification unavailable for the order type."),
    "WOULD_TAKE": ("51511", "Operation failed as the order price did not meet the requirement for Post Only."),
}


def refused_order(refusal: Refused, asset: str) -> RowError:
    """The exchange's refusal in OKX's words; `asset` is what the order is paid with."""
    if refusal.reason == "INSUFFICIENT_BALANCE":
        return RowError("51008", f"Order failed. Insufficient {asset} balance in account ")
    return RowError(*_REFUSALS[refusal.reason])
