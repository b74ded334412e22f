"""A phrase arms once, soon, and only the session it was made for."""

from __future__ import annotations

import pytest

from autotrader_lab.host.arming import Arming
from autotrader_lab.model.clock import NS, SimulatedClock
from autotrader_lab.model.errors import GateClosed


@pytest.fixture
def clock():
    return SimulatedClock(1_000 * NS)


def test_the_phrase_arms_for_the_time_asked(clock):
    arming = Arming(clock)
    challenge = arming.challenge("LIVE", ["BTC/USDT"])
    assert challenge.phrase.startswith("LIVE BTC/USDT ")
    assert arming.armed_until_ns is None
    arming.confirm(f"  {challenge.phrase} ", expires_s=60)
    assert arming.armed_until_ns == 1_060 * NS
    clock.set_ns(1_059 * NS)
    assert arming.armed_until_ns is not None
    clock.set_ns(1_060 * NS)
    assert arming.armed_until_ns is None


def test_a_phrase_expires(clock):
    arming = Arming(clock)
    challenge = arming.challenge("LIVE", ["BTC/USDT"])
    clock.set_ns(1_121 * NS)
    with pytest.raises(GateClosed, match="expired after 120 s"):
        arming.confirm(challenge.phrase)


def test_a_phrase_works_once_and_a_wrong_one_voids_it(clock):
    arming = Arming(clock)
    challenge = arming.challenge("LIVE", ["BTC/USDT"])
    with pytest.raises(GateClosed, match="not the phrase"):
        arming.confirm("LIVE BTC/USDT yes please go on")
    with pytest.raises(GateClosed, match="nothing to confirm"):
        arming.confirm(challenge.phrase)


def test_yesterdays_phrase_arms_nothing(clock):
    yesterday = Arming(clock).challenge("LIVE", ["BTC/USDT"])
    today = Arming(clock)
    with pytest.raises(GateClosed, match="nothing to confirm"):
        today.confirm(yesterday.phrase)
    today.challenge("LIVE", ["BTC/USDT"])
    with pytest.raises(GateClosed, match="earlier session"):
        today.confirm(yesterday.phrase)


def test_disarming(clock):
    arming = Arming(clock)
    arming.confirm(arming.challenge("LIVE", ["BTC/USDT"]).phrase)
    assert arming.disarm()
    assert arming.armed_until_ns is None
    assert not arming.disarm()


@pytest.mark.parametrize("expires_s", [0, -1, 8 * 86_400, float("nan")])
def test_the_time_must_make_sense(clock, expires_s):
    arming = Arming(clock)
    challenge = arming.challenge("LIVE", ["BTC/USDT"])
    with pytest.raises(GateClosed, match="at most a week"):
        arming.confirm(challenge.phrase, expires_s)
