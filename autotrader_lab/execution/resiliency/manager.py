"""The specification's ``ResiliencyManager``: retry with backoff, circuit breaker, dead letters, reconnect.

The rule that keeps money safe: a submit is repeated only if it certainly never left. Where the outcome is unknown the
venue is asked first, by our client order id; only an answer ends the doubt.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.resiliency.breaker import BreakerState, CircuitBreaker
from autotrader_lab.execution.resiliency.dead_letters import DeadLetters
from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.model.errors import ConfigError, NotConnected, OutcomeUnknown, RateLimited, VenueUnavailable
from autotrader_lab.model.orders import Order, OrderStatus

__all__ = ["ResiliencyManager"]

T = TypeVar("T")


class ResiliencyManager:
    """Gets orders to a venue that fails now and then.

    Parameters
    ----------
    adapter : BaseBrokerAdapter
    max_retries : int
        Attempts in all.
    initial_backoff : float
        Seconds before the second attempt; up to half of it is taken off at random.
    backoff_multiplier : float
    circuit_breaker_threshold : int
        Transport failures in a row that open the breaker.
    clock : Clock, optional
    breaker_rest_s : float
        Seconds the breaker stays open before one attempt may try.
    enable_dlq : bool
        Whether orders that were given up are kept.
    longest_wait_s : float
        A venue that asks for a longer wait is not waited for: an entry that old should be decided anew, and a start
        that waits for hours should say so. Exits wait as long as it takes.
    seed : int, optional
        Of the jitter.

    Raises
    ------
    ConfigError
        If `max_retries` is less than 1.

    Attributes
    ----------
    dead_letters : DeadLetters
    last_failure : datetime or None
    """

    def __init__(
        self,
        adapter: BaseBrokerAdapter,
        max_retries: int = 3,
        initial_backoff: float = 1.0,
        backoff_multiplier: float = 2.0,
        circuit_breaker_threshold: int = 5,
        *,
        clock: Clock | None = None,
        breaker_rest_s: float = 10.0,
        enable_dlq: bool = True,
        longest_wait_s: float = 10.0,
        seed: int | None = None,
    ) -> None:
        if max_retries < 1:
            raise ConfigError(f"max_retries {max_retries} sends nothing; 1 means one attempt and no repetition")
        self.adapter = adapter
        self.max_retries = max_retries
        self.initial_backoff = initial_backoff
        self.backoff_multiplier = backoff_multiplier
        self.circuit_breaker_threshold = circuit_breaker_threshold
        self.enable_dlq = enable_dlq
        self.longest_wait_s = longest_wait_s
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.breaker = CircuitBreaker(self.clock, circuit_breaker_threshold, breaker_rest_s)
        self.dead_letters = DeadLetters(self.clock)
        self.last_failure: datetime | None = None
        self._random = random.Random(seed)
        self._reconnecting = asyncio.Lock()
        self._counts = {"attempts": 0, "successes": 0, "failures": 0, "retries": 0, "in_doubt": 0}

    @property
    def failure_count(self) -> int:
        """Transport failures in a row."""
        return self.breaker.failures

    @property
    def circuit_open(self) -> bool:
        """Whether the breaker holds entries back."""
        return self.breaker.state is BreakerState.OPEN

    @property
    def dead_letter_queue(self) -> list[tuple[Order, Exception]]:
        """The dead letters as the specification shows them: (order, error)."""
        return [(letter.order, letter.error) for letter in self.dead_letters]

    async def submit_order_with_retry(self, order: Order) -> Order:
        """Submit, repeating only what certainly never left.

        Raises
        ------
        VenueUnavailable
            If every attempt failed before leaving, the venue asks for too long a wait, or the breaker is open (exits
            pass both). The order is a dead letter.
        OutcomeUnknown
            If it left and the venue cannot tell yet what became of it. Not repeated, not a dead letter: in doubt.
        """
        backoff_s = self.initial_backoff
        for attempt in range(1, self.max_retries + 1):
            if not order.reduce_only and not self.breaker.allows():
                held_back = VenueUnavailable(
                    f"circuit breaker open after {self.failure_count} failures; "
                    f"entries wait {self.breaker.rest_s} s, exits pass"
                )
                self._bury(order, held_back, attempt - 1)
                raise held_back
            self._counts["attempts"] += 1
            try:
                answer = await self.adapter.submit_order(order)
            except (VenueUnavailable, NotConnected, ConnectionRefusedError) as error:
                self._failed()
                asked_s = error.retry_after_s if isinstance(error, RateLimited) else None
                too_long = (asked_s or 0.0) > self.longest_wait_s and not order.reduce_only
                if attempt == self.max_retries or too_long:
                    self._bury(order, error, attempt)
                    raise
                wait_s = asked_s or backoff_s * (1 - self._random.random() / 2)
                if isinstance(error, RateLimited):
                    self.breaker.success()  # it answered: alive, only busy
                self._counts["retries"] += 1
                await self.clock.sleep(wait_s)
                backoff_s *= self.backoff_multiplier
            except OutcomeUnknown:
                self._failed()
                self._counts["in_doubt"] += 1
                raise
            except BaseException:
                self.breaker.undecided()
                raise
            else:
                self.breaker.success()
                self._counts["successes"] += 1
                return answer
        raise VenueUnavailable("max_retries must be at least 1")

    async def ask_with_retry(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask what changes nothing, again where the venue asks to wait: an earlier process may have used our share.

        Raises
        ------
        RateLimited
            If it still asks to wait after `max_retries` attempts, or asks for too long a wait.
        VenueError
            Whatever else the venue says, at once.
        """
        backoff_s = self.initial_backoff
        for _ in range(self.max_retries - 1):
            try:
                return await question()
            except RateLimited as error:
                if (error.retry_after_s or 0.0) > self.longest_wait_s:
                    raise
                await self.clock.sleep(error.retry_after_s or backoff_s)
                backoff_s *= self.backoff_multiplier
        return await question()

    async def probe(self) -> None:
        """Once the breaker has rested, ask the venue something harmless; its answer closes the breaker.

        An engine calls this on a timer, so that no order has to be the one that finds out.

        Raises
        ------
        VenueError
            If it does not answer; it may be asked again at once.
        """
        if self.breaker.state is BreakerState.HALF_OPEN:
            await self.adapter.get_account_balance()
            self.breaker.success()

    async def reconnect(self) -> bool:
        """Disconnect and connect again, with backoff, one at a time; true once connected."""
        async with self._reconnecting:
            backoff_s = self.initial_backoff
            for attempt in range(1, self.max_retries + 1):
                await self.adapter.disconnect()
                try:
                    if await self.adapter.connect():
                        self.breaker.success()
                        return True
                except (VenueUnavailable, NotConnected, OSError):
                    self._failed()
                if attempt < self.max_retries:
                    await self.clock.sleep(backoff_s * (1 - self._random.random() / 2))
                    backoff_s *= self.backoff_multiplier
            return False

    async def process_dead_letter_queue(self) -> list[Order]:
        """Try the dead letters again; what fails again stays. Returns the orders that were delivered.

        With an order book, :meth:`Settlement.reprocess` lets the risk gate judge each anew first.
        """
        delivered = []
        for letter in self.dead_letters:
            if self.adapter.capabilities.client_order_ids and letter.order.client_order_id:
                try:
                    if await self.adapter.find_order(letter.order.client_order_id, letter.order.symbol) is not None:
                        self.dead_letters.settle(letter, "adopted")
                        continue
                except VenueUnavailable as error:
                    letter.reason = str(error)
                    continue
            try:
                delivered.append(await self.adapter.submit_order(letter.order))
            except (VenueUnavailable, NotConnected, ConnectionRefusedError) as error:
                letter.error, letter.reason, letter.attempts = error, str(error), letter.attempts + 1
            else:
                self.dead_letters.settle(letter, "resubmitted")
        return delivered

    def get_failure_stats(self) -> dict[str, Any]:
        """Counts, breaker state and dead letters, as plain values."""
        return {
            **self._counts,
            "failure_count": self.failure_count,
            "circuit_state": self.breaker.state.value,
            "circuit_open": self.circuit_open,
            "dead_letters": len(self.dead_letters),
            "last_failure": self.last_failure,
        }

    def _failed(self) -> None:
        self._counts["failures"] += 1
        self.breaker.failure()
        self.last_failure = self.clock.now()

    def _bury(self, order: Order, error: Exception, attempts: int) -> None:
        if not self.enable_dlq or order.status is OrderStatus.REJECTED:
            return
        self.dead_letters.bury(order, error, attempts)
