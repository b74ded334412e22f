"""The venue-neutral seam under the name it had first, for the fault scripts written against it."""

from __future__ import annotations

from autotrader_lab.sandbox.venues.hooks import Hooks, RequestInfo

__all__ = ["Hooks", "RequestInfo"]
