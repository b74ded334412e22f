"""The four stages a strategy climbs, and the one name they are shown under."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from autotrader_lab.model.errors import ConfigError

if TYPE_CHECKING:
    from autotrader_lab.ladder.profiles import Profile

__all__ = ["STAGES", "Stage", "label"]


class Stage(StrEnum):
    """Replay, paper, testnet, live: each the last one's next step."""

    REPLAY = "replay"
    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"

    @classmethod
    def of(cls, name: str | Stage) -> Stage:
        """The stage of that name.

        Raises
        ------
        ConfigError
            If there is none.
        """
        try:
            return cls(name)
        except ValueError:
            raise ConfigError(f"there is no stage {name!r}; the stages are {', '.join(s.value for s in cls)}") from None

    @property
    def rank(self) -> int:
        """0 for replay to 3 for live."""
        return STAGES.index(self)

    @property
    def previous(self) -> Stage | None:
        """The stage whose evidence opens this one; None for replay, which is always open."""
        return STAGES[self.rank - 1] if self.rank else None

    @property
    def following(self) -> Stage | None:
        """The stage this one leads to; None for live."""
        return STAGES[self.rank + 1] if self.rank < len(STAGES) - 1 else None


STAGES = tuple(Stage)


def label(stage: str | Stage, profile: str | Profile) -> str:
    """How a stage is called wherever a person sees it: ``LIVE``, or ``LIVE, rehearsal`` under the rehearsal profile."""
    name = profile if isinstance(profile, str) else profile.name
    shown = Stage.of(stage).value.upper()
    return shown if name == "standard" else f"{shown}, {name}"
