"""Questions and answers: most are told apart by a request id, some only by their kind.

Of the latter (open orders, completed orders, positions, the time) one is asked at a time, and where no answer came the
connection is made anew: a late list must not be taken for the answer to a later question, because "your order is not in
it" decides whether an order is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from autotrader_lab.model.errors import AutoTraderError, VenueUnavailable

__all__ = ["NoAnswer", "Questions", "Refused"]

T = TypeVar("T")

FIRST_REQUEST_ID = 1_500_000_000
"""Far from order ids: an error tells an id, and not whether it is an order's or a request's."""


class NoAnswer(AutoTraderError):
    """It was sent, and no answer came: the time is over, or the connection."""


class Refused(AutoTraderError):
    """TWS answered with an error.

    Parameters
    ----------
    code : int
        TWS's number.
    message : str
        TWS's words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


class _Question:
    def __init__(self) -> None:
        self.answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.parts: list[Any] = []


class Questions:
    """What was asked and not answered yet.

    Parameters
    ----------
    timeout_s : float
        Longest wait for an answer, seconds.
    give_up : callable
        Called with a reason when a question without an id stayed without an answer.
    """

    def __init__(self, timeout_s: float, give_up: Callable[[str], None]) -> None:
        self._timeout_s = timeout_s
        self._give_up = give_up
        self._open: dict[int | str, _Question] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._joint: dict[str, asyncio.Task[Any]] = {}
        self._last_id = FIRST_REQUEST_ID

    def new_id(self) -> int:
        """A request id that was not used before in this process."""
        self._last_id += 1
        return self._last_id

    async def by_id(self, send: Callable[[int], None], timeout_s: float | None = None) -> list[Any]:
        """Ask with an id of its own; returns the parts of the answer.

        Raises
        ------
        Refused, NoAnswer
        VenueUnavailable
            From `send`: it never left.
        """
        key = self.new_id()
        return await self._ask(key, lambda: send(key), timeout_s or self._timeout_s)

    async def by_kind(self, kind: str, send: Callable[[], None]) -> list[Any]:
        """Ask what is answered without an id, one at a time; as :meth:`by_id`."""
        async with self._locks.setdefault(kind, asyncio.Lock()):
            try:
                return await self._ask(kind, send, self._timeout_s)
            except NoAnswer as silence:
                self._give_up(f"{kind}: {silence}")
                raise

    async def _ask(self, key: int | str, send: Callable[[], None], timeout_s: float) -> list[Any]:
        question = _Question()
        self._open[key] = question
        try:
            try:
                send()
            except ConnectionError as error:  # the library's word for it; there was a line when the question was made
                raise VenueUnavailable("there is no connection to TWS right now") from error
            async with asyncio.timeout(timeout_s):
                return await question.answer
        except TimeoutError:
            raise NoAnswer(f"no answer within {timeout_s:g} s") from None
        finally:
            if self._open.get(key) is question:
                del self._open[key]

    async def jointly(self, name: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """`ask` once for all who want to know before it is sent, because TWS has whole days to tell and nothing less.

        Who comes while an answer is under way waits for the next one: this one may be older than what he asks about.
        """
        asked = self._joint.get(name)
        if asked is None:
            asked = self._joint[name] = asyncio.create_task(self._in_turn(name, ask), name=f"autotrader ibkr {name}")
            # Looked at here, so that asyncio does not complain where nobody waits any more.
            asked.add_done_callback(lambda task: task.cancelled() or task.exception())
        answer: T = await asyncio.shield(asked)
        return answer

    async def _in_turn(self, name: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with self._locks.setdefault(f"{name}, jointly", asyncio.Lock()):
            del self._joint[name]
            return await ask()

    def is_open(self, key: int | str) -> bool:
        """Whether somebody waits for an answer to `key`."""
        return key in self._open

    def part(self, key: int | str, part: Any) -> None:
        """One part of the answer to `key`."""
        if key in self._open:
            self._open[key].parts.append(part)

    def end(self, key: int | str) -> None:
        """The answer to `key` is complete."""
        question = self._open.get(key)
        if question is not None and not question.answer.done():
            question.answer.set_result(question.parts)

    def refuse(self, request_id: int, code: int, message: str) -> bool:
        """The answer to a request is an error; false where nobody waits for it.

        An error without an id is the answer to the one question that has none, if there is just one.
        """
        if request_id >= 0:
            asked = [self._open[request_id]] if request_id in self._open else []
        else:
            asked = [question for key, question in self._open.items() if isinstance(key, str)]
        if len(asked) != 1 or asked[0].answer.done():
            return False
        asked[0].answer.set_exception(Refused(code, message))
        return True

    def drop(self, reason: str) -> None:
        """Nobody will be answered over this connection."""
        for question in list(self._open.values()):
            if not question.answer.done():
                question.answer.set_exception(NoAnswer(reason))
