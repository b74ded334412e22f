"""Arming: the confirmation a person gives, in this session, before real orders may leave.

The phrase is made up anew each time, names what is at stake, is good for one use and for a short while; so a notebook
that is run again from top to bottom brings yesterday's phrase and arms nothing. Being armed ends too.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

import msgspec

from autotrader_lab.model.clock import NS, Clock, from_ns
from autotrader_lab.model.errors import GateClosed

__all__ = ["Arming", "Challenge"]

CHALLENGE_LIFE_S = 120.0
ARMED_LIFE_S = 8 * 3600.0
_TEXT = (
    "amber anchor apple arrow autumn badger barley basil beacon birch bishop bramble bridge cactus candle "
    "canyon cedar cherry clover cobalt copper coral cotton cricket dahlia denim desert dragon ember "
    "falcon fern fiddle flint forest garnet ginger glacier granite harbour hazel heron indigo island "
    "ivory jasmine juniper kettle lagoon lantern lemon lilac linen lotus maple marble meadow mimosa "
    "morning nectar nutmeg olive onyx orchid otter oyster pebble pepper pigeon plum poppy quartz quill "
    "raven ribbon river saddle saffron sequoia silver spruce sparrow summit tangerine teapot thistle "
    "thunder timber topaz tulip turnip umber valley velvet violet walnut willow winter wren yarrow zephyr "
)
_WORDS = _TEXT.split()


class Challenge(msgspec.Struct, frozen=True):
    """What a person has to give back, word for word.

    Attributes
    ----------
    stage : str
        What it arms.
    phrase : str
    expires_ns : int
        When it is void, ns since the epoch.
    """

    stage: str
    phrase: str
    expires_ns: int

    def __str__(self) -> str:
        until = from_ns(self.expires_ns).strftime("%H:%M:%S UTC")
        return f'to arm {self.stage}, before {until}: await lab.arm("{self.phrase}")'

    __repr__ = __str__


class Arming:
    """Whether the session may send real orders, and until when.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._challenge: Challenge | None = None
        self._armed_until_ns: int | None = None

    @property
    def armed_until_ns(self) -> int | None:
        """Until when it is armed, ns since the epoch; None if it is not."""
        if self._armed_until_ns is not None and self._armed_until_ns <= self._clock.now_ns():
            self._armed_until_ns = None
        return self._armed_until_ns

    def challenge(self, label: str, symbols: Sequence[str], stage: str = "live") -> Challenge:
        """A new phrase; the one before it is void."""
        words = " ".join(secrets.choice(_WORDS) for _ in range(4))
        phrase = f"{label} {' '.join(symbols)} {words}"
        self._challenge = Challenge(stage, phrase, self._clock.now_ns() + round(CHALLENGE_LIFE_S * NS))
        return self._challenge

    def confirm(self, phrase: str, expires_s: float = ARMED_LIFE_S) -> int:
        """Arm, if `phrase` is the one asked for; returns until when, ns since the epoch.

        Raises
        ------
        GateClosed
            If there is no challenge, it has expired, the phrase is another one, or the time is not positive.
        """
        challenge, self._challenge = self._challenge, None
        if not 0 < expires_s <= 7 * 86_400:
            raise GateClosed(f"arming for {expires_s!r} s: give more than 0 and at most a week (604800)")
        if challenge is None:
            raise GateClosed("nothing to confirm: await lab.arm() first gives a phrase made for this session")
        if challenge.expires_ns <= self._clock.now_ns():
            raise GateClosed(f"the phrase expired after {CHALLENGE_LIFE_S:g} s; await lab.arm() gives a new one")
        if not hmac.compare_digest(" ".join(phrase.split()).encode(), challenge.phrase.encode()):
            raise GateClosed(
                "that is not the phrase this session asked for (one from an earlier session never is); "
                "await lab.arm() gives a new one"
            )
        self._armed_until_ns = self._clock.now_ns() + round(expires_s * NS)
        return self._armed_until_ns

    def disarm(self) -> bool:
        """Take it back; whether it was armed."""
        was = self.armed_until_ns is not None
        self._challenge = None
        self._armed_until_ns = None
        return was
