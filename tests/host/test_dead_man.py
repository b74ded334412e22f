"""The venue's own dead man's switch: armed while a real stage trades, renewed, and told about when it cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.host.dead_man import VenueSwitch, coverage
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import VenueUnavailable


class Switched(PaperTradingAdapter):
    """A venue that cancels when it hears nothing."""

    capabilities = replace(PaperTradingAdapter.capabilities, native_dead_man_switch=True)

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock=clock)
        self.told: list[float] = []
        self.deaf = False

    async def arm_dead_man_switch(self, seconds: float) -> None:
        if self.deaf:
            raise VenueUnavailable("503")
        self.told.append(seconds)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def venue(clock: SimulatedClock) -> Switched:
    return Switched(clock)


@pytest.fixture
def alerts() -> list[str]:
    return []


@pytest.fixture
def switch(venue: Switched, clock: SimulatedClock, alerts: list[str]) -> VenueSwitch:
    return VenueSwitch(venue, clock, lambda level, code, message: alerts.append(code), silence_s=30, renew_s=10)


async def test_it_is_armed_renewed_and_disarmed(switch: VenueSwitch, venue: Switched, clock: SimulatedClock) -> None:
    await switch.start()
    await switch.start()
    assert venue.told == [30]
    await clock.advance(25)
    assert venue.told == [30, 30, 30]
    await switch.stop(disarm=True)
    assert (venue.told[-1], switch.armed) == (0, False)
    await clock.advance(60)
    assert len(venue.told) == 4
    await switch.stop(disarm=True)
    assert len(venue.told) == 4


async def test_what_could_not_be_cancelled_is_left_to_it(switch: VenueSwitch, venue: Switched) -> None:
    await switch.start()
    await switch.stop(disarm=False)
    assert venue.told == [30]


async def test_a_failure_is_told_once_and_so_is_its_end(
    switch: VenueSwitch, venue: Switched, clock: SimulatedClock, alerts: list[str]
) -> None:
    await switch.start()
    venue.deaf = True
    await clock.advance(25)
    assert (switch.armed, alerts) == (False, ["DEAD_MAN_NOT_ARMED"])
    assert "could not be armed" in coverage("live", "held", "okx", switch)["host"]
    venue.deaf = False
    await clock.advance(10)
    assert (switch.armed, alerts) == (True, ["DEAD_MAN_NOT_ARMED", "DEAD_MAN_ARMED"])
    assert coverage("live", "held", "okx", switch)["host"].startswith(
        "covered by okx live itself: it cancels after 30 s"
    )
    await switch.stop(disarm=True)


async def test_a_venue_without_one_is_not_asked(clock: SimulatedClock, alerts: list[str]) -> None:
    switch = VenueSwitch(PaperTradingAdapter(clock=clock), clock, lambda *told: alerts.append(told[1]))
    await switch.start()
    await switch.stop(disarm=True)
    assert alerts == []


@pytest.mark.parametrize(
    ("stage", "lease", "notebook"),
    [
        ("", "none", "nothing works"),
        ("replay", "held", "nothing works"),
        ("paper", "none", "paper goes on"),
        ("testnet", "held", "covered by the host"),
        ("live", "detached", "detached on purpose"),
        ("live", "none", "nobody holds the session"),
    ],
)
def test_words_for_the_notebooks_death(stage: str, lease: str, notebook: str) -> None:
    words = coverage(stage, lease, "binance", None)  # type: ignore[arg-type]
    assert notebook in words["notebook"]
    assert set(words) == {"notebook", "host", "machine"}
    assert ("NOT covered: binance" in words["host"]) is (stage in ("testnet", "live"))
