"""A few threads that ask Oanda for the event loop: orders before data, no hung request holds up more than its own.

Not the loop's default executor: its threads are joined when the interpreter ends, so one hung request would hold up
the end of the process. These are daemons with a connection each that stays open, the most recently used one first,
because Oanda allows two new connections a second. A question that got no answer in time is cut off at the socket,
which sets its thread free; what was still waiting then has provably not been sent.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import queue
import threading
from collections.abc import Callable
from typing import Any

import requests

from autotrader_lab.execution.adapters.oanda.wire import Answer, ConnectionPace, Phase, Wire
from autotrader_lab.model.errors import AutoTraderError

__all__ = ["CANCEL", "ORDER", "QUERY", "Crew", "Failed"]

CANCEL, ORDER, QUERY = 0, 1, 2
"""What goes first."""

_RESERVED = 2
"""Threads that questions leave free for orders."""


_TOO_LATE = 0.1
"""Part of the longest wait for an answer, at its end, in which nothing is sent any more."""


class Failed(AutoTraderError):
    """A request came to nothing; the library's error is the ``__cause__``.

    Parameters
    ----------
    reason : str
    left : bool
        False: it certainly never left.
    status, headers
        Of the answer, as far as there was one.
    is_late : bool
        It took as long as was allowed, or nobody is there to take it.
    """

    def __init__(self, reason: str, *, left: bool, status: int = 0, headers: Any = None, is_late: bool = False) -> None:
        super().__init__(reason)
        self.left = left
        self.status = status
        self.is_late = is_late
        self.headers = headers or {}


class _Job:
    """One request on its way through the crew."""

    def __init__(self, endpoint: Any, future: asyncio.Future[Answer], last_s: float) -> None:
        self.endpoint = endpoint
        self.future = future
        self.last_s = last_s
        self.hand: _Hand | None = None


class _Hand:
    """One thread with its wire."""

    def __init__(self, name: str, wire: Wire, finished: Callable[[_Hand, _Job, Answer | BaseException], None]) -> None:
        self.wire = wire
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.is_data = False
        self._finished = finished
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            outcome: Answer | BaseException
            try:
                outcome = self.wire.ask(job.endpoint)
            except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked must hear of it
                outcome = error
            self._finished(self, job, outcome)
            # Not kept for as long as the next one is waited for: an error holds its whole stack.
            del job, outcome
        self.wire.close()


class Crew:
    """Threads that ask.

    Parameters
    ----------
    make_wire : callable
        Makes a wire for one more thread.
    pace : ConnectionPace
        Says when one more connection may be opened.
    size : int
        Most threads at once.
    timeout_s : float
        Longest wait for an answer, the wait for a thread included; seconds.
    """

    def __init__(self, make_wire: Callable[[], Wire], pace: ConnectionPace, size: int, timeout_s: float) -> None:
        self._make_wire = make_wire
        self._pace = pace
        self._size = size
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hands: list[_Hand] = []
        self._idle: list[_Hand] = []
        self._leaving: list[_Hand] = []
        self._waiting: list[tuple[int, int, _Job]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False

    def open(self) -> None:
        """Be ready for questions from the running loop."""
        self._loop = asyncio.get_running_loop()
        self._is_open = True

    async def ask(self, endpoint: Any, urgency: int, late: Callable[[Answer], None] | None = None) -> Answer:
        """The answer to one request.

        Parameters
        ----------
        endpoint : oandapyV20 APIRequest
        urgency : int
            CANCEL, ORDER or QUERY.
        late : callable, optional
            Is given an answer that comes when nobody waits any more.

        Raises
        ------
        Failed
        """
        if not self._is_open or self._loop is None:
            raise Failed("disconnected", left=False, is_late=True)
        # What would be sent just before its asker gives up would only be in doubt.
        job = _Job(endpoint, self._loop.create_future(), self._loop.time() + (1 - _TOO_LATE) * self._timeout_s)
        heapq.heappush(self._waiting, (urgency, next(self._numbers), job))
        self._pump()
        try:
            done, _ = await asyncio.wait({job.future}, timeout=self._timeout_s)
        except asyncio.CancelledError:
            self._abandon(job, late)
            raise
        if done:
            return job.future.result()
        reason = f"no answer within {self._timeout_s:g} s"
        if job.hand is None:
            self._abandon(job, None)
            raise Failed(f"{reason}, and nothing was sent", left=False, is_late=True)
        phase = self._dismiss(job.hand)
        job.future.cancel()
        raise Failed(reason, left=phase != "connecting", is_late=True)

    def _abandon(self, job: _Job, late: Callable[[Answer], None] | None) -> None:
        """Nobody waits for it: what was not sent never will be, what was goes on."""
        if job.hand is None:
            job.future.cancel()
            return

        def look(future: asyncio.Future[Answer]) -> None:
            if not future.cancelled() and future.exception() is None and late is not None:
                late(future.result())

        job.future.add_done_callback(look)

    def _dismiss(self, hand: _Hand) -> Phase:
        """Cut a hand off in the middle of its work, and do without it from now on."""
        phase = hand.wire.cut()
        hand.jobs.put(None)
        if hand in self._hands:
            self._hands.remove(hand)
            self._leaving.append(hand)
        self._leaving = [each for each in self._leaving if each.thread.is_alive()]
        self._pump()
        return phase

    def _pump(self) -> None:
        """Give waiting jobs to threads, the most urgent first."""
        assert self._loop is not None, "there is a loop once it is open"
        while self._waiting:
            urgency, _, job = self._waiting[0]
            if job.future.done() or job.last_s <= self._loop.time():
                heapq.heappop(self._waiting)
                continue
            busy_with_data = sum(1 for hand in self._hands if hand.is_data)
            if urgency == QUERY and busy_with_data >= max(1, self._size - _RESERVED):
                return
            hand = self._free()
            if hand is None:
                return
            heapq.heappop(self._waiting)
            job.hand = hand
            hand.is_data = urgency == QUERY
            hand.jobs.put(job)

    def _free(self) -> _Hand | None:
        """A thread without work, with a connection if there is one; None if it has to be waited for."""
        warm = next((hand for hand in reversed(self._idle) if hand.wire.is_warm), None)
        if warm is not None:
            self._idle.remove(warm)
            return warm
        wait_s = self._pace.wait_s()
        if wait_s and len(self._hands) > len(self._idle):
            # Somebody with a connection may be done before a new one is allowed.
            if self._timer is None:
                assert self._loop is not None, "there is a loop once it is open"
                self._timer = self._loop.call_later(wait_s, self._on_timer)
            return None
        if self._idle:
            return self._idle.pop()
        if len(self._hands) >= self._size:
            return None
        hand = _Hand(f"oanda-{len(self._hands) + 1}", self._make_wire(), self._finished)
        self._hands.append(hand)
        return hand

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    def _finished(self, hand: _Hand, job: _Job, outcome: Answer | BaseException) -> None:
        """In the hand's thread: bring the outcome home."""
        phase, head = hand.wire.phase, hand.wire.head
        assert self._loop is not None, "there is a loop once it is open"
        try:
            self._loop.call_soon_threadsafe(self._settle, hand, job, outcome, phase, head)
        except RuntimeError:
            # The loop is closed: nobody waits for anything.
            return

    def _settle(self, hand: _Hand, job: _Job, outcome: Answer | BaseException, phase: Phase, head: Any) -> None:
        hand.is_data = False
        if hand in self._hands:
            self._idle.append(hand)
        if not job.future.done():
            if isinstance(outcome, Answer):
                job.future.set_result(outcome)
            else:
                failed = Failed(
                    type(outcome).__name__,
                    left=phase != "connecting",
                    status=head[0],
                    headers=head[1],
                    is_late=isinstance(outcome, requests.Timeout),
                )
                failed.__cause__ = outcome
                job.future.set_exception(failed)
                # Retrieved here, for the case that nobody waits for it any more.
                job.future.exception()
        if self._is_open:
            self._pump()

    async def close(self) -> None:
        """Cut everything off and return when every thread has ended. What was under way fails; it may have left."""
        if not self._is_open:
            return
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, _, job in self._waiting:
            if not job.future.done():
                job.future.set_exception(Failed("disconnected before it was sent", left=False, is_late=True))
                job.future.exception()
        self._waiting = []
        hands, self._hands, self._idle = [*self._hands, *self._leaving], [], []
        for hand in hands:
            hand.wire.cut()
            hand.jobs.put(None)
        await joined([hand.thread for hand in hands])
        # What the last of them said is under way to the loop.
        await asyncio.sleep(0)
        self._leaving = []


async def joined(threads: list[threading.Thread], patience_s: float = 2.0) -> None:
    """Return when the threads have ended, or after `patience_s`: they are daemons and hold up nothing."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while any(thread.is_alive() for thread in threads) and loop.time() < until:  # noqa: ASYNC110 - a thread's end is no event
        await asyncio.sleep(0.002)
