"""How much evidence a stage must give before the next one opens.

*standard* is the specification's performance table plus days of running; *rehearsal* asks for minutes, so that the
climb can be tried in one sitting on the sandbox. A real venue's live stage never accepts the rehearsal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from autotrader_lab.ladder.stages import Stage
from autotrader_lab.model.errors import ConfigError, GateClosed

__all__ = ["PROFILES", "REHEARSAL", "STANDARD", "Profile", "Requirements", "check_profile", "profile"]

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Requirements:
    """What one stage must have shown. None: not asked.

    Attributes
    ----------
    min_decisions : int
        Decisions to trade; holding is none.
    min_round_trips : int
        Positions opened and closed.
    min_seconds : float
        Time the stage ran, all its runs together; in replay the market time it covered.
    max_drawdown : float
        Fraction of the highest equity, at most.
    success_rate_over : float or None
        Share of the orders sent that the venue took; must be above this. Our own denials do not count.
    dead_letter_rate_under : float or None
        Share of the orders sent that a person had to settle; must be below this.
    ack_p50_under_ms, ack_p99_under_ms : float or None
        Order latency, submit to acknowledgement.
    notified_p50_under_ms, notified_p99_under_ms : float or None
        Fill latency, from the venue's time of the fill to our knowing it; assumes clocks in step.
    reconnect_under_s : float or None
        Longest outage, from the connection's loss to being reconciled again.
    drill : bool
        The kill switch was pulled as an exercise in this very stage, and left nothing behind.
    """

    min_decisions: int
    min_round_trips: int
    min_seconds: float
    max_drawdown: float
    success_rate_over: float | None = None
    dead_letter_rate_under: float | None = None
    ack_p50_under_ms: float | None = None
    ack_p99_under_ms: float | None = None
    notified_p50_under_ms: float | None = None
    notified_p99_under_ms: float | None = None
    reconnect_under_s: float | None = None
    drill: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A name and the requirements of each stage that leads to another."""

    name: str
    stages: Mapping[Stage, Requirements]


# The specification's table says what a latency should be, not in which percentile: its figures are taken for the median
# here, and ten times the figure for the worst hundredth.
STANDARD = Profile(
    "standard",
    MappingProxyType(
        {
            Stage.REPLAY: Requirements(
                min_decisions=100, min_round_trips=30, min_seconds=30 * DAY_S, max_drawdown=0.25, success_rate_over=0.99
            ),
            Stage.PAPER: Requirements(
                min_decisions=50,
                min_round_trips=20,
                min_seconds=5 * DAY_S,
                max_drawdown=0.10,
                success_rate_over=0.99,
                dead_letter_rate_under=0.001,
                ack_p50_under_ms=100.0,
                ack_p99_under_ms=1000.0,
                notified_p50_under_ms=200.0,
                notified_p99_under_ms=2000.0,
                reconnect_under_s=5.0,
                drill=True,
            ),
            Stage.TESTNET: Requirements(
                min_decisions=50,
                min_round_trips=10,
                min_seconds=2 * DAY_S,
                max_drawdown=0.10,
                success_rate_over=0.99,
                dead_letter_rate_under=0.001,
                ack_p50_under_ms=100.0,
                ack_p99_under_ms=1000.0,
                notified_p50_under_ms=200.0,
                notified_p99_under_ms=2000.0,
                reconnect_under_s=5.0,
                drill=True,
            ),
        }
    ),
)

# Percentiles of a handful of orders on a busy machine say little: the medians are given room, the tails are not asked.
REHEARSAL = Profile(
    "rehearsal",
    MappingProxyType(
        {
            Stage.REPLAY: Requirements(min_decisions=20, min_round_trips=0, min_seconds=0.0, max_drawdown=0.5),
            Stage.PAPER: Requirements(
                min_decisions=5,
                min_round_trips=2,
                min_seconds=3.0,
                max_drawdown=0.5,
                success_rate_over=0.9,
                dead_letter_rate_under=0.001,
                ack_p50_under_ms=250.0,
                notified_p50_under_ms=500.0,
            ),
            Stage.TESTNET: Requirements(
                min_decisions=5,
                min_round_trips=1,
                min_seconds=3.0,
                max_drawdown=0.5,
                success_rate_over=0.9,
                dead_letter_rate_under=0.001,
                ack_p50_under_ms=250.0,
                notified_p50_under_ms=500.0,
                drill=True,
            ),
        }
    ),
)

PROFILES: Mapping[str, Profile] = MappingProxyType({p.name: p for p in (STANDARD, REHEARSAL)})


def profile(name: str | Profile) -> Profile:
    """The profile of that name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise ConfigError(f"there is no profile {name!r}; the profiles are {', '.join(PROFILES)}")
    return PROFILES[name]


def check_profile(name: str | Profile, stage: str | Stage, addresses_are_loopback: bool) -> None:
    """Refuse real money under anything but the standard profile.

    Parameters
    ----------
    name : str or Profile
        The session's profile.
    stage : str or Stage
        The stage to be opened.
    addresses_are_loopback : bool
        Whether every address the venue is reached at is on this machine.

    Raises
    ------
    GateClosed
        If `stage` is live at a real venue and the profile is not the standard one.
    """
    chosen = profile(name)
    if Stage.of(stage) is Stage.LIVE and not addresses_are_loopback and chosen is not STANDARD:
        raise GateClosed(
            f"the profile {chosen.name!r} cannot open the live stage of a real venue; "
            "earn the evidence under the profile 'standard', or rehearse on the local sandbox"
        )
