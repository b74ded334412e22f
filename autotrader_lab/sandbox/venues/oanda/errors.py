"""Oanda's errors: plain ones, and refusals that are transactions."""

from __future__ import annotations

from typing import Any

__all__ = ["MESSAGES", "ApiError", "Rejected"]

MESSAGES = {
    "INSTRUMENT_UNKNOWN": "The instrument specified is unknown",
    "INSTRUMENT_MISSING": "The instrument must be specified",
    "INSTRUMENT_NOT_TRADEABLE": "The instrument specified is not tradeable",
    "UNITS_MISSING": "The units must be specified",
    "UNITS_INVALID": "Order units specified are invalid",
    "UNITS_PRECISION_EXCEEDED": "The units specified contain more precision than is allowed for the Order's instrument",
    "UNITS_LIMIT_EXCEEDED": "The units specified exceeds the maximum number of units allowed",
    "UNITS_MIMIMUM_NOT_MET": "The units specified is less than the minimum number of units required",
    "PRICE_MISSING": "The price must be specified",
    "PRICE_INVALID": "The price specified is invalid",
    "PRICE_PRECISION_EXCEEDED": "The price specified contains more precision than is allowed for the instrument",
    "PRICE_BOUND_INVALID": "The price bound specified is invalid",
    "PRICE_BOUND_PRECISION_EXCEEDED": "The price bound specified contains more precision than is allowed",
    "TIME_IN_FORCE_INVALID": "The timeInForce specified is invalid",
    "TIME_IN_FORCE_GTD_TIMESTAMP_MISSING": "The timeInForce is GTD but no GTD timestamp was provided",
    "TIME_IN_FORCE_GTD_TIMESTAMP_IN_PAST": "The timeInForce is GTD but the GTD timestamp is in the past",
    "ORDER_FILL_POSITION_ACTION_INVALID": "The OrderPositionFill field specified is invalid",
    "TRIGGER_CONDITION_INVALID": "The TriggerCondition field specified is invalid",
    "CLIENT_ORDER_ID_INVALID": "The client Order ID specified is invalid",
    "CLIENT_ORDER_ID_ALREADY_EXISTS": "The client Order ID specified is already assigned to another pending Order",
    "CLIENT_ORDER_TAG_INVALID": "The client Order tag specified is invalid",
    "CLIENT_ORDER_COMMENT_INVALID": "The client Order comment specified is invalid",
    "CLIENT_EXTENSIONS_DATA_MISSING": "Neither Order nor Trade on Fill client extensions were provided",
    "ORDER_DOESNT_EXIST": "The Order specified does not exist",
    "TRADE_DOESNT_EXIST": "The Trade specified does not exist",
    "CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE": "The units specified exceeds the size of the Trade",
    "CLOSEOUT_POSITION_DOESNT_EXIST": "The Position requested to be closed out does not exist",
    "CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE": "The units specified exceeds the size of the Position",
    "CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION": "The request to closeout a Position was specified incompletely",
    "REPLACING_ORDER_INVALID": "The replacing Order is of another type or instrument",
    "PENDING_ORDERS_ALLOWED_EXCEEDED": "The number of pending Orders exceeds the maximum allowed",
    "MARGIN_RATE_INVALID": "The margin rate specified is invalid",
}
"""Reject reason to message."""


class ApiError(Exception):
    """An answer that is an error.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        Oanda's text.
    code : str, optional
        Its errorCode.
    more : dict, optional
        Further content.
    """

    def __init__(self, status: int, message: str, code: str = "", more: dict[str, Any] | None = None) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.message = message
        self.code = code
        self.more = more or {}

    def body(self) -> dict[str, Any]:
        """The JSON object."""
        code = {"errorCode": self.code} if self.code else {}
        return {**self.more, "errorMessage": self.message, **code}


class Rejected(Exception):
    """A request refused for a documented reason; becomes a reject transaction.

    Parameters
    ----------
    reason : str
        A TransactionRejectReason.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
