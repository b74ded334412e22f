"""Names, order and the rule that real money is not rehearsed with."""

from __future__ import annotations

import pytest

from autotrader_lab.ladder import PROFILES, REHEARSAL, STAGES, STANDARD, Stage, check_profile, label, profile
from autotrader_lab.model.errors import ConfigError, GateClosed


def test_the_ladder_has_one_way_up() -> None:
    assert [stage.value for stage in STAGES] == ["replay", "paper", "testnet", "live"]
    assert [stage.rank for stage in STAGES] == [0, 1, 2, 3]
    assert [stage.previous for stage in STAGES] == [None, *STAGES[:3]]
    assert [stage.following for stage in STAGES] == [*STAGES[1:], None]
    assert str(Stage.LIVE) == f"{Stage.LIVE}" == "live"
    assert Stage.of("paper") is Stage.of(Stage.PAPER) is Stage.PAPER


@pytest.mark.parametrize(
    ("stage", "under", "shown"),
    [
        ("live", "rehearsal", "LIVE, rehearsal"),
        ("live", REHEARSAL, "LIVE, rehearsal"),
        ("paper", "rehearsal", "PAPER, rehearsal"),
        ("live", "standard", "LIVE"),
        (Stage.TESTNET, STANDARD, "TESTNET"),
    ],
)
def test_a_rehearsal_is_named_as_such(stage: str, under: str, shown: str) -> None:
    assert label(stage, under) == shown


def test_unknown_names_are_told_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no stage 'lve'; the stages are replay, paper, testnet, live"):
        Stage.of("lve")
    with pytest.raises(ConfigError, match=r"no profile 'easy'; the profiles are standard, rehearsal"):
        profile("easy")
    assert profile("rehearsal") is profile(REHEARSAL) is REHEARSAL


def test_a_real_venue_s_live_stage_takes_the_standard_profile_only() -> None:
    with pytest.raises(GateClosed, match=r"'rehearsal' cannot open the live stage of a real venue.*sandbox"):
        check_profile("rehearsal", "live", addresses_are_loopback=False)
    own = type(STANDARD)("standard", REHEARSAL.stages)  # a name is not enough
    with pytest.raises(GateClosed):
        check_profile(own, Stage.LIVE, addresses_are_loopback=False)
    check_profile("standard", "live", addresses_are_loopback=False)
    check_profile("rehearsal", "live", addresses_are_loopback=True)
    check_profile("rehearsal", "testnet", addresses_are_loopback=False)
    with pytest.raises(ConfigError):
        check_profile("easy", "paper", addresses_are_loopback=True)


def test_the_standard_is_the_specification_s_table_and_the_rehearsal_asks_less() -> None:
    assert set(PROFILES) == {"standard", "rehearsal"}
    for stage in (Stage.PAPER, Stage.TESTNET):
        asked = STANDARD.stages[stage]
        assert (asked.ack_p50_under_ms, asked.notified_p50_under_ms, asked.reconnect_under_s) == (100, 200, 5)
        assert (asked.success_rate_over, asked.dead_letter_rate_under) == (0.99, 0.001)
        assert asked.drill
        assert asked.min_seconds >= 86_400
    for stage in STAGES[:3]:
        assert REHEARSAL.stages[stage].min_decisions < STANDARD.stages[stage].min_decisions
        assert REHEARSAL.stages[stage].min_seconds <= 3
    assert REHEARSAL.stages[Stage.TESTNET].drill
