"""Request weight and order counts per interval, counted as the venue counts them."""

from __future__ import annotations

from typing import Any

import msgspec

from autotrader_lab.sandbox.venues.binance.errors import ApiError

__all__ = ["Limits", "Meter"]

SECOND_MS = 1_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is allowed. The defaults are far above the venue's own, so that load tests are not throttled."""

    weight_1m: int = 1_200_000
    orders_10s: int = 100_000
    orders_1d: int = 20_000_000
    raw_5m: int = 6_000_000


class Meter:
    """Counts over fixed windows, as the venue does: the window starts on the whole minute.

    Parameters
    ----------
    limits : Limits
        What is allowed.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def _add(self, kind: str, who: str, window_ms: int, amount: int, now_ms: int) -> int:
        window = now_ms // window_ms
        start, count = self._counts.get((kind, who), (window, 0))
        count = amount if start != window else count + amount
        self._counts[kind, who] = (window, count)
        return count

    def spend(self, weight: int, now_ms: int) -> int:
        """Count a request; returns the weight used in this minute.

        Raises
        ------
        ApiError
            -1003 with status 429.
        """
        used = self._add("weight", "", 60 * SECOND_MS, weight, now_ms)
        raw = self._add("raw", "", 300 * SECOND_MS, 1, now_ms)
        if used > self.limits.weight_1m:
            raise ApiError(
                -1003,
                f"Too much request weight used; current limit is {self.limits.weight_1m} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API.",
                429,
            )
        if raw > self.limits.raw_5m:
            raise ApiError(-1003, "Too many requests queued.", 429)
        return used

    def count_order(self, account: str, now_ms: int) -> None:
        """Count a new order.

        Raises
        ------
        ApiError
            -1015 with status 429.
        """
        ten_s = self._add("10s", account, 10 * SECOND_MS, 1, now_ms)
        day = self._add("1d", account, 86_400 * SECOND_MS, 1, now_ms)
        if ten_s > self.limits.orders_10s:
            raise ApiError(
                -1015, f"Too many new orders; current limit is {self.limits.orders_10s} orders per 10 SECOND.", 429
            )
        if day > self.limits.orders_1d:
            raise ApiError(
                -1015, f"Too many new orders; current limit is {self.limits.orders_1d} orders per 1 DAY.", 429
            )

    def forgive_order(self, account: str, now_ms: int) -> None:
        """A filled order gives its count back."""
        for kind, window_ms in (("10s", 10 * SECOND_MS), ("1d", 86_400 * SECOND_MS)):
            if self._add(kind, account, window_ms, 0, now_ms):
                self._add(kind, account, window_ms, -1, now_ms)

    def weight_used(self, now_ms: int) -> int:
        """Weight used in this minute."""
        return self._add("weight", "", 60 * SECOND_MS, 0, now_ms)

    def order_counts(self, account: str, now_ms: int) -> tuple[int, int]:
        """Orders counted in this 10 s and this day."""
        return (
            self._add("10s", account, 10 * SECOND_MS, 0, now_ms),
            self._add("1d", account, 86_400 * SECOND_MS, 0, now_ms),
        )

    def retry_after_s(self, now_ms: int) -> int:
        """Seconds until the minute's window ends."""
        return max(1, 60 - now_ms // SECOND_MS % 60)

    def rules(self) -> list[dict[str, Any]]:
        """``rateLimits`` of exchangeInfo."""
        return [
            _row("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight_1m),
            _row("ORDERS", "SECOND", 10, self.limits.orders_10s),
            _row("ORDERS", "DAY", 1, self.limits.orders_1d),
            _row("RAW_REQUESTS", "MINUTE", 5, self.limits.raw_5m),
        ]

    def usage(self, account: str | None, now_ms: int) -> list[dict[str, Any]]:
        """``rateLimits`` of a WebSocket API answer."""
        weight = _row("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight_1m, self.weight_used(now_ms))
        return [weight] if account is None else [*self.order_usage(account, now_ms), weight]

    def order_usage(self, account: str, now_ms: int) -> list[dict[str, Any]]:
        """The order counts of one account."""
        ten_s, day = self.order_counts(account, now_ms)
        return [
            _row("ORDERS", "SECOND", 10, self.limits.orders_10s, ten_s),
            _row("ORDERS", "DAY", 1, self.limits.orders_1d, day),
        ]


def _row(kind: str, interval: str, number: int, limit: int, count: int | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
    if count is not None:
        row["count"] = count
    return row
