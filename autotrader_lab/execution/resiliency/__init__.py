"""Retry what is safe to repeat, hold back when a venue is down, keep what failed."""

from autotrader_lab.execution.resiliency.breaker import BreakerState, CircuitBreaker
from autotrader_lab.execution.resiliency.manager import DeadLetter, ResiliencyManager

__all__ = ["BreakerState", "CircuitBreaker", "DeadLetter", "ResiliencyManager"]
