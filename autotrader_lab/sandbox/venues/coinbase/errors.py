"""Coinbase's three shapes of error: of a request, of an order, and the plain text of a failed authentication."""

from __future__ import annotations

from typing import Any

__all__ = ["ApiError", "OrderError", "Unauthorized", "invalid", "not_found"]


class ApiError(Exception):
    """A request that fails.

    Parameters
    ----------
    status : int
        HTTP status.
    error : str
        Its name.
    message : str
        The text.
    """

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(f"{error}: {message}")
        self.status = status
        self.error = error
        self.message = message

    def body(self) -> dict[str, Any]:
        """The JSON object."""
        if self.status == 429:
            return {"errors": [{"id": self.error, "message": self.message}]}
        return {"error": self.error, "error_details": self.message, "message": self.message}


class Unauthorized(ApiError):
    """A request that does not prove who sends it; the answer is the one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(401, "unauthorized", reason)


class OrderError(Exception):
    """An order that is not accepted: the answer is 200 with ``success`` false.

    Parameters
    ----------
    error : str
        Of the documented NewOrderFailureReason.
    preview : str
        Of the documented PreviewFailureReason.
    message : str, optional
        The text.
    """

    def __init__(self, error: str, preview: str, message: str = "") -> None:
        super().__init__(f"{error} {preview} {message}")
        self.error = error
        self.preview = preview
        self.message = message


def invalid(message: str) -> ApiError:
    """A parameter that cannot be used."""
    return ApiError(400, "INVALID_ARGUMENT", message)


def not_found(message: str) -> ApiError:
    """Something that is not there."""
    return ApiError(404, "NOT_FOUND", message)
