"""Questions and answers over FXCM's FIX session: who waits for what, and what silence means.

FIX has no responses, only messages that name what they answer: by a request's id, by an order's, or (a refusal) by
the sequence number of what was refused. Whoever asked gets the answer, a :class:`Refused`, or :class:`NoAnswer`, which
is no evidence of anything.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autotrader_lab.execution.adapters.fix.link import FixLink
from autotrader_lab.execution.adapters.fix.messages import Field
from autotrader_lab.execution.adapters.fxcm.decode import Refusal
from autotrader_lab.model.clock import NS, Clock
from autotrader_lab.model.errors import AutoTraderError

__all__ = ["Inquiries", "NoAnswer", "Refused"]


_TRIES = 4
_SOON_S = 2.0
_PAUSE_S = 0.1


class NoAnswer(AutoTraderError):
    """It was sent, and no answer came: the time is over, or the connection."""


class Refused(AutoTraderError):
    """The venue said no, and why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class _Question:
    """Something that was asked: its key, the kind of message, the order it is about, and the answer so far."""

    def __init__(self, key: str, msg_type: str, about: str, answer: asyncio.Future[list[Any]]) -> None:
        self.key = key
        self.msg_type = msg_type
        self.about = about
        self.answer = answer
        self.parts: list[Any] = []
        self.number = 0


class Inquiries:
    """What was asked over one link and not answered yet.

    Parameters
    ----------
    link : callable
        The link, once there is one.
    timeout_s : float
        Longest wait for an answer, seconds.
    clock : Clock
    """

    def __init__(self, link: Callable[[], FixLink], timeout_s: float, clock: Clock) -> None:
        self._link = link
        self._timeout_s = timeout_s
        self._clock = clock
        self._open: dict[str, _Question] = {}
        self._count = 0

    def new_id(self, prefix: str) -> str:
        """An id that was not used before in this process."""
        self._count += 1
        return f"{prefix}{self._count}"

    async def ask(self, msg_type: str, key: str, body: Iterable[Field], about: str = "") -> list[Any]:
        """Send a message and wait for the parts of its answer.

        Raises
        ------
        VenueUnavailable, DataError
            If it never left.
        Refused
            If the venue said no.
        NoAnswer
            If it left and nothing came back.
        """
        question = _Question(key, msg_type, about, asyncio.get_running_loop().create_future())
        question.number = self._link().send(msg_type, body)
        self._open[key] = question
        try:
            async with asyncio.timeout(self._timeout_s):
                return await question.answer
        except TimeoutError:
            raise NoAnswer(f"no answer within {self._timeout_s:g} s") from None
        finally:
            if self._open.get(key) is question:
                del self._open[key]

    async def ask_again(
        self, msg_type: str, prefix: str, body: Callable[[str], Iterable[Field]], about: str = ""
    ) -> list[Any]:
        """As :meth:`ask`, for what is safe to repeat, a question or a cancel.

        Where it is soon known that no answer comes, as when a part of the venue is out, it is asked anew.

        Parameters
        ----------
        msg_type : str
        prefix : str
            Of each attempt's key.
        body : callable
            From an attempt's key to the message's body.
        about : str
            The order it is about.

        Raises
        ------
        VenueUnavailable, DataError, Refused, NoAnswer
            As the last attempt.
        """
        began_ns = self._clock.monotonic_ns()
        for attempt in range(1, _TRIES + 1):
            key = self.new_id(prefix)
            try:
                return await self.ask(msg_type, key, body(key), about)
            except NoAnswer:
                is_late = self._clock.monotonic_ns() - began_ns > _SOON_S * NS
                if is_late or attempt == _TRIES or not self._link().is_open:
                    raise
            await self._clock.sleep(_PAUSE_S * attempt * random.uniform(0.5, 1.0))
        raise AssertionError("the last attempt returns or raises")

    def is_open(self, key: str) -> bool:
        """Whether somebody still waits for an answer to `key`."""
        return key in self._open

    def about(self, subject: str, msg_types: str) -> list[str]:
        """Keys of the questions of these kinds about one order."""
        return [q.key for q in self._open.values() if q.about == subject and q.msg_type in msg_types.split()]

    def part(self, key: str, part: Any, *, last: bool = True, total: int | None = None) -> None:
        """One part of the answer to `key`; it is complete with its last part or when `total` came."""
        question = self._open.get(key)
        if question is None or question.answer.done():
            return
        if part is not None:
            question.parts.append(part)
        if last or (total is not None and len(question.parts) >= total):
            question.answer.set_result(question.parts)

    def parts_of(self, key: str) -> Sequence[Any]:
        """The parts of the answer to `key` that came so far."""
        question = self._open.get(key)
        return question.parts if question is not None else ()

    def refuse(self, refusal: Refusal) -> bool:
        """Give a refusal to whom it concerns; false where nobody waits for it."""
        for question in self._open.values():
            named = question.key in refusal.client_ids
            numbered = refusal.reference is not None and refusal.reference == question.number
            if (named or numbered) and not question.answer.done():
                kind = NoAnswer(refusal.reason) if refusal.is_outage else Refused(refusal)
                question.answer.set_exception(kind)
                return True
        return False

    def doubt(self, key: str, reason: str) -> None:
        """What came back to `key` proves nothing."""
        question = self._open.get(key)
        if question is not None and not question.answer.done():
            question.answer.set_exception(NoAnswer(reason))

    def drop(self, reason: str) -> None:
        """The connection is gone: nobody will be answered over it."""
        for question in list(self._open.values()):
            if not question.answer.done():
                question.answer.set_exception(NoAnswer(reason))
