"""How often a request may be repeated: per account (or address) and operation in two seconds, as the venue counts."""

from __future__ import annotations

import msgspec

from autotrader_lab.sandbox.venues.okx.errors import ApiError

__all__ = ["Limits", "Meter"]

WINDOW_MS = 2_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is allowed, as a multiple of the venue's own limits. The default is far above them, for load tests."""

    scale: float = 1_000.0
    orders_2s: int = 1_000


class Meter:
    """Counts in windows of two seconds.

    Parameters
    ----------
    limits : Limits
        What is allowed.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def _add(self, who: str, what: str, amount: int, now_ms: int) -> int:
        window = now_ms // WINDOW_MS
        start, count = self._counts.get((who, what), (window, 0))
        count = amount if start != window else count + amount
        self._counts[who, what] = (window, count)
        return count

    def spend(self, who: str, what: str, per_2s: int, now_ms: int) -> None:
        """Count a request.

        Raises
        ------
        ApiError
            50011 with status 429.
        """
        if self._add(who, what, 1, now_ms) > per_2s * self.limits.scale:
            raise ApiError("50011", "Too Many Requests", 429)

    def count_orders(self, who: str, amount: int, now_ms: int) -> None:
        """Count new and amended orders of an account.

        Raises
        ------
        ApiError
            50061.
        """
        if self._add(who, "orders", amount, now_ms) > self.limits.orders_2s * self.limits.scale:
            raise ApiError("50061", "You've reached the maximum order rate limit for this account.")
