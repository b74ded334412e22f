"""Makes a fault plan happen, the same at every venue: the rules see what passes and say what becomes of it.

Nothing here knows a protocol. A venue plugs in with three things:

- for each request it calls :meth:`Faults.before`, and :meth:`Faults.after` once the exchange has acted; both may
  sleep, and both return None or a :class:`Verdict` that the venue puts into its own words (what 429 looks like there,
  what it answers under maintenance, how a connection is cut);
- for each event it is about to send it calls :meth:`Faults.outgoing` with the :class:`Line` it goes out on;
- its :class:`Vocabulary` says what its requests and events are called, so that a misspelled rule is refused.

Venues that use :class:`~.venues.hooks.Hooks` get the first two from :class:`~.venues.faulty.FaultHooks` and write a
:class:`~.venues.faulty.Dialect` only, as :mod:`.venues.binance.faults` does. Partial fills and the clock happen below
the venues, in their exchanges, and need nothing from them.

The same seed makes the same choices for the same sequence of what matches a rule; each rule draws from a source of its
own, so that adding one does not change what the others do. What comes first among concurrent requests is not seeded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Literal, Protocol

import msgspec

from autotrader_lab.model.clock import NS, Clock
from autotrader_lab.sandbox.fault_plan import FaultPlan, FaultPlanError, nearest
from autotrader_lab.sandbox.fault_rules import (
    ClockSkew,
    Delay,
    Disconnect,
    DropAfter,
    DropBefore,
    Duplicate,
    Hold,
    Lose,
    Maintenance,
    PartialFill,
    RateLimit,
    Reorder,
    Rubbish,
    Rule,
    ServerError,
    Shutdown,
)

__all__ = ["Faults", "Line", "Passing", "Verdict", "Vocabulary", "spoil"]


class Passing(msgspec.Struct, frozen=True):
    """A request or an event on its way.

    Attributes
    ----------
    venue, world, channel : str
        Where; channels are ``rest``, ``ws-api``, ``stream``, ``user``.
    name : str
        The venue's own name for it.
    kind : str
        Ours; see :class:`~.fault_rules.Where`.
    symbol, side : str
        Where it has any; the symbol in the venue's spelling, the side as ``buy`` or ``sell``.
    """

    venue: str
    world: str
    channel: str
    name: str
    kind: str = ""
    symbol: str = ""
    side: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a request, for the venue to put into its own words."""

    action: Literal["drop", "error", "rubbish", "rate_limit", "maintenance"]
    status: int = 0
    body: str | dict[str, Any] | None = None
    retry_after_s: int = 0
    ban: bool = False


class Vocabulary(msgspec.Struct, frozen=True):
    """What a venue calls things: the names and channels a rule may use for it."""

    venue: str
    channels: frozenset[str]
    requests: frozenset[str]
    events: frozenset[str]


class Line(Protocol):
    """A connection that events go out on."""

    def put(self, text: str) -> None:
        """Send it after what waits already; quiet once the line is closed."""
        ...

    def pause(self, seconds: float) -> None:
        """Send nothing that is put from now on until so much later."""
        ...

    def close(self) -> None:
        """End the connection in order once everything was sent."""
        ...

    def abort(self) -> None:
        """Cut it without a goodbye."""
        ...


HTML = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def spoil(text: str, how: str) -> str:
    """`text` as rubbish: ``html``, ``truncated`` or ``empty``."""
    return {"html": HTML, "truncated": text[: len(text) // 2], "empty": ""}[how]


class _Live:
    """A rule at work."""

    def __init__(self, rule: Rule, seed: str) -> None:
        self.rule = rule
        self.random = Random(seed)
        self.seen = 0
        self.hits = 0
        self._symbol = _plain(rule.where.symbol)

    def concerns(self, passing: Passing) -> bool:
        where = self.rule.where
        pattern = where.request or where.event
        return (
            where.venue in (None, passing.venue)
            and where.world in (None, passing.world)
            and where.channel in (None, passing.channel)
            and where.kind in (None, passing.kind)
            and where.side in (None, passing.side)
            and (pattern is None or fnmatchcase(passing.name, pattern))
            and (not self._symbol or self._symbol == _plain(passing.symbol))
        )

    def strikes(self, passing: Passing, elapsed_s: float) -> bool:
        when = self.rule.when
        if not self.concerns(passing) or not when.is_open(elapsed_s):
            return False
        if when.count is not None and self.hits >= when.count:
            return False
        self.seen += 1
        if when.every is not None and self.seen % when.every:
            return False
        if when.probability < 1 and self.random.random() >= when.probability:
            return False
        self.hits += 1
        return True

    def draw(self, low_high: tuple[float, float]) -> float:
        return self.random.uniform(*low_high)


def _plain(symbol: str | None) -> str:
    return re.sub(r"[^A-Z0-9]", "", (symbol or "").upper())


class Faults:
    """The plan at work in one sandbox.

    Parameters
    ----------
    plan : FaultPlan
    clock : Clock
        Times the windows and the waiting.
    vocabularies : sequence of Vocabulary
        Of the venues that are served; a plan that names what none of them has is refused. None for a venue whose
        names are not known: then every name passes.

    Raises
    ------
    FaultPlanError
        For such a name.
    """

    def __init__(self, plan: FaultPlan, clock: Clock, vocabularies: Sequence[Vocabulary | None] = ()) -> None:
        self._clock = clock
        known = [words for words in vocabularies if words is not None]
        self._vocabularies = known if len(known) == len(vocabularies) else []
        self._late: dict[Line, list[str]] = {}
        self.replace(plan)

    # --- the plan -----------------------------------------------------------------------------------------------

    def replace(self, plan: FaultPlan) -> None:
        """Begin `plan` now, instead of whatever was going on; events that are held back still come.

        Raises
        ------
        FaultPlanError
            If it names what no venue here has; nothing has changed then.
        """
        for number, rule in enumerate(plan.rules, 1):
            self._check_names(rule, number)
        self._seed = plan.seed
        self._began_ns = self._clock.monotonic_ns()
        self._began_ms = self._clock.now_ns() // 1_000_000
        self._live: list[_Live] = []
        self._sort()
        for rule in plan.rules:
            self._add(rule)

    def once(self, rule: Rule) -> None:
        """Let `rule` strike once more than it did, beginning now; what else is in its ``when`` still holds.

        Raises
        ------
        FaultPlanError
            As :meth:`replace`.
        """
        self._check_names(rule, len(self._live) + 1)
        limited = rule.when.model_copy(update={"count": 1, "from_s": rule.when.from_s + self._elapsed_s()})
        if rule.when.to_s is not None:
            limited = limited.model_copy(update={"to_s": rule.when.to_s + self._elapsed_s()})
        if isinstance(rule, ClockSkew):
            limited = limited.model_copy(update={"count": None})
        self._add(rule.model_copy(update={"when": limited}))

    @property
    def is_idle(self) -> bool:
        """Whether there is no rule for requests."""
        return not self._arriving and not self._answering

    def report(self) -> dict[str, Any]:
        """The plan, and how often each rule was asked (`seen`) and struck (`hits`)."""
        return {
            "seed": self._seed,
            "began_ms": self._began_ms,
            "elapsed_s": round(self._elapsed_s(), 3),
            "rules": [
                {**live.rule.model_dump(mode="json", exclude_defaults=True), "seen": live.seen, "hits": live.hits}
                for live in self._live
            ],
        }

    def _add(self, rule: Rule) -> None:
        number = len(self._live) + 1
        self._live.append(_Live(rule, f"{self._seed}/{number}/{rule.do}"))
        self._sort()

    def _sort(self) -> None:
        """Whom each rule is to be asked about."""
        everything = self._live
        self._arriving = [live for live in everything if _is_at(live.rule, "arrival")]
        self._answering = [live for live in everything if _is_at(live.rule, "answer")]
        self._events = [live for live in everything if live.rule.hits_events]
        self._partial = [live for live in everything if isinstance(live.rule, PartialFill)]
        self._skews = [live for live in everything if isinstance(live.rule, ClockSkew)]

    def _check_names(self, rule: Rule, number: int) -> None:
        where = rule.where
        title = f"rule {number}{f' ({rule.name})' if rule.name else ''}"
        known = [words for words in self._vocabularies if where.venue in (None, words.venue)]
        if not self._vocabularies:
            return
        if not known:
            venues = [words.venue for words in self._vocabularies]
            raise FaultPlanError(f"{title}: where.venue {where.venue!r} is not served here; {nearest('', venues)}")
        channels = frozenset[str]().union(*(words.channels for words in known))
        if where.channel is not None and where.channel not in channels:
            way_out = nearest(where.channel, sorted(channels))
            raise FaultPlanError(f"{title}: where.channel {where.channel!r} does not exist here; {way_out}")
        requests = frozenset[str]().union(*(words.requests for words in known))
        events = frozenset[str]().union(*(words.events for words in known))
        for what, pattern, names in (("request", where.request, requests), ("event", where.event, events)):
            if pattern is not None and not any(fnmatchcase(name, pattern) for name in names):
                way_out = nearest(pattern, sorted(names))
                raise FaultPlanError(f"{title}: where.{what} {pattern!r} matches nothing that is served; {way_out}")

    def _elapsed_s(self) -> float:
        return (self._clock.monotonic_ns() - self._began_ns) / NS

    # --- requests -----------------------------------------------------------------------------------------------

    async def before(self, passing: Passing) -> Verdict | None:
        """A request arrived and the exchange has not seen it; None lets it go on."""
        return await self._judge(self._arriving, passing) if self._arriving else None

    async def after(self, passing: Passing) -> Verdict | None:
        """The exchange has acted and the answer is ready; None lets it go out."""
        return await self._judge(self._answering, passing) if self._answering else None

    async def _judge(self, rules: Sequence[_Live], passing: Passing) -> Verdict | None:
        wait_s, verdict, elapsed_s = 0.0, None, self._elapsed_s()
        for live in rules:
            if not live.strikes(passing, elapsed_s):
                continue
            if isinstance(live.rule, Delay):
                wait_s += live.draw(live.rule.seconds)
                continue
            verdict = _verdict(live.rule)
            break
        if wait_s:
            await self._clock.sleep(wait_s)
        return verdict

    # --- events -------------------------------------------------------------------------------------------------

    def minds(self, channel: str) -> bool:
        """Whether any rule could strike an event on `channel`; asked before the trouble of reading it."""
        return any(live.rule.where.channel in (None, channel) for live in self._events) or bool(self._late)

    def outgoing(self, passing: Passing, text: str, line: Line, notice: Callable[[], str]) -> None:
        """Send an event on its line, or whatever the rules make of it.

        Parameters
        ----------
        passing : Passing
        text : str
            The event as it goes on the wire.
        line : Line
        notice : callable
            Writes the venue's announcement that it is about to end the connection.
        """
        texts, elapsed_s, swapped = [text], self._elapsed_s(), 0.0
        for live in self._events:
            if not live.strikes(passing, elapsed_s):
                continue
            match live.rule:
                case Lose():
                    return
                case Disconnect():
                    self._late.pop(line, None)
                    line.abort()
                    return
                case Shutdown(grace_s=grace_s):
                    line.put(notice())
                    asyncio.get_running_loop().call_later(grace_s, line.close)
                case Duplicate(times=times):
                    texts *= 1 + times
                case Rubbish(body=how):
                    texts = [spoil(one, how) for one in texts]
                case Delay(seconds=seconds):
                    line.pause(live.draw(seconds))
                case Hold(seconds=seconds):
                    asyncio.get_running_loop().call_later(live.draw(seconds), _put_all, line, texts)
                    return
                case Reorder(within_s=within_s):
                    swapped = within_s
        if swapped and line not in self._late:
            self._late[line] = texts
            asyncio.get_running_loop().call_later(swapped, self._release, line, texts)
            return
        _put_all(line, texts)
        if line in self._late:
            self._release(line, self._late[line])

    def _release(self, line: Line, texts: list[str]) -> None:
        """Send what was to come after the next event, unless it went out already."""
        if self._late.get(line) is texts:
            del self._late[line]
            _put_all(line, texts)

    # --- the market and the clock ---------------------------------------------------------------------------------

    def portion(self, venue: str, world: str, symbol: str, side: str, quantity: int, step: int) -> int:
        """How much of `quantity` (a multiple of `step`) the outside market really trades with a customer's order."""
        if not self._partial:
            return quantity
        passing, elapsed_s = Passing(venue, world, "market", "", "", symbol, side), self._elapsed_s()
        for live in self._partial:
            if isinstance(live.rule, PartialFill) and live.strikes(passing, elapsed_s):
                quantity = max(step, round(quantity * live.draw(live.rule.fraction)) // step * step)
        return quantity

    def skew_ms(self, venue: str, world: str) -> int:
        """How far the venue's clock is off now."""
        if not self._skews:
            return 0
        passing, elapsed_s = Passing(venue, world, "time", ""), self._elapsed_s()
        return sum(
            live.rule.offset_ms
            for live in self._skews
            if isinstance(live.rule, ClockSkew) and live.strikes(passing, elapsed_s)
        )


def _put_all(line: Line, texts: Sequence[str]) -> None:
    for text in texts:
        line.put(text)


def _is_at(rule: Rule, point: str) -> bool:
    """Whether `rule` strikes requests at `point`."""
    if rule.hits_events or isinstance(rule, PartialFill | ClockSkew):
        return False
    if isinstance(rule, DropAfter):
        return point == "answer"
    return getattr(rule, "point", "arrival") == point


def _verdict(rule: Rule) -> Verdict:
    match rule:
        case DropBefore() | DropAfter() | Disconnect():
            return Verdict("drop")
        case ServerError(status=status, body=body):
            return Verdict("error", status, body)
        case Rubbish(body=how):
            return Verdict("rubbish", body=how)
        case RateLimit(retry_after_s=wait_s, ban=ban):
            return Verdict("rate_limit", retry_after_s=wait_s, ban=ban)
        case Maintenance():
            return Verdict("maintenance")
        case _:
            raise AssertionError(f"{rule.do} does not strike requests")
