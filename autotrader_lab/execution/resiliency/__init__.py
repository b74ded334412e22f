"""Retry what is safe to repeat, hold back when a venue is down, keep what failed."""

from autotrader_lab.execution.resiliency.breaker import BreakerState, CircuitBreaker
from autotrader_lab.execution.resiliency.dead_letters import DeadLetter, DeadLetters
from autotrader_lab.execution.resiliency.manager import ResiliencyManager

__all__ = ["BreakerState", "CircuitBreaker", "DeadLetter", "DeadLetters", "ResiliencyManager"]
