"""The hooks that carry out a fault plan, for every venue whose requests and frames pass through hooks.

What a fault looks like on the wire is the venue's own: its package has a module ``faults`` with ``make_dialect()``,
which gives a :class:`Dialect` that knows its names and its words. A venue without one still has every fault, under the
venue's plain names and with plain HTTP answers.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from functools import partial
from typing import Any

import msgspec

from autotrader_lab.model.clock import Clock
from autotrader_lab.sandbox.faults import Faults, Line, Passing, Verdict, Vocabulary, spoil
from autotrader_lab.sandbox.orders import Order
from autotrader_lab.sandbox.sites import Site
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo

__all__ = ["Dialect", "FaultHooks", "make_dialect", "plug_in"]

_CUT = Answer(0, None)


class Dialect:
    """How one venue names what passes, and what it says when it fails. The base knows no venue in particular.

    Parameters
    ----------
    venue : str
    """

    def __init__(self, venue: str) -> None:
        self.venue = venue

    def vocabulary(self) -> Vocabulary | None:
        """The venue's names, so that misspelled ones are refused; None lets every name pass."""
        return None

    def request(self, info: RequestInfo) -> Passing:
        """What a request is, for the rules."""
        symbol, side = info.params.get("symbol", ""), info.params.get("side", "")
        return Passing(self.venue, info.world, info.channel, info.operation, symbol=str(symbol), side=str(side).lower())

    def event(self, world: str, channel: str, text: str) -> Passing:
        """What an outgoing frame is, for the rules."""
        return Passing(self.venue, world, channel, "")

    def failure(self, verdict: Verdict, channel: str, now_ms: int) -> Answer:
        """The answer for ``error``, ``rate_limit`` and ``maintenance``."""
        if verdict.action == "rate_limit":
            headers = {"Retry-After": str(verdict.retry_after_s)}
            return Answer(429, {"error": "too many requests"}, headers)
        if verdict.action == "maintenance":
            return Answer(503, {"error": "the venue is under maintenance"})
        return Answer(verdict.status, {"error": "internal error"})

    def notice(self, channel: str, now_ms: int) -> str:
        """The frame by which the venue announces that it is about to end a connection."""
        return json.dumps({"event": "shutdown", "time": now_ms})


class FaultHooks(Hooks):
    """Carries out the plan for one venue.

    Parameters
    ----------
    faults : Faults
    dialect : Dialect
    clock : Clock
        Stamps what the venue says.
    """

    def __init__(self, faults: Faults, dialect: Dialect, clock: Clock) -> None:
        self._faults = faults
        self._dialect = dialect
        self._clock = clock

    async def before(self, request: RequestInfo) -> Answer | None:
        """The answer of a fault, without the exchange seeing the request; None to go on."""
        if self._faults.is_idle:
            return None
        verdict = await self._faults.before(self._dialect.request(request))
        return None if verdict is None else self._answer(verdict, request, None)

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        """The venue's answer or what a fault makes of it; None to cut the connection."""
        if answer is _CUT:
            return None
        if answer.is_fault or self._faults.is_idle:
            return answer
        verdict = await self._faults.after(self._dialect.request(request))
        if verdict is None:
            return answer
        told = self._answer(verdict, request, answer)
        return None if told is _CUT else told

    def frame(self, world: str, channel: str, text: str, line: Line) -> None:
        """Send a frame, or what the rules make of it."""
        if self._faults.minds(channel):
            passing = self._dialect.event(world, channel, text)
            self._faults.outgoing(passing, text, line, partial(self._dialect.notice, channel, self._now_ms()))
        else:
            line.put(text)

    def _answer(self, verdict: Verdict, request: RequestInfo, real: Answer | None) -> Answer:
        if verdict.action == "drop":
            return _CUT
        if verdict.action == "rubbish":
            how = str(verdict.body)
            text = msgspec.json.encode({} if real is None else real.body).decode()
            kind = "text/html" if how == "html" else "application/json"
            headers = {"Content-Type": f"{kind};charset=UTF-8"}
            return Answer(200, spoil(text, how).encode(), headers, is_fault=True)
        answer = self._dialect.failure(verdict, request.channel, self._now_ms())
        answer.is_fault = True
        if verdict.action == "error" and verdict.body is not None:
            body: Any = verdict.body.encode() if isinstance(verdict.body, str) else verdict.body
            answer = msgspec.structs.replace(answer, body=body)
        return answer

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000


def make_dialect(venue: str) -> Dialect:
    """The dialect of a venue's package, or the plain one where it has none."""
    module = f"autotrader_lab.sandbox.venues.{venue}.faults"
    if importlib.util.find_spec(module) is None:
        return Dialect(venue)
    dialect: Dialect = importlib.import_module(module).make_dialect()
    return dialect


def plug_in(faults: Faults, site: Site) -> None:
    """Let the plan reach a site's market and clock."""

    def portion(world: str, order: Order, quantity: int) -> int:
        step = site.worlds[world].exchange.instruments[order.symbol].step
        return faults.portion(site.name, world, order.symbol, order.side.lower(), quantity, step)

    for name, world in site.worlds.items():
        world.exchange.portion = partial(portion, name)
        world.exchange.skew_ms = partial(faults.skew_ms, site.name, name)
