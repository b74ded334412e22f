"""Binance's error codes and wording, as its documentation prints them."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.orders import Refused

__all__ = ["ApiError", "from_refusal"]


class ApiError(Exception):
    """An answer that is an error.

    Parameters
    ----------
    code : int
        Binance's negative code.
    message : str
        Binance's text.
    status : int, default 400
        HTTP status.
    data : dict, optional
        Extra content (cancelReplace).
    """

    def __init__(self, code: int, message: str, status: int = 400, data: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status
        self.data = data

    def body(self) -> dict[str, Any]:
        """The JSON object."""
        body: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


_REFUSALS = {
    "INSUFFICIENT_BALANCE": (-2010, "Account has insufficient balance for requested action."),
    "DUPLICATE_ORDER": (-2010, "Duplicate order sent."),
    "WOULD_TRIGGER": (-2010, "Stop price would trigger immediately."),
    "WOULD_TAKE": (-2010, "Order would immediately match and take."),
    "NO_LIQUIDITY": (-2010, "Order book liquidity is less than symbol minimum quantity."),
    "ICEBERG_TOO_LARGE": (-2010, "IcebergQty exceeds QTY."),
    "UNKNOWN_ORDER": (-2011, "Unknown order sent."),
    "CANCEL_RESTRICTED": (-2011, "Order was not canceled due to cancel restrictions."),
    "NO_SUCH_ORDER": (-2013, "Order does not exist."),
    "AMEND_NOT_SMALLER": (-2038, "Order amend (quantity increase) is not supported."),
}


def from_refusal(refusal: Refused) -> ApiError:
    """The exchange's refusal in Binance's words."""
    code, message = _REFUSALS[refusal.reason]
    return ApiError(code, message)
