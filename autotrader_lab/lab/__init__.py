"""What a notebook holds: one strategy, and the ladder it climbs."""

from autotrader_lab.lab.lab import Lab

__all__ = ["Lab"]
