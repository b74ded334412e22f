"""The kinds of fault there are: what each is called, what it takes, and whom it can strike.

One small model per kind. What makes them happen is :mod:`.faults`; how a plan of them is read, :mod:`.fault_plan`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["EVENT_CHANNELS", "RULES", "BaseRule", "Rule", "When", "Where"]

EVENT_CHANNELS = ("stream", "user")
"""Channels that carry events and not answers: public market data, and an account's own."""

Kind = Literal[
    "submit", "cancel", "amend", "query", "public", "session", "order", "fill", "account", "quote", "trade", "book",
    "candle", "ticker",
]  # fmt: skip
_EVENT_KINDS = frozenset({"order", "fill", "account", "quote", "trade", "book", "candle", "ticker"})
_REQUEST_KINDS = frozenset(get_args(Kind)) - _EVENT_KINDS


def _span(value: Any) -> tuple[float, float]:
    """A number, or a pair [smallest, largest], as a pair."""
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or any(isinstance(one, bool) or not isinstance(one, int | float) for one in pair):
        raise ValueError("give a number, or [smallest, largest]")
    low, high = float(pair[0]), float(pair[1])
    if not 0 <= low <= high < float("inf"):
        raise ValueError("must not be negative, the smaller one first")
    return low, high


Span = Annotated[tuple[float, float], BeforeValidator(_span)]


_Lowered = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Where(_Words):
    """Whom a rule concerns; what is left out matches everything.

    Attributes
    ----------
    venue, world : str or None
        Such as ``binance``; ``testnet`` or ``live``.
    channel : str or None
        ``rest``, ``ws-api`` (requests over a socket), ``stream`` (public events), ``user`` (an account's events).
    kind : str or None
        Requests: submit, cancel, amend, query, public, session. Events: order, fill, account, quote, trade, book,
        candle, ticker. The same words at every venue.
    request, event : str or None
        The venue's own name, with ``*`` for any text: ``POST /api/v3/order``, ``order.*``, ``executionReport``.
    symbol : str or None
        As any venue writes it: BTC/USDT, BTCUSDT and btc-usdt are the same.
    side : "buy" or "sell" or None
    """

    venue: str | None = None
    world: Annotated[Literal["testnet", "live"], _Lowered] | None = None
    channel: str | None = None
    kind: Kind | None = None
    request: str | None = None
    event: str | None = None
    symbol: str | None = None
    side: Annotated[Literal["buy", "sell"], _Lowered] | None = None

    @property
    def means_events(self) -> bool:
        """Whether it can only match events."""
        return self.event is not None or self.channel in EVENT_CHANNELS or self.kind in _EVENT_KINDS

    @property
    def means_requests(self) -> bool:
        """Whether it can only match requests."""
        other_channel = self.channel is not None and self.channel not in EVENT_CHANNELS
        return self.request is not None or other_channel or self.kind in _REQUEST_KINDS


class When(_Words):
    """How often a rule strikes what it matches; all that is given must agree.

    Attributes
    ----------
    probability : float
        Chance for each, from the plan's seed.
    every : int or None
        The n-th, 2n-th, … only.
    from_s, to_s : float
        Seconds since the plan began; `to_s` left out means for ever.
    repeat_s : float or None
        The window opens again each so many seconds.
    count : int or None
        Most strikes in all.
    """

    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    every: Annotated[int, Field(ge=1)] | None = None
    from_s: Annotated[float, Field(ge=0)] = 0.0
    to_s: float | None = None
    repeat_s: Annotated[float, Field(gt=0)] | None = None
    count: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"to_s {self.to_s:g} must be after from_s {self.from_s:g}")
        if self.repeat_s is not None:
            if self.to_s is None:
                raise ValueError("repeat_s needs to_s: without it the window never closes")
            if self.repeat_s < self.to_s - self.from_s:
                raise ValueError(f"repeat_s {self.repeat_s:g} must be at least as long as the window it repeats")
        return self

    def is_open(self, elapsed_s: float) -> bool:
        """Whether the window is open so many seconds after the plan began."""
        since_s = elapsed_s - self.from_s
        if since_s < 0:
            return False
        if self.repeat_s is not None:
            since_s %= self.repeat_s
        return self.to_s is None or since_s < self.to_s - self.from_s


class BaseRule(_Words):
    """What every rule has: a name for messages, whom it strikes and how often."""

    name: str = ""
    where: Where = Where()
    when: When = When()
    target: ClassVar[Literal["request", "event", "market", "time", "either"]] = "request"

    @model_validator(mode="after")
    def _where_fits(self) -> Self:
        do, where = getattr(self, "do", ""), self.where
        if where.means_events and where.means_requests:
            raise ValueError("where names a request and an event at once, which nothing is; make it two rules")
        if self.target == "request" and where.means_events:
            raise ValueError(f"{do} happens to requests, and where names events; name a request, or leave it out")
        if self.target == "event" and where.means_requests:
            raise ValueError(f"{do} happens to events, and where names requests; name an event, or leave it out")
        if self.target in ("market", "time"):
            allowed = {"venue", "world"} | ({"symbol", "side"} if self.target == "market" else set())
            odd = sorted(set(where.model_dump(exclude_none=True)) - allowed)
            if odd:
                raise ValueError(f"{do} knows only {', '.join(sorted(allowed))} in where; leave {', '.join(odd)} out")
        return self

    @property
    def hits_events(self) -> bool:
        """Whether it strikes events; of what can be either, only where `where` says so."""
        return self.target == "event" or (self.target == "either" and self.where.means_events)


class Delay(BaseRule):
    """A request arrives late, its answer leaves late, or a line's events stand still for a while and then go on."""

    do: Literal["delay"]
    seconds: Span
    point: Literal["arrival", "answer"] = "arrival"
    target = "either"


class DropBefore(BaseRule):
    """The connection is cut before the exchange sees the request."""

    do: Literal["drop_before"]


class DropAfter(BaseRule):
    """The exchange acts, and the connection is cut instead of an answer."""

    do: Literal["drop_after"]


class ServerError(BaseRule):
    """A 5xx answer, before (``arrival``) or after (``answer``) the exchange acted; `body` as text or JSON."""

    do: Literal["error"]
    status: Annotated[int, Field(ge=500, le=599)] = 503
    body: str | dict[str, Any] | None = None
    point: Literal["arrival", "answer"] = "arrival"


class Rubbish(BaseRule):
    """What arrives is no answer: a page of HTML with 200, half a JSON text, or nothing."""

    do: Literal["rubbish"]
    body: Literal["html", "truncated", "empty"] = "html"
    point: Literal["arrival", "answer"] = "answer"
    target = "either"


class RateLimit(BaseRule):
    """The venue asks to wait: 429 with Retry-After, or with `ban` its harder form (Binance: 418)."""

    do: Literal["rate_limit"]
    retry_after_s: Annotated[int, Field(ge=1)] = 1
    ban: bool = False


class Maintenance(BaseRule):
    """The venue's documented answer while it is being worked on; give `when` a window."""

    do: Literal["maintenance"]


class Disconnect(BaseRule):
    """The connection over which the event (or request) comes is cut without a goodbye, and it is lost."""

    do: Literal["disconnect"]
    target = "either"

    @property
    def hits_events(self) -> bool:
        """Events, unless `where` names requests."""
        return not self.where.means_requests


class Shutdown(BaseRule):
    """The venue announces on the connection that it ends, in its own words, and ends it `grace_s` later."""

    do: Literal["shutdown"]
    grace_s: Annotated[float, Field(ge=0)] = 0.0
    target = "event"


class Duplicate(BaseRule):
    """The event comes again, `times` times more."""

    do: Literal["duplicate"]
    times: Annotated[int, Field(ge=1, le=100)] = 1
    target = "event"


class Reorder(BaseRule):
    """The event comes after the one that follows it, or `within_s` later where none does."""

    do: Literal["reorder"]
    within_s: Annotated[float, Field(gt=0)] = 0.5
    target = "event"


class Hold(BaseRule):
    """The event is held back so long; what follows overtakes it."""

    do: Literal["hold"]
    seconds: Span
    target = "event"


class Lose(BaseRule):
    """The event never comes, though the connection stays."""

    do: Literal["lose"]
    target = "event"


class PartialFill(BaseRule):
    """The outside market trades only this part of what it would, and takes back the rest."""

    do: Literal["partial_fill"]
    fraction: Span = (0.5, 0.5)
    target = "market"

    @model_validator(mode="after")
    def _is_a_part(self) -> Self:
        if self.fraction[0] <= 0 or self.fraction[1] >= 1:
            raise ValueError("fraction must lie between 0 and 1, both excluded")
        return self


class ClockSkew(BaseRule):
    """The venue's clock is off by so many milliseconds while the window is open; positive is ahead."""

    do: Literal["clock_skew"]
    offset_ms: int
    target = "time"

    @model_validator(mode="after")
    def _is_a_window_only(self) -> Self:
        odd = sorted(self.when.model_fields_set & {"probability", "every", "count"})
        if odd:
            raise ValueError(
                f"clock_skew goes by from_s, to_s and repeat_s; a clock is not off by {', '.join(odd)}, leave it out"
            )
        return self


Rule = (
    Delay | DropBefore | DropAfter | ServerError | Rubbish | RateLimit | Maintenance | Disconnect | Shutdown
    | Duplicate | Reorder | Hold | Lose | PartialFill | ClockSkew
)  # fmt: skip
RULES: dict[str, type[BaseRule]] = {get_args(kind.model_fields["do"].annotation)[0]: kind for kind in get_args(Rule)}
"""Every kind by the word for it in ``do``."""
